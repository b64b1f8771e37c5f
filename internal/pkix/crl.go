package pkix

import (
	"crypto/sha256"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// CRL is a certificate revocation list as read; nothing of it is verified. Its entries are read when they are searched.
type CRL struct {
	Raw, RawTBS            []byte
	Issuer                 Name
	ThisUpdate, NextUpdate time.Time // NextUpdate is zero when absent, which RFC 5280, 5.1.2.5 does not allow
	SignatureAlgorithm     Algorithm
	Signature              []byte
	Number                 *big.Int // nil when absent

	fingerprint    [sha256.Size]byte
	entries        cryptobyte.String
	base           *big.Int // deltaCRLIndicator's; nil: a complete list
	authorityKeyID []byte
	expiredOn      *time.Time // expiredCertsOnCRL (X.509, 8.5.2.12)
	scope
	fault, alien string
}

// scope is the issuingDistributionPoint extension (RFC 5280, 5.2.5).
type scope struct {
	raw                             []byte
	names                           []generalName
	relative                        string
	onlyUser, onlyCA, onlyAttribute bool
	indirect                        bool
	reasons                         uint32 // 0: all
}

const (
	idCRLNumber         = "2.5.29.20"
	idReasonCode        = "2.5.29.21"
	idInvalidityDate    = "2.5.29.24"
	idDeltaIndicator    = "2.5.29.27"
	idIssuingPoint      = "2.5.29.28"
	idCertificateIssuer = "2.5.29.29"
	idHoldInstruction   = "2.5.29.23"
	idExpiredCerts      = "2.5.29.60"

	// ReasonHold and ReasonRemove are certificateHold and removeFromCRL (RFC 5280, 5.3.1).
	ReasonHold   = 6
	ReasonRemove = 8
	// allReasons is the ReasonFlags keyCompromise (1) to aACompromise (8).
	allReasons uint32 = 0x1fe
)

// ParseCRL reads one DER CertificateList.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > MaxCRL {
		return nil, malformed("CRL: longer than %d octets", MaxCRL)
	}
	outer, ok := sequence(der)
	if !ok {
		return nil, malformed("CRL: not one SEQUENCE")
	}
	l := &CRL{Raw: der, fingerprint: sha256.Sum256(der)}
	var tbs, algorithm, inner cryptobyte.String
	if !outer.ReadASN1Element(&tbs, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, malformed("CRL: no tbsCertList or signatureAlgorithm")
	}
	l.RawTBS = tbs
	if l.SignatureAlgorithm, ok = algorithmOf(algorithm); !ok {
		return nil, malformed("CRL: signatureAlgorithm")
	}
	if l.Signature, ok = readBits(&outer, cbasn1.BIT_STRING); !ok || !outer.Empty() {
		return nil, malformed("CRL: signatureValue")
	}
	s, _ := sequence(tbs)
	if s.PeekASN1Tag(cbasn1.INTEGER) {
		if version, ok := readSmall(&s, cbasn1.INTEGER); !ok || version != 1 {
			return nil, malformed("CRL: version")
		}
	}
	if !s.ReadASN1Element(&inner, cbasn1.SEQUENCE) {
		return nil, malformed("CRL: signature")
	}
	if a, ok := algorithmOf(inner); !ok || a.OID != l.SignatureAlgorithm.OID || !sameParameters(a, l.SignatureAlgorithm) {
		return nil, malformed("CRL: two different signature algorithms") // RFC 5280, 5.1.1.2
	}
	if l.Issuer, ok = readName(&s); !ok {
		return nil, malformed("CRL: issuer")
	}
	if l.ThisUpdate, ok = readTime(&s); !ok {
		return nil, malformed("CRL: thisUpdate")
	}
	if s.PeekASN1Tag(cbasn1.UTCTime) || s.PeekASN1Tag(cbasn1.GeneralizedTime) {
		if l.NextUpdate, ok = readTime(&s); !ok {
			return nil, malformed("CRL: nextUpdate")
		}
	}
	if s.PeekASN1Tag(cbasn1.SEQUENCE) && !s.ReadASN1(&l.entries, cbasn1.SEQUENCE) {
		return nil, malformed("CRL: revokedCertificates")
	}
	if s.PeekASN1Tag(context0.Constructed()) {
		var explicit cryptobyte.String
		if !s.ReadASN1(&explicit, context0.Constructed()) {
			return nil, malformed("CRL: extensions")
		}
		list, ok := readExtensions(&explicit)
		if !ok || !explicit.Empty() {
			return nil, malformed("CRL: extensions")
		}
		l.understand(list)
	}
	if !s.Empty() {
		return nil, malformed("CRL: something follows the extensions")
	}
	return l, nil
}

func (l *CRL) understand(list []Extension) {
	seen := make(map[string]bool)
	for _, e := range list {
		value := cryptobyte.String(e.Value)
		ok, known := true, true
		switch e.ID {
		case idCRLNumber:
			l.Number, _, ok = readInteger(&value)
		case idDeltaIndicator:
			l.base, _, ok = readInteger(&value)
		case idAuthorityKeyID:
			var inner cryptobyte.String
			if ok = value.ReadASN1(&inner, cbasn1.SEQUENCE); ok {
				l.authorityKeyID = readKeyIdentifier(inner)
			}
		case idIssuingPoint:
			ok = l.readScope(e.Value)
		case idExpiredCerts:
			var t time.Time
			if t, ok = readTime(&value); ok {
				l.expiredOn = &t
			}
		case idIssuerAltName, idFreshestCRL, idAuthorityAccess:
		default:
			known = false
		}
		switch {
		case (!ok || seen[e.ID]) && l.fault == "":
			l.fault = e.ID
		case !known && e.Critical && l.alien == "":
			l.alien = e.ID
		}
		seen[e.ID] = true
	}
}

func (l *CRL) readScope(value []byte) bool {
	s, ok := sequence(value)
	if !ok {
		return false
	}
	l.raw = value
	if s.PeekASN1Tag(context0.Constructed()) {
		if l.names, l.relative, ok = readPointName(&s); !ok {
			return false
		}
	}
	for _, part := range []struct {
		tag cbasn1.Tag
		to  *bool
	}{{context1, &l.onlyUser}, {context2, &l.onlyCA}, {context3, nil}, {context4, &l.indirect}, {context5, &l.onlyAttribute}} {
		if !s.PeekASN1Tag(part.tag) {
			continue
		}
		if part.to == nil {
			bits, ok := readBits(&s, part.tag)
			if l.reasons = flags(bits) & allReasons; !ok || l.reasons == 0 {
				return false
			}
		} else if *part.to, ok = readBoolean(&s, part.tag); !ok {
			return false
		}
	}
	return s.Empty()
}

// entry is what a CRL says about one certificate.
type entry struct {
	at     time.Time
	reason int // -1: none given
}

// find searches the list for a certificate. ok is false when the list must not be used: an entry cannot be read, or has a
// critical extension that is not understood (RFC 5280, 5.3); the entry found so far is returned all the same.
func (l *CRL) find(c *Certificate) (found *entry, ok bool) {
	s := l.entries
	issuer := l.Issuer // of the entries at hand (RFC 5280, 5.3.3)
	ok = true
	for !s.Empty() {
		var one cryptobyte.String
		if !s.ReadASN1(&one, cbasn1.SEQUENCE) {
			return found, false
		}
		serial, _, readable := readInteger(&one)
		if !readable {
			return found, false
		}
		e := &entry{reason: -1}
		if e.at, readable = readTime(&one); !readable {
			return found, false
		}
		if !one.Empty() {
			list, readable := readExtensions(&one)
			if !readable || !one.Empty() {
				return found, false
			}
			understood, next := e.read(list)
			ok = ok && understood
			if next != nil && l.indirect {
				issuer = *next
			}
		}
		if found == nil && serial.Cmp(c.Serial) == 0 && issuer.Equal(c.Issuer) {
			found = e
		}
	}
	return found, ok
}

func (e *entry) read(list []Extension) (understood bool, issuer *Name) {
	understood = true
	for _, x := range list {
		value := cryptobyte.String(x.Value)
		switch x.ID {
		case idReasonCode:
			var code int
			var ok bool
			if code, ok = readSmall(&value, cbasn1.ENUM); !ok || code > 10 || code == 7 {
				understood = false
				continue
			}
			e.reason = code
		case idCertificateIssuer:
			var list cryptobyte.String
			if !value.ReadASN1(&list, cbasn1.SEQUENCE) {
				understood = false
				continue
			}
			names, ok := readGeneralNames(list)
			understood = understood && ok
			for _, g := range names {
				if g.kind == directoryName {
					issuer = &g.dn
				}
			}
		case idInvalidityDate, idHoldInstruction:
		default:
			understood = understood && !x.Critical
		}
	}
	return understood, issuer
}
