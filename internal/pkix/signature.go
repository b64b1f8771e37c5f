package pkix

import (
	"bytes"
	"crypto"
	//lint:ignore SA1019 verified only, for hierarchies that are history
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1"   // hash functions of certificates
	_ "crypto/sha256" // hash functions of certificates
	_ "crypto/sha3"   // hash functions of certificates
	_ "crypto/sha512" // hash functions of certificates
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is an AlgorithmIdentifier as it stands.
type Algorithm struct {
	OID        string
	Parameters []byte // DER of the parameters, nil when absent
}

// Errors of CheckSignature.
var (
	ErrSignature            = errors.New("the signature is not valid")
	ErrUnsupportedAlgorithm = errors.New("the signature algorithm is not supported")
)

func algorithmOf(element []byte) (Algorithm, bool) {
	s, ok := sequence(element)
	if !ok {
		return Algorithm{}, false
	}
	a := Algorithm{}
	if a.OID, ok = readOID(&s); !ok {
		return Algorithm{}, false
	}
	if !s.Empty() {
		var parameters cryptobyte.String
		var tag cbasn1.Tag
		if !s.ReadAnyASN1Element(&parameters, &tag) || !s.Empty() {
			return Algorithm{}, false
		}
		a.Parameters = parameters
	}
	return a, true
}

type scheme struct {
	key  string
	hash crypto.Hash
}

var schemes = map[string]scheme{
	"1.2.840.113549.1.1.5":    {keyRSA, crypto.SHA1},
	"1.2.840.113549.1.1.14":   {keyRSA, crypto.SHA224},
	"1.2.840.113549.1.1.11":   {keyRSA, crypto.SHA256},
	"1.2.840.113549.1.1.12":   {keyRSA, crypto.SHA384},
	"1.2.840.113549.1.1.13":   {keyRSA, crypto.SHA512},
	"2.16.840.1.101.3.4.3.14": {keyRSA, crypto.SHA3_256},
	"2.16.840.1.101.3.4.3.15": {keyRSA, crypto.SHA3_384},
	"2.16.840.1.101.3.4.3.16": {keyRSA, crypto.SHA3_512},
	"1.2.840.10045.4.1":       {keyEC, crypto.SHA1},
	"1.2.840.10045.4.3.1":     {keyEC, crypto.SHA224},
	"1.2.840.10045.4.3.2":     {keyEC, crypto.SHA256},
	"1.2.840.10045.4.3.3":     {keyEC, crypto.SHA384},
	"1.2.840.10045.4.3.4":     {keyEC, crypto.SHA512},
	"2.16.840.1.101.3.4.3.10": {keyEC, crypto.SHA3_256},
	"2.16.840.1.101.3.4.3.11": {keyEC, crypto.SHA3_384},
	"2.16.840.1.101.3.4.3.12": {keyEC, crypto.SHA3_512},
	"1.2.840.10040.4.3":       {keyDSA, crypto.SHA1},
	"2.16.840.1.101.3.4.3.1":  {keyDSA, crypto.SHA224},
	"2.16.840.1.101.3.4.3.2":  {keyDSA, crypto.SHA256},
	keyEd25519:                {keyEd25519, crypto.Hash(0)},
}

var hashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
	"2.16.840.1.101.3.4.2.8": crypto.SHA3_256,
	"2.16.840.1.101.3.4.2.9": crypto.SHA3_384, "2.16.840.1.101.3.4.2.10": crypto.SHA3_512,
}

// Hash returns the hash function that the signature algorithm uses, 0 where it is unknown or where, as in Ed25519, it is a
// part of the algorithm.
func (a Algorithm) Hash() crypto.Hash {
	if a.OID == keyPSS {
		hash, _, err := readPSS(a.Parameters)
		if err != nil {
			return 0
		}
		return hash
	}
	return schemes[a.OID].hash
}

// CheckSignature verifies a signature over signed as certificates, CRLs and OCSP responses carry them: ECDSA values are
// DER. It returns ErrSignature or ErrUnsupportedAlgorithm.
func CheckSignature(algorithm Algorithm, key crypto.PublicKey, signed, value []byte) error {
	if algorithm.OID == keyPSS {
		k, ok := key.(*rsa.PublicKey)
		if !ok {
			return ErrSignature
		}
		hash, salt, err := readPSS(algorithm.Parameters)
		if err != nil {
			return err
		}
		if rsa.VerifyPSS(k, hash, digest(hash, signed), value, &rsa.PSSOptions{SaltLength: salt, Hash: hash}) != nil {
			return ErrSignature
		}
		return nil
	}
	s, known := schemes[algorithm.OID]
	if !known {
		return fmt.Errorf("%w: %s", ErrUnsupportedAlgorithm, algorithm.OID)
	}
	valid := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		valid = s.key == keyRSA && rsa.VerifyPKCS1v15(k, s.hash, digest(s.hash, signed), value) == nil
	case *ecdsa.PublicKey:
		valid = s.key == keyEC && ecdsa.VerifyASN1(k, digest(s.hash, signed), value)
	case ed25519.PublicKey:
		valid = s.key == keyEd25519 && ed25519.Verify(k, signed, value)
	case *dsa.PublicKey:
		valid = s.key == keyDSA && verifyDSA(k, digest(s.hash, signed), value)
	case UnsupportedKey:
		return fmt.Errorf("%w: key %s", ErrUnsupportedAlgorithm, k.Algorithm)
	}
	if !valid {
		return ErrSignature
	}
	return nil
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

func verifyDSA(key *dsa.PublicKey, sum, value []byte) bool {
	if key.P == nil || key.P.BitLen() > 4096 || key.Q.BitLen() > 512 || key.Q.BitLen()%8 != 0 {
		return false
	}
	s, ok := sequence(value)
	if !ok {
		return false
	}
	r, _, ok1 := readInteger(&s)
	t, _, ok2 := readInteger(&s)
	if !ok1 || !ok2 || !s.Empty() {
		return false
	}
	return dsa.Verify(key, sum[:min(len(sum), key.Q.BitLen()/8)], r, t)
}

// readPSS reads RSASSA-PSS-params (RFC 4055, 3.1). The mask's hash must be the hash, as every profile demands; the trailer 1.
func readPSS(parameters []byte) (hash crypto.Hash, salt int, err error) {
	bad := fmt.Errorf("%w: RSASSA-PSS parameters", ErrUnsupportedAlgorithm)
	s, ok := sequence(parameters)
	if !ok {
		return 0, 0, bad
	}
	hash, mask, salt := crypto.SHA1, crypto.SHA1, 20
	var inner cryptobyte.String
	if s.PeekASN1Tag(context0.Constructed()) {
		if !s.ReadASN1(&inner, context0.Constructed()) {
			return 0, 0, bad
		}
		if hash, ok = hashOf(inner); !ok {
			return 0, 0, bad
		}
	}
	if s.PeekASN1Tag(context1.Constructed()) {
		if !s.ReadASN1(&inner, context1.Constructed()) {
			return 0, 0, bad
		}
		mgf, ok := algorithmOf(inner)
		if !ok || mgf.OID != "1.2.840.113549.1.1.8" {
			return 0, 0, bad
		}
		if mask, ok = hashOf(mgf.Parameters); !ok {
			return 0, 0, bad
		}
	}
	for _, part := range []struct {
		tag cbasn1.Tag
		to  *int
	}{{context2, &salt}, {context3, new(int)}} {
		if s.PeekASN1Tag(part.tag.Constructed()) {
			if !s.ReadASN1(&inner, part.tag.Constructed()) {
				return 0, 0, bad
			}
			if *part.to, ok = readSmall(&inner, cbasn1.INTEGER); !ok || !inner.Empty() {
				return 0, 0, bad
			}
			if part.tag == context3 && *part.to != 1 {
				return 0, 0, bad
			}
		}
	}
	if !s.Empty() || mask != hash || salt > 512 {
		return 0, 0, bad
	}
	return hash, salt, nil // crypto/rsa reads a salt of 0 octets as "of any length", which weakens nothing
}

func hashOf(element []byte) (crypto.Hash, bool) {
	a, ok := algorithmOf(element)
	if !ok || len(a.Parameters) != 0 && !bytes.Equal(a.Parameters, []byte{5, 0}) {
		return 0, false
	}
	hash, ok := hashes[a.OID]
	return hash, ok
}

// inherit gives a DSA key without parameters those of its issuer (RFC 5280, 6.1.4 (f)).
func inherit(key, issuer crypto.PublicKey) crypto.PublicKey {
	k, ok := key.(*dsa.PublicKey)
	if !ok || k.P != nil {
		return key
	}
	from, ok := issuer.(*dsa.PublicKey)
	if !ok || from.P == nil {
		return UnsupportedKey{keyDSA}
	}
	return &dsa.PublicKey{Parameters: from.Parameters, Y: new(big.Int).Set(k.Y)}
}
