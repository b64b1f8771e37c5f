package online

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/url"

	"certsign/internal/pkix"
	"certsign/internal/problem"
)

// Limits on evidence, in octets and addresses. A certificate that names more addresses has the rest ignored.
const (
	MaxCRL         = 64 << 20
	MaxOCSP        = 256 << 10
	MaxCertificate = 64 << 10
	maxAddresses   = 4
)

// FetchCRL returns the DER of the CRL at the certificate's distribution points, from the first that answers with a CRL.
// The certificate is DER and unverified, and so is the answer. A certificate that names no http address is the problem
// evidence_unreachable.
func (c *Client) FetchCRL(ctx context.Context, unverifiedCertificate []byte) ([]byte, error) {
	cert, err := pkix.ParseCertificate(unverifiedCertificate)
	if err != nil {
		return nil, err
	}
	return first(cert.CRLURLs(), "CRL", func(address string) ([]byte, error) {
		answer, err := c.Get(ctx, address, MaxCRL)
		if err != nil {
			return nil, err
		}
		der := fromPEM(answer, "X509 CRL")
		_, err = pkix.ParseCRL(der)
		return der, err
	})
}

// FetchOCSP asks the responders that the certificate names about it and returns the DER of the first response that is a
// successful one. Both certificates are DER; nothing of them or of the response is verified here.
func (c *Client) FetchOCSP(ctx context.Context, unverifiedCertificate, unverifiedIssuer []byte) ([]byte, error) {
	cert, err := pkix.ParseCertificate(unverifiedCertificate)
	if err != nil {
		return nil, err
	}
	issuer, err := pkix.ParseCertificate(unverifiedIssuer)
	if err != nil {
		return nil, err
	}
	request, err := pkix.OCSPRequest(cert, issuer)
	if err != nil {
		return nil, err
	}
	return first(cert.OCSPURLs(), "OCSP responder", func(address string) ([]byte, error) {
		// RFC 6960, A.1: POST with the DER of the request.
		answer, err := c.Post(ctx, address, "application/ocsp-request", request, MaxOCSP)
		if err != nil {
			return nil, err
		}
		_, err = pkix.ParseOCSP(answer)
		return answer, err
	})
}

// FetchIssuer returns the DER of the certificate at the caIssuers addresses of a certificate (RFC 5280, 4.2.2.1), when it
// is one certificate in DER or PEM.
func (c *Client) FetchIssuer(ctx context.Context, unverifiedCertificate []byte) ([]byte, error) {
	cert, err := pkix.ParseCertificate(unverifiedCertificate)
	if err != nil {
		return nil, err
	}
	return first(cert.IssuerURLs(), "issuer's certificate", func(address string) ([]byte, error) {
		answer, err := c.Get(ctx, address, MaxCertificate)
		if err != nil {
			return nil, err
		}
		der := fromPEM(answer, "CERTIFICATE")
		_, err = pkix.ParseCertificate(der)
		return der, err
	})
}

func first(addresses []string, what string, fetch func(string) ([]byte, error)) ([]byte, error) {
	var failures []error
	for _, address := range addresses {
		if u, err := url.Parse(address); err != nil || (u.Scheme != "http" && u.Scheme != "https") {
			continue // ldap and the like
		}
		if len(failures) == maxAddresses {
			break
		}
		der, err := fetch(address)
		if err == nil {
			return der, nil
		}
		failures = append(failures, err)
	}
	switch len(failures) {
	case 0:
		return nil, problem.New(problem.EvidenceUnreachable, "the certificate names no address for the %s", what)
	case 1:
		var p *problem.Error
		if errors.As(failures[0], &p) {
			return nil, p
		}
	}
	return nil, problem.Wrap(problem.EvidenceUnreachable, errors.Join(failures...), "no address of the certificate gave the %s", what)
}

func fromPEM(answer []byte, kind string) []byte {
	if bytes.HasPrefix(bytes.TrimSpace(answer), []byte("-----BEGIN")) {
		if block, _ := pem.Decode(answer); block != nil && block.Type == kind {
			return block.Bytes
		}
	}
	return answer
}
