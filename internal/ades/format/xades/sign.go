package xades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"certsign/internal/ades"
	"certsign/internal/problem"
	"certsign/internal/xmldsig"
)

// Namespaces and types of EN 319 132-1.
const (
	namespace132         = "http://uri.etsi.org/01903/v1.3.2#"
	namespace141         = "http://uri.etsi.org/01903/v1.4.1#"
	typeSignedProperties = "http://uri.etsi.org/01903#SignedProperties"
	typeCountersigned    = "http://uri.etsi.org/01903#CountersignedSignature"
)

// ProfilePUESC is the layout that the Ministry's own systems write and accept. It is also what is written without a
// profile, but for the MIME type, which the profile fixes as text/xml.
const ProfilePUESC = "puesc"

// canonicalization is used for the document, for the signed properties and for SignedInfo: the method that every
// validator has had from the beginning, and the one found in messages that the customs systems sealed themselves.
const canonicalization = xmldsig.C14N10

// Sign writes the document with a B-B signature added. See ades.Codec for its errors; beside those, a key that is too
// short is key_weak, a key that is not the first certificate's certificate_mismatch, and a missing chain no_certificate.
//
// A document that holds signatures already gets one more, which signs the earlier ones as they stand, provided that none
// of them breaks: a signature over the whole document with the enveloped-signature transform leaves out only itself, so
// anything added behind it invalidates it, and the request is refused as unsupported. One whose references leave out every
// ds:Signature (XPath not(ancestor-or-self::ds:Signature)), or cover other parts of the document only, stays intact.
func (c Codec) Sign(ctx context.Context, w io.Writer, req ades.SignRequest) error {
	s, err := prepare(req)
	if err != nil {
		return err
	}
	raw, doc, err := c.read(ctx, req.Document)
	if err != nil {
		return err
	}
	if doc.Root().Is(xmldsig.Namespace, "Signature") {
		return problem.New(problem.Unsupported, "the document is itself a signature, into which no other can be enveloped")
	}
	if s.id, err = freeID(doc); err != nil {
		return err
	}
	s.place = xmldsig.LastInRoot(doc)
	// The signature is not there yet, so the document is already what the enveloped-signature transform will leave.
	if s.document, err = s.method.Digest(xmldsig.Canonicalization{}, xmldsig.Subtree(doc.Node()).WithoutComments()); err != nil {
		return err
	}
	info, octets, err := s.signedInfo()
	if err != nil {
		return err
	}
	if err := c.keepsEarlier(raw, doc, s.place, s.markup(info, []byte("value"))); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	value, err := s.method.Sign(req.Key, octets)
	if err != nil {
		return err
	}
	return s.place.Insert(w, raw, s.markup(info, value))
}

// signing is one signature being made.
type signing struct {
	method   xmldsig.Method
	chain    [][]byte
	at       time.Time
	mime     string
	id       string // every identifier of the signature begins with it
	place    xmldsig.Place
	document []byte // digest of the document
}

// prepare checks what can be checked without the document.
func prepare(req ades.SignRequest) (*signing, error) {
	switch {
	case req.Packaging != ades.Enveloped && req.Packaging != "":
		return nil, problem.New(problem.Unsupported, "XAdES signatures are written enveloped only, not %s", req.Packaging)
	case req.Level != ades.LevelBB && req.Level != "":
		return nil, problem.New(problem.Unsupported, "XAdES signatures are written at level B-B only, not %s", req.Level)
	case req.Profile != "" && req.Profile != ProfilePUESC:
		return nil, problem.New(problem.Unsupported, "the only profile is %s", ProfilePUESC)
	case len(req.Chain) == 0:
		return nil, problem.New(problem.NoCertificate, "a signature needs the signer's certificate")
	case req.Key == nil:
		return nil, errors.New("a signature needs a key")
	case req.Time.IsZero():
		return nil, errors.New("a signature needs a time")
	}
	certificate, err := x509.ParseCertificate(req.Chain[0])
	if err != nil {
		return nil, problem.Wrap(problem.Unsupported, err, "the signer's certificate cannot be read")
	}
	public, ok := req.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		return nil, problem.New(problem.CertificateMismatch, "the certificate is for another key")
	}
	method, err := xmldsig.MethodFor(req.Key.Public())
	if err != nil {
		return nil, err
	}
	s := &signing{method: method, chain: req.Chain, at: req.Time.UTC(), mime: "text/xml"}
	if req.Profile == "" {
		s.mime = xmlType(req.Document.MIME)
	}
	return s, nil
}

// xmlType returns a declared media type when it is one of XML, without parameters, and text/xml otherwise.
func xmlType(declared string) string {
	t, _, err := mime.ParseMediaType(declared)
	if err != nil || t != "application/xml" && !strings.HasSuffix(t, "+xml") {
		return "text/xml"
	}
	for i := range len(t) {
		if c := t[i]; c != '/' && c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "text/xml"
		}
	}
	return t
}

// freeID returns an identifier that the document does not use, in none of the forms that the signature will have.
func freeID(doc *xmldsig.Document) (string, error) {
	const tries = 8
	for range tries {
		random := make([]byte, 16)
		if _, err := rand.Read(random); err != nil {
			return "", fmt.Errorf("make an identifier: %w", err)
		}
		id, taken := "sig-"+hex.EncodeToString(random), false
		for _, form := range []string{"", "-document", "-properties", "-value"} {
			taken = taken || len(doc.ByID(id+form)) > 0
		}
		if !taken {
			return id, nil
		}
	}
	return "", errors.New("no free identifier in eight tries")
}

// signedInfo returns the markup of SignedInfo and its canonical octets.
func (s *signing) signedInfo() (markup string, octets []byte, err error) {
	properties, err := s.digestedProperties()
	if err != nil {
		return "", nil, err
	}
	info := xmldsig.SignedInfo{
		Canonicalization: canonicalization,
		Method:           s.method,
		References: []xmldsig.Target{
			{ID: s.id + "-document", Transforms: []string{xmldsig.TransformEnveloped, canonicalization}, Digest: s.document},
			// EN 319 132-1, 4.4.2: the reference to SignedProperties says so in its Type.
			{Type: typeSignedProperties, URI: "#" + s.id + "-properties", Transforms: []string{canonicalization}, Digest: properties},
		},
	}
	markup = info.Markup()
	signature, err := s.place.Context(s.markup(markup, []byte("value")))
	if err != nil {
		return "", nil, err
	}
	octets, err = xmldsig.Canonicalization{}.Bytes(xmldsig.Subtree(signature.Child(xmldsig.Namespace, "SignedInfo")))
	return markup, octets, err
}

func (s *signing) digestedProperties() ([]byte, error) {
	signature, err := s.place.Context(s.markup("", []byte("value")))
	if err != nil {
		return nil, err
	}
	for p := range signature.Named(namespace132, "SignedProperties") {
		return s.method.Digest(xmldsig.Canonicalization{}, xmldsig.Subtree(p))
	}
	return nil, errors.New("the signature has no signed properties")
}

// markup returns the ds:Signature element.
func (s *signing) markup(signedInfo string, value []byte) string {
	encode := base64.StdEncoding.EncodeToString
	var b strings.Builder
	fmt.Fprintf(&b, `<ds:Signature xmlns:ds="%s" Id="%s">%s`, xmldsig.Namespace, s.id, signedInfo)
	fmt.Fprintf(&b, `<ds:SignatureValue Id="%s-value">%s</ds:SignatureValue>`, s.id, encode(value))
	b.WriteString(`<ds:KeyInfo><ds:X509Data>`)
	for _, der := range s.chain {
		fmt.Fprintf(&b, `<ds:X509Certificate>%s</ds:X509Certificate>`, encode(der))
	}
	b.WriteString(`</ds:X509Data></ds:KeyInfo><ds:Object>`)
	// EN 319 132-1, 4.3.1: Target names the signature that the properties qualify.
	fmt.Fprintf(&b, `<xades:QualifyingProperties xmlns:xades="%s" Target="#%s">`, namespace132, s.id)
	fmt.Fprintf(&b, `<xades:SignedProperties Id="%s-properties"><xades:SignedSignatureProperties>`, s.id)
	// EN 319 132-1, 5.2.1 and 5.2.2.
	fmt.Fprintf(&b, `<xades:SigningTime>%s</xades:SigningTime>`, s.at.Format("2006-01-02T15:04:05Z"))
	digest := sha256.Sum256(s.chain[0])
	fmt.Fprintf(&b, `<xades:SigningCertificateV2><xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="%s"/>`, xmldsig.DigestSHA256)
	fmt.Fprintf(&b, `<ds:DigestValue>%s</ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2>`, encode(digest[:]))
	// EN 319 132-1, 5.2.4: what the signed data is.
	fmt.Fprintf(&b, `</xades:SignedSignatureProperties><xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference="#%s-document">`, s.id)
	fmt.Fprintf(&b, `<xades:MimeType>%s</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties>`, s.mime)
	b.WriteString(`</xades:SignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>`)
	return b.String()
}

// keepsEarlier refuses a signature that would break one which is in the document already. It tries it out: every reference
// of an earlier signature must digest to the same with the new signature in its place.
func (c Codec) keepsEarlier(raw []byte, doc *xmldsig.Document, place xmldsig.Place, markup string) error {
	earlier := xmldsig.Signatures(doc)
	if len(earlier) == 0 {
		return nil
	}
	if len(earlier) >= maxSignatures {
		return tooManySignatures()
	}
	var b bytes.Buffer
	if err := place.Insert(&b, raw, markup); err != nil {
		return err
	}
	limits := c.Limits
	limits.Bytes = limits.MaxBytes() + int64(len(markup))
	signed, err := xmldsig.Read(b.Bytes(), limits)
	if err != nil {
		return err
	}
	later := xmldsig.Signatures(signed)
	before, after := xmldsig.NewResolver(doc, nil), xmldsig.NewResolver(signed, nil)
	for i, el := range earlier {
		old, now := xmldsig.ParseSignature(el), xmldsig.ParseSignature(later[i])
		for j, ref := range old.References {
			was, err := before.Digest(old, ref)
			if errors.Is(err, xmldsig.ErrNotFound) {
				continue // it leads out of the document or nowhere, so nothing here changes it
			}
			if err != nil {
				return problem.New(problem.Unsupported, "the document holds a signature of which it cannot be told whether another would break it")
			}
			is, err := after.Digest(now, now.References[j])
			if err != nil || !bytes.Equal(was.Sum, is.Sum) {
				return problem.New(problem.Unsupported, "the document holds a signature over the whole document, which another signature would break")
			}
		}
	}
	return nil
}

func tooManySignatures() error {
	return problem.New(problem.TooLarge, "the document holds more than %d signatures", maxSignatures)
}
