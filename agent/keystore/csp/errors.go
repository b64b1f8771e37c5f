package csp

import (
	"errors"
	"fmt"

	"certsign/internal/problem"
)

// failure is a call of Windows that failed, with its NTE_*, SCARD_*, CRYPT_E_* or Win32 code (winerror.h).
type failure struct {
	call string
	code uint32
}

func (f *failure) Error() string { return fmt.Sprintf("%s: 0x%08X", f.call, f.code) }

// Codes that this package acts on itself.
const (
	errNoMoreItems  = 259        // ERROR_NO_MORE_ITEMS
	nteBadKeyset    = 0x80090016 // NTE_BAD_KEYSET
	nteNotSupported = 0x80090029 // NTE_NOT_SUPPORTED
	nteNoMoreItems  = 0x8009002A // NTE_NO_MORE_ITEMS
	cryptENotFound  = 0x80092004 // CRYPT_E_NOT_FOUND
)

// meaning translates codes. What is not here is driver_failed.
var meaning = map[uint32]problem.Code{
	// The key, or the container that should hold it, is gone.
	nteBadKeyset: problem.KeyAbsent, cryptENotFound: problem.KeyAbsent,
	0x8009000D: problem.KeyAbsent, // NTE_NO_KEY
	0x80090011: problem.KeyAbsent, // NTE_NOT_FOUND
	0x80090015: problem.KeyAbsent, // NTE_BAD_PUBLIC_KEY: the container holds another key
	0x8009001A: problem.KeyAbsent, // NTE_KEYSET_ENTRY_BAD
	0x8009200B: problem.KeyAbsent, // CRYPT_E_NO_KEY_PROPERTY
	0x8010002C: problem.KeyAbsent, // SCARD_E_NO_SUCH_CERTIFICATE
	0x80100030: problem.KeyAbsent, // SCARD_E_NO_KEY_CONTAINER

	// The card, its reader, or the service for both is not there.
	0x80100009: problem.TokenAbsent, // SCARD_E_UNKNOWN_READER
	0x8010000C: problem.TokenAbsent, // SCARD_E_NO_SMARTCARD
	0x8010000D: problem.TokenAbsent, // SCARD_E_UNKNOWN_CARD
	0x80100010: problem.TokenAbsent, // SCARD_E_NOT_READY
	0x80100017: problem.TokenAbsent, // SCARD_E_READER_UNAVAILABLE
	0x8010001D: problem.TokenAbsent, // SCARD_E_NO_SERVICE
	0x8010001E: problem.TokenAbsent, // SCARD_E_SERVICE_STOPPED
	0x8010002E: problem.TokenAbsent, // SCARD_E_NO_READERS_AVAILABLE
	0x80100066: problem.TokenAbsent, // SCARD_W_UNRESPONSIVE_CARD
	0x80100067: problem.TokenAbsent, // SCARD_W_UNPOWERED_CARD
	0x80100068: problem.TokenAbsent, // SCARD_W_RESET_CARD
	0x80100069: problem.TokenAbsent, // SCARD_W_REMOVED_CARD
	0x80090030: problem.TokenAbsent, // NTE_DEVICE_NOT_READY
	0x80090035: problem.TokenAbsent, // NTE_DEVICE_NOT_FOUND

	// In the provider's own dialog.
	0x80100002: problem.UserCancelled, // SCARD_E_CANCELLED
	0x8010006E: problem.UserCancelled, // SCARD_W_CANCELLED_BY_USER
	0x80090036: problem.UserCancelled, // NTE_USER_CANCELLED
	1223:       problem.UserCancelled, // ERROR_CANCELLED
	0x800704C7: problem.UserCancelled, // HRESULT_FROM_WIN32(ERROR_CANCELLED)
	0x8010002A: problem.PINIncorrect,  // SCARD_E_INVALID_CHV
	0x8010006B: problem.PINIncorrect,  // SCARD_W_WRONG_CHV
	0x80090033: problem.PINIncorrect,  // NTE_INCORRECT_PASSWORD
	0x8010006C: problem.PINLocked,     // SCARD_W_CHV_BLOCKED
	0x80090037: problem.PINNotSet,     // NTE_PASSWORD_CHANGE_REQUIRED

	// A dialog would be needed where nobody sees one.
	0x80090022: problem.PromptUnavailable, // NTE_SILENT_CONTEXT
	0x8009002E: problem.PromptUnavailable, // NTE_UI_REQUIRED
	0x80090038: problem.PromptUnavailable, // NTE_NOT_ACTIVE_CONSOLE

	0x80090023: problem.TokenFull, // NTE_TOKEN_KEYSET_STORAGE_FULL
	0x80100028: problem.TokenFull, // SCARD_E_WRITE_TOO_MANY
	0x8010000B: problem.Busy,      // SCARD_E_SHARING_VIOLATION
	170:        problem.Busy,      // ERROR_BUSY

	nteNotSupported: problem.Unsupported,
	0x80090008:      problem.Unsupported, // NTE_BAD_ALGID
	0x80090004:      problem.Unsupported, // NTE_BAD_LEN
	0x8009000A:      problem.Unsupported, // NTE_BAD_TYPE
	0x8009000B:      problem.Unsupported, // NTE_BAD_KEY_STATE: the key does not leave
	0x80100022:      problem.Unsupported, // SCARD_E_UNSUPPORTED_FEATURE

	// The provider is not installed, or the profile is of no use.
	5:          problem.StoreUnavailable, // ERROR_ACCESS_DENIED
	0x80070005: problem.StoreUnavailable, // E_ACCESSDENIED
	0x80090010: problem.StoreUnavailable, // NTE_PERM
	0x80090013: problem.StoreUnavailable, // NTE_BAD_PROVIDER
	0x80090014: problem.StoreUnavailable, // NTE_BAD_PROV_TYPE
	0x80090017: problem.StoreUnavailable, // NTE_PROV_TYPE_NOT_DEF
	0x80090018: problem.StoreUnavailable, // NTE_PROV_TYPE_ENTRY_BAD
	0x80090019: problem.StoreUnavailable, // NTE_KEYSET_NOT_DEF: the provider's name is not registered
	0x8009001B: problem.StoreUnavailable, // NTE_PROV_TYPE_NO_MATCH
	0x8009001D: problem.StoreUnavailable, // NTE_PROVIDER_DLL_FAIL
	0x8009001E: problem.StoreUnavailable, // NTE_PROV_DLL_NOT_FOUND
	0x80090024: problem.StoreUnavailable, // NTE_TEMPORARY_PROFILE: the key would be gone at the next log-in
}

// translate makes a problem of a failed call; other errors, and what is a problem already, pass.
func translate(err error) error {
	var f *failure
	if !errors.As(err, &f) || problem.CodeOf(err) != problem.Internal {
		return err
	}
	code, ok := meaning[f.code]
	if !ok {
		code = problem.DriverFailed
	}
	return problem.Wrap(code, err, "Windows answered %s with 0x%08X", f.call, f.code)
}
