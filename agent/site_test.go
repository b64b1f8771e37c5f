package agent_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

func origin(t testing.TB, s string) agent.Origin {
	t.Helper()
	o, err := agent.ParseOrigin(s)
	require.NoError(t, err)
	return o
}

func rootPEM(a *testpki.Authority) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.DER}))
}

func TestSiteEntries(t *testing.T) {
	root := testpki.Root(t)
	sum := sha256.Sum256(root.DER)
	good := agent.Site{
		Name: "puesc", Origin: origin(t, "https://portal.example"), CA: "https://ca.example:18443/", Roots: rootPEM(root),
		Allow: []agent.Operation{agent.MaySign, agent.MayEnroll},
	}
	for _, c := range []struct {
		name string
		edit func(*agent.Site)
		code problem.Code
	}{
		{"a whole entry is taken", func(*agent.Site) {}, ""},
		{"a fingerprint that fits is taken", func(s *agent.Site) { s.Fingerprint = hex.EncodeToString(sum[:]) }, ""},
		{"a fingerprint of another root is refused", func(s *agent.Site) { s.Fingerprint = hex.EncodeToString(make([]byte, 32)) }, problem.CAMismatch},
		{"a site without a CA may not enrol", func(s *agent.Site) { s.CA, s.Roots = "", "" }, problem.BadRequest},
		{"a site without a CA may sign", func(s *agent.Site) { s.CA, s.Roots, s.Allow = "", "", []agent.Operation{agent.MaySign} }, ""},
		{"a CA without a root is refused", func(s *agent.Site) { s.Roots = "" }, problem.BadRequest},
		{"a CA without TLS is refused", func(s *agent.Site) { s.CA = "http://ca.example" }, problem.BadRequest},
		{"a CA with user information is refused", func(s *agent.Site) { s.CA = "https://u:p@ca.example" }, problem.BadRequest},
		{"a root that is no certificate is refused", func(s *agent.Site) { s.Roots = "not PEM" }, problem.BadRequest},
		{"a private key is no root", func(s *agent.Site) { s.Roots = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" }, problem.BadRequest},
		{"a site has a name", func(s *agent.Site) { s.Name = "" }, problem.BadRequest},
		{"a site has an origin", func(s *agent.Site) { s.Origin = agent.Origin{} }, problem.BadRequest},
		{"what a site may do is one of three things", func(s *agent.Site) { s.Allow = []agent.Operation{"everything"} }, problem.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			sites := agent.OpenSites(newHome(t))
			s := good
			c.edit(&s)
			err := sites.Put(s)
			assert.Equal(t, c.code, problem.CodeOf(err))
			_, err = sites.Find(good.Origin)
			assert.Equal(t, c.code == "", err == nil, "only a good entry is on the list")
		})
	}
}

func TestSitesAreReadAgainWhenTheyChange(t *testing.T) {
	h := newHome(t)
	running, shell := agent.OpenSites(h), agent.OpenSites(h)
	o := origin(t, "https://portal.example")
	_, err := running.Find(o)
	assert.Equal(t, problem.SiteUnknown, problem.CodeOf(err))
	require.NoError(t, shell.Put(agent.Site{Name: "a", Origin: o, Allow: []agent.Operation{agent.MaySign}}))
	s, err := running.Find(o)
	require.NoError(t, err)
	assert.Equal(t, "a", s.Name)
	require.NoError(t, shell.Put(agent.Site{Name: "b", Origin: o, Allow: []agent.Operation{agent.MaySign}}))
	all, err := running.All()
	require.NoError(t, err)
	require.Len(t, all, 1, "an origin has one entry")
	assert.Equal(t, "b", all[0].Name)
	assert.Equal(t, problem.BadRequest, problem.CodeOf(shell.Put(agent.Site{Name: "b", Origin: origin(t, "https://other.example")})), "a name has one entry")
	assert.Equal(t, problem.BadRequest, problem.CodeOf(shell.Put(agent.Site{Name: "B", Origin: origin(t, "https://other.example")})), "in large letters too")
	_, err = shell.Named("B")
	require.NoError(t, err)
	require.NoError(t, shell.Remove("B"))
	assert.Equal(t, problem.SiteUnknown, problem.CodeOf(shell.Remove("b")))
	_, err = running.Find(o)
	assert.Equal(t, problem.SiteUnknown, problem.CodeOf(err))
}

func TestABrokenListOfSitesLetsNobodyIn(t *testing.T) {
	h := newHome(t)
	for name, text := range map[string]string{
		"an unknown field":         "sites:\n  - name: a\n    origin: https://a.example\n    trusted: yes\n",
		"an origin that is none":   "sites:\n  - name: a\n    origin: '*'\n",
		"an insecure origin":       "sites:\n  - name: a\n    origin: http://a.example\n",
		"the same origin twice":    "sites:\n  - {name: a, origin: https://a.example}\n  - {name: b, origin: https://a.example}\n",
		"the same name twice":      "sites:\n  - {name: a, origin: https://a.example}\n  - {name: A, origin: https://b.example}\n",
		"something that is no map": "- 1\n",
	} {
		require.NoError(t, os.WriteFile(h.Path("sites.yaml"), []byte(text), 0o600))
		_, err := agent.OpenSites(h).Find(origin(t, "https://a.example"))
		assert.Equal(t, problem.BadRequest, problem.CodeOf(err), name)
	}
}
