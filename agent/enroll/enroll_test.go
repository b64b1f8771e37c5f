package enroll_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/enroll"
	"certsign/agent/home"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

const (
	portal   = "https://portal.example"
	password = "Correct-Horse-7"
)

// person chooses the keyfile store and knows the password.
type person struct {
	agent.Prompter
	mu      sync.Mutex
	pins    []agent.PINRequest
	notices []agent.Notice
	pin     func() (*agent.Secret, error)
}

func (p *person) ConfigureStore(_ context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
	return agent.StoreAnswer{Store: "keyfile", Place: keyfile.PlaceID, Algorithm: q.Algorithm}, nil
}

func (p *person) Notify(_ context.Context, n agent.Notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notices = append(p.notices, n)
}

func (p *person) AskPIN(_ context.Context, r agent.PINRequest) (*agent.Secret, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pins = append(p.pins, r)
	if p.pin != nil {
		return p.pin()
	}
	return agent.NewSecret([]byte(password)), nil
}

// store is the keyfile store with places where the power can fail, and with the ways of cards.
type store struct {
	*keyfile.Store
	before, after map[string]bool // "generate", "sign", "attach"
	out           bool            // it is a card in a drawer
	hides         bool            // it is a card that shows its keys after log-in only
}

func (s *store) List(ctx context.Context) ([]agent.Key, error) {
	keys, err := s.Store.List(ctx)
	return slices.DeleteFunc(keys, func(k agent.Key) bool { return s.out || s.hides && len(k.Chain) == 0 }), err
}

func (s *store) Delete(ctx context.Context, id string, ask agent.AskPIN) error {
	if s.out {
		return problem.New(problem.TokenAbsent, "the card is in a drawer")
	}
	return s.Store.Delete(ctx, id, ask)
}

type powerFailure struct{ at string }

func (s *store) fail(where map[string]bool, what string) {
	if where[what] {
		panic(powerFailure{what})
	}
}

func (s *store) Generate(ctx context.Context, r agent.GenerateRequest, c *agent.Consent, ask agent.AskPIN) (agent.Key, agent.Session, error) {
	s.fail(s.before, "generate")
	k, session, err := s.Store.Generate(ctx, r, c, ask)
	s.fail(s.after, "generate")
	return k, &failing{session, s}, err
}

func (s *store) Attach(ctx context.Context, id string, chain [][]byte, ask agent.AskPIN) error {
	s.fail(s.before, "attach")
	err := s.Store.Attach(ctx, id, chain, ask)
	s.fail(s.after, "attach")
	return err
}

type failing struct {
	agent.Session
	store *store
}

func (f *failing) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	f.store.fail(f.store.before, "sign")
	sig, err := f.Session.Sign(r, digest, o)
	f.store.fail(f.store.after, "sign")
	return sig, err
}

// office is an agent that can be restarted.
type office struct {
	t      *testing.T
	ca     *authority
	home   *home.Dir
	store  *store
	person *person
	agent  *agent.Agent
	site   agent.Site
	now    func() time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	h, err := home.Open(t.TempDir())
	require.NoError(t, err)
	o := &office{t: t, ca: newAuthority(t), home: h, store: &store{Store: keyfile.New(h.Path("keys"), keyfile.WithIterations(1000))}, now: time.Now}
	o.restart()
	origin, err := agent.ParseOrigin(portal)
	require.NoError(t, err)
	require.NoError(t, o.agent.Sites().Put(agent.Site{
		Name: "portal", Origin: origin, CA: o.ca.url, Roots: certificatePEM(o.ca.root.DER), Allow: []agent.Operation{agent.MayEnroll},
	}))
	o.site, err = o.agent.Sites().Named("portal")
	require.NoError(t, err)
	return o
}

// restart is a new process on the same folder.
func (o *office) restart() {
	o.t.Helper()
	desk, err := enroll.New(enroll.Config{Home: o.home, Proxy: "none", Now: o.now})
	require.NoError(o.t, err)
	o.person = &person{}
	o.store.before, o.store.after = nil, nil
	o.agent, err = agent.New(agent.Config{
		Home: o.home, Stores: []agent.KeyStore{o.store}, Prompter: o.person, PINs: o.person, Enroller: desk, Now: o.now,
	})
	require.NoError(o.t, err)
}

// resume restarts and lets the agent take up what it can.
func (o *office) resume() {
	o.t.Helper()
	o.restart()
	require.NoError(o.t, o.agent.Start(o.t.Context()))
	assert.Empty(o.t, o.person.pins, "nobody is asked for a PIN out of the blue")
}

func (o *office) begin() *agent.Ceremony {
	o.t.Helper()
	c, err := o.agent.EnrollLocal(o.t.Context(), o.site, agent.Wish{})
	require.NoError(o.t, err)
	return c
}

// survive runs f and returns where the power failed, "" when it did not.
func survive(f func()) (at string) {
	defer func() {
		if r := recover(); r != nil {
			p, ok := r.(powerFailure)
			if !ok {
				panic(r)
			}
			at = p.at
		}
	}()
	f()
	return ""
}

func (o *office) keys() (with, without int) {
	o.t.Helper()
	keys, err := o.store.Store.List(o.t.Context())
	require.NoError(o.t, err)
	for _, k := range keys {
		if len(k.Chain) > 0 {
			with++
		} else {
			without++
		}
	}
	return with, without
}

func (o *office) ceremonies() []string {
	o.t.Helper()
	all, err := filepath.Glob(o.home.Path("ceremonies", "*"))
	require.NoError(o.t, err)
	return all
}

// sound checks what must hold whatever happened.
func (o *office) sound() {
	o.t.Helper()
	o.ca.mu.Lock()
	defer o.ca.mu.Unlock()
	for token, n := range o.ca.spent {
		assert.LessOrEqual(o.t, n, 1, "token %s was spent more than once", token)
	}
	keys, err := o.store.Store.List(o.t.Context())
	require.NoError(o.t, err)
	for _, leaf := range o.ca.issued {
		held := false
		for _, k := range keys {
			pub, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
			held = held || ok && pub.Equal(leaf.Certificate.PublicKey)
		}
		assert.True(o.t, held, "a certificate was issued whose key is lost")
	}
	assert.NoError(o.t, filepath.WalkDir(o.home.Path(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		assert.NotContains(o.t, string(b), password, path)
		if d.Name() == agent.JournalName {
			assert.NotContains(o.t, string(b), "eyJ", "the journal holds a token")
		}
		return err
	}))
	_, err = agent.VerifyJournal(o.home, nil)
	assert.NoError(o.t, err)
}

func TestACeremonyInTwoLegs(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	csr, err := x509.ParseCertificateRequest(c.CSR)
	require.NoError(t, err)
	require.NoError(t, csr.CheckSignature())
	done, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
	require.NoError(t, err)
	assert.Len(t, o.person.pins, 1, "the password that was chosen serves for storing the certificate")
	assert.True(t, o.person.pins[0].New)
	require.Len(t, o.person.notices, 1)
	assert.Equal(t, agent.NoticeEnrolled, o.person.notices[0].Kind)
	leaf, err := x509.ParseCertificate(done.Chain[0])
	require.NoError(t, err)
	assert.Equal(t, csr.PublicKey, leaf.PublicKey)
	assert.Len(t, done.Chain, 2, "the root is not sent along")
	ids := o.agent.Identities(t.Context())
	require.Len(t, ids, 1)
	assert.True(t, ids[0].IssuedBy(o.site.Certificates()))
	for _, f := range o.ceremonies() {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		assert.NotContains(t, string(b), "eyJ", "the token is forgotten")
	}
	o.sound()
	open, err := o.agent.Ceremonies()
	require.NoError(t, err)
	assert.Empty(t, open)
}

func TestThePasswordIsForgottenInTimeAndThenAskedFor(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	o.restart()
	_, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
	require.NoError(t, err)
	require.Len(t, o.person.pins, 1)
	assert.Equal(t, agent.PurposeStore, o.person.pins[0].Purpose)
	assert.False(t, o.person.pins[0].New)
}

func TestWhenThePowerFails(t *testing.T) {
	for _, c := range []struct {
		when, what string
		with       int // certificates in the end
		finished   bool
	}{
		{"before", "generate", 0, false},
		{"after", "generate", 0, false},
		{"before", "sign", 0, false},
		{"after", "sign", 0, false},
		{"before", "attach", 1, true},
		{"after", "attach", 1, true},
	} {
		t.Run(c.when+" "+c.what, func(t *testing.T) {
			o := newOffice(t)
			where := map[string]bool{c.what: true}
			if c.when == "before" {
				o.store.before = where
			} else {
				o.store.after = where
			}
			var cer *agent.Ceremony
			at := survive(func() {
				cer = o.begin()
				_, _ = o.agent.FinishLocal(t.Context(), cer.ID, mint(cer.CSR, time.Hour))
			})
			require.Equal(t, c.what, at)
			o.sound()
			o.resume()
			o.sound()
			if !c.finished {
				with, without := o.keys()
				assert.Zero(t, with+without, "nothing is left behind")
				assert.Empty(t, o.ceremonies())
				return
			}
			_, err := o.agent.FinishLocal(t.Context(), cer.ID, "")
			if c.when == "before" {
				require.NoError(t, err, "the person gives the password, and the certificate is stored")
			}
			with, without := o.keys()
			assert.Equal(t, c.with, with)
			assert.Zero(t, without)
			o.sound()
		})
	}
}

func TestWhenTheAgentStopsWhileTheCAWorks(t *testing.T) {
	for _, made := range []bool{true, false} {
		for _, stock := range []bool{true, false} {
			t.Run(fmt.Sprintf("certificate made %v, unmodified step-ca %v", made, stock), func(t *testing.T) {
				o := newOffice(t)
				o.ca.stock = stock
				c := o.begin()
				first := mint(c.CSR, time.Hour)
				dead := o.agent
				if made {
					o.ca.after = func() { dead.Close(); time.Sleep(50 * time.Millisecond) }
				} else {
					o.ca.onSign = func(http.ResponseWriter, *x509.CertificateRequest) bool {
						dead.Close()
						panic(http.ErrAbortHandler)
					}
				}
				_, err := o.agent.FinishLocal(t.Context(), c.ID, first)
				require.Error(t, err)
				o.ca.after, o.ca.onSign = nil, nil
				before := o.ca.sent[first]
				o.resume()
				o.sound()
				if stock {
					assert.Equal(t, before, o.ca.sent[first], "a token that may be spent is not sent again on a guess")
					_, err = o.agent.FinishLocal(t.Context(), c.ID, "")
					assert.Equal(t, problem.TokenSpent, problem.CodeOf(err))
					_, err = o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
				} else {
					_, err = o.agent.FinishLocal(t.Context(), c.ID, "")
				}
				require.NoError(t, err)
				with, without := o.keys()
				assert.Equal(t, 1, with)
				assert.Zero(t, without)
				o.sound()
			})
		}
	}
}

func TestWhatTheCASends(t *testing.T) {
	other := testpki.Root(t, testpki.At(time.Now()), testpki.Named("TEST other root"))
	answer := func(w http.ResponseWriter, ders ...[]byte) bool {
		var chain []string
		for _, d := range ders {
			chain = append(chain, certificatePEM(d))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"crt": chain[0], "certChain": chain})
		return true
	}
	for name, c := range map[string]struct {
		onSign func(o *office) func(http.ResponseWriter, *x509.CertificateRequest) bool
		code   problem.Code
	}{
		"a certificate for another key": {func(o *office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
				return answer(w, o.ca.inter.Leaf().DER, o.ca.inter.DER)
			}
		}, problem.CertificateMismatch},
		"a certificate of another CA": {func(*office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, csr *x509.CertificateRequest) bool {
				return answer(w, other.Leaf(testpki.WithKey(publicOnly{csr.PublicKey})).DER, other.DER)
			}
		}, problem.CertificateMismatch},
		"a certificate that ended": {func(o *office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, csr *x509.CertificateRequest) bool {
				return answer(w, o.ca.inter.Leaf(testpki.At(time.Now()), testpki.Expired(), testpki.WithKey(publicOnly{csr.PublicKey})).DER, o.ca.inter.DER)
			}
		}, problem.CertificateMismatch},
		"no certificate at all": {func(*office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
				_, _ = io.WriteString(w, `{"certChain":["hello"]}`)
				return true
			}
		}, problem.CertificateMismatch},
		"a redirect": {func(*office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
				w.Header().Set("Location", "https://evil.example/1.0/sign")
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			}
		}, problem.CAUnreachable},
		"a fault": {func(*office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
		}, problem.CAUnreachable},
		"a refusal with a code": {func(*office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
				refuse(w, 403, problem.KeyAlreadyCertified)
				return true
			}
		}, problem.KeyAlreadyCertified},
		"a refusal without a code": {func(*office) func(http.ResponseWriter, *x509.CertificateRequest) bool {
			return func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
				refuse(w, 403, "")
				return true
			}
		}, problem.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.ca.onSign = c.onSign(o)
			cer := o.begin()
			_, err := o.agent.FinishLocal(t.Context(), cer.ID, mint(cer.CSR, time.Hour))
			assert.Equal(t, c.code, problem.CodeOf(err), "%v", err)
			with, without := o.keys()
			assert.Zero(t, with, "nothing was stored")
			assert.Equal(t, 1, without, "the key stays")
			assert.Empty(t, o.person.notices)
			o.ca.onSign = nil
			_, err = o.agent.FinishLocal(t.Context(), cer.ID, mint(cer.CSR, time.Hour))
			require.NoError(t, err, "the ceremony can still be finished")
			o.sound()
		})
	}
}

func TestTokens(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	finish := func(token string) problem.Code {
		_, err := o.agent.FinishLocal(t.Context(), c.ID, token)
		return problem.CodeOf(err)
	}
	assert.Equal(t, problem.TokenInvalid, finish(""))
	foreign := mint([]byte("another CSR"), time.Hour)
	assert.Equal(t, problem.TokenForOtherCSR, finish(foreign))
	assert.Zero(t, o.ca.sent[foreign], "it is not even sent")
	assert.Equal(t, problem.TokenExpired, finish(mint(c.CSR, -time.Hour)))
	spent := mint(c.CSR, time.Hour)
	o.ca.spent[spent] = 1
	assert.Equal(t, problem.TokenSpent, finish(spent))
	_, err := o.agent.FinishLocal(t.Context(), "00000000000000000000000000000000", mint(c.CSR, time.Hour))
	assert.Equal(t, problem.CeremonyUnknown, problem.CodeOf(err))
	_, err = o.agent.FinishLocal(t.Context(), "../sites", mint(c.CSR, time.Hour))
	assert.Equal(t, problem.CeremonyUnknown, problem.CodeOf(err))
	assert.Empty(t, finish(mint(c.CSR, time.Hour)))
}

func TestAnUnmodifiedStepCAServesToo(t *testing.T) {
	o := newOffice(t)
	o.ca.stock = true
	c := o.begin()
	token := mint(nil, time.Hour)
	_, err := o.agent.FinishLocal(t.Context(), c.ID, token)
	require.NoError(t, err)
	c = o.begin()
	_, err = o.agent.FinishLocal(t.Context(), c.ID, token)
	assert.Equal(t, problem.TokenInvalid, problem.CodeOf(err))
	o.sound()
}

func TestACAThatIsDownCostsNoToken(t *testing.T) {
	o := newOffice(t)
	up := o.site
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o.site.CA = "https://" + l.Addr().String()
	l.Close()
	require.NoError(t, o.agent.Sites().Put(o.site))
	c := o.begin()
	token := mint(c.CSR, time.Hour)
	_, err = o.agent.FinishLocal(t.Context(), c.ID, token)
	assert.Equal(t, problem.CAUnreachable, problem.CodeOf(err))
	require.NoError(t, o.agent.Sites().Put(up))
	o.resume()
	assert.Equal(t, 1, o.ca.sent[token], "the token waits on the disk and is used when the CA is back")
	_, err = o.agent.FinishLocal(t.Context(), c.ID, "")
	require.NoError(t, err)
	o.sound()
}

func TestACAUnderAnotherRootGetsNoToken(t *testing.T) {
	o := newOffice(t)
	o.site.Roots = certificatePEM(testpki.Root(t, testpki.At(time.Now()), testpki.Named("TEST other root")).DER)
	require.NoError(t, o.agent.Sites().Put(o.site))
	c := o.begin()
	token := mint(c.CSR, time.Hour)
	_, err := o.agent.FinishLocal(t.Context(), c.ID, token)
	assert.Equal(t, problem.CAMismatch, problem.CodeOf(err))
	assert.Zero(t, o.ca.sent[token])
}

func TestWhenThePersonDoesNotGiveThePassword(t *testing.T) {
	o := newOffice(t)
	o.person.pin = func() (*agent.Secret, error) { return nil, problem.New(problem.UserCancelled, "no") }
	_, err := o.agent.EnrollLocal(t.Context(), o.site, agent.Wish{})
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
	with, without := o.keys()
	assert.Zero(t, with+without)
	assert.Empty(t, o.ceremonies())
	o.person.pin = func() (*agent.Secret, error) { return agent.NewSecret([]byte("weak")), nil }
	_, err = o.agent.EnrollLocal(t.Context(), o.site, agent.Wish{})
	assert.Equal(t, problem.PasswordWeak, problem.CodeOf(err))
	assert.Empty(t, o.ceremonies())
	o.sound()
}

func TestDeadTokens(t *testing.T) {
	later := func(o *office) {
		o.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		o.resume()
	}
	hangUp := func(http.ResponseWriter, *x509.CertificateRequest) bool { panic(http.ErrAbortHandler) }
	t.Run("the CA issued nothing: the key goes", func(t *testing.T) {
		o := newOffice(t)
		o.ca.onSign = hangUp
		c := o.begin()
		_, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
		require.Error(t, err)
		later(o)
		with, without := o.keys()
		assert.Zero(t, with+without)
		assert.Empty(t, o.ceremonies())
		o.sound()
	})
	t.Run("the CA issued: the certificate is fetched", func(t *testing.T) {
		o := newOffice(t)
		o.ca.after = func() { panic(http.ErrAbortHandler) }
		o.ca.onIssued = func(w http.ResponseWriter) bool { w.WriteHeader(503); return true }
		c := o.begin()
		_, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
		assert.Equal(t, problem.CAUnreachable, problem.CodeOf(err))
		o.ca.onIssued = nil
		later(o)
		o.sound()
		_, err = o.agent.FinishLocal(t.Context(), c.ID, "")
		require.NoError(t, err)
		with, _ := o.keys()
		assert.Equal(t, 1, with)
	})
	t.Run("the CA cannot be asked: the key stays", func(t *testing.T) {
		o := newOffice(t)
		o.ca.stock, o.ca.onSign = true, hangUp
		c := o.begin()
		_, err := o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
		require.Error(t, err)
		later(o)
		_, without := o.keys()
		assert.Equal(t, 1, without)
		o.sound()
	})
	t.Run("a CSR that never got a token keeps its key", func(t *testing.T) {
		o := newOffice(t)
		o.begin()
		later(o)
		_, without := o.keys()
		assert.Equal(t, 1, without)
		assert.NotEmpty(t, o.ceremonies())
	})
}
