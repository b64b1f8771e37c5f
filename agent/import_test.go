package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

func pemOf(t *testing.T, key crypto.Signer, certificates ...[]byte) []byte {
	t.Helper()
	var file []byte
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		file = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	for _, der := range certificates {
		file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return file
}

// bareKey makes a key without a certificate in the bureau's store.
func (b *bureau) bareKey() agent.Key {
	b.t.Helper()
	ask := func(context.Context, agent.PINRequest) (*agent.Secret, error) {
		return agent.NewSecret([]byte(password)), nil
	}
	key, session, err := b.store.Generate(b.t.Context(), agent.GenerateRequest{Place: keyfile.PlaceID, Algorithm: agent.P256, Label: "test"},
		agent.NewConsent(b.store.Name(), keyfile.PlaceID, 1), ask)
	require.NoError(b.t, err)
	require.NoError(b.t, session.Close())
	return key
}

type publicOnly struct {
	crypto.Signer
	public crypto.PublicKey
}

func (p publicOnly) Public() crypto.PublicKey { return p.public }

func leafFor(ca *testpki.Authority, public crypto.PublicKey, options ...testpki.Option) *testpki.Leaf {
	return ca.Leaf(append([]testpki.Option{testpki.WithKey(publicOnly{public: public})}, options...)...)
}

func newP256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func TestTheFilesPasswordIsAskedForAgainWhenItIsWrong(t *testing.T) {
	b := newBureau(t)
	key := newP256(t)
	leaf := leafFor(b.ca, key.Public())
	file, err := pkcs12.LegacyRC2.Encode(key, leaf.Certificate, nil, "changeit")
	require.NoError(t, err)

	b.person.onPIN = says("wrong", "changeit", "short", password)
	found, err := b.agent.ImportLocal(t.Context(), "keyfile", "old.pfx", file)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, leaf.DER, found[0].Certificate.Raw)
	require.Len(t, b.person.pins, 4)
	for n, want := range []struct{ fresh, again bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		req := b.person.pins[n]
		assert.Equal(t, want.fresh, req.New, n)
		assert.Equal(t, want.again, req.Incorrect, n)
		assert.Equal(t, agent.PurposeImport, req.Purpose)
	}
	assert.Equal(t, "old.pfx", b.person.pins[0].Label)
	assert.True(t, found[0].IssuedBy([]*x509.Certificate{b.ca.Certificate}))

	b.person.onPIN = says("wrong")
	_, err = b.agent.ImportLocal(t.Context(), "keyfile", "old.pfx", file)
	assert.Equal(t, problem.PINIncorrect, problem.CodeOf(err))
	assert.Len(t, b.person.pins, 7, "three times and no more")
}

func TestEveryKeyInAFileIsTakenWithItsOwnCertificate(t *testing.T) {
	b := newBureau(t)
	inter := b.ca.Intermediate()
	first, second := newP256(t), newP256(t)
	one, two := leafFor(inter, first.Public()), leafFor(inter, second.Public())
	file := append(pemOf(t, first, two.DER, b.ca.DER, inter.DER), pemOf(t, second, one.DER)...)
	found, err := b.agent.ImportLocal(t.Context(), "keyfile", "keys.pem", file)
	require.NoError(t, err)
	require.Len(t, found, 2)
	for n, leaf := range []*testpki.Leaf{one, two} {
		assert.Equal(t, [][]byte{leaf.DER, inter.DER}, found[n].Key.Chain, "with what stands between it and the root")
	}
}

func TestOneWeakKeyKeepsTheWholeFileOut(t *testing.T) {
	b := newBureau(t)
	weak, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	_, err = b.agent.ImportLocal(t.Context(), "keyfile", "keys.pem", append(pemOf(t, newP256(t)), pemOf(t, weak)...))
	assert.Equal(t, problem.KeyWeak, problem.CodeOf(err))
	assert.Empty(t, b.agent.Keys(t.Context()))
	assert.Empty(t, b.person.pins)
}

func TestACertificateFindsItsKey(t *testing.T) {
	b := newBureau(t)
	inter := b.ca.Intermediate()
	b.certify(inter) // another key, whose chain holds the issuer
	key, other := b.bareKey(), b.bareKey()
	leaf := leafFor(inter, key.Public)
	found, err := b.agent.ImportLocal(t.Context(), "", "certificate-5f3a.cer", leaf.DER)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, key.ID, found[0].Key.ID)
	assert.Equal(t, [][]byte{leaf.DER, inter.DER}, found[0].Key.Chain, "the issuer was known from another key")
	assert.Equal(t, agent.PurposeStore, b.person.pins[0].Purpose)
	for _, k := range b.agent.Keys(t.Context()) {
		if k.ID == other.ID {
			assert.Empty(t, k.Chain)
		}
	}

	t.Run("a second time changes nothing and asks nothing", func(t *testing.T) {
		asked := len(b.person.pins)
		again, err := b.agent.ImportLocal(t.Context(), "", "certificate-5f3a.cer", leaf.DER)
		require.NoError(t, err)
		assert.Equal(t, found[0].Key.Chain, again[0].Key.Chain)
		assert.Len(t, b.person.pins, asked)
	})
	t.Run("an older one does not take its place, a newer one does", func(t *testing.T) {
		older := leafFor(inter, key.Public, testpki.Valid(leaf.Certificate.NotBefore.Add(-time.Hour), leaf.Certificate.NotAfter))
		_, err := b.agent.ImportLocal(t.Context(), "", "old.cer", older.DER)
		assert.Equal(t, problem.BadRequest, problem.CodeOf(err))
		newer := leafFor(inter, key.Public, testpki.Valid(leaf.Certificate.NotBefore.Add(time.Minute), leaf.Certificate.NotAfter))
		found, err := b.agent.ImportLocal(t.Context(), "", "new.cer", newer.DER)
		require.NoError(t, err)
		assert.Equal(t, newer.DER, found[0].Certificate.Raw)
	})
	t.Run("one for a key that is not here is said to be so", func(t *testing.T) {
		_, err := b.agent.ImportLocal(t.Context(), "", "x.cer", leafFor(inter, newP256(t).Public()).DER)
		assert.Equal(t, problem.KeyAbsent, problem.CodeOf(err))
		_, err = b.agent.ImportLocal(t.Context(), "pkcs11", "x.cer", leaf.DER)
		assert.Equal(t, problem.KeyAbsent, problem.CodeOf(err), "only that store is looked through")
	})
}

// A certificate from a file is no more than what it is: one of another CA is not the site's.
func TestAnImportedCertificateIsTrustedForNothingMore(t *testing.T) {
	b := newBureau(t)
	key := b.bareKey()
	foreign := testpki.Root(t, testpki.Named("Somebody's root"))
	leaf := leafFor(foreign, key.Public)
	found, err := b.agent.ImportLocal(t.Context(), "", "x.pem", pemOf(t, nil, leaf.DER, foreign.DER))
	require.NoError(t, err)
	assert.Equal(t, [][]byte{leaf.DER}, found[0].Key.Chain, "a root in the file is not kept")
	assert.False(t, found[0].IssuedBy([]*x509.Certificate{b.ca.Certificate}))
	v := b.open()
	var r agent.CertificatesResult
	require.Empty(t, v.call("1", agent.MethodCertificates, nil, &r))
	assert.Empty(t, r.Certificates, "and no page learns of it")
}

func TestACopyIsJournaledAndOnlyOfWhatMayBeCopied(t *testing.T) {
	b := newBureau(t)
	key := b.bareKey()
	file, name, err := b.agent.CopyLocal(t.Context(), key)
	require.NoError(t, err)
	assert.NotEmpty(t, file)
	assert.Contains(t, name, ".p12")
	copied := 0
	_, err = agent.VerifyJournal(b.home, func(e agent.Entry) {
		if e.Event == agent.LogKeyCopied && e.Key == key.ID {
			copied++
		}
	})
	require.NoError(t, err)
	assert.Equal(t, 1, copied)
	_, _, err = b.agent.CopyLocal(t.Context(), agent.Key{Store: "pkcs11", ID: "x"})
	assert.Error(t, err)
}
