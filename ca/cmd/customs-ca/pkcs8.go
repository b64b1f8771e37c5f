package main

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/scrypt"
)

// Key files are PKCS #8 EncryptedPrivateKeyInfo (RFC 5958, 3) with PBES2 (RFC 8018, 6.2), scrypt (RFC 7914, 7) and
// AES-256-CBC: what "openssl pkcs8 -topk8 -scrypt" writes, so openssl reads them.
var (
	oidPBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidScrypt    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidAES256CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// The work factors are openssl's own: 16 MiB for each try of a password.
const (
	scryptN = 1 << 14
	scryptR = 8
	scryptP = 1
)

// errPassword says that a key file did not open: a wrong password and a damaged file look the same.
var errPassword = errors.New("the password is wrong or the file is damaged")

func encryptKey(key crypto.Signer, password []byte) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var salt [16]byte
	var iv [aes.BlockSize]byte
	_, _ = rand.Read(salt[:]) // crypto/rand.Read never fails
	_, _ = rand.Read(iv[:])
	block, err := stretched(password, salt[:], scryptN, scryptR, scryptP)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	for range pad {
		plain = append(plain, byte(pad))
	}
	cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(plain, plain)

	var b cryptobyte.Builder
	sequence := casn1.SEQUENCE
	b.AddASN1(sequence, func(b *cryptobyte.Builder) {
		b.AddASN1(sequence, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPBES2)
			b.AddASN1(sequence, func(b *cryptobyte.Builder) {
				b.AddASN1(sequence, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidScrypt)
					b.AddASN1(sequence, func(b *cryptobyte.Builder) {
						b.AddASN1OctetString(salt[:])
						b.AddASN1Int64(scryptN)
						b.AddASN1Int64(scryptR)
						b.AddASN1Int64(scryptP)
					})
				})
				b.AddASN1(sequence, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidAES256CBC)
					b.AddASN1OctetString(iv[:])
				})
			})
		})
		b.AddASN1OctetString(plain)
	})
	return b.Bytes()
}

func stretched(password, salt []byte, n, r, p int) (cipher.Block, error) {
	key, err := scrypt.Key(password, salt, n, r, p, 32)
	if err != nil {
		return nil, err
	}
	return aes.NewCipher(key)
}

func decryptKey(der, password []byte) (crypto.Signer, error) {
	in := cryptobyte.String(der)
	var outer, algorithm, parameters, kdf, kdfParameters, salt, encryption, iv, sealed cryptobyte.String
	var scheme, function, method asn1.ObjectIdentifier
	var n, r, p, length int
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&algorithm, casn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&scheme) || !scheme.Equal(oidPBES2) || !algorithm.ReadASN1(&parameters, casn1.SEQUENCE) ||
		!parameters.ReadASN1(&kdf, casn1.SEQUENCE) || !kdf.ReadASN1ObjectIdentifier(&function) || !function.Equal(oidScrypt) ||
		!kdf.ReadASN1(&kdfParameters, casn1.SEQUENCE) || !kdfParameters.ReadASN1(&salt, casn1.OCTET_STRING) ||
		!kdfParameters.ReadASN1Integer(&n) || !kdfParameters.ReadASN1Integer(&r) || !kdfParameters.ReadASN1Integer(&p) ||
		!(kdfParameters.Empty() || kdfParameters.ReadASN1Integer(&length) && length == 32) ||
		!parameters.ReadASN1(&encryption, casn1.SEQUENCE) || !encryption.ReadASN1ObjectIdentifier(&method) || !method.Equal(oidAES256CBC) ||
		!encryption.ReadASN1(&iv, casn1.OCTET_STRING) || len(iv) != aes.BlockSize || !outer.ReadASN1(&sealed, casn1.OCTET_STRING) ||
		len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, errors.New("not PKCS #8 under scrypt and AES-256; convert it with openssl pkcs8 -topk8 -scrypt")
	}
	if n < 2 || n > 1<<17 || r < 1 || r > 16 || p < 1 || p > 16 {
		return nil, fmt.Errorf("the key file asks for too much work: scrypt %d, %d, %d", n, r, p)
	}
	block, err := stretched(password, salt, n, r, p)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	pad := plain[len(plain)-1]
	if pad == 0 || int(pad) > aes.BlockSize || int(pad) > len(plain) {
		return nil, errPassword
	}
	same := 1
	for _, b := range plain[len(plain)-int(pad):] {
		same &= subtle.ConstantTimeByteEq(b, pad)
	}
	if same != 1 {
		return nil, errPassword
	}
	key, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-int(pad)])
	if err != nil {
		return nil, errPassword
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return signer, nil
}
