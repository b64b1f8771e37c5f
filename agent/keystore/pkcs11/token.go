package pkcs11

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// Flags of CK_TOKEN_INFO, CK_SLOT_INFO and CK_MECHANISM_INFO (PKCS#11 3.1, 3.2 and 3.3), and mechanisms.
const (
	flagWriteProtected = 0x00000002
	flagLoginRequired  = 0x00000004
	flagPINInitialized = 0x00000008
	flagProtectedPath  = 0x00000100
	flagInitialized    = 0x00000400
	flagPINCountLow    = 0x00010000
	flagPINFinalTry    = 0x00020000
	flagPINLocked      = 0x00040000
	flagPINToBeChanged = 0x00080000
	flagSOCountLow     = 0x00100000
	flagSOFinalTry     = 0x00200000
	flagSOLocked       = 0x00400000

	flagRemovable = 0x00000002
	flagHardware  = 0x00000004

	flagSign            = 0x00000800
	flagGenerateKeyPair = 0x00010000

	ckmRSAKeyPairGen = 0x00000000
	ckmRSAPKCS       = 0x00000001
	ckmRSAPKCSPSS    = 0x0000000D
	ckmECKeyPairGen  = 0x00001040
	ckmECDSA         = 0x00001041
)

// placeID names a token: the start of a SHA-256 over all that tells it apart, in hex.
func placeID(t wire.Identity) string {
	h := sha256.New()
	for _, part := range []string{t.Manufacturer, t.Model, t.Serial, t.Label} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) // so that no two tokens run into one
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func newPlace(t wire.Token) agent.Place {
	p := agent.Place{
		ID: placeID(t.Identity), Label: t.Identity.Label, Detail: t.Identity.Manufacturer, State: pinState(t.Flags), Keys: algorithms(t),
		// PKCS#11 cannot prove it. A slot that says it is hardware, or whose token can be taken away, counts as a card.
		Hardware: t.SlotFlags&(flagHardware|flagRemovable) != 0,
	}
	if p.Label == "" {
		p.Label = t.Identity.Model
	}
	if t.Identity.Serial != "" {
		p.Label = fmt.Sprintf("%s (%s)", p.Label, t.Identity.Serial)
	}
	if t.Identity.Model != "" {
		p.Detail += " " + t.Identity.Model
	}
	switch err := checkPIN(t.Flags); {
	case err != nil:
		p.Problem = string(problem.CodeOf(err))
	case len(p.Keys) == 0 || t.Flags&flagWriteProtected != 0:
		p.Problem = string(problem.KeyGenerationForbidden)
	}
	return p
}

func pinState(flags uint64) agent.PINState {
	switch {
	case flags&flagPINLocked != 0:
		return agent.PINLocked
	case flags&(flagLoginRequired|flagPINInitialized) == flagLoginRequired:
		return agent.PINUnset
	case flags&flagPINFinalTry != 0:
		return agent.PINFinal
	case flags&flagPINCountLow != 0:
		return agent.PINLow
	}
	return agent.PINOK
}

// pukState says the same of the security officer's PIN, which people know as the PUK.
func pukState(flags uint64) agent.PINState {
	switch {
	case flags&flagSOLocked != 0:
		return agent.PINLocked
	case flags&flagSOFinalTry != 0:
		return agent.PINFinal
	case flags&flagSOCountLow != 0:
		return agent.PINLow
	}
	return agent.PINOK
}

// checkPIN says whether there is a PIN that could be right, before the person is asked for it.
func checkPIN(flags uint64) error {
	switch pinState(flags) {
	case agent.PINLocked:
		return problem.New(problem.PINLocked, "the token says so")
	case agent.PINUnset:
		return problem.New(problem.PINNotSet, "the token has no user PIN yet")
	}
	if flags&flagPINToBeChanged != 0 {
		return problem.New(problem.PINNotSet, "the token wants its first PIN changed")
	}
	return nil
}

// logIn says how the token wants to be logged in to.
func logIn(flags uint64) wire.LogIn {
	switch {
	case flags&flagLoginRequired == 0:
		return wire.LogInNone
	case flags&flagProtectedPath != 0:
		return wire.LogInPad
	}
	return wire.LogInPIN
}

// kinds says what each algorithm takes.
var kinds = []struct {
	algorithm      agent.KeyAlgorithm
	params         wire.GenerateParams
	bits           uint64
	generate, sign uint64
}{
	{agent.RSA2048, wire.GenerateParams{Type: wire.KeyRSA, Bits: 2048}, 2048, ckmRSAKeyPairGen, ckmRSAPKCS},
	{agent.RSA3072, wire.GenerateParams{Type: wire.KeyRSA, Bits: 3072}, 3072, ckmRSAKeyPairGen, ckmRSAPKCS},
	{agent.P256, wire.GenerateParams{Type: wire.KeyEC, Curve: wire.OIDP256}, 256, ckmECKeyPairGen, ckmECDSA},
	{agent.P384, wire.GenerateParams{Type: wire.KeyEC, Curve: wire.OIDP384}, 384, ckmECKeyPairGen, ckmECDSA},
}

// can says whether a token has a mechanism for keys of that size.
func can(t wire.Token, mechanism, flag, bits uint64) bool {
	for _, m := range t.Mechanisms {
		if m.Type != mechanism || m.Flags&flag == 0 {
			continue
		}
		// PKCS#11 wants bits for RSA and EC both; drivers that leave the sizes out write zeros.
		if m.Max == 0 || m.Min <= bits && bits <= m.Max {
			return true
		}
	}
	return false
}

// algorithms returns the keys that the token can make and sign with.
func algorithms(t wire.Token) []agent.KeyAlgorithm {
	var all []agent.KeyAlgorithm
	for _, k := range kinds {
		if can(t, k.generate, flagGenerateKeyPair, k.bits) && can(t, k.sign, flagSign, k.bits) {
			all = append(all, k.algorithm)
		}
	}
	return all
}
