package keyorigin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

func TestARequestProvesPossessionAndStatesItsKeysOrigin(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key  crypto.Signer
		want x509.SignatureAlgorithm
	}{"RSA": {rsaKey, x509.SHA256WithRSA}, "P-256": {p256, x509.ECDSAWithSHA256}, "P-384": {p384, x509.ECDSAWithSHA384}} {
		t.Run(name, func(t *testing.T) {
			der, err := NewRequest(c.key, stated[1])
			require.NoError(t, err)
			csr, err := x509.ParseCertificateRequest(der)
			require.NoError(t, err)
			assert.NoError(t, csr.CheckSignature())
			assert.Equal(t, c.want, csr.SignatureAlgorithm)
			assert.Equal(t, c.key.Public(), csr.PublicKey)
			assert.Empty(t, csr.Subject.Names)
			assert.Equal(t, &stated[1], In(csr))

			path := filepath.Join(testtool.TempDir(t), "request.pem")
			require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o600))
			out, err := exec.Command(testtool.Need(t, "openssl"), "req", "-in", path, "-noout", "-verify", "-text").CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), "verify OK")
			assert.Contains(t, string(out), OID)
		})
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, err = NewRequest(ed, stated[0])
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	_, err = NewRequest(p256, Statement{})
	assert.Error(t, err)
}
