// Package testpki makes real certificates, CRLs and OCSP responses in memory, for tests and for test vectors: a root,
// intermediates, end certificates, delegated responders, with any of their fields changed on purpose. Everything is
// signed with real keys through crypto/x509 and golang.org/x/crypto/ocsp; there is no fake cryptography.
//
// Keys are derived from names and the clock is fixed, so the same test makes the same bytes on every machine. For that
// very reason nothing made here may be trusted outside a test. It makes no time stamps.
package testpki

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"
)

// Clock is the moment that every hierarchy was made at, unless At says otherwise.
var Clock = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)

// Pair is a certificate and its private key.
type Pair struct {
	Certificate *x509.Certificate
	DER         []byte
	Key         crypto.Signer

	tb     testing.TB
	issuer *Authority // nil for a root
	at     time.Time
	path   string // the names from the root down, from which keys and serial numbers are derived
}

// Authority is a certificate authority in memory.
type Authority struct {
	Pair
	issued int64
}

// Leaf is an end certificate, its key and the chain above it.
type Leaf struct {
	Pair
}

// Chain returns the certificates from this one up to the root, the root included, as DER.
func (p *Pair) Chain() [][]byte {
	chain := [][]byte{p.DER}
	for a := p.issuer; a != nil; a = a.issuer {
		chain = append(chain, a.DER)
	}
	return chain
}

// Issuer returns the authority that issued the certificate, or nil for a root.
func (p *Pair) Issuer() *Authority { return p.issuer }

// Pool returns a pool that holds this certificate alone.
func (p *Pair) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate)
	return pool
}

// Option changes the certificate about to be made.
type Option func(*request)

type request struct {
	template x509.Certificate
	kind     KeyKind
	key      crypto.Signer
	at       time.Time
	from, to time.Time
	sigAlg   x509.SignatureAlgorithm
	edits    []func(*x509.Certificate)
}

// Named sets the subject's common name; keys are derived from it too.
func Named(commonName string) Option {
	return func(r *request) { r.template.Subject.CommonName = commonName }
}

// Subject sets the whole subject.
func Subject(name pkix.Name) Option {
	return func(r *request) { r.template.Subject = name }
}

// RawSubject sets the subject's DER as it shall stand in the certificate.
func RawSubject(der []byte) Option {
	return func(r *request) { r.template.RawSubject = der }
}

// WithKind chooses the kind of key; the default is P256.
func WithKind(kind KeyKind) Option {
	return func(r *request) { r.kind = kind }
}

// WithKey uses a given key instead of one derived from the name.
func WithKey(key crypto.Signer) Option {
	return func(r *request) { r.key = key }
}

// At moves the moment that the certificate is made at; what is issued below follows it.
func At(at time.Time) Option {
	return func(r *request) { r.at = at }
}

// Valid sets both ends of the validity.
func Valid(from, to time.Time) Option {
	return func(r *request) { r.from, r.to = from, to }
}

// Expired makes a certificate whose validity ended an hour before the clock.
func Expired() Option {
	return func(r *request) { r.to = r.at.Add(-time.Hour); r.from = r.at.AddDate(-2, 0, 0) }
}

// NotYetValid makes a certificate whose validity begins an hour after the clock.
func NotYetValid() Option {
	return func(r *request) { r.from = r.at.Add(time.Hour); r.to = r.at.AddDate(2, 0, 0) }
}

// Usage sets the key usage; 0 leaves the extension out.
func Usage(usage x509.KeyUsage) Option {
	return func(r *request) { r.template.KeyUsage = usage }
}

// ExtendedUsage sets the extended key usages.
func ExtendedUsage(usages ...x509.ExtKeyUsage) Option {
	return func(r *request) { r.template.ExtKeyUsage = usages }
}

// Policies sets the certificate policies, in dotted form.
func Policies(oids ...string) Option {
	return func(r *request) {
		for _, dotted := range oids {
			oid, err := x509.ParseOID(dotted)
			if err != nil {
				panic("testpki: " + dotted + " is no object identifier")
			}
			r.template.Policies = append(r.template.Policies, oid)
		}
	}
}

// CRLAt sets the CRL distribution points' URLs.
func CRLAt(urls ...string) Option {
	return func(r *request) { r.template.CRLDistributionPoints = urls }
}

// OCSPAt sets the OCSP responders' URLs.
func OCSPAt(urls ...string) Option {
	return func(r *request) { r.template.OCSPServer = urls }
}

// IssuerAt sets the URLs of the issuer's certificate.
func IssuerAt(urls ...string) Option {
	return func(r *request) { r.template.IssuingCertificateURL = urls }
}

// PathLength sets the path length constraint of an authority.
func PathLength(n int) Option {
	return func(r *request) {
		r.template.MaxPathLen, r.template.MaxPathLenZero = n, n == 0
	}
}

// NotCA makes an authority's certificate say that it is none.
func NotCA() Option {
	return func(r *request) { r.template.IsCA = false; r.template.MaxPathLen = -1 }
}

// Serial sets the serial number.
func Serial(n *big.Int) Option {
	return func(r *request) { r.template.SerialNumber = n }
}

// Extension adds an extension as it stands.
func Extension(id asn1.ObjectIdentifier, critical bool, value []byte) Option {
	return func(r *request) {
		r.template.ExtraExtensions = append(r.template.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

// SignedWith sets the algorithm that the issuer signs with, SHA-1 included.
func SignedWith(algorithm x509.SignatureAlgorithm) Option {
	return func(r *request) { r.sigAlg = algorithm }
}

// Edit changes the template in any other way, last of all.
func Edit(edit func(*x509.Certificate)) Option {
	return func(r *request) { r.edits = append(r.edits, edit) }
}

// Root makes a self-signed authority, valid for twenty years.
func Root(tb testing.TB, options ...Option) *Authority {
	tb.Helper()
	r := newRequest(Clock, "TEST root")
	r.template.IsCA, r.template.BasicConstraintsValid, r.template.MaxPathLen = true, true, -1
	r.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	r.apply(options)
	r.validity(20)
	return &Authority{Pair: r.make(tb, nil)}
}

// Intermediate makes an authority below a, valid for ten years.
func (a *Authority) Intermediate(options ...Option) *Authority {
	a.tb.Helper()
	r := newRequest(a.at, "TEST issuing CA")
	r.template.IsCA, r.template.BasicConstraintsValid, r.template.MaxPathLen = true, true, -1
	r.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	r.apply(options)
	r.validity(10)
	return &Authority{Pair: r.make(a.tb, a)}
}

// Leaf makes an end certificate for signatures (digitalSignature and nonRepudiation), valid for two years.
func (a *Authority) Leaf(options ...Option) *Leaf {
	a.tb.Helper()
	r := newRequest(a.at, "TEST Jan Łoś")
	r.template.BasicConstraintsValid, r.template.MaxPathLen = true, -1
	r.template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	r.apply(options)
	r.validity(2)
	return &Leaf{Pair: r.make(a.tb, a)}
}

// Responder makes a certificate for a delegated OCSP responder, with id-kp-OCSPSigning and ocsp-nocheck.
func (a *Authority) Responder(options ...Option) *Leaf {
	a.tb.Helper()
	return a.Leaf(append([]Option{
		Named("TEST OCSP responder"),
		Usage(x509.KeyUsageDigitalSignature),
		ExtendedUsage(x509.ExtKeyUsageOCSPSigning),
		Extension(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, false, asn1.NullBytes),
	}, options...)...)
}

// Reissue makes another certificate for the authority's own name and key, issued by issuer (nil: by itself).
func (a *Authority) Reissue(issuer *Authority, options ...Option) *Authority {
	a.tb.Helper()
	r := newRequest(a.at, a.Certificate.Subject.CommonName)
	r.template.RawSubject = a.Certificate.RawSubject
	r.template.IsCA, r.template.BasicConstraintsValid, r.template.MaxPathLen = true, true, -1
	r.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	r.key = a.Key
	r.apply(options)
	r.validity(10)
	return &Authority{Pair: r.make(a.tb, issuer)}
}

func newRequest(at time.Time, name string) *request {
	r := &request{at: at, kind: P256}
	r.template.Subject = pkix.Name{Country: []string{"PL"}, Organization: []string{"TEST"}, CommonName: name}
	return r
}

func (r *request) apply(options []Option) {
	for _, option := range options {
		option(r)
	}
}

func (r *request) validity(years int) {
	if r.from.IsZero() {
		r.from = r.at.Add(-time.Hour)
	}
	if r.to.IsZero() {
		r.to = r.at.AddDate(years, 0, 0)
	}
	r.template.NotBefore, r.template.NotAfter = r.from, r.to
}

func (r *request) make(tb testing.TB, issuer *Authority) Pair {
	tb.Helper()
	path := r.template.Subject.CommonName
	if issuer != nil {
		path = issuer.path + "/" + path
	}
	key := r.key
	if key == nil {
		key = Key(path, r.kind)
	}
	if r.template.SerialNumber == nil {
		var n int64 = 1
		if issuer != nil {
			issuer.issued++
			n = issuer.issued
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "serial %s %d", path, n))
		sum[0] = sum[0]&0x3f | 0x40 // RFC 5280, 4.1.2.2: positive, at most 20 octets
		r.template.SerialNumber = new(big.Int).SetBytes(sum[:16])
	}
	if r.template.SubjectKeyId == nil {
		r.template.SubjectKeyId = keyID(tb, key.Public())
	}
	for _, edit := range r.edits {
		edit(&r.template)
	}
	parent, signer := &r.template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.Key
	}
	r.template.SignatureAlgorithm = r.sigAlg
	der, err := x509.CreateCertificate(nil, &r.template, parent, key.Public(), signer)
	if err != nil {
		tb.Fatalf("make the certificate of %s: %v", path, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil && r.template.SerialNumber.Sign() > 0 {
		tb.Fatalf("read the certificate of %s: %v", path, err)
	}
	return Pair{Certificate: certificate, DER: der, Key: key, tb: tb, issuer: issuer, at: r.at, path: path}
}

// keyID is method 1 of RFC 5280, 4.2.1.2.
func keyID(tb testing.TB, public crypto.PublicKey) []byte {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatalf("marshal the public key: %v", err)
	}
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &key); err != nil {
		tb.Fatalf("read the public key: %v", err)
	}
	sum := sha1.Sum(bytes.Clone(key.Key.Bytes))
	return sum[:]
}
