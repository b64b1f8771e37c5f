package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"time"

	"certsign/ca/status"
)

// hierarchy is what a key ceremony makes.
type hierarchy struct {
	certificates map[string]*x509.Certificate
	keys         map[string]crypto.Signer
	rootCRL      []byte
}

// ceremony is how one is made.
type ceremony struct {
	now       time.Time
	marker    string // "TEST " in a test hierarchy
	statusURL string
	caHosts   []string
}

const organization = "Ministerstwo Finansów"

// rootCRLLife is long because the root's key is off line; a new one is made when the root has something to revoke.
const rootCRLLife = 365 * 24 * time.Hour

var (
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
	oidNoCheck                = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidDocumentSigning        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36} // RFC 9336
)

func (c ceremony) run() (*hierarchy, error) {
	h := &hierarchy{certificates: map[string]*x509.Certificate{}, keys: map[string]crypto.Signer{}}
	for name, curve := range map[string]elliptic.Curve{
		rootName: elliptic.P384(), issuingName: elliptic.P256(), ocspName: elliptic.P256(), sealName: elliptic.P256(),
		tlsName: elliptic.P256(), provisionerName: elliptic.P256(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate key %s: %w", name, err)
		}
		h.keys[name] = key
	}
	root := c.template("Główne Centrum Certyfikacji Służby Celnej", 20)
	root.IsCA, root.BasicConstraintsValid, root.MaxPathLen = true, true, 1
	root.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

	issuing := c.template("CCK Użytkowników Zewnętrznych Służby Celnej", 10)
	issuing.IsCA, issuing.BasicConstraintsValid, issuing.MaxPathLenZero = true, true, true
	issuing.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	anyPolicy, err := x509.ParseOID("2.5.29.32.0")
	if err != nil {
		return nil, err
	}
	issuing.Policies = []x509.OID{anyPolicy}

	seal := c.template("SEAP PL - pieczęć", 2)
	// EN 319 412-3, 4.2.1: an organisation's certificate names it with organizationIdentifier.
	seal.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidOrganizationIdentifier, Value: "VATPL-5260250274"}}
	seal.BasicConstraintsValid = true
	seal.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	seal.UnknownExtKeyUsage = []asn1.ObjectIdentifier{oidDocumentSigning}

	server := c.template("customs-ca", 2)
	server.BasicConstraintsValid = true
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range c.caHosts {
		if ip := net.ParseIP(host); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	if err := h.issue(rootName, root, rootName); err != nil {
		return nil, err
	}
	for name, template := range map[string]*x509.Certificate{issuingName: issuing, sealName: seal, tlsName: server} {
		c.address(template, status.RootSlug+"-0", status.RootSlug)
		if err := h.issue(name, template, rootName); err != nil {
			return nil, err
		}
	}
	ocsp, err := delegate(h.certificates[issuingName], h.keys[issuingName], h.keys[ocspName].Public(), c.marker, c.now)
	if err != nil {
		return nil, err
	}
	h.certificates[ocspName] = ocsp
	h.rootCRL, err = rootCRL(h.certificates[rootName], h.keys[rootName], c.now)
	return h, err
}

// template is what every certificate of the ceremony has. A test hierarchy says so in each name.
func (c ceremony) template(commonName string, years int) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{Country: []string{"PL"}, Organization: []string{organization}, CommonName: c.marker + commonName},
		NotBefore: c.now.Add(-time.Minute), NotAfter: c.now.AddDate(years, 0, 0),
	}
}

func (c ceremony) address(t *x509.Certificate, crl, issuer string) {
	t.CRLDistributionPoints = []string{c.statusURL + "/crl/" + crl + ".crl"}
	t.IssuingCertificateURL = []string{c.statusURL + "/ca/" + issuer + ".cer"}
}

func (h *hierarchy) issue(name string, template *x509.Certificate, by string) error {
	parent := h.certificates[by]
	if name == by {
		parent = template
	}
	c, err := sign(template, parent, h.keys[name].Public(), h.keys[by])
	if err != nil {
		return fmt.Errorf("issue %s: %w", name, err)
	}
	h.certificates[name] = c
	return nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial)
	serial[0] = serial[0]&0x3f | 0x40
	template.SerialNumber = new(big.Int).SetBytes(serial)
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var k struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &k); err != nil {
		return nil, err
	}
	id := sha256.Sum256(k.Key.Bytes)
	template.SubjectKeyId = id[:20] // RFC 7093, 2, method 1
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// responderLife and responderRenewal: a delegated responder cannot be revoked, so it lives a short time and is replaced
// while the server runs.
const (
	responderLife    = 30 * 24 * time.Hour
	responderRenewal = 10 * 24 * time.Hour
)

// delegate issues the OCSP responder's certificate (RFC 6960, 4.2.2.2).
func delegate(issuer *x509.Certificate, issuerKey crypto.Signer, public crypto.PublicKey, marker string, now time.Time) (*x509.Certificate, error) {
	c := ceremony{now: now, marker: marker}
	t := c.template("OCSP CCK Użytkowników Zewnętrznych", 0)
	t.NotAfter = now.Add(responderLife)
	t.BasicConstraintsValid = true
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	// RFC 6960, 4.2.2.2.1: id-pkix-ocsp-nocheck, NULL.
	t.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
	r, err := sign(t, issuer, public, issuerKey)
	if err != nil {
		return nil, fmt.Errorf("issue OCSP certificate: %w", err)
	}
	return r, nil
}

// rootCRL is complete for all that the root issued; its number is the time, which only grows.
func rootCRL(root *x509.Certificate, key crypto.Signer, now time.Time) ([]byte, error) {
	now = now.UTC().Truncate(time.Second)
	return status.CRL(root, key, nil, now.Unix(), now, now.Add(rootCRLLife), "")
}
