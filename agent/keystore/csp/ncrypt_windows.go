package csp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"

	"certsign/agent"
)

// Constants of ncrypt.h and bcrypt.h.
const (
	padPKCS1     = 0x00000002 // BCRYPT_PAD_PKCS1
	padPSS       = 0x00000008 // BCRYPT_PAD_PSS
	silent       = 0x00000040 // NCRYPT_SILENT_FLAG
	allowSigning = 0x00000002 // NCRYPT_ALLOW_SIGNING_FLAG
	exportMask   = 0x00000003 // NCRYPT_ALLOW_EXPORT_FLAG, NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG

	propLength       = "Length"
	propExportPolicy = "Export Policy"
	propKeyUsage     = "Key Usage"
	blobECCPublic    = "ECCPUBLICBLOB"
)

// cngAlgorithms are the keys that are made in cngProvider.
var cngAlgorithms = map[agent.KeyAlgorithm]string{agent.P256: "ECDSA_P256", agent.P384: "ECDSA_P384"}

var hashNames = map[crypto.Hash]string{crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"}

// cngHandle is an NCRYPT_HANDLE of a provider or a key.
type cngHandle struct{ handle windows.Handle }

func (h cngHandle) close() { _ = status(ncryptFreeObject, uintptr(h.handle)) }

func openCNG() (cngHandle, error) {
	var h cngHandle
	name, err := windows.UTF16PtrFromString(cngProvider)
	if err != nil {
		return h, err
	}
	err = status(ncryptOpenStorageProvider, uintptr(unsafe.Pointer(&h.handle)), uintptr(unsafe.Pointer(name)), 0)
	return h, err
}

// create begins a key; with no name it lives no longer than its handle.
func (h cngHandle) create(algorithm, name string) (cngHandle, error) {
	var key cngHandle
	kind, err := windows.UTF16PtrFromString(algorithm)
	if err != nil {
		return key, err
	}
	var container *uint16
	if name != "" {
		if container, err = windows.UTF16PtrFromString(name); err != nil {
			return key, err
		}
	}
	err = status(ncryptCreatePersistedKey, uintptr(h.handle), uintptr(unsafe.Pointer(&key.handle)), uintptr(unsafe.Pointer(kind)),
		uintptr(unsafe.Pointer(container)), 0, 0)
	return key, err
}

func (h cngHandle) open(name string) (cngHandle, error) {
	var key cngHandle
	container, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return key, err
	}
	err = status(ncryptOpenKey, uintptr(h.handle), uintptr(unsafe.Pointer(&key.handle)), uintptr(unsafe.Pointer(container)), 0, silent)
	return key, err
}

func (h cngHandle) set(property string, value uint32) error {
	name, err := windows.UTF16PtrFromString(property)
	if err != nil {
		return err
	}
	return status(ncryptSetProperty, uintptr(h.handle), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&value)),
		unsafe.Sizeof(value), 0)
}

func (h cngHandle) get(property string) (uint32, error) {
	name, err := windows.UTF16PtrFromString(property)
	if err != nil {
		return 0, err
	}
	var value, size uint32
	err = status(ncryptGetProperty, uintptr(h.handle), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&value)),
		unsafe.Sizeof(value), uintptr(unsafe.Pointer(&size)), 0)
	return value, err
}

// finalize makes the key that create began: for signatures, and never to leave. bits is 0 where the algorithm says it.
func (h cngHandle) finalize(bits uint32) error {
	if bits != 0 {
		if err := h.set(propLength, bits); err != nil {
			return err
		}
	}
	if err := h.set(propExportPolicy, 0); err != nil {
		return err
	}
	if err := h.set(propKeyUsage, allowSigning); err != nil {
		return err
	}
	return status(ncryptFinalizeKey, uintptr(h.handle), silent)
}

// delete deletes a key and frees its handle.
func (h cngHandle) delete() error {
	err := status(ncryptDeleteKey, uintptr(h.handle), silent)
	if err != nil {
		h.close()
	}
	return err
}

// public returns the public half of an ECDSA key.
func (h cngHandle) public() (*ecdsa.PublicKey, error) {
	b, err := h.export(blobECCPublic)
	if err != nil {
		return nil, err
	}
	return parseECCBlob(b)
}

func (h cngHandle) export(kind string) ([]byte, error) {
	name, err := windows.UTF16PtrFromString(kind)
	if err != nil {
		return nil, err
	}
	b := make([]byte, maxBlob)
	var size uint32
	err = status(ncryptExportKey, uintptr(h.handle), 0, uintptr(unsafe.Pointer(name)), 0, uintptr(unsafe.Pointer(&b[0])),
		uintptr(len(b)), uintptr(unsafe.Pointer(&size)), 0)
	if err != nil {
		return nil, err
	}
	return b[:min(size, maxBlob)], nil
}

// copyable says whether the provider would give the private key away.
func (h cngHandle) copyable() (bool, error) {
	policy, err := h.get(propExportPolicy)
	return policy&exportMask != 0, err
}

// names returns the names of our keys.
func (h cngHandle) names() ([]string, error) {
	// NCryptKeyName
	type keyName struct {
		name, algorithm *uint16
		legacySpec      uint32
		flags           uint32
	}
	var names []string
	var state unsafe.Pointer
	defer func() {
		if state != nil {
			_ = status(ncryptFreeBuffer, uintptr(state))
		}
	}()
	for range maxContainers {
		var item *keyName
		err := status(ncryptEnumKeys, uintptr(h.handle), 0, uintptr(unsafe.Pointer(&item)), uintptr(unsafe.Pointer(&state)), silent)
		if is(err, nteNoMoreItems) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		name := windows.UTF16PtrToString(item.name)
		// A key that CryptoAPI made is listed there.
		if _, ours := parseContainer(name); ours && item.legacySpec == 0 {
			names = append(names, name)
		}
		_ = status(ncryptFreeBuffer, uintptr(unsafe.Pointer(item)))
	}
	return names, nil
}

// makes returns what the provider really makes and keeps: Wine, for one, opens it and persists nothing.
func (h cngHandle) makes() []agent.KeyAlgorithm {
	if _, err := h.names(); err != nil {
		return nil
	}
	var all []agent.KeyAlgorithm
	for _, algorithm := range []agent.KeyAlgorithm{agent.P256, agent.P384} {
		if key, err := h.create(cngAlgorithms[algorithm], ""); err == nil {
			key.close()
			all = append(all, algorithm)
		}
	}
	return all
}

// cngKey signs through CNG.
type cngKey struct {
	key      cngHandle
	borrowed *windows.CertContext // which owns the handle; nil when it is ours
}

// offers implements privateKey: CNG has every hash of ours, and PSS for RSA.
func (k *cngKey) offers(crypto.Hash, padding) bool { return true }

// sign implements privateKey.
func (k *cngKey) sign(public crypto.PublicKey, hash crypto.Hash, digest []byte, padding padding) ([]byte, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		name, err := windows.UTF16PtrFromString(hashNames[hash])
		if err != nil {
			return nil, err
		}
		// BCRYPT_PKCS1_PADDING_INFO is the beginning of BCRYPT_PSS_PADDING_INFO.
		info := struct {
			hash *uint16
			salt uint32
		}{name, uint32(hash.Size())}
		flags := uintptr(padPKCS1)
		if padding == pss {
			flags = padPSS
		}
		signature, err := k.call(unsafe.Pointer(&info), digest, flags)
		runtime.KeepAlive(&info)
		return signature, err
	case *ecdsa.PublicKey:
		// FIPS 186-5, 6.4.1: of a digest that is longer than the curve's order only the first part counts.
		raw, err := k.call(nil, digest[:min(len(digest), (public.Curve.Params().BitSize+7)/8)], 0)
		if err != nil {
			return nil, err
		}
		return derSignature(public, raw)
	}
	return nil, &failure{call: "NCryptSignHash", code: nteNotSupported}
}

func (k *cngKey) call(padding unsafe.Pointer, digest []byte, flags uintptr) ([]byte, error) {
	signature := make([]byte, maxRSA/8)
	var size uint32
	err := status(ncryptSignHash, uintptr(k.key.handle), uintptr(padding), uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)),
		uintptr(unsafe.Pointer(&signature[0])), uintptr(len(signature)), uintptr(unsafe.Pointer(&size)), flags)
	if err != nil {
		return nil, err
	}
	return signature[:min(size, uint32(len(signature)))], nil
}

// close implements privateKey.
func (k *cngKey) close() {
	if k.borrowed == nil {
		k.key.close()
		return
	}
	_ = windows.CertFreeCertificateContext(k.borrowed)
}
