package agent_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	r.Remove(t)
	t.Cleanup(func() { r.Remove(t) })
	return r
}

func (r cspRig) Store() agent.KeyStore { return csp.New(csp.Config{Chains: r.chains}) }
func (cspRig) PIN() string             { return "" }
func (cspRig) WrongPIN() string        { return "" }

func (cspRig) Remove(t *testing.T) {
	t.Helper()
	for _, key := range cspKeys {
		require.NoError(t, deleteTree(key))
	}
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

// cspSteps is a key's life, each step by a new process that knows only the key's ID.
var cspSteps = []struct {
	name string
	run  func(s *bench, id string) string
}{
	{"it is generated", func(s *bench, _ string) string {
		key, session := s.generate(agent.RSA2048, 1)
		_, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, session)
		s.Require().NoError(err)
		s.Require().NoError(session.Close())
		s.Equal(agent.Made{By: key.Made.By, Local: agent.StatedYes, NeverExtractable: agent.StatedYes}, key.Made)
		s.NotEmpty(key.Made.By)
		return key.ID
	}},
	{"it is listed without a certificate", func(s *bench, id string) string {
		key := s.only(id)
		s.Equal("Zgłoszenia celne", key.Label)
		s.Equal(agent.RSA2048, key.Algorithm)
		s.Empty(key.Chain)
		return id
	}},
	{"its certificate is attached", func(s *bench, id string) string {
		key := s.only(id)
		s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, id, s.certify(key.Public), s.pin().ask))
		return id
	}},
	{"it does not leave its provider", func(s *bench, id string) string {
		containers := subKeys(s.T(), cspKeys[1])
		s.Require().Len(containers, 1)
		_, err := exportPrivate(containers[0])
		s.Equal(windows.Errno(windows.NTE_BAD_KEY_STATE), err)
		return id
	}},
	{"it signs", func(s *bench, id string) string {
		key, store := s.only(id), s.rig.Store()
		s.Len(key.Chain, 2)
		session, err := store.Open(s.ctx, id, agent.NewConsent(store.Name(), id, len(hashes)), s.pin().ask)
		s.Require().NoError(err)
		for _, hash := range hashes {
			digest := digestOf(hash, "zgłoszenie")
			signature, err := session.Sign(rand.Reader, digest, hash)
			s.Require().NoError(err)
			requireSignature(s.T(), key.Public, hash, digest, signature)
		}
		s.NoError(session.Close())
		return id
	}},
	{"it is deleted", func(s *bench, id string) string {
		s.Require().NoError(s.rig.Store().(agent.Deleter).Delete(s.ctx, id, s.pin().ask))
		return id
	}},
	{"it stays deleted", func(s *bench, id string) string {
		keys, err := s.rig.Store().List(s.ctx)
		s.NoError(err)
		s.Empty(keys)
		s.Empty(subKeys(s.T(), cspKeys[0]+`\Certificates`))
		s.Empty(subKeys(s.T(), cspKeys[1]))
		chains, err := os.ReadDir(s.rig.(cspRig).chains)
		s.NoError(err)
		s.Empty(chains, "nothing is left of its issuers")
		return id
	}},
}

// only returns the key with that ID, which must be the only one.
func (s *bench) only(id string) agent.Key {
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 1)
	s.Require().Equal(id, keys[0].ID)
	return keys[0]
}

// The environment of a step's process.
const (
	cspStep   = "CERTSIGN_TEST_CSP_STEP"
	cspChains = "CERTSIGN_TEST_CSP_CHAINS"
	cspID     = "CERTSIGN_TEST_CSP_ID"
)

func TestCSPKeyLivesOverManyProcesses(t *testing.T) {
	if step := os.Getenv(cspStep); step != "" {
		b := &bench{rig: cspRig{os.Getenv(cspChains)}, ctx: t.Context()}
		b.SetT(t)
		for _, s := range cspSteps {
			if s.name == step {
				fmt.Printf("\nkey %s\n", s.run(b, os.Getenv(cspID)))
			}
		}
		return
	}
	onlyWine(t)
	chains, id := newCSPRig(t).(cspRig).chains, ""
	self, err := os.Executable()
	require.NoError(t, err)
	for _, step := range cspSteps {
		cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), cspStep+"="+step.name, cspChains+"="+chains, cspID+"="+id)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s:\n%s", step.name, out)
		found := regexp.MustCompile(`(?m)^key ([0-9a-f]{64})\r?$`).FindSubmatch(out)
		require.NotNil(t, found, "%s:\n%s", step.name, out)
		id = string(found[1])
	}
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
