package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode"
	"unsafe"

	"github.com/miekg/pkcs11"

	"certsign/agent/keystore/pkcs11/wire"
)

// module is a loaded PKCS#11 module with at most one session.
type module struct {
	path        string
	ctx         *pkcs11.Ctx
	initialized bool
	session     *session
}

// do carries out one call.
func (m *module) do(call wire.Call, secret []byte) (any, *wire.Failure) {
	if call.Version != wire.Version {
		return nil, refuse("version %d, want %d", call.Version, wire.Version)
	}
	if call.Op == wire.OpEnd {
		m.close()
		return nil, nil
	}
	if call.Op == wire.OpTokens {
		return with(call, m.tokens)
	}
	if failure := m.load(""); failure != nil {
		return nil, failure
	}
	switch call.Op {
	case wire.OpObjects:
		return with(call, m.objects)
	case wire.OpOpen:
		return with(call, func(p wire.OpenParams) (any, *wire.Failure) { return m.open(p, secret) })
	case wire.OpSetPIN:
		return with(call, func(p wire.PINParams) (any, *wire.Failure) { return m.setPIN(p, secret) })
	}
	if m.session == nil {
		return nil, refuse("%q without a session", call.Op)
	}
	if call.Op != wire.OpSign {
		if failure := m.session.undo(); failure != nil {
			return nil, failure
		}
	}
	switch call.Op {
	case wire.OpGenerate:
		return with(call, m.session.generate)
	case wire.OpKeep:
		return with(call, m.session.keep)
	case wire.OpKey:
		return with(call, m.session.choose)
	case wire.OpSign:
		if call.Sign == nil {
			return nil, refuse("nothing to sign")
		}
		return m.session.sign(*call.Sign)
	case wire.OpAttach:
		return with(call, m.session.attach)
	case wire.OpDelete:
		return with(call, m.session.delete)
	}
	return nil, refuse("operation %q", call.Op)
}

// with reads the parameters of a call.
func with[P any](call wire.Call, do func(P) (any, *wire.Failure)) (any, *wire.Failure) {
	var p P
	if err := wire.Decode(call.Params, &p); err != nil {
		return nil, refuse("parameters of %q: %v", call.Op, err)
	}
	return do(p)
}

func refuse(format string, args ...any) *wire.Failure {
	return &wire.Failure{Cause: wire.CauseCall, Detail: fmt.Sprintf(format, args...)}
}

// failed says what a function of the module returned.
func failed(function string, err error) *wire.Failure {
	var code pkcs11.Error
	if errors.As(err, &code) {
		return &wire.Failure{Cause: wire.CauseCKR, Function: function, CKR: uint64(code)}
	}
	return &wire.Failure{Cause: wire.CauseCall, Function: function, Detail: err.Error()}
}

func encode(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b, nil
}

// load loads and initialises the module at the first call, so that what goes wrong has an answer to travel in.
func (m *module) load(reserved string) *wire.Failure {
	if m.initialized {
		return nil
	}
	if m.ctx == nil {
		if m.ctx = pkcs11.New(m.path); m.ctx == nil {
			return &wire.Failure{Cause: wire.CauseLoad, Detail: "it cannot be loaded as a PKCS#11 module on this computer"}
		}
	}
	var options []pkcs11.InitializeOption
	if reserved != "" {
		// The module may keep the pointer: the text stays where it is until the process ends.
		text := append([]byte(reserved), 0)
		new(runtime.Pinner).Pin(&text[0])
		options = append(options, pkcs11.InitializeWithReserved(unsafe.Pointer(&text[0])))
	}
	err := m.ctx.Initialize(options...)
	// PKCS#11 3.1, 5.4: a module that knows no locking says so. One thread calls it anyway.
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_CANT_LOCK)) {
		err = m.ctx.Initialize(append(options, pkcs11.InitializeWithFlags(0))...)
	}
	if err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return failed("C_Initialize", err)
	}
	m.initialized = true
	return nil
}

// close ends the session and the module. What a driver says to that is of no use any more.
func (m *module) close() {
	if m.session != nil {
		_ = m.ctx.Logout(m.session.handle)
		_ = m.ctx.CloseSession(m.session.handle)
		m.session = nil
	}
	if m.initialized {
		_ = m.ctx.Finalize()
		m.initialized = false
	}
}

// ofInterest are the mechanisms that decide which keys a token can make and use.
var ofInterest = map[uint]bool{
	pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN: true, pkcs11.CKM_RSA_PKCS: true, pkcs11.CKM_RSA_PKCS_PSS: true,
	pkcs11.CKM_EC_KEY_PAIR_GEN: true, pkcs11.CKM_ECDSA: true,
}

func (m *module) tokens(p wire.TokensParams) (any, *wire.Failure) {
	if failure := m.load(p.Reserved); failure != nil {
		return nil, failure
	}
	about, err := m.ctx.GetInfo()
	if err != nil {
		return nil, failed("C_GetInfo", err)
	}
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return nil, failed("C_GetSlotList", err)
	}
	if len(slots) > wire.MaxSlots {
		slots = slots[:wire.MaxSlots]
	}
	result := wire.TokensResult{Module: clean(about.ManufacturerID + " " + about.LibraryDescription), Tokens: []wire.Token{}}
	for _, slot := range slots {
		about, err := m.ctx.GetSlotInfo(slot)
		if err != nil {
			continue
		}
		// A card that is being pulled out, or cannot be read, hides no other.
		token, err := m.token(slot, about)
		switch {
		case err == nil:
			result.Tokens = append(result.Tokens, token)
		case errors.Is(err, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_RECOGNIZED)):
			result.Unknown = append(result.Unknown, clean(about.SlotDescription))
		}
	}
	return result, nil
}

func (m *module) token(slot uint, about pkcs11.SlotInfo) (wire.Token, error) {
	found, err := m.ctx.GetTokenInfo(slot)
	if err != nil {
		return wire.Token{}, err
	}
	token := wire.Token{
		Slot: uint64(slot), SlotName: clean(about.SlotDescription), SlotFlags: uint64(about.Flags), Identity: identity(found), Flags: uint64(found.Flags),
		MinPIN: uint64(found.MinPinLen), MaxPIN: uint64(found.MaxPinLen),
	}
	mechanisms, err := m.ctx.GetMechanismList(slot)
	if err != nil {
		return token, nil // nothing can be made on it, but what is there can be listed
	}
	for _, mechanism := range mechanisms {
		if !ofInterest[mechanism.Mechanism] {
			continue
		}
		details, err := m.ctx.GetMechanismInfo(slot, []*pkcs11.Mechanism{mechanism})
		if err != nil {
			continue
		}
		token.Mechanisms = append(token.Mechanisms, wire.Mechanism{
			Type: uint64(mechanism.Mechanism), Min: uint64(details.MinKeySize), Max: uint64(details.MaxKeySize), Flags: uint64(details.Flags),
		})
	}
	return token, nil
}

func identity(t pkcs11.TokenInfo) wire.Identity {
	return wire.Identity{
		Label: clean(t.Label), Manufacturer: clean(t.ManufacturerID), Model: clean(t.Model), Serial: clean(t.SerialNumber),
	}
}

// clean makes a text of a token safe for JSON and for a person's eyes: some drivers fill with zeros where PKCS#11 wants
// spaces, or write Latin-2, and nothing keeps a card from holding what moves a terminal's cursor.
func clean(text string) string {
	text, _, _ = strings.Cut(text, "\x00")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.TrimSpace(strings.ToValidUTF8(text, "?")))
}

// While another program writes to a token, or holds it alone, drivers see it as broken or as another one for a moment.
const (
	looks  = 4
	moment = 50 * time.Millisecond
)

// check says whether the slot holds that token and no other.
func (m *module) check(p wire.SlotParams) (pkcs11.TokenInfo, *wire.Failure) {
	for look := 1; ; look++ {
		found, err := m.ctx.GetTokenInfo(uint(p.Slot))
		switch {
		case err == nil && identity(found) == p.Token:
			return found, nil
		case look < looks && (err == nil || oneOf(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_ERROR)):
			time.Sleep(moment)
		case err != nil:
			return found, failed("C_GetTokenInfo", err)
		default:
			return found, &wire.Failure{Cause: wire.CauseToken, Detail: "another token is in the slot now"}
		}
	}
}
