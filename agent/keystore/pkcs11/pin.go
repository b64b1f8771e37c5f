package pkcs11

import (
	"context"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// ChangePIN implements agent.PINChanger for the token with that Place.ID. A PUK is the PIN of PKCS#11's security officer.
// Both secrets are asked for before the token sees either, and it sees each once; a new PIN that cannot be one costs nothing.
func (s *Store) ChangePIN(ctx context.Context, id string, how agent.PINChange, pin agent.AskPIN) (err error) {
	t, err := s.reach(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = s.leave(t, err) }()
	if err := t.allows(how); err != nil {
		return err
	}
	params := wire.PINParams{
		SlotParams: wire.SlotParams{Slot: t.Slot, Token: t.Identity}, User: wire.UserSO, LogIn: wire.LogInPIN,
		OldAsPUK: how == agent.PINUnblock && t.place.State == agent.PINLocked,
	}
	if how == agent.PINRenew {
		params.User = wire.UserNormal
	}
	limit := s.config.Timeout
	var secrets []byte
	if t.Flags&flagProtectedPath != 0 {
		params.LogIn = wire.LogInPad
		limit *= 2 * longTimes // the person enters two PINs on the reader, one of them twice
		secrets = wire.Pair(nil, nil)
	} else if secrets, err = t.askBoth(ctx, params.User, pin); err != nil {
		return err
	}
	defer clear(secrets)
	return t.process.call(ctx, limit, wire.OpSetPIN, params, secrets, nil)
}

// allows says whether a way to a new PIN can lead anywhere, from the token's flags.
func (t *token) allows(how agent.PINChange) error {
	state, puk := t.place.State, pukState(t.Flags)
	switch {
	case t.Flags&flagWriteProtected != 0:
		return problem.New(problem.Unsupported, "the token is write-protected")
	case t.Flags&flagLoginRequired == 0:
		return problem.New(problem.Unsupported, "the token has no PIN")
	case how == agent.PINRenew:
		return agent.PINRequest{State: state}.Refusal()
	case how == agent.PINFirst && state != agent.PINUnset:
		return problem.New(problem.Unsupported, "the token has a PIN already: change it, or unblock it with the PUK")
	case how == agent.PINUnblock && state == agent.PINUnset:
		return problem.New(problem.PINNotSet, "the token has no PIN that could be unblocked: set its first one")
	case how != agent.PINFirst && how != agent.PINUnblock:
		return problem.New(problem.BadRequest, "no way to a new PIN")
	}
	return agent.PINRequest{PUK: true, State: puk}.Refusal()
}

// askBoth asks for the PIN of user and for the user's new one.
func (t *token) askBoth(ctx context.Context, user wire.User, pin agent.AskPIN) ([]byte, error) {
	req := agent.PINRequest{Label: t.place.Label, Where: t.place.Detail, State: t.place.State, Purpose: agent.PurposePIN}
	if user == wire.UserSO {
		req.PUK, req.State = true, pukState(t.Flags)
	}
	old, err := pin(ctx, req)
	if err != nil {
		return nil, err
	}
	defer old.Wipe()
	// PKCS#11 3.1, 3.2 (CK_TOKEN_INFO): the lengths hold for the user's PIN; drivers often have another rule for the PUK.
	length := uint64(len(old.Bytes()))
	if length == 0 || length > wire.MaxPIN || user == wire.UserNormal && (length < t.MinPIN || t.MaxPIN > 0 && length > t.MaxPIN) {
		return nil, problem.New(problem.PINIncorrect, "it has an impossible length; no try was used")
	}
	fresh := agent.PINRequest{
		New: true, Label: req.Label, Where: req.Where, Purpose: req.Purpose, Min: int(max(1, min(t.MinPIN, wire.MaxPIN))), Max: wire.MaxPIN,
	}
	if t.MaxPIN > 0 && t.MaxPIN < wire.MaxPIN {
		fresh.Max = int(t.MaxPIN)
	}
	chosen, err := pin(ctx, fresh)
	if err != nil {
		return nil, err
	}
	defer chosen.Wipe()
	if !agent.PINFits(chosen.Bytes(), fresh.Min, fresh.Max) {
		return nil, fresh.Unfit()
	}
	return wire.Pair(old.Bytes(), chosen.Bytes()), nil
}
