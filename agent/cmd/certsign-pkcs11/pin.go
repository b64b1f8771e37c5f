package main

import (
	"github.com/miekg/pkcs11"

	"certsign/agent/keystore/pkcs11/wire"
)

// setPIN sets the user's PIN: C_SetPIN after the user's own log-in, or C_InitPIN after the security officer's. One C_Login
// is all that can cost a try: what comes after it is given a PIN that was right. The session lives for this only.
//
// Deviation (PKCS#11 3.1, 5.5.6 and 5.5.7): with a protected authentication path the PINs of C_SetPIN and C_InitPIN are empty
// rather than NULL, because the library passes no NULL. Drivers look at the length.
func (m *module) setPIN(p wire.PINParams, secret []byte) (any, *wire.Failure) {
	if m.session != nil {
		return nil, refuse("a PIN is set without a session")
	}
	first, second, err := wire.Split(secret)
	if err != nil || p.LogIn != wire.LogInPIN && p.LogIn != wire.LogInPad || (p.LogIn == wire.LogInPIN) != (len(first) > 0 && len(second) > 0) {
		return nil, refuse("log-in %q with secrets of %d octets", p.LogIn, len(secret))
	}
	session, failure := m.enter(p.SlotParams, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if failure != nil {
		return nil, failure
	}
	defer func() {
		_ = m.ctx.Logout(session)
		_ = m.ctx.CloseSession(session)
	}()
	old, fresh := string(first), string(second)
	switch p.User {
	case wire.UserNormal:
		// C_SetPIN works in a public session too, but some drivers take the old PIN for a PUK there.
		if err := m.ctx.Login(session, pkcs11.CKU_USER, old); err != nil {
			return nil, m.blame(failed("C_Login", err), p.User, p.SlotParams)
		}
		return nil, done("C_SetPIN", m.ctx.SetPIN(session, old, fresh))
	case wire.UserSO:
		err := m.ctx.Login(session, pkcs11.CKU_SO, old)
		if p.OldAsPUK && knowsNoOfficer(err) {
			return nil, done("C_SetPIN", m.ctx.SetPIN(session, old, fresh))
		}
		if err != nil {
			return nil, m.blame(failed("C_Login", err), p.User, p.SlotParams)
		}
		return nil, done("C_InitPIN", m.ctx.InitPIN(session, fresh))
	}
	return nil, refuse("a PIN of %q", p.User)
}

// done is failed where there may be nothing to say.
func done(function string, err error) *wire.Failure {
	if err == nil {
		return nil
	}
	return failed(function, err)
}

// knowsNoOfficer says whether a log-in failed because the token has no security officer, before any PIN was looked at.
func knowsNoOfficer(err error) bool {
	return oneOf(err, pkcs11.CKR_USER_TYPE_INVALID, pkcs11.CKR_FUNCTION_NOT_SUPPORTED)
}
