package portal

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"certsign/ca"
	"certsign/internal/problem"
)

// previewed is how much of a document a page shows, in octets.
const previewed = 64 << 10

type documentView struct {
	ca.Document
	Preview   string
	Shortened bool
	Receipt   bool
	CanSign   bool
	CanRemove bool
}

type documentList struct {
	Documents []ca.Document
	Max       int
}

func (p *portal) getDocuments(w http.ResponseWriter, r *http.Request) error {
	return p.showDocuments(w, r, http.StatusOK, nil)
}

func (p *portal) showDocuments(w http.ResponseWriter, r *http.Request, status int, wrong *shown) error {
	documents, err := p.Desk.Documents(r.Context(), account(r.Context()).ID)
	if err != nil {
		return err
	}
	return p.show(w, r, status, "documents", documentList{documents, int(p.MaxDocument)}, wrong)
}

func (p *portal) postDocuments(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	lang := langOf(ctx)
	name, content, err := p.upload(r, "document", p.MaxDocument)
	if errors.Is(err, errNoFile) {
		return p.showDocuments(w, r, http.StatusUnprocessableEntity, p.wrong(lang, "document.missing", "document"))
	}
	if err == nil {
		var d *ca.Document
		if d, err = p.Desk.AddDocument(ctx, account(ctx).ID, name, "application/xml", content); err == nil {
			p.flash(ctx, "document.added")
			http.Redirect(w, r, "/my/documents/"+d.ID, http.StatusSeeOther)
			return nil
		}
	}
	err = asProblem(err)
	if problem.CodeOf(err) == problem.RateLimited {
		return p.showDocuments(w, r, http.StatusTooManyRequests, p.wrong(lang, "documents.full", "document"))
	}
	if code := problem.CodeOf(err); code != problem.Internal {
		return p.showDocuments(w, r, statusOf(code), describe(lang, err).at("document"))
	}
	return err
}

func (p *portal) document(r *http.Request) (*ca.Document, error) {
	return p.Desk.Document(r.Context(), account(r.Context()).ID, r.PathValue("id"))
}

func (p *portal) getDocument(w http.ResponseWriter, r *http.Request) error {
	d, err := p.document(r)
	if err != nil {
		return err
	}
	return p.showDocument(w, r, http.StatusOK, d, nil)
}

func (p *portal) showDocument(w http.ResponseWriter, r *http.Request, status int, d *ca.Document, wrong *shown) error {
	v := documentView{Document: *d, Receipt: len(d.Receipt) > 0, CanSign: d.State != ca.Sent, CanRemove: d.State == ca.Draft}
	v.Preview, v.Shortened = preview(d.Content)
	return p.show(w, r, status, "document", v, wrong)
}

func (p *portal) postDocumentRemove(w http.ResponseWriter, r *http.Request) error {
	if err := p.Desk.RemoveDocument(r.Context(), account(r.Context()).ID, r.PathValue("id")); err != nil {
		return err
	}
	p.flash(r.Context(), "document.removed")
	http.Redirect(w, r, "/my/documents", http.StatusSeeOther)
	return nil
}

// preview returns the beginning of a document as text. Bytes that are no UTF-8 and characters that change how text is
// shown (controls, direction marks) are replaced, so that what is shown is what stands there.
func preview(content []byte) (string, bool) {
	shortened := len(content) > previewed
	if shortened {
		content = content[:previewed]
		for i := 0; i < utf8.UTFMax && len(content) > 0 && !utf8.Valid(content[len(content)-1:]) && !utf8.RuneStart(content[len(content)-1]); i++ {
			content = content[:len(content)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' || (unicode.IsPrint(r) && !unicode.Is(unicode.Cf, r)) || r == '\u00a0' {
			return r
		}
		return utf8.RuneError
	}, strings.ToValidUTF8(string(content), "\ufffd")), shortened
}

func (p *portal) getDocumentContent(w http.ResponseWriter, r *http.Request) error {
	d, err := p.document(r)
	if err != nil {
		return err
	}
	return download(w, "application/octet-stream", d.Name, d.Content)
}

func (p *portal) getDocumentSigned(w http.ResponseWriter, r *http.Request) error {
	d, err := p.document(r)
	if err != nil {
		return err
	}
	if len(d.Signed) == 0 {
		return problem.New(problem.NotFound, "the document was not signed yet")
	}
	return download(w, "application/octet-stream", suffixed(d.Name, "signed"), d.Signed)
}

func (p *portal) getDocumentReceipt(w http.ResponseWriter, r *http.Request) error {
	d, err := p.document(r)
	if err != nil {
		return err
	}
	if len(d.Receipt) == 0 {
		return problem.New(problem.NotFound, "the document has no receipt")
	}
	return download(w, "application/xml", suffixed(d.Name, "receipt"), d.Receipt)
}

func suffixed(name, suffix string) string {
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "-" + suffix + ".xml"
}

// postDocumentSigned takes a document that was signed outside the page, for example by "certsign sign".
func (p *portal) postDocumentSigned(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	d, err := p.document(r)
	if err != nil {
		return err
	}
	_, signed, err := p.upload(r, "signed", p.maxSigned)
	if errors.Is(err, errNoFile) {
		return p.showDocument(w, r, http.StatusUnprocessableEntity, d, p.wrong(langOf(ctx), "document.missing", "signed"))
	}
	if err != nil {
		return err
	}
	if _, err := p.submit(r, signed); err != nil {
		err = asProblem(err)
		if code := problem.CodeOf(err); code != problem.Internal && code != problem.NotFound {
			return p.showDocument(w, r, statusOf(code), d, describe(langOf(ctx), err).at("signed"))
		}
		return err
	}
	http.Redirect(w, r, "/my/documents/"+d.ID, http.StatusSeeOther)
	return nil
}

func (p *portal) submit(r *http.Request, signed []byte) (*ca.Document, error) {
	ctx := r.Context()
	var d *ca.Document
	err := p.judging(ctx, func() (err error) {
		d, err = p.Desk.Submit(ctx, account(ctx).ID, r.PathValue("id"), signed)
		return err
	})
	if err != nil {
		return nil, err
	}
	if d.State == ca.Sent {
		p.flash(ctx, "document.sent")
	}
	return d, nil
}

var errNoFile = errors.New("no file in the form")

// upload reads the one file of a multipart form, bounded, in memory: nothing of it touches the disk.
func (p *portal) upload(r *http.Request, field string, limit int64) (name string, content []byte, err error) {
	reader, err := r.MultipartReader()
	if err != nil {
		return "", nil, problem.Wrap(problem.BadRequest, err, "the form is not multipart/form-data")
	}
	for parts := 0; parts < 10; parts++ {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return "", nil, errNoFile
		}
		if err != nil {
			return "", nil, malformed(err)
		}
		if part.FormName() != field {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return "", nil, malformed(err)
		}
		if int64(len(content)) > limit {
			return "", nil, problem.New(problem.TooLarge, "more than %d octets", limit)
		}
		if len(content) == 0 {
			return "", nil, errNoFile
		}
		return fileName(part), content, nil
	}
	return "", nil, errNoFile
}

func malformed(err error) error {
	if p := asProblem(err); problem.CodeOf(p) != problem.Internal {
		return p
	}
	return problem.Wrap(problem.BadRequest, err, "the form is malformed")
}

// fileName is the uploaded file's name for display: no folders, no controls, at most 120 characters.
func fileName(part *multipart.Part) string {
	name := part.FileName()
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 120 {
		name = string(runes[len(runes)-120:])
	}
	if name = strings.TrimSpace(name); name == "" || name == "." || name == ".." {
		return "document.xml"
	}
	return name
}
