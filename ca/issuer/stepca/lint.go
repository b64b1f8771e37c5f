package stepca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// linter signs a certificate with a throw-away key first, so that its exact tbsCertificate can be judged and recorded
// before the CA's key signs those very octets.
type linter struct {
	parent   *x509.Certificate // the issuer, under the throw-away key
	key      crypto.Signer
	registry lint.Registry
}

func newLinter(key crypto.Signer, issuer *x509.Certificate) (*linter, error) {
	l := &linter{}
	var err error
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		l.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case *ecdsa.PublicKey:
		l.key, err = ecdsa.GenerateKey(public.Curve, rand.Reader) // the curve decides the signature algorithm
	default:
		return nil, fmt.Errorf("stepca: an issuing key of type %T is not supported", public)
	}
	if err != nil {
		return nil, fmt.Errorf("stepca: %w", err)
	}
	parent := *issuer
	parent.PublicKey = l.key.Public()
	l.parent = &parent
	// The rules for any X.509 certificate on the Internet; those for web servers and mail do not concern this profile.
	l.registry, err = lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813},
	})
	if err != nil {
		return nil, fmt.Errorf("stepca: lints: %w", err)
	}
	return l, nil
}

// standIn replaces the policy's OID while linting: zcrypto cannot read components above 31 bits.
const standIn = "1.3.6.1.4.1.32473.1" // RFC 5612: for documentation

// draft returns the certificate under the throw-away key. An error means that it must not be signed.
func (l *linter) draft(template *x509.Certificate, policyURL string) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, l.parent, template.PublicKey, l.key)
	if err != nil {
		return nil, fmt.Errorf("draft certificate: %w", err)
	}
	draft, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("draft certificate: %w", err)
	}
	if err := checkProfile(draft); err != nil {
		return nil, err
	}
	readable := *template
	policies, err := policiesExtension(standIn, policyURL, notice)
	if err != nil {
		return nil, err
	}
	readable.ExtraExtensions = []pkix.Extension{policies}
	der, err = x509.CreateCertificate(rand.Reader, &readable, l.parent, template.PublicKey, l.key)
	if err != nil {
		return nil, fmt.Errorf("draft certificate: %w", err)
	}
	parsed, err := zx509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("lint: %w", err)
	}
	results := zlint.LintCertificateEx(parsed, l.registry)
	var wrong []string
	for name, r := range results.Results {
		if r.Status >= lint.Error {
			wrong = append(wrong, name+" "+r.Details)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return nil, fmt.Errorf("lint: %s", strings.Join(wrong, "; "))
	}
	return draft, nil
}

func randomHex(octets int) string {
	b := make([]byte, octets)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return hex.EncodeToString(b)
}

// curveHash is the hash that goes with a curve (x509 picks the same).
func curveHash(c elliptic.Curve) crypto.Hash {
	switch c {
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	default:
		return crypto.SHA256
	}
}
