package pkix

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// OCSPResponse is a successful basic response as read (RFC 6960, 4.2.1); nothing of it is verified.
type OCSPResponse struct {
	Raw, RawTBS        []byte
	ProducedAt         time.Time
	SignatureAlgorithm Algorithm
	Signature          []byte
	Certificates       []*Certificate // those embedded ones that can be read
	Answers            []OCSPAnswer

	fingerprint [sha256.Size]byte
	byName      *Name
	byKey       []byte // SHA-1 of the responder's key
	alien       string
}

// OCSPAnswer is what a response says about one certificate.
type OCSPAnswer struct {
	Status                 OCSPStatus
	RevokedAt              time.Time
	Reason                 int // -1: none given
	ThisUpdate, NextUpdate time.Time

	hash              crypto.Hash // 0: unknown
	nameHash, keyHash []byte
	serial            *big.Int
	archiveCutoff     *time.Time
	alien             bool
}

// OCSPStatus is the certStatus of an answer.
type OCSPStatus string

// The statuses.
const (
	OCSPGood    OCSPStatus = "good"
	OCSPRevoked OCSPStatus = "revoked" // on hold too: the reason is 6 then
	OCSPUnknown OCSPStatus = "unknown"
)

const (
	idBasicResponse = "1.3.6.1.5.5.7.48.1.1"
	idNonce         = "1.3.6.1.5.5.7.48.1.2"
	idCRLReference  = "1.3.6.1.5.5.7.48.1.3"
	idArchiveCutoff = "1.3.6.1.5.5.7.48.1.6"
	idExtendedOCSP  = "1.3.6.1.5.5.7.48.1.9"
)

// ParseOCSP reads one DER OCSPResponse. A response that is no success (tryLater, unauthorized …) is an error.
func ParseOCSP(der []byte) (*OCSPResponse, error) {
	if len(der) > MaxOCSP {
		return nil, malformed("OCSP response: longer than %d octets", MaxOCSP)
	}
	s, ok := sequence(der)
	if !ok {
		return nil, malformed("OCSP response: not one SEQUENCE")
	}
	status, ok := readSmall(&s, cbasn1.ENUM)
	if !ok {
		return nil, malformed("OCSP response: responseStatus")
	}
	if status != 0 {
		return nil, malformed("OCSP response: it reports the error %d", status)
	}
	var explicit, response, octets cryptobyte.String
	if !s.ReadASN1(&explicit, context0.Constructed()) || !s.Empty() || !explicit.ReadASN1(&response, cbasn1.SEQUENCE) {
		return nil, malformed("OCSP response: responseBytes")
	}
	if kind, ok := readOID(&response); !ok || kind != idBasicResponse || !response.ReadASN1(&octets, cbasn1.OCTET_STRING) {
		return nil, malformed("OCSP response: not a basic response")
	}
	return parseBasic(der, octets)
}

func parseBasic(der, basic []byte) (*OCSPResponse, error) {
	r := &OCSPResponse{Raw: der, fingerprint: sha256.Sum256(der)}
	s, ok := sequence(basic)
	var tbs, algorithm cryptobyte.String
	if !ok || !s.ReadASN1Element(&tbs, cbasn1.SEQUENCE) || !s.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, malformed("OCSP response: no tbsResponseData or signatureAlgorithm")
	}
	r.RawTBS = tbs
	if r.SignatureAlgorithm, ok = algorithmOf(algorithm); !ok {
		return nil, malformed("OCSP response: signatureAlgorithm")
	}
	if r.Signature, ok = readBits(&s, cbasn1.BIT_STRING); !ok {
		return nil, malformed("OCSP response: signature")
	}
	if s.PeekASN1Tag(context0.Constructed()) {
		var explicit, list cryptobyte.String
		if !s.ReadASN1(&explicit, context0.Constructed()) || !explicit.ReadASN1(&list, cbasn1.SEQUENCE) {
			return nil, malformed("OCSP response: certs")
		}
		for !list.Empty() {
			var element cryptobyte.String
			if !list.ReadASN1Element(&element, cbasn1.SEQUENCE) || len(r.Certificates) == 16 {
				return nil, malformed("OCSP response: certs")
			}
			if c, err := ParseCertificate(element); err == nil {
				r.Certificates = append(r.Certificates, c)
			}
		}
	}
	if !s.Empty() {
		return nil, malformed("OCSP response: something follows the certificates")
	}
	return r, r.readTBS()
}

func (r *OCSPResponse) readTBS() error {
	s, _ := sequence(r.RawTBS)
	if s.PeekASN1Tag(context0.Constructed()) && !s.SkipASN1(context0.Constructed()) {
		return malformed("OCSP response: version")
	}
	var body, list cryptobyte.String
	var ok bool
	switch {
	case s.PeekASN1Tag(context1.Constructed()):
		if !s.ReadASN1(&body, context1.Constructed()) {
			return malformed("OCSP response: responderID")
		}
		name, ok := readName(&body)
		if !ok || !body.Empty() {
			return malformed("OCSP response: responderID")
		}
		r.byName = &name
	case s.ReadASN1(&body, context2.Constructed()):
		var key cryptobyte.String
		if !body.ReadASN1(&key, cbasn1.OCTET_STRING) || !body.Empty() {
			return malformed("OCSP response: responderID")
		}
		r.byKey = key
	default:
		return malformed("OCSP response: responderID")
	}
	if r.ProducedAt, ok = readTimeAs(&s, cbasn1.GeneralizedTime); !ok {
		return malformed("OCSP response: producedAt")
	}
	if !s.ReadASN1(&list, cbasn1.SEQUENCE) {
		return malformed("OCSP response: responses")
	}
	for !list.Empty() {
		a, ok := readAnswer(&list)
		if !ok || len(r.Answers) == maxNames {
			return malformed("OCSP response: a SingleResponse")
		}
		r.Answers = append(r.Answers, a)
	}
	if s.PeekASN1Tag(context1.Constructed()) {
		if !s.ReadASN1(&body, context1.Constructed()) {
			return malformed("OCSP response: responseExtensions")
		}
		extensions, ok := readExtensions(&body)
		if !ok {
			return malformed("OCSP response: responseExtensions")
		}
		for _, e := range extensions {
			if e.Critical && e.ID != idNonce && e.ID != idExtendedOCSP {
				r.alien = e.ID
			}
		}
	}
	if !s.Empty() {
		return malformed("OCSP response: something follows the extensions")
	}
	return nil
}

func readAnswer(s *cryptobyte.String) (a OCSPAnswer, ok bool) {
	a.Reason = -1
	var one, id, algorithm, nameHash, keyHash, body cryptobyte.String
	if !s.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&id, cbasn1.SEQUENCE) || !id.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!id.ReadASN1(&nameHash, cbasn1.OCTET_STRING) || !id.ReadASN1(&keyHash, cbasn1.OCTET_STRING) {
		return a, false
	}
	a.nameHash, a.keyHash = nameHash, keyHash
	a.hash, _ = hashOf(algorithm)
	if a.serial, _, ok = readInteger(&id); !ok || !id.Empty() {
		return a, false
	}
	switch {
	case one.PeekASN1Tag(context0):
		a.Status, ok = OCSPGood, one.SkipASN1(context0)
	case one.PeekASN1Tag(context2):
		a.Status, ok = OCSPUnknown, one.SkipASN1(context2)
	default:
		a.Status = OCSPRevoked
		if !one.ReadASN1(&body, context1.Constructed()) {
			return a, false
		}
		if a.RevokedAt, ok = readTimeAs(&body, cbasn1.GeneralizedTime); !ok {
			return a, false
		}
		if body.PeekASN1Tag(context0.Constructed()) {
			var explicit cryptobyte.String
			body.ReadASN1(&explicit, context0.Constructed())
			a.Reason, ok = readSmall(&explicit, cbasn1.ENUM)
		}
	}
	if !ok {
		return a, false
	}
	if a.ThisUpdate, ok = readTimeAs(&one, cbasn1.GeneralizedTime); !ok {
		return a, false
	}
	if one.PeekASN1Tag(context0.Constructed()) {
		if !one.ReadASN1(&body, context0.Constructed()) {
			return a, false
		}
		if a.NextUpdate, ok = readTimeAs(&body, cbasn1.GeneralizedTime); !ok {
			return a, false
		}
	}
	if one.PeekASN1Tag(context1.Constructed()) {
		if !one.ReadASN1(&body, context1.Constructed()) {
			return a, false
		}
		extensions, ok := readExtensions(&body)
		if !ok {
			return a, false
		}
		for _, e := range extensions {
			value := cryptobyte.String(e.Value)
			switch {
			case e.ID == idArchiveCutoff:
				if t, ok := readTimeAs(&value, cbasn1.GeneralizedTime); ok {
					a.archiveCutoff = &t
				}
			case e.Critical && e.ID != idCRLReference:
				a.alien = true
			}
		}
	}
	return a, one.Empty()
}

// about tells whether the answer is about a certificate of that issuer (RFC 6960, 4.1.1).
func (a *OCSPAnswer) about(c, issuer *Certificate) bool {
	if a.hash == 0 || a.serial.Cmp(c.Serial) != 0 || !bytes.Equal(a.keyHash, digest(a.hash, issuer.keyBits)) {
		return false
	}
	return bytes.Equal(a.nameHash, digest(a.hash, c.Issuer.Raw)) || bytes.Equal(a.nameHash, digest(a.hash, issuer.Subject.Raw))
}

// OCSPRequest returns the DER of a request about one certificate, without a nonce, so that a cached answer serves too. The
// CertID uses SHA-1, which every responder knows (RFC 5019, 2.1.1) and which protects nothing here.
func OCSPRequest(c, issuer *Certificate) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // OCSPRequest
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // TBSRequest
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // requestList
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // Request
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // CertID
						b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte{0x2b, 0x0e, 3, 2, 0x1a}) })
							b.AddASN1NULL()
						})
						b.AddASN1OctetString(digest(crypto.SHA1, issuer.Subject.Raw))
						b.AddASN1OctetString(digest(crypto.SHA1, issuer.keyBits))
						b.AddASN1BigInt(c.Serial)
					})
				})
			})
		})
	})
	return b.Bytes()
}
