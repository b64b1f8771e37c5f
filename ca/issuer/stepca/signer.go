package stepca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/ca"
	"certsign/internal/problem"
)

// patience bounds how long the ledger may take: step-ca passes no context down to here, and a certificate whose client
// went away is still recorded.
const patience = 30 * time.Second

// signer is the authority's CAS: the one place where the CA's key is used for a person's certificate.
type signer struct{ *Issuer }

// CreateCertificate implements apiv1.CertificateAuthorityService. The template is what step-ca made of the token and the
// provisioner's profile.
func (s *signer) CreateCertificate(r *apiv1.CreateCertificateRequest) (*apiv1.CreateCertificateResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r.CSR == nil || r.Template == nil {
		return nil, errors.New("a CSR and a template are required")
	}
	granted, err := s.c.Ledger.Granted(ctx, r.CSR.Raw)
	if err != nil {
		return nil, asRefusal(err)
	}
	shard, err := s.finish(r.Template)
	if err != nil {
		return nil, err
	}
	draft, err := s.lint.draft(r.Template, s.c.PolicyURL)
	if err != nil {
		return nil, err
	}
	s.step("spent")
	intent, err := s.c.Ledger.Intend(ctx, granted.ID, draft, s.c.Certificate, shard)
	if err != nil {
		return nil, asRefusal(err)
	}
	s.step("intended")
	der, err := s.sign(intent.TBS)
	if err != nil {
		return nil, err
	}
	s.step("signed")
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("signed certificate: %w", err)
	}
	return &apiv1.CreateCertificateResponse{Certificate: certificate, CertificateChain: []*x509.Certificate{s.c.Certificate}}, nil
}

// RenewCertificate implements apiv1.CertificateAuthorityService: customs certificates are not renewed.
func (s *signer) RenewCertificate(*apiv1.RenewCertificateRequest) (*apiv1.RenewCertificateResponse, error) {
	return nil, &refusal{problem.New(problem.Unsupported, "customs certificates are not renewed; generate a new one"), http.StatusForbidden}
}

// RevokeCertificate implements apiv1.CertificateAuthorityService. The revocation itself is the database's.
func (s *signer) RevokeCertificate(r *apiv1.RevokeCertificateRequest) (*apiv1.RevokeCertificateResponse, error) {
	return &apiv1.RevokeCertificateResponse{Certificate: r.Certificate, CertificateChain: []*x509.Certificate{s.c.Certificate}}, nil
}

// sign signs exactly these octets with the CA's key and checks the result. With a key in memory it is deterministic, so
// that an interrupted issue ends in the very certificate that it began with.
func (i *Issuer) sign(tbs []byte) ([]byte, error) {
	algorithm, err := tbsAlgorithm(tbs)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	hash := crypto.SHA256
	var random io.Reader = rand.Reader
	if public, ok := i.c.Key.Public().(*ecdsa.PublicKey); ok {
		hash = curveHash(public.Curve)
		if _, inMemory := i.c.Key.(*ecdsa.PrivateKey); inMemory {
			random = nil // crypto/ecdsa: RFC 6979
		}
	}
	digest := hash.New()
	digest.Write(tbs)
	signature, err := i.c.Key.Sign(random, digest.Sum(nil), hash)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	// RFC 5280, 4.1.1.2: the algorithm is the one that the tbsCertificate names.
	der, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, asn1.RawValue{FullBytes: algorithm}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	if err := certificate.CheckSignatureFrom(i.c.Certificate); err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return der, nil
}

// tbsAlgorithm returns the DER of the signature field of a tbsCertificate.
func tbsAlgorithm(tbs []byte) ([]byte, error) {
	in := cryptobyte.String(tbs)
	var body, algorithm cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() ||
		!body.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) || // version
		!body.SkipASN1(casn1.INTEGER) || // serialNumber
		!body.ReadASN1Element(&algorithm, casn1.SEQUENCE) {
		return nil, errors.New("malformed tbsCertificate")
	}
	return algorithm, nil
}

// resign finishes an interrupted issue; nil when it is too old to be worth anything.
func (i *Issuer) resign(intent ca.Intent) ([]byte, error) {
	if i.c.Now().After(intent.NotAfter) {
		return nil, nil
	}
	return i.sign(intent.TBS)
}
