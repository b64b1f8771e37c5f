package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/internal/ades"
	"certsign/internal/ades/format"
	"certsign/internal/problem"
)

const declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<d:Zgłoszenie xmlns:d=\"urn:test:declaration\"  b='2' a=\"1\">\n" +
	"  <d:Importer>Żółć &amp; Synowie</d:Importer><!-- uwaga --><d:Puste/>\n</d:Zgłoszenie>\n"

func (h *house) signDocument(document string, key crypto.Signer, chain [][]byte) []byte {
	h.t.Helper()
	var out bytes.Buffer
	err := format.All()[0].Sign(context.Background(), &out, ades.SignRequest{
		Document:  ades.Document{Name: "z.xml", MIME: "application/xml", Content: bytes.NewReader([]byte(document))},
		Packaging: ades.Enveloped, Level: ades.LevelBB, Key: key, Chain: chain, Time: h.now().UTC(),
	})
	require.NoError(h.t, err)
	return out.Bytes()
}

func TestASignedDraftIsAcceptedAndItsReceiptIsSealed(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	c, key := h.obtain(anna)
	d, err := h.desk.AddDocument(ctx, anna.ID, `C:\temp\zgłoszenie.xml`, "application/xml", []byte(declaration))
	require.NoError(t, err)
	assert.Equal(t, "zgłoszenie.xml", d.Name)
	signed := h.signDocument(declaration, key, [][]byte{c.DER, h.issuing.Raw})
	d, err = h.desk.Submit(ctx, anna.ID, d.ID, signed)
	require.NoError(t, err)
	require.Equal(t, ca.Sent, d.State, "%s %s", d.Problem, d.Detail)
	assert.Regexp(t, `^DOC-\d{4}-\d{6}$`, d.Reference)
	assert.Equal(t, ades.TotalPassed, d.Report.Indication())

	stored, err := h.desk.Document(ctx, anna.ID, d.ID)
	require.NoError(t, err)
	assert.Equal(t, signed, stored.Signed)
	assert.Equal(t, []byte(declaration), stored.Content)
	assert.Equal(t, ades.TotalPassed, stored.Report.Indication())
	report, err := h.desk.Check(ctx, "receipt.xml", stored.Receipt)
	require.NoError(t, err)
	assert.Equal(t, ades.TotalPassed, report.Indication(), "%+v", report.Signatures)
	assert.Contains(t, string(stored.Receipt), d.Reference)

	_, err = h.desk.Submit(ctx, anna.ID, d.ID, signed)
	assert.Equal(t, problem.StateForbids, problem.CodeOf(err), "what is sent is sent")
	list, err := h.desk.Documents(ctx, anna.ID)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Nil(t, list[0].Content)
}

func TestSignedDocumentsAreRefusedWithTheReason(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, piotr := h.anna(), h.piotr()
	c, key := h.obtain(anna)
	his, hisKey := h.obtain(piotr)
	chain := [][]byte{c.DER, h.issuing.Raw}
	good := h.signDocument(declaration, key, chain)
	strangerKey := newKey(t)
	stranger := certify(t, "Anna Łucja Żółć-Kowalska", strangerKey, nil, strangerKey, func(*x509.Certificate) {})

	add := func() *ca.Document {
		d, err := h.desk.AddDocument(ctx, anna.ID, "z.xml", "application/xml", []byte(declaration))
		require.NoError(t, err)
		return d
	}
	for name, c := range map[string]struct {
		signed []byte
		want   string
	}{
		"changed after signing":           {bytes.Replace(good, []byte("Synowie"), []byte("Wnuki!!"), 1), ca.RefusedChanged},
		"another document than the draft": {h.signDocument(strings.Replace(declaration, "Synowie", "Wnuki", 1), key, chain), ca.RefusedChanged},
		"blanks more than the draft":      {h.signDocument(strings.Replace(declaration, "<d:Puste/>", "<d:Puste> </d:Puste>", 1), key, chain), ca.RefusedChanged},
		"another person's certificate":    {h.signDocument(declaration, hisKey, [][]byte{his.DER, h.issuing.Raw}), ca.RefusedOther},
		"a certificate from elsewhere":    {h.signDocument(declaration, strangerKey, [][]byte{stranger.Raw}), ca.RefusedUnknown},
		"no signature at all":             {[]byte(declaration), "no_signature"},
		"no XML":                          {[]byte("%PDF-1.4"), "document_unreadable"},
		"a document type":                 {[]byte("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"), "xml_doctype"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := h.desk.Submit(ctx, anna.ID, add().ID, c.signed)
			require.NoError(t, err)
			assert.Equal(t, ca.Refused, d.State)
			assert.Equal(t, c.want, d.Problem, d.Detail)
			assert.Nil(t, d.Receipt)
			assert.NotEmpty(t, d.Reference)
			stored, err := h.desk.Document(ctx, anna.ID, d.ID)
			require.NoError(t, err)
			assert.Equal(t, c.signed, stored.Signed, "it is stored all the same")
		})
	}

	t.Run("a suspended certificate, and after resumption the same document is accepted", func(t *testing.T) {
		code := h.code(anna, c.Serial)
		_, err := h.desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, code)
		require.NoError(t, err)
		d, err := h.desk.Submit(ctx, anna.ID, add().ID, good)
		require.NoError(t, err)
		assert.Equal(t, ca.RefusedSuspended, d.Problem, d.Detail)
		report, err := h.desk.Check(ctx, "z.xml", good)
		require.NoError(t, err)
		assert.NotEqual(t, ades.TotalPassed, report.Indication())
		_, err = h.ledger.Order(ctx, c.Serial, ca.Resume, "", "")
		require.NoError(t, err)
		d, err = h.desk.Submit(ctx, anna.ID, d.ID, good)
		require.NoError(t, err)
		assert.Equal(t, ca.Sent, d.State, d.Detail)
	})
	t.Run("a revoked certificate", func(t *testing.T) {
		_, err := h.ledger.Order(ctx, c.Serial, ca.Revoke, ca.KeyDisclosed, "")
		require.NoError(t, err)
		d, err := h.desk.Submit(ctx, anna.ID, add().ID, good)
		require.NoError(t, err)
		assert.Equal(t, ca.RefusedRevoked, d.Problem, d.Detail)
	})
	t.Run("an expired certificate", func(t *testing.T) {
		fresh, freshKey := h.obtain(anna)
		signed := h.signDocument(declaration, freshKey, [][]byte{fresh.DER, h.issuing.Raw})
		d := add()
		h.pass(2*366*24*time.Hour + time.Hour)
		defer h.pass(-2*366*24*time.Hour - time.Hour)
		d, err := h.desk.Submit(ctx, anna.ID, d.ID, signed)
		require.NoError(t, err)
		assert.Equal(t, ca.RefusedExpired, d.Problem, d.Detail)
	})
	t.Run("another account's document is not found", func(t *testing.T) {
		_, err := h.desk.Submit(ctx, piotr.ID, add().ID, good)
		assert.Equal(t, problem.NotFound, problem.CodeOf(err))
	})
	t.Run("documents beyond the limit are not taken", func(t *testing.T) {
		_, err := h.desk.AddDocument(ctx, anna.ID, "z.xml", "application/xml", make([]byte, 1<<20+1))
		assert.Equal(t, problem.TooLarge, problem.CodeOf(err))
		_, err = h.desk.Submit(ctx, anna.ID, add().ID, make([]byte, 4<<20))
		assert.Equal(t, problem.TooLarge, problem.CodeOf(err))
	})
}

func TestADraftCanBeRemovedAndWhatWasSubmittedStays(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, piotr := h.anna(), h.piotr()
	c, key := h.obtain(anna)
	add := func() string {
		d, err := h.desk.AddDocument(ctx, anna.ID, "z.xml", "application/xml", []byte(declaration))
		require.NoError(t, err)
		return d.ID
	}
	draft, sent, refused := add(), add(), add()
	_, err := h.desk.Submit(ctx, anna.ID, sent, h.signDocument(declaration, key, [][]byte{c.DER, h.issuing.Raw}))
	require.NoError(t, err)
	d, err := h.desk.Submit(ctx, anna.ID, refused, h.signDocument("<other/>", key, [][]byte{c.DER, h.issuing.Raw}))
	require.NoError(t, err)
	require.Equal(t, ca.Refused, d.State)

	assert.Equal(t, problem.NotFound, problem.CodeOf(h.desk.RemoveDocument(ctx, piotr.ID, draft)), "another account's")
	assert.Equal(t, problem.StateForbids, problem.CodeOf(h.desk.RemoveDocument(ctx, anna.ID, sent)))
	assert.Equal(t, problem.StateForbids, problem.CodeOf(h.desk.RemoveDocument(ctx, anna.ID, refused)))
	require.NoError(t, h.desk.RemoveDocument(ctx, anna.ID, draft))
	assert.Equal(t, problem.NotFound, problem.CodeOf(h.desk.RemoveDocument(ctx, anna.ID, draft)))
	left, err := h.desk.Documents(ctx, anna.ID)
	require.NoError(t, err)
	assert.Len(t, left, 2)
}

func TestAnAccountKeepsFiftyDraftsAtMost(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	var last string
	for range 50 {
		d, err := h.desk.AddDocument(ctx, anna.ID, "z.xml", "application/xml", []byte(declaration))
		require.NoError(t, err)
		last = d.ID
	}
	_, err := h.desk.AddDocument(ctx, anna.ID, "z.xml", "application/xml", []byte(declaration))
	assert.Equal(t, problem.RateLimited, problem.CodeOf(err))
	_, err = h.desk.AddDocument(ctx, h.piotr().ID, "z.xml", "application/xml", []byte(declaration))
	assert.NoError(t, err, "the others have room of their own")
	require.NoError(t, h.desk.RemoveDocument(ctx, anna.ID, last))
	_, err = h.desk.AddDocument(ctx, anna.ID, "z.xml", "application/xml", []byte(declaration))
	assert.NoError(t, err)
}
