package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a CA's folder. Keys are PKCS #8, encrypted under the password; the root's belongs on a medium of its own.
const (
	configFile = "customs-ca.yaml"

	rootName        = "root"
	issuingName     = "external"
	ocspName        = "ocsp"
	sealName        = "seal"
	tlsName         = "ca-tls"
	provisionerName = "provisioner"

	rootCRLFile = "root.crl"
	codesFile   = "codes.key"
)

// writeNew writes a file that must not exist yet.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// replace writes a file in one step: readers see the old or the new one.
func replace(path string, content []byte, mode fs.FileMode) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(temporary, content, mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func keyPath(dir, name string) string         { return filepath.Join(dir, name+".key") }
func certificatePath(dir, name string) string { return filepath.Join(dir, name+".crt") }

func writeKey(dir, name string, key crypto.Signer, password []byte) error {
	der, err := encryptKey(key, password)
	if err != nil {
		return fmt.Errorf("encrypt key %s: %w", name, err)
	}
	return writeNew(keyPath(dir, name), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), 0o600)
}

func writeCertificate(dir, name string, c *x509.Certificate) error {
	return writeNew(certificatePath(dir, name), certificatePEM(c), 0o644)
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func readKey(dir, name string, password []byte) (crypto.Signer, error) {
	path := keyPath(dir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(fmt.Errorf("no key file %s", path), "put the key file back; a key that is lost ends this CA")
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, hint(fmt.Errorf("key file %s is open to others", path), "chmod 600 %s", path)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "ENCRYPTED PRIVATE KEY" {
		return nil, hint(fmt.Errorf("key file %s is not an encrypted key", path), "openssl pkcs8 -topk8 -scrypt makes one")
	}
	key, err := decryptKey(block.Bytes, password)
	if errors.Is(err, errPassword) {
		return nil, hint(fmt.Errorf("key file %s cannot be opened", path), "check the password file")
	}
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

func readCertificate(dir, name string) (*x509.Certificate, error) {
	path := certificatePath(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// readPair reads a certificate and its key and checks that they belong together.
func readPair(dir, name string, password []byte) (*x509.Certificate, crypto.Signer, error) {
	c, err := readCertificate(dir, name)
	if err != nil {
		return nil, nil, err
	}
	key, err := readKey(dir, name, password)
	if err != nil {
		return nil, nil, err
	}
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, nil, fmt.Errorf("%s and %s do not belong together", certificatePath(dir, name), keyPath(dir, name))
	}
	return c, key, nil
}

func readProvisioner(dir string, password []byte) (*ecdsa.PrivateKey, error) {
	key, err := readKey(dir, provisionerName, password)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the provisioner's key is not ECDSA")
	}
	return ec, nil
}

// readPassword reads the file that a flag or a setting names.
func readPassword(path, named string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, hint(fmt.Errorf("password file: %w", err), "check %s", named)
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 {
		return nil, fmt.Errorf("password file %s is empty", path)
	}
	return b, nil
}

func readCodes(dir string) ([]byte, error) {
	path := filepath.Join(dir, codesFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s: want 64 hexadecimal digits", path)
	}
	return key, nil
}

func randomHex(octets int) string {
	b := make([]byte, octets)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return hex.EncodeToString(b)
}
