// Package problem holds the failures a person or an integrator can act on: one append-only list of codes, the same
// strings in Go, in JSON on the wire and in TypeScript, each with its message, likely reason and cure in Polish and
// English.
//
// It does not hold outcomes (an invalid signature, a rejected request: those are values) nor faults of the program
// itself (plain wrapped errors, which the outside sees as internal_error only).
package problem

import (
	"errors"
	"fmt"
)

// Code names one problem. Codes are append-only.
type Code string

// Error is a problem that happened. Detail is safe to show to anybody who may see the operation: it never holds a PIN,
// a key, a token or a document's content. Err is the cause for the log; it may be nil.
type Error struct {
	Code   Code
	Detail string
	Err    error
}

// New returns a problem with a formatted detail and no cause.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns a problem caused by err.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), Err: err}
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) and errors.Is(err, problem.New(c, "")) compare by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of the first problem in err's chain, internal_error when there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var p *Error
	if errors.As(err, &p) {
		return p.Code
	}
	return Internal
}

// DetailOf returns the detail of the first problem in err's chain, or "".
func DetailOf(err error) string {
	var p *Error
	if errors.As(err, &p) {
		return p.Detail
	}
	return ""
}
