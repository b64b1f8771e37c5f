package status

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6960, 4.1.1 and 4.2.1: identifiers, not signatures
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/ca"
)

// Limits on a request.
const (
	maxRequest  = 8 << 10
	maxQuestion = 16  // certificates asked about in one request
	maxNonce    = 128 // RFC 9654, 2.1
)

// errMalformed stands for everything that is answered with malformedRequest.
var errMalformed = errors.New("malformed OCSP request")

var (
	oidNonce     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	certIDHashes = map[string]crypto.Hash{
		"1.3.14.3.2.26":          crypto.SHA1,
		"2.16.840.1.101.3.4.2.1": crypto.SHA256,
		"2.16.840.1.101.3.4.2.2": crypto.SHA384,
		"2.16.840.1.101.3.4.2.3": crypto.SHA512,
	}
)

// The OCSPResponseStatus values of RFC 6960, 4.2.1.
const (
	malformedRequest = 1
	internalError    = 2
)

// question is one CertID of a request.
type question struct {
	raw       []byte // the CertID as it stands, echoed in the answer
	hash      crypto.Hash
	name, key []byte
	serial    *big.Int
}

type request struct {
	questions []question
	nonce     []byte // the extension's value, echoed; nil for none
}

// parseRequest reads an OCSPRequest (RFC 6960, 4.1.1) in DER. A signature and the requestor's name are skipped.
func parseRequest(der []byte) (request, error) {
	var r request
	if len(der) > maxRequest {
		return r, errMalformed
	}
	in := cryptobyte.String(der)
	var outer, tbs, list cryptobyte.String
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) || // version
		!tbs.SkipOptionalASN1(casn1.Tag(1).Constructed().ContextSpecific()) || // requestorName
		!tbs.ReadASN1(&list, casn1.SEQUENCE) {
		return r, errMalformed
	}
	for !list.Empty() {
		var one, id cryptobyte.String
		if len(r.questions) == maxQuestion || !list.ReadASN1(&one, casn1.SEQUENCE) || !one.ReadASN1Element(&id, casn1.SEQUENCE) {
			return r, errMalformed
		}
		q, err := parseCertID(id)
		if err != nil {
			return r, err
		}
		r.questions = append(r.questions, q)
	}
	if len(r.questions) == 0 {
		return r, errMalformed
	}
	var extensions cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&extensions, &present, casn1.Tag(2).Constructed().ContextSpecific()) {
		return r, errMalformed
	}
	if present {
		var err error
		if r.nonce, err = parseNonce(extensions); err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseCertID(element cryptobyte.String) (question, error) {
	q := question{raw: element}
	var id, algorithm, name, key cryptobyte.String
	var oid asn1.ObjectIdentifier
	q.serial = new(big.Int)
	if !element.ReadASN1(&id, casn1.SEQUENCE) || !id.ReadASN1(&algorithm, casn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!id.ReadASN1(&name, casn1.OCTET_STRING) || !id.ReadASN1(&key, casn1.OCTET_STRING) || !id.ReadASN1Integer(q.serial) || !id.Empty() {
		return q, errMalformed
	}
	q.hash, q.name, q.key = certIDHashes[oid.String()], name, key
	return q, nil
}

func parseNonce(wrapped cryptobyte.String) ([]byte, error) {
	var list cryptobyte.String
	if !wrapped.ReadASN1(&list, casn1.SEQUENCE) || !wrapped.Empty() {
		return nil, errMalformed
	}
	var nonce []byte
	for !list.Empty() {
		var e, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&e, casn1.SEQUENCE) || !e.ReadASN1ObjectIdentifier(&oid) ||
			!e.ReadOptionalASN1Boolean(&critical, casn1.BOOLEAN, false) || !e.ReadASN1(&value, casn1.OCTET_STRING) || !e.Empty() {
			return nil, errMalformed
		}
		if !oid.Equal(oidNonce) {
			continue // RFC 6960, 4.4: unknown extensions are ignored
		}
		inner := value
		var octets cryptobyte.String
		// RFC 9654, 2.1: an OCTET STRING of 1 to 128 octets; others are malformed.
		if nonce != nil || !inner.ReadASN1(&octets, casn1.OCTET_STRING) || !inner.Empty() || len(octets) == 0 || len(octets) > maxNonce {
			return nil, errMalformed
		}
		nonce = value
	}
	return nonce, nil
}

// issuerHash is how a CertID names an issuer.
type issuerHash struct{ name, key []byte }

func issuerHashes(issuer *x509.Certificate) (map[crypto.Hash]issuerHash, error) {
	key, err := keyBits(issuer)
	if err != nil {
		return nil, err
	}
	all := map[crypto.Hash]issuerHash{}
	for _, h := range certIDHashes {
		sum := func(b []byte) []byte {
			d := h.New()
			d.Write(b)
			return d.Sum(nil)
		}
		all[h] = issuerHash{name: sum(issuer.RawSubject), key: sum(key)}
	}
	return all, nil
}

func keyBits(c *x509.Certificate) ([]byte, error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil || len(rest) > 0 {
		return nil, errors.New("status: malformed public key")
	}
	return spki.Key.RightAlign(), nil
}

// ours tells whether a question is about a certificate of this issuer.
func (s *Status) ours(q question) bool {
	id, ok := s.ids[q.hash]
	return ok && q.hash != 0 && string(id.name) == string(q.name) && string(id.key) == string(q.key)
}

// responder signs answers.
type responder struct {
	certificate *x509.Certificate
	key         crypto.Signer
	id          []byte // SHA-1 of the key, for byKey
	algorithm   []byte // DER
	hash        crypto.Hash
}

func newResponder(c *x509.Certificate, key crypto.Signer) (responder, error) {
	r := responder{certificate: c, key: key}
	bits, err := keyBits(c)
	if err != nil {
		return r, err
	}
	sum := sha1.Sum(bits) //nolint:gosec // RFC 6960, 4.2.1: KeyHash
	r.id = sum[:]
	algorithm, hash, err := signatureOf(key.Public())
	if err != nil {
		return r, err
	}
	r.hash = hash
	r.algorithm, err = asn1.Marshal(algorithm)
	return r, err
}

// respond answers a request in DER; it is the whole of OCSP, whatever the transport.
func (s *Status) respond(ctx context.Context, der []byte) (answer []byte, nonce bool) {
	r, err := parseRequest(der)
	if err != nil {
		return failure(malformedRequest), true
	}
	b, err := s.answer(ctx, r)
	if err != nil {
		s.c.Log.Error("ocsp", "error", err)
		return failure(internalError), true
	}
	return b, r.nonce != nil
}

// answerFor makes an answer about one certificate of this issuer, as evidence.
func (s *Status) answerFor(ctx context.Context, serial string) ([]byte, error) {
	n, err := serialNumber(serial)
	if err != nil {
		return nil, err
	}
	id := s.ids[crypto.SHA256]
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1})
		})
		b.AddASN1OctetString(id.name)
		b.AddASN1OctetString(id.key)
		b.AddASN1BigInt(n)
	})
	raw, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, request{questions: []question{{raw: raw, hash: crypto.SHA256, name: id.name, key: id.key, serial: n}}})
}

// failure is an OCSPResponse without content.
func failure(status uint8) []byte { return []byte{0x30, 0x03, 0x0a, 0x01, status} }

// answer writes a BasicOCSPResponse (RFC 6960, 4.2.1) and signs it.
func (s *Status) answer(ctx context.Context, r request) ([]byte, error) {
	s.mu.RLock()
	by := s.responder
	s.mu.RUnlock()
	now := s.c.Now().UTC().Truncate(time.Second)
	statuses := make([]*ca.Status, len(r.questions)) // nil is unknown
	for i, q := range r.questions {
		if !s.ours(q) || q.serial.Sign() <= 0 {
			continue
		}
		status, known, err := s.c.Ledger.StatusOf(ctx, s.issuerID, ca.SerialHex(q.serial))
		if err != nil {
			return nil, err
		}
		if known {
			statuses[i] = &status
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // ResponseData
		b.AddASN1(casn1.Tag(2).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(by.id) }) // byKey
		b.AddASN1GeneralizedTime(now)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for i, q := range r.questions {
				addSingle(b, q, statuses[i], now)
			}
		})
		if r.nonce != nil {
			b.AddASN1(casn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidNonce)
						b.AddASN1OctetString(r.nonce)
					})
				})
			})
		}
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ocsp answer: %w", err)
	}
	return by.sign(tbs)
}

// addSingle writes a SingleResponse. RFC 6960, 2.2: a suspended certificate is revoked, with certificateHold.
func addSingle(b *cryptobyte.Builder, q question, status *ca.Status, now time.Time) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(q.raw)
		switch {
		case status == nil:
			b.AddASN1(casn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {}) // unknown
		case status.State == ca.Active:
			b.AddASN1(casn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {}) // good
		default:
			b.AddASN1(casn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddASN1GeneralizedTime(status.RevokedAt.UTC().Truncate(time.Second))
				if status.Reason != ca.Unspecified {
					b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
						b.AddASN1Enum(int64(status.Reason))
					})
				}
			})
		}
		b.AddASN1GeneralizedTime(now)
		b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(now.Add(ocspLife)) })
	})
}

func (r responder) sign(tbs []byte) ([]byte, error) {
	h := r.hash.New()
	h.Write(tbs)
	signature, err := r.key.Sign(rand.Reader, h.Sum(nil), r.hash)
	if err != nil {
		return nil, fmt.Errorf("sign ocsp answer: %w", err)
	}
	var basic cryptobyte.Builder
	basic.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(r.algorithm)
		b.AddASN1BitString(signature)
		b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(r.certificate.Raw) })
		})
	})
	content, err := basic.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ocsp answer: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0) // successful
		b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasic)
				b.AddASN1OctetString(content)
			})
		})
	})
	return b.Bytes()
}

func serialNumber(hexSerial string) (*big.Int, error) {
	b, err := hex.DecodeString(hexSerial)
	if err != nil {
		return nil, fmt.Errorf("serial number %q: %w", hexSerial, err)
	}
	return new(big.Int).SetBytes(b), nil
}
