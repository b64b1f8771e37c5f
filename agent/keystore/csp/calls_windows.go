package csp

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/windows"

	"certsign/internal/problem"
)

var (
	advapi32 = windows.NewLazySystemDLL("advapi32.dll")
	crypt32  = windows.NewLazySystemDLL("crypt32.dll")
	ncrypt   = windows.NewLazySystemDLL("ncrypt.dll")

	cryptGenKey       = advapi32.NewProc("CryptGenKey")
	cryptGetUserKey   = advapi32.NewProc("CryptGetUserKey")
	cryptExportKey    = advapi32.NewProc("CryptExportKey")
	cryptImportKey    = advapi32.NewProc("CryptImportKey")
	cryptDestroyKey   = advapi32.NewProc("CryptDestroyKey")
	cryptGetKeyParam  = advapi32.NewProc("CryptGetKeyParam")
	cryptGetProvParam = advapi32.NewProc("CryptGetProvParam")
	cryptCreateHash   = advapi32.NewProc("CryptCreateHash")
	cryptSetHashParam = advapi32.NewProc("CryptSetHashParam")
	cryptSignHash     = advapi32.NewProc("CryptSignHashW")
	cryptDestroyHash  = advapi32.NewProc("CryptDestroyHash")

	certGetProperty = crypt32.NewProc("CertGetCertificateContextProperty")
	certSetProperty = crypt32.NewProc("CertSetCertificateContextProperty")

	ncryptOpenStorageProvider = ncrypt.NewProc("NCryptOpenStorageProvider")
	ncryptCreatePersistedKey  = ncrypt.NewProc("NCryptCreatePersistedKey")
	ncryptSetProperty         = ncrypt.NewProc("NCryptSetProperty")
	ncryptGetProperty         = ncrypt.NewProc("NCryptGetProperty")
	ncryptFinalizeKey         = ncrypt.NewProc("NCryptFinalizeKey")
	ncryptOpenKey             = ncrypt.NewProc("NCryptOpenKey")
	ncryptExportKey           = ncrypt.NewProc("NCryptExportKey")
	ncryptSignHash            = ncrypt.NewProc("NCryptSignHash")
	ncryptDeleteKey           = ncrypt.NewProc("NCryptDeleteKey")
	ncryptEnumKeys            = ncrypt.NewProc("NCryptEnumKeys")
	ncryptFreeBuffer          = ncrypt.NewProc("NCryptFreeBuffer")
	ncryptFreeObject          = ncrypt.NewProc("NCryptFreeObject")
)

// try calls a function that returns BOOL. What the arguments point to is kept where it is until it returns.
//
//go:uintptrescapes
func try(proc *windows.LazyProc, args ...uintptr) error {
	if err := proc.Find(); err != nil {
		return failed(proc.Name, err)
	}
	if r, _, err := proc.Call(args...); uint32(r) == 0 {
		return failed(proc.Name, err)
	}
	return nil
}

// status calls a function that returns SECURITY_STATUS, as try does.
//
//go:uintptrescapes
func status(proc *windows.LazyProc, args ...uintptr) error {
	if err := proc.Find(); err != nil {
		return failed(proc.Name, err)
	}
	if r, _, _ := proc.Call(args...); uint32(r) != 0 {
		return &failure{call: proc.Name, code: uint32(r)}
	}
	return nil
}

// failed makes a failure of what a call left as the last error.
func failed(call string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != 0 {
		return &failure{call: call, code: uint32(errno)}
	}
	return &failure{call: call, code: nteNotSupported}
}

// is says whether err is a failure with that code.
func is(err error, code uint32) bool {
	var f *failure
	return errors.As(err, &f) && f.code == code
}

// await runs what may show a dialog of the provider. When nobody waits any more it returns at once, and drop gets what
// comes of the dialog later.
func await[T any](ctx context.Context, run func() (T, error), drop func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := run()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				drop(o.value)
			}
		}()
		var none T
		return none, interrupted(ctx.Err())
	}
}

// interrupted says that nobody waits any more.
func interrupted(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return problem.Wrap(problem.Timeout, err, "")
	}
	return problem.Wrap(problem.UserCancelled, err, "")
}
