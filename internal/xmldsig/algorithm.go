package xmldsig

import (
	"crypto"
	_ "crypto/sha1" // old signatures are read, and judged by whoever reads them
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"strconv"
)

// Algorithm identifiers: XML Signature 1.1, 6; XML Encryption 1.1, 5.8; RFC 9231.
const (
	DigestSHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
	DigestSHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
	DigestSHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"

	TransformEnveloped = Namespace + "enveloped-signature"
	TransformBase64    = Namespace + "base64"
	TransformXPath     = "http://www.w3.org/TR/1999/REC-xpath-19991116"
	TransformFilter2   = "http://www.w3.org/2002/06/xmldsig-filter2"

	more     = "http://www.w3.org/2001/04/xmldsig-more#"
	more2007 = "http://www.w3.org/2007/05/xmldsig-more#"
	more2021 = "http://www.w3.org/2021/04/xmldsig-more#"
)

var digests = map[string]crypto.Hash{
	Namespace + "sha1":    crypto.SHA1,
	more + "sha224":       crypto.SHA224,
	DigestSHA256:          crypto.SHA256,
	DigestSHA384:          crypto.SHA384,
	DigestSHA512:          crypto.SHA512,
	more2007 + "sha3-224": crypto.SHA3_224,
	more2007 + "sha3-256": crypto.SHA3_256,
	more2007 + "sha3-384": crypto.SHA3_384,
	more2007 + "sha3-512": crypto.SHA3_512,
}

// DigestFor returns the hash a DigestMethod names, 0 when it is not known.
func DigestFor(uri string) crypto.Hash { return digests[uri] }

// digestURI is the other direction, for the hashes that are written here.
func digestURI(h crypto.Hash) string {
	switch h {
	case crypto.SHA384:
		return DigestSHA384
	case crypto.SHA512:
		return DigestSHA512
	}
	return DigestSHA256
}

// KeyType is the kind of key that a signature method needs.
type KeyType string

// The key types whose values can be made and checked.
const (
	RSA   KeyType = "RSA"
	ECDSA KeyType = "ECDSA"
)

// Method is a signature method. Key is "" when the method is not known or not supported.
type Method struct {
	URI  string
	Key  KeyType
	Hash crypto.Hash
	PSS  bool
	Salt int // PSS: octets
}

var methods = map[string]Method{
	Namespace + "rsa-sha1":         {Key: RSA, Hash: crypto.SHA1},
	more + "rsa-sha224":            {Key: RSA, Hash: crypto.SHA224},
	more + "rsa-sha256":            {Key: RSA, Hash: crypto.SHA256},
	more + "rsa-sha384":            {Key: RSA, Hash: crypto.SHA384},
	more + "rsa-sha512":            {Key: RSA, Hash: crypto.SHA512},
	more2007 + "sha1-rsa-MGF1":     {Key: RSA, Hash: crypto.SHA1, PSS: true},
	more2007 + "sha224-rsa-MGF1":   {Key: RSA, Hash: crypto.SHA224, PSS: true},
	more2007 + "sha256-rsa-MGF1":   {Key: RSA, Hash: crypto.SHA256, PSS: true},
	more2007 + "sha384-rsa-MGF1":   {Key: RSA, Hash: crypto.SHA384, PSS: true},
	more2007 + "sha512-rsa-MGF1":   {Key: RSA, Hash: crypto.SHA512, PSS: true},
	more2007 + "sha3-256-rsa-MGF1": {Key: RSA, Hash: crypto.SHA3_256, PSS: true},
	more2007 + "sha3-384-rsa-MGF1": {Key: RSA, Hash: crypto.SHA3_384, PSS: true},
	more2007 + "sha3-512-rsa-MGF1": {Key: RSA, Hash: crypto.SHA3_512, PSS: true},
	more + "ecdsa-sha1":            {Key: ECDSA, Hash: crypto.SHA1},
	more + "ecdsa-sha224":          {Key: ECDSA, Hash: crypto.SHA224},
	more + "ecdsa-sha256":          {Key: ECDSA, Hash: crypto.SHA256},
	more + "ecdsa-sha384":          {Key: ECDSA, Hash: crypto.SHA384},
	more + "ecdsa-sha512":          {Key: ECDSA, Hash: crypto.SHA512},
	more2021 + "ecdsa-sha3-256":    {Key: ECDSA, Hash: crypto.SHA3_256},
	more2021 + "ecdsa-sha3-384":    {Key: ECDSA, Hash: crypto.SHA3_384},
	more2021 + "ecdsa-sha3-512":    {Key: ECDSA, Hash: crypto.SHA3_512},
	more2007 + "rsa-pss":           {Key: RSA, Hash: crypto.SHA256, PSS: true},
}

// methodFor reads a SignatureMethod element; fault is not "" when its parameters cannot be.
func methodFor(el Node) (m Method, fault string) {
	uri, _ := el.Attr("", "Algorithm")
	m = methods[uri]
	m.URI = uri
	if m.PSS {
		m.Salt = m.Hash.Size()
	}
	params := el.Child(namespacePSS, "RSAPSSParams")
	switch {
	case uri != more2007+"rsa-pss":
		for range el.Elements() {
			return Method{URI: uri}, "SignatureMethod has parameters that its algorithm does not have"
		}
		return m, ""
	case !params.Exists():
		return m, ""
	}
	// RFC 9231, 2.3.9: SHA-256, MGF1 with the same hash, salt of the hash's length, trailer 1 where nothing else is said.
	for p := range params.Elements() {
		algorithm, _ := p.Attr("", "Algorithm")
		switch {
		case p.Is(Namespace, "DigestMethod"):
			if m.Hash = DigestFor(algorithm); m.Hash == 0 {
				return Method{URI: uri}, "RSAPSSParams name a hash that is not known"
			}
			m.Salt = m.Hash.Size()
		case p.Is(namespacePSS, "MaskGenerationFunction"):
			inner, _ := p.Child(Namespace, "DigestMethod").Attr("", "Algorithm")
			if algorithm != more2007+"MGF1" || inner != "" && DigestFor(inner) != m.Hash {
				return Method{URI: uri}, "RSAPSSParams name a mask generation function other than MGF1 with the signature's hash"
			}
		case p.Is(namespacePSS, "SaltLength"):
			n, err := strconv.Atoi(p.Text())
			if err != nil || n < 0 || n > 512 {
				return Method{URI: uri}, "RSAPSSParams have a salt length that is no such number"
			}
			m.Salt = n
		case p.Is(namespacePSS, "TrailerField"):
			if p.Text() != "1" {
				return Method{URI: uri}, "RSAPSSParams have a trailer other than 1"
			}
		default:
			return Method{URI: uri}, "RSAPSSParams have an unknown part"
		}
	}
	return m, ""
}
