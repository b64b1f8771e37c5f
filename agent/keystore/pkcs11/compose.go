package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
)

// tokenKey is a key on a token, and how the token knows it.
type tokenKey struct {
	agent.Key
	ckaID  []byte
	kind   wire.KeyType
	object wire.Object // of the public key, or what stands for it
}

const maxChain = 5

// certificate is a certificate on a token.
type certificate struct {
	*x509.Certificate
	id    []byte
	label string
}

// compose puts together the keys of a token from the objects that it shows without log-in. Private keys are mostly
// hidden then, so a public key counts as a key, and so does a certificate that is not a CA's. Certificates are matched by
// CKA_ID and must hold the key; one that was stored under another ID is matched by the key it holds.
func compose(place agent.Place, objects []wire.Object) []tokenKey {
	var certificates []certificate
	var keys []*tokenKey
	byID := map[string][]*tokenKey{}
	add := func(id []byte, kind wire.KeyType) *tokenKey {
		k := &tokenKey{ckaID: id, kind: kind}
		byID[string(id)], keys = append(byID[string(id)], k), append(keys, k)
		return k
	}
	for _, o := range objects {
		switch {
		case len(o.ID) == 0:
		case o.Class == wire.ClassCertificate:
			if c, err := x509.ParseCertificate(o.Value); err == nil {
				certificates = append(certificates, certificate{c, o.ID, o.Label})
			}
		case o.KeyType != wire.KeyRSA && o.KeyType != wire.KeyEC:
		case o.Class == wire.ClassPublic || o.Class == wire.ClassPrivate:
			public, err := o.PublicKey()
			k := half(byID[string(o.ID)], o, public)
			if k == nil {
				k = add(o.ID, o.KeyType)
			}
			if err == nil && k.Public == nil {
				k.Public, k.object = public, o
			}
			if k.Label == "" {
				k.Label = o.Label
			}
		}
	}
	for _, c := range certificates {
		if c.IsCA || owner(keys, c) != nil {
			continue
		}
		object, err := wire.NewPublic(c.PublicKey)
		if err != nil {
			continue
		}
		same := byID[string(c.id)]
		if slices.ContainsFunc(same, func(k *tokenKey) bool { return k.Public != nil }) {
			continue // another key's certificate under this key's ID
		}
		k := half(same, object, c.PublicKey)
		switch {
		case k == nil && len(same) > 0:
			continue
		case k == nil:
			k = add(c.id, object.KeyType)
		}
		k.Public, k.object = c.PublicKey, object
	}
	composed := make([]tokenKey, len(keys))
	for i, k := range keys {
		k.complete(place, certificates)
		composed[i] = *k
	}
	return composed
}

// half returns the key, of those with one ID, that an object is a half of: two keys with one ID happen. public is nil when
// the object does not show it.
func half(keys []*tokenKey, o wire.Object, public crypto.PublicKey) *tokenKey {
	for _, k := range keys {
		if wire.Same(k.Public, public) {
			return k
		}
	}
	for _, k := range keys {
		if k.kind == o.KeyType && (k.Public == nil || public == nil) {
			return k
		}
	}
	return nil
}

// owner returns the key whose public half the certificate holds.
func owner(keys []*tokenKey, c certificate) *tokenKey {
	for _, k := range keys {
		if wire.Same(k.Public, c.PublicKey) {
			return k
		}
	}
	return nil
}

// complete fills in what follows from the public key and the certificates.
func (k *tokenKey) complete(place agent.Place, certificates []certificate) {
	k.Store, k.Place, k.Where, k.Hardware = Name, place.ID, place.Label, place.Hardware
	k.Algorithm = agent.AlgorithmOf(k.Public)
	k.ID = keyID(place.ID, k.Public, k.ckaID)
	var own *certificate
	for i, c := range certificates {
		if wire.Same(k.Public, c.PublicKey) && (own == nil || c.rather(*own)) {
			own = &certificates[i]
		}
	}
	if own == nil {
		return
	}
	if k.Label == "" {
		k.Label = own.label
	}
	if k.Label == "" {
		k.Label = own.Subject.CommonName
	}
	k.Created = own.NotBefore
	k.Chain = chain(own.Certificate, certificates)
}

// rather says whether a certificate counts before another of the same key: one that somebody issued before one that the key
// made for itself, which other programs keep in a new key's place, and then the one that lasts longer.
func (c certificate) rather(other certificate) bool {
	if own, others := selfIssued(c.Certificate), selfIssued(other.Certificate); own != others {
		return others
	}
	return c.NotAfter.After(other.NotAfter)
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// chain returns the certificate and, as far as they are on the token, its issuers.
func chain(own *x509.Certificate, certificates []certificate) [][]byte {
	all := [][]byte{own.Raw}
	for last := own; len(all) < maxChain && !selfIssued(last); {
		var issuer *x509.Certificate
		for _, c := range certificates {
			if bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c.Certificate) == nil {
				issuer = c.Certificate
				break
			}
		}
		if issuer == nil {
			break
		}
		all = append(all, issuer.Raw)
		last = issuer
	}
	return all
}

// keyID names a key: by its token and the start of the SHA-256 of its SubjectPublicKeyInfo, or, when the token does not
// show the public key before log-in, by its CKA_ID.
func keyID(place string, public crypto.PublicKey, ckaID []byte) string {
	if spki, err := x509.MarshalPKIXPublicKey(public); err == nil {
		sum := sha256.Sum256(spki)
		return place + ".k" + hex.EncodeToString(sum[:16])
	}
	return place + ".i" + hex.EncodeToString(ckaID)
}

// placeOf returns the place in a key's ID.
func placeOf(id string) string {
	place, _, _ := strings.Cut(id, ".")
	return place
}
