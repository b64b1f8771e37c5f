package testpki

import (
	"crypto"
	_ "crypto/sha256" // OCSP CertID and signatures
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// Reasons of RFC 5280, 5.3.1.
const (
	KeyCompromise        = 1
	CessationOfOperation = 5
	CertificateHold      = 6
)

// Revocation is one entry of a CRL. A zero Reason leaves the reasonCode out.
type Revocation struct {
	Serial *big.Int
	At     time.Time // zero: the authority's clock
	Reason int
}

// CRL is a revocation list to be made.
type CRL struct {
	Number     int64     // zero: 1
	ThisUpdate time.Time // zero: the authority's clock
	NextUpdate time.Time // zero: a day after ThisUpdate
	Revoked    []Revocation
	// Shard is the URL of the distribution point that a critical issuingDistributionPoint names; "" leaves it out.
	Shard string
	// IDP, when set, is the whole issuingDistributionPoint value instead of Shard.
	IDP []byte
	// Extensions are added as they stand.
	Extensions []pkix.Extension
	// Signer signs in place of the authority, keeping the authority's name: a forged list.
	Signer crypto.Signer
}

// CRL makes a revocation list.
func (a *Authority) CRL(c CRL) []byte {
	a.tb.Helper()
	if c.Number == 0 {
		c.Number = 1
	}
	if c.ThisUpdate.IsZero() {
		c.ThisUpdate = a.at
	}
	if c.NextUpdate.IsZero() {
		c.NextUpdate = c.ThisUpdate.AddDate(0, 0, 1)
	}
	template := &x509.RevocationList{
		Number:          big.NewInt(c.Number),
		ThisUpdate:      c.ThisUpdate,
		NextUpdate:      c.NextUpdate,
		ExtraExtensions: c.Extensions,
	}
	for _, r := range c.Revoked {
		if r.At.IsZero() {
			r.At = a.at
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.Serial, RevocationTime: r.At, ReasonCode: r.Reason,
		})
	}
	if c.IDP == nil && c.Shard != "" {
		c.IDP = DistributionPoint(c.Shard)
	}
	if c.IDP != nil {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: c.IDP,
		})
	}
	issuer, signer := a.Certificate, a.Key
	if c.Signer != nil {
		clone := *a.Certificate
		clone.PublicKey = c.Signer.Public()
		issuer, signer = &clone, c.Signer
	}
	der, err := x509.CreateRevocationList(nil, template, issuer, signer)
	if err != nil {
		a.tb.Fatalf("make the CRL of %s: %v", a.path, err)
	}
	return der
}

// DistributionPoint returns an issuingDistributionPoint value (RFC 5280, 5.2.5) with one URL as its full name.
func DistributionPoint(url string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
	})
	return b.BytesOrPanic()
}

// Response is an OCSP response to be made about one certificate.
type Response struct {
	Status     int       // ocsp.Good, ocsp.Revoked, ocsp.Unknown
	ThisUpdate time.Time // zero: the authority's clock
	NextUpdate time.Time // zero: a day after ThisUpdate
	RevokedAt  time.Time // zero: the authority's clock
	Reason     int
	Hash       crypto.Hash // of the CertID; zero: SHA-1
	Responder  *Leaf       // nil: the authority itself
}

// OCSP makes a response about the certificate with that serial number.
func (a *Authority) OCSP(serial *big.Int, r Response) []byte {
	a.tb.Helper()
	if r.ThisUpdate.IsZero() {
		r.ThisUpdate = a.at
	}
	if r.NextUpdate.IsZero() {
		r.NextUpdate = r.ThisUpdate.AddDate(0, 0, 1)
	}
	template := ocsp.Response{
		Status: r.Status, SerialNumber: serial, ThisUpdate: r.ThisUpdate, NextUpdate: r.NextUpdate, IssuerHash: r.Hash,
	}
	if r.Status == ocsp.Revoked {
		template.RevokedAt, template.RevocationReason = r.RevokedAt, r.Reason
		if r.RevokedAt.IsZero() {
			template.RevokedAt = a.at
		}
	}
	responder, key := a.Certificate, a.Key
	if r.Responder != nil {
		responder, key = r.Responder.Certificate, r.Responder.Key
		template.Certificate = responder
	}
	der, err := ocsp.CreateResponse(a.Certificate, responder, template, key)
	if err != nil {
		a.tb.Fatalf("make an OCSP response of %s: %v", a.path, err)
	}
	return der
}

// Wrong returns a copy of an encoded signed structure with one bit of its signature, the last octet, flipped.
func Wrong(der []byte) []byte {
	out := append([]byte(nil), der...)
	out[len(out)-1] ^= 1
	return out
}
