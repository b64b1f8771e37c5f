package status

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"certsign/ca"
	"certsign/ca/sqlstore"
)

// office is a status service over a ledger with one certificate.
type office struct {
	*Status
	ledger *ca.Ledger
	leaf   *x509.Certificate
	at     time.Time
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return k
}

func certify(t testing.TB, c, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	c.NotBefore, c.NotAfter, c.BasicConstraintsValid = time.Now().Add(-time.Hour), time.Now().AddDate(2, 0, 0), true
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	require.NoError(t, err)
	out, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return out
}

type noTokens struct{}

func (noTokens) Token(context.Context, ca.Grant) (string, error) { return "t", nil }

func newOffice(t testing.TB) *office {
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "ca.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	_, err = store.Migrate(ctx)
	require.NoError(t, err)
	o := &office{at: time.Now()}
	now := func() time.Time { return o.at }
	o.ledger, err = ca.NewLedger(ca.LedgerConfig{Store: store, CodeKey: make([]byte, 32), Now: now})
	require.NoError(t, err)
	key, responderKey := newKey(t), newKey(t)
	issuer := certify(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TEST CA"}, IsCA: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign}, nil, key.Public(), key)
	responder := certify(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "TEST OCSP"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, issuer, responderKey.Public(), key)
	rootCRL, err := CRL(issuer, key, nil, 1, time.Now(), time.Now().Add(time.Hour), "")
	require.NoError(t, err)
	o.Status, err = New(Config{Ledger: o.ledger, Issuer: issuer, Key: key, Responder: responder, ResponderKey: responderKey, Root: issuer,
		RootCRL: rootCRL, URL: "http://status.test/", Slug: "external", Shards: 2, Now: now})
	require.NoError(t, err)

	desk, err := ca.New(ca.Config{Ledger: o.ledger, Issuer: noTokens{}, TermsVersion: "1"})
	require.NoError(t, err)
	p, err := o.ledger.AddPerson(ctx, ca.Person{GivenName: "A", Surname: "B", Country: "PL", Identity: "TINPL-1", IDSISC: "PL526000001400017"})
	require.NoError(t, err)
	a, err := o.ledger.AddAccount(ctx, ca.NewAccount{Email: "a@example.test", Password: "Haslo-do-testow-1", Kind: ca.Extended, Role: ca.RoleUser, Language: "pl", PersonID: p.ID})
	require.NoError(t, err)
	require.NoError(t, desk.AcceptTerms(ctx, a.ID, "1"))
	leafKey := newKey(t)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, leafKey)
	require.NoError(t, err)
	_, err = desk.Enroll(ctx, a.ID, csr)
	require.NoError(t, err)
	granted, err := o.ledger.Granted(ctx, csr)
	require.NoError(t, err)
	o.leaf = certify(t, &x509.Certificate{SerialNumber: big.NewInt(0x1234567890), RawSubject: granted.Subject}, issuer, leafKey.Public(), key)
	_, err = o.ledger.Intend(ctx, granted.ID, o.leaf, issuer, 1)
	require.NoError(t, err)
	_, err = o.ledger.Record(ctx, o.leaf.Raw)
	require.NoError(t, err)
	return o
}

func (o *office) order(t testing.TB, kind ca.RequestKind, reason ca.WishReason) {
	_, err := o.ledger.Order(context.Background(), ca.SerialHex(o.leaf.SerialNumber), kind, reason, "")
	require.NoError(t, err)
}

func (o *office) do(method, target, kind string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, r)
	return w
}

func TestGETAndPOSTAnswerAlike(t *testing.T) {
	o := newOffice(t)
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		der, err := ocsp.CreateRequest(o.leaf, o.c.Issuer, &ocsp.RequestOptions{Hash: hash})
		require.NoError(t, err)
		post := o.do(http.MethodPost, "/ocsp", "application/ocsp-request", der)
		require.Equal(t, http.StatusOK, post.Code)
		assert.Equal(t, "application/ocsp-response", post.Header().Get("Content-Type"))
		answer, err := ocsp.ParseResponseForCert(post.Body.Bytes(), o.leaf, o.c.Issuer)
		require.NoError(t, err)
		assert.Equal(t, ocsp.Good, answer.Status)
		assert.Equal(t, ocspLife, answer.NextUpdate.Sub(answer.ThisUpdate))
		get := o.do(http.MethodGet, "/ocsp/"+url.PathEscape(base64.StdEncoding.EncodeToString(der)), "", nil)
		answer, err = ocsp.ParseResponseForCert(get.Body.Bytes(), o.leaf, o.c.Issuer)
		require.NoError(t, err)
		assert.Equal(t, ocsp.Good, answer.Status)
	}
}

func TestAChangeShowsAtOnceInOCSPAndCRL(t *testing.T) {
	o := newOffice(t)
	status := func() (int, int) {
		der, err := ocsp.CreateRequest(o.leaf, o.c.Issuer, nil)
		require.NoError(t, err)
		answer, err := ocsp.ParseResponseForCert(o.do(http.MethodPost, "/ocsp", "application/ocsp-request", der).Body.Bytes(), o.leaf, o.c.Issuer)
		require.NoError(t, err)
		return answer.Status, answer.RevocationReason
	}
	list := func() *x509.RevocationList {
		r, err := x509.ParseRevocationList(o.do(http.MethodGet, "/crl/external-1.crl", "", nil).Body.Bytes())
		require.NoError(t, err)
		require.NoError(t, r.CheckSignatureFrom(o.c.Issuer))
		return r
	}
	first := list()
	assert.Empty(t, first.RevokedCertificateEntries)
	assert.Equal(t, first.Raw, list().Raw, "unchanged, the same list")
	assert.Equal(t, 25*time.Hour, first.NextUpdate.Sub(first.ThisUpdate))

	o.order(t, ca.Suspend, ca.CarrierLost)
	s, reason := status()
	assert.Equal(t, ocsp.Revoked, s)
	assert.Equal(t, 6, reason)
	second := list()
	require.Len(t, second.RevokedCertificateEntries, 1)
	assert.Equal(t, 6, second.RevokedCertificateEntries[0].ReasonCode)
	assert.Equal(t, 1, second.Number.Cmp(first.Number))

	o.order(t, ca.Resume, "")
	s, _ = status()
	assert.Equal(t, ocsp.Good, s)
	assert.Empty(t, list().RevokedCertificateEntries)

	o.order(t, ca.Revoke, ca.OtherReason)
	s, reason = status()
	assert.Equal(t, ocsp.Revoked, s)
	assert.Equal(t, 0, reason)
	last := list()
	require.Len(t, last.RevokedCertificateEntries, 1)
	assert.Empty(t, last.RevokedCertificateEntries[0].Extensions, "unspecified is left out")

	o.at = o.at.Add(24 * time.Hour)
	assert.Equal(t, 1, list().Number.Cmp(last.Number), "a day later there is a new one")
	o.at = o.at.AddDate(3, 0, 0)
	assert.Empty(t, list().RevokedCertificateEntries, "an expired certificate leaves the list")
}

func TestTheDistributionPointIsTheCertificatesOwn(t *testing.T) {
	o := newOffice(t)
	list, err := x509.ParseRevocationList(o.do(http.MethodGet, "/crl/external-0.crl", "", nil).Body.Bytes())
	require.NoError(t, err)
	for _, e := range list.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}) {
			assert.True(t, e.Critical)
			assert.Contains(t, string(e.Value), "http://status.test/crl/external-0.crl")
			return
		}
	}
	t.Fatal("no issuing distribution point")
}

func TestTheNonceComesBack(t *testing.T) {
	o := newOffice(t)
	plain, err := ocsp.CreateRequest(o.leaf, o.c.Issuer, nil)
	require.NoError(t, err)
	nonce := bytes.Repeat([]byte{0xab}, 32)
	w := o.do(http.MethodPost, "/ocsp", "application/ocsp-request", withNonce(t, plain, nonce))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Contains(t, w.Body.String(), string(nonce))
	answer, err := ocsp.ParseResponseForCert(w.Body.Bytes(), o.leaf, o.c.Issuer)
	require.NoError(t, err)
	assert.Equal(t, ocsp.Good, answer.Status)
	assert.Equal(t, failure(malformedRequest), o.do(http.MethodPost, "/ocsp", "application/ocsp-request", withNonce(t, plain, make([]byte, 129))).Body.Bytes())
}

func withNonce(t testing.TB, plain, nonce []byte) []byte {
	in := cryptobyte.String(plain)
	var outer, tbs cryptobyte.String
	require.True(t, in.ReadASN1(&outer, casn1.SEQUENCE))
	require.True(t, outer.ReadASN1(&tbs, casn1.SEQUENCE))
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddASN1(casn1.Tag(2).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidNonce)
						b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

func TestWhatWasNotIssuedHereIsUnknown(t *testing.T) {
	o := newOffice(t)
	ask := func(leaf, issuer *x509.Certificate) int {
		der, err := ocsp.CreateRequest(leaf, issuer, nil)
		require.NoError(t, err)
		answer, err := ocsp.ParseResponse(o.do(http.MethodPost, "/ocsp", "application/ocsp-request", der).Body.Bytes(), o.c.Issuer)
		require.NoError(t, err)
		return answer.Status
	}
	assert.Equal(t, ocsp.Unknown, ask(&x509.Certificate{SerialNumber: big.NewInt(99)}, o.c.Issuer))
	key := newKey(t)
	other := certify(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TEST CA"}, IsCA: true}, nil, key.Public(), key)
	assert.Equal(t, ocsp.Unknown, ask(o.leaf, other), "same name, another key")
	negative := new(big.Int).Neg(o.leaf.SerialNumber)
	assert.Equal(t, ocsp.Unknown, ask(&x509.Certificate{SerialNumber: negative}, o.c.Issuer))
}

func TestMalformedRequestsAreAnsweredAsSuch(t *testing.T) {
	o := newOffice(t)
	der, err := ocsp.CreateRequest(o.leaf, o.c.Issuer, nil)
	require.NoError(t, err)
	for name, body := range map[string][]byte{
		"nothing":              {},
		"noise":                []byte("noise"),
		"octets after the end": append(bytes.Clone(der), 0),
		"cut off":              der[:len(der)-3],
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, failure(malformedRequest), o.do(http.MethodPost, "/ocsp", "application/ocsp-request", body).Body.Bytes())
		})
	}
	assert.Equal(t, http.StatusRequestEntityTooLarge, o.do(http.MethodPost, "/ocsp", "application/ocsp-request", make([]byte, maxRequest+1)).Code)
	assert.Equal(t, http.StatusUnsupportedMediaType, o.do(http.MethodPost, "/ocsp", "text/plain", der).Code)
	assert.Equal(t, failure(malformedRequest), o.do(http.MethodGet, "/ocsp/%2F%2F!", "", nil).Body.Bytes())
	assert.Equal(t, http.StatusRequestURITooLong, o.do(http.MethodGet, "/ocsp/"+strings.Repeat("A", 2*maxRequest+1), "", nil).Code)
}

func TestOnlyWhatExistsIsServed(t *testing.T) {
	o := newOffice(t)
	for path, code := range map[string]int{
		"/crl/external-0.crl": 200, "/crl/external-1.crl": 200, "/crl/external-2.crl": 404, "/crl/external-01.crl": 404, "/crl/root-0.crl": 200,
		"/crl/root-1.crl": 404, "/crl/other-0.crl": 404, "/ca/external.cer": 200, "/ca/root.cer": 200, "/ca/seal.cer": 404, "/": 404,
	} {
		assert.Equal(t, code, o.do(http.MethodGet, path, "", nil).Code, path)
	}
}

func TestEvidenceIsFresh(t *testing.T) {
	o := newOffice(t)
	serial := ca.SerialHex(o.leaf.SerialNumber)
	o.order(t, ca.Suspend, ca.OnRequest)
	e, err := o.Evidence(context.Background(), o.at, serial, "99", serial)
	require.NoError(t, err)
	require.NotEmpty(t, e.OCSPs)
	answer, err := ocsp.ParseResponseForCert(e.OCSPs[0], o.leaf, o.c.Issuer)
	require.NoError(t, err)
	assert.Equal(t, ocsp.Revoked, answer.Status)
	list, err := x509.ParseRevocationList(e.CRLs[len(e.CRLs)-1])
	require.NoError(t, err)
	assert.Len(t, list.RevokedCertificateEntries, 1)
}

func TestADelegateOfAnotherIssuerIsRefused(t *testing.T) {
	o := newOffice(t)
	key := newKey(t)
	foreign := certify(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TEST X"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, nil, key.Public(), key)
	assert.Error(t, o.Delegate(foreign))
}

func FuzzOCSP(f *testing.F) {
	o := newOffice(f)
	der, err := ocsp.CreateRequest(o.leaf, o.c.Issuer, nil)
	require.NoError(f, err)
	f.Add(der)
	f.Add(withNonce(f, der, []byte{1, 2, 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, _ := o.respond(context.Background(), b)
		assert.NotEmpty(t, answer)
		if r, err := parseRequest(b); err == nil {
			assert.LessOrEqual(t, len(r.questions), maxQuestion)
		} else {
			assert.Equal(t, failure(malformedRequest), answer)
		}
	})
}

func BenchmarkOCSP(b *testing.B) {
	o := newOffice(b)
	der, err := ocsp.CreateRequest(o.leaf, o.c.Issuer, nil)
	require.NoError(b, err)
	for b.Loop() {
		w := o.do(http.MethodPost, "/ocsp", "application/ocsp-request", der)
		_, _ = io.Copy(io.Discard, w.Body)
	}
}
