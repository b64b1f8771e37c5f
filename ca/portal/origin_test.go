package portal

import (
	"context"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/internal/keyorigin"
	"certsign/internal/testpki"
)

func TestTheOriginOfAKeyIsShownAsTheAgentsWord(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	require.NoError(t, w.desk.AcceptTerms(ctx, w.person.ID, TermsVersion))
	b, clerk := w.loggedIn(w.person), w.loggedIn(w.clerk)
	issue := func(name string, s keyorigin.Statement) *ca.Certificate {
		key := testpki.Key(name, testpki.P256)
		csr, err := keyorigin.NewRequest(key, s)
		require.NoError(t, err)
		_, err = w.desk.Enroll(ctx, w.person.ID, csr)
		require.NoError(t, err)
		return w.issueFor(csr, key)
	}
	card := issue("card", keyorigin.Statement{Store: "pkcs11", Hardware: true, By: "<b>Karta</b> ”EP-2", Local: "yes", NeverExtractable: "yes"})
	unknown := issue("unknown", keyorigin.Statement{Store: "enclave"})
	silent, _ := w.certified(w.person, "silent")

	for _, c := range []struct {
		serial, language, want string
	}{
		{card.Serial, "pl", "według programu CertSign (nie sprawdzono): karta lub token (PKCS#11) („<b>Karta</b> \"EP-2”); klucz powstał w tym miejscu; klucza nigdy nie można było skopiować"},
		{card.Serial, "en", "as stated by CertSign (not verified): a card or token (PKCS#11) (“<b>Karta</b> \"EP-2”); the key was made there; the key could be copied out at no time"},
		{unknown.Serial, "en", "as stated by CertSign (not verified): enclave"},
		{silent.Serial, "pl", "nie podano"},
		{silent.Serial, "en", "not stated"},
	} {
		b.post("/language", url.Values{"lang": {c.language}, "back": {"/"}})
		v := b.get("/my/certificates/" + c.serial)
		assert.Equal(t, c.want, textOf(v.has(t, "key-origin")))
	}

	_, err := w.desk.Wish(ctx, w.person.ID, card.Serial, ca.Revoke, ca.KeyDisclosed, w.code(w.person, card))
	require.NoError(t, err)
	assert.Contains(t, clerk.get("/helpdesk").text(), "według programu CertSign (nie sprawdzono): karta lub token (PKCS#11)")
}
