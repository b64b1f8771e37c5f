package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"certsign/internal/ades"
	"certsign/internal/problem"
)

// Documents returns the account's documents, newest first, without their octets: Content, Signed and Receipt are nil.
func (c *CA) Documents(ctx context.Context, accountID int64) ([]Document, error) {
	var all []Document
	err := c.store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.DocumentsOf(accountID)
		return err
	})
	return all, err
}

// Document returns one of the account's documents; another's is not_found.
func (c *CA) Document(ctx context.Context, accountID int64, id string) (*Document, error) {
	var d Document
	err := c.store.View(ctx, func(tx Tx) (err error) {
		d, err = ownDocument(tx, accountID, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

func ownDocument(tx Tx, accountID int64, id string) (Document, error) {
	d, err := tx.DocumentByID(id)
	if err == nil && d.AccountID != accountID {
		err = ErrNoRow
	}
	return d, notFound(err, "no such document")
}

// An account has at most maxDrafts drafts, and as many refused documents in refusedSpan: the octets of each are kept.
const (
	maxDrafts   = 50
	refusedSpan = 24 * time.Hour
)

// AddDocument puts a draft on the desk; rate_limited when it is full.
func (c *CA) AddDocument(ctx context.Context, accountID int64, name, mime string, content []byte) (*Document, error) {
	if len(content) == 0 {
		return nil, problem.New(problem.DocumentUnreadable, "the document is empty")
	}
	if int64(len(content)) > c.c.MaxDocument {
		return nil, problem.New(problem.TooLarge, "a document has at most %d octets", c.c.MaxDocument)
	}
	if len(mime) > 100 || strings.ContainsFunc(mime, unicode.IsControl) {
		return nil, problem.New(problem.BadRequest, "the media type is malformed")
	}
	d := Document{ID: randomID(), AccountID: accountID, Name: displayName(name), MIME: mime, State: Draft, Content: content, Created: c.now().UTC()}
	err := c.store.Update(ctx, func(tx Tx) error {
		if _, err := accountByID(tx, accountID); err != nil {
			return err
		}
		all, err := tx.DocumentsOf(accountID)
		if err != nil {
			return err
		}
		drafts, refused := 0, 0
		for _, other := range all {
			switch {
			case other.State == Draft:
				drafts++
			case other.State == Refused && d.Created.Sub(other.Created) < refusedSpan:
				refused++
			}
		}
		if drafts >= maxDrafts || refused >= maxDrafts {
			return problem.New(problem.RateLimited, "%d documents wait and %d were refused since yesterday; %d of each are kept", drafts, refused, maxDrafts)
		}
		if err := tx.InsertDocument(d); err != nil {
			return err
		}
		return c.audit(tx, actorOf(accountID), "document.added", d.ID, "%d octets, sha256 %s", len(content), sha256Hex(content))
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// RemoveDocument implements Desk.
func (c *CA) RemoveDocument(ctx context.Context, accountID int64, id string) error {
	return c.store.Update(ctx, func(tx Tx) error {
		d, err := ownDocument(tx, accountID, id)
		if err != nil {
			return err
		}
		if d.State != Draft {
			return problem.New(problem.StateForbids, "the document was submitted; it stays on record")
		}
		if err := tx.DeleteDocument(id); err != nil {
			return err
		}
		return c.audit(tx, actorOf(accountID), "document.removed", id, "%d octets, sha256 %s", len(d.Content), sha256Hex(d.Content))
	})
}

// displayName keeps the last part of a file name, without control characters.
func displayName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	for len(name) > 200 {
		r := []rune(name)
		name = string(r[:len(r)-1])
	}
	if name == "" || name == "." || name == "/" {
		return "document"
	}
	return name
}

// verdict is what Submit decided: refused with a reason when problem is not empty.
type verdict struct {
	problem, detail string
	report          *ades.Report
	signer          CertificateRow
}

func refuse(problem, format string, args ...any) verdict {
	return verdict{problem: problem, detail: fmt.Sprintf(format, args...)}
}

// Submit judges a signed document. It is accepted when it holds exactly one signature that is valid now, made with an
// active certificate of this CA and of the account's own person, over exactly the document that is on the desk. Accepted
// or refused, the signed document is stored with the report.
func (c *CA) Submit(ctx context.Context, accountID int64, id string, signed []byte) (*Document, error) {
	if c.c.Validate == nil || c.c.Sealer == nil {
		return nil, problem.New(problem.Unsupported, "this desk takes no documents")
	}
	if int64(len(signed)) > c.c.MaxDocument+c.c.MaxDocument/4+1<<20 {
		return nil, problem.New(problem.TooLarge, "a signed document has at most a quarter and 1 MiB more than the document itself")
	}
	d, err := c.Document(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	account, err := c.Account(ctx, accountID)
	if err != nil {
		return nil, err
	}
	if d.State == Sent {
		return nil, problem.New(problem.StateForbids, "the document was sent already")
	}
	received := c.now().UTC()
	v, err := c.judge(ctx, *d, account.PersonID, signed, received)
	if err != nil {
		return nil, err
	}
	var receipt []byte
	reference, err := c.nextReference(ctx)
	if err != nil {
		return nil, err
	}
	if v.problem == "" {
		if receipt, err = c.seal(ctx, *d, *account, signed, reference, received, v); err != nil {
			return nil, err
		}
	}
	return c.conclude(ctx, *d, signed, receipt, reference, received, v)
}

func (c *CA) nextReference(ctx context.Context) (string, error) {
	var reference string
	err := c.store.Update(ctx, func(tx Tx) (err error) {
		reference, err = c.number(tx, "DOC")
		return err
	})
	return reference, err
}

func (c *CA) seal(ctx context.Context, d Document, a Account, signed []byte, reference string, received time.Time, v verdict) ([]byte, error) {
	person, err := c.Person(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	receipt, err := c.c.Sealer.Seal(ctx, Receipt{
		Reference: reference, Received: received, DocumentID: d.ID, DocumentName: d.Name, MIME: d.MIME, Size: int64(len(signed)),
		SHA256: sha256Hex(signed), DraftSHA256: sha256Hex(d.Content), Sender: a.Email, Person: *person,
		Certificate: v.signer.Serial, Report: v.report,
	})
	if err != nil {
		return nil, fmt.Errorf("seal receipt %s: %w", reference, err)
	}
	return receipt, nil
}

// conclude writes the outcome. The certificate's status is looked at once more in the same transaction: a suspension that
// came in while the document was being judged counts.
func (c *CA) conclude(ctx context.Context, d Document, signed, receipt []byte, reference string, received time.Time, v verdict) (*Document, error) {
	err := c.store.Update(ctx, func(tx Tx) error {
		now, err := ownDocument(tx, d.AccountID, d.ID)
		if err != nil {
			return err
		}
		if now.State == Sent {
			return problem.New(problem.StateForbids, "the document was sent already")
		}
		if v.problem == "" {
			row, err := tx.CertificateBySerial(v.signer.Serial)
			if err != nil {
				return err
			}
			if code := refusalOf(stateAt(row, c.now())); code != "" {
				v.problem, v.detail, receipt = code, "the certificate's status changed while the document was being checked", nil
			}
		}
		d.Signed, d.Receipt, d.Reference, d.Report = signed, receipt, reference, v.report
		d.Problem, d.Detail, d.Sent, d.State = v.problem, v.detail, received, Sent
		action := "document.accepted"
		if v.problem != "" {
			d.State, action = Refused, "document.refused"
		}
		return errors.Join(tx.UpdateDocument(d), c.audit(tx, actorOf(d.AccountID), action, d.ID, "%s, sha256 %s, signer %s, %s", reference, sha256Hex(signed), v.signer.Serial, v.problem))
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

func refusalOf(s State) string {
	switch s {
	case Active:
		return ""
	case Suspended:
		return RefusedSuspended
	case Expired:
		return RefusedExpired
	default:
		return RefusedRevoked
	}
}

// judge decides on a signed document. What is wrong with it is a verdict; an error is the CA's own.
func (c *CA) judge(ctx context.Context, d Document, personID int64, signed []byte, at time.Time) (verdict, error) {
	doc := ades.Document{Name: d.Name, MIME: d.MIME, Content: bytes.NewReader(signed)}
	unverified, report, err := c.validate(ctx, doc, at)
	if err != nil {
		var p *problem.Error
		if errors.As(err, &p) && p.Code != problem.Internal {
			return refuse(string(p.Code), "%s", p.Detail), nil
		}
		return verdict{}, err
	}
	v, err := c.weigh(ctx, unverified, report, d, personID, signed)
	v.report = report
	return v, err
}

func (c *CA) weigh(ctx context.Context, unverified *ades.Unverified, report *ades.Report, d Document, personID int64, signed []byte) (verdict, error) {
	if len(unverified.Signatures) != 1 || len(report.Signatures) != 1 {
		return refuse(RefusedSignature, "the document has %d signatures; exactly one is expected", len(unverified.Signatures)), nil
	}
	u, r := unverified.Signatures[0], report.Signatures[0]
	signer, err := c.signer(ctx, u, r)
	if err != nil {
		return verdict{}, err
	}
	if signer == nil {
		return refuse(RefusedUnknown, "the signer's certificate was not issued by this CA"), nil
	}
	if personID == 0 || signer.PersonID != personID {
		return refuse(RefusedOther, "the certificate that signed belongs to another person"), nil
	}
	v := verdict{signer: *signer}
	reasons := strings.Join(r.Reasons, "; ")
	state := stateAt(*signer, c.now())
	switch {
	case r.SubIndication == ades.HashFailure || r.SubIndication == ades.SignedDataNotFound:
		v.problem, v.detail = RefusedChanged, "the document was changed after it was signed"
	case r.SubIndication == ades.SigCryptoFailure || r.SubIndication == ades.FormatFailure:
		v.problem, v.detail = RefusedSignature, reasons
	case refusalOf(state) != "":
		v.problem, v.detail = refusalOf(state), fmt.Sprintf("the certificate %s is %s since %s", signer.Serial, state, since(*signer, state).Format("2006-01-02 15:04 UTC"))
	case r.SubIndication == ades.NotYetValid:
		v.problem, v.detail = RefusedExpired, "the certificate is not valid yet"
	case r.Indication != ades.TotalPassed:
		v.problem, v.detail = RefusedSignature, strings.TrimSpace(string(r.Indication)+" "+string(r.SubIndication)+" "+reasons)
	case !c.sameDocument(u, d.Content, signed):
		v.problem, v.detail = RefusedChanged, "what was signed is not the document that is on the desk"
	}
	return v, nil
}

func since(row CertificateRow, s State) time.Time {
	if s == Expired {
		return row.NotAfter.UTC()
	}
	return row.RevokedAt.UTC()
}

// signer finds the certificate that validation used in the ledger, octet for octet.
func (c *CA) signer(ctx context.Context, u ades.UnverifiedSignature, r ades.SignatureReport) (*CertificateRow, error) {
	serial, err := ParseSerial(r.Signer.Serial)
	if err != nil {
		return nil, nil
	}
	var found *CertificateRow
	err = c.store.View(ctx, func(tx Tx) error {
		row, err := tx.CertificateBySerial(serial)
		if errors.Is(err, ErrNoRow) {
			return nil
		}
		if err != nil {
			return err
		}
		candidates := u.Certificates
		if len(r.Chain) > 0 {
			candidates = r.Chain[:1]
		}
		if slices.ContainsFunc(candidates, func(der []byte) bool { return bytes.Equal(der, row.DER) }) {
			found = &row
		}
		return nil
	})
	return found, err
}

// sameDocument tells whether what was signed is the draft. Two things must hold, and for the one and only data reference:
// beside the signature the document is the draft, and that reference, over the whole document, digested exactly the draft's
// own octets or one of its canonical forms. A second reference could sign the draft from a corner of another document.
func (c *CA) sameDocument(u ades.UnverifiedSignature, draft, signed []byte) bool {
	data := slices.DeleteFunc(slices.Clone(u.References), func(r ades.Reference) bool { return r.SignedProperties })
	if len(data) != 1 || !data[0].Whole || data[0].Data == nil || c.c.SignedDraft == nil {
		return false
	}
	if same, err := c.c.SignedDraft(draft, signed); err != nil || !same {
		return false
	}
	forms := [][]byte{draft}
	if c.c.Canonical != nil {
		if canonical, err := c.c.Canonical(draft); err == nil {
			forms = append(forms, canonical...)
		}
	}
	return slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Equal(f, data[0].Data) })
}

// validate recognises, parses and validates a document at that moment.
func (c *CA) validate(ctx context.Context, doc ades.Document, at time.Time) (*ades.Unverified, *ades.Report, error) {
	i := slices.IndexFunc(c.c.Codecs, func(codec ades.Codec) bool { return codec.Recognise(doc) })
	if i < 0 {
		return nil, nil, problem.New(problem.DocumentUnreadable, "the document has no signature format that is known here")
	}
	unverified, err := c.c.Codecs[i].Parse(ctx, doc)
	if err != nil {
		return nil, nil, err
	}
	var serials []string
	for _, s := range unverified.Signatures {
		for _, der := range s.Certificates {
			if certificate, err := x509.ParseCertificate(der); err == nil && len(serials) < 16 {
				serials = append(serials, SerialHex(certificate.SerialNumber))
			}
		}
	}
	evidence, err := c.c.Evidence.Evidence(ctx, at, serials...)
	if err != nil {
		return nil, nil, fmt.Errorf("evidence: %w", err)
	}
	report, err := c.c.Validate(unverified, evidence, c.c.Policy)
	if err != nil {
		return nil, nil, err
	}
	report.File = doc.Name
	return unverified, report, nil
}

// Check validates a signed document for anybody, under the portal's policy and as of now. Nothing is stored.
func (c *CA) Check(ctx context.Context, name string, content []byte) (*ades.Report, error) {
	if c.c.Validate == nil {
		return nil, problem.New(problem.Unsupported, "this desk checks no documents")
	}
	if int64(len(content)) > c.c.MaxDocument+c.c.MaxDocument/4+1<<20 {
		return nil, problem.New(problem.TooLarge, "a document to check has at most %d octets", c.c.MaxDocument)
	}
	_, report, err := c.validate(ctx, ades.Document{Name: displayName(name), Content: bytes.NewReader(content)}, c.now().UTC())
	return report, err
}
