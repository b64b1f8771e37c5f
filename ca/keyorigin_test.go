package ca_test

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/internal/keyorigin"

	x509name "crypto/x509/pkix"
)

var onACard = keyorigin.Statement{Store: "pkcs11", Hardware: true, By: "Zakład Kart EP-2", Local: "yes", NeverExtractable: "yes"}

func TestWhatTheAgentStatesOfAKeyIsKeptWithItsCertificate(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	require.NoError(t, h.desk.AcceptTerms(ctx, anna.ID, terms))
	for name, tc := range map[string]struct {
		csr  func(t *testing.T) []byte
		want *keyorigin.Statement
	}{
		"a statement": {func(t *testing.T) []byte {
			csr, err := keyorigin.NewRequest(newKey(t), onACard)
			require.NoError(t, err)
			return csr
		}, &onACard},
		"a request that states nothing is granted as before": {func(t *testing.T) []byte { return newCSR(t, newKey(t)) }, nil},
		"attributes that nobody knows are passed over": {func(t *testing.T) []byte {
			csr, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Attributes: []x509name.AttributeTypeAndValueSET{{ //nolint:staticcheck // any attribute will do
				Type:  asn1.ObjectIdentifier{2, 25, 77},
				Value: [][]x509name.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{2, 25, 78}, Value: "rubbish"}}},
			}}}, newKey(t))
			require.NoError(t, err)
			return csr
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			csr := tc.csr(t)
			e, err := h.desk.Enroll(ctx, anna.ID, csr)
			require.NoError(t, err)
			answer := h.sign(csr, e.Token)
			require.Equal(t, http.StatusCreated, answer.HTTP, answer.Message)
			c, err := h.desk.Issued(ctx, e.CSRSHA256, e.Token)
			require.NoError(t, err)
			assert.Equal(t, tc.want, c.KeyOrigin)
			assert.Equal(t, tc.want, h.certificateOf(anna, c.Serial).KeyOrigin)
			assert.NotContains(t, string(c.DER), "EP-2", "nothing of it is in the certificate, which would vouch for it")
		})
	}
}

func TestTheHelpDeskSeesWhatWasStatedOfTheKey(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	require.NoError(t, h.desk.AcceptTerms(ctx, anna.ID, terms))
	csr, err := keyorigin.NewRequest(newKey(t), onACard)
	require.NoError(t, err)
	e, err := h.desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, h.sign(csr, e.Token).HTTP)
	c, err := h.desk.Issued(ctx, e.CSRSHA256, e.Token)
	require.NoError(t, err)
	_, err = h.desk.Wish(ctx, anna.ID, c.Serial, ca.Revoke, ca.KeyDisclosed, h.code(anna, c.Serial))
	require.NoError(t, err)
	open, err := h.desk.OpenRequests(ctx, h.clerk().ID)
	require.NoError(t, err)
	require.Len(t, open, 1)
	assert.Equal(t, &onACard, open[0].Certificate.KeyOrigin)
}
