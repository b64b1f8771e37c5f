package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/ca/issuer/stepca"
	"certsign/ca/seal"
	"certsign/ca/sqlstore"
	"certsign/ca/status"
	"certsign/internal/ades"
	"certsign/internal/ades/format"
	"certsign/internal/ades/format/xades"
	"certsign/internal/ades/validate"
	"certsign/internal/xmldsig"
)

const terms = "terms-1.0"

// house is a whole CA without pages: store, ledger, issuer, status services and their listeners.
type house struct {
	t        *testing.T
	store    *sqlstore.Store
	ledger   *ca.Ledger
	config   ca.Config // of the desk
	desk     *ca.CA
	issuer   *stepca.Issuer
	status   *status.Status
	root     *x509.Certificate
	issuing  *x509.Certificate
	caURL    string
	client   *http.Client
	offset   atomic.Int64 // of the clock, nanoseconds
	decision map[ca.RequestKind]ca.Decision
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.offset.Load())) }

// pass moves the clock.
func (h *house) pass(d time.Duration) { h.offset.Add(int64(d)) }

type option func(*house)

func decide(kind ca.RequestKind, d ca.Decision) option {
	return func(h *house) { h.decision[kind] = d }
}

func newHouse(t *testing.T, options ...option) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{t: t, decision: map[ca.RequestKind]ca.Decision{}}
	for _, o := range options {
		o(h)
	}
	var err error
	h.store, err = sqlstore.Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "ca.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.store.Close()) })
	_, err = h.store.Migrate(ctx)
	require.NoError(t, err)
	h.ledger, err = ca.NewLedger(ca.LedgerConfig{Store: h.store, CodeKey: bytes.Repeat([]byte{7}, 32), Now: h.now})
	require.NoError(t, err)

	rootKey, issuingKey, ocspKey := newKey(t), newKey(t), newKey(t)
	h.root = certify(t, "TEST Root", rootKey, nil, rootKey, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.MaxPathLen = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, 1
	})
	statusListener := httptest.NewUnstartedServer(nil)
	statusURL := "http://" + statusListener.Listener.Addr().String()
	h.issuing = certify(t, "TEST Issuing", issuingKey, h.root, rootKey, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.MaxPathLenZero = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, true
		c.CRLDistributionPoints = []string{statusURL + "/crl/root-0.crl"}
	})
	ocsp := certify(t, "TEST OCSP", ocspKey, h.issuing, issuingKey, func(c *x509.Certificate) {
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}}
	})
	now := time.Now().UTC().Truncate(time.Second)
	rootCRL, err := status.CRL(h.root, rootKey, nil, 1, now.Add(-time.Minute), now.AddDate(1, 0, 0), "")
	require.NoError(t, err)
	h.status, err = status.New(status.Config{
		Ledger: h.ledger, Issuer: h.issuing, Key: issuingKey, Responder: ocsp, ResponderKey: ocspKey, Root: h.root, RootCRL: rootCRL,
		URL: statusURL, Slug: "external", Shards: 4, Now: h.now,
	})
	require.NoError(t, err)
	statusListener.Config.Handler = h.status.Handler()
	statusListener.Start()
	t.Cleanup(statusListener.Close)

	front := httptest.NewUnstartedServer(nil)
	h.caURL = "https://" + front.Listener.Addr().String()
	h.issuer, err = stepca.New(ctx, stepca.Config{
		Ledger: h.ledger, Root: h.root, Certificate: h.issuing, Key: issuingKey, Provisioner: newKey(t), URL: h.caURL,
		StatusURL: statusURL, Slug: "external", Shards: 4, PolicyURL: "http://portal.test/docs/cp", Now: h.now,
	})
	require.NoError(t, err)
	front.Config.Handler = h.issuer.Handler()
	front.StartTLS()
	t.Cleanup(front.Close)
	h.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // httptest's own certificate

	sealKey := newKey(t)
	sealCertificate := certify(t, "TEST Seal", sealKey, h.root, rootKey, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	sealing, err := seal.New(sealKey, [][]byte{sealCertificate.Raw}, format.All()[0], h.now)
	require.NoError(t, err)
	h.config = ca.Config{
		Ledger: h.ledger, Issuer: h.issuer, CAURL: h.caURL, TermsVersion: terms, Decisions: h.decision,
		Codecs: format.All(), Validate: validate.Validate, Policy: validate.Portal(ades.Anchors{{Certificate: h.root.Raw}}),
		Evidence: h.status, Canonical: canonical, SignedDraft: signedDraft, Sealer: sealing, MaxDocument: 1 << 20,
	}
	h.desk, err = ca.New(h.config)
	require.NoError(t, err)
	return h
}

// useTerms puts other versions of the documents in force, as a release of the portal does.
func (h *house) useTerms(version string) {
	h.t.Helper()
	h.config.TermsVersion = version
	var err error
	h.desk, err = ca.New(h.config)
	require.NoError(h.t, err)
}

func signedDraft(draft, signed []byte) (bool, error) {
	return xades.SignedDraft(draft, signed, xmldsig.Limits{})
}

func canonical(draft []byte) ([][]byte, error) {
	doc, err := xmldsig.Read(draft, xmldsig.Limits{})
	if err != nil {
		return nil, err
	}
	form, err := xmldsig.Canonicalization{}.Bytes(xmldsig.Subtree(doc.Node()).WithoutComments())
	return [][]byte{form}, err
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func certify(t *testing.T, name string, key crypto.Signer, parent *x509.Certificate, by crypto.Signer, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"TEST"}, Country: []string{"PL"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), BasicConstraintsValid: true,
	}
	edit(c)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return parsed
}

const password = "Haslo-do-testow-1"

var people = map[string]*ca.Person{
	"anna@example.test":  {GivenName: "Anna Łucja", Surname: "Żółć-Kowalska", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"},
	"piotr@example.test": {GivenName: "Piotr", Surname: "Zieliński", Country: "PL", Identity: "PNOPL-44051401359", IDSISC: "PL526000001500018"},
}

// account adds an account, of a registered person where there is one for that address.
func (h *house) account(email string, kind ca.AccountKind, role ca.Role) *ca.Account {
	h.t.Helper()
	n := ca.NewAccount{Email: email, Password: password, Kind: kind, Role: role, Language: "pl"}
	if p := people[email]; p != nil {
		added, err := h.ledger.EnsurePerson(context.Background(), *p)
		require.NoError(h.t, err)
		n.PersonID = added.ID
	}
	a, err := h.ledger.AddAccount(context.Background(), n)
	require.NoError(h.t, err)
	return a
}

func (h *house) anna() *ca.Account  { return h.account("anna@example.test", ca.Extended, ca.RoleUser) }
func (h *house) piotr() *ca.Account { return h.account("piotr@example.test", ca.Extended, ca.RoleUser) }
func (h *house) clerk() *ca.Account {
	return h.account("clerk@example.test", ca.Basic, ca.RoleHelpDesk)
}

func newCSR(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	return der
}

// reply is what /1.0/sign and /1.0/revoke answer.
type reply struct {
	Message string   `json:"message"`
	Code    string   `json:"code"`
	Chain   []string `json:"certChain"`
	HTTP    int      `json:"-"`
}

func (h *house) post(path string, body any) reply {
	h.t.Helper()
	b, err := json.Marshal(body)
	require.NoError(h.t, err)
	r, err := h.client.Post(h.caURL+path, "application/json", bytes.NewReader(b))
	require.NoError(h.t, err)
	defer r.Body.Close()
	out := reply{HTTP: r.StatusCode}
	text, err := io.ReadAll(r.Body)
	require.NoError(h.t, err)
	require.NoError(h.t, json.Unmarshal(text, &out), string(text))
	return out
}

// sign is what any HTTP client would do with a token.
func (h *house) sign(csr []byte, token string) reply {
	h.t.Helper()
	return h.post("/1.0/sign", map[string]any{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), "ott": token,
	})
}

// obtain takes an account through a whole enrolment.
func (h *house) obtain(a *ca.Account) (*ca.Certificate, *ecdsa.PrivateKey) {
	h.t.Helper()
	ctx := context.Background()
	key := newKey(h.t)
	csr := newCSR(h.t, key)
	require.NoError(h.t, h.desk.AcceptTerms(ctx, a.ID, h.desk.Terms()))
	e, err := h.desk.Enroll(ctx, a.ID, csr)
	require.NoError(h.t, err)
	answer := h.sign(csr, e.Token)
	require.Equal(h.t, http.StatusCreated, answer.HTTP, answer.Message)
	c, err := h.desk.Issued(ctx, e.CSRSHA256, e.Token)
	require.NoError(h.t, err)
	return c, key
}

func (h *house) code(a *ca.Account, serial string) string {
	h.t.Helper()
	code, err := h.desk.VerificationCode(context.Background(), a.ID, serial)
	require.NoError(h.t, err)
	return code
}

func (h *house) certificateOf(a *ca.Account, serial string) *ca.Certificate {
	h.t.Helper()
	c, err := h.desk.Certificate(context.Background(), a.ID, serial)
	require.NoError(h.t, err)
	return c
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// lastCode reads the one-time code from the newest message.
func (h *house) lastCode(a *ca.Account) string {
	h.t.Helper()
	all, err := h.desk.Mailbox(context.Background(), a.Email)
	require.NoError(h.t, err)
	require.NotEmpty(h.t, all)
	code := sixDigits.FindString(all[0].Subject)
	require.NotEmpty(h.t, code, all[0].Subject)
	return code
}

func wrongVersionOf(code string) string {
	last := code[0]
	if last == '0' {
		return "1" + code[1:]
	}
	return fmt.Sprintf("0%s", code[1:])
}
