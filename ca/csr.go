package ca

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"certsign/internal/keyorigin"
	"certsign/internal/problem"
)

// maxCSR is far above a 4096-bit request.
const maxCSR = 16 << 10

// CheckCSR reads a certification request and returns it when its key may be certified: DER and nothing else, proof of
// possession by a sound signature, a strong key, and no wish about alternative names. A subject in it is ignored. Otherwise
// it returns csr_invalid, key_weak or too_large.
func CheckCSR(der []byte) (*x509.CertificateRequest, error) {
	if len(der) > maxCSR {
		return nil, problem.New(problem.TooLarge, "a certification request has at most %d octets", maxCSR)
	}
	if block, _ := pem.Decode(der); block != nil {
		return nil, problem.New(problem.CSRInvalid, "the request is PEM; DER is expected")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, problem.Wrap(problem.CSRInvalid, err, "not a PKCS #10 certification request in DER")
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	switch csr.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return nil, problem.New(problem.CSRInvalid, "the request is signed with %s; SHA-256 or better is expected", csr.SignatureAlgorithm)
	}
	// RFC 2986, 4.2: the signature proves possession of the private key.
	if err := csr.CheckSignature(); err != nil {
		return nil, problem.Wrap(problem.CSRInvalid, err, "the request's signature is wrong")
	}
	if len(csr.DNSNames)+len(csr.EmailAddresses)+len(csr.IPAddresses)+len(csr.URIs) > 0 {
		return nil, problem.New(problem.CSRInvalid, "the request asks for alternative names; a customs certificate has none")
	}
	return csr, nil
}

// statedOrigin returns what a request that was granted states of how its key came to be, as it is stored. What cannot be
// read is not stated: the request proved possession of the key, and a statement that proves nothing is no reason to refuse.
func statedOrigin(csr []byte) (string, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return "", fmt.Errorf("stored request: %w", err)
	}
	origin := keyorigin.In(request)
	if origin == nil {
		return "", nil
	}
	b, err := json.Marshal(origin)
	return string(b), err
}

// storedOrigin is the way back.
func storedOrigin(stored string) (*keyorigin.Statement, error) {
	if stored == "" {
		return nil, nil
	}
	var origin keyorigin.Statement
	if err := json.Unmarshal([]byte(stored), &origin); err != nil {
		return nil, fmt.Errorf("stored origin of a key: %w", err)
	}
	return &origin, nil
}
