package csp

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"

	"certsign/internal/problem"
)

// Properties of a certificate in a store of the computer (wincrypt.h).
const (
	propPurposes    = 9  // CERT_ENHKEY_USAGE_PROP_ID
	propDescription = 13 // CERT_DESCRIPTION_PROP_ID
)

// machine opens a store of the computer. Reading sees all of it, policies' certificates too; writing goes to the registry
// of this computer alone, in which a certificate is one value with its properties.
func machine(name string, write bool) (collection, error) {
	provider, flags := uintptr(windows.CERT_STORE_PROV_SYSTEM_W), uint32(windows.CERT_STORE_READONLY_FLAG)
	if write {
		provider, flags = windows.CERT_STORE_PROV_SYSTEM_REGISTRY_W, 0
	}
	return openStore(provider, name, windows.CERT_SYSTEM_STORE_LOCAL_MACHINE|flags)
}

// Trust makes an authority known to the whole computer, for its purposes and no others: the root in LocalMachine\Root, the
// issuers in LocalMachine\CA. It needs an administrator. What was there before is left as it is, whoever put it there; when
// it fails, what it added is gone again.
func Trust(a Authority) ([]Placed, error) {
	var all []Placed
	for _, p := range a.places() {
		p, err := p.put(limit)
		if err != nil {
			for _, p := range all {
				if p.State == Added {
					err = errors.Join(err, p.takeOut())
				}
			}
			return nil, explain(err)
		}
		all = append(all, p)
	}
	return all, nil
}

// Distrust takes out of the stores what Trust put there and nothing else. It needs an administrator when there is anything.
// It goes on when one certificate cannot be taken out, and returns those that were.
func Distrust() ([]Placed, error) {
	there, err := Trusted()
	var gone []Placed
	for _, p := range there {
		if why := p.takeOut(); why != nil {
			err = errors.Join(err, why)
			continue
		}
		p.State = Removed
		gone = append(gone, p)
	}
	return gone, explain(err)
}

// Trusted returns what Trust put into the stores of the computer.
func Trusted() ([]Placed, error) {
	var all []Placed
	for _, name := range []string{rootStore, issuerStore} {
		c, err := machine(name, false)
		if err != nil {
			return nil, explain(err)
		}
		err = c.each(func(ctx *windows.CertContext) bool {
			if ours(ctx) {
				if certificate, err := x509.ParseCertificate(encoded(ctx)); err == nil {
					all = append(all, Placed{Certificate: certificate, Store: name, State: Kept}.read(ctx))
				}
			}
			return false
		})
		c.close()
		if err != nil {
			return nil, explain(err)
		}
	}
	return all, nil
}

// ours says whether Trust put that certificate there.
func ours(ctx *windows.CertContext) bool {
	b, ok := property(ctx, propDescription, 1<<10)
	if !ok {
		return false
	}
	description, _ := text(append(b, 0, 0), 0)
	return description == mark(encoded(ctx))
}

// read adds what the store says of the purposes of a certificate.
func (p Placed) read(ctx *windows.CertContext) Placed {
	p.Purposes = nil
	if b, ok := property(ctx, propPurposes, maxCertificate); ok {
		if ids, ok := decodePurposes(b); ok {
			p.Purposes = ids
		}
	}
	return p
}

// look says what there is of a certificate in its store, as it is now: ours, or only a foreign one, or none, with no state.
func (p Placed) look() (Placed, error) {
	c, err := machine(p.Store, false)
	if err != nil {
		return p, err
	}
	defer c.close()
	p.State, p.Purposes = "", nil
	err = c.each(func(ctx *windows.CertContext) bool {
		if bytes.Equal(encoded(ctx), p.Raw) {
			if p = p.read(ctx); ours(ctx) {
				p.State = Kept
				return true
			}
			p.State = Foreign
		}
		return false
	})
	return p, err
}

// put adds a certificate to its store unless it is there, limits its purposes before, and looks whether they are.
func (p Placed) put(limit func(*windows.CertContext) error) (Placed, error) {
	there, err := p.look()
	switch {
	case err != nil:
		return p, err
	case there.State == Foreign, there.State == Kept && there.Limited():
		return there, nil
	}
	done := Added
	if there.State == Kept {
		if err := p.takeOut(); err != nil {
			return p, err
		}
		done = Restored
	}
	if err := p.write(limit); err != nil {
		return p, err
	}
	there, err = p.look()
	if err == nil && (there.State != Kept || !there.Limited()) {
		err = problem.New(problem.DriverFailed, "Windows did not keep for what the certificate is trusted")
	}
	if err != nil {
		return p, errors.Join(err, p.takeOut())
	}
	there.State = done
	return there, nil
}

// write makes the certificate with its properties and adds both to the store in one step. It replaces none.
func (p Placed) write(limit func(*windows.CertContext) error) error {
	ctx, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &p.Raw[0], uint32(len(p.Raw)))
	if err != nil {
		return failed("CertCreateCertificateContext", err)
	}
	defer func() { _ = windows.CertFreeCertificateContext(ctx) }()
	if err := limit(ctx); err != nil {
		return err
	}
	description, err := windows.UTF16FromString(mark(p.Raw))
	if err != nil {
		return err
	}
	if err := setBlob(ctx, propDescription, unsafe.Slice((*byte)(unsafe.Pointer(&description[0])), 2*len(description))); err != nil {
		return err
	}
	c, err := machine(p.Store, true)
	if err != nil {
		return err
	}
	defer c.close()
	if err := windows.CertAddCertificateContextToStore(c.handle, ctx, windows.CERT_STORE_ADD_NEW, nil); err != nil {
		return failed("CertAddCertificateContextToStore", err)
	}
	return nil
}

// limit sets the purposes of a certificate.
func limit(ctx *windows.CertContext) error {
	b, err := asn1.Marshal(purposes)
	if err != nil {
		return err
	}
	return setBlob(ctx, propPurposes, b)
}

// setBlob sets a property that is a CRYPT_DATA_BLOB, which Windows copies.
func setBlob(ctx *windows.CertContext, id uintptr, b []byte) error {
	blob := struct {
		size uint32
		data *byte
	}{uint32(len(b)), &b[0]}
	err := try(certSetProperty, uintptr(unsafe.Pointer(ctx)), id, 0, uintptr(unsafe.Pointer(&blob)))
	runtime.KeepAlive(&blob)
	return err
}

// takeOut deletes a certificate of ours from its store; one of somebody else stays.
func (p Placed) takeOut() error {
	if err := p.erase(); err != nil {
		return err
	}
	there, err := p.look()
	if err == nil && there.State == Kept {
		err = problem.New(problem.StoreUnavailable, "Windows still has the certificate after it was deleted")
	}
	return err
}

func (p Placed) erase() error {
	c, err := machine(p.Store, true)
	if err != nil {
		return err
	}
	defer c.close() // which writes it
	var found *windows.CertContext
	err = c.each(func(ctx *windows.CertContext) bool {
		if bytes.Equal(encoded(ctx), p.Raw) && ours(ctx) {
			found = windows.CertDuplicateCertificateContext(ctx)
		}
		return found != nil
	})
	if err != nil || found == nil {
		return err
	}
	if err := windows.CertDeleteCertificateFromStore(found); err != nil { // frees found
		return failed("CertDeleteCertificateFromStore", err)
	}
	return nil
}
