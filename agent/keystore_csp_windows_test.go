package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"certsign/agent"
	"certsign/agent/keystore/csp"
	"certsign/internal/testtool"
)

// cspRig is the person's own Windows certificate store, emptied for the test. That is done under Wine alone: on a real
// Windows the keys there are somebody's, and `certsign selftest` runs the life cycle beside them.
type cspRig struct{ chains string }

// What Wine keeps in the registry: the certificates of CurrentUser\MY and the containers of its CryptoAPI provider.
var cspKeys = []string{`Software\Microsoft\SystemCertificates\MY`, `Software\Wine\Crypto\RSA`}

// onlyWine keeps other tests of the store away until t ends.
func onlyWine(t *testing.T) {
	testtool.Wine(t, "csp", "the test empties the certificate store; certsign selftest runs the life cycle beside a person's keys")
}

func newCSPRig(t *testing.T) rig {
	r := cspRig{chains: filepath.Join(testtool.TempDir(t), "csp")}
	clear := func() {
		for _, key := range append(cspKeys, cspAside) {
			require.NoError(t, deleteTree(key))
		}
	}
	clear()
	t.Cleanup(clear)
	return r
}

func init() {
	openCSP = func(chains string) agent.KeyStore { return csp.New(csp.Config{Chains: chains}) }
}

func (r cspRig) Where() where          { return where{CSP: r.chains} }
func (r cspRig) Store() agent.KeyStore { return r.Where().open() }
func (cspRig) PIN() string             { return "" }
func (cspRig) WrongPIN() string        { return "" }

func (cspRig) Lacks() map[string]string {
	const (
		cng    = "Wine's CNG persists no keys and knows no ECDSA"
		capi   = "CryptoAPI knows no RSA-PSS, and Wine's CNG persists no keys"
		dialog = "a provider asks for PINs itself, and Wine's has none"
	)
	return map[string]string{
		string(agent.P256): cng, string(agent.P384): cng,
		string(agent.CheckPSS256): capi, string(agent.CheckPSS384): capi, string(agent.CheckPSS512): capi,
		string(agent.CheckCancel): dialog, string(agent.CheckWrongPIN): dialog, locking: dialog,
		missing: "Wine's provider has read the key",
	}
}

// cspAside is where what is taken away lies.
const cspAside = `Software\CertSign test`

// Remove deletes the certificates and the containers.
func (cspRig) Remove(t *testing.T) func() {
	t.Helper()
	for _, key := range cspKeys {
		require.NoError(t, copyTree(cspAside+`\`+key, key))
		require.NoError(t, deleteTree(key))
	}
	return func() {
		for _, key := range cspKeys {
			require.NoError(t, copyTree(key, cspAside+`\`+key))
		}
		require.NoError(t, deleteTree(cspAside))
	}
}

// copyTree copies a key of the registry with all below it; what is not there is copied as nothing.
func copyTree(to, from string) error {
	old, err := registry.OpenKey(registry.CURRENT_USER, from, registry.READ)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	fresh, _, err := registry.CreateKey(registry.CURRENT_USER, to, registry.ALL_ACCESS)
	if err != nil {
		return err
	}
	defer fresh.Close()
	if r, _, _ := windows.NewLazySystemDLL("advapi32.dll").NewProc("RegCopyTreeW").Call(uintptr(old), 0, uintptr(fresh)); r != 0 {
		return windows.Errno(r)
	}
	return nil
}

func deleteTree(path string) error {
	k, err := registry.OpenKey(registry.CURRENT_USER, path, registry.ENUMERATE_SUB_KEYS)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := k.ReadSubKeyNames(-1)
	_ = k.Close()
	for _, name := range names {
		err = errors.Join(err, deleteTree(path+`\`+name))
	}
	return errors.Join(err, registry.DeleteKey(registry.CURRENT_USER, path))
}

func TestCSPStore(t *testing.T) {
	onlyWine(t)
	suite.Run(t, &storeSuite{bench{fresh: newCSPRig}})
}

// TestCSPKeyLivesOverManyProcesses looks, beside what the contract says, at what other programs see.
func TestCSPKeyLivesOverManyProcesses(t *testing.T) {
	onlyWine(t)
	s := &bench{fresh: newCSPRig}
	s.SetT(t)
	s.SetupTest()
	s.liveOverProcesses(func(step string) {
		containers := subKeys(t, cspKeys[1])
		if step == "it is deleted" || step == "it stays deleted" {
			s.Empty(containers, step)
			s.Empty(subKeys(t, cspKeys[0]+`\Certificates`), step)
			chains, err := os.ReadDir(s.rig.(cspRig).chains)
			s.NoError(err)
			s.Empty(chains, "nothing is left of its issuers")
			return
		}
		s.Require().Len(containers, 1)
		_, err := exportPrivate(containers[0])
		s.Equal(windows.Errno(windows.NTE_BAD_KEY_STATE), err, "it does not leave its provider")
		made := s.list()[0].Made
		s.NotEmpty(made.By)
		s.Equal(agent.Made{By: made.By, Local: agent.StatedYes, NeverExtractable: agent.StatedYes}, made)
	})
}

func subKeys(t *testing.T, path string) []string {
	t.Helper()
	k, err := registry.OpenKey(registry.CURRENT_USER, path, registry.ENUMERATE_SUB_KEYS)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	defer k.Close()
	names, err := k.ReadSubKeyNames(-1)
	require.NoError(t, err)
	return names
}

// exportPrivate asks the provider for a private key, as a thief would. That it gets one where it may is shown in the store's
// own tests.
func exportPrivate(container string) ([]byte, error) {
	advapi := windows.NewLazySystemDLL("advapi32.dll")
	name, err := windows.UTF16PtrFromString(container)
	if err != nil {
		return nil, err
	}
	provider, err := windows.UTF16PtrFromString("Microsoft Enhanced RSA and AES Cryptographic Provider")
	if err != nil {
		return nil, err
	}
	var ctx, key windows.Handle
	if err := windows.CryptAcquireContext(&ctx, name, provider, windows.PROV_RSA_AES, windows.CRYPT_SILENT); err != nil {
		return nil, err
	}
	defer func() { _ = windows.CryptReleaseContext(ctx, 0) }()
	if r, _, err := advapi.NewProc("CryptGetUserKey").Call(uintptr(ctx), windows.AT_SIGNATURE, uintptr(unsafe.Pointer(&key))); r == 0 {
		return nil, err
	}
	defer func() { _, _, _ = advapi.NewProc("CryptDestroyKey").Call(uintptr(key)) }()
	blob := make([]byte, 4<<10)
	size := uint32(len(blob))
	const privateKeyBlob = 7
	r, _, err := advapi.NewProc("CryptExportKey").Call(uintptr(key), 0, privateKeyBlob, 0, uintptr(unsafe.Pointer(&blob[0])), uintptr(unsafe.Pointer(&size)))
	if r == 0 {
		return nil, err
	}
	return blob[:size], nil
}
