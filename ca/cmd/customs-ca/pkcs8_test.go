package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/testtool"
)

func TestKeyFilesOpenWithTheirPasswordOnly(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	der, err := encryptKey(ec, []byte("right"))
	require.NoError(t, err)
	key, err := decryptKey(der, []byte("right"))
	require.NoError(t, err)
	assert.True(t, ec.Equal(key))
	for range 20 {
		_, err = decryptKey(der, []byte("wrong"))
		require.Error(t, err)
	}
	_, err = decryptKey(der[:len(der)-1], []byte("right"))
	require.Error(t, err)
	_, err = decryptKey(nil, nil)
	require.Error(t, err)
}

func TestOpenSSLReadsOurKeyFilesAndWeRead(t *testing.T) {
	tool := testtool.Need(t, "openssl")
	dir := t.TempDir()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	require.NoError(t, writeKey(dir, "ours", rsaKey, []byte("right")))
	ours, theirs := keyPath(dir, "ours"), keyPath(dir, "theirs")
	out, err := exec.Command(tool, "pkey", "-in", ours, "-passin", "pass:right", "-noout", "-check").CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(tool, "pkcs8", "-topk8", "-scrypt", "-in", ours, "-passin", "pass:right", "-passout", "pass:new", "-out", theirs).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.Chmod(theirs, 0o600))
	key, err := readKey(dir, "theirs", []byte("new"))
	require.NoError(t, err)
	assert.True(t, rsaKey.Equal(key))
	b, err := os.ReadFile(filepath.Join(dir, "ours.key"))
	require.NoError(t, err)
	block, _ := pem.Decode(b)
	assert.Equal(t, "ENCRYPTED PRIVATE KEY", block.Type)
}

func FuzzDecryptKey(f *testing.F) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	der, err := encryptKey(ec, []byte("right"))
	require.NoError(f, err)
	f.Add(der)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1000 {
			return
		}
		_, _ = decryptKey(b, []byte("right"))
	})
}
