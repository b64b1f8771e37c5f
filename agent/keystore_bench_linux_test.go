//go:build cgo

package agent_test

import (
	"crypto"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"certsign/agent"
	rates "certsign/internal/bench"
)

// openForBench makes a key and opens it with one consent for more signatures than a comparison makes.
func openForBench(t *testing.T, r rig, algorithm agent.KeyAlgorithm) (agent.Key, agent.Session) {
	t.Helper()
	store := r.Store()
	places, err := store.(agent.Placer).Places(t.Context())
	require.NoError(t, err)
	pin := &pins{answer: r.PIN()}
	key, session, err := store.Generate(t.Context(), agent.GenerateRequest{Place: places[0].ID, Algorithm: algorithm, Label: string(algorithm)},
		agent.NewConsent(store.Name(), places[0].ID, 1), pin.ask)
	require.NoError(t, err)
	require.NoError(t, session.Close())
	session, err = store.Open(t.Context(), key.ID, agent.NewConsent(store.Name(), key.ID, 1<<30), pin.ask)
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return key, session
}

// TestRatesOfTokens compares an open key with a bare loop over the module, in this process and on the same token.
func TestRatesOfTokens(t *testing.T) {
	rates.File(t)
	helper := moduleProcess(t)
	for _, c := range []struct {
		algorithm agent.KeyAlgorithm
		mechanism uint
		least     float64
	}{{agent.RSA2048, pkcs11.CKM_RSA_PKCS, 0.95}, {agent.P256, pkcs11.CKM_ECDSA, 0.7}} {
		t.Run(string(c.algorithm), func(t *testing.T) {
			token := newSoftToken(t, helper)
			_, session := openForBench(t, token, c.algorithm)
			digest := digestOf(crypto.SHA256, "x")
			data := digest
			if c.algorithm == agent.RSA2048 {
				data = append([]byte{0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20}, digest...)
			}
			bare := bareLoop(t, token.module, c.mechanism)
			rates.Rates(t, "PKCS#11, SoftHSM2, "+string(c.algorithm), "a bare miekg loop", c.least, func() {
				if _, err := session.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
					t.Fatal(err)
				}
			}, func() { bare(data) })
		})
	}
}

// bareLoop signs with the token's only private key, without a process, a check or a limit.
func bareLoop(t *testing.T, module string, mechanism uint) func([]byte) {
	t.Helper()
	ctx := pkcs11.New(module)
	require.NotNil(t, ctx)
	require.NoError(t, ctx.Initialize())
	t.Cleanup(func() { _ = ctx.Finalize() })
	slots, err := ctx.GetSlotList(true)
	require.NoError(t, err)
	session, err := ctx.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION)
	require.NoError(t, err)
	require.NoError(t, ctx.Login(session, pkcs11.CKU_USER, tokenPIN))
	require.NoError(t, ctx.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)}))
	found, _, err := ctx.FindObjects(session, 2)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, ctx.FindObjectsFinal(session))
	return func(data []byte) {
		if err := ctx.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, found[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := ctx.Sign(session, data); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRatesOfKeyFiles compares an open key file with the standard library and the same key.
func TestRatesOfKeyFiles(t *testing.T) {
	rates.File(t)
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256} {
		t.Run(string(algorithm), func(t *testing.T) {
			r := newKeyfileRig(t).(*keyfileRig)
			_, session := openForBench(t, r, algorithm)
			files, err := filepath.Glob(filepath.Join(r.dir, "*.p12"))
			require.NoError(t, err)
			require.Len(t, files, 1)
			sealed, err := os.ReadFile(files[0])
			require.NoError(t, err)
			private, _, err := pkcs12.Decode(sealed, r.PIN())
			require.NoError(t, err)
			digest := digestOf(crypto.SHA256, "x")
			sign := func(key crypto.Signer) {
				if _, err := key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
					t.Fatal(err)
				}
			}
			rates.Rates(t, "Keystore, "+string(algorithm), "the standard library", 0.95,
				func() { sign(session) }, func() { sign(private.(crypto.Signer)) })
		})
	}
}

// TestTheModuleProcessStartsQuickly measures from the start of the process to its first answer, and its end.
func TestTheModuleProcessStartsQuickly(t *testing.T) {
	rates.File(t)
	store := newSoftToken(t, moduleProcess(t)).Store().(agent.Placer)
	rates.Within(t, "PKCS#11, start of the module process and its tokens", 150*time.Millisecond, func() {
		if _, err := store.Places(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
