package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"certsign/ca"
)

// everyPage visits each page of the portal in a state that shows what it has, as the roles that see it.
func everyPage(t *testing.T, w *world, lang string) map[string]view {
	t.Helper()
	active, key := w.certified(w.person, lang+" active")
	guest, person, basic, clerk := w.browser(), w.loggedIn(w.person), w.loggedIn(w.basic), w.loggedIn(w.clerk)
	for _, b := range []*browser{guest, person, basic, clerk} {
		b.lang = lang
		b.post("/language", url.Values{"lang": {lang}, "back": {"/"}})
	}
	pages := map[string]view{}
	see := func(name string, v view) view {
		t.Helper()
		pages[name] = v
		return v
	}
	for name, path := range map[string]string{
		"home": "/", "login": "/login", "download": "/download", "terms": "/docs/terms", "cp": "/docs/cp", "cps": "/docs/cps",
		"verify": "/verify", "missing": "/nothing", "mailbox": "/mailbox?address=" + w.person.Email,
	} {
		see(name, guest.get(path))
	}
	see("login-wrong", guest.post("/login", url.Values{"email": {"x@example.test"}, "password": {"nie"}}))
	see("login-empty", guest.post("/login", url.Values{}))

	see("basic-desktop", basic.get("/my"))
	see("basic-data", basic.get("/my/data"))
	see("basic-certificates", basic.get("/my/certificates"))
	see("basic-generate", basic.get("/my/certificates/generate"))
	see("basic-requests", basic.get("/my/requests"))
	see("basic-documents", basic.get("/my/documents"))

	see("desktop", person.get("/my"))
	see("data", person.get("/my/data"))
	see("certificates", person.get("/my/certificates"))
	see("certificate", person.get("/my/certificates/"+active.Serial))
	see("issued", person.get("/my/certificates/"+active.Serial+"/issued"))
	see("generate-code", person.get("/my/certificates/generate"))
	see("generate-code-sent", person.post(generatePath+"/send-code", nil))
	see("generate-code-wrong", person.post(generatePath+"/code", url.Values{"code": {"abc"}}))
	see("generate-terms", person.post(generatePath+"/code", url.Values{"code": {w.mailedCode(w.person)}}))
	see("generate-terms-missing", person.post(generatePath+"/terms", url.Values{}))
	person.acceptTerms()
	see("generate-agent", person.get(generatePath+"/agent"))

	at := "/my/certificates/" + active.Serial
	see("suspend", person.get(at+"/suspend"))
	see("suspend-empty", person.post(at+"/suspend", nil))
	see("revoke", person.get(at+"/revoke"))
	see("resume-now", person.get(at+"/resume"))

	content := declaration(t)
	added := see("document", person.upload("/my/documents", "document", "zgłoszenie.xml", content))
	see("documents", person.get("/my/documents"))
	see("documents-empty", person.upload("/my/documents", "document", "a.xml", nil))
	path := added.url.Path
	see("document-refused", person.upload(path+"/signed", "signed", "x.xml", []byte("<a/>")))
	signed := w.sign(content, active, key)
	see("verify-valid", guest.upload("/verify", "document", "signed.xml", signed))
	see("verify-invalid", guest.upload("/verify", "document", "signed.xml", []byte(strings.Replace(string(signed), "EUR", "USD", 1))))
	see("verify-unsigned", guest.upload("/verify", "document", "plain.xml", content))
	see("document-sent", person.upload(path+"/signed", "signed", "signed.xml", signed))

	see("suspend-summary", person.post(at+"/suspend", url.Values{"reason": {"carrier-lost"}, "verification": {w.code(w.person, active)}}))
	see("suspended", person.post(at+"/suspend/send", nil))
	see("certificate-suspended", person.get(at))
	see("resume-code", person.get(at+"/resume"))
	see("resume-code-sent", person.post(at+"/resume/send-code", nil))
	see("resume", person.post(at+"/resume/code", url.Values{"code": {w.mailedCode(w.person)}}))
	see("resume-summary", person.post(at+"/resume", url.Values{"verification": {w.code(w.person, active)}}))
	see("resume-sent", person.post(at+"/resume/send", nil))
	see("helpdesk", clerk.get("/helpdesk"))
	requests, err := w.desk.Requests(t.Context(), w.person.ID)
	require.NoError(t, err)
	see("helpdesk-missing", clerk.post("/helpdesk/"+requests[0].Ticket, url.Values{"decision": {"reject"}}))
	see("helpdesk-rejected", clerk.post("/helpdesk/"+requests[0].Ticket, url.Values{"decision": {"reject"}, "comment": {"Nie potwierdzono tożsamości."}}))
	see("request-rejected", person.get("/my/requests/"+requests[0].Ticket))
	see("requests", person.get("/my/requests"))
	see("revoke-summary", person.post(at+"/revoke", url.Values{"reason": {"key-disclosed"}, "verification": {w.code(w.person, active)}}))
	see("revoke-sent", person.post(at+"/revoke/send", nil))
	requests, err = w.desk.Requests(t.Context(), w.person.ID)
	require.NoError(t, err)
	see("helpdesk-approved", clerk.post("/helpdesk/"+requests[0].Ticket, url.Values{"decision": {"approve"}}))
	see("certificate-revoked", person.get(at))
	see("forbidden", person.get("/helpdesk"))
	return pages
}

func TestEachPageIsCompleteAndAccessibleInBothLanguages(t *testing.T) {
	for _, lang := range languages {
		w := newWorld(t)
		for name, v := range everyPage(t, w, lang) {
			t.Run(lang+" "+name, func(t *testing.T) {
				if got := v.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
					t.Fatalf("%d %s: %s", v.status, got, v.body)
				}
				assert.NotContains(t, v.body, missing, "a text is missing")
				assert.NotContains(t, v.body, "%!", "a text and its arguments do not fit")
				assert.NotContains(t, v.body, "ZgotmplZ", "a value was refused by its context")
				assert.Less(t, v.status, 500)
				accessible(t, v, lang)
				headers(t, v)
			})
		}
	}
}

// accessible checks what a machine can: language, one heading of the first level, no skipped levels, labels, names, and
// references that lead somewhere.
func accessible(t *testing.T, v view, lang string) {
	t.Helper()
	root := v.find("html")[0]
	got, _ := attribute(root, "lang")
	assert.Equal(t, lang, got)
	assert.Len(t, v.find("h1"), 1, "one h1")
	assert.Len(t, v.find("main"), 1)
	title := v.find("title")
	require.Len(t, title, 1)
	assert.NotEmpty(t, strings.TrimSpace(title[0].FirstChild.Data))
	assert.Contains(t, v.body, `class="skip" href="#main"`)

	ids := map[string]int{}
	labels := map[string]bool{}
	level := 0
	for n := range v.doc().Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id, ok := attribute(n, "id"); ok {
			ids[id]++
		}
		if n.Data == "label" {
			if of, ok := attribute(n, "for"); ok {
				labels[of] = true
			}
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			next := int(n.Data[1] - '0')
			assert.LessOrEqual(t, next, level+1, "heading level skipped before %q", textOf(n))
			level = next
		}
	}
	for id, n := range ids {
		assert.Equal(t, 1, n, "id %s is used more than once", id)
	}
	for n := range v.doc().Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		kind, _ := attribute(n, "type")
		id, _ := attribute(n, "id")
		switch n.Data {
		case "input", "select", "textarea":
			if kind != "hidden" {
				assert.True(t, labels[id], "%s %q has no label", n.Data, id)
			}
		case "button", "a":
			label, _ := attribute(n, "aria-label")
			if id != "save-signed" {
				assert.NotEmpty(t, strings.TrimSpace(textOf(n)+label), "%s %q has no name", n.Data, id)
			}
		case "img":
			_, ok := attribute(n, "alt")
			assert.True(t, ok, "an image without alt")
		case "th":
			_, ok := attribute(n, "scope")
			assert.True(t, ok, "a table heading without scope")
		case "script":
			_, external := attribute(n, "src")
			assert.True(t, external || kind == "application/json", "an inline script, which the policy forbids")
		case "style":
			t.Error("an inline style sheet, which the policy forbids")
		}
		for _, a := range n.Attr {
			assert.NotEqual(t, "style", a.Key, "an inline style, which the policy forbids")
			assert.False(t, strings.HasPrefix(a.Key, "on"), "an inline handler, which the policy forbids")
			if a.Key == "aria-describedby" || a.Key == "aria-labelledby" {
				for _, to := range strings.Fields(a.Val) {
					assert.Positive(t, ids[to], "%s names %q, which is not there", a.Key, to)
				}
			}
			if a.Key == "href" && strings.HasPrefix(a.Val, "#") {
				assert.Positive(t, ids[a.Val[1:]], "a link to %s, which is not there", a.Val)
			}
		}
		if invalid, ok := attribute(n, "aria-invalid"); ok && invalid == "true" {
			by, _ := attribute(n, "aria-describedby")
			assert.Contains(t, by, id+"-error", "a wrong input must name its error")
		}
	}
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func headers(t *testing.T, v view) {
	t.Helper()
	csp := v.header.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:*;",
		"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'",
	} {
		assert.Contains(t, csp, want)
	}
	assert.NotContains(t, csp, "unsafe")
	assert.Equal(t, "nosniff", v.header.Get("X-Content-Type-Options"))
	assert.Equal(t, "same-origin", v.header.Get("Referrer-Policy"))
	assert.Equal(t, "no-store", v.header.Get("Cache-Control"))
	assert.Equal(t, "same-origin", v.header.Get("Cross-Origin-Opener-Policy"))
	assert.Contains(t, v.header.Get("Permissions-Policy"), "camera=()")
}

func TestTheListOffersWhatAStateAllows(t *testing.T) {
	assert.Equal(t, []ca.RequestKind{ca.Suspend, ca.Revoke}, actions(ca.Active))
	assert.Equal(t, []ca.RequestKind{ca.Resume, ca.Revoke}, actions(ca.Suspended))
	assert.Empty(t, actions(ca.Revoked))
	assert.Empty(t, actions(ca.Expired))
}

func TestAPersonSeesOnlyTheirOwn(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "own")
	b := w.loggedIn(w.person)
	added := b.upload("/my/documents", "document", "a.xml", declaration(t))
	other := w.loggedIn(w.stranger)
	for _, path := range []string{
		"/my/certificates/" + c.Serial, "/my/certificates/" + c.Serial + "/issued", "/my/certificates/" + c.Serial + "/certificate.cer",
		"/my/certificates/" + c.Serial + "/confirmation.pdf", "/my/certificates/" + c.Serial + "/suspend", "/my/certificates/issued?csr=" + c.CSRSHA256,
		added.url.Path, added.url.Path + "/content", added.url.Path + "/receipt", "/my/requests/CSD-2026-000001",
	} {
		assert.Equal(t, http.StatusNotFound, other.get(path).status, path)
	}
	assert.Equal(t, http.StatusNotFound, other.upload(added.url.Path+"/signed", "signed", "a.xml", []byte("<a/>")).status)
}

func TestACertificateAndItsConfirmationAreDownloadedAsFiles(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "download")
	b := w.loggedIn(w.person)
	cer := b.get("/my/certificates/" + c.Serial + "/certificate.cer")
	assert.Equal(t, "application/pkix-cert", cer.header.Get("Content-Type"))
	assert.Equal(t, string(c.DER), cer.body)
	assert.Contains(t, cer.header.Get("Content-Disposition"), "attachment")
	pdf := b.get("/my/certificates/" + c.Serial + "/confirmation.pdf")
	assert.Equal(t, "application/pdf", pdf.header.Get("Content-Type"))
	assert.True(t, strings.HasPrefix(pdf.body, "%PDF-"))
	assert.Contains(t, pdf.header.Get("Content-Security-Policy"), "sandbox")
	moved := b.get("/my/certificates/issued?csr=" + strings.ToUpper(c.CSRSHA256))
	assert.Equal(t, "/my/certificates/"+c.Serial+"/issued", moved.url.Path)
	assert.Equal(t, c.Serial, serialHex(c.X509))
}

func TestWhyACertificateCannotBeGeneratedIsSaidWithWhatToDo(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.basic)
	v := b.get("/my/certificates/generate")
	v.has(t, "needs-extended")
	v.has(t, "needs-idsisc")
	assert.Contains(t, v.text(), "Wystąp o rozszerzony zakres uprawnień")
	assert.Contains(t, v.text(), "Zarejestruj się w SISC jako osoba fizyczna")
	assert.Nil(t, v.byID("send-code"))
	for _, step := range []string{"/code", "/terms", "/agent"} {
		b.get(generatePath+step).has(t, "needs-extended")
	}

	for _, name := range []string{"one", "two", "three"} {
		w.certified(w.person, name)
	}
	v = w.loggedIn(w.person).get("/my/certificates/generate")
	v.has(t, "too-many")
	assert.Contains(t, v.text(), "Masz już 3 certyfikaty")
}
