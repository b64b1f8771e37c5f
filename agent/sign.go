package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"certsign/internal/ades"
	"certsign/internal/problem"
)

// SignOrder is what shall be signed, and how.
type SignOrder struct {
	Documents []ades.Document
	Format    string // as Codec.Format, in any case
	Packaging ades.Packaging
	Level     ades.Level
	Profile   string
}

// Signed is what became of one document of an order: content, or an error.
type Signed struct {
	Name    string
	SHA256  string // hex, of the content
	Content ades.Content
	Err     error

	blob *blob
}

// Remove deletes the content.
func (s Signed) Remove() { s.blob.remove() }

// Shown documents: more than this is approved by name, size and digest alone.
const (
	maxShown    = 16 << 20
	maxShownAll = 64 << 20
)

// SignLocal signs for the person's own shell: the call is the consent, and the Prompter that the command wired answers
// for it. The caller removes each result.
func (a *Agent) SignLocal(ctx context.Context, order SignOrder) ([]Signed, Identity, error) {
	c := caller{origin: LocalOrigin}
	if err := a.record(Entry{Event: LogRequest, Origin: LocalOrigin.String(), Method: MethodSign}); err != nil {
		return nil, Identity{}, err
	}
	pieces := make([]*piece, len(order.Documents))
	for n, d := range order.Documents {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(d.Content, 0, d.Content.Size())); err != nil {
			return nil, Identity{}, problem.Wrap(problem.DocumentUnreadable, err, "%s cannot be read", d.Name)
		}
		pieces[n] = &piece{doc: d, sha256: hex.EncodeToString(sum.Sum(nil))}
		if limit := a.sizeLimit(order.Packaging); d.Content.Size() > limit {
			pieces[n].err = problem.New(problem.TooLarge, "the document is longer than %d octets", limit)
		}
	}
	who, err := a.sign(ctx, c, order, pieces)
	if err != nil {
		if jerr := a.record(Entry{Event: LogRefused, Origin: LocalOrigin.String(), Method: MethodSign, Code: string(problem.CodeOf(err))}); jerr != nil {
			return nil, Identity{}, jerr
		}
		return nil, Identity{}, err
	}
	out := make([]Signed, len(pieces))
	for n, p := range pieces {
		out[n] = Signed{Name: p.resultName(order), Err: p.err, SHA256: p.resultSHA256, blob: p.result}
		if p.result != nil {
			out[n].Content = p.result
		}
	}
	return out, who, nil
}

// sizeLimit is how long a document may be: what is not detached is held in memory.
func (a *Agent) sizeLimit(p ades.Packaging) int64 {
	if p == ades.Detached {
		return a.limits.Detached
	}
	return a.limits.XML
}

// piece is one document on its way through an order.
type piece struct {
	doc    ades.Document
	sha256 string // of what was handed in and is approved, hex
	err    error

	result       *blob
	resultSHA256 string
}

// sign asks for consent and signs. What is wrong with one document is that piece's err; the returned error ends all.
func (a *Agent) sign(ctx context.Context, c caller, order SignOrder, pieces []*piece) (Identity, error) {
	codec, err := a.codec(order.Format)
	if err != nil {
		return Identity{}, err
	}
	offered := &lookout[offer]{look: func(ctx context.Context) offer { return a.offer(ctx, c.site) }}
	first := offered.again(ctx)
	ids, views := first.ids, first.views
	best := slices.IndexFunc(views, func(v CertificateView) bool { return v.Problem == "" })
	switch {
	case len(ids) == 0:
		return Identity{}, problem.New(problem.NoCertificate, "there is no certificate to sign with")
	case best < 0:
		return Identity{}, problem.New(problem.Code(views[0].Problem), "no certificate can be used now")
	}
	// Reading takes many times a document's size in memory: one at a time, over all pages.
	read, err := a.reading.enter(ctx)
	if err != nil {
		return Identity{}, err
	}
	good := a.rehearse(ctx, codec, order, ids[best], pieces)
	read()
	if len(good) == 0 {
		return Identity{}, pieces[0].err
	}
	// One sitting: nobody else's question comes between the consent and the PIN.
	leave, err := a.asking.enter(ctx)
	if err != nil {
		return Identity{}, err
	}
	defer leave()
	who, err := a.consent(ctx, c, codec, order, good, offered)
	if err != nil {
		return Identity{}, err
	}
	if err := a.signPieces(ctx, c, codec, order, who, pieces, good); err != nil {
		return Identity{}, err
	}
	a.report(ctx, c, who, good)
	return who, nil
}

// errRehearsal ends a rehearsal where the real signature would be made.
var errRehearsal = errors.New("rehearsal")

type rehearsalKey struct {
	public  crypto.PublicKey
	reached bool
}

func (k *rehearsalKey) Public() crypto.PublicKey { return k.public }
func (k *rehearsalKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	k.reached = true
	return nil, errRehearsal
}

// rehearse runs the format up to the signature itself, so that a document that cannot be signed is known before the
// person is asked. It returns the pieces that can.
func (a *Agent) rehearse(ctx context.Context, codec ades.Codec, order SignOrder, who Identity, pieces []*piece) []*piece {
	var good []*piece
	for n, p := range pieces {
		if p.err == nil {
			key := &rehearsalKey{public: who.Certificate.PublicKey}
			err := codec.Sign(ctx, io.Discard, p.request(order, key, who, a))
			if !key.reached && err == nil {
				err = fmt.Errorf("format %s signed without its key", order.Format)
			}
			if !key.reached {
				p.fail(a, n, err)
			}
		}
		if p.err == nil {
			good = append(good, p)
		}
	}
	return good
}

func (p *piece) fail(a *Agent, n int, err error) {
	if problem.CodeOf(err) == problem.Internal {
		a.log.Error("sign", "document", n, "err", err)
	}
	p.err = err
}

func (p *piece) request(order SignOrder, key crypto.Signer, who Identity, a *Agent) ades.SignRequest {
	return ades.SignRequest{
		Document: p.doc, Packaging: order.Packaging, Level: order.Level, Profile: order.Profile,
		Key: key, Chain: who.Key.Chain, Time: a.now().UTC(),
	}
}

// consent shows the very bytes that will be signed and returns the certificate that the person chose.
func (a *Agent) consent(ctx context.Context, c caller, codec ades.Codec, order SignOrder, good []*piece, offered *lookout[offer]) (Identity, error) {
	q := SigningQuestion{Origin: c.origin, Site: c.site.Name, Format: string(codec.Format()), Level: string(order.Level),
		Certificates: offered.last().views, Watch: a.watch(),
		Look: func(ctx context.Context) []CertificateView { return offered.again(ctx).views }}
	left := int64(maxShownAll)
	for _, p := range good {
		v := DocumentView{Name: p.doc.Name, MIME: p.doc.MIME, Size: p.doc.Content.Size(), SHA256: p.sha256}
		if v.Size <= min(maxShown, left) {
			v.Content = make([]byte, v.Size)
			if _, err := p.doc.Content.ReadAt(v.Content, 0); err != nil && !errors.Is(err, io.EOF) {
				return Identity{}, problem.Wrap(problem.DocumentUnreadable, err, "the document cannot be read")
			}
			if sum := sha256.Sum256(v.Content); hex.EncodeToString(sum[:]) != p.sha256 {
				return Identity{}, problem.New(problem.IntegrityFailed, "the document changed before it was shown")
			}
			left -= v.Size
		}
		q.Documents = append(q.Documents, v)
	}
	if err := a.approval.patient(c.origin); err != nil {
		return Identity{}, err
	}
	c.awaiting("consent")
	open, end := context.WithCancel(ctx) // whatever watches ends with the question
	answer, err := a.prompter.ApproveSigning(open, q)
	end()
	if err == nil {
		err = ctx.Err()
	}
	log := Entry{Event: LogConsent, Origin: c.origin.String(), Request: c.request, Method: MethodSign, Documents: entryDocuments(good), Format: order.Format}
	if err != nil {
		if ctx.Err() == nil && problem.CodeOf(err) == problem.UserCancelled {
			a.approval.declined(c.origin)
		}
		log.Event, log.Code = LogConsentRefused, string(problem.CodeOf(err))
		return Identity{}, errors.Join(err, a.record(log))
	}
	a.approval.accepted(c.origin)
	now := offered.last()
	ids, views := now.ids, now.views
	n := slices.IndexFunc(views, func(v CertificateView) bool { return v.Key == answer.Key && v.Problem == "" })
	if n < 0 {
		return Identity{}, problem.New(problem.NoCertificate, "the chosen certificate cannot be used")
	}
	log.Store, log.Key, log.Certificate = ids[n].Key.Store, ids[n].Key.ID, views[n].Serial
	return ids[n], a.record(log)
}

// signPieces opens the key once and signs each approved document. A wrong PIN or a key that stops working ends the batch:
// the documents after it fail with the same error, and no further try is spent.
func (a *Agent) signPieces(ctx context.Context, c caller, codec ades.Codec, order SignOrder, who Identity, pieces, good []*piece) error {
	store, err := a.store(who.Key.Store)
	if err != nil {
		return err
	}
	consent := newConsent(who.Key.Store, who.Key.ID, len(good))
	defer consent.revoke()
	names := make([]string, len(good))
	for n, p := range good {
		names[n] = p.doc.Name
	}
	var session Session
	err = a.withPIN(ctx, c, askFor{purpose: PurposeSign, document: documentLabel(names)}, func(ask AskPIN) error {
		var err error
		session, err = store.Open(ctx, who.Key.ID, consent, ask)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err := session.Close(); err != nil {
			a.log.Warn("close key", "err", err)
		}
	}()
	var broken error
	for n, p := range pieces {
		if p.err != nil {
			c.event(EventProgress, map[string]any{"document": n, "state": "failed"})
			continue
		}
		if err := ctx.Err(); err != nil {
			removeResults(pieces)
			return err
		}
		state := "signed"
		if broken != nil {
			p.err = broken
		} else {
			key := &approvedKey{session: session, public: who.Certificate.PublicKey}
			if err := a.signPiece(ctx, codec, order, who, key, p); err != nil {
				p.fail(a, n, err)
				broken = key.err
			}
		}
		log := Entry{Event: LogSigned, Origin: c.origin.String(), Request: c.request, Format: order.Format,
			Store: who.Key.Store, Key: who.Key.ID, Certificate: SerialHex(who.Certificate), Documents: entryDocuments([]*piece{p})}
		if p.err != nil {
			state, log.Event, log.Code = "failed", LogSigningFailed, string(problem.CodeOf(p.err))
		}
		if err := a.record(log); err != nil {
			removeResults(pieces)
			return err
		}
		c.event(EventProgress, map[string]any{"document": n, "state": state})
	}
	return nil
}

func (a *Agent) signPiece(ctx context.Context, codec ades.Codec, order SignOrder, who Identity, key *approvedKey, p *piece) (err error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(p.doc.Content, 0, p.doc.Content.Size())); err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "the document cannot be read")
	}
	if hex.EncodeToString(sum.Sum(nil)) != p.sha256 {
		return problem.New(problem.IntegrityFailed, "the document is no longer the approved one")
	}
	p.result = a.spool.new()
	defer func() {
		if err != nil {
			p.result.remove()
			p.result = nil
		}
	}()
	out := sha256.New()
	if err := codec.Sign(ctx, io.MultiWriter(p.result, out), p.request(order, key, who, a)); err != nil {
		return errors.Join(key.err, err)
	}
	p.resultSHA256 = hex.EncodeToString(out.Sum(nil))
	return nil
}

func removeResults(pieces []*piece) {
	for _, p := range pieces {
		p.result.remove()
		p.result = nil
	}
}

// report tells the person what was done.
func (a *Agent) report(ctx context.Context, c caller, who Identity, good []*piece) {
	v := who.view(a.now())
	notice := Notice{Kind: NoticeSigned, Origin: c.origin, Certificate: &v}
	for _, p := range good {
		if p.err == nil {
			notice.Documents++
		} else if notice.Problem == nil {
			notice.Problem = p.err
		}
	}
	if notice.Documents == 0 {
		notice.Kind = NoticeFailed
	}
	a.prompter.Notify(ctx, notice)
}

// approvedKey is the session as a format sees it. Whatever the store returns must verify under the certificate that the
// person chose: a signature by another key never leaves the agent.
type approvedKey struct {
	session Session
	public  crypto.PublicKey
	err     error // what the store said when it would not sign
}

func (k *approvedKey) Public() crypto.PublicKey { return k.public }

func (k *approvedKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := k.session.Sign(rand, digest, opts)
	if err == nil && !verifies(k.public, digest, sig, opts) {
		err = problem.New(problem.DriverFailed, "the store signed with another key than the certificate's")
	}
	if err != nil {
		k.err = err
		return nil, err
	}
	return sig, nil
}

func verifies(public crypto.PublicKey, digest, sig []byte, opts crypto.SignerOpts) bool {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, digest, sig)
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(p, opts.HashFunc(), digest, sig, pss) == nil
		}
		return rsa.VerifyPKCS1v15(p, opts.HashFunc(), digest, sig) == nil
	}
	return false
}

func entryDocuments(pieces []*piece) []EntryDocument {
	out := make([]EntryDocument, len(pieces))
	for n, p := range pieces {
		out[n] = EntryDocument{Name: p.doc.Name, SHA256: p.sha256, Size: p.doc.Content.Size(), Result: p.resultSHA256}
	}
	return out
}

func (i Identity) base64() string { return base64.StdEncoding.EncodeToString(i.Certificate.Raw) }
