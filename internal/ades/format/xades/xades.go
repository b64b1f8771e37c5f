// Package xades is the XAdES codec: signatures in XML documents.
//
// It implements
//   - signing at level B-B of EN 319 132-1, enveloped: ds:Signature becomes the last child of the root element, the
//     whole document is signed with the enveloped-signature transform and Canonical XML 1.0, and every other octet of
//     the input stays as it was. RSA keys sign with PKCS #1 v1.5 and SHA-256, ECDSA keys on P-256, P-384 and P-521 with
//     the hash of the curve's strength;
//   - reading signatures of XAdES 1.1.1, 1.2.2 and 1.3.2 (with the 1.4.1 additions) and plain XML signatures, enveloped,
//     enveloping and detached, counter-signatures included, at any level.
//
// It does not write the levels B-T, B-LT and B-LTA, nor enveloping and detached signatures; it does not read time stamps
// or manifests' references, only reports that they are claimed by the level or signed as data.
//
// Input is not trusted. Parse believes nothing: references lead to unique identifiers of the same document or to documents
// that the caller handed in, the octets that were digested are returned, signed properties are taken from the signature's
// own place and only where a reference signs them there, and what breaks the format becomes a defect of that signature.
package xades

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"certsign/internal/ades"
	"certsign/internal/problem"
	"certsign/internal/xmldsig"
)

// Codec reads and writes XAdES. The zero value has the default limits.
type Codec struct {
	// Limits bound the documents that are read; zero fields have xmldsig's defaults.
	Limits xmldsig.Limits
}

var _ ades.Codec = Codec{}

// maxSignatures is how many signatures one document may hold.
const maxSignatures = 256

// Format returns XAdES.
func (Codec) Format() ades.Format { return ades.XAdES }

// Recognise tells whether the document begins as XML does. Whether it is XML only reading can tell.
func (Codec) Recognise(doc ades.Document) bool {
	if doc.Content == nil {
		return false
	}
	head := make([]byte, 512)
	n, err := doc.Content.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	text := strings.TrimLeft(leading(head[:n]), " \t\r\n")
	rest, ok := strings.CutPrefix(text, "<")
	if !ok || rest == "" {
		return false
	}
	if strings.HasPrefix(rest, "?xml") || strings.HasPrefix(rest, "!--") || strings.HasPrefix(rest, "!DOCTYPE") || rest[0] == '?' {
		return true
	}
	c := rest[0]
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

// leading returns the beginning of a document in UTF-8, for recognition only.
func leading(b []byte) string {
	big := bytes.HasPrefix(b, []byte("\xFE\xFF"))
	if !big && !bytes.HasPrefix(b, []byte("\xFF\xFE")) {
		return string(bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF")))
	}
	var units []uint16
	for i := 2; i+1 < len(b); i += 2 {
		if big {
			units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
		} else {
			units = append(units, uint16(b[i+1])<<8|uint16(b[i]))
		}
	}
	return string(utf16.Decode(units))
}

// load reads a whole document within the limits.
func (c Codec) load(ctx context.Context, doc ades.Document) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if doc.Content == nil {
		return nil, problem.New(problem.DocumentUnreadable, "there is no content")
	}
	size, limit := doc.Content.Size(), c.Limits.MaxBytes()
	if size > limit {
		return nil, problem.New(problem.TooLarge, "the document has %d octets, more than the %d allowed", size, limit)
	}
	raw := make([]byte, size)
	if n, err := doc.Content.ReadAt(raw, 0); int64(n) != size {
		return nil, problem.Wrap(problem.DocumentUnreadable, err, "%d of %d octets could be read", n, size)
	}
	return raw, ctx.Err()
}

// read parses a document.
func (c Codec) read(ctx context.Context, doc ades.Document) ([]byte, *xmldsig.Document, error) {
	raw, err := c.load(ctx, doc)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := xmldsig.Read(raw, c.Limits)
	if err != nil {
		return nil, nil, err
	}
	return raw, parsed, ctx.Err()
}
