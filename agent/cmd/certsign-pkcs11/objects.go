package main

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/pkcs11"

	"certsign/agent/keystore/pkcs11/wire"
)

var classes = []struct {
	class uint
	name  wire.Class
}{
	{pkcs11.CKO_PUBLIC_KEY, wire.ClassPublic},
	{pkcs11.CKO_PRIVATE_KEY, wire.ClassPrivate},
	{pkcs11.CKO_CERTIFICATE, wire.ClassCertificate},
}

// objects lists what the token shows: to a session that is not logged in, or, when one is open, to that.
func (m *module) objects(p wire.SlotParams) (any, *wire.Failure) {
	if _, failure := m.check(p); failure != nil {
		return nil, failure
	}
	s := m.session
	if s == nil {
		handle, err := m.ctx.OpenSession(uint(p.Slot), pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return nil, failed("C_OpenSession", err)
		}
		defer func() { _ = m.ctx.CloseSession(handle) }()
		s = &session{ctx: m.ctx, handle: handle}
	} else if s.slot != uint(p.Slot) {
		return nil, refuse("objects of another slot than the session's")
	}
	result := wire.ObjectsResult{Objects: []wire.Object{}}
	size := 0
	for _, c := range classes {
		found, failure := s.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, c.class))
		if failure != nil {
			return nil, failure
		}
		for _, o := range found {
			if len(result.Objects) == wire.MaxObjects {
				return result, nil
			}
			object := s.describe(o, c.name)
			if size += object.Size(); size > wire.MaxContent { // it hides no other token of the driver
				return result, nil
			}
			result.Objects = append(result.Objects, object)
		}
	}
	return result, nil
}

// find returns the objects that match the attributes.
func (s *session) find(attributes ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, *wire.Failure) {
	if err := s.ctx.FindObjectsInit(s.handle, attributes); err != nil {
		return nil, failed("C_FindObjectsInit", err)
	}
	var all []pkcs11.ObjectHandle
	for len(all) < wire.MaxObjects {
		some, _, err := s.ctx.FindObjects(s.handle, 32)
		if err != nil {
			_ = s.ctx.FindObjectsFinal(s.handle)
			return nil, failed("C_FindObjects", err)
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	if err := s.ctx.FindObjectsFinal(s.handle); err != nil {
		return nil, failed("C_FindObjectsFinal", err)
	}
	return all, nil
}

// attribute reads one attribute, or returns nil: tokens lack some, and one that is missing must not hide the others.
func (s *session) attribute(o pkcs11.ObjectHandle, attribute uint) []byte {
	found, err := s.ctx.GetAttributeValue(s.handle, o, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, nil)})
	if err != nil || len(found) != 1 || len(found[0].Value) > wire.MaxAttribute {
		return nil
	}
	return found[0].Value
}

// number reads a CK_ULONG, whose width is the platform's.
func (s *session) number(o pkcs11.ObjectHandle, attribute uint) (uint64, bool) {
	switch b := s.attribute(o, attribute); len(b) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(b)), true
	case 8:
		return binary.NativeEndian.Uint64(b), true
	}
	return 0, false
}

// flag reads a CK_BBOOL; known is false where the token does not have it.
func (s *session) flag(o pkcs11.ObjectHandle, attribute uint) (value, known bool) {
	b := s.attribute(o, attribute)
	if len(b) != 1 {
		return false, false
	}
	return b[0] != 0, true
}

// label is an object's label, as far as anybody reads it.
func (s *session) label(o pkcs11.ObjectHandle) string {
	label := clean(string(s.attribute(o, pkcs11.CKA_LABEL)))
	return strings.ToValidUTF8(label[:min(len(label), wire.MaxLabel)], "")
}

func (s *session) describe(o pkcs11.ObjectHandle, class wire.Class) wire.Object {
	d := wire.Object{Class: class, ID: s.attribute(o, pkcs11.CKA_ID), Label: s.label(o)}
	if class == wire.ClassCertificate {
		if kind, known := s.number(o, pkcs11.CKA_CERTIFICATE_TYPE); !known || kind == pkcs11.CKC_X_509 {
			d.Value = s.attribute(o, pkcs11.CKA_VALUE)
		}
		return d
	}
	kind, known := s.number(o, pkcs11.CKA_KEY_TYPE)
	switch {
	case known && kind == pkcs11.CKK_RSA:
		d.KeyType = wire.KeyRSA
		d.Modulus, d.Exponent = s.attribute(o, pkcs11.CKA_MODULUS), s.attribute(o, pkcs11.CKA_PUBLIC_EXPONENT)
	case known && kind == pkcs11.CKK_EC:
		d.KeyType = wire.KeyEC
		d.ECParams, d.ECPoint = s.attribute(o, pkcs11.CKA_EC_PARAMS), s.attribute(o, pkcs11.CKA_EC_POINT)
	}
	return d
}
