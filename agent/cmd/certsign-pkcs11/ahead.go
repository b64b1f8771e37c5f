package main

import (
	"github.com/miekg/pkcs11"

	"certsign/agent/keystore/pkcs11/wire"
)

// ahead is a C_SignInit for a signature that is likely to be asked for: where there was a second one there will be a third,
// and many tokens take longer to find the key than to sign. It runs while the agent verifies the last signature, signs
// nothing, and ends with the session.
type ahead struct {
	made  int             // signatures in this session
	like  wire.SignParams // the last one, without its data
	ready bool            // C_SignInit was called for one like it
}

// begin calls C_SignInit unless that was done.
func (s *session) begin(p wire.SignParams) *wire.Failure {
	mechanism, failure := s.mechanism(p)
	if failure != nil {
		return failure
	}
	p.Data = nil
	if s.ready && same(s.like, p) {
		s.ready = false
		return nil
	}
	if failure := s.undo(); failure != nil {
		return failure
	}
	s.like = p
	if err := s.ctx.SignInit(s.handle, []*pkcs11.Mechanism{mechanism}, s.key); err != nil {
		return failed("C_SignInit", err)
	}
	return nil
}

// prepare calls C_SignInit for the next signature. Not with a key that asks for the PIN each time: it asks after that call,
// and then only for a signature that is wanted.
func (s *session) prepare() {
	if s == nil || s.made < 2 || s.ready || s.always {
		return
	}
	if mechanism, failure := s.mechanism(s.like); failure == nil {
		s.ready = s.ctx.SignInit(s.handle, []*pkcs11.Mechanism{mechanism}, s.key) == nil
	}
}

// undo takes C_SignInit back. Before version 3 of PKCS#11 nothing does that but the end of the session, so another one is
// opened first, which is logged in as the old one is (PKCS#11 3.1, 5.6.8).
func (s *session) undo() *wire.Failure {
	if s == nil || !s.ready {
		return nil
	}
	handle, err := s.ctx.OpenSession(s.slot, s.flags)
	if err != nil {
		return failed("C_OpenSession", err)
	}
	_ = s.ctx.CloseSession(s.handle)
	s.handle, s.ready = handle, false
	return nil
}

func same(a, b wire.SignParams) bool { return a.PSS == b.PSS }
