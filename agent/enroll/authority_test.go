package enroll_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"certsign/internal/problem"
	"certsign/internal/testpki"
)

// authority is a CA that speaks step-ca's /1.0/sign and, unless stock, /api/v1/enrolments. It counts strictly.
type authority struct {
	t     *testing.T
	root  *testpki.Authority
	inter *testpki.Authority
	url   string
	stock bool

	mu       sync.Mutex
	issued   map[string]*testpki.Leaf                                       // by CSR digest
	bearer   map[string]string                                              // CSR digest to token
	spent    map[string]int                                                 // how often a token was accepted
	sent     map[string]int                                                 // how often a token came
	onSign   func(w http.ResponseWriter, csr *x509.CertificateRequest) bool // true: handled
	onIssued func(w http.ResponseWriter) bool
	after    func() // called when a certificate was made and before it is sent
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, issued: map[string]*testpki.Leaf{}, bearer: map[string]string{}, spent: map[string]int{}, sent: map[string]int{}}
	a.root = testpki.Root(t, testpki.At(time.Now()))
	a.inter = a.root.Intermediate(testpki.At(time.Now()))
	front := a.root.Leaf(testpki.At(time.Now()), testpki.Named("TEST ca"), testpki.ExtendedUsage(x509.ExtKeyUsageServerAuth), testpki.Edit(func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /1.0/sign", a.sign)
	mux.HandleFunc("GET /api/v1/enrolments/{csr}", a.fetch)
	s := httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{front.DER}, PrivateKey: front.Key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func refuse(w http.ResponseWriter, status int, code problem.Code) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "message": "refused", "code": code})
}

func (a *authority) sign(w http.ResponseWriter, r *http.Request) {
	var q struct{ CSR, OTT string }
	body, _ := io.ReadAll(r.Body)
	if !assert.NoError(a.t, json.Unmarshal(body, &q)) {
		return
	}
	assert.NotContains(a.t, string(body), password)
	block, _ := pem.Decode([]byte(q.CSR))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	assert.NoError(a.t, err)
	assert.NoError(a.t, csr.CheckSignature())
	assert.Empty(a.t, csr.Subject.ToRDNSequence(), "the CA takes names from its registry")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[q.OTT]++
	if a.onSign != nil && a.onSign(w, csr) {
		return
	}
	c := claims(q.OTT)
	sum := sha256.Sum256(block.Bytes)
	switch {
	case !a.stock && c.Exp > 0 && time.Now().Unix() > c.Exp:
		refuse(w, 401, problem.TokenExpired)
		return
	case a.stock && c.Exp > 0 && time.Now().Unix() > c.Exp, a.stock && a.spent[q.OTT] > 0:
		refuse(w, 401, "")
		return
	case a.spent[q.OTT] > 0:
		refuse(w, 401, problem.TokenSpent)
		return
	}
	a.spent[q.OTT]++
	leaf := a.inter.Leaf(testpki.At(time.Now()), testpki.WithKey(publicOnly{csr.PublicKey}))
	digest := hex.EncodeToString(sum[:])
	a.issued[digest], a.bearer[digest] = leaf, q.OTT
	if a.after != nil {
		a.after()
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"crt": certificatePEM(leaf.DER), "ca": certificatePEM(a.inter.DER), "certChain": []string{certificatePEM(leaf.DER), certificatePEM(a.inter.DER)},
	})
}

func (a *authority) fetch(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.onIssued != nil && a.onIssued(w) {
		return
	}
	leaf := a.issued[r.PathValue("csr")]
	switch {
	case a.stock:
		http.NotFound(w, r)
	case leaf == nil || r.Header.Get("Authorization") != "Bearer "+a.bearer[r.PathValue("csr")]:
		refuse(w, 404, problem.NotFound)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{
			"certificate": base64.StdEncoding.EncodeToString(leaf.DER), "chain": []string{base64.StdEncoding.EncodeToString(a.inter.DER)},
		})
	}
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

type publicOnly struct{ public crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.public }
func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	panic("a CA has no user's private key")
}

type tokenClaims struct {
	Exp int64             `json:"exp,omitempty"`
	Jti string            `json:"jti"`
	Cnf map[string]string `json:"cnf,omitempty"`
}

func claims(token string) (c tokenClaims) {
	b, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	_ = json.Unmarshal(b, &c)
	return c
}

var minted int

// mint makes a token for a CSR; life 0 has no end.
func mint(csr []byte, life time.Duration) string {
	minted++
	c := tokenClaims{Jti: fmt.Sprint(minted)}
	if life != 0 {
		c.Exp = time.Now().Add(life).Unix()
	}
	if csr != nil {
		sum := sha256.Sum256(csr)
		c.Cnf = map[string]string{"x5rt#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	b, _ := json.Marshal(c)
	return "eyJhbGciOiJFUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(b) + ".c2lnbmF0dXJl"
}
