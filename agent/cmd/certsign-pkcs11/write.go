package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/miekg/pkcs11"

	"certsign/agent/keystore/pkcs11/wire"
)

// generate makes a key pair on the token: its own (CKA_TOKEN), never to be read (CKA_SENSITIVE, not CKA_EXTRACTABLE), for
// signatures only where the token lets that be said. The new key is the chosen one.
func (s *session) generate(p wire.GenerateParams) (any, *wire.Failure) {
	id := p.ID
	if len(id) == 0 || len(id) > wire.MaxID {
		return nil, refuse("a key ID of %d octets", len(id))
	}
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, p.Label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, p.Label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	var mechanism uint
	switch {
	case p.Type == wire.KeyRSA && (p.Bits == 2048 || p.Bits == 3072):
		mechanism = pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN
		public = append(public,
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, p.Bits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	case p.Type == wire.KeyEC && (bytes.Equal(p.Curve, wire.OIDP256) || bytes.Equal(p.Curve, wire.OIDP384)):
		mechanism = pkcs11.CKM_EC_KEY_PAIR_GEN
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p.Curve))
	default:
		return nil, refuse("a key of type %q, %d bits", p.Type, p.Bits)
	}
	verifyOnly := append(public[:len(public):len(public)],
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, false), pkcs11.NewAttribute(pkcs11.CKA_WRAP, false))
	signOnly := append(private[:len(private):len(private)],
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false), pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false))
	how := []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}
	publicHandle, privateHandle, err := s.ctx.GenerateKeyPair(s.handle, how, verifyOnly, signOnly)
	if dislikesTemplate(err) {
		publicHandle, privateHandle, err = s.ctx.GenerateKeyPair(s.handle, how, public, private)
	}
	if err != nil {
		return nil, failed("C_GenerateKeyPair", err)
	}
	object := s.describe(publicHandle, wire.ClassPublic)
	failure := s.checkNew(privateHandle)
	if _, err := object.PublicKey(); err != nil && failure == nil {
		failure = s.unreadable(publicHandle)
	}
	if failure != nil {
		s.discard(id, privateHandle, publicHandle)
		return nil, failure
	}
	s.use(privateHandle, p.Type)
	s.public, s.id = publicHandle, object.ID
	if len(s.id) == 0 {
		s.id = id
	}
	return wire.GenerateResult{
		Public: object, Local: s.stated(privateHandle, pkcs11.CKA_LOCAL), NeverExtractable: s.stated(privateHandle, pkcs11.CKA_NEVER_EXTRACTABLE),
	}, nil
}

// unreadable says why a new public key cannot be read: the token was taken out, or has made something else.
func (s *session) unreadable(public pkcs11.ObjectHandle) *wire.Failure {
	if _, err := s.ctx.GetAttributeValue(s.handle, public, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, nil)}); err != nil {
		return failed("C_GetAttributeValue", err)
	}
	return &wire.Failure{Cause: wire.CauseUnsupported, Detail: "the token made another key than it was asked for"}
}

// discard destroys a new key, also where a token that was taken out and put back knows it by other handles now.
func (s *session) discard(id []byte, handles ...pkcs11.ObjectHandle) {
	for _, o := range handles {
		_ = s.ctx.DestroyObject(s.handle, o)
	}
	if found, failure := s.find(pkcs11.NewAttribute(pkcs11.CKA_ID, id)); failure == nil {
		for _, o := range found {
			_ = s.ctx.DestroyObject(s.handle, o)
		}
	}
}

// stated is a CK_BBOOL, or nil where the token does not have it.
func (s *session) stated(o pkcs11.ObjectHandle, attribute uint) *bool {
	if value, known := s.flag(o, attribute); known {
		return &value
	}
	return nil
}

// dislikesTemplate says whether a token may have refused because of an attribute rather than because it cannot make the key;
// tpm2-pkcs11 says a general error to that.
func dislikesTemplate(err error) bool {
	return oneOf(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT,
		pkcs11.CKR_ATTRIBUTE_READ_ONLY, pkcs11.CKR_GENERAL_ERROR)
}

// oneOf says whether err is one of those return values.
func oneOf(err error, codes ...uint) bool {
	var code pkcs11.Error
	return errors.As(err, &code) && slices.Contains(codes, uint(code))
}

// checkNew believes no token that it honoured the template.
func (s *session) checkNew(private pkcs11.ObjectHandle) *wire.Failure {
	extractable, known := s.flag(private, pkcs11.CKA_EXTRACTABLE)
	if known && extractable {
		return &wire.Failure{Cause: wire.CauseUnsupported, Detail: "the token made a key that can be copied out of it"}
	}
	sensitive, known := s.flag(private, pkcs11.CKA_SENSITIVE)
	if known && !sensitive {
		return &wire.Failure{Cause: wire.CauseUnsupported, Detail: "the token made a key that can be read"}
	}
	return nil
}

// keep gives both halves of the new key the ID that follows from the public one, by which other programs find the
// certificate. A token that lets an ID be given only once keeps the first.
func (s *session) keep(p wire.KeepParams) (any, *wire.Failure) {
	if s.id == nil || len(p.ID) == 0 || len(p.ID) > wire.MaxID {
		return nil, refuse("no new key, or a key ID of %d octets", len(p.ID))
	}
	set := func(o pkcs11.ObjectHandle, id []byte) error {
		return s.ctx.SetAttributeValue(s.handle, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, id)})
	}
	id := s.id
	s.id = nil
	if set(s.key, p.ID) != nil {
		return wire.KeepResult{ID: id}, nil
	}
	if set(s.public, p.ID) != nil {
		if err := set(s.key, id); err != nil { // the halves no longer find each other
			return nil, failed("C_SetAttributeValue", err)
		}
		return wire.KeepResult{ID: id}, nil
	}
	return wire.KeepResult(p), nil
}

// attach writes certificates. The first replaces the ones with its ID, but is written before they go.
func (s *session) attach(p wire.AttachParams) (any, *wire.Failure) {
	stored := 0
	for i, c := range p.Certificates {
		if len(c.ID) == 0 || len(c.Value) == 0 || len(c.Value) > wire.MaxAttribute {
			return nil, refuse("certificate %d", i)
		}
		failure := s.write(c, i == 0)
		switch {
		case failure == nil:
			stored++
		case i == 0:
			return nil, failure
		default: // an issuer that found no room: the signer's own certificate is there
			return wire.AttachResult{Stored: stored}, nil
		}
	}
	return wire.AttachResult{Stored: stored}, nil
}

func (s *session) write(c wire.Certificate, replace bool) *wire.Failure {
	same, failure := s.find(
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), pkcs11.NewAttribute(pkcs11.CKA_ID, c.ID))
	if failure != nil {
		return failure
	}
	public := keyIn(c.Value)
	var others []pkcs11.ObjectHandle
	there := false
	for _, o := range same {
		switch value := s.attribute(o, pkcs11.CKA_VALUE); {
		case bytes.Equal(value, c.Value):
			there = true
		case wire.Same(public, keyIn(value)): // not what belongs to another key under the same ID
			others = append(others, o)
		}
	}
	if !there {
		_, err := s.ctx.CreateObject(s.handle, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
			pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
			pkcs11.NewAttribute(pkcs11.CKA_ID, c.ID),
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, c.Label),
			pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, c.Subject),
			pkcs11.NewAttribute(pkcs11.CKA_ISSUER, c.Issuer),
			pkcs11.NewAttribute(pkcs11.CKA_SERIAL_NUMBER, c.Serial),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE, c.Value),
		})
		if err != nil {
			return failed("C_CreateObject", err)
		}
	}
	if replace {
		for _, o := range others {
			if err := s.ctx.DestroyObject(s.handle, o); err != nil {
				return failed("C_DestroyObject", err)
			}
		}
	}
	return nil
}

// keyIn returns the public key in a certificate, or nil.
func keyIn(der []byte) crypto.PublicKey {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c.PublicKey
}

// delete destroys what has the ID and belongs to the key, the private half first: what a crash leaves can sign nothing.
func (s *session) delete(p wire.DeleteParams) (any, *wire.Failure) {
	if len(p.ID) == 0 {
		return nil, refuse("no key ID")
	}
	var doomed []pkcs11.ObjectHandle
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE} {
		found, failure := s.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_ID, p.ID))
		if failure != nil {
			return nil, failure
		}
		found = slices.DeleteFunc(found, func(o pkcs11.ObjectHandle) bool { return s.foreign(o, class, p.Public) })
		if class == pkcs11.CKO_PRIVATE_KEY && len(found) > 1 {
			return nil, &wire.Failure{Cause: wire.CauseUnsupported, Detail: "the token has two keys that nothing tells apart"}
		}
		doomed = append(doomed, found...)
	}
	if len(doomed) == 0 {
		return nil, &wire.Failure{Cause: wire.CauseKey, Detail: "the token has no such key"}
	}
	for _, o := range doomed {
		if err := s.ctx.DestroyObject(s.handle, o); err != nil {
			return nil, failed("C_DestroyObject", err)
		}
	}
	return nil, nil
}

// foreign says whether an object belongs to another key than that one. What does not tell belongs to its ID.
func (s *session) foreign(o pkcs11.ObjectHandle, class uint, public wire.Object) bool {
	own, err := public.PublicKey()
	if err != nil {
		return false
	}
	if class == pkcs11.CKO_CERTIFICATE {
		return !wire.Same(own, keyIn(s.attribute(o, pkcs11.CKA_VALUE)))
	}
	object := s.describe(o, wire.ClassPublic)
	key, err := object.PublicKey()
	return err == nil && !wire.Same(own, key) || object.KeyType != "" && object.KeyType != public.KeyType
}
