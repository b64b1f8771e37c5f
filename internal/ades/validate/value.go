package validate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1"   // hash functions of signatures
	_ "crypto/sha256" // hash functions of signatures
	_ "crypto/sha3"   // hash functions of signatures
	_ "crypto/sha512" // hash functions of signatures
	"errors"
	"fmt"
	"math/big"

	"certsign/internal/ades"
	"certsign/internal/pkix"
)

// Errors of VerifyValue.
var (
	ErrValue       = errors.New("the signature value does not verify")
	ErrUnsupported = errors.New("the signature algorithm or the key is not supported")
)

// VerifyValue verifies a signature value over the octets signed. ECDSA values are r‖s of exactly the curve's length where
// the algorithm says P1363 and strict DER otherwise. PSS uses the algorithm's hash for the mask too, and its salt length;
// 0 leaves the length open. It returns ErrValue or ErrUnsupported, both possibly wrapped.
func VerifyValue(algorithm ades.Algorithm, public crypto.PublicKey, signed, value []byte) error {
	if !algorithm.Hash.Available() || algorithm.Key == ades.Unknown {
		return fmt.Errorf("%w: algorithm %q", ErrUnsupported, algorithm.Name)
	}
	digest := sum(algorithm.Hash, signed)
	switch key := public.(type) {
	case *rsa.PublicKey:
		if algorithm.Key != ades.RSA {
			return fmt.Errorf("%w: the certificate holds an RSA key", ErrValue)
		}
		var err error
		if algorithm.PSS {
			err = rsa.VerifyPSS(key, algorithm.Hash, digest, value, &rsa.PSSOptions{SaltLength: algorithm.Salt, Hash: algorithm.Hash})
		} else {
			err = rsa.VerifyPKCS1v15(key, algorithm.Hash, digest, value)
		}
		if err != nil {
			return ErrValue
		}
		return nil
	case *ecdsa.PublicKey:
		if algorithm.Key != ades.ECDSA {
			return fmt.Errorf("%w: the certificate holds an elliptic curve key", ErrValue)
		}
		valid := false
		if algorithm.P1363 {
			valid = verifyP1363(key, digest, value)
		} else {
			valid = ecdsa.VerifyASN1(key, digest, value)
		}
		if !valid {
			return ErrValue
		}
		return nil
	}
	return fmt.Errorf("%w: key type", ErrUnsupported)
}

// verifyP1363 takes r and s of exactly the length of the curve's order each (XML-DSig 1.1, 6.4.3).
func verifyP1363(key *ecdsa.PublicKey, digest, value []byte) bool {
	size := (key.Curve.Params().N.BitLen() + 7) / 8
	if len(value) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:])
	return ecdsa.Verify(key, digest, r, s)
}

// checkReferences is the first half of EN 319 102-1, 5.2.7: the data that was signed is there and unchanged.
func checkReferences(s *ades.UnverifiedSignature) finding {
	var f finding
	for _, r := range s.References {
		name := fmt.Sprintf("%q", r.URI)
		switch {
		case r.URI == "":
			name = "the document"
		case r.SignedProperties:
			name = "the signed properties"
		}
		switch {
		case !r.Hash.Available():
			f.also(found(ades.CryptoConstraintsFailureNoPOE, "The digest of %s uses the algorithm %q, which is not supported.", name, r.HashName))
		case r.Computed == nil:
			why := r.NotFound
			if why == "" {
				why = "it was not found"
			}
			f.also(found(ades.SignedDataNotFound, "What was signed as %s is not available: %s.", name, why))
		case len(r.Computed) != r.Hash.Size() || !bytes.Equal(r.Expected, r.Computed):
			f.also(found(ades.HashFailure, "The digest of %s differs from the signed one: it was changed after signing.", name))
		}
	}
	return f
}

// checkValue is the second half of EN 319 102-1, 5.2.7.
func checkValue(s *ades.UnverifiedSignature, signer *pkix.Certificate) finding {
	err := VerifyValue(s.Algorithm, signer.PublicKey, s.Signed, s.Value)
	switch {
	case err == nil:
		return finding{}
	case errors.Is(err, ErrUnsupported):
		return found(ades.CryptoConstraintsFailureNoPOE, "The signature value cannot be verified: the algorithm %q or the key in the certificate is not supported.", s.Algorithm.Name)
	}
	return found(ades.SigCryptoFailure, "The signature value does not verify with the key in the signer's certificate.")
}
