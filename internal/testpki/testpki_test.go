package testpki_test

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"certsign/internal/testpki"
)

func TestAChainVerifiesAndIsTheSameEveryTime(t *testing.T) {
	for _, kind := range []testpki.KeyKind{testpki.RSA2048, testpki.P256, testpki.P384} {
		t.Run(string(kind), func(t *testing.T) {
			build := func() (*testpki.Authority, *testpki.Authority, *testpki.Leaf) {
				root := testpki.Root(t, testpki.WithKind(kind))
				ca := root.Intermediate(testpki.WithKind(kind))
				return root, ca, ca.Leaf(testpki.WithKind(kind), testpki.Policies("2.25.1"))
			}
			root, ca, leaf := build()
			_, err := leaf.Certificate.Verify(x509.VerifyOptions{
				Roots: root.Pool(), Intermediates: ca.Pool(), CurrentTime: testpki.Clock,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			})
			require.NoError(t, err)
			_, _, again := build()
			assert.Equal(t, leaf.DER, again.DER)
			assert.Len(t, leaf.Chain(), 3)
		})
	}
}

func TestStatusIsSignedByTheAuthorityOrItsResponder(t *testing.T) {
	root := testpki.Root(t)
	leaf := root.Leaf()
	list, err := x509.ParseRevocationList(root.CRL(testpki.CRL{
		Shard:   "http://crl.test/1.crl",
		Revoked: []testpki.Revocation{{Serial: leaf.Certificate.SerialNumber, Reason: testpki.CertificateHold}},
	}))
	require.NoError(t, err)
	require.NoError(t, list.CheckSignatureFrom(root.Certificate))
	assert.Equal(t, 6, list.RevokedCertificateEntries[0].ReasonCode)

	forged, err := x509.ParseRevocationList(root.CRL(testpki.CRL{Signer: testpki.Key("somebody else", testpki.P256)}))
	require.NoError(t, err)
	require.Error(t, forged.CheckSignatureFrom(root.Certificate))

	response, err := ocsp.ParseResponseForCert(root.OCSP(leaf.Certificate.SerialNumber, testpki.Response{
		Status: ocsp.Revoked, Reason: testpki.CertificateHold, Responder: root.Responder(),
	}), leaf.Certificate, root.Certificate)
	require.NoError(t, err)
	assert.Equal(t, ocsp.Revoked, response.Status)
}
