package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// Return values of PKCS#11 3.1 (section 3 of its pkcs11t.h) that mean something to a person, or to this store.
const (
	ckrCancel                 = 0x001
	ckrSlotIDInvalid          = 0x003
	ckrGeneralError           = 0x005
	ckrFunctionFailed         = 0x006
	ckrAttributeReadOnly      = 0x010
	ckrAttributeTypeInvalid   = 0x012
	ckrAttributeValueInvalid  = 0x013
	ckrActionProhibited       = 0x01B
	ckrDataInvalid            = 0x020
	ckrDataLenRange           = 0x021
	ckrDeviceError            = 0x030
	ckrDeviceMemory           = 0x031
	ckrDeviceRemoved          = 0x032
	ckrFunctionCanceled       = 0x050
	ckrFunctionNotSupported   = 0x054
	ckrKeyHandleInvalid       = 0x060
	ckrKeySizeRange           = 0x062
	ckrKeyTypeInconsistent    = 0x063
	ckrKeyFunctionForbidden   = 0x068 // CKR_KEY_FUNCTION_NOT_PERMITTED
	ckrMechanismInvalid       = 0x070
	ckrMechanismParamInvalid  = 0x071
	ckrObjectHandleInvalid    = 0x082
	ckrOperationActive        = 0x090
	ckrOperationUninitialized = 0x091 // CKR_OPERATION_NOT_INITIALIZED
	ckrPINIncorrect           = 0x0A0
	ckrPINInvalid             = 0x0A1
	ckrPINLenRange            = 0x0A2
	ckrPINExpired             = 0x0A3
	ckrPINLocked              = 0x0A4
	ckrSessionClosed          = 0x0B0
	ckrSessionCount           = 0x0B1
	ckrSessionHandleInvalid   = 0x0B3
	ckrSessionReadOnly        = 0x0B5
	ckrSessionExists          = 0x0B6
	ckrSessionReadOnlyExists  = 0x0B7
	ckrSessionSOExists        = 0x0B8 // CKR_SESSION_READ_WRITE_SO_EXISTS
	ckrTemplateIncomplete     = 0x0D0
	ckrTemplateInconsistent   = 0x0D1
	ckrTokenNotPresent        = 0x0E0
	ckrTokenNotRecognized     = 0x0E1
	ckrTokenWriteProtected    = 0x0E2
	ckrUserNotLoggedIn        = 0x101
	ckrUserPINNotInitialized  = 0x102
	ckrUserTypeInvalid        = 0x103
	ckrUserAnotherLoggedIn    = 0x104 // CKR_USER_ANOTHER_ALREADY_LOGGED_IN
	ckrUserTooManyTypes       = 0x105
	ckrDomainParamsInvalid    = 0x130
	ckrCurveNotSupported      = 0x140
	ckrNewPINMode             = 0x1B0
	ckrPINTooWeak             = 0x1B8
	ckrFunctionRejected       = 0x200
	ckrTokenResourceExceeded  = 0x201
	ckrKeyExhausted           = 0x203

	ckrNSSCertDBFailed = 0xCE534351 // NSS's own: the profile's databases are not there, or not its
	ckrNSSKeyDBFailed  = 0xCE534352
)

// meaning translates return values. What is not here is driver_failed: memory, locking, arguments, versions, calls in the
// wrong order, functions that this store does not use, and what a vendor made up.
var meaning = map[uint64]problem.Code{
	ckrPINIncorrect: problem.PINIncorrect, ckrPINInvalid: problem.PINIncorrect, ckrPINLenRange: problem.PINIncorrect,
	ckrPINLocked:  problem.PINLocked,
	ckrPINExpired: problem.PINNotSet, ckrNewPINMode: problem.PINNotSet, ckrUserPINNotInitialized: problem.PINNotSet,
	ckrPINTooWeak: problem.PINUnsuitable,

	ckrTokenNotPresent: problem.TokenAbsent, ckrDeviceRemoved: problem.TokenAbsent, ckrSlotIDInvalid: problem.TokenAbsent,
	ckrSessionClosed: problem.TokenAbsent, ckrSessionHandleInvalid: problem.TokenAbsent,
	ckrNSSCertDBFailed: problem.TokenAbsent, ckrNSSKeyDBFailed: problem.TokenAbsent,
	ckrTokenNotRecognized: problem.TokenUnrecognized,

	ckrDeviceMemory: problem.TokenFull,

	// Another program has the token.
	ckrSessionCount: problem.Busy, ckrSessionExists: problem.Busy, ckrSessionReadOnlyExists: problem.Busy, ckrSessionSOExists: problem.Busy,
	ckrUserAnotherLoggedIn: problem.Busy, ckrUserTooManyTypes: problem.Busy, ckrOperationActive: problem.Busy, ckrTokenResourceExceeded: problem.Busy,

	ckrKeyHandleInvalid: problem.KeyAbsent, ckrObjectHandleInvalid: problem.KeyAbsent,

	// On the reader's own keys the person pressed "cancel".
	ckrCancel: problem.UserCancelled, ckrFunctionCanceled: problem.UserCancelled, ckrFunctionRejected: problem.UserCancelled,

	ckrActionProhibited: problem.Unsupported, ckrFunctionNotSupported: problem.Unsupported, ckrKeyExhausted: problem.Unsupported,
	ckrKeySizeRange: problem.Unsupported, ckrKeyTypeInconsistent: problem.Unsupported, ckrKeyFunctionForbidden: problem.Unsupported,
	ckrMechanismInvalid: problem.Unsupported, ckrMechanismParamInvalid: problem.Unsupported,
	ckrDataInvalid: problem.Unsupported, ckrDataLenRange: problem.Unsupported,
	ckrAttributeReadOnly: problem.Unsupported, ckrAttributeTypeInvalid: problem.Unsupported, ckrAttributeValueInvalid: problem.Unsupported,
	ckrTemplateIncomplete: problem.Unsupported, ckrTemplateInconsistent: problem.Unsupported,
	ckrSessionReadOnly: problem.Unsupported, ckrTokenWriteProtected: problem.Unsupported, ckrUserTypeInvalid: problem.Unsupported,
	ckrDomainParamsInvalid: problem.Unsupported, ckrCurveNotSupported: problem.Unsupported,
}

// forbidden are the ways in which tokens say that a user makes no keys on them: none of them is about this key's kind.
var forbidden = map[uint64]bool{
	ckrActionProhibited: true, ckrFunctionNotSupported: true, ckrKeyFunctionForbidden: true,
	ckrAttributeReadOnly: true, ckrAttributeTypeInvalid: true, ckrAttributeValueInvalid: true, ckrTemplateIncomplete: true,
	ckrTemplateInconsistent: true, ckrSessionReadOnly: true, ckrTokenWriteProtected: true, ckrUserTypeInvalid: true,
}

// vague are return values that drivers also give when the card was pulled out.
var vague = map[uint64]bool{
	ckrGeneralError: true, ckrFunctionFailed: true, ckrDeviceError: true, ckrKeyHandleInvalid: true, ckrObjectHandleInvalid: true,
	ckrUserNotLoggedIn: true, ckrOperationUninitialized: true,
}

// translate makes a problem of what the module process said.
func translate(f *wire.Failure) error {
	switch f.Cause {
	case wire.CauseCKR:
		return translateCKR(f)
	case wire.CauseToken:
		return problem.Wrap(problem.TokenAbsent, f, "")
	case wire.CauseKey:
		return problem.Wrap(problem.KeyAbsent, f, "")
	case wire.CauseUnsupported:
		return problem.Wrap(problem.Unsupported, f, "")
	case wire.CauseLoad:
		return problem.Wrap(problem.DriverFailed, f, "the driver cannot be loaded")
	}
	return fmt.Errorf("module process: %w", f)
}

// translateCKR translates a return value: by what was called, where that matters.
func translateCKR(f *wire.Failure) error {
	code, ok := meaning[f.CKR]
	if !ok {
		code = problem.DriverFailed
	}
	switch f.Function {
	case "C_Login":
		if code == problem.PINIncorrect || code == problem.PINLocked {
			return wrongPIN(f, code)
		}
	case "C_GenerateKeyPair":
		if forbidden[f.CKR] {
			code = problem.KeyGenerationForbidden
		}
	case "C_InitPIN", "C_SetPIN":
		switch {
		case f.CKR == ckrPINInvalid || f.CKR == ckrPINLenRange:
			code = problem.PINUnsuitable
		case f.CKR == ckrPINLocked: // after a log-in that was right: the driver gave the PUK to the PIN, or it is locked too
			return problem.Wrap(problem.Unsupported, f, "this driver does not unblock the PIN: use the program that came with the card")
		}
	}
	return problem.Wrap(code, f, "the driver answered %s with 0x%08X", name(f.Function), f.CKR)
}

// wrongPIN says what is left after a wrong PIN or PUK, as the token's flags tell it.
func wrongPIN(f *wire.Failure, code problem.Code) error {
	state, locked, what := pinState(f.Flags), problem.PINLocked, "PIN"
	if f.User == wire.UserSO {
		state, locked, what = pukState(f.Flags), problem.PUKLocked, "PUK"
	}
	switch {
	case code == problem.PINLocked:
		return problem.Wrap(locked, f, "the token says so")
	case state == agent.PINLocked:
		return problem.Wrap(locked, f, "that was the last try")
	case state == agent.PINFinal:
		return problem.Wrap(code, f, "the %s was wrong; one try is left", what)
	}
	return problem.Wrap(code, f, "the %s was wrong", what)
}

// name lets only the names of functions into a detail.
func name(function string) string {
	if len(function) > 40 {
		return "a call"
	}
	for _, r := range function {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "a call"
		}
	}
	return function
}

// interrupted says that nobody waits any more.
func interrupted(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return problem.Wrap(problem.Timeout, err, "")
	}
	return problem.Wrap(problem.UserCancelled, err, "")
}
