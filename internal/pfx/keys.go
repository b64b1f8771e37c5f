package pfx

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/internal/problem"
)

type kind int

const (
	kindUnknown kind = iota
	kindPKCS12
	kindPKCS7
	kindEncrypted
	kindPKCS8
	kindPKCS1
	kindSEC1
)

// kindOf tells by the first fields what a DER value that is no certificate may be.
func kindOf(der []byte) kind {
	in := cryptobyte.String(der)
	var body, skip cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) {
		return kindUnknown
	}
	switch {
	case body.PeekASN1Tag(casn1.OBJECT_IDENTIFIER):
		return kindPKCS7
	case body.PeekASN1Tag(casn1.SEQUENCE):
		return kindEncrypted
	}
	var version int
	if !body.ReadASN1Integer(&version) {
		return kindUnknown
	}
	switch {
	case body.PeekASN1Tag(casn1.INTEGER):
		return kindPKCS1
	case body.PeekASN1Tag(casn1.OCTET_STRING):
		return kindSEC1
	case version == 3:
		return kindPKCS12
	case body.ReadASN1(&skip, casn1.SEQUENCE) && body.PeekASN1Tag(casn1.OCTET_STRING):
		return kindPKCS8
	}
	return kindUnknown
}

func (r *reader) addKey(key any, err error, label string) error {
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "a private key in the file cannot be read")
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return problem.New(problem.KeyWeak, "a key of type %T cannot sign", key)
	}
	if key, isRSA := key.(*rsa.PrivateKey); isRSA {
		// FIPS 186-5, A.1.1: two primes of half the length. A shorter one is found by who looks for it.
		for _, p := range key.Primes {
			if p.BitLen() < key.N.BitLen()/2-8 {
				return problem.New(problem.KeyWeak, "an RSA key with a prime of %d bits", p.BitLen())
			}
		}
	}
	if len(r.found.Keys) == maxParts {
		return errTooMany
	}
	r.found.Keys = append(r.found.Keys, Key{Private: private, Label: label})
	return nil
}

// addPKCS8 reads a PrivateKeyInfo (RFC 5958, 2).
func (r *reader) addPKCS8(der []byte, label string) error {
	in := cryptobyte.String(der)
	var body, algorithm, key cryptobyte.String
	var version int
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Integer(&version) || !body.ReadASN1(&algorithm, casn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) || !body.ReadASN1(&key, casn1.OCTET_STRING) {
		return unreadable("a private key")
	}
	switch {
	case oid.Equal(oidRSA):
		if err := ofNoUse(key); err != nil {
			return err
		}
	case oid.Equal(oidDSA):
		return problem.New(problem.KeyWeak, "a DSA key")
	case oid.Equal(oidEC):
		if err := otherCurve(algorithm); err != nil {
			return err
		}
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	return r.addKey(parsed, err, label)
}

func (r *reader) addPKCS1(der []byte) error {
	if err := ofNoUse(der); err != nil {
		return err
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	return r.addKey(key, err, "")
}

func (r *reader) addSEC1(der []byte) error {
	// RFC 5915, 3: the curve is in [0].
	in := cryptobyte.String(der)
	var body, private, curve cryptobyte.String
	var version int
	if in.ReadASN1(&body, casn1.SEQUENCE) && body.ReadASN1Integer(&version) && body.ReadASN1(&private, casn1.OCTET_STRING) &&
		body.ReadASN1(&curve, casn1.Tag(0).Constructed().ContextSpecific()) {
		if err := otherCurve(curve); err != nil {
			return err
		}
	}
	key, err := x509.ParseECPrivateKey(der)
	return r.addKey(key, err, "")
}

// The longest RSA key that is read: in bits, and all its numbers in octets. A megabyte of them takes minutes to check.
const (
	maxRSA    = 8192
	maxRSAKey = 6 << 10
)

// ofNoUse finds RSA keys (RFC 8017, A.1.2) that the standard library does not even read, or reads for too long.
func ofNoUse(der []byte) error {
	in := cryptobyte.String(der)
	var body, modulus cryptobyte.String
	var version int
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Integer(&version) || !body.ReadASN1(&modulus, casn1.INTEGER) {
		return unreadable("an RSA key")
	}
	if len(modulus) < 1024/8 {
		return problem.New(problem.KeyWeak, "an RSA key of fewer than 1024 bits")
	}
	if len(modulus) > maxRSA/8+1 || len(der) > maxRSAKey { // 1: the sign
		return problem.New(problem.KeyWeak, "an RSA key of more than %d bits", maxRSA)
	}
	return nil
}

// otherCurve finds curves that the standard library does not know: keys of no use here.
func otherCurve(parameters cryptobyte.String) error {
	var curve asn1.ObjectIdentifier
	if !parameters.ReadASN1ObjectIdentifier(&curve) {
		return problem.New(problem.KeyWeak, "an elliptic curve key whose curve has no name")
	}
	for _, known := range namedCurves {
		if curve.Equal(known) {
			return nil
		}
	}
	return problem.New(problem.KeyWeak, "an elliptic curve key on another curve than P-256 or P-384 (%s)", curve)
}

var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidDSA = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

	// RFC 5480, 2.1.1.1: P-224, P-256, P-384, P-521.
	namedCurves = []asn1.ObjectIdentifier{{1, 3, 132, 0, 33}, {1, 2, 840, 10045, 3, 1, 7}, {1, 3, 132, 0, 34}, {1, 3, 132, 0, 35}}
)

// addEncrypted reads an EncryptedPrivateKeyInfo (RFC 5958, 3).
func (r *reader) addEncrypted(der []byte, label string) error {
	in := cryptobyte.String(der)
	var body, algorithm, sealed cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&algorithm, casn1.SEQUENCE) ||
		!body.ReadASN1(&sealed, casn1.OCTET_STRING) || !body.Empty() {
		return unreadable("an encrypted key")
	}
	plain, err := r.decrypt(algorithm, sealed)
	if err != nil {
		return err
	}
	defer clear(plain)
	if kindOf(plain) != kindPKCS8 {
		return errPassword // the padding was right by chance
	}
	return r.addPKCS8(plain, label)
}

// readPKCS7 takes the certificates out of a SignedData (RFC 5652, 5.1); signatures in it mean nothing here.
func (r *reader) readPKCS7(file []byte) error {
	der, err := definite(file)
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "the PKCS #7 file")
	}
	in := cryptobyte.String(der)
	var outer, content, signed, skip, certificates cryptobyte.String
	var oid asn1.ObjectIdentifier
	var version int
	explicit := casn1.Tag(0).Constructed().ContextSpecific()
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !outer.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSignedData) ||
		!outer.ReadASN1(&content, explicit) || !content.ReadASN1(&signed, casn1.SEQUENCE) || !signed.ReadASN1Integer(&version) ||
		!signed.ReadASN1(&skip, casn1.SET) || !signed.ReadASN1(&skip, casn1.SEQUENCE) ||
		!signed.ReadASN1(&certificates, explicit) {
		return unreadable("a PKCS #7 bundle of certificates")
	}
	for !certificates.Empty() {
		var one cryptobyte.String
		var tag casn1.Tag
		if !certificates.ReadAnyASN1Element(&one, &tag) {
			return unreadable("a PKCS #7 bundle of certificates")
		}
		if tag != casn1.SEQUENCE { // attribute certificates and other formats
			continue
		}
		if err := r.addCertificate(one); err != nil {
			return err
		}
	}
	return nil
}

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
