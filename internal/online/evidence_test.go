package online_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"certsign/internal/online"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

// status is a CA whose CRL, responder and certificate are served over HTTP.
type status struct {
	*httptest.Server
	root  *testpki.Authority
	leaf  *testpki.Leaf
	asked atomic.Int32
}

func newStatus(t *testing.T) *status {
	t.Helper()
	s := &status{root: testpki.Root(t)}
	s.Server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		switch r.URL.Path {
		case "/1.crl":
			_, _ = w.Write(s.root.CRL(testpki.CRL{Shard: s.URL + "/1.crl"}))
		case "/pem.crl":
			_ = pem.Encode(w, &pem.Block{Type: "X509 CRL", Bytes: s.root.CRL(testpki.CRL{})})
		case "/ca.cer":
			_, _ = w.Write(s.root.DER)
		case "/ocsp":
			assert.Equal(t, "application/ocsp-request", r.Header.Get("Content-Type"))
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			request, err := ocsp.ParseRequest(body)
			if assert.NoError(t, err) {
				_, _ = w.Write(s.root.OCSP(request.SerialNumber, testpki.Response{}))
			}
		case "/busy":
			_, _ = w.Write(ocsp.TryLaterErrorResponse)
		case "/login":
			_, _ = w.Write([]byte("<html>hotel login"))
		default:
			http.NotFound(w, r)
		}
	})
	s.leaf = s.root.Leaf(testpki.CRLAt("ldap://x.test/", s.URL+"/1.crl"), testpki.OCSPAt(s.URL+"/ocsp"), testpki.IssuerAt(s.URL+"/ca.cer"))
	return s
}

func TestEvidenceIsFetchedFromWhereTheCertificateSays(t *testing.T) {
	s := newStatus(t)
	c := client(t, online.Config{Allowed: allowed(t, s.URL)})

	t.Run("the CRL", func(t *testing.T) {
		der, err := c.FetchCRL(t.Context(), s.leaf.DER)
		require.NoError(t, err)
		assert.Equal(t, s.root.CRL(testpki.CRL{Shard: s.URL + "/1.crl"}), der)
	})
	t.Run("a CRL in PEM, as DER, after an address that has none", func(t *testing.T) {
		der, err := c.FetchCRL(t.Context(), s.root.Leaf(testpki.CRLAt(s.URL+"/none", s.URL+"/login", s.URL+"/pem.crl")).DER)
		require.NoError(t, err)
		assert.Equal(t, s.root.CRL(testpki.CRL{}), der)
	})
	t.Run("the OCSP response", func(t *testing.T) {
		der, err := c.FetchOCSP(t.Context(), s.leaf.DER, s.root.DER)
		require.NoError(t, err)
		response, err := ocsp.ParseResponseForCert(der, s.leaf.Certificate, s.root.Certificate)
		require.NoError(t, err)
		assert.Equal(t, ocsp.Good, response.Status)
	})
	t.Run("the issuer's certificate", func(t *testing.T) {
		der, err := c.FetchIssuer(t.Context(), s.leaf.DER)
		require.NoError(t, err)
		assert.Equal(t, s.root.DER, der)
	})
	t.Run("a responder that is busy gives no evidence", func(t *testing.T) {
		_, err := c.FetchOCSP(t.Context(), s.root.Leaf(testpki.OCSPAt(s.URL+"/busy")).DER, s.root.DER)
		code(t, problem.EvidenceUnreachable, err)
	})
	t.Run("a certificate without addresses gives none", func(t *testing.T) {
		plain := s.root.Leaf(testpki.CRLAt("ldap://x.test/"))
		_, err := c.FetchCRL(t.Context(), plain.DER)
		code(t, problem.EvidenceUnreachable, err)
		_, err = c.FetchOCSP(t.Context(), plain.DER, s.root.DER)
		code(t, problem.EvidenceUnreachable, err)
	})
	t.Run("no more than four addresses are tried", func(t *testing.T) {
		before := s.asked.Load()
		var many []string
		for range 20 {
			many = append(many, s.URL+"/none")
		}
		_, err := c.FetchCRL(t.Context(), s.root.Leaf(testpki.CRLAt(many...)).DER)
		code(t, problem.EvidenceUnreachable, err)
		assert.Equal(t, int32(4), s.asked.Load()-before)
	})
	t.Run("a certificate cannot make the program ask a private address", func(t *testing.T) {
		before := s.asked.Load()
		_, err := client(t, online.Config{}).FetchCRL(t.Context(), s.leaf.DER)
		code(t, problem.AddressRefused, err)
		assert.Equal(t, before, s.asked.Load())
	})
	t.Run("what is no certificate is an error", func(t *testing.T) {
		_, err := c.FetchCRL(t.Context(), []byte("x"))
		require.Error(t, err)
	})
}
