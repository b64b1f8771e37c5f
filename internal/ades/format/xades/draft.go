package xades

import (
	"bytes"
	"fmt"

	"certsign/internal/xmldsig"
)

// SignedDraft tells whether signed is draft with one signature put in as a child of its root, and nothing else: the
// canonical forms with comments, processing instructions outside the root included, are the same once the last signature
// there is left out. It says nothing about the signature itself. The error is that of reading one of the two.
func SignedDraft(draft, signed []byte, limits xmldsig.Limits) (bool, error) {
	before, err := xmldsig.Read(draft, limits)
	if err != nil {
		return false, fmt.Errorf("read draft: %w", err)
	}
	after, err := xmldsig.Read(signed, limits)
	if err != nil {
		return false, fmt.Errorf("read signed document: %w", err)
	}
	var added xmldsig.Node
	for child := range after.Root().Elements() {
		if child.Is(xmldsig.Namespace, "Signature") {
			added = child
		}
	}
	if !added.Exists() {
		return false, nil
	}
	form := xmldsig.Canonicalization{Comments: true}
	want, err := form.Bytes(xmldsig.Subtree(before.Node()))
	if err != nil {
		return false, fmt.Errorf("canonical form of the draft: %w", err)
	}
	got, err := form.Bytes(xmldsig.Subtree(after.Node()).Without(added))
	if err != nil {
		return false, fmt.Errorf("canonical form of the signed document: %w", err)
	}
	return bytes.Equal(want, got), nil
}
