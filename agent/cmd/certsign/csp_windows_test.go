package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

// TestAKeyInTheWindowsStoreFromRequestToSignature goes the way of a person in the shell; each call is as a new start.
func TestAKeyInTheWindowsStoreFromRequestToSignature(t *testing.T) {
	testtool.Wine(t, "csp", "the test makes a key in the person's own store; run certsign selftest")
	dir := testtool.TempDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	call := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		status := run(append([]string{"--home", at("home"), "--lang", "en"}, args...), strings.NewReader(""), &out, &errs)
		require.Equal(t, exitDone, status, "%s: %s%s", args, out.String(), errs.String())
		return out.String()
	}
	list := func() (certificates []identityJSON, keys []keyJSON) {
		t.Helper()
		var found struct {
			Certificates []identityJSON
			Keys         []keyJSON
		}
		require.NoError(t, json.Unmarshal([]byte(call("list", "--store", "csp", "--json")), &found))
		return found.Certificates, found.Keys
	}
	empty := func() {
		certificates, keys := list()
		for _, c := range certificates {
			call("delete", c.Serial, "--yes")
		}
		for _, k := range keys {
			call("delete", k.Store+"/"+k.Key, "--yes")
		}
	}
	empty() // of what a test left that was killed
	t.Cleanup(empty)

	root := testpki.Root(t, testpki.At(time.Now()))
	require.NoError(t, os.WriteFile(at("root.pem"), []byte(toPEM(root.DER)), 0o600))
	require.NoError(t, os.WriteFile(at("root.crl"), root.CRL(testpki.CRL{}), 0o600))
	call("sites", "add", "--name", "office", "--origin", "https://portal.example", "--ca", "https://127.0.0.1:1", "--root", at("root.pem"))
	call("enroll", "--site", "office", "--store", "csp", "--label", "Zgłoszenia celne", "--csr", at("request.pem"))
	_, keys := list()
	require.Len(t, keys, 1)
	assert.Equal(t, "Zgłoszenia celne", keys[0].Label)

	request, err := os.ReadFile(at("request.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(request)
	require.NotNil(t, block)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	require.NoError(t, err)
	require.NoError(t, csr.CheckSignature())
	leaf := root.Leaf(testpki.WithKey(publicKey{csr.PublicKey}))
	require.NoError(t, os.WriteFile(at("my.cer"), leaf.DER, 0o600))
	call("import", at("my.cer"))
	certificates, keys := list()
	require.Len(t, certificates, 1)
	assert.Empty(t, keys)

	require.NoError(t, os.WriteFile(at("declaration.xml"), []byte("<zgłoszenie>Łódź</zgłoszenie>"), 0o600))
	call("sign", "--cert", certificates[0].Serial, "-o", at("signed.xml"), at("declaration.xml"))
	assert.Contains(t, call("verify", "--trust", at("root.pem"), "--crl", at("root.crl"), "--offline", at("signed.xml")), "TOTAL-PASSED")
	call("delete", certificates[0].Serial, "--yes")
	certificates, keys = list()
	assert.Empty(t, certificates)
	assert.Empty(t, keys)
}
