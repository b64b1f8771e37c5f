package enroll_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/internal/problem"
)

func TestDeletingAKeyEndsItsEnrolment(t *testing.T) {
	o := newOffice(t)
	gone, stays := o.begin(), o.begin()
	require.NoError(t, o.agent.DeleteLocal(t.Context(), agent.Key{Store: "keyfile", ID: gone.Key}))
	open, err := o.agent.Ceremonies()
	require.NoError(t, err)
	require.Len(t, open, 1)
	assert.Equal(t, stays.ID, open[0].ID)
	var cleaned []string
	_, err = agent.VerifyJournal(o.home, func(e agent.Entry) {
		if e.Event == agent.LogCeremonyCleaned {
			cleaned = append(cleaned, e.Ceremony)
		}
	})
	require.NoError(t, err)
	assert.Equal(t, []string{gone.ID}, cleaned)
	_, err = o.agent.FinishLocal(t.Context(), gone.ID, mint(gone.CSR, time.Hour))
	assert.Equal(t, problem.CeremonyUnknown, problem.CodeOf(err))
	_, err = o.agent.FinishLocal(t.Context(), stays.ID, mint(stays.CSR, time.Hour))
	require.NoError(t, err)
	o.sound()
}

func TestAKeyThatIsBeingCertifiedKeepsItsEnrolment(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	reached, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	o.ca.onSign = func(http.ResponseWriter, *x509.CertificateRequest) bool { close(reached); <-goOn; return false }
	go func() {
		_, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
		ended <- err
	}()
	<-reached
	err := o.agent.DeleteLocal(t.Context(), agent.Key{Store: "keyfile", ID: c.Key})
	assert.Equal(t, problem.Busy, problem.CodeOf(err))
	with, without := o.keys()
	assert.Equal(t, 1, with+without, "the key is there")
	close(goOn)
	require.NoError(t, <-ended)
	o.sound()
}

func TestTheLockOfACeremonyThatNeverBeganIsRemovedInTime(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	folder := o.home.Path("ceremonies")
	name := func(id string) string { return filepath.Join(folder, id+".lock") }
	loose, young, held := agent.NewCeremonyID(), agent.NewCeremonyID(), agent.NewCeremonyID()
	old := time.Now().Add(-2 * time.Hour)
	for _, id := range []string{loose, young, held, c.ID} {
		require.NoError(t, os.WriteFile(name(id), nil, 0o600))
		if id != young {
			require.NoError(t, os.Chtimes(name(id), old, old))
		}
	}
	lock, err := home.TryLockPath(name(held))
	require.NoError(t, err)
	defer lock.Unlock()
	o.restart()
	require.NoError(t, o.agent.ResumeCeremonies(t.Context()))
	assert.NoFileExists(t, name(loose))
	for _, id := range []string{young, held, c.ID} {
		assert.FileExists(t, name(id))
	}
}
