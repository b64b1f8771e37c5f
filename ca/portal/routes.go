package portal

import (
	"net/http"
	"strings"
)

// action handles a request; an error becomes a page or problem+json.
type action func(http.ResponseWriter, *http.Request) error

// route is one line of the portal's table.
type route struct {
	pattern string
	action  action
}

// pages are the routes that render HTML or download a file, with a session.
func (p *portal) pages() []route {
	rs := []route{
		{"GET /{$}", p.getHome},
		{"GET /login", p.getLogin},
		{"POST /login", p.postLogin},
		{"POST /logout", p.postLogout},
		{"POST /language", p.postLanguage},
		{"GET /download", p.getDownload},
		{"GET /docs/{name}", p.getDocumentation},
		{"GET /verify", p.getVerify},
		{"POST /verify", p.postVerify},

		{"GET /my", p.person(p.getDesktop)},
		{"GET /my/data", p.person(p.getMyData)},
		{"GET /my/requests", p.person(p.getRequests)},
		{"GET /my/requests/{ticket}", p.person(p.getRequest)},

		{"GET /my/certificates", p.person(p.getCertificates)},
		{"GET /my/certificates/issued", p.person(p.getIssuedFor)},
		{"GET /my/certificates/{serial}", p.person(p.getCertificate)},
		{"GET /my/certificates/{serial}/issued", p.person(p.getIssued)},
		{"GET /my/certificates/{serial}/certificate.cer", p.person(p.getCertificateFile)},
		{"GET /my/certificates/{serial}/confirmation.pdf", p.person(p.getConfirmation)},

		{"GET /my/certificates/generate", p.person(p.getGenerate)},
		{"GET /my/certificates/generate/code", p.person(p.getGenerateCode)},
		{"POST /my/certificates/generate/send-code", p.person(p.postGenerateSendCode)},
		{"POST /my/certificates/generate/code", p.person(p.postGenerateCode)},
		{"GET /my/certificates/generate/terms", p.person(p.getGenerateTerms)},
		{"POST /my/certificates/generate/terms", p.person(p.postGenerateTerms)},
		{"GET /my/certificates/generate/agent", p.person(p.getGenerateAgent)},

		{"GET /my/documents", p.person(p.getDocuments)},
		{"POST /my/documents", p.person(p.postDocuments)},
		{"GET /my/documents/{id}", p.person(p.getDocument)},
		{"GET /my/documents/{id}/content", p.person(p.getDocumentContent)},
		{"GET /my/documents/{id}/signed", p.person(p.getDocumentSigned)},
		{"POST /my/documents/{id}/signed", p.person(p.postDocumentSigned)},
		{"POST /my/documents/{id}/remove", p.person(p.postDocumentRemove)},
		{"GET /my/documents/{id}/receipt", p.person(p.getDocumentReceipt)},

		{"GET /helpdesk", p.clerk(p.getHelpDesk)},
		{"POST /helpdesk/{ticket}", p.clerk(p.postHelpDesk)},
	}
	for _, kind := range kinds {
		at := " /my/certificates/{serial}/" + string(kind)
		rs = append(rs,
			route{"GET" + at, p.person(p.getWish(kind))},
			route{"POST" + at, p.person(p.postWish(kind))},
			route{"GET" + at + "/summary", p.person(p.getWishSummary(kind))},
			route{"POST" + at + "/send", p.person(p.postWishSend(kind))},
		)
	}
	rs = append(rs,
		route{"POST /my/certificates/{serial}/resume/send-code", p.person(p.postResumeSendCode)},
		route{"POST /my/certificates/{serial}/resume/code", p.person(p.postResumeCode)},
	)
	if p.Mailbox {
		rs = append(rs, route{"GET /mailbox", p.getMailbox})
	}
	return rs
}

// api are the JSON routes with a session; openapi.json describes them and those of bearerAPI.
func (p *portal) api() []route {
	return []route{
		{"GET /api/v1/session", p.apiSession},
		{"POST /api/v1/enrolments", p.person(p.apiEnroll)},
		{"POST /api/v1/documents/{id}/signed", p.person(p.apiSubmit)},
	}
}

// bearerAPI are the JSON routes without a session.
func (p *portal) bearerAPI() []route {
	return []route{
		{"GET /api/v1/enrolments/{csrSHA256}", p.apiIssued},
		{"GET /api/v1/openapi.json", p.apiDescription},
	}
}

func (p *portal) routes() http.Handler {
	with := http.NewServeMux()
	for _, r := range append(p.pages(), p.api()...) {
		with.Handle(r.pattern, p.handle(r.action))
	}
	with.Handle("/", p.handle(p.notFound))
	inSession := p.sessions.LoadAndSave(p.withAccount(with))

	top := http.NewServeMux()
	for _, r := range p.bearerAPI() {
		top.Handle(r.pattern, p.handle(r.action))
	}
	top.HandleFunc("GET /static/{name}", p.assets.serve)
	top.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.assets.url("favicon.svg"), http.StatusMovedPermanently)
	})
	top.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("User-agent: *\nDisallow: /my/\nDisallow: /helpdesk\n"))
	})
	top.Handle("/", inSession)
	return top
}

func (p *portal) handle(a action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a(w, r); err != nil {
			p.fail(w, r, err)
		}
	})
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
