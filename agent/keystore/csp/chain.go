package csp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The limits of a chain, as it is attached and as it is read.
const (
	maxChain       = 10
	maxCertificate = 32 << 10
	maxIssuers     = (maxChain + 1) * maxCertificate
)

// issuers is a folder in which the certificates above those that were attached are kept, each in a file that is named after
// the SHA-256 of the key's own certificate. Nobody vouches for the folder: its files are read within limits, and a
// certificate counts only when it issued the one below. Without the folder, chains have one certificate.
type issuers string

func (d issuers) path(own []byte) string {
	sum := sha256.Sum256(own)
	return filepath.Join(string(d), hex.EncodeToString(sum[:])+".chain")
}

// write keeps the certificates above own: the whole file or, after a crash, what was there before.
func (d issuers) write(own []byte, above [][]byte) error {
	b, err := encodeIssuers(above)
	if err != nil || d == "" {
		return err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("make the folder of chains: %w", err)
	}
	f, err := os.CreateTemp(string(d), ".chain-*")
	if err != nil {
		return fmt.Errorf("write a chain: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.path(own))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write a chain: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// read returns the certificates above own, and whether own was attached by this package.
func (d issuers) read(own []byte) (above []*x509.Certificate, attached bool) {
	if d == "" {
		return nil, false
	}
	f, err := os.Open(d.path(own))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIssuers+1))
	if err != nil {
		return nil, true
	}
	return decodeIssuers(b), true
}

func (d issuers) remove(own []byte) error {
	if d == "" {
		return nil
	}
	if err := os.Remove(d.path(own)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a chain: %w", err)
	}
	return nil
}

// encodeIssuers makes what such a file holds: SEQUENCE OF Certificate, DER.
func encodeIssuers(issuers [][]byte) ([]byte, error) {
	raw := make([]asn1.RawValue, len(issuers))
	for i, der := range issuers {
		raw[i].FullBytes = der
	}
	return asn1.Marshal(raw)
}

// decodeIssuers reads it: what is not a list of certificates is none.
func decodeIssuers(b []byte) []*x509.Certificate {
	var raw []asn1.RawValue
	if len(b) > maxIssuers {
		return nil
	}
	if rest, err := asn1.Unmarshal(b, &raw); err != nil || len(rest) > 0 || len(raw) >= maxChain {
		return nil
	}
	var all []*x509.Certificate
	for _, r := range raw {
		c, err := x509.ParseCertificate(r.FullBytes)
		if err != nil || len(r.FullBytes) > maxCertificate {
			return nil
		}
		all = append(all, c)
	}
	return all
}

// buildChain returns the certificate and, as far as they are among candidates, those above it; each issued the one before.
func buildChain(own *x509.Certificate, candidates []*x509.Certificate) [][]byte {
	all := [][]byte{own.Raw}
	for last := own; len(all) < maxChain && !bytes.Equal(last.RawIssuer, last.RawSubject); {
		i := slices.IndexFunc(candidates, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		last = candidates[i]
		all = append(all, last.Raw)
	}
	return all
}

// parseChain reads a chain that is to be attached.
func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, errors.New("a chain of no length or of too many certificates")
	}
	all := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		if len(der) > maxCertificate {
			return nil, errors.New("a certificate that is too long")
		}
		var err error
		if all[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return all, nil
}
