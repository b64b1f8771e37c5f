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
		"name":        distinguishedName,
		"add":         func(a, b int) int { return a + b },
	}).ParseFS(pages, "html/*.html"))
}

// frame is what every page gets.
type frame struct {
	View  any
	Wrong string // the key of a text: why the last answer could not be accepted
}

func (s *session) render(w http.ResponseWriter, status int, page string, view any, wrong string) {
	var b bytes.Buffer
	if err := templates[s.w.lang].ExecuteTemplate(&b, page+".html", frame{View: view, Wrong: wrong}); err != nil {
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
	if o == agent.LocalOrigin {
		return originView{Text: l.Text("origin.local")}
	}
	return originView{Text: o.Display(), Punycode: strings.Contains(o.String(), "xn--")}
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
	Local       bool
	Certificate *certificateView
	Documents   string
	Problem     *problem.Entry
	Brief       bool
}

func noticePage(l wording.Language, n agent.Notice) (noticeView, time.Duration) {
	v := noticeView{Kind: n.Kind, Origin: viewOrigin(l, n.Origin)}
	if n.Certificate != nil {
		c := viewCertificate(*n.Certificate)
		v.Certificate = &c
	}
	switch n.Kind {
	case agent.NoticeEnrolled:
		v.Title = l.Text("notice.enrolled.title")
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

// soon is when a certificate is worth replacing.
const soon = 30

func viewCertificate(c agent.CertificateView) certificateView {
	return certificateView{CertificateView: c, Name: commonName(c.Subject), Soon: c.DaysLeft < soon}
}

// commonName returns the first CN of a distinguished name (RFC 4514), or the whole name when it has none.
func commonName(subject string) string {
	rest := subject
	for rest != "" {
		end := attributeEnd(rest)
		part := strings.TrimLeft(rest[:end], " ")
		if len(part) > 3 && strings.EqualFold(part[:3], "CN=") {
			return unescapeName(part[3:])
		}
		rest = strings.TrimLeft(rest[end:], ",+;")
	}
	return subject
}

// distinguishedName returns a name with a space after each separator, so that it can be read and broken into lines.
func distinguishedName(name string) string {
	var parts []string
	for name != "" {
		end := attributeEnd(name)
		if end < len(name) {
			end++
		}
		parts = append(parts, strings.TrimSpace(name[:end]))
		name = name[end:]
	}
	return wording.Visible(strings.Join(parts, " "))
}

// attributeEnd returns where the first attribute ends: at a separator that is neither escaped nor quoted.
func attributeEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ',', '+', ';':
			if !quoted {
				return i
			}
		}
	}
	return len(s)
}

// unescapeName undoes a backslash before a character; hexadecimal pairs stay as they are.
func unescapeName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,+"\<>;= #`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return strings.Trim(b.String(), `"`)
}
