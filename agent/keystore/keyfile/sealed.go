package keyfile

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certsign/agent"
	"certsign/internal/problem"
)

const (
	maxKeyFile = 1 << 20
	// maxIterations bounds how long an altered file can keep the agent busy before its MAC is known to be wrong.
	maxIterations = 10_000_000
)

// content is what an opened key file holds.
type content struct {
	private    crypto.Signer
	chain      []*x509.Certificate // without the placeholder
	sealed     []byte              // the file
	iterations int                 // of its MAC
}

// encode seals a key with its certificates, or with a placeholder when there is none yet.
func encode(private crypto.Signer, chain []*x509.Certificate, password *agent.Secret, iterations int) ([]byte, error) {
	if len(chain) == 0 {
		placeholder, err := newPlaceholder(private)
		if err != nil {
			return nil, err
		}
		chain = []*x509.Certificate{placeholder}
	}
	sealed, err := pkcs12.Modern2023.WithIterations(iterations).Encode(private, chain[0], chain[1:], string(password.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("encode PKCS#12: %w", err)
	}
	return sealed, nil
}

// decode opens a key file: pin_incorrect when the MAC does not fit the password, integrity_failed when it does and the
// content is not one key of ours with certificates for it.
func decode(sealed []byte, password *agent.Secret) (*content, error) {
	key, leaf, issuers, err := pkcs12.DecodeChain(sealed, string(password.Bytes()))
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, problem.New(problem.PINIncorrect, "the password of the key file")
	}
	if err != nil {
		// A password that a BMPString cannot hold ends here too: it is not the file's.
		if len(agent.MissingPasswordRules(password.Bytes())) > 0 {
			return nil, problem.New(problem.PINIncorrect, "the password of the key file")
		}
		return nil, problem.Wrap(problem.IntegrityFailed, err, "the key file is damaged")
	}
	private, ok := key.(crypto.Signer)
	if !ok || !samePublic(leaf.PublicKey, private.Public()) {
		return nil, problem.New(problem.IntegrityFailed, "the key file's certificate holds another key")
	}
	c := &content{private: private}
	if !isPlaceholder(leaf) {
		c.chain = append([]*x509.Certificate{leaf}, issuers...)
	}
	return c, nil
}

// checkSealed looks at a file before its password is asked for: that it is a PKCS#12 file with a MAC whose cost is
// bounded by so many iterations. It returns their count. All else in the file is read only after the MAC was right.
func checkSealed(sealed []byte, iterations int) (int, error) {
	// RFC 7292, 4: PFX, and appendix D: MacData. The MAC is optional there, and required here.
	var pfx struct {
		Version  int
		AuthSafe asn1.RawValue
		MacData  struct {
			Mac struct {
				Algorithm pkix.AlgorithmIdentifier
				Digest    []byte
			}
			Salt       []byte
			Iterations int `asn1:"optional,default:1"`
		}
	}
	rest, err := asn1.Unmarshal(sealed, &pfx)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read PFX: %w", err)
	case len(rest) > 0:
		return 0, errors.New("octets after the PFX")
	case pfx.Version != 3:
		return 0, fmt.Errorf("a PFX of version %d", pfx.Version)
	case pfx.MacData.Mac.Algorithm.Algorithm.Equal(oidPBMAC1):
		return 0, errors.New("a PBMAC1 code")
	case pfx.MacData.Iterations < 1 || pfx.MacData.Iterations > iterations:
		return 0, fmt.Errorf("%d iterations", pfx.MacData.Iterations)
	}
	return pfx.MacData.Iterations, nil
}

// RFC 8018, appendix B.1: its iterations are elsewhere, and we write none.
var oidPBMAC1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}

// placeholderSubject marks the certificate of a key that has none. No CA writes this name.
var placeholderSubject = pkix.Name{Organization: []string{"CertSign"}, CommonName: "placeholder, not a certificate"}

// newPlaceholder makes a self-signed certificate that is valid for no time.
func newPlaceholder(private crypto.Signer) (*x509.Certificate, error) {
	moment := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: placeholderSubject, NotBefore: moment, NotAfter: moment, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("make placeholder: %w", err)
	}
	return x509.ParseCertificate(der)
}

func isPlaceholder(c *x509.Certificate) bool {
	name, err := asn1.Marshal(placeholderSubject.ToRDNSequence())
	return err == nil && bytes.Equal(c.RawSubject, name) && bytes.Equal(c.RawIssuer, name) && c.NotAfter.Equal(c.NotBefore)
}
