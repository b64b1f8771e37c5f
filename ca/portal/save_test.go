package portal

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACertificateIsSavedByTheAgentOrDownloadedWithoutAnyScript(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "save")
	b := w.loggedIn(w.person)
	file := "/my/certificates/" + c.Serial + "/certificate.cer"
	for _, path := range []string{"/my/certificates/" + c.Serial, "/my/certificates/" + c.Serial + "/issued"} {
		v := b.get(path)
		_, hidden := attribute(v.byID("save-certificate"), "hidden")
		assert.True(t, hidden, "a script shows the button; without one it would do nothing")
		href, _ := attribute(v.byID("download-certificate"), "href")
		assert.Equal(t, file, href)
		_, hidden = attribute(v.byID("download-certificate"), "hidden")
		assert.False(t, hidden)

		var handed struct {
			Certificate []byte
			Chain       [][]byte
		}
		data := v.byID("certificate-data")
		require.NotNil(t, data)
		require.NoError(t, json.Unmarshal([]byte(data.FirstChild.Data), &handed))
		assert.Equal(t, c.DER, handed.Certificate)
		assert.Equal(t, c.Chain, handed.Chain)
		assert.NotEmpty(t, handed.Chain, "the agent is given what lies between it and the root")
	}

	t.Run("one that is of no use any more is not saved, but can be looked at", func(t *testing.T) {
		w.advance(c.X509.NotAfter.Sub(w.now()) + time.Hour)
		v := w.loggedIn(w.person).get("/my/certificates/" + c.Serial)
		assert.Nil(t, v.byID("save-certificate"))
		assert.Nil(t, v.byID("certificate-data"))
		v.has(t, "download-certificate")
	})
}
