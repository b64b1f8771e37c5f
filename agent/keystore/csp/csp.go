// Package csp keeps keys in the Windows certificate store of the person, CurrentUser\MY, through CryptoAPI and CNG. It
// lists the keys of all certificates there, whoever issued them and whichever provider holds them (cards and the TPM too),
// and makes RSA keys of 2048 and 3072 bits in Microsoft's software provider, which does not let them out again; P-256 and
// P-384 where the software key storage provider persists such keys. Signatures are RSA PKCS#1 v1.5, PSS where the key is
// CNG's, and ECDSA. It needs no cgo.
//
// A key of ours lives in a container whose name says so and holds the person's name for it, so that a key without a
// certificate needs no made-up one in the store. Issuers' certificates are kept in files of the agent's own: the key
// store never writes to another certificate store, and so makes nobody trusted. Trust alone does, for an administrator: it puts
// an authority into the stores of the computer, for documents and never for servers, and Distrust takes out what it put there.
//
// What the store holds is not trusted: every program of the same person can write there. Containers' names, properties,
// blobs and files are read within limits, a certificate counts only with the key that it holds, and no signature leaves before it
// was verified with the key that the person chose. A provider can still lie about where a key lives. Such a program can
// also use a software key itself, without this agent: Windows guards it by the person's account alone.
//
// PINs are asked for by the provider in a dialog of its own; this package never sees one. Listing opens no foreign
// provider and so shows no dialog.
//
// Not done here: new keys on cards or in the TPM, keys of the computer (LocalMachine), importing ECDSA keys, EdDSA.
package csp

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is the store's name, PlaceID its only place.
const (
	Name    = "csp"
	PlaceID = "csp"
)

// container is what the name of one of our containers says. Providers enumerate names as ANSI text and compare them without
// regard to case, so a name has lower-case ASCII letters, digits and hyphens only.
type container struct {
	imported bool // else it was made here
	id       string
	label    string
}

const (
	prefix        = "certsign-"
	madeHere      = "made-"
	madeElsewhere = "imported-"
	idLength      = 16
	// maxLabel is in octets: a name may have 260 characters at most (MAX_PATH), and base32 makes eight of five octets.
	maxLabel = 128
)

var labelEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newContainer returns a container for a new key, with a name that no other has.
func newContainer(label string, imported bool) container {
	id := make([]byte, idLength/2)
	_, _ = rand.Read(id) // never fails
	return container{imported: imported, id: hex.EncodeToString(id), label: cleanLabel(label)}
}

func (c container) name() string {
	origin := madeHere
	if c.imported {
		origin = madeElsewhere
	}
	return prefix + origin + c.id + "-" + labelEncoding.EncodeToString([]byte(c.label))
}

// parseContainer reads a name; false when it is not one of ours.
func parseContainer(name string) (container, bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	if !ours {
		return container{}, false
	}
	rest, imported := strings.CutPrefix(rest, madeElsewhere)
	if !imported {
		if rest, ours = strings.CutPrefix(rest, madeHere); !ours {
			return container{}, false
		}
	}
	id, encoded, ours := strings.Cut(rest, "-")
	label, err := labelEncoding.DecodeString(encoded)
	c := container{imported: imported, id: id, label: string(label)}
	if !ours || err != nil || len(id) != idLength || strings.Trim(id, "0123456789abcdef") != "" || cleanLabel(c.label) != c.label || c.name() != name {
		return container{}, false
	}
	return c, true
}

// cleanLabel makes a label that can be kept and shown.
func cleanLabel(label string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(label, "") {
		if unicode.IsPrint(r) && b.Len()+utf8.RuneLen(r) <= maxLabel {
			b.WriteRune(r)
		}
	}
	if cleaned := strings.TrimSpace(b.String()); cleaned != "" {
		return cleaned
	}
	return "CertSign"
}
