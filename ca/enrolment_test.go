package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/ca/issuer/stepca"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

func TestAPlainHTTPClientGetsTheCertificateOfTheProfile(t *testing.T) {
	h := newHouse(t)
	anna := h.anna()
	c, key := h.obtain(anna)
	x := c.X509

	assert.True(t, key.PublicKey.Equal(x.PublicKey))
	assert.Equal(t, ca.Active, c.State)
	assert.Len(t, x.SerialNumber.Bytes(), 16)
	assert.Equal(t, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment, x.KeyUsage)
	assert.Len(t, x.UnknownExtKeyUsage, 1)
	assert.False(t, x.IsCA)
	assert.Empty(t, x.DNSNames)
	assert.Empty(t, x.EmailAddresses)
	assert.Equal(t, stepca.PolicyOID, x.Policies[0].String())
	assert.WithinDuration(t, time.Now().AddDate(2, 0, 0), x.NotAfter, time.Hour)

	want, err := ca.SubjectOf(*people["anna@example.test"])
	require.NoError(t, err)
	assert.Equal(t, want, x.RawSubject)

	out := openssl(t, "x509", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus,sname", "-in", writePEM(t, "c.pem", c.DER))
	for _, s := range []string{
		"C=PL,CN=Anna Łucja Żółć-Kowalska,SN=Żółć-Kowalska,GN=Anna Łucja,serialNumber=PNOPL-44051401458,UID=PL526000001400017",
		"Digital Signature, Non Repudiation", "1.3.6.1.5.5.7.3.36", "Policy: " + stepca.PolicyOID, "CPS: http://portal.test/docs/cp",
		"niekwalifikowany / non-qualified", "CA:FALSE", "/crl/external-", "CA Issuers - URI:", "OCSP - URI:",
	} {
		assert.Contains(t, out, s)
	}
	assert.NotContains(t, out, "qcStatements")
	assert.NotContains(t, out, "@")
}

// TestTheVersionsOfTheTermsAreRecordedWithEachCertificate has the documents change between two certificates of a person.
func TestTheVersionsOfTheTermsAreRecordedWithEachCertificate(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	h.useTerms("terms-1.0 cp-1.0 cps-1.0")
	old, _ := h.obtain(anna)
	assert.Equal(t, "terms-1.0 cp-1.0 cps-1.0", old.Terms)

	h.useTerms("terms-1.0 cp-1.1 cps-1.2")
	csr := newCSR(t, newKey(t))
	_, err := h.desk.Enroll(ctx, anna.ID, csr)
	assert.Equal(t, problem.TermsNotAccepted, problem.CodeOf(err), "one of the documents is another")
	require.Error(t, h.desk.AcceptTerms(ctx, anna.ID, "terms-1.0 cp-1.0 cps-1.0"), "those are not in force any more")
	fresh, _ := h.obtain(anna)
	assert.Equal(t, "terms-1.0 cp-1.1 cps-1.2", fresh.Terms)

	for _, c := range []*ca.Certificate{old, fresh} {
		again, err := h.ledger.Find(ctx, c.Serial)
		require.NoError(t, err)
		assert.Equal(t, c.Terms, again.Terms, "what was accepted then")
		assert.Equal(t, c.Terms, h.certificateOf(anna, c.Serial).Terms)
	}
	var accepted []string
	require.NoError(t, h.store.View(ctx, func(tx ca.Tx) error {
		entries, err := tx.AuditAfter(0, 1000)
		for _, e := range entries {
			if e.Action == "terms.accepted" {
				accepted = append(accepted, e.Subject)
			}
		}
		return err
	}))
	assert.Equal(t, []string{"terms-1.0 cp-1.0 cps-1.0", "terms-1.0 cp-1.1 cps-1.2"}, accepted)
}

func TestTheMailAboutAnIssueHoldsNeitherCodeNorPersonalNumber(t *testing.T) {
	h := newHouse(t)
	anna := h.anna()
	c, _ := h.obtain(anna)
	all, err := h.desk.Mailbox(context.Background(), "Anna@Example.test")
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Contains(t, all[0].Text, c.Serial)
	assert.NotContains(t, all[0].Text, "44051401458")
	assert.NotContains(t, all[0].Text, h.code(anna, c.Serial))
}

func TestRefusalsToEnroll(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, piotr := h.anna(), h.piotr()
	jan := h.account("jan@example.test", ca.Basic, ca.RoleUser)
	poor := h.account("poor@example.test", ca.Extended, ca.RoleUser)
	good := newCSR(t, newKey(t))

	_, err := h.desk.Enroll(ctx, anna.ID, good)
	assert.Equal(t, problem.TermsNotAccepted, problem.CodeOf(err))
	assert.Equal(t, problem.TermsNotAccepted, problem.CodeOf(h.desk.AcceptTerms(ctx, anna.ID, "terms-0.9")))
	for _, a := range []*ca.Account{anna, piotr, jan, poor} {
		require.NoError(t, h.desk.AcceptTerms(ctx, a.ID, terms))
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	broken := append([]byte(nil), good...)
	broken[len(broken)-1] ^= 1
	names, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"portal.test"}}, newKey(t))
	require.NoError(t, err)

	for name, c := range map[string]struct {
		account *ca.Account
		csr     []byte
		code    problem.Code
	}{
		"a basic account may not":                     {jan, good, problem.NotEligible},
		"an account without an ID SISC may not":       {poor, good, problem.NotEligible},
		"PEM is not DER":                              {anna, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good}), problem.CSRInvalid},
		"noise is not a request":                      {anna, []byte("noise"), problem.CSRInvalid},
		"octets after the request are not DER":        {anna, append(append([]byte(nil), good...), 0), problem.CSRInvalid},
		"a wrong signature proves nothing":            {anna, broken, problem.CSRInvalid},
		"alternative names are not for a person":      {anna, names, problem.CSRInvalid},
		"an RSA key of 1024 bits is weak":             {anna, newCSR(t, weak), problem.KeyWeak},
		"P-521 is not among the accepted curves":      {anna, newCSR(t, p521), problem.KeyWeak},
		"a request beyond the limit is not looked at": {anna, make([]byte, 1<<20), problem.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.desk.Enroll(ctx, c.account.ID, c.csr)
			assert.Equal(t, c.code, problem.CodeOf(err), "%v", err)
		})
	}

	t.Run("a key that is certified gets no second certificate, whoever asks", func(t *testing.T) {
		_, key := h.obtain(anna)
		again, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
		require.NoError(t, err)
		for _, a := range []*ca.Account{anna, piotr} {
			_, err = h.desk.Enroll(ctx, a.ID, again)
			assert.Equal(t, problem.KeyAlreadyCertified, problem.CodeOf(err))
		}
	})
	t.Run("a key that is granted to one person is not granted to another", func(t *testing.T) {
		key := newKey(t)
		_, err := h.desk.Enroll(ctx, anna.ID, newCSR(t, key))
		require.NoError(t, err)
		_, err = h.desk.Enroll(ctx, piotr.ID, newCSR(t, key))
		assert.Equal(t, problem.KeyAlreadyCertified, problem.CodeOf(err))
	})
	t.Run("the fourth certificate is one too many, also when its token was minted before the third was issued", func(t *testing.T) {
		early := newCSR(t, newKey(t))
		token, err := h.desk.Enroll(ctx, anna.ID, early)
		require.NoError(t, err)
		h.obtain(anna)
		h.obtain(anna)
		_, err = h.desk.Enroll(ctx, anna.ID, newCSR(t, newKey(t)))
		assert.Equal(t, problem.TooManyCertificates, problem.CodeOf(err))
		answer := h.sign(early, token.Token)
		assert.Equal(t, http.StatusForbidden, answer.HTTP)
		assert.Equal(t, "too_many_certificates", answer.Code)
	})
}

func TestWhatTheRequestSaysAboutTheSubjectIsIgnored(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	require.NoError(t, h.desk.AcceptTerms(ctx, anna.ID, terms))
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Minister Finansów", Organization: []string{"Ministerstwo"}},
	}, newKey(t))
	require.NoError(t, err)
	e, err := h.desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)
	answer := h.post("/1.0/sign", map[string]any{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), "ott": e.Token,
		"notAfter": "26280h", "templateData": map[string]any{"subject": "x", "sans": []string{"evil.test"}},
	})
	if answer.HTTP != http.StatusCreated {
		require.NotEqual(t, http.StatusInternalServerError, answer.HTTP, answer.Message)
		return // refused for its wish about validity: just as good
	}
	c, err := h.desk.Issued(ctx, e.CSRSHA256, e.Token)
	require.NoError(t, err)
	assert.Equal(t, "Anna Łucja Żółć-Kowalska", c.X509.Subject.CommonName)
	assert.WithinDuration(t, time.Now().AddDate(2, 0, 0), c.X509.NotAfter, time.Hour)
}

func TestTheBearerFetchesTheCertificateFromTheCAListenerToo(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	require.NoError(t, h.desk.AcceptTerms(ctx, anna.ID, terms))
	csr := newCSR(t, newKey(t))
	e, err := h.desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)
	get := func(bearer string) int {
		r, err := http.NewRequest(http.MethodGet, h.caURL+"/api/v1/enrolments/"+e.CSRSHA256, nil)
		require.NoError(t, err)
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		answer, err := h.client.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	assert.Equal(t, http.StatusNotFound, get(e.Token))
	require.Equal(t, http.StatusCreated, h.sign(csr, e.Token).HTTP)
	assert.Equal(t, http.StatusOK, get(e.Token))
	assert.Equal(t, http.StatusNotFound, get(""))
	assert.Equal(t, http.StatusNotFound, get("x"+e.Token))
}

func TestTheCAListenerPublishesNoKeyAndRenewsNothing(t *testing.T) {
	h := newHouse(t)
	for path, status := range map[string]int{"/1.0/provisioners": 200, "/provisioners": 200, "/health": 200, "/roots.pem": 200, "/1.0/roots.pem": 200, "/nothing": 404} {
		r, err := h.client.Get(h.caURL + path)
		require.NoError(t, err)
		body := make([]byte, 64<<10)
		n, _ := r.Body.Read(body)
		require.NoError(t, r.Body.Close())
		assert.Equal(t, status, r.StatusCode, path)
		assert.NotContains(t, string(body[:n]), "encryptedKey")
	}
	assert.Equal(t, http.StatusForbidden, h.post("/1.0/renew", map[string]any{}).HTTP)
	assert.Equal(t, http.StatusForbidden, h.post("/1.0/rekey", map[string]any{}).HTTP)
}

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Need(t, "openssl"), args...).CombinedOutput()
	require.NoError(t, err, "openssl %s\n%s", strings.Join(args, " "), out)
	return string(out)
}

func writePEM(t *testing.T, name string, ders ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var all []byte
	for _, der := range ders {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	require.NoError(t, os.WriteFile(path, all, 0o600))
	return path
}
