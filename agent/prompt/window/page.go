package window

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"certsign/agent"
	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

//go:embed html
var pages embed.FS

// templates are parsed once per language: each has its own words.
var templates = map[wording.Language]*template.Template{
	wording.Polish:  parseTemplates(wording.Polish),
	wording.English: parseTemplates(wording.English),
}

func parseTemplates(l wording.Language) *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"t":           l.Text,
		"count":       l.Count,
		"lang":        func() string { return string(l) },
		"visible":     wording.Visible,
		"visibletext": wording.VisibleText,
		"quote":       l.Quote,
		"fingerprint": wording.Fingerprint,
		"date":        l.Date,
		"size":        l.Size,
		"reason":      l.Reason,
		"name":        wording.DistinguishedName,
		"add":         func(a, b int) int { return a + b },
	}).ParseFS(pages, "html/*.html"))
}

// frame is what every page gets.
type frame struct {
	View     any
	Wrong    string // the key of a text: why the last answer could not be accepted
	Revision int    // of the list in it
	Watched  bool   // the list changes by itself
	News     string // what is said of a new list
	Gone     bool   // what was chosen is not in it
}

func (s *session) render(w http.ResponseWriter, status int, page string, f frame) {
	var b bytes.Buffer
	if err := templates[s.w.lang].ExecuteTemplate(&b, page, f); err != nil {
		s.w.log.Error("window page", "page", page, "err", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentHTML)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// originView is a page's origin for people.
type originView struct {
	Text     string
	Punycode bool // it has a name in other letters, of which the ASCII form is shown
}

func viewOrigin(l wording.Language, o agent.Origin) originView {
	return originView{Text: l.OriginName(o), Punycode: strings.Contains(o.String(), "xn--")}
}

type originQuestion struct{ Origin originView }

func originPage(l wording.Language, q agent.OriginQuestion) originQuestion {
	return originQuestion{Origin: viewOrigin(l, q.Origin)}
}

// noticeView is something to tell.
type noticeView struct {
	Kind        agent.NoticeKind
	Title       string
	Origin      originView
	Certificate *certificateView
	Documents   string
	Problem     *problem.Entry
	Brief       bool
	Copied      bool // whether a new key can be copied from here
}

func noticePage(l wording.Language, n agent.Notice) (noticeView, time.Duration) {
	v := noticeView{Kind: n.Kind, Origin: viewOrigin(l, n.Origin)}
	if n.Certificate != nil {
		c := viewCertificate(*n.Certificate)
		v.Certificate = &c
	}
	switch n.Kind {
	case agent.NoticeEnrolled:
		v.Title, v.Copied = l.Text("notice.enrolled.title"), n.Copy != nil
	case agent.NoticeSigned:
		v.Title, v.Brief = l.Text("notice.signed.title"), true
		v.Documents = l.Count("documents", n.Documents)
		return v, briefLife
	default:
		v.Title = l.Text("notice.failed.title")
		e := problem.Describe(problem.CodeOf(n.Problem), string(l))
		v.Problem = &e
	}
	return v, noticeLife
}

// certificateView is a certificate with what a person looks for first.
type certificateView struct {
	agent.CertificateView
	Name    string // the subject's common name, or all of it
	Soon    bool   // less than 30 days left
	Checked bool
}

func viewCertificate(c agent.CertificateView) certificateView {
	return certificateView{CertificateView: c, Name: wording.CommonName(c.Subject), Soon: c.DaysLeft < wording.Soon}
}
