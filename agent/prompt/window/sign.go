package window

import (
	"slices"
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

	offered []agent.CertificateView // what Certificates shows
	lost    bool                    // what was chosen went away: nothing is chosen again but by the person
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
	v.take(q.Certificates)
	return v
}

// take shows other certificates, and reports whether they are others. What was chosen stays chosen while it is there; the
// first that can be used is chosen only where there was none.
func (v *signView) take(certificates []agent.CertificateView) bool {
	if slices.Equal(certificates, v.offered) {
		return false
	}
	before, first := "", !v.Usable && !v.lost
	if c := v.chosen(); c != nil {
		before = c.Choice()
	}
	v.offered, v.Certificates, v.Usable = certificates, nil, false
	for _, c := range certificates {
		view := viewCertificate(c)
		view.Checked = c.Problem == "" && (first && !v.Usable || view.Choice() == before)
		v.Usable = v.Usable || c.Problem == ""
		v.Certificates = append(v.Certificates, view)
	}
	v.lost = v.lost || before != "" && v.chosen() == nil
	return true
}

// chosen returns the certificate that is chosen, or nil.
func (v *signView) chosen() *certificateView {
	for i := range v.Certificates {
		if v.Certificates[i].Checked {
			return &v.Certificates[i]
		}
	}
	return nil
}

// Choice names the certificate, and not only the key, in forms: what the person saw is what is chosen.
func (c certificateView) Choice() string { return c.Key + " " + c.Serial }

func (v *signView) names() (all []string) {
	for _, c := range v.Certificates {
		if c.Problem == "" {
			all = append(all, nameOf(c.Name, c.Where))
		}
	}
	return all
}

func (v *signView) keep(f form) (gone bool) {
	choice := f.get("certificate")
	if choice == "" {
		return false
	}
	for i := range v.Certificates {
		c := &v.Certificates[i]
		c.Checked = c.Problem == "" && c.Choice() == choice
	}
	v.lost = v.chosen() == nil
	return v.lost
}

// answer reads the form: only a certificate that was offered and can be used is accepted.
func (v *signView) answer(f form) (agent.SigningAnswer, string) {
	if f.get("certificate") == "" || v.keep(f) {
		return agent.SigningAnswer{}, "sign.error.choose"
	}
	return agent.SigningAnswer{Key: v.chosen().Key}, ""
}
