package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// Return values of PKCS#11 3.1 (section 3 of its pkcs11t.h) that mean something to a person.
const (
	ckrCancel                  = 0x001
	ckrSlotIDInvalid           = 0x003
	ckrGeneralError            = 0x005
	ckrFunctionFailed          = 0x006
	ckrAttributeReadOnly       = 0x010
	ckrAttributeTypeInvalid    = 0x012
	ckrAttributeValueInvalid   = 0x013
	ckrActionProhibited        = 0x01B
	ckrDeviceError             = 0x030
	ckrDeviceMemory            = 0x031
	ckrDeviceRemoved           = 0x032
	ckrFunctionCanceled        = 0x050
	ckrFunctionNotSupported    = 0x054
	ckrKeyHandleInvalid        = 0x060
	ckrKeySizeRange            = 0x062
	ckrKeyTypeInconsistent     = 0x063
	ckrKeyNotPermitted         = 0x068
	ckrMechanismInvalid        = 0x070
	ckrMechanismParamInvalid   = 0x071
	ckrObjectHandleInvalid     = 0x082
	ckrOperationNotInitialized = 0x091
	ckrPINIncorrect            = 0x0A0
	ckrPINInvalid              = 0x0A1
	ckrPINLenRange             = 0x0A2
	ckrPINExpired              = 0x0A3
	ckrPINLocked               = 0x0A4
	ckrSessionClosed           = 0x0B0
	ckrSessionCount            = 0x0B1
	ckrSessionHandleInvalid    = 0x0B3
	ckrSessionReadOnly         = 0x0B5
	ckrTemplateIncomplete      = 0x0D0
	ckrTemplateInconsistent    = 0x0D1
	ckrTokenNotPresent         = 0x0E0
	ckrTokenNotRecognized      = 0x0E1
	ckrTokenWriteProtected     = 0x0E2
	ckrUserNotLoggedIn         = 0x101
	ckrUserPINNotInitialized   = 0x102
	ckrUserTypeInvalid         = 0x103
	ckrDomainParamsInvalid     = 0x130
	ckrCurveNotSupported       = 0x140
	ckrFunctionRejected        = 0x200
)

// meaning translates return values. What is not here is driver_failed.
var meaning = map[uint64]problem.Code{
	ckrPINIncorrect: problem.PINIncorrect, ckrPINInvalid: problem.PINIncorrect, ckrPINLenRange: problem.PINIncorrect,
	ckrPINLocked:  problem.PINLocked,
	ckrPINExpired: problem.PINNotSet, ckrUserPINNotInitialized: problem.PINNotSet,

	ckrTokenNotPresent: problem.TokenAbsent, ckrDeviceRemoved: problem.TokenAbsent, ckrTokenNotRecognized: problem.TokenAbsent,
	ckrSlotIDInvalid: problem.TokenAbsent, ckrSessionClosed: problem.TokenAbsent, ckrSessionHandleInvalid: problem.TokenAbsent,

	ckrDeviceMemory: problem.TokenFull,
	ckrSessionCount: problem.Busy,

	ckrKeyHandleInvalid: problem.KeyAbsent, ckrObjectHandleInvalid: problem.KeyAbsent,

	// On the reader's own keys the person pressed "cancel".
	ckrCancel: problem.UserCancelled, ckrFunctionCanceled: problem.UserCancelled, ckrFunctionRejected: problem.UserCancelled,

	ckrActionProhibited: problem.Unsupported, ckrFunctionNotSupported: problem.Unsupported,
	ckrKeySizeRange: problem.Unsupported, ckrKeyTypeInconsistent: problem.Unsupported, ckrKeyNotPermitted: problem.Unsupported,
	ckrMechanismInvalid: problem.Unsupported, ckrMechanismParamInvalid: problem.Unsupported,
	ckrAttributeReadOnly: problem.Unsupported, ckrAttributeTypeInvalid: problem.Unsupported, ckrAttributeValueInvalid: problem.Unsupported,
	ckrTemplateIncomplete: problem.Unsupported, ckrTemplateInconsistent: problem.Unsupported,
	ckrSessionReadOnly: problem.Unsupported, ckrTokenWriteProtected: problem.Unsupported, ckrUserTypeInvalid: problem.Unsupported,
	ckrDomainParamsInvalid: problem.Unsupported, ckrCurveNotSupported: problem.Unsupported,
}

// vague are return values that drivers also give when the card was pulled out.
var vague = map[uint64]bool{
	ckrGeneralError: true, ckrFunctionFailed: true, ckrDeviceError: true, ckrKeyHandleInvalid: true, ckrObjectHandleInvalid: true,
	ckrUserNotLoggedIn: true, ckrOperationNotInitialized: true,
}

// translate makes a problem of what the module process said.
func translate(f *wire.Failure) error {
	switch f.Cause {
	case wire.CauseCKR:
		code, ok := meaning[f.CKR]
		if !ok {
			code = problem.DriverFailed
		}
		if f.Function == "C_Login" && code == problem.PINIncorrect {
			return wrongPIN(f)
		}
		return problem.Wrap(code, f, "the driver answered %s with 0x%08X", name(f.Function), f.CKR)
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

// wrongPIN says what is left after a wrong PIN, as the token's flags tell it.
func wrongPIN(f *wire.Failure) error {
	switch {
	case f.Flags&flagPINLocked != 0:
		return problem.Wrap(problem.PINLocked, f, "that was the last try")
	case f.Flags&flagPINFinalTry != 0:
		return problem.Wrap(problem.PINIncorrect, f, "one try is left")
	}
	return problem.Wrap(problem.PINIncorrect, f, "")
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
