// Package format is the table of signature formats: one line for each. A new format is a folder here and that line.
//
// It chooses codecs; it reads no documents itself beyond what each codec's Recognise looks at.
package format

import (
	"strings"

	"certsign/internal/ades"
	"certsign/internal/ades/format/xades"
	"certsign/internal/problem"
)

// All returns every codec in the order in which they are asked to recognise a document.
func All() []ades.Codec {
	return []ades.Codec{
		xades.Codec{},
	}
}

// ByName returns the codec of a format's name in any case; "" is XAdES. Another name is the problem unsupported.
func ByName(name string) (ades.Codec, error) {
	if name == "" {
		name = string(ades.XAdES)
	}
	var known []string
	for _, c := range All() {
		if strings.EqualFold(name, string(c.Format())) {
			return c, nil
		}
		known = append(known, strings.ToLower(string(c.Format())))
	}
	return nil, problem.New(problem.Unsupported, "the signature format is not one of: %s", strings.Join(known, ", "))
}

// Recognise returns the first codec that recognises the document, or the problem unsupported.
func Recognise(doc ades.Document) (ades.Codec, error) {
	for _, c := range All() {
		if c.Recognise(doc) {
			return c, nil
		}
	}
	return nil, problem.New(problem.Unsupported, "the document is of no kind that can hold a signature")
}
