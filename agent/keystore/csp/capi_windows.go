package csp

import (
	"crypto"
	"crypto/rsa"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Constants of wincrypt.h that golang.org/x/sys lacks.
const (
	ppEnumContainers = 2
	first            = 1 // CRYPT_FIRST
	next             = 2 // CRYPT_NEXT
	kpPermissions    = 6
	permitExport     = 0x0004 // CRYPT_EXPORT
	hpHashValue      = 2
	maxContainers    = 10_000
)

// capiContext is a key container, opened through CryptoAPI.
type capiContext struct{ handle windows.Handle }

func acquire(name, provider string, kind, flags uint32) (capiContext, error) {
	var names [2]*uint16
	for i, s := range []string{name, provider} {
		if s == "" {
			continue
		}
		var err error
		if names[i], err = windows.UTF16PtrFromString(s); err != nil {
			return capiContext{}, err
		}
	}
	var c capiContext
	if err := windows.CryptAcquireContext(&c.handle, names[0], names[1], kind, flags); err != nil {
		return capiContext{}, failed("CryptAcquireContext", err)
	}
	return c, nil
}

func (c capiContext) close() { _ = windows.CryptReleaseContext(c.handle, 0) }

// deleteContainer deletes a container of ours with the key in it.
func deleteContainer(name string) error {
	_, err := acquire(name, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_DELETEKEYSET|windows.CRYPT_SILENT)
	return err
}

// containers returns the names of our containers.
func containers() ([]string, error) {
	c, err := acquire("", rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_VERIFYCONTEXT|windows.CRYPT_SILENT)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var names []string
	for which := uintptr(first); len(names) < maxContainers; which = next {
		var name [1 << 10]byte // MAX_PATH is 260
		size := uint32(len(name))
		err := try(cryptGetProvParam, uintptr(c.handle), ppEnumContainers, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)), which)
		switch {
		case is(err, errNoMoreItems):
			return names, nil
		case err != nil:
			return nil, err
		}
		s, _, _ := strings.Cut(string(name[:min(size, uint32(len(name)))]), "\x00")
		if _, ours := parseContainer(s); ours {
			names = append(names, s)
		}
	}
	return names, nil
}

// capiPair is a key pair inside a container.
type capiPair struct{ handle windows.Handle }

func (k capiPair) close() { _ = try(cryptDestroyKey, uintptr(k.handle)) }

// pair opens the container's key pair for signatures.
func (c capiContext) pair() (capiPair, error) {
	var k capiPair
	err := try(cryptGetUserKey, uintptr(c.handle), windows.AT_SIGNATURE, uintptr(unsafe.Pointer(&k.handle)))
	return k, err
}

func (k capiPair) export(kind uintptr) ([]byte, error) {
	b := make([]byte, maxBlob)
	size := uint32(len(b))
	if err := try(cryptExportKey, uintptr(k.handle), 0, kind, 0, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size))); err != nil {
		return nil, err
	}
	return b[:min(size, maxBlob)], nil
}

func (k capiPair) public() (*rsa.PublicKey, error) {
	b, err := k.export(publicKeyBlob)
	if err != nil {
		return nil, err
	}
	return parsePublicKeyBlob(b)
}

// copyable says whether the provider would give the private key away.
func (k capiPair) copyable() (bool, error) {
	var permissions uint32
	size := uint32(unsafe.Sizeof(permissions))
	err := try(cryptGetKeyParam, uintptr(k.handle), kpPermissions, uintptr(unsafe.Pointer(&permissions)), uintptr(unsafe.Pointer(&size)), 0)
	if err != nil {
		return false, err
	}
	return permissions&permitExport != 0, nil
}

// generate makes the container's key pair: for signatures, and never to leave.
func (c capiContext) generate(bits uint32) (capiPair, error) {
	var k capiPair
	// The upper half of the flags is the length; without CRYPT_EXPORTABLE the private key cannot be exported.
	err := try(cryptGenKey, uintptr(c.handle), windows.AT_SIGNATURE, uintptr(bits)<<16, uintptr(unsafe.Pointer(&k.handle)))
	return k, err
}

// load makes the container's key pair of a PRIVATEKEYBLOB, never to leave again.
func (c capiContext) load(blob []byte) (capiPair, error) {
	var k capiPair
	err := try(cryptImportKey, uintptr(c.handle), uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), 0, 0, uintptr(unsafe.Pointer(&k.handle)))
	return k, err
}

// capiKey signs through CryptoAPI.
type capiKey struct {
	context  capiContext
	spec     uint32
	borrowed *windows.CertContext // which owns the handle; nil when it is ours
}

var capiHashes = map[crypto.Hash]uintptr{crypto.SHA256: algSHA256, crypto.SHA384: algSHA384, crypto.SHA512: algSHA512}

// offers implements privateKey: CryptSignHash knows no PSS, and some providers no SHA-2.
func (k *capiKey) offers(hash crypto.Hash, padding padding) bool {
	if padding == pss {
		return false
	}
	h, err := k.hash(hash)
	if err != nil {
		return false
	}
	_ = try(cryptDestroyHash, uintptr(h))
	return true
}

func (k *capiKey) hash(hash crypto.Hash) (windows.Handle, error) {
	var h windows.Handle
	err := try(cryptCreateHash, uintptr(k.context.handle), capiHashes[hash], 0, 0, uintptr(unsafe.Pointer(&h)))
	return h, err
}

// sign implements privateKey.
func (k *capiKey) sign(_ crypto.PublicKey, hash crypto.Hash, digest []byte, _ padding) ([]byte, error) {
	h, err := k.hash(hash)
	if err != nil {
		return nil, err
	}
	defer func() { _ = try(cryptDestroyHash, uintptr(h)) }()
	// HP_HASHVAL takes as many octets as the hash has; agent.CheckDigest saw to that.
	if err := try(cryptSetHashParam, uintptr(h), hpHashValue, uintptr(unsafe.Pointer(&digest[0])), 0); err != nil {
		return nil, err
	}
	signature := make([]byte, maxRSA/8)
	size := uint32(len(signature))
	err = try(cryptSignHash, uintptr(h), uintptr(k.spec), 0, 0, uintptr(unsafe.Pointer(&signature[0])), uintptr(unsafe.Pointer(&size)))
	if err != nil {
		return nil, err
	}
	signature = signature[:min(size, uint32(len(signature)))]
	slices.Reverse(signature) // CryptoAPI is little-endian
	return signature, nil
}

// close implements privateKey.
func (k *capiKey) close() {
	if k.borrowed == nil {
		k.context.close()
		return
	}
	_ = windows.CertFreeCertificateContext(k.borrowed)
}
