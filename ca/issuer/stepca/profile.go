package stepca

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PolicyOID is this project's certificate policy: an arc of its own below 2.25 (Rec. ITU-T X.667), made from the UUID
// ebf002a1-f1eb-490b-90b1-2911065cdfb4.
const PolicyOID = "2.25.313614783650927290743788372219043569588"

// notice is the explicitText of the policy's userNotice. RFC 5280, 4.2.1.4: at most 200 characters, UTF8String.
const notice = "Certyfikat niekwalifikowany / non-qualified certificate"

// profileTemplate is a customs certificate as step-ca's templates write it. The subject comes from the token, which only
// this CA signs; nothing comes from the CSR but the key. What each certificate has for itself (serial number, validity,
// CRL shard) and the addresses follow in finish.
const profileTemplate = `{
	"rawSubject": {{ toJson .Token.u.subject }},
	"keyUsage": ["digitalSignature", "contentCommitment"],
	"unknownExtKeyUsage": ["1.3.6.1.5.5.7.3.36"],
	"basicConstraints": {"isCA": false}
}`

var (
	oidPolicies = asn1.ObjectIdentifier{2, 5, 29, 32}
	// RFC 9336: id-kp-documentSigning. It is the only purpose: a customs certificate is for documents, not for mail, web
	// clients or servers.
	oidDocumentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36}
)

// finish gives a template what is this certificate's own, and takes away what no customs certificate has.
func (i *Issuer) finish(t *x509.Certificate) (shard int, err error) {
	if t.SerialNumber, err = newSerial(); err != nil {
		return 0, err
	}
	shard = int(new(big.Int).Mod(t.SerialNumber, big.NewInt(int64(i.c.Shards))).Int64())
	now := i.c.Now().UTC()
	t.NotBefore = now.Add(-backdate)
	t.NotAfter = now.AddDate(validityYears, 0, 0)
	if t.NotAfter.After(i.c.Certificate.NotAfter) {
		t.NotAfter = i.c.Certificate.NotAfter // never beyond the issuer
	}
	spki, err := x509.MarshalPKIXPublicKey(t.PublicKey)
	if err != nil {
		return 0, fmt.Errorf("public key: %w", err)
	}
	if t.SubjectKeyId, err = keyID(spki); err != nil {
		return 0, err
	}
	t.CRLDistributionPoints = []string{fmt.Sprintf("%s/crl/%s-%d.crl", i.c.StatusURL, i.c.Slug, shard)}
	t.OCSPServer = []string{i.c.StatusURL + "/ocsp"}
	t.IssuingCertificateURL = []string{i.c.StatusURL + "/ca/" + i.c.Slug + ".cer"}
	t.SignatureAlgorithm = 0 // that of the issuer's key
	t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = nil, nil, nil, nil
	policies, err := policiesExtension(PolicyOID, i.c.PolicyURL, notice)
	if err != nil {
		return 0, err
	}
	t.ExtraExtensions = []pkix.Extension{policies}
	return shard, nil
}

// newSerial returns 16 random octets as a positive number of exactly that length (RFC 5280, 4.1.2.2).
func newSerial() (*big.Int, error) {
	b, err := hex.DecodeString(randomHex(16))
	if err != nil {
		return nil, err
	}
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b), nil
}

// keyID is RFC 7093, 2, method 1: the leftmost 160 bits of the SHA-256 of the key's BIT STRING.
func keyID(spki []byte) ([]byte, error) {
	var k struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(spki, &k); err != nil || len(rest) > 0 {
		return nil, errors.New("public key: malformed")
	}
	sum := sha256.Sum256(k.Key.Bytes)
	return sum[:20], nil
}

// policiesExtension writes certificatePolicies (RFC 5280, 4.2.1.4) with one policy, the address of its CPS, and a notice.
func policiesExtension(oid, cps, text string) (pkix.Extension, error) {
	parsed, err := x509.ParseOID(oid)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("policy: %w", err)
	}
	id, err := parsed.MarshalBinary()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("policy: %w", err)
	}
	var b cryptobyte.Builder
	sequence := casn1.SEQUENCE
	b.AddASN1(sequence, func(b *cryptobyte.Builder) {
		b.AddASN1(sequence, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(id) })
			b.AddASN1(sequence, func(b *cryptobyte.Builder) {
				b.AddASN1(sequence, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}) // id-qt-cps
					b.AddASN1(casn1.IA5String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(cps)) })
				})
				b.AddASN1(sequence, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2}) // id-qt-unotice
					b.AddASN1(sequence, func(b *cryptobyte.Builder) {
						b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
					})
				})
			})
		})
	})
	value, err := b.Bytes()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("policy: %w", err)
	}
	return pkix.Extension{Id: oidPolicies, Value: value}, nil
}

// profileExtensions are the extensions of a customs certificate and whether they are critical; there are no others.
var profileExtensions = map[string]bool{
	"2.5.29.15":         true,  // keyUsage
	"2.5.29.37":         false, // extKeyUsage
	"2.5.29.19":         true,  // basicConstraints
	"2.5.29.14":         false, // subjectKeyIdentifier
	"2.5.29.35":         false, // authorityKeyIdentifier
	"1.3.6.1.5.5.7.1.1": false, // authorityInfoAccess
	"2.5.29.31":         false, // cRLDistributionPoints
	"2.5.29.32":         false, // certificatePolicies
}

// checkProfile looks at the finished octets, not at how they came about: whatever a template or a library did, nothing
// else than a customs certificate is signed.
func checkProfile(c *x509.Certificate) error {
	if len(c.Extensions) != len(profileExtensions) {
		return fmt.Errorf("profile: %d extensions", len(c.Extensions))
	}
	for _, e := range c.Extensions {
		critical, known := profileExtensions[e.Id.String()]
		if !known || critical != e.Critical {
			return fmt.Errorf("profile: extension %s", e.Id)
		}
	}
	switch {
	case c.Version != 3, c.IsCA, !c.BasicConstraintsValid:
		return errors.New("profile: not an end-entity certificate")
	case c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment:
		return errors.New("profile: key usage")
	case len(c.ExtKeyUsage) != 0, len(c.UnknownExtKeyUsage) != 1, !slices.ContainsFunc(c.UnknownExtKeyUsage, oidDocumentSigning.Equal):
		return errors.New("profile: extended key usage")
	case len(c.Subject.Names) != 6, bytes.Contains(c.RawSubject, []byte("@")):
		return errors.New("profile: subject")
	case len(c.SerialNumber.Bytes()) != 16:
		return errors.New("profile: serial number")
	case c.NotAfter.Sub(c.NotBefore) > (validityYears*366+1)*24*3600e9:
		return errors.New("profile: validity")
	}
	return nil
}

func csrThumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func decimalSerial(hexSerial string) (string, error) {
	n, ok := new(big.Int).SetString(hexSerial, 16)
	if !ok {
		return "", errors.New("serial number is not hexadecimal")
	}
	return n.String(), nil
}
