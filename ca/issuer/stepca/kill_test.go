//go:build unix

package stepca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/ca/sqlstore"
)

// The variables by which this test binary, started anew, is told to be the CA that gets killed.
const (
	killDir   = "STEPCA_TEST_DIR"
	killPoint = "STEPCA_TEST_POINT" // a step's name, or microseconds after the request began
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		beKilled(dir, os.Getenv(killPoint))
	}
	os.Exit(m.Run())
}

func die() { _ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL); select {} }

// beKilled is the CA: it answers one signing request and is killed on the way, without any chance to tidy up.
func beKilled(dir, point string) {
	world, err := openWorld(dir)
	if err != nil {
		panic(err)
	}
	if after, err := strconv.Atoi(point); err == nil {
		time.AfterFunc(time.Duration(after)*time.Microsecond, die)
	} else {
		world.issuer.step = func(at string) {
			if at == point {
				die()
			}
		}
	}
	body, err := os.ReadFile(filepath.Join(dir, "request.json"))
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	world.issuer.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/1.0/sign", bytes.NewReader(body)))
	die()
}

// world is a CA in a folder: what is in files survives the kill, all else does not.
type world struct {
	store  *sqlstore.Store
	ledger *ca.Ledger
	issuer *Issuer
	desk   *ca.CA
}

func openWorld(dir string) (*world, error) {
	ctx := context.Background()
	w := &world{}
	var err error
	if w.store, err = sqlstore.Open(ctx, "sqlite://"+filepath.Join(dir, "ca.db")); err != nil {
		return nil, err
	}
	if _, err = w.store.Migrate(ctx); err != nil {
		return nil, err
	}
	if w.ledger, err = ca.NewLedger(ca.LedgerConfig{Store: w.store, CodeKey: bytes.Repeat([]byte{3}, 32)}); err != nil {
		return nil, err
	}
	read := func(name string) []byte {
		b, e := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = e
		}
		return b
	}
	parse := func(name string) *ecdsa.PrivateKey {
		key, e := x509.ParseECPrivateKey(read(name))
		if err == nil {
			err = e
		}
		return key
	}
	certificate := func(name string) *x509.Certificate {
		c, e := x509.ParseCertificate(read(name))
		if err == nil {
			err = e
		}
		return c
	}
	c := Config{
		Ledger: w.ledger, Root: certificate("root.crt"), Certificate: certificate("issuing.crt"), Key: parse("issuing.key"),
		Provisioner: parse("provisioner.key"), URL: "https://ca.test", StatusURL: "http://status.test", Slug: "external", Shards: 2,
		PolicyURL: "http://portal.test/docs/cp",
	}
	if err != nil {
		return nil, err
	}
	if w.issuer, err = New(ctx, c); err != nil {
		return nil, err
	}
	w.desk, err = ca.New(ca.Config{Ledger: w.ledger, Issuer: w.issuer, TermsVersion: "1", MaxCertificates: 100000})
	return w, err
}

func makeWorld(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, b []byte) { require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600)) }
	key := func(name string) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		der, err := x509.MarshalECPrivateKey(k)
		require.NoError(t, err)
		write(name, der)
		return k
	}
	root, issuing := key("root.key"), key("issuing.key")
	key("provisioner.key")
	template := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	rootTemplate := template("TEST Root", 1)
	der, err := x509.CreateCertificate(rand.Reader, rootTemplate, rootTemplate, root.Public(), root)
	require.NoError(t, err)
	write("root.crt", der)
	parent, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	der, err = x509.CreateCertificate(rand.Reader, template("TEST Issuing", 2), parent, issuing.Public(), root)
	require.NoError(t, err)
	write("issuing.crt", der)
	return dir
}

func (w *world) sign(body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRecorder()
	w.issuer.Handler().ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/1.0/sign", bytes.NewReader(body)))
	return r
}

func request(t *testing.T, token string, csr []byte) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]string{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), "ott": token,
	})
	require.NoError(t, err)
	return body
}

func (w *world) person(t *testing.T) *ca.Account {
	t.Helper()
	ctx := context.Background()
	p, err := w.ledger.EnsurePerson(ctx, ca.Person{GivenName: "Łucja", Surname: "Żak", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"})
	require.NoError(t, err)
	a, err := w.ledger.AddAccount(ctx, ca.NewAccount{Email: "l@example.test", Password: "Haslo-do-testow-1", Kind: ca.Extended, Role: ca.RoleUser, Language: "pl", PersonID: p.ID})
	require.NoError(t, err)
	require.NoError(t, w.desk.AcceptTerms(ctx, a.ID, "1"))
	return a
}

// TestKillAtEveryStep kills the CA with SIGKILL at each step of an issue, then starts it again: the person gets the
// certificate, the token is spent once, and each certificate that was signed is recorded.
func TestKillAtEveryStep(t *testing.T) {
	dir := makeWorld(t)
	w, err := openWorld(dir)
	require.NoError(t, err)
	person := w.person(t)
	require.NoError(t, w.store.Close())

	points := []string{"spent", "intended", "signed", "recorded"}
	random := 6
	if n, err := strconv.Atoi(os.Getenv("CERTSIGN_SOAK")); err == nil {
		random = n
	}
	for range random {
		points = append(points, strconv.Itoa(mathrand.IntN(25000)))
	}
	issued := 0
	for _, point := range points {
		w, err := openWorld(dir)
		require.NoError(t, err)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		require.NoError(t, err)
		e, err := w.desk.Enroll(context.Background(), person.ID, csr)
		require.NoError(t, err)
		require.NoError(t, w.store.Close())
		require.NoError(t, os.WriteFile(filepath.Join(dir, "request.json"), request(t, e.Token, csr), 0o600))

		child := exec.Command(os.Args[0], "-test.run", "^$")
		child.Env = append(os.Environ(), killDir+"="+dir, killPoint+"="+point)
		out, err := child.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s: %s", point, out)
		require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s: %s", point, out)

		left, err := openStore(dir)
		require.NoError(t, err)
		open := intents(t, left)
		require.NoError(t, left.Close())
		switch point {
		case "spent", "recorded":
			assert.Empty(t, open, point)
		case "intended", "signed":
			assert.Len(t, open, 1, point)
		}

		w, err = openWorld(dir) // the restart
		require.NoError(t, err)
		assert.Empty(t, intents(t, w.store), "%s: nothing is left open", point)
		c, err := w.desk.Issued(context.Background(), e.CSRSHA256, e.Token)
		if err != nil { // it died before an intent: then the token still counts
			r := w.sign(request(t, e.Token, csr))
			require.Equal(t, http.StatusCreated, r.Code, "%s: %s", point, r.Body)
			c, err = w.desk.Issued(context.Background(), e.CSRSHA256, e.Token)
			require.NoError(t, err)
		}
		issued++
		assert.True(t, key.PublicKey.Equal(c.X509.PublicKey), point)
		require.NoError(t, c.X509.CheckSignatureFrom(w.issuer.c.Certificate))
		if len(open) == 1 {
			assert.Equal(t, open[0].TBS, c.X509.RawTBSCertificate, "%s: what was intended is what was issued", point)
		}
		assert.Equal(t, http.StatusUnauthorized, w.sign(request(t, e.Token, csr)).Code, "%s: the token is spent", point)
		all, err := w.desk.Certificates(context.Background(), person.ID)
		require.NoError(t, err)
		assert.Len(t, all, issued, point)
		_, err = w.ledger.VerifyAudit(context.Background())
		require.NoError(t, err)
		require.NoError(t, w.store.Close())
	}
}

func openStore(dir string) (*sqlstore.Store, error) {
	return sqlstore.Open(context.Background(), "sqlite://"+filepath.Join(dir, "ca.db"))
}

func intents(t *testing.T, s *sqlstore.Store) []ca.Intent {
	t.Helper()
	var open []ca.Intent
	require.NoError(t, s.View(context.Background(), func(tx ca.Tx) (err error) {
		open, err = tx.OpenIntents()
		return err
	}))
	return open
}

func TestAnInterruptedSignatureIsMadeAgainOctetForOctet(t *testing.T) {
	w, err := openWorld(makeWorld(t))
	require.NoError(t, err)
	defer w.store.Close()
	person := w.person(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	e, err := w.desk.Enroll(context.Background(), person.ID, csr)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, w.sign(request(t, e.Token, csr)).Code)
	c, err := w.desk.Issued(context.Background(), e.CSRSHA256, e.Token)
	require.NoError(t, err)
	again, err := w.issuer.sign(c.X509.RawTBSCertificate)
	require.NoError(t, err)
	assert.Equal(t, c.DER, again)
}

func TestOnlyTheProfileIsSigned(t *testing.T) {
	w, err := openWorld(makeWorld(t))
	require.NoError(t, err)
	defer w.store.Close()
	subject, err := ca.SubjectOf(ca.Person{GivenName: "A", Surname: "B", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"})
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	good := func() *x509.Certificate {
		return &x509.Certificate{
			RawSubject: subject, PublicKey: key.Public(), BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidDocumentSigning},
		}
	}
	draft := func(edit func(*x509.Certificate)) error {
		c := good()
		if _, err := w.issuer.finish(c); err != nil {
			return err
		}
		edit(c)
		_, err := w.issuer.lint.draft(c, "http://portal.test/docs/cp")
		return err
	}
	require.NoError(t, draft(func(*x509.Certificate) {}))
	for name, edit := range map[string]func(*x509.Certificate){
		"a CA certificate":        func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign },
		"one for servers":         func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"one with a host name":    func(c *x509.Certificate) { c.DNSNames = []string{"portal.test"} },
		"one without a CRL":       func(c *x509.Certificate) { c.CRLDistributionPoints = nil },
		"one for encryption":      func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment },
		"one for ten years":       func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(10, 0, 0) },
		"one with a short serial": func(c *x509.Certificate) { c.SerialNumber = big.NewInt(7) },
		"one with other data":     func(c *x509.Certificate) { c.RawSubject = nil; c.Subject = pkix.Name{CommonName: "x"} },
		"one with an extension": func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidDocumentSigning, Value: []byte{5, 0}})
		},
		"one that names no policy": func(c *x509.Certificate) { c.ExtraExtensions = nil },
	} {
		t.Run(name, func(t *testing.T) { assert.Error(t, draft(edit)) })
	}
}

// FuzzRequests sends anything to /1.0/sign and /1.0/revoke: it is refused with a code, and never an internal error.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"csr":"-----BEGIN CERTIFICATE REQUEST-----\nMA==\n-----END CERTIFICATE REQUEST-----","ott":"e30.e30.AA"}`))
	f.Add([]byte(`{"serial":"1","reasonCode":8,"ott":"x","passive":true}`))
	i := &Issuer{kid: "k", c: Config{Now: time.Now}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	i.c.Provisioner = key
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, check := range []func([]byte) *refusal{i.checkSign, i.checkRevoke} {
			wrong := check(body)
			require.NotNil(t, wrong, "nobody else can mint a token")
			assert.GreaterOrEqual(t, wrong.status, 400)
			assert.Less(t, wrong.status, 500)
			assert.NotEmpty(t, wrong.problem.Code)
		}
	})
}
