package portal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
)

// faulty is a desk whose disk is on fire when somebody logs in.
type faulty struct{ ca.Desk }

func (faulty) Login(context.Context, string, string, string) (*ca.Account, error) {
	return nil, errors.New("disk on fire")
}

func problemOf(t *testing.T, v view) problemDocument {
	t.Helper()
	require.Equal(t, "application/problem+json", v.header.Get("Content-Type"), v.body)
	var p problemDocument
	require.NoError(t, json.Unmarshal([]byte(v.body), &p))
	assert.Equal(t, v.status, p.Status)
	assert.Equal(t, "urn:certsign:problem:"+p.Code, p.Type)
	assert.NotEmpty(t, p.Title)
	return p
}

func (b *browser) enroll(csr []byte) view {
	b.w.t.Helper()
	body, err := json.Marshal(enrolmentQuestion{CSR: csr})
	require.NoError(b.w.t, err)
	return b.do(http.MethodPost, "/api/v1/enrolments", "application/json", strings.NewReader(string(body)))
}

func TestGeneratingGoesThroughCodeTermsAndAgentInThatOrder(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	assert.Equal(t, generatePath+"/code", b.get("/my/certificates/generate").url.Path)
	assert.Equal(t, generatePath+"/code", b.get(generatePath+"/terms").url.Path, "no step can be skipped")
	assert.Equal(t, generatePath+"/code", b.get(generatePath+"/agent").url.Path)
	v := b.post(generatePath+"/terms", url.Values{"accept": {"yes"}, "version": {TermsVersion}})
	assert.Equal(t, generatePath+"/code", v.url.Path)

	b.post(generatePath+"/send-code", nil)
	v = b.post(generatePath+"/code", url.Values{"code": {"000000"}})
	assert.Equal(t, http.StatusUnprocessableEntity, v.status, "the form comes back")
	v.has(t, "problem")
	b.passFactor(w.person)
	assert.Equal(t, generatePath+"/terms", b.get(generatePath+"/agent").url.Path)
	v = b.post(generatePath+"/terms", url.Values{"version": {TermsVersion}})
	assert.Equal(t, http.StatusUnprocessableEntity, v.status)
	v = b.post(generatePath+"/terms", url.Values{"accept": {"yes"}, "version": {"terms-0.9"}})
	assert.Equal(t, http.StatusForbidden, v.status, "a page with older terms")
	b.acceptTerms()
	v = b.get(generatePath + "/agent")
	v.has(t, "start")
	status := v.has(t, "agent-status")
	state, _ := attribute(status, "data-state")
	assert.Equal(t, "idle", state)
	assert.Equal(t, "Brak połączenia", textOf(status))
	assert.Equal(t, generatePath+"/terms", b.get("/my/certificates/generate").url.Path, "the terms are confirmed for each certificate")
}

func TestATokenIsGivenOutOnlyAfterSecondFactorAndTerms(t *testing.T) {
	w := newWorld(t)
	csr, key := w.request("enrolment")
	guest := w.browser()
	assert.Equal(t, "forbidden", problemOf(t, guest.enroll(csr)).Code)
	b := w.loggedIn(w.person)
	assert.Equal(t, "second_factor_required", problemOf(t, b.enroll(csr)).Code)
	b.passFactor(w.person)
	assert.Equal(t, "terms_not_accepted", problemOf(t, b.enroll(csr)).Code)
	b.acceptTerms()
	v := b.enroll(csr)
	require.Equal(t, http.StatusCreated, v.status, v.body)
	var e enrolmentAnswer
	require.NoError(t, json.Unmarshal([]byte(v.body), &e))
	assert.NotEmpty(t, e.Token)
	assert.Len(t, e.CSRSHA256, 64)
	assert.Equal(t, w.config.CAURL, e.CA)
	assert.NotContains(t, w.log.String(), e.Token, "a token is in no log")

	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	at := "/api/v1/enrolments/" + e.CSRSHA256
	assert.Equal(t, "not_found", problemOf(t, guest.do(http.MethodGet, at, "", nil, bearer(e.Token))).Code, "nothing is issued yet")
	c := w.issueFor(csr, key)
	assert.Equal(t, "not_found", problemOf(t, guest.do(http.MethodGet, at, "", nil, bearer("other"))).Code)
	assert.Equal(t, "not_found", problemOf(t, guest.get(at)).Code)
	v = guest.do(http.MethodGet, at, "", nil, bearer(e.Token))
	require.Equal(t, http.StatusOK, v.status, v.body)
	var issued issuedAnswer
	require.NoError(t, json.Unmarshal([]byte(v.body), &issued))
	assert.Equal(t, base64.StdEncoding.EncodeToString(c.DER), issued.Certificate)
	assert.NotEmpty(t, issued.Chain)
	assert.Empty(t, v.header.Values("Set-Cookie"))

	assert.Equal(t, "key_already_certified", problemOf(t, b.enroll(csr)).Code)
}

func TestOneSecondFactorIsGoodForThreeRequestsAndTenMinutes(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	b.passFactor(w.person)
	b.acceptTerms()
	for _, name := range []string{"a", "b", "c"} {
		csr, _ := w.request(name)
		assert.Equal(t, http.StatusCreated, b.enroll(csr).status)
	}
	csr, _ := w.request("d")
	assert.Equal(t, "second_factor_required", problemOf(t, b.enroll(csr)).Code)

	b.passFactor(w.person)
	b.acceptTerms()
	w.advance(stepUp + time.Second)
	assert.Equal(t, "second_factor_required", problemOf(t, b.enroll(csr)).Code)
	assert.Equal(t, generatePath+"/code", b.get(generatePath+"/agent").url.Path)
}

func TestRequestsAtOnceGetNoMoreOfOneSecondFactor(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	b.passFactor(w.person)
	b.acceptTerms()
	answers := make(chan string)
	for i := range 4 * enrolmentsPerFactor {
		csr, _ := w.request(fmt.Sprint(i))
		go func() {
			v := b.enroll(csr)
			if v.status != http.StatusCreated {
				answers <- problemOf(t, v).Code
				return
			}
			answers <- "granted"
		}()
	}
	count := map[string]int{}
	for range 4 * enrolmentsPerFactor {
		count[<-answers]++
	}
	assert.Equal(t, map[string]int{"granted": enrolmentsPerFactor, "second_factor_required": 3 * enrolmentsPerFactor}, count)
}

func TestASecondFactorBelongsToOneSessionAndOnePurpose(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "purpose")
	b, elsewhere := w.loggedIn(w.person), w.loggedIn(w.person)
	b.passFactor(w.person)
	csr, _ := w.request("x")
	assert.Equal(t, "second_factor_required", problemOf(t, elsewhere.enroll(csr)).Code)

	at := "/my/certificates/" + c.Serial
	b.post(at+"/suspend", url.Values{"reason": {"on-request"}, "verification": {w.code(w.person, c)}})
	b.post(at+"/suspend/send", nil)
	v := b.get(at + "/resume")
	v.has(t, "send-code")
	assert.Nil(t, v.byID("next"), "the factor for generating does not resume")
	v = b.post(at+"/resume", url.Values{"verification": {w.code(w.person, c)}})
	assert.Nil(t, v.byID("submit-request"))
}

func TestNonsenseIsNoEnrolment(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	b.passFactor(w.person)
	b.acceptTerms()
	post := func(kind, body string) string {
		return problemOf(t, b.do(http.MethodPost, "/api/v1/enrolments", kind, strings.NewReader(body))).Code
	}
	assert.Equal(t, "bad_request", post("text/plain", `{"csr":"AAAA"}`))
	assert.Equal(t, "bad_request", post("application/json", `{"csr":`))
	assert.Equal(t, "bad_request", post("application/json", `{"csr":"!"}`))
	assert.Equal(t, "csr_invalid", post("application/json", `{}`))
	assert.Equal(t, "csr_invalid", post("application/json", `{"csr":"AAAA"}`))
	assert.Equal(t, "too_large", post("application/json", `{"csr":"`+strings.Repeat("A", maxEnrolment)+`"}`))
}

func TestASuspensionActsAtOnceAndAResumptionNeedsCodeFactorAndHelpDesk(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "wish")
	b, clerk := w.loggedIn(w.person), w.loggedIn(w.clerk)
	at, code := "/my/certificates/"+c.Serial, w.code(w.person, c)
	state := func() string {
		s, _ := attribute(b.get(at).has(t, "certificate-state"), "data-state")
		return s
	}

	v := b.post(at+"/suspend", url.Values{"reason": {"carrier-lost"}})
	assert.Equal(t, http.StatusUnprocessableEntity, v.status, "no code")
	v = b.post(at+"/suspend", url.Values{"reason": {"data-wrong"}, "verification": {code}})
	assert.Equal(t, http.StatusUnprocessableEntity, v.status, "a reason for revocation only")

	v = b.post(at+"/suspend", url.Values{"reason": {"carrier-lost"}, "verification": {"0000-0000-0000"}})
	v.has(t, "submit-request")
	v = b.post(at+"/suspend/send", nil)
	assert.Equal(t, http.StatusUnprocessableEntity, v.status, "a wrong code changes nothing")
	v.has(t, "verification-error")
	assert.Equal(t, "active", state())

	v = b.post(at+"/suspend", url.Values{"reason": {"carrier-lost"}, "verification": {strings.ToLower(code)}})
	assert.Equal(t, at+"/suspend/summary", v.url.Path)
	assert.NotContains(t, v.body, code, "the code stays on the server")
	v = b.post(at+"/suspend/send", nil)
	assert.True(t, strings.HasPrefix(v.url.Path, "/my/requests/CSD-"), v.url.Path)
	assert.Equal(t, "suspended", state())
	v = b.post(at+"/suspend/send", nil)
	assert.Equal(t, http.StatusConflict, v.status, "sending twice does nothing twice")

	v = b.get(at + "/resume")
	assert.Nil(t, v.byID("reason"), "the reason does not display for a resumption")
	b.post(at+"/resume/send-code", nil)
	v = b.post(at+"/resume/code", url.Values{"code": {w.mailedCode(w.person)}})
	v.has(t, "next")
	assert.Nil(t, v.byID("reason"))
	b.post(at+"/resume", url.Values{"verification": {code}})
	v = b.post(at+"/resume/send", nil)
	ticket := textOf(v.has(t, "ticket"))
	assert.Equal(t, "suspended", state(), "the help desk decides")
	v = clerk.get("/helpdesk")
	v.has(t, "approve-"+ticket)
	clerk.post("/helpdesk/"+ticket, url.Values{"decision": {"approve"}})
	assert.Equal(t, "active", state())
	v = b.get(at + "/resume")
	assert.Equal(t, http.StatusConflict, v.status)
}

func TestARevocationHoldsAtOnceAndARejectionIsExplained(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "revoke")
	b, clerk := w.loggedIn(w.person), w.loggedIn(w.clerk)
	at := "/my/certificates/" + c.Serial
	b.post(at+"/revoke", url.Values{"reason": {"key-disclosed"}, "verification": {w.code(w.person, c)}})
	v := b.post(at+"/revoke/send", nil)
	ticket := textOf(v.has(t, "ticket"))
	assert.Contains(t, v.text(), "zawieszony")
	v = clerk.post("/helpdesk/"+ticket, url.Values{"decision": {"reject"}})
	assert.Equal(t, http.StatusUnprocessableEntity, v.status, "a rejection needs its reason")
	v.has(t, "comment-"+ticket+"-error")
	assert.Equal(t, http.StatusBadRequest, clerk.post("/helpdesk/"+ticket, url.Values{"decision": {"maybe"}}).status)
	clerk.post("/helpdesk/"+ticket, url.Values{"decision": {"reject"}, "comment": {"Nie udało się potwierdzić tożsamości."}})
	assert.Contains(t, b.get("/my/requests/"+ticket).text(), "Nie udało się potwierdzić tożsamości.")
	assert.Equal(t, http.StatusForbidden, b.get("/helpdesk").status)
	assert.Equal(t, http.StatusForbidden, b.post("/helpdesk/"+ticket, url.Values{"decision": {"approve"}}).status)
}

func TestASignedDocumentIsAnsweredWithASealedReceiptAndAChangedOneWithTheReason(t *testing.T) {
	w := newWorld(t)
	c, key := w.certified(w.person, "documents")
	b := w.loggedIn(w.person)
	content := declaration(t)
	v := b.upload("/my/documents", "document", "zgłoszenie.xml", content)
	v.has(t, "sign")
	v.has(t, "send")
	id := strings.TrimPrefix(v.url.Path, "/my/documents/")
	assert.Contains(t, v.text(), "Zażółć Gęślą")
	assert.Equal(t, string(content), b.get(v.url.Path+"/content").body)
	signed := w.sign(content, c, key)

	submit := func(body []byte) documentAnswer {
		v := b.do(http.MethodPost, "/api/v1/documents/"+id+"/signed", "application/xml", strings.NewReader(string(body)))
		require.Equal(t, http.StatusOK, v.status, v.body)
		var d documentAnswer
		require.NoError(t, json.Unmarshal([]byte(v.body), &d))
		return d
	}
	d := submit([]byte(strings.Replace(string(signed), "EUR", "USD", 1)))
	assert.Equal(t, "refused", d.State)
	assert.Equal(t, ca.RefusedChanged, d.Problem)
	assert.Contains(t, d.Title, "zmieniona po podpisaniu")
	refusal := b.get(d.Page).has(t, "refusal")
	assert.Contains(t, textOf(refusal), "zmieniona po podpisaniu")
	assert.Equal(t, http.StatusNotFound, b.get(d.Page+"/receipt").status)

	d = submit(signed)
	assert.Equal(t, "sent", d.State, d.Detail)
	assert.NotEmpty(t, d.Reference)
	receipt := b.get(d.Receipt)
	assert.Contains(t, receipt.body, d.Reference)
	assert.Contains(t, receipt.body, "<ds:Signature")
	assert.Equal(t, string(signed), b.get(d.Page+"/signed").body)
	v = b.get(d.Page)
	v.has(t, "download-receipt")
	assert.Nil(t, v.byID("sign"), "what was sent is not signed again")
	v = b.do(http.MethodPost, "/api/v1/documents/"+id+"/signed", "application/xml", strings.NewReader(string(signed)))
	assert.Equal(t, "state_forbids", problemOf(t, v).Code)
	v = b.do(http.MethodPost, "/api/v1/documents/"+id+"/signed", "application/xml", http.NoBody)
	assert.Equal(t, "bad_request", problemOf(t, v).Code)
}

func TestEachRefusalHasPlainWordsInBothLanguages(t *testing.T) {
	w := newWorld(t)
	p := &portal{Config: w.config}
	var err error
	p.texts, err = loadCatalogues()
	require.NoError(t, err)
	for _, code := range []string{
		ca.RefusedChanged, ca.RefusedSignature, ca.RefusedUnknown, ca.RefusedOther, ca.RefusedSuspended, ca.RefusedRevoked, ca.RefusedExpired,
		"no_signature", "xml_malformed", "xml_doctype", "document_unreadable", "too_large", "something_new",
	} {
		for _, lang := range languages {
			s := p.refusal(lang, ca.Document{Problem: code})
			assert.NotEmpty(t, s.Title, "%s %s", lang, code)
			assert.NotEmpty(t, s.Remedy, "%s %s", lang, code)
			assert.NotContains(t, s.Title+s.Remedy, missing)
		}
	}
}

func TestTheLanguageFollowsTheBrowserThenTheAccountThenTheSwitch(t *testing.T) {
	w := newWorld(t)
	lang := func(v view) string { l, _ := attribute(v.find("html")[0], "lang"); return l }
	b := w.browser()
	for accept, want := range map[string]string{"en-GB,en;q=0.9": "en", "pl": "pl", "de": "pl", "": "pl", "!!": "pl"} {
		b.lang = accept
		assert.Equal(t, want, lang(b.get("/")), accept)
	}
	b.lang = "en"
	v := b.post("/login", url.Values{"email": {w.person.Email}, "password": {password}})
	assert.Equal(t, "pl", lang(v), "the account's language, where the browser chose none")
	v = b.post("/language", url.Values{"lang": {"en"}, "back": {"/my/data"}})
	assert.Equal(t, "/my/data", v.url.Path)
	assert.Equal(t, "en", lang(v))
	a, err := w.desk.Account(context.Background(), w.person.ID)
	require.NoError(t, err)
	assert.Equal(t, "en", a.Language, "e-mails follow the switch")
	assert.Equal(t, "/", b.post("/language", url.Values{"lang": {"xx"}, "back": {"//evil.test"}}).url.Path)
}

func TestTheSessionTellsAPageWhatItMayDo(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	var s sessionAnswer
	require.NoError(t, json.Unmarshal([]byte(b.get("/api/v1/session").body), &s))
	assert.Equal(t, sessionAnswer{Language: "en", Terms: TermsVersion}, s)
	b = w.loggedIn(w.person)
	b.passFactor(w.person)
	require.NoError(t, json.Unmarshal([]byte(b.get("/api/v1/session").body), &s))
	assert.Equal(t, sessionAnswer{Authenticated: true, Email: w.person.Email, Language: "pl", SecondFactor: true, Terms: TermsVersion}, s)
}

func TestADraftIsTakenOffTheListByItsOwnerOnly(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	v := b.upload("/my/documents", "document", "a.xml", declaration(t))
	at := v.url.Path
	v.has(t, "remove")
	assert.Equal(t, http.StatusNotFound, w.loggedIn(w.stranger).post(at+"/remove", url.Values{}).status)
	v = b.post(at+"/remove", url.Values{})
	assert.Equal(t, "/my/documents", v.url.Path)
	assert.Equal(t, http.StatusNotFound, b.get(at).status)

	for range 50 {
		require.Equal(t, http.StatusOK, b.upload("/my/documents", "document", "a.xml", declaration(t)).status)
	}
	v = b.upload("/my/documents", "document", "a.xml", declaration(t))
	assert.Equal(t, http.StatusTooManyRequests, v.status)
	v.has(t, "document-error")
}
