package agent_test

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

// save has the page hand over certificates, the leaf first.
func (v *visitor) save(id string, ders ...[]byte) ([]agent.SavedCertificate, problem.Code) {
	v.t.Helper()
	p := agent.CertificateSaveParams{Certificates: []string{}}
	for _, der := range ders {
		p.Certificates = append(p.Certificates, base64.StdEncoding.EncodeToString(der))
	}
	var r agent.CertificateSaveResult
	code := v.call(id, agent.MethodCertificateSave, p, &r)
	return r.Saved, code
}

// beside returns the chain that lies beside a key now.
func (b *bureau) beside(key string) [][]byte {
	b.t.Helper()
	for _, k := range b.agent.Keys(b.t.Context()) {
		if k.ID == key {
			return k.Chain
		}
	}
	require.FailNow(b.t, "the key is gone")
	return nil
}

func TestAPageSavesACertificateBesideItsKey(t *testing.T) {
	b := newBureau(t)
	inter := b.ca.Intermediate()
	key, other := b.bareKey(), b.bareKey()
	leaf := leafFor(inter, key.Public)
	v := b.open()

	b.person.onPIN = says("Wrong-Horse-77", password)
	saved, code := v.save("1", leaf.DER, inter.DER, b.ca.DER)
	require.Empty(t, code)
	require.Len(t, saved, 1)
	assert.Equal(t, agent.SaveStored, saved[0].State)
	assert.Equal(t, base64.StdEncoding.EncodeToString(leaf.DER), saved[0].Certificate)
	assert.Equal(t, "keyfile", saved[0].Store)
	assert.Equal(t, [][]byte{leaf.DER, inter.DER}, b.beside(key.ID), "with its issuer and without the root")
	assert.Empty(t, b.beside(other.ID))

	require.Len(t, b.person.pins, 2)
	assert.Equal(t, agent.PurposeStore, b.person.pins[0].Purpose)
	assert.Equal(t, v.origin.Display(), b.person.pins[0].Origin, "who asks is shown")
	assert.True(t, b.person.pins[1].Incorrect)
	require.Len(t, b.person.notices, 1, "and the person is told, as after an enrolment")
	assert.Equal(t, agent.NoticeEnrolled, b.person.notices[0].Kind)
	assert.Equal(t, agent.SerialHex(leaf.Certificate), b.person.notices[0].Certificate.Serial)

	copied, _, err := b.person.notices[0].Copy(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, copied)

	recorded := 0
	_, err = agent.VerifyJournal(b.home, func(e agent.Entry) {
		if e.Event == agent.LogCertificate {
			recorded++
			assert.Equal(t, portal, e.Origin)
			assert.Equal(t, "1", e.Request)
			assert.Equal(t, key.ID, e.Key)
			assert.Equal(t, agent.SerialHex(leaf.Certificate), e.Certificate)
		}
	})
	require.NoError(t, err)
	assert.Equal(t, 1, recorded)

	t.Run("a second time does nothing and asks nothing", func(t *testing.T) {
		again, code := v.save("2", leaf.DER)
		require.Empty(t, code)
		assert.Equal(t, agent.SavePresent, again[0].State)
		assert.Len(t, b.person.pins, 2)
		assert.Len(t, b.person.notices, 1)
	})
	t.Run("an older one leaves the newer where it is, a newer one takes its place", func(t *testing.T) {
		older := leafFor(inter, key.Public, testpki.Valid(leaf.Certificate.NotBefore.Add(-time.Hour), leaf.Certificate.NotAfter))
		kept, code := v.save("3", older.DER)
		require.Empty(t, code)
		assert.Equal(t, agent.SaveKept, kept[0].State)
		assert.Equal(t, agent.SerialHex(leaf.Certificate), kept[0].Serial, "the answer says which one lies there")
		assert.Equal(t, leaf.DER, b.beside(key.ID)[0])
		assert.Len(t, b.person.pins, 2)
		newer := leafFor(inter, key.Public, testpki.Valid(leaf.Certificate.NotBefore.Add(time.Minute), leaf.Certificate.NotAfter))
		stored, code := v.save("4", newer.DER, inter.DER)
		require.Empty(t, code)
		assert.Equal(t, agent.SaveStored, stored[0].State)
		assert.Equal(t, newer.DER, b.beside(key.ID)[0])
	})
	b.clean()
}

func TestACertificateThatLiesThereWithoutItsIssuerIsLeftAlone(t *testing.T) {
	b := newBureau(t)
	inter := b.ca.Intermediate()
	key := b.bareKey()
	leaf := leafFor(inter, key.Public)
	require.NoError(t, b.store.(agent.Attacher).Attach(t.Context(), key.ID, [][]byte{leaf.DER}, says(password)))
	saved, code := b.open().save("1", leaf.DER, inter.DER)
	require.Empty(t, code)
	assert.Equal(t, agent.SavePresent, saved[0].State)
	assert.Empty(t, b.person.questions())
}

func TestACertificateThatIsKnownInPartIsPutTogether(t *testing.T) {
	b := newBureau(t)
	inter := b.ca.Intermediate()
	b.certify(inter) // another key, whose chain holds the issuer
	key := b.bareKey()
	leaf := leafFor(inter, key.Public)
	saved, code := b.open().save("1", leaf.DER)
	require.Empty(t, code)
	assert.Equal(t, agent.SaveStored, saved[0].State)
	assert.Equal(t, [][]byte{leaf.DER, inter.DER}, b.beside(key.ID))
}

func TestWhatAPageMayNotSave(t *testing.T) {
	b := newBureau(t)
	foreign := testpki.Root(t, testpki.Named("Somebody's root"))
	key := b.bareKey()
	leaf := leafFor(b.ca, key.Public)
	elsewhere := leafFor(foreign, key.Public)
	expired := leafFor(b.ca, key.Public, testpki.Expired())
	held := b.certify(foreign) // a key with a certificate of another authority
	many := make([][]byte, 7)
	for n := range many {
		many[n] = leaf.DER
	}
	v := b.open()
	for name, c := range map[string]struct {
		ders [][]byte
		want problem.Code
	}{
		"one of another CA":                                           {[][]byte{elsewhere.DER}, problem.CertificateMismatch},
		"one of another CA that comes with its root":                  {[][]byte{elsewhere.DER, foreign.DER}, problem.CertificateMismatch},
		"one of another CA, beside a good one":                        {[][]byte{elsewhere.DER, leaf.DER, b.ca.DER}, problem.CertificateMismatch},
		"one whose issuer nobody knows":                               {[][]byte{leafFor(b.ca.Intermediate(), key.Public).DER}, problem.CertificateMismatch},
		"the site's root itself":                                      {[][]byte{b.ca.DER}, problem.CertificateMismatch},
		"one that has expired":                                        {[][]byte{expired.DER}, problem.CertificateExpired},
		"one for a key that is not here":                              {[][]byte{leafFor(b.ca, newP256(t).Public()).DER}, problem.KeyAbsent},
		"one for a key that holds a certificate of another authority": {[][]byte{leafFor(b.ca, held.Certificate.PublicKey).DER}, problem.KeyAbsent},
		"none":                                {nil, problem.BadRequest},
		"no certificate":                      {[][]byte{[]byte("certificate")}, problem.BadRequest},
		"one with something after it":         {[][]byte{append(append([]byte{}, leaf.DER...), 0)}, problem.BadRequest},
		"one with something that is none":     {[][]byte{leaf.DER, {0x30, 0}}, problem.BadRequest},
		"more than are kept beside a key":     {many, problem.TooLarge},
		"one that is longer than any can be":  {[][]byte{make([]byte, 17<<10)}, problem.TooLarge},
		"one with an issuer that is too long": {[][]byte{leaf.DER, make([]byte, 17<<10)}, problem.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			saved, code := v.save("x", c.ders...)
			assert.Equal(t, c.want, code)
			assert.Empty(t, saved)
		})
	}
	assert.Equal(t, problem.BadRequest, v.call("y", agent.MethodCertificateSave, map[string]any{"certificates": []string{"not base64!"}}, nil))
	assert.Equal(t, problem.BadRequest, v.call("z", agent.MethodCertificateSave, map[string]any{"certificates": 1}, nil))
	assert.Empty(t, b.person.questions(), "nobody was asked anything")
	assert.Empty(t, b.person.notices)
	assert.Empty(t, b.beside(key.ID))
	for _, i := range b.agent.Identities(t.Context()) {
		assert.Equal(t, held.DER, i.Certificate.Raw, "what was there is there")
	}
}

func TestASiteThatMayOnlySignSavesNothing(t *testing.T) {
	b := newBureau(t)
	key := b.bareKey()
	leaf := leafFor(b.ca, key.Public)
	require.NoError(t, b.agent.Sites().Put(agent.Site{Name: "signs", Origin: origin(t, "https://signs.example"), Allow: []agent.Operation{agent.MayList, agent.MaySign}}))
	require.NoError(t, b.agent.Sites().Put(agent.Site{
		Name: "lists", Origin: origin(t, "https://lists.example"), CA: "https://127.0.0.1:1", Roots: rootPEM(b.ca), Allow: []agent.Operation{agent.MayList, agent.MaySign},
	}))
	for _, o := range []string{"https://signs.example", "https://lists.example"} {
		v := b.visit(o)
		require.NoError(t, v.page.Admit())
		_, code := v.save("1", leaf.DER)
		assert.Equal(t, problem.SiteUnknown, code, o)
	}
	assert.Empty(t, b.beside(key.ID))
	assert.Empty(t, b.person.questions())
}

func TestAPersonWhoRefusesToSaveIsLeftInPeace(t *testing.T) {
	b := newBureau(t)
	key := b.bareKey()
	leaf := leafFor(b.ca, key.Public)
	b.person.onPIN = nil
	v := b.open()
	for range 3 {
		_, code := v.save("1", leaf.DER)
		assert.Equal(t, problem.UserCancelled, code)
	}
	_, code := v.save("1", leaf.DER)
	assert.Equal(t, problem.RateLimited, code)
	assert.Len(t, b.person.pins, 3)
	assert.Empty(t, b.beside(key.ID))
	assert.Empty(t, b.person.notices)
	assert.Contains(t, strings.Join(b.events(), "\n"), "refused user_cancelled")

	b.advance(2 * time.Minute)
	b.person.onPIN = says(password)
	_, code = v.save("1", leaf.DER)
	assert.Empty(t, code)
}

func TestAPersonWhoRefusesManyRequestsThatCameAtOnceIsLeftInPeaceAsSoon(t *testing.T) {
	const requests = 8
	for _, method := range []string{agent.MethodCertificateSave, agent.MethodEnroll} {
		t.Run(method, func(t *testing.T) {
			b := newBureau(t)
			params := map[string]any{}
			if method == agent.MethodEnroll {
				b = newBureau(t, func(c *agent.Config) { c.Enroller = noEnroller{} })
			} else {
				params["certificates"] = []string{base64.StdEncoding.EncodeToString(leafFor(b.ca, b.bareKey().Public).DER)}
			}
			allCame := func() error {
				assert.Eventually(t, func() bool { return strings.Count(strings.Join(b.events(), " "), "request") == requests }, 5*time.Second, time.Millisecond)
				time.Sleep(20 * time.Millisecond) // by then they wait for the person
				return errNo
			}
			b.person.onPIN = func(context.Context, agent.PINRequest) (*agent.Secret, error) { return nil, allCame() }
			b.person.onStore = func(context.Context, agent.StoreQuestion) (agent.StoreAnswer, error) {
				return agent.StoreAnswer{}, allCame()
			}
			v := b.open()
			for n := range requests {
				v.send(strconv.Itoa(n), method, params)
			}
			codes := map[string]int{}
			for answered := 0; answered < requests; {
				if f := v.next(); f.Event == "" {
					codes[f.Error.Code]++
					answered++
				}
			}
			assert.Equal(t, map[string]int{"user_cancelled": 3, "rate_limited": requests - 3}, codes)
			assert.Len(t, b.person.questions(), 3)
		})
	}
}

func TestAPageThatGoesAwayWhileThePasswordIsAskedSavesNothing(t *testing.T) {
	b := newBureau(t)
	key := b.bareKey()
	shown, closed := make(chan struct{}), make(chan struct{})
	b.person.onPIN = func(ctx context.Context, _ agent.PINRequest) (*agent.Secret, error) {
		close(shown)
		<-ctx.Done()
		close(closed)
		return nil, ctx.Err()
	}
	v := b.open()
	v.send("1", agent.MethodCertificateSave, agent.CertificateSaveParams{Certificates: []string{base64.StdEncoding.EncodeToString(leafFor(b.ca, key.Public).DER)}})
	<-shown
	v.page.Close()
	<-closed
	assert.Empty(t, b.beside(key.ID))
}

func FuzzSavedCertificates(f *testing.F) {
	b := newBureau(f)
	key := b.bareKey()
	leaf := leafFor(b.ca, key.Public)
	f.Add(base64.StdEncoding.EncodeToString(leaf.DER), "")
	f.Add(base64.StdEncoding.EncodeToString(leafFor(testpki.Root(f), key.Public).DER), base64.StdEncoding.EncodeToString(b.ca.DER))
	f.Add("AAAA", "=")
	f.Fuzz(func(t *testing.T, one, two string) {
		b.t = t
		v := b.open()
		defer v.page.Close()
		code := v.call("1", agent.MethodCertificateSave, agent.CertificateSaveParams{Certificates: []string{one, two}}, nil)
		require.Contains(t, []problem.Code{"", problem.BadRequest, problem.TooLarge, problem.CertificateMismatch, problem.CertificateExpired, problem.KeyAbsent}, code)
		for _, der := range b.beside(key.ID) {
			require.Equal(t, leaf.DER, der, "nothing but what the site's CA made for the key lies beside it")
		}
	})
}
