package pkcs11

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// Generate implements agent.KeyStore: the key is made on the token and stays there.
func (s *Store) Generate(ctx context.Context, req agent.GenerateRequest, consent *agent.Consent, pin agent.AskPIN) (agent.Key, agent.Session, error) {
	if err := consent.Check(Name, req.Place); err != nil {
		return agent.Key{}, nil, err
	}
	params, ok := generateParams(req)
	if !ok {
		return agent.Key{}, nil, problem.New(problem.Unsupported, "key algorithm %q", req.Algorithm)
	}
	t, err := s.reach(ctx, req.Place)
	if err != nil {
		return agent.Key{}, nil, err
	}
	key, session, err := s.generate(ctx, t, req, params, consent, pin)
	if err != nil {
		return agent.Key{}, nil, s.leave(t, err)
	}
	return key, session, nil
}

func (s *Store) generate(ctx context.Context, t *token, req agent.GenerateRequest, params wire.GenerateParams, consent *agent.Consent, pin agent.AskPIN) (agent.Key, agent.Session, error) {
	if len(t.place.Keys) == 0 {
		return agent.Key{}, nil, problem.New(problem.KeyGenerationForbidden, "the token makes no keys through this driver")
	}
	if !slices.Contains(t.place.Keys, req.Algorithm) {
		return agent.Key{}, nil, problem.New(problem.Unsupported, "the token makes no %s keys through this driver", req.Algorithm)
	}
	if t.Flags&flagWriteProtected != 0 {
		return agent.Key{}, nil, problem.New(problem.KeyGenerationForbidden, "the token is write-protected")
	}
	if err := t.open(ctx, writing, agent.PurposeEnroll, pin); err != nil {
		return agent.Key{}, nil, err
	}
	s.clear(ctx, t)
	note, err := s.begin(t.place.ID)
	if err != nil {
		return agent.Key{}, nil, problem.Wrap(problem.StoreUnavailable, err, "a new key cannot be noted")
	}
	defer note.leave()
	params.ID = note.Keys[0].ID
	var result wire.GenerateResult
	if err := t.process.call(ctx, longTimes*s.config.Timeout, wire.OpGenerate, params, nil, &result); err != nil {
		return agent.Key{}, nil, err
	}
	public, err := result.Public.PublicKey()
	if err != nil || agent.AlgorithmOf(public) != req.Algorithm {
		// A key that cannot be certified must not stay.
		_ = t.process.call(ctx, s.config.Timeout, wire.OpDelete, wire.DeleteParams{ID: result.Public.ID, Public: result.Public}, nil, nil)
		return agent.Key{}, nil, problem.New(problem.Unsupported, "the token made another key than it was asked for")
	}
	k := tokenKey{ckaID: result.Public.ID, kind: params.Type, object: result.Public}
	k.Public, k.Label = public, params.Label
	if err := t.finish(ctx, note, &k); err != nil {
		return agent.Key{}, nil, err
	}
	k.complete(t.place, nil)
	k.Made = agent.Made{By: t.place.Detail, Local: stated(result.Local), NeverExtractable: stated(result.NeverExtractable)}
	return k.Key, s.session(t, public, consent, req.Place), nil
}

func stated(b *bool) agent.Stated {
	switch {
	case b == nil:
		return ""
	case *b:
		return agent.StatedYes
	}
	return agent.StatedNo
}

func generateParams(req agent.GenerateRequest) (wire.GenerateParams, bool) {
	for _, k := range kinds {
		if k.algorithm == req.Algorithm {
			params := k.params
			params.Label = cleanLabel(req.Label)
			return params, true
		}
	}
	return wire.GenerateParams{}, false
}

// Open implements agent.KeyStore. The process with the driver lives as long as the session.
func (s *Store) Open(ctx context.Context, id string, consent *agent.Consent, pin agent.AskPIN) (agent.Session, error) {
	if err := consent.Check(Name, id); err != nil {
		return nil, err
	}
	t, err := s.reach(ctx, placeOf(id))
	if err != nil {
		return nil, err
	}
	opened, err := s.openKey(ctx, t, id, consent, pin)
	if err != nil {
		return nil, s.leave(t, err)
	}
	return opened, nil
}

func (s *Store) openKey(ctx context.Context, t *token, id string, consent *agent.Consent, pin agent.AskPIN) (*session, error) {
	k, err := t.openFor(ctx, id, reading, agent.PurposeSign, nil, pin)
	if err != nil {
		return nil, err
	}
	public, err := t.choose(ctx, k)
	if err != nil {
		return nil, err
	}
	return s.session(t, public, consent, id), nil
}

// mayExist is an ID that this store could have given to a key.
var mayExist = regexp.MustCompile(`^[^.]+\.(k[0-9a-f]{32}|i([0-9a-f]{2})+)$`)

// openFor finds a key and opens a session. A key that the token does not show is looked for again after log-in. fits, when
// not nil, is asked before the person is, about a key that is known by then.
func (t *token) openFor(ctx context.Context, id string, access access, purpose agent.Purpose, fits func(tokenKey) error, pin agent.AskPIN) (tokenKey, error) {
	k, err := t.key(ctx, id)
	hidden := problem.CodeOf(err) == problem.KeyAbsent && mayExist.MatchString(id) && logIn(t.Flags) != wire.LogInNone
	if err == nil && fits != nil {
		err = fits(k)
	}
	if err != nil && !hidden {
		return tokenKey{}, err
	}
	if err := t.open(ctx, access, purpose, pin); err != nil {
		return tokenKey{}, err
	}
	if hidden {
		return t.key(ctx, id)
	}
	return k, nil
}

// choose makes k the key that signs, and returns its public half, which some tokens show only now.
func (t *token) choose(ctx context.Context, k tokenKey) (crypto.PublicKey, error) {
	var result wire.KeyResult
	params := wire.KeyParams{ID: k.ckaID, Type: k.kind, Public: k.object}
	if err := t.process.call(ctx, t.process.timeout, wire.OpKey, params, nil, &result); err != nil {
		return nil, err
	}
	if k.Public != nil {
		return k.Public, nil
	}
	public, err := result.Public.PublicKey()
	if err != nil {
		return nil, problem.Wrap(problem.Unsupported, err, "the token does not show the public key")
	}
	return public, nil
}

// access is what a session with a token may do.
type access bool

const (
	reading access = false
	writing access = true
)

// open opens a session with the token and logs in: one question for the PIN at most, one C_Login at most, and neither when
// the token's flags say that it is of no use. The PIN is wiped. A reader's pad asks only after pin was told.
func (t *token) open(ctx context.Context, access access, purpose agent.Purpose, pin agent.AskPIN) error {
	how := logIn(t.Flags)
	params := wire.OpenParams{SlotParams: wire.SlotParams{Slot: t.Slot, Token: t.Identity}, ReadWrite: access == writing, LogIn: how}
	limit := t.process.timeout
	var secret *agent.Secret
	if how != wire.LogInNone {
		err := checkPIN(t.Flags)
		if err != nil {
			return err
		}
		secret, err = pin(ctx, agent.PINRequest{
			Pad: how == wire.LogInPad, Label: t.place.Label, Where: t.place.Detail, State: t.place.State, Purpose: purpose,
		})
		if err != nil {
			return err
		}
		defer secret.Wipe()
	}
	switch how {
	case wire.LogInPad:
		limit *= longTimes
	case wire.LogInPIN:
		// Some tokens count a PIN of an impossible length as a wrong one.
		length := uint64(len(secret.Bytes()))
		if length == 0 || length > wire.MaxPIN || length < t.MinPIN || t.MaxPIN > 0 && length > t.MaxPIN {
			return problem.New(problem.PINIncorrect, "the PIN of this token has %d to %d characters; no try was used", t.MinPIN, t.MaxPIN)
		}
	}
	return t.process.call(ctx, limit, wire.OpOpen, params, secret.Bytes(), nil)
}

// Attach implements agent.Attacher. The key's own certificate replaces those that were there for the key; the
// issuers' are written as far as the token has room, except roots.
func (s *Store) Attach(ctx context.Context, id string, chain [][]byte, pin agent.AskPIN) (err error) {
	certificates := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		if certificates[i], err = x509.ParseCertificate(der); err != nil || len(der) > wire.MaxAttribute || i == 2*maxChain {
			return problem.Wrap(problem.CertificateMismatch, err, "the certificate cannot be read")
		}
	}
	if len(certificates) == 0 {
		return problem.New(problem.CertificateMismatch, "no certificate")
	}
	t, err := s.reach(ctx, placeOf(id))
	if err != nil {
		return err
	}
	defer func() { err = s.leave(t, err) }()
	mismatch := problem.New(problem.CertificateMismatch, "the certificate holds another key")
	k, err := t.openFor(ctx, id, writing, agent.PurposeStore, func(k tokenKey) error {
		if k.Public != nil && !wire.Same(k.Public, certificates[0].PublicKey) {
			return mismatch
		}
		return nil
	}, pin)
	if err != nil {
		return err
	}
	if public, err := t.choose(ctx, k); err != nil {
		return err
	} else if !wire.Same(public, certificates[0].PublicKey) {
		return mismatch
	}
	params, err := attachParams(k, certificates)
	if err != nil {
		return err
	}
	if err := t.process.call(ctx, longTimes*s.config.Timeout, wire.OpAttach, params, nil, nil); err != nil {
		return err
	}
	s.noteAlso(t.place.ID, id)
	return nil
}

func attachParams(k tokenKey, certificates []*x509.Certificate) (wire.AttachParams, error) {
	var params wire.AttachParams
	for i, c := range certificates {
		id, label := k.ckaID, k.Label
		if i > 0 {
			if string(c.RawIssuer) == string(c.RawSubject) {
				continue
			}
			var err error
			if id, err = wire.KeyID(c.PublicKey); err != nil {
				continue
			}
			label = c.Subject.CommonName
		}
		serial, err := asn1.Marshal(c.SerialNumber)
		if err != nil {
			return params, fmt.Errorf("encode serial number: %w", err)
		}
		params.Certificates = append(params.Certificates, wire.Certificate{
			ID: id, Label: cleanLabel(label), Subject: c.RawSubject, Issuer: c.RawIssuer, Serial: serial, Value: c.Raw,
		})
	}
	return params, nil
}

// Delete implements agent.Deleter: the key and its certificates go, issuers' certificates stay.
func (s *Store) Delete(ctx context.Context, id string, pin agent.AskPIN) (err error) {
	t, err := s.reach(ctx, placeOf(id))
	if err != nil {
		return err
	}
	defer func() { err = s.leave(t, err) }()
	s.note(nil) // what is missed afterwards is not looked for
	k, err := t.openFor(ctx, id, writing, agent.PurposeDelete, nil, pin)
	if err != nil {
		return err
	}
	if s.clear(ctx, t); t.was(k) {
		return nil
	}
	return t.process.call(ctx, s.config.Timeout, wire.OpDelete, wire.DeleteParams{ID: k.ckaID, Public: k.object}, nil, nil)
}

// maxLabel is in characters; cards have little room.
const maxLabel = 64

func cleanLabel(label string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(label, "") {
		if unicode.IsPrint(r) && n < maxLabel {
			b.WriteRune(r)
			n++
		}
	}
	if cleaned := strings.TrimSpace(b.String()); cleaned != "" {
		return cleaned
	}
	return "CertSign"
}
