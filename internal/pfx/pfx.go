// Package pfx reads the files in which private keys and certificates travel: PKCS#12 (RFC 7292; in password mode, with a MAC
// of SHA-1 or SHA-2 or PBMAC1, RFC 9879, or with none), PKCS#8 bare and encrypted (RFC 5958), PKCS#1 and SEC 1 keys,
// certificates and PKCS#7 bundles of them, in DER or PEM; PKCS#12 and PKCS#7 in BER too, which older programs write. It
// decrypts what old programs used: RC2 and triple DES under the PKCS#12 derivation (RFC 7292, appendix C); and PBES2 (RFC
// 8018) with PBKDF2 and AES or triple DES.
//
// It does not write, does not read public-key mode, PEM blocks with a DEK-Info head, scrypt or keys that Go does not know,
// and judges neither keys nor certificates: callers decide what is strong enough, and whom they trust.
//
// The file is not trusted: its size, nesting, number of parts, the length of its keys, and the iterations that it may demand are bounded. A MAC
// proves only that whoever made the file knew the password.
package pfx

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"

	"certsign/internal/problem"
)

// The limits of a file.
const (
	MaxFile         = 1 << 20
	maxParts        = 200        // keys, certificates and PEM blocks
	maxIterations   = 10_000_000 // of one derivation
	maxAllIteration = 40_000_000 // of all in one file
	maxRSAPublic    = 16384      // bits, in a certificate: each signature by a key of a million would take seconds to check
)

// Contents is what a file holds, in its order.
type Contents struct {
	Keys         []Key
	Certificates []*x509.Certificate
}

// Key is a private key: RSA, ECDSA or Ed25519.
type Key struct {
	Private crypto.Signer
	Label   string // the friendlyName, or ""
}

// reader is one reading of a file.
type reader struct {
	ask      func() ([]byte, error)
	password []byte
	asked    bool
	work     int // iterations that are left
	found    Contents
}

// Read returns what is in a file. It calls ask at most once, and only when the file is encrypted; the password is
// overwritten. Failures are problems: pin_incorrect, too_large, document_unreadable, unsupported, key_weak, or ask's own.
func Read(file []byte, ask func() ([]byte, error)) (*Contents, error) {
	if len(file) > MaxFile {
		return nil, problem.New(problem.TooLarge, "a file of keys or certificates has at most %d octets", MaxFile)
	}
	r := &reader{ask: ask, work: maxAllIteration}
	defer func() { clear(r.password) }()
	var err error
	if bytes.Contains(file, []byte("-----BEGIN ")) {
		err = r.readPEM(file)
	} else {
		err = r.readDER(file)
	}
	if err != nil {
		return nil, err
	}
	if len(r.found.Keys)+len(r.found.Certificates) == 0 {
		return nil, problem.New(problem.DocumentUnreadable, "there is no key and no certificate in the file")
	}
	return &r.found, nil
}

func (r *reader) readPEM(file []byte) error {
	n := 0
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if n++; n > maxParts {
			return errTooMany
		}
		if block.Headers["DEK-Info"] != "" {
			return problem.New(problem.Unsupported, "a PEM key encrypted the old way; convert it with: openssl pkcs8 -topk8")
		}
		var err error
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			err = r.addCertificate(block.Bytes)
		case "PKCS7":
			err = r.readPKCS7(block.Bytes)
		case "PRIVATE KEY":
			err = r.addPKCS8(block.Bytes, "")
		case "RSA PRIVATE KEY":
			err = r.addPKCS1(block.Bytes)
		case "EC PRIVATE KEY":
			err = r.addSEC1(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			err = r.addEncrypted(block.Bytes, "")
		case "PKCS12":
			err = r.readPKCS12(block.Bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readDER tells the formats apart by trying them; no octets are two of them.
func (r *reader) readDER(file []byte) error {
	if _, err := x509.ParseCertificate(file); err == nil {
		return r.addCertificate(file)
	}
	der, err := definite(file)
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "the file is no PKCS #12, PEM or DER file")
	}
	switch kindOf(der) {
	case kindPKCS12:
		return r.readPKCS12(file)
	case kindPKCS7:
		return r.readPKCS7(file)
	case kindEncrypted:
		return r.addEncrypted(file, "")
	case kindPKCS8:
		return r.addPKCS8(file, "")
	case kindSEC1:
		return r.addSEC1(file)
	case kindPKCS1:
		return r.addPKCS1(file)
	}
	return problem.New(problem.DocumentUnreadable, "the file is no PKCS #12, PEM or DER file with keys or certificates")
}

func (r *reader) addCertificate(der []byte) error {
	if len(r.found.Certificates) == maxParts {
		return errTooMany
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "a certificate in the file cannot be read")
	}
	if key, isRSA := c.PublicKey.(*rsa.PublicKey); isRSA && key.N.BitLen() > maxRSAPublic {
		return problem.New(problem.TooLarge, "a certificate with an RSA key of %d bits", key.N.BitLen())
	}
	r.found.Certificates = append(r.found.Certificates, c)
	return nil
}

var errTooMany = problem.New(problem.TooLarge, "the file holds more than %d keys or certificates", maxParts)

// secret asks for the password the first time.
func (r *reader) secret() ([]byte, error) {
	if !r.asked {
		password, err := r.ask()
		if err != nil {
			return nil, err
		}
		r.password, r.asked = password, true
	}
	return r.password, nil
}

// spend takes a derivation's iterations, so many times, from what the file may demand.
func (r *reader) spend(iterations, times int) error {
	if iterations >= 1 && iterations <= maxIterations {
		r.work -= iterations * times
	}
	if iterations < 1 || iterations > maxIterations || r.work < 0 {
		return problem.New(problem.TooLarge, "the file demands %d iterations to be opened", iterations)
	}
	return nil
}

// errPassword says that what came out is not what must stand there.
var errPassword = problem.New(problem.PINIncorrect, "the password of the file")

func unreadable(what string) error {
	return problem.New(problem.DocumentUnreadable, "%s in the file cannot be read", what)
}
