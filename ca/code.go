package ca

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// crockford is Douglas Crockford's base 32: no I, L, O, U. The check symbols go on with five more.
const (
	crockford      = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	crockfordCheck = crockford + "*~$=U"
)

// codeSymbols is the length of a verification code without its check symbol: 60 bits.
const codeSymbols = 12

// codebook makes, seals and compares the secrets that people type: verification codes and one-time codes.
type codebook struct {
	aead cipher.AEAD
	mac  []byte // for one-time codes
	mark []byte // for devices
}

func newCodebook(key []byte) (*codebook, error) {
	if len(key) != 32 {
		return nil, errors.New("ca: the code key must have 32 octets")
	}
	derive := func(label string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte("customs-ca " + label))
		return h.Sum(nil)
	}
	block, err := aes.NewCipher(derive("verification codes"))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &codebook{aead: aead, mac: derive("one-time codes"), mark: derive("devices")}, nil
}

// newVerificationCode returns a fresh code as it is printed: three groups of four symbols and a check symbol,
// "7KQ2-M9XD-41TB-C".
func newVerificationCode() string {
	var random [codeSymbols]byte
	_, _ = rand.Read(random[:]) // crypto/rand.Read never fails
	symbols := make([]byte, codeSymbols)
	for i, b := range random {
		symbols[i] = crockford[b&31]
	}
	s := string(symbols)
	return s[0:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + string(checkSymbol(s))
}

// checkSymbol is the number that the symbols spell, modulo 37.
func checkSymbol(symbols string) byte {
	n := 0
	for i := range len(symbols) {
		n = (n*32 + strings.IndexByte(crockford, symbols[i])) % 37
	}
	return crockfordCheck[n]
}

// readVerificationCode undoes what people do to codes: blanks, dashes, small letters, O for 0, I and L for 1. The check
// symbol may be left out. ok is false when what is left cannot be a code at all; such a typing error costs no try.
func readVerificationCode(typed string) (symbols string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	typed = strings.ToUpper(typed)
	var b strings.Builder
	for _, r := range typed {
		switch r {
		case ' ', '-', '\t', '\u00a0', '\u2010', '\u2011', '\u2013':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		b.WriteRune(r)
	}
	s := b.String()
	if len(s) != codeSymbols && len(s) != codeSymbols+1 {
		return "", false
	}
	for i := range codeSymbols {
		if strings.IndexByte(crockford, s[i]) < 0 {
			return "", false
		}
	}
	if len(s) == codeSymbols+1 && s[codeSymbols] != checkSymbol(s[:codeSymbols]) {
		return "", false
	}
	return s[:codeSymbols], true
}

// seal encrypts a verification code for one certificate: a code copied to another row does not open there.
func (c *codebook) seal(serial, code string) []byte {
	nonce := make([]byte, c.aead.NonceSize())
	_, _ = rand.Read(nonce)
	return c.aead.Seal(nonce, nonce, []byte(code), []byte(serial))
}

func (c *codebook) open(serial string, sealed []byte) (string, error) {
	n := c.aead.NonceSize()
	if len(sealed) < n {
		return "", fmt.Errorf("verification code of %s: too short", serial)
	}
	code, err := c.aead.Open(nil, sealed[:n], sealed[n:], []byte(serial))
	if err != nil {
		return "", fmt.Errorf("verification code of %s: %w", serial, err)
	}
	return string(code), nil
}

// matches compares a typed code with the sealed one in constant time.
func (c *codebook) matches(serial string, sealed []byte, typed string) (bool, error) {
	code, err := c.open(serial, sealed)
	if err != nil {
		return false, err
	}
	want, ok := readVerificationCode(code)
	if !ok {
		return false, fmt.Errorf("verification code of %s: stored code is malformed", serial)
	}
	return subtle.ConstantTimeCompare([]byte(typed), []byte(want)) == 1, nil
}

// newFactor returns a fresh six-digit code.
func newFactor() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", fmt.Errorf("one-time code: %w", err)
	}
	return fmt.Sprintf("%06d", n), nil
}

// factorHash is keyed, because a million codes are quickly tried against a plain hash.
func (c *codebook) factorHash(accountID int64, purpose, code string) []byte {
	h := hmac.New(sha256.New, c.mac)
	fmt.Fprintf(h, "%d\x00%s\x00%s", accountID, purpose, code)
	return h.Sum(nil)
}

// deviceNonce is the length of what tells devices apart, in octets.
const deviceNonce = 16

// newDevice returns a mark: a random number and a MAC over it and the address, in base64url. It proves that the password
// was known once, and lets nobody in.
func (c *codebook) newDevice(email string) string {
	var nonce [deviceNonce]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand.Read never fails
	return base64.RawURLEncoding.EncodeToString(c.deviceMark(email, nonce[:]))
}

func (c *codebook) knowsDevice(email, device string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(device)
	return err == nil && len(b) == deviceNonce+sha256.Size && hmac.Equal(b, c.deviceMark(email, b[:deviceNonce]))
}

func (c *codebook) deviceMark(email string, nonce []byte) []byte {
	h := hmac.New(sha256.New, c.mark)
	h.Write(nonce)
	h.Write([]byte(email))
	return h.Sum(append([]byte(nil), nonce...))
}
