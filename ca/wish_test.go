package ca_test

import (
	"context"
	"crypto/tls"
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
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// judge asks openssl, which knows nothing of this program, for the certificate's status by OCSP and by CRL.
type judge struct {
	t                       *testing.T
	h                       *house
	leaf, issuer, root, dir string
}

func newJudge(t *testing.T, h *house, c *ca.Certificate) *judge {
	j := &judge{t: t, h: h, dir: t.TempDir()}
	j.leaf, j.issuer, j.root = writePEM(t, "leaf.pem", c.DER), writePEM(t, "issuer.pem", h.issuing.Raw), writePEM(t, "root.pem", h.root.Raw)
	return j
}

func (j *judge) ocsp(digest string) string {
	c, err := os.ReadFile(j.leaf)
	require.NoError(j.t, err)
	block, _ := pem.Decode(c)
	require.NotNil(j.t, block)
	url := strings.TrimSpace(openssl(j.t, "x509", "-noout", "-ocsp_uri", "-in", j.leaf))
	// With a nonce, which openssl checks, and with the whole chain of the answer.
	return openssl(j.t, "ocsp", "-issuer", j.issuer, digest, "-cert", j.leaf, "-url", url, "-CAfile", j.root, "-verify_other", j.issuer)
}

func (j *judge) crl(distributionPoint string) string {
	der := fetch(j.t, distributionPoint)
	path := filepath.Join(j.dir, "list.pem")
	require.NoError(j.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600))
	return path
}

// verify is openssl verify -crl_check, with the CRL fetched from where the certificate says.
func (j *judge) verify(c *ca.Certificate) (string, error) {
	out, err := exec.Command(testtool.Need(j.t, "openssl"), "verify", "-crl_check", "-CAfile", j.root, "-untrusted", j.issuer,
		"-CRLfile", j.crl(c.X509.CRLDistributionPoints[0]), j.leaf).CombinedOutput()
	return string(out), err
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url) //nolint:gosec // the test's own listener
	require.NoError(t, err)
	defer r.Body.Close()
	require.Equal(t, http.StatusOK, r.StatusCode, url)
	buffer := make([]byte, 0, 64<<10)
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := r.Body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err != nil {
			return buffer
		}
	}
}

func TestOpenSSLFollowsSuspensionResumptionAndRevocation(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, clerk := h.anna(), h.clerk()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)
	j := newJudge(t, h, c)

	assert.Contains(t, j.ocsp("-sha1"), ": good")
	assert.Contains(t, j.ocsp("-sha256"), ": good")
	out, err := j.verify(c)
	require.NoError(t, err, out)

	r, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.CarrierLost, code)
	require.NoError(t, err)
	assert.Equal(t, ca.Resolved, r.State)
	assert.Regexp(t, `^CSD-\d{4}-\d{6}$`, r.Ticket)
	held := h.certificateOf(anna, c.Serial)
	assert.Equal(t, ca.Suspended, held.State)
	for _, digest := range []string{"-sha1", "-sha256"} {
		answer := j.ocsp(digest)
		assert.Contains(t, answer, ": revoked")
		assert.Contains(t, answer, "Reason: certificateHold")
		assert.Contains(t, answer, "Response verify OK")
	}
	out, err = j.verify(c)
	require.Error(t, err)
	assert.Contains(t, out, "certificate revoked")

	r, err = h.desk.Wish(ctx, anna.ID, c.Serial, ca.Resume, "", strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	require.NoError(t, err)
	assert.Equal(t, ca.Submitted, r.State)
	assert.Equal(t, ca.Suspended, h.certificateOf(anna, c.Serial).State, "a resumption waits")
	_, err = h.desk.Decide(ctx, anna.ID, r.Ticket, true, "")
	assert.Equal(t, problem.Forbidden, problem.CodeOf(err))
	_, err = h.desk.Decide(ctx, clerk.ID, r.Ticket, true, "potwierdzono telefonicznie")
	require.NoError(t, err)
	assert.Contains(t, j.ocsp("-sha256"), ": good")
	out, err = j.verify(c)
	require.NoError(t, err, out)

	time.Sleep(1100 * time.Millisecond) // so that the two moments differ in their seconds
	r, err = h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.KeyDisclosed, code)
	require.NoError(t, err)
	assert.Equal(t, ca.Submitted, r.State)
	assert.True(t, r.Held)
	assert.Contains(t, j.ocsp("-sha256"), "Reason: certificateHold", "a revocation holds at once")
	moment := h.certificateOf(anna, c.Serial).RevokedAt
	time.Sleep(1100 * time.Millisecond)
	_, err = h.desk.Decide(ctx, clerk.ID, r.Ticket, true, "")
	require.NoError(t, err)
	answer := j.ocsp("-sha256")
	assert.Contains(t, answer, "Reason: keyCompromise")
	assert.Contains(t, answer, "Revocation Time: "+moment.UTC().Format("Jan _2 15:04:05 2006 GMT"), "it dates from the suspension")
	out, err = j.verify(c)
	require.Error(t, err, out)

	for _, kind := range []ca.RequestKind{ca.Suspend, ca.Resume, ca.Revoke} {
		_, err = h.desk.Wish(ctx, anna.ID, c.Serial, kind, map[ca.RequestKind]ca.WishReason{ca.Suspend: ca.OnRequest, ca.Revoke: ca.OtherReason}[kind], code)
		assert.Equal(t, problem.StateForbids, problem.CodeOf(err), "%s of a revoked certificate", kind)
	}
	_, err = h.ledger.VerifyAudit(ctx)
	require.NoError(t, err)
}

func TestRootCRLAndIssuersAreServed(t *testing.T) {
	h := newHouse(t)
	c, _ := h.obtain(h.anna())
	j := newJudge(t, h, c)
	lists := j.crl(c.X509.CRLDistributionPoints[0])
	rootList := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: fetch(t, h.issuing.CRLDistributionPoints[0])})
	b, err := os.ReadFile(lists)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(lists, append(b, rootList...), 0o600))
	out := openssl(t, "verify", "-crl_check_all", "-CAfile", j.root, "-untrusted", j.issuer, "-CRLfile", lists, j.leaf)
	assert.Contains(t, out, "OK")
	assert.Equal(t, h.issuing.Raw, fetch(t, c.X509.IssuingCertificateURL[0]))
}

func TestARejectedRevocationResumesWhatItHeld(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, clerk := h.anna(), h.clerk()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)

	r, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.Replaced, code)
	require.NoError(t, err)
	_, err = h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.Replaced, code)
	assert.Equal(t, problem.StateForbids, problem.CodeOf(err), "one request of a kind at a time")
	_, err = h.desk.Wish(ctx, anna.ID, c.Serial, ca.Resume, "", code)
	assert.Equal(t, problem.StateForbids, problem.CodeOf(err), "no resumption while a revocation waits")
	_, err = h.desk.Decide(ctx, clerk.ID, r.Ticket, false, " ")
	assert.Equal(t, problem.BadRequest, problem.CodeOf(err), "a rejection needs a reason")
	decided, err := h.desk.Decide(ctx, clerk.ID, r.Ticket, false, "brak nowego certyfikatu")
	require.NoError(t, err)
	assert.Equal(t, ca.Rejected, decided.State)
	assert.Equal(t, "clerk@example.test", decided.DecidedBy)
	now := h.certificateOf(anna, c.Serial)
	assert.Equal(t, ca.Active, now.State)
	assert.Zero(t, now.RevokedAt)
	_, err = h.desk.Decide(ctx, clerk.ID, r.Ticket, true, "")
	assert.Equal(t, problem.StateForbids, problem.CodeOf(err), "what is decided stays decided")

	all, err := h.desk.Mailbox(ctx, anna.Email)
	require.NoError(t, err)
	assert.Contains(t, all[0].Subject, "Odrzucono wniosek o unieważnienie")
	assert.Contains(t, all[0].Text, "brak nowego certyfikatu")
	assert.Contains(t, all[1].Subject, r.Ticket)
	for _, m := range all {
		assert.NotContains(t, m.Text, code)
		assert.NotContains(t, m.Text, "44051401458")
	}
}

func TestARejectedRevocationLeavesAnEarlierSuspension(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, clerk := h.anna(), h.clerk()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)
	_, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, code)
	require.NoError(t, err)
	r, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.NoLongerNeeded, code)
	require.NoError(t, err)
	assert.False(t, r.Held)
	_, err = h.desk.Decide(ctx, clerk.ID, r.Ticket, false, "nie")
	require.NoError(t, err)
	assert.Equal(t, ca.Suspended, h.certificateOf(anna, c.Serial).State)
}

func TestTheHelpDeskMayDecideOnSuspensionsAndTheConfigurationOnAllElse(t *testing.T) {
	h := newHouse(t, decide(ca.Suspend, ca.DecisionHelpDesk), decide(ca.Resume, ca.DecisionAuto), decide(ca.Revoke, ca.DecisionAuto))
	ctx := context.Background()
	anna, clerk := h.anna(), h.clerk()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)

	suspension, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, code)
	require.NoError(t, err)
	assert.True(t, suspension.Held)
	assert.Equal(t, ca.Suspended, h.certificateOf(anna, c.Serial).State, "it holds at once nevertheless")
	open, err := h.desk.OpenRequests(ctx, clerk.ID)
	require.NoError(t, err)
	require.Len(t, open, 1)
	assert.Equal(t, "anna@example.test", open[0].Email, "a clerk sees whom it is about")
	assert.Equal(t, c.Serial, open[0].Certificate.Serial)
	assert.Equal(t, c.X509.Subject.CommonName, open[0].Holder.FullName())
	_, err = h.desk.OpenRequests(ctx, anna.ID)
	assert.Equal(t, problem.Forbidden, problem.CodeOf(err))
	_, err = h.desk.Decide(ctx, clerk.ID, suspension.Ticket, true, "")
	require.NoError(t, err)
	assert.Equal(t, ca.Suspended, h.certificateOf(anna, c.Serial).State)

	resumption, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Resume, "", code)
	require.NoError(t, err)
	assert.Equal(t, ca.Resolved, resumption.State)
	assert.Equal(t, ca.Active, h.certificateOf(anna, c.Serial).State)
	revocation, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.DataWrong, code)
	require.NoError(t, err)
	assert.Equal(t, ca.Resolved, revocation.State)
	now := h.certificateOf(anna, c.Serial)
	assert.Equal(t, ca.Revoked, now.State)
	assert.Equal(t, ca.Superseded, now.Reason)
}

func TestReasonsFitTheirKind(t *testing.T) {
	h := newHouse(t)
	anna := h.anna()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)
	for name, q := range map[string]struct {
		kind   ca.RequestKind
		reason ca.WishReason
		want   problem.Code
	}{
		"wrong data are no reason to suspend":  {ca.Suspend, ca.DataWrong, problem.ReasonForbidden},
		"a suspension needs a reason":          {ca.Suspend, "", problem.ReasonForbidden},
		"on request is no reason to revoke":    {ca.Revoke, ca.OnRequest, problem.ReasonForbidden},
		"an active certificate is not resumed": {ca.Resume, "", problem.StateForbids},
		"a resumption has no reason":           {ca.Resume, ca.OtherReason, problem.ReasonForbidden},
		"an unknown kind is refused":           {"renew", "", problem.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.desk.Wish(context.Background(), anna.ID, c.Serial, q.kind, q.reason, code)
			assert.Equal(t, q.want, problem.CodeOf(err))
		})
	}
}

func TestFiveWrongCodesLockUntilTheHelpDeskUnlocks(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)
	for try := 1; try <= 5; try++ {
		r, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, wrongVersionOf(code))
		want := problem.CodeIncorrect
		if try == 5 {
			want = problem.CodeLocked
		}
		require.Equal(t, want, problem.CodeOf(err), "try %d", try)
		require.NotNil(t, r)
		assert.Equal(t, ca.Rejected, r.State)
	}
	_, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, code)
	assert.Equal(t, problem.CodeLocked, problem.CodeOf(err), "the right code comes too late")
	assert.Equal(t, ca.Active, h.certificateOf(anna, c.Serial).State)
	all, err := h.desk.Mailbox(ctx, anna.Email)
	require.NoError(t, err)
	assert.Contains(t, all[0].Subject, "Zablokowano kod")
	require.NoError(t, h.ledger.Unlock(ctx, "operator", c.Serial))
	_, err = h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, code)
	require.NoError(t, err)
}

func TestAnotherPersonsCertificateIsNotFound(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, piotr := h.anna(), h.piotr()
	c, _ := h.obtain(anna)
	_, err := h.desk.Wish(ctx, piotr.ID, c.Serial, ca.Suspend, ca.OnRequest, h.code(anna, c.Serial))
	assert.Equal(t, problem.NotFound, problem.CodeOf(err))
	_, err = h.desk.Certificate(ctx, piotr.ID, c.Serial)
	assert.Equal(t, problem.NotFound, problem.CodeOf(err))
	_, err = h.desk.VerificationCode(ctx, piotr.ID, c.Serial)
	assert.Equal(t, problem.NotFound, problem.CodeOf(err))
}

func TestAnExpiredCertificateChangesNoMore(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	c, _ := h.obtain(anna)
	code := h.code(anna, c.Serial)
	h.pass(3 * 365 * 24 * time.Hour)
	assert.Equal(t, ca.Expired, h.certificateOf(anna, c.Serial).State)
	_, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.OtherReason, code)
	assert.Equal(t, problem.StateForbids, problem.CodeOf(err))
	e, err := h.desk.Eligibility(ctx, anna.ID)
	require.NoError(t, err)
	assert.True(t, e.OK())
}

func TestRevocationOverTheAPIIsPermanentAndNeedsAToken(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	c, key := h.obtain(anna)
	_, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.KeyDisclosed, h.code(anna, c.Serial))
	require.NoError(t, err)

	// The thief shows the suspended certificate and its key.
	thief := &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // httptest's own certificate
		Certificates:       []tls.Certificate{{Certificate: [][]byte{c.DER, h.issuing.Raw}, PrivateKey: key}},
	}}
	h.client = &http.Client{Transport: thief}
	serial := c.X509.SerialNumber.String()
	for _, reason := range []int{6, 7, 8} {
		answer := h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": reason, "passive": true})
		assert.Equal(t, http.StatusBadRequest, answer.HTTP)
		assert.Equal(t, "reason_forbidden", answer.Code)
	}
	answer := h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": 1, "passive": true})
	assert.Equal(t, http.StatusForbidden, answer.HTTP)
	assert.Equal(t, "forbidden", answer.Code)
	assert.Equal(t, ca.Suspended, h.certificateOf(anna, c.Serial).State)
	assert.Equal(t, ca.CertificateHold, h.certificateOf(anna, c.Serial).Reason)

	// An enrolment's token is no revocation token.
	e, err := h.desk.Enroll(ctx, anna.ID, newCSR(t, newKey(t)))
	require.NoError(t, err)
	answer = h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": 1, "passive": true, "ott": e.Token})
	assert.NotEqual(t, http.StatusOK, answer.HTTP)
	assert.Equal(t, ca.Suspended, h.certificateOf(anna, c.Serial).State)

	token, err := h.issuer.RevocationToken(c.Serial, "test-1", time.Minute)
	require.NoError(t, err)
	answer = h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": 8, "passive": true, "ott": token})
	assert.Equal(t, http.StatusBadRequest, answer.HTTP, "not even with a token")
	held := h.certificateOf(anna, c.Serial).RevokedAt
	answer = h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": 1, "passive": true, "ott": token})
	assert.Equal(t, http.StatusOK, answer.HTTP, answer.Message)
	now := h.certificateOf(anna, c.Serial)
	assert.Equal(t, ca.Revoked, now.State)
	assert.Equal(t, ca.KeyCompromise, now.Reason)
	assert.Equal(t, held, now.RevokedAt)
	answer = h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": 4, "passive": true, "ott": token})
	assert.Equal(t, "token_spent", answer.Code)
	token, err = h.issuer.RevocationToken(c.Serial, "test-2", time.Minute)
	require.NoError(t, err)
	answer = h.post("/1.0/revoke", map[string]any{"serial": serial, "reasonCode": 4, "passive": true, "ott": token})
	assert.Equal(t, http.StatusBadRequest, answer.HTTP)
	assert.Equal(t, "state_forbids", answer.Code)
	assert.Equal(t, ca.KeyCompromise, h.certificateOf(anna, c.Serial).Reason, "the reason stays")
}
