package pfx

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what old files are encrypted with
	"crypto/pbkdf2"
	_ "crypto/sha1" //nolint:gosec // what old files derive their keys with
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/internal/problem"
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// oldCiphers are those of RFC 7292, appendix C, under its own derivation with SHA-1.
var oldCiphers = []struct {
	oid  asn1.ObjectIdentifier
	key  int // octets
	make func(key []byte) (cipher.Block, error)
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, 24, des.NewTripleDESCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 4}, 16, twoKeyTripleDES},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 5}, 16, newRC2},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}, 5, newRC2},
}

func twoKeyTripleDES(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(append(append([]byte{}, key...), key[:8]...)) //nolint:gosec // see above
}

// newCiphers are those of PBES2 (RFC 8018, appendix B.2; RFC 3565).
var newCiphers = []struct {
	oid  asn1.ObjectIdentifier
	key  int
	make func(key []byte) (cipher.Block, error)
}{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
}

var digests = []struct {
	digest, hmac asn1.ObjectIdentifier
	hash         crypto.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, crypto.SHA1},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, crypto.SHA224},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, crypto.SHA256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, crypto.SHA384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, crypto.SHA512},
}

func hashByDigest(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	for _, d := range digests {
		if d.digest.Equal(oid) {
			return d.hash, true
		}
	}
	return 0, false
}

func hashByHMAC(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	for _, d := range digests {
		if d.hmac.Equal(oid) {
			return d.hash, true
		}
	}
	return 0, false
}

// decrypt opens what algorithm (the fields of an AlgorithmIdentifier) sealed: pin_incorrect when the padding is wrong.
func (r *reader) decrypt(algorithm cryptobyte.String, sealed []byte) ([]byte, error) {
	var oid asn1.ObjectIdentifier
	var parameters cryptobyte.String
	if !algorithm.ReadASN1ObjectIdentifier(&oid) || !algorithm.ReadASN1(&parameters, casn1.SEQUENCE) {
		return nil, unreadable("how it is encrypted")
	}
	if oid.Equal(oidPBES2) {
		return r.decryptNew(parameters, sealed)
	}
	for _, c := range oldCiphers {
		if !c.oid.Equal(oid) {
			continue
		}
		var salt cryptobyte.String
		var iterations int
		if !parameters.ReadASN1(&salt, casn1.OCTET_STRING) || !parameters.ReadASN1Integer(&iterations) {
			return nil, unreadable("how it is encrypted")
		}
		password, err := r.secret()
		if err != nil {
			return nil, err
		}
		err = errPassword
		for _, encoded := range bmpPasswords(password) {
			if err := r.spend(iterations, 3); err != nil { // two rounds for the longest key, one for the vector
				return nil, err
			}
			block, berr := c.make(derive(crypto.SHA1, idKey, encoded, salt, iterations, c.key))
			if berr != nil {
				return nil, problem.Wrap(problem.Unsupported, berr, "%s", oid)
			}
			iv := derive(crypto.SHA1, idVector, encoded, salt, iterations, block.BlockSize())
			clear(encoded)
			var plain []byte
			if plain, err = unpad(block, iv, sealed); err == nil {
				return plain, nil
			}
		}
		return nil, err
	}
	return nil, problem.New(problem.Unsupported, "a file encrypted with %s", oid)
}

// decryptNew is PBES2 (RFC 8018, 6.2). Its password is UTF-8.
func (r *reader) decryptNew(parameters cryptobyte.String, sealed []byte) ([]byte, error) {
	var kdf, scheme, iv cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !parameters.ReadASN1(&kdf, casn1.SEQUENCE) || !parameters.ReadASN1(&scheme, casn1.SEQUENCE) || !scheme.ReadASN1ObjectIdentifier(&oid) ||
		!scheme.ReadASN1(&iv, casn1.OCTET_STRING) {
		return nil, unreadable("how it is encrypted")
	}
	k, err := readPBKDF2(kdf)
	if err != nil {
		return nil, err
	}
	for _, c := range newCiphers {
		if !c.oid.Equal(oid) {
			continue
		}
		if k.length != 0 && k.length != c.key {
			return nil, unreadable("how it is encrypted")
		}
		password, err := r.secret()
		if err != nil {
			return nil, err
		}
		if err := r.spend(k.iterations, k.rounds(c.key)); err != nil {
			return nil, err
		}
		key, err := pbkdf2.Key(k.hash.New, string(password), k.salt, k.iterations, c.key)
		if err != nil {
			return nil, problem.Wrap(problem.Unsupported, err, "%s", oid)
		}
		block, err := c.make(key)
		if err != nil {
			return nil, problem.Wrap(problem.Unsupported, err, "%s", oid)
		}
		return unpad(block, iv, sealed)
	}
	return nil, problem.New(problem.Unsupported, "a file encrypted with %s", oid)
}

// derivation is PBKDF2 with its parameters (RFC 8018, appendix A.2).
type derivation struct {
	salt       []byte
	iterations int
	length     int // 0: not given
	hash       crypto.Hash
}

// rounds is how often all iterations are made for a key of that length (RFC 8018, 5.2).
func (d derivation) rounds(length int) int { return (length + d.hash.Size() - 1) / d.hash.Size() }

func readPBKDF2(in cryptobyte.String) (derivation, error) {
	d := derivation{hash: crypto.SHA1}
	var oid, prf asn1.ObjectIdentifier
	var parameters, salt, algorithm cryptobyte.String
	if !in.ReadASN1ObjectIdentifier(&oid) {
		return d, unreadable("how it is encrypted")
	}
	if !oid.Equal(oidPBKDF2) {
		return d, problem.New(problem.Unsupported, "a file whose key is derived with %s", oid)
	}
	if !in.ReadASN1(&parameters, casn1.SEQUENCE) || !parameters.ReadASN1(&salt, casn1.OCTET_STRING) || !parameters.ReadASN1Integer(&d.iterations) ||
		parameters.PeekASN1Tag(casn1.INTEGER) && !parameters.ReadASN1Integer(&d.length) {
		return d, unreadable("how it is encrypted")
	}
	d.salt = salt
	if parameters.Empty() {
		return d, nil
	}
	ok := parameters.ReadASN1(&algorithm, casn1.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&prf)
	if !ok {
		return d, unreadable("how it is encrypted")
	}
	if d.hash, ok = hashByHMAC(prf); !ok {
		return d, problem.New(problem.Unsupported, "a file whose key is derived with %s", prf)
	}
	return d, nil
}

// unpad decrypts in CBC mode and takes the padding off (RFC 8018, 6.1.1).
func unpad(block cipher.Block, iv, sealed []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(iv) != size || len(sealed) == 0 || len(sealed)%size != 0 {
		return nil, unreadable("what is encrypted")
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		return nil, errPassword
	}
	for _, o := range plain[len(plain)-pad:] {
		if int(o) != pad {
			return nil, errPassword
		}
	}
	plain = plain[:len(plain)-pad]
	// All that is encrypted in such files is one SEQUENCE. The padding alone is right by chance once in 256 times.
	if tag, rest, length, err := header(plain); err != nil || tag[0] != tagSequence || length >= 0 && length != len(rest) {
		return nil, errPassword
	}
	return plain, nil
}

// What a derivation is for (RFC 7292, B.3).
const (
	idKey    = 1
	idVector = 2
	idMAC    = 3
)

// derive makes size octets from a password (RFC 7292, B.2).
func derive(hash crypto.Hash, id byte, password, salt []byte, iterations, size int) []byte {
	h := hash.New()
	v := h.BlockSize()
	d := make([]byte, v) // step 1
	for i := range d {
		d[i] = id
	}
	in := append(repeated(salt, v), repeated(password, v)...) // steps 2 to 4
	defer clear(in)
	var out []byte
	for len(out) < size { // step 6
		h.Reset()
		h.Write(d)
		h.Write(in)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		out = append(out, a...)
		b := repeated(a, v)[:v]
		for block := in; len(block) > 0; block = block[v:] { // each block plus b plus 1, modulo 2^v
			carry := 1
			for i := v - 1; i >= 0; i-- {
				carry += int(block[i]) + int(b[i])
				block[i] = byte(carry)
				carry >>= 8
			}
		}
	}
	return out[:size]
}

// repeated is b again and again up to a whole number of blocks.
func repeated(b []byte, block int) []byte {
	if len(b) == 0 {
		return nil
	}
	out := make([]byte, (len(b)+block-1)/block*block)
	for n := 0; n < len(out); {
		n += copy(out[n:], b)
	}
	return out
}
