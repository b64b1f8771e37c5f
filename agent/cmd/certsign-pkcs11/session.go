package main

import (
	"bytes"

	"github.com/miekg/pkcs11"

	"certsign/agent/keystore/pkcs11/wire"
)

// session is a session with one token, and the private key that was chosen in it.
type session struct {
	ctx    *pkcs11.Ctx
	handle pkcs11.SessionHandle
	slot   uint
	flags  uint // of C_OpenSession
	logIn  wire.LogIn
	pin    string // only for a key that asks for it at each signature; strings cannot be wiped, the process ends instead
	key    pkcs11.ObjectHandle
	kind   wire.KeyType
	always bool
	public pkcs11.ObjectHandle // of the key that was just made, until OpKeep
	id     []byte
	// refused is what the token said to a PIN that it did not take for a signature: it is not given that PIN again.
	refused *wire.Failure
	ahead
}

// open opens a session and logs in, once.
func (m *module) open(p wire.OpenParams, secret []byte) (any, *wire.Failure) {
	if m.session != nil {
		return nil, refuse("a second session")
	}
	if (p.LogIn == wire.LogInPIN) != (len(secret) > 0) {
		return nil, refuse("log-in %q with a PIN of %d octets", p.LogIn, len(secret))
	}
	flags := uint(pkcs11.CKF_SERIAL_SESSION)
	if p.ReadWrite {
		flags |= pkcs11.CKF_RW_SESSION
	}
	handle, failure := m.enter(p.SlotParams, flags)
	if failure != nil {
		return nil, failure
	}
	var err error
	s := &session{ctx: m.ctx, handle: handle, slot: uint(p.Slot), flags: flags, logIn: p.LogIn, pin: string(secret)}
	switch p.LogIn {
	case wire.LogInNone:
	case wire.LogInPIN, wire.LogInPad:
		// PKCS#11 3.1, 5.6.8: with a protected authentication path the PIN is NULL, which an empty string becomes.
		err = m.ctx.Login(handle, pkcs11.CKU_USER, s.pin)
	default:
		_ = m.ctx.CloseSession(handle)
		return nil, refuse("log-in %q", p.LogIn)
	}
	if err != nil {
		failure := failed("C_Login", err)
		if failure.CKR != pkcs11.CKR_USER_ALREADY_LOGGED_IN {
			_ = m.ctx.CloseSession(handle)
			return nil, m.blame(failure, wire.UserNormal, p.SlotParams)
		}
	}
	m.session = s
	return nil, nil
}

// enter opens a session with that token and no other. It looks before, so that no other token is disturbed, and again in the
// session: a token that comes into the slot in between has none with the one before, whose sessions end when it goes (PKCS#11
// 3.1, 5.6.1).
func (m *module) enter(p wire.SlotParams, flags uint) (pkcs11.SessionHandle, *wire.Failure) {
	if _, failure := m.check(p); failure != nil {
		return 0, failure
	}
	handle, err := m.ctx.OpenSession(uint(p.Slot), flags)
	if err != nil {
		return 0, failed("C_OpenSession", err)
	}
	if _, failure := m.check(p); failure != nil {
		_ = m.ctx.CloseSession(handle)
		return 0, failure
	}
	return handle, nil
}

// blame adds to a log-in that failed whose PIN it was and what the token says of it now.
func (m *module) blame(failure *wire.Failure, user wire.User, p wire.SlotParams) *wire.Failure {
	failure.User = user
	if found, unknown := m.check(p); unknown == nil {
		failure.Flags = uint64(found.Flags)
	}
	return failure
}

// choose finds the private key for OpSign.
func (s *session) choose(p wire.KeyParams) (any, *wire.Failure) {
	var kind uint
	switch p.Type {
	case wire.KeyRSA:
		kind = pkcs11.CKK_RSA
	case wire.KeyEC:
		kind = pkcs11.CKK_EC
	default:
		return nil, refuse("a key of type %q", p.Type)
	}
	if len(p.ID) == 0 {
		return nil, refuse("no key ID")
	}
	found, failure := s.find(
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, kind),
		pkcs11.NewAttribute(pkcs11.CKA_ID, p.ID),
	)
	if failure != nil {
		return nil, failure
	}
	for _, o := range found {
		// Two keys with one ID happen. The modulus tells RSA keys apart; for EC the agent's check of the signature does.
		if modulus := s.attribute(o, pkcs11.CKA_MODULUS); p.Type == wire.KeyRSA && len(modulus) > 0 && len(p.Public.Modulus) > 0 &&
			!bytes.Equal(bytes.TrimLeft(modulus, "\x00"), bytes.TrimLeft(p.Public.Modulus, "\x00")) {
			continue
		}
		s.use(o, p.Type)
		return wire.KeyResult{AlwaysAuthenticate: s.always, Public: s.publicHalf(o, p.ID)}, nil
	}
	return nil, &wire.Failure{Cause: wire.CauseKey, Detail: "the token has no such private key"}
}

// publicHalf returns the public key object with that ID or, where there is none, what the private key tells.
func (s *session) publicHalf(private pkcs11.ObjectHandle, id []byte) wire.Object {
	found, failure := s.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	if failure == nil && len(found) > 0 {
		return s.describe(found[0], wire.ClassPublic)
	}
	return s.describe(private, wire.ClassPublic)
}

// use makes a private key the chosen one.
func (s *session) use(o pkcs11.ObjectHandle, kind wire.KeyType) {
	s.key, s.kind = o, kind
	if s.always, _ = s.flag(o, pkcs11.CKA_ALWAYS_AUTHENTICATE); !s.always {
		s.pin = ""
	}
}

// maxData bounds what a signature is over: a DigestInfo of SHA-512 has 83 octets.
const maxData = 128

// sign makes one signature.
func (s *session) sign(p wire.SignParams) (any, *wire.Failure) {
	if len(p.Data) == 0 || len(p.Data) > maxData {
		return nil, refuse("%d octets to sign", len(p.Data))
	}
	if s.refused != nil {
		return nil, s.refused
	}
	if failure := s.begin(p); failure != nil {
		return nil, failure
	}
	if s.always {
		// PKCS#11 3.1, 4.9 (CKA_ALWAYS_AUTHENTICATE): between C_SignInit and C_Sign, as CKU_CONTEXT_SPECIFIC.
		if err := s.ctx.Login(s.handle, pkcs11.CKU_CONTEXT_SPECIFIC, s.pin); err != nil {
			s.refused, s.pin = failed("C_Login", err), ""
			return nil, s.refused
		}
	}
	signature, err := s.ctx.Sign(s.handle, p.Data)
	if err != nil {
		s.made = 0
		return nil, failed("C_Sign", err)
	}
	s.made++
	return wire.SignResult{Signature: signature}, nil
}

// pss are the parameters of CKM_RSA_PKCS_PSS (PKCS#11 3.1, 6.1.9), by hash: MGF1 with the same one, a salt as long as it.
var pss = map[wire.Hash][]byte{
	wire.SHA256: pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 32),
	wire.SHA384: pkcs11.NewPSSParams(pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, 48),
	wire.SHA512: pkcs11.NewPSSParams(pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, 64),
}

func (s *session) mechanism(p wire.SignParams) (*pkcs11.Mechanism, *wire.Failure) {
	params, known := pss[p.PSS]
	switch {
	case s.kind == wire.KeyRSA && p.PSS == "":
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), nil
	case s.kind == wire.KeyRSA && known:
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, params), nil
	case s.kind == wire.KeyEC && p.PSS == "":
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), nil
	}
	return nil, refuse("a signature with a key of type %q and PSS %q", s.kind, p.PSS)
}
