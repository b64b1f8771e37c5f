package agent_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/suite"
	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
)

// foreignSuite is what the Windows store does with keys and certificates that other programs put there.
type foreignSuite struct{ bench }

func TestCSPForeignKeys(t *testing.T) {
	onlyWine(t)
	suite.Run(t, &foreignSuite{bench{fresh: newCSPRig}})
}

// foreign is a key that another program made.
type foreign struct {
	container, provider string
	kind, spec          uint32
	public              *rsa.PublicKey
}

const (
	exchange  = 1 // AT_KEYEXCHANGE: what most programs make
	aes       = "Microsoft Enhanced RSA and AES Cryptographic Provider"
	otherName = "le-1b3e2a6a-6A3E"
)

var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

// foreignKey makes one through CryptoAPI.
func (s *foreignSuite) foreignKey(name, provider string, kind, spec uint32) foreign {
	advapi := windows.NewLazySystemDLL("advapi32.dll")
	var ctx, key windows.Handle
	s.Require().NoError(windows.CryptAcquireContext(&ctx, s.utf16(name), s.utf16(provider), kind, windows.CRYPT_NEWKEYSET|windows.CRYPT_SILENT))
	defer func() { _ = windows.CryptReleaseContext(ctx, 0) }()
	r, _, err := advapi.NewProc("CryptGenKey").Call(uintptr(ctx), uintptr(spec), 2048<<16, uintptr(unsafe.Pointer(&key)))
	s.Require().NotZero(r, err)
	defer func() { _, _, _ = advapi.NewProc("CryptDestroyKey").Call(uintptr(key)) }()
	blob := make([]byte, 1<<10)
	size := uint32(len(blob))
	const publicKeyBlob = 6
	r, _, err = advapi.NewProc("CryptExportKey").Call(uintptr(key), 0, publicKeyBlob, 0, uintptr(unsafe.Pointer(&blob[0])), uintptr(unsafe.Pointer(&size)))
	s.Require().NotZero(r, err)
	modulus := slices.Clone(blob[20:size])
	slices.Reverse(modulus)
	return foreign{name, provider, kind, spec, &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(binary.LittleEndian.Uint32(blob[16:]))}}
}

func (s *foreignSuite) utf16(text string) *uint16 {
	p, err := windows.UTF16PtrFromString(text)
	s.Require().NoError(err)
	return p
}

// put stores a certificate in MY; with a key it names where that is, as CertSetCertificateContextProperty wants it.
func (s *foreignSuite) put(der []byte, key *foreign) { s.putInto("MY", der, key) }

func (s *foreignSuite) putInto(name string, der []byte, key *foreign) {
	ctx, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	s.Require().NoError(err)
	defer func() { _ = windows.CertFreeCertificateContext(ctx) }()
	if key != nil {
		const keyProviderInfo = 2
		info := struct {
			container, provider     *uint16
			kind, flags, paramCount uint32
			params                  uintptr
			spec                    uint32
		}{container: s.utf16(key.container), provider: s.utf16(key.provider), kind: key.kind, spec: key.spec}
		set := windows.NewLazySystemDLL("crypt32.dll").NewProc("CertSetCertificateContextProperty")
		r, _, err := set.Call(uintptr(unsafe.Pointer(ctx)), keyProviderInfo, 0, uintptr(unsafe.Pointer(&info)))
		s.Require().NotZero(r, err)
	}
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_CURRENT_USER, uintptr(unsafe.Pointer(s.utf16(name))))
	s.Require().NoError(err)
	defer func() { _ = windows.CertCloseStore(store, 0) }()
	s.Require().NoError(windows.CertAddCertificateContextToStore(store, ctx, windows.CERT_STORE_ADD_ALWAYS, nil))
}

func (s *bench) list() []agent.Key {
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	return keys
}

func (s *foreignSuite) open(key agent.Key, n int) (agent.Session, error) {
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, n), s.pin().ask)
	if err == nil {
		s.T().Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

func (s *foreignSuite) TestACertificateThatWasThereBeforeSigns() {
	for name, where := range map[string]struct {
		provider   string
		kind, spec uint32
	}{
		"in the provider with SHA-2":                    {aes, windows.PROV_RSA_AES, exchange},
		"for signatures only":                           {aes, windows.PROV_RSA_AES, windows.AT_SIGNATURE},
		"in an older provider, as a .pfx is imported":   {"Microsoft Enhanced Cryptographic Provider v1.0", windows.PROV_RSA_FULL, exchange},
		"in an older provider, for signatures only":     {"Microsoft Strong Cryptographic Provider", windows.PROV_RSA_FULL, windows.AT_SIGNATURE},
		"in the provider for TLS, which knows no SHA-2": {"Microsoft RSA SChannel Cryptographic Provider", windows.PROV_RSA_SCHANNEL, exchange},
	} {
		s.Run(name, func() {
			made := s.foreignKey(otherName, where.provider, where.kind, where.spec)
			s.Empty(s.list(), "a container of others is none of ours")
			s.put(s.certify(made.public)[0], &made)
			keys := s.list()
			s.Require().Len(keys, 1)
			key := keys[0]
			s.True(made.public.Equal(key.Public))
			s.Equal("Żaneta Łęcka", key.Label)
			s.Contains(key.Where, where.provider)
			s.Equal(agent.Made{By: where.provider}, key.Made, "how it was made nobody knows")
			session, err := s.open(key, len(hashes))
			s.Require().NoError(err)
			for _, hash := range hashes {
				digest := digestOf(hash, "zgłoszenie")
				signature, err := session.Sign(rand.Reader, digest, hash)
				s.Require().NoError(err)
				requireSignature(s.T(), key.Public, hash, digest, signature)
			}
		})
	}
}

func (s *foreignSuite) TestItsIssuerIsFoundAmongTheIntermediates() {
	const intermediates = `Software\Microsoft\SystemCertificates\CA`
	s.Require().NoError(deleteTree(intermediates))
	defer func() { s.NoError(deleteTree(intermediates)) }()
	made := s.foreignKey(otherName, aes, windows.PROV_RSA_AES, exchange)
	chain, strange := s.certify(made.public), s.certify(made.public)
	s.put(chain[0], &made)
	s.Equal(chain[:1], s.list()[0].Chain)
	s.putInto("CA", strange[1], nil)
	s.Equal(chain[:1], s.list()[0].Chain, "one of the same name that did not issue it")
	s.putInto("CA", chain[1], nil)
	s.Equal(chain, s.list()[0].Chain)
}

func (s *foreignSuite) TestItIsRenewedBesideItsKey() {
	made := s.foreignKey(otherName, aes, windows.PROV_RSA_AES, exchange)
	before := s.certify(made.public)[0]
	s.put(before, &made)
	key := s.list()[0]
	for range 2 {
		renewed := s.certify(made.public)
		s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, renewed, s.pin().ask))
		keys := s.list()
		s.Require().Len(keys, 1)
		s.Equal(renewed, keys[0].Chain)
		s.Len(subKeys(s.T(), cspKeys[0]+`\Certificates`), 2, "the one that others put there stays, an attached one is replaced")
	}
	session, err := s.open(key, 1)
	s.Require().NoError(err)
	_, err = session.Sign(rand.Reader, digestOf(crypto.SHA256, "x"), crypto.SHA256)
	s.NoError(err)
}

func (s *foreignSuite) TestDeletingItLeavesTheKeyToItsProvider() {
	made := s.foreignKey(otherName, aes, windows.PROV_RSA_AES, exchange)
	s.put(s.certify(made.public)[0], &made)
	key := s.list()[0]
	s.Require().NoError(s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask))
	s.Empty(s.list())
	s.Empty(subKeys(s.T(), cspKeys[0]+`\Certificates`))
	s.Equal([]string{otherName}, subKeys(s.T(), cspKeys[1]))
}

func (s *foreignSuite) TestACertificateThatPointsAtAnotherKeySignsNothing() {
	made := s.foreignKey(otherName, aes, windows.PROV_RSA_AES, windows.AT_SIGNATURE)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	s.Require().NoError(err)
	s.put(s.certify(other.Public())[0], &made)
	session, err := s.open(s.list()[0], 1)
	s.Require().NoError(err)
	signature, err := session.Sign(rand.Reader, digestOf(crypto.SHA256, "x"), crypto.SHA256)
	s.code(problem.DriverFailed, err)
	s.Nil(signature)
}

func (s *foreignSuite) TestAKeyThatIsGoneSaysSo() {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	s.Require().NoError(err)
	for name, provider := range map[string]string{
		"in a provider of today": aes, "in an older one": "Microsoft Strong Cryptographic Provider",
	} {
		s.Run(name, func() {
			kind := map[bool]uint32{true: windows.PROV_RSA_AES, false: windows.PROV_RSA_FULL}[provider == aes]
			s.put(s.certify(other.Public())[0], &foreign{container: "gone", provider: provider, kind: kind, spec: exchange})
			_, err := s.open(s.list()[0], 1)
			s.code(problem.KeyAbsent, err)
		})
	}
	s.Run("in a provider that is not installed", func() {
		s.put(s.certify(other.Public())[0], &foreign{container: "x", provider: "Dostawca, którego nie ma", kind: windows.PROV_RSA_FULL, spec: exchange})
		_, err := s.open(s.list()[0], 1)
		s.Contains([]problem.Code{problem.StoreUnavailable, problem.KeyAbsent}, problem.CodeOf(err), "Wine does not say which: %v", err)
	})
}

func (s *foreignSuite) TestOfACertificateWithoutAKeyNothingIsListed() {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	s.Require().NoError(err)
	s.put(s.certify(other.Public())[0], nil)
	s.Empty(s.list())
	s.put(s.certify(other.Public())[0], &foreign{
		container: "certsign-made-0123456789abcdef-pnwhk2dv", provider: aes, kind: windows.PROV_RSA_AES, spec: windows.AT_SIGNATURE,
	})
	s.Empty(s.list(), "a key of ours is there or it is not")
}
