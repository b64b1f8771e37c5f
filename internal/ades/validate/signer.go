package validate

import (
	"bytes"
	"crypto"

	"certsign/internal/ades"
	"certsign/internal/pkix"
)

// signedPropertiesType is the Type of the reference to the signed properties (EN 319 132-1, 4.4.2).
const signedPropertiesType = "http://uri.etsi.org/01903#SignedProperties"

// maxCandidates is how many embedded certificates are tried as the signer's.
const maxCandidates = 50

// identify is EN 319 102-1, 5.2.3: the signer's certificate is the one that a signed reference names by digest. Where the
// signature has no such reference it is the embedded one whose key verifies the value, and acceptance is told.
func identify(s *ades.UnverifiedSignature) (*pkix.Certificate, finding) {
	candidates := readAll(s.Certificates, maxCandidates, pkix.ParseCertificate)
	if len(candidates) == 0 {
		return nil, found(ades.NoSigningCertificateFound, "The signature holds no certificate that can be read.")
	}
	if len(s.SigningCertificate) == 0 {
		return likeliest(s, candidates), finding{}
	}
	var named []*pkix.Certificate
	var f finding
	for _, cert := range candidates {
		for _, r := range s.SigningCertificate {
			if !r.Hash.Available() || len(r.Digest) != r.Hash.Size() || !bytes.Equal(sum(r.Hash, cert.Raw), r.Digest) {
				continue
			}
			named = append(named, cert)
			if r.SerialNumber != "" && r.SerialNumber != cert.Serial.String() && f.sub == "" {
				f = found(ades.SigConstraintsFailure, "The signed reference to the signer's certificate gives another serial number than the certificate's.")
			}
		}
	}
	if len(named) == 0 {
		return nil, found(ades.NoSigningCertificateFound, "None of the certificates in the signature is the one that its signed properties name.")
	}
	return likeliest(s, named), f
}

func likeliest(s *ades.UnverifiedSignature, candidates []*pkix.Certificate) *pkix.Certificate {
	for _, cert := range candidates {
		if VerifyValue(s.Algorithm, cert.PublicKey, s.Signed, s.Value) == nil {
			return cert
		}
	}
	return candidates[0]
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}
