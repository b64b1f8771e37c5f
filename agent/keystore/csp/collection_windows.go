package csp

import (
	"bytes"
	"crypto/x509"
	"errors"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"certsign/internal/problem"
)

// Properties of a certificate in a store (wincrypt.h).
const (
	propKeyProvider  = 2  // CERT_KEY_PROV_INFO_PROP_ID
	propFriendlyName = 11 // CERT_FRIENDLY_NAME_PROP_ID
)

const (
	my              = "MY"
	intermediate    = "CA"
	maxCertificates = 10_000
)

// collection is an open certificate store of the person.
type collection struct{ handle windows.Handle }

// openCollection opens a store of the person's by the provider that has it all, or by the one for the registry alone.
func openCollection(provider uintptr, name string, flags uint32) (collection, error) {
	return openStore(provider, name, windows.CERT_SYSTEM_STORE_CURRENT_USER|flags)
}

// openStore opens a store; flags say whose.
func openStore(provider uintptr, name string, flags uint32) (collection, error) {
	utf16, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return collection{}, err
	}
	var pinner runtime.Pinner // the function takes a number, which keeps nothing where it is
	pinner.Pin(utf16)
	defer pinner.Unpin()
	h, err := windows.CertOpenStore(provider, 0, 0, flags, uintptr(unsafe.Pointer(utf16)))
	if err != nil {
		return collection{}, failed("CertOpenStore", err)
	}
	return collection{h}, nil
}

func (c collection) close() { _ = windows.CertCloseStore(c.handle, 0) }

// each hands over the contexts of all certificates until f says that it has enough. A context is valid inside f only.
func (c collection) each(f func(*windows.CertContext) (enough bool)) error {
	var last *windows.CertContext
	for range maxCertificates {
		next, err := windows.CertEnumCertificatesInStore(c.handle, last) // frees last
		if next == nil {
			switch err {
			case windows.Errno(windows.CRYPT_E_NOT_FOUND), windows.ERROR_NO_MORE_FILES, syscall.EINVAL: // EINVAL: nothing was said
				return nil
			}
			return failed("CertEnumCertificatesInStore", err)
		}
		last = next
		if f(last) {
			break
		}
	}
	_ = windows.CertFreeCertificateContext(last)
	return nil
}

// encoded copies a certificate out of its context; nil when it is absurdly long.
func encoded(ctx *windows.CertContext) []byte {
	if ctx.EncodedCert == nil || ctx.Length == 0 || ctx.Length > maxCertificate {
		return nil
	}
	return bytes.Clone(unsafe.Slice(ctx.EncodedCert, ctx.Length))
}

// find returns a context of that certificate, which the caller frees; nil when it is not there.
func (c collection) find(der []byte) (*windows.CertContext, error) {
	var found *windows.CertContext
	err := c.each(func(ctx *windows.CertContext) bool {
		if bytes.Equal(encoded(ctx), der) {
			found = windows.CertDuplicateCertificateContext(ctx)
		}
		return found != nil
	})
	return found, err
}

// stored is a certificate in a store that names the place of its key.
type stored struct {
	*x509.Certificate
	key      keyPlace
	label    string
	attached bool // by this package
	issuers  []*x509.Certificate
}

// keyed returns the certificates of MY that name the place of a key.
func keyed(chains issuers) ([]stored, error) {
	c, err := openCollection(windows.CERT_STORE_PROV_SYSTEM_W, my, windows.CERT_STORE_READONLY_FLAG)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var all []stored
	err = c.each(func(ctx *windows.CertContext) bool {
		key, ok := keyPlaceOf(ctx)
		if !ok {
			return false
		}
		certificate, err := x509.ParseCertificate(encoded(ctx))
		if err != nil {
			return false
		}
		s := stored{Certificate: certificate, key: key}
		s.issuers, s.attached = chains.read(s.Raw)
		if name, ok := property(ctx, propFriendlyName, 1<<10); ok {
			s.label, _ = text(append(name, 0, 0), 0)
		}
		all = append(all, s)
		return false
	})
	return all, err
}

// certificates returns what another store of the person holds, as far as Go can read it; none when there is no such store.
func certificates(name string) []*x509.Certificate {
	c, err := openCollection(windows.CERT_STORE_PROV_SYSTEM_W, name, windows.CERT_STORE_READONLY_FLAG|windows.CERT_STORE_OPEN_EXISTING_FLAG)
	if err != nil {
		return nil
	}
	defer c.close()
	var all []*x509.Certificate
	_ = c.each(func(ctx *windows.CertContext) bool {
		if certificate, err := x509.ParseCertificate(encoded(ctx)); err == nil {
			all = append(all, certificate)
		}
		return false
	})
	return all
}

// property reads a property of at most max octets, into memory that is aligned for a structure with pointers.
func property(ctx *windows.CertContext, id uint32, max uint32) ([]byte, bool) {
	var size uint32
	err := try(certGetProperty, uintptr(unsafe.Pointer(ctx)), uintptr(id), 0, uintptr(unsafe.Pointer(&size)))
	if err != nil || size == 0 || size > max {
		return nil, false
	}
	words := make([]uint64, (size+7)/8)
	err = try(certGetProperty, uintptr(unsafe.Pointer(ctx)), uintptr(id), uintptr(unsafe.Pointer(&words[0])), uintptr(unsafe.Pointer(&size)))
	if err != nil || size == 0 || uint64(size) > 8*uint64(len(words)) {
		return nil, false
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size), true
}

// keyPlace says where the private key of a certificate is.
type keyPlace struct {
	container string
	provider  string
	kind      uint32 // the provider's type; 0 is CNG
	flags     uint32
	spec      uint32
}

// keyProviderInfo is CRYPT_KEY_PROV_INFO as Windows writes it: pointers into the same buffer.
type keyProviderInfo struct {
	container  uintptr
	provider   uintptr
	kind       uint32
	flags      uint32
	paramCount uint32
	params     uintptr
	spec       uint32
}

// keyPlaceOf reads that property. Its pointers count only where they stay inside of it.
func keyPlaceOf(ctx *windows.CertContext) (keyPlace, bool) {
	b, ok := property(ctx, propKeyProvider, 16<<10)
	if !ok || len(b) < int(unsafe.Sizeof(keyProviderInfo{})) {
		return keyPlace{}, false
	}
	info := (*keyProviderInfo)(unsafe.Pointer(&b[0]))
	start := uintptr(unsafe.Pointer(&b[0]))
	p := keyPlace{kind: info.kind, flags: info.flags, spec: info.spec}
	var hasContainer, hasProvider bool
	p.container, hasContainer = text(b, uint64(info.container-start))
	p.provider, hasProvider = text(b, uint64(info.provider-start))
	runtime.KeepAlive(b)
	return p, hasContainer && hasProvider
}

// add puts a certificate into MY, with the place of its key and a name for people.
func add(der []byte, p keyPlace, label string) error {
	ctx, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	if err != nil {
		return failed("CertCreateCertificateContext", err)
	}
	defer func() { _ = windows.CertFreeCertificateContext(ctx) }()
	if err := p.set(ctx); err != nil {
		return err
	}
	name, err := windows.UTF16FromString(label)
	if err != nil {
		return err
	}
	// CRYPT_DATA_BLOB
	blob := struct {
		size uint32
		data *uint16
	}{uint32(2 * len(name)), &name[0]}
	err = try(certSetProperty, uintptr(unsafe.Pointer(ctx)), propFriendlyName, 0, uintptr(unsafe.Pointer(&blob)))
	runtime.KeepAlive(&blob)
	if err != nil {
		return err
	}
	c, err := openCollection(windows.CERT_STORE_PROV_SYSTEM_W, my, 0)
	if err != nil {
		return err
	}
	defer c.close()
	if err := windows.CertAddCertificateContextToStore(c.handle, ctx, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil); err != nil {
		return failed("CertAddCertificateContextToStore", err)
	}
	return nil
}

// set writes the property that names the place of the key.
func (p keyPlace) set(ctx *windows.CertContext) error {
	info := struct {
		container, provider     *uint16
		kind, flags, paramCount uint32
		params                  uintptr
		spec                    uint32
	}{kind: p.kind, flags: p.flags & windows.CRYPT_MACHINE_KEYSET, spec: p.spec}
	var err error
	if info.container, err = windows.UTF16PtrFromString(p.container); err != nil {
		return err
	}
	if info.provider, err = windows.UTF16PtrFromString(p.provider); err != nil {
		return err
	}
	err = try(certSetProperty, uintptr(unsafe.Pointer(ctx)), propKeyProvider, 0, uintptr(unsafe.Pointer(&info)))
	runtime.KeepAlive(&info)
	return err
}

// remove takes a certificate out of MY, for good. Under Wine the store as a whole forgets it for this process alone; the
// registry's own provider knows only what is in the registry. So both are told, and what counts is that it is gone.
func remove(der []byte) error {
	why := errors.Join(removeFrom(windows.CERT_STORE_PROV_SYSTEM_W, der), removeFrom(windows.CERT_STORE_PROV_SYSTEM_REGISTRY_W, der))
	c, err := openCollection(windows.CERT_STORE_PROV_SYSTEM_W, my, windows.CERT_STORE_READONLY_FLAG)
	if err != nil {
		return err
	}
	defer c.close()
	ctx, err := c.find(der)
	if err != nil || ctx == nil {
		return err
	}
	_ = windows.CertFreeCertificateContext(ctx)
	if why == nil {
		why = problem.New(problem.StoreUnavailable, "Windows still has the certificate after it was deleted")
	}
	return why
}

func removeFrom(provider uintptr, der []byte) error {
	c, err := openCollection(provider, my, 0)
	if err != nil {
		return err
	}
	defer c.close()
	ctx, err := c.find(der)
	if err != nil || ctx == nil {
		return err
	}
	if err := windows.CertDeleteCertificateFromStore(ctx); err != nil { // frees ctx
		return failed("CertDeleteCertificateFromStore", err)
	}
	return nil
}
