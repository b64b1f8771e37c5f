package csp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

func digestOf(hash crypto.Hash) []byte {
	h := hash.New()
	h.Write([]byte("zgłoszenie"))
	return h.Sum(nil)
}

// alone keeps other tests away and sees to it that no container is left over.
func alone(t *testing.T) {
	t.Helper()
	testtool.Wine(t, "csp", "the test makes keys in the person's own store")
	before, err := containers()
	require.NoError(t, err)
	t.Cleanup(func() {
		after, err := containers()
		require.NoError(t, err)
		assert.ElementsMatch(t, before, after, "what a test makes it deletes")
	})
}

// exportable makes a key as this package never does.
func exportable(c capiContext) (capiPair, error) {
	var k capiPair
	err := try(cryptGenKey, uintptr(c.handle), windows.AT_SIGNATURE, 2048<<16|windows.CRYPT_EXPORTABLE, uintptr(unsafe.Pointer(&k.handle)))
	return k, err
}

func TestAKeyThatCouldBeCopiedIsNotKept(t *testing.T) {
	alone(t)
	name := newContainer("kopia", false).name()
	exported := 0
	_, err := makeRSA(name, func(c capiContext) (capiPair, error) {
		k, err := exportable(c)
		if err == nil {
			b, err := k.export(privateKeyBlob)
			require.NoError(t, err, "the provider does export such a key")
			exported = len(b)
		}
		return k, err
	})
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	assert.Greater(t, exported, 1024)
	_, err = acquire(name, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_SILENT)
	assert.True(t, is(err, nteBadKeyset), "%v", err)
}

func TestAKeyThatWasMadeStaysWhereItIs(t *testing.T) {
	alone(t)
	m, err := makeRSA(newContainer("klucz", false).name(), func(c capiContext) (capiPair, error) { return c.generate(2048) })
	require.NoError(t, err)
	defer func() { assert.NoError(t, m.undo()) }()
	c, err := acquire(m.entry.at.container, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_SILENT)
	require.NoError(t, err)
	defer c.close()
	pair, err := c.pair()
	require.NoError(t, err)
	defer pair.close()
	_, err = pair.export(privateKeyBlob)
	assert.True(t, is(err, 0x8009000B), "%v", err)
	assert.Equal(t, problem.Unsupported, problem.CodeOf(translate(err)))
}

func TestFailingToMakeAKeyLeavesNoContainer(t *testing.T) {
	alone(t)
	name := newContainer("klucz", false).name()
	_, err := makeRSA(name, func(capiContext) (capiPair, error) { return capiPair{}, errors.New("no") })
	assert.Error(t, err)
	_, err = makeRSA(name, func(c capiContext) (capiPair, error) { return c.load([]byte("no blob")) })
	assert.Error(t, err)
	_, err = acquire(name, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_SILENT)
	assert.True(t, is(err, nteBadKeyset), "%v", err)
}

// TestCNGSigns runs the CNG signer on a key that lives as long as its handle: Wine persists none.
func TestCNGSigns(t *testing.T) {
	for name, padding := range map[string]padding{"RSA PKCS#1 v1.5": pkcs1, "RSA-PSS": pss} {
		t.Run(name, func(t *testing.T) {
			cng, err := openCNG()
			require.NoError(t, err)
			defer cng.close()
			for _, hash := range hashes {
				key, err := cng.create("RSA", "")
				require.NoError(t, err)
				require.NoError(t, key.finalize(2048))
				// BCRYPT_RSAKEY_BLOB of 24 octets, the exponent, the modulus
				b, err := key.export("RSAPUBLICBLOB")
				require.NoError(t, err)
				require.Len(t, b, 24+3+256)
				public := &rsa.PublicKey{E: 65537, N: new(big.Int).SetBytes(b[27:])}
				signer := &cngKey{key: key}
				assert.True(t, signer.offers(hash, padding))
				signature, err := signer.sign(public, hash, digestOf(hash), padding)
				require.NoError(t, err, hash)
				assert.True(t, valid(public, hash, digestOf(hash), signature, padding), hash)
				assert.False(t, valid(public, hash, digestOf(hash), signature, !padding), hash)
				signer.close()
			}
		})
	}
}

func TestCNGKeepsECDSAKeys(t *testing.T) {
	alone(t)
	cng, err := openCNG()
	require.NoError(t, err)
	defer cng.close()
	if len(cng.makes()) == 0 {
		t.Skip("Wine: its Microsoft Software Key Storage Provider persists no keys and has no ECDSA; certsign selftest shows both on a Windows that does")
	}
	for _, algorithm := range cng.makes() {
		m, err := makeCNG(newContainer("klucz", false).name(), cngAlgorithms[algorithm])
		require.NoError(t, err)
		for _, hash := range hashes {
			signature, err := m.key.sign(m.entry.Public, hash, digestOf(hash), pkcs1)
			require.NoError(t, err)
			assert.True(t, valid(m.entry.Public, hash, digestOf(hash), signature, pkcs1))
		}
		assert.NoError(t, m.undo())
	}
}

// TestKeysOfCardsAndTheTPMAreListed looks at the keys that a person has there. Nothing is opened: that would show a dialog.
func TestKeysOfCardsAndTheTPMAreListed(t *testing.T) {
	for name, provider := range map[string]string{
		"a card, through CNG":       "Microsoft Smart Card Key Storage Provider",
		"a card, through CryptoAPI": "Microsoft Base Smart Card Crypto Provider",
		"the TPM":                   "Microsoft Platform Crypto Provider",
	} {
		t.Run(name, func(t *testing.T) {
			testtool.NotWine(t, "no card and no TPM is behind its "+provider)
			keys, err := New(Config{}).List(t.Context())
			require.NoError(t, err)
			found := 0
			for _, key := range keys {
				if key.Made.By == provider {
					found++
					assert.NotNil(t, key.Public)
					assert.NotEmpty(t, key.Chain)
					assert.Contains(t, key.Where, provider)
				}
			}
			if found == 0 {
				t.Skip("nobody here has a certificate with a key in the " + provider)
			}
		})
	}
}

func TestAnImportedKeySignsAndDoesNotLeaveAgain(t *testing.T) {
	alone(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	store := New(Config{})
	key, err := store.Import(t.Context(), agent.Bundle{Private: private, Label: "Stary klucz"}, nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, store.Delete(t.Context(), key.ID, nil)) }()
	assert.Equal(t, "Stary klucz", key.Label)
	assert.Equal(t, agent.RSA2048, key.Algorithm)
	assert.Equal(t, agent.Made{By: rsaProvider, Local: agent.StatedNo, NeverExtractable: agent.StatedNo}, key.Made)
	again, err := store.Import(t.Context(), agent.Bundle{Private: private, Label: "Inna nazwa"}, nil)
	require.NoError(t, err)
	assert.Equal(t, key, again, "it is not stored twice")

	e, err := store.find(key.ID)
	require.NoError(t, err)
	opened, err := e.open()
	require.NoError(t, err)
	defer opened.close()
	for _, hash := range hashes {
		signature, err := opened.sign(key.Public, hash, digestOf(hash), pkcs1)
		require.NoError(t, err)
		assert.True(t, valid(private.Public(), hash, digestOf(hash), signature, pkcs1), hash)
	}
	c, err := acquire(e.at.container, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_SILENT)
	require.NoError(t, err)
	defer c.close()
	pair, err := c.pair()
	require.NoError(t, err)
	defer pair.close()
	_, err = pair.export(privateKeyBlob)
	assert.True(t, is(err, 0x8009000B), "%v", err)
}

func TestWhatCannotBeImportedLeavesNothing(t *testing.T) {
	alone(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	leaf, _, _ := chainOf(t)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, try := range map[string]struct {
		ctx    context.Context
		bundle agent.Bundle
		want   problem.Code
	}{
		"no key":                    {t.Context(), agent.Bundle{}, problem.Unsupported},
		"an ECDSA key":              {t.Context(), agent.Bundle{Private: ec}, problem.Unsupported},
		"another key's certificate": {t.Context(), agent.Bundle{Private: private, Chain: [][]byte{leaf.DER}}, problem.CertificateMismatch},
		"no certificate":            {t.Context(), agent.Bundle{Private: private, Chain: [][]byte{{1}}}, problem.CertificateMismatch},
		"a call that nobody awaits": {ended, agent.Bundle{Private: private}, problem.UserCancelled},
	} {
		_, err := New(Config{}).Import(try.ctx, try.bundle, nil)
		assert.Equal(t, try.want, problem.CodeOf(err), name)
	}
}

func TestADialogThatNobodyAwaitsIsLeftAndClosedLater(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	answer, dropped := make(chan int), make(chan int, 1)
	_, err := await(ctx, func() (int, error) { return <-answer, nil }, func(n int) { dropped <- n })
	assert.Equal(t, problem.Timeout, problem.CodeOf(err))
	answer <- 7
	assert.Equal(t, 7, <-dropped)
	n, err := await(t.Context(), func() (int, error) { return 1, nil }, func(int) {})
	assert.NoError(t, err)
	assert.Equal(t, 1, n)
}

func TestAFunctionThatWindowsLacksIsUnsupported(t *testing.T) {
	err := try(advapi32.NewProc("CryptNothing"))
	assert.Error(t, err)
	assert.NotEqual(t, problem.Internal, problem.CodeOf(translate(err)))
	assert.Error(t, status(ncrypt.NewProc("NCryptNothing")))
}

func TestOtherProgramsContainersAreNotListed(t *testing.T) {
	alone(t)
	name := "{9C1B3E2A-6A3E-4A0E-8D5B-1D2B6C0F7A11}"
	c, err := acquire(name, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_NEWKEYSET|windows.CRYPT_SILENT)
	require.NoError(t, err)
	c.close()
	defer func() { assert.NoError(t, deleteContainer(name)) }()
	names, err := containers()
	require.NoError(t, err)
	assert.False(t, slices.Contains(names, name))
}
