package agent

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"certsign/internal/ades"
	"certsign/internal/problem"
)

// doSign is the page's way to a signature: declare, hand in, wait for the person, fetch.
func (a *Agent) doSign(ctx context.Context, c caller, params json.RawMessage) (any, error) {
	if err := c.may(MaySign); err != nil {
		return nil, err
	}
	var p SignParams
	if err := readParams(params, &p); err != nil {
		return nil, err
	}
	order, err := a.readOrder(p)
	if err != nil {
		return nil, err
	}
	if err := a.approval.patient(c.origin); err != nil {
		return nil, err
	}
	pieces, done, err := a.collect(ctx, c, p.Documents)
	defer done()
	if err != nil {
		return nil, err
	}
	who, err := a.sign(ctx, c, order, pieces)
	if err != nil {
		return nil, err
	}
	return a.handOut(ctx, c, order, who, pieces)
}

// readOrder checks what a page asks for before anything is taken from it.
func (a *Agent) readOrder(p SignParams) (SignOrder, error) {
	if err := noRequest(p.Request); err != nil {
		return SignOrder{}, err
	}
	order := SignOrder{Format: p.Format, Packaging: ades.Packaging(p.Packaging), Level: ades.Level(p.Level)}
	if order.Format == "" {
		order.Format = wireFormat(ades.XAdES)
	}
	if order.Packaging == "" {
		order.Packaging = ades.Enveloped
	}
	if order.Level == "" {
		order.Level = ades.LevelBB
	}
	if _, err := a.codec(order.Format); err != nil {
		return order, err
	}
	switch order.Packaging {
	case ades.Enveloped, ades.Enveloping, ades.Detached:
	default:
		return order, problem.New(problem.Unsupported, "no packaging %.40q", p.Packaging)
	}
	switch order.Level {
	case ades.LevelBB, ades.LevelBT, ades.LevelBLT, ades.LevelBLTA:
	default:
		return order, problem.New(problem.Unsupported, "no level %.40q", p.Level)
	}
	if len(p.Documents) == 0 {
		return order, problem.New(problem.BadRequest, "there is no document")
	}
	if len(p.Documents) > a.limits.Documents {
		return order, problem.New(problem.TooLarge, "there are more than %d documents", a.limits.Documents)
	}
	limit, total := a.sizeLimit(order.Packaging), int64(0)
	for n, d := range p.Documents {
		if !plainName(d.Name) {
			return order, problem.New(problem.BadRequest, "document %d has no name that can be shown", n)
		}
		if len(d.MIME) > 255 || !plainName(d.MIME+"x") {
			return order, problem.New(problem.BadRequest, "document %d has a broken media type", n)
		}
		if raw, err := hex.DecodeString(d.SHA256); err != nil || len(raw) != 32 {
			return order, problem.New(problem.BadRequest, "document %d has no SHA-256", n)
		}
		if d.Size < 0 {
			return order, problem.New(problem.BadRequest, "document %d has no size", n)
		}
		if d.Size > limit {
			return order, problem.New(problem.TooLarge, "document %d is longer than %d octets", n, limit)
		}
		if total += d.Size; total > max(a.limits.Detached, limit) {
			return order, problem.New(problem.TooLarge, "the documents together are too long")
		}
	}
	return order, nil
}

// plainName tells whether a page's word can be shown as it is: no control characters, and none that turn the direction of
// writing and so make another name of it.
func plainName(s string) bool {
	if s == "" || len(s) > 1024 || utf8.RuneCountInString(s) > 255 || !utf8.ValidString(s) || strings.TrimSpace(s) == "" {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

// collect issues the tickets and waits for the documents. done removes what was handed in, and must be called always.
func (a *Agent) collect(ctx context.Context, c caller, docs []SignDocument) (pieces []*piece, done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, a.limits.Upload)
	names := make([]string, len(docs))
	arrived := make([]chan error, len(docs))
	for n, d := range docs {
		b := a.spool.new()
		arrived[n] = make(chan error, 1)
		u := &upload{name: d.Name, size: d.Size, sha256: strings.ToLower(d.SHA256), blob: b, done: arrived[n], ctx: ctx}
		names[n] = a.tickets.issue(&ticket{origin: c.origin, expires: a.now().Add(a.limits.Upload), upload: u})
		pieces = append(pieces, &piece{doc: ades.Document{Name: d.Name, MIME: d.MIME, Content: b}, sha256: u.sha256})
	}
	done = func() {
		cancel()
		for n, name := range names {
			a.tickets.drop(name)
			pieces[n].doc.Content.(*blob).remove()
		}
	}
	c.event(EventTickets, map[string]any{"uploads": names})
	for n := range docs {
		select {
		case pieces[n].err = <-arrived[n]:
			if pieces[n].err == nil {
				c.event(EventProgress, map[string]any{"document": n, "state": "uploaded"})
			}
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				return pieces, done, problem.New(problem.Timeout, "the documents did not come in time")
			}
			return pieces, done, ctx.Err()
		}
	}
	return pieces, done, nil
}

// handOut gives each result a ticket. Results end with the page, or after their time.
func (a *Agent) handOut(ctx context.Context, c caller, order SignOrder, who Identity, pieces []*piece) (SignResult, error) {
	if err := ctx.Err(); err != nil {
		removeResults(pieces)
		return SignResult{}, err
	}
	r := SignResult{Certificate: who.base64()}
	for _, p := range pieces {
		if p.err != nil {
			r.Results = append(r.Results, DocumentResult{Name: p.doc.Name, Error: a.wireError(p.err)})
			continue
		}
		res := &Result{Name: p.resultName(order), MIME: resultMIME(order, p.doc), Size: p.result.Size(), blob: p.result}
		name := a.tickets.issue(&ticket{origin: c.origin, expires: a.now().Add(a.limits.Result), result: res})
		c.page.mu.Lock()
		c.page.results = append(c.page.results, name)
		c.page.mu.Unlock()
		r.Results = append(r.Results, DocumentResult{Ticket: name, Name: res.Name, Size: res.Size, SHA256: p.resultSHA256})
	}
	return r, nil
}

// resultName is what a signed document is called: "declaration.xml" becomes "declaration.signed.xml"; a detached
// signature stands beside its document as "declaration.xml.xades.xml".
func (p *piece) resultName(order SignOrder) string {
	name := p.doc.Name
	ext := map[ades.Format]string{ades.XAdES: ".xml", ades.CAdES: ".p7m", ades.PAdES: ".pdf", ades.ASiCE: ".asice", ades.ASiCS: ".asics"}
	for f, e := range ext {
		if !strings.EqualFold(string(f), order.Format) {
			continue
		}
		if order.Packaging == ades.Detached && f == ades.XAdES {
			return name + ".xades.xml"
		}
		if order.Packaging == ades.Detached && f == ades.CAdES {
			return name + ".p7s"
		}
		if strings.EqualFold(path.Ext(name), e) {
			return name[:len(name)-len(e)] + ".signed" + name[len(name)-len(e):]
		}
		return name + e
	}
	return name + ".signed"
}

func resultMIME(order SignOrder, d ades.Document) string {
	switch f := ades.Format(order.Format); {
	case strings.EqualFold(string(f), string(ades.XAdES)):
		return "application/xml"
	case strings.EqualFold(string(f), string(ades.PAdES)):
		return "application/pdf"
	case strings.EqualFold(string(f), string(ades.ASiCE)):
		return "application/vnd.etsi.asic-e+zip"
	case strings.EqualFold(string(f), string(ades.ASiCS)):
		return "application/vnd.etsi.asic-s+zip"
	}
	return "application/octet-stream"
}
