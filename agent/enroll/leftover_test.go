package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/enroll"
	"certsign/internal/problem"
)

// importKey is what another process does meanwhile: a key that the person had before comes into the store.
func (o *office) importKey() {
	o.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(o.t, err)
	_, err = o.store.Import(o.t.Context(), agent.Bundle{Private: private, Label: "from an old computer"},
		func(context.Context, agent.PINRequest) (*agent.Secret, error) {
			return agent.NewSecret([]byte(password)), nil
		})
	require.NoError(o.t, err)
}

func TestAnImportedKeyIsNotTakenForAnEnrolments(t *testing.T) {
	t.Run("imported while the person is asked for a password, and refuses", func(t *testing.T) {
		o := newOffice(t)
		o.person.pin = func() (*agent.Secret, error) {
			o.importKey()
			return nil, problem.New(problem.UserCancelled, "no")
		}
		_, err := o.agent.EnrollLocal(t.Context(), o.site, agent.Wish{})
		assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
		_, without := o.keys()
		assert.Equal(t, 1, without)
		assert.Empty(t, o.ceremonies())
	})
	t.Run("imported after the agent was killed", func(t *testing.T) {
		o := newOffice(t)
		o.store.before = map[string]bool{"generate": true}
		require.Equal(t, "generate", survive(func() { o.begin() }))
		o.importKey()
		o.resume()
		_, without := o.keys()
		assert.Equal(t, 1, without)
		assert.Empty(t, o.ceremonies())
	})
}

func TestAnEnrolmentWaitsForTheCardThatHoldsItsKey(t *testing.T) {
	o := newOffice(t)
	o.store.before = map[string]bool{"sign": true}
	require.Equal(t, "sign", survive(func() { o.begin() }))
	o.store.out = true
	o.resume()
	assert.NotEmpty(t, o.ceremonies(), "the key is on a card that is not there")
	o.store.out = false
	o.resume()
	_, without := o.keys()
	assert.Zero(t, without, "the card is there again")
	assert.Empty(t, o.ceremonies())

	o.store.before = map[string]bool{"sign": true}
	require.Equal(t, "sign", survive(func() { o.begin() }))
	o.store.out, o.now = true, func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	o.resume()
	assert.Empty(t, o.ceremonies(), "a card that is lost is not waited for without end")
}

func TestACertificateReachesAKeyThatIsHiddenUntilLogIn(t *testing.T) {
	o := newOffice(t)
	o.store.hides = true
	c := o.begin()
	_, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
	require.NoError(t, err)
	with, without := o.keys()
	assert.Equal(t, []int{1, 0}, []int{with, without})
	o.sound()

	c = o.begin()
	require.NoError(t, o.store.Delete(t.Context(), c.Key, nil))
	_, err = o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
	assert.Equal(t, problem.TokenAbsent, problem.CodeOf(err), "a key that is nowhere")
}

// slow makes a key, and the process is slow to write down which.
type slow struct {
	*store
	made, goOn chan struct{}
}

func (s *slow) Generate(ctx context.Context, r agent.GenerateRequest, c *agent.Consent, ask agent.AskPIN) (agent.Key, agent.Session, error) {
	k, session, err := s.store.Generate(ctx, r, c, ask)
	close(s.made)
	<-s.goOn
	return k, session, err
}

func TestTheKeyOfAnEnrolmentUnderWayIsNotTakenForAnothers(t *testing.T) {
	o := newOffice(t)
	other := &slow{o.store, make(chan struct{}), make(chan struct{})}
	asked, answer, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	them := &person{pin: func() (*agent.Secret, error) {
		close(asked)
		<-answer
		return agent.NewSecret([]byte(password)), nil
	}}
	desk, err := enroll.New(enroll.Config{Home: o.home, Proxy: "none", Now: o.now})
	require.NoError(t, err)
	process, err := agent.New(agent.Config{Home: o.home, Stores: []agent.KeyStore{other}, Prompter: them, PINs: them, Enroller: desk, Now: o.now})
	require.NoError(t, err)
	go func() {
		_, err := process.EnrollLocal(t.Context(), o.site, agent.Wish{})
		ended <- err
	}()
	<-asked
	o.person.pin = func() (*agent.Secret, error) {
		close(answer)
		<-other.made
		return nil, problem.New(problem.UserCancelled, "no")
	}
	_, err = o.agent.EnrollLocal(t.Context(), o.site, agent.Wish{})
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
	_, without := o.keys()
	assert.Equal(t, 1, without, "it is the other's")
	close(other.goOn)
	require.NoError(t, <-ended)
	o.resume()
	open, err := o.agent.Ceremonies()
	require.NoError(t, err)
	require.Len(t, open, 1, "and the one that was refused is gone by now")
	_, without = o.keys()
	assert.Equal(t, 1, without)
	c := open[0]
	o.person.pin = nil
	_, err = o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
	require.NoError(t, err)
	o.sound()
}
