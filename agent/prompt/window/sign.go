package window

import (
	"strconv"
	"sync"

	"certsign/agent"
	"certsign/agent/prompt/preview"
	"certsign/agent/prompt/wording"
)

// signView is the page that asks for a signature.
type signView struct {
	Title        string
	Origin       originView
	Site         string
	Documents    []*documentView
	Format       string
	Level        string
	Certificates []certificateView
	Usable       bool // there is a certificate to sign with
}

// documentView is a document; it is read when it is shown.
type documentView struct {
	agent.DocumentView
	Number int // from 1
	Of     int
	read   func() preview.Document
}

// Preview is the document's view, for templates.
func (d *documentView) Preview() preview.Document { return d.read() }

// ID is the document's number in paths.
func (d *documentView) ID() string { return strconv.Itoa(d.Number - 1) }

func signPage(l wording.Language, q agent.SigningQuestion) *signView {
	v := &signView{
		Title:  l.Text("sign.title.one"),
		Origin: viewOrigin(l, q.Origin), Site: q.Site, Format: q.Format, Level: q.Level,
	}
	if len(q.Documents) != 1 {
		v.Title = l.Count("sign.title", len(q.Documents))
	}
	for i, d := range q.Documents {
		v.Documents = append(v.Documents, &documentView{DocumentView: d, Number: i + 1, Of: len(q.Documents),
			read: sync.OnceValue(func() preview.Document { return preview.Read(d.Content, d.Size, preview.Limits{}) })})
	}
	for _, c := range q.Certificates {
		view := viewCertificate(c)
		view.Checked = c.Problem == "" && !v.Usable
		v.Usable = v.Usable || view.Checked
		v.Certificates = append(v.Certificates, view)
	}
	return v
}

// answer reads the form: only a certificate that was offered and can be used is accepted.
func (v *signView) answer(f form) (agent.SigningAnswer, string) {
	for i := range v.Certificates {
		if c := v.Certificates[i]; c.Problem == "" && c.Key == f.get("certificate") {
			return agent.SigningAnswer{Key: c.Key}, ""
		}
	}
	return agent.SigningAnswer{}, "sign.error.choose"
}
