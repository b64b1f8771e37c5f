package agent_test

import (
	"context"
	"crypto"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// lyingStore is a store of key files with one thing wrong.
type lyingStore struct {
	*keyfile.Store
	fault string
}

func (s lyingStore) List(ctx context.Context) ([]agent.Key, error) {
	keys, err := s.Store.List(ctx)
	switch {
	case s.fault == "forgets keys":
		keys = nil
	case s.fault == "forgets certificates":
		for i := range keys {
			keys[i].Chain = nil
		}
	}
	return keys, err
}

func (s lyingStore) Generate(ctx context.Context, req agent.GenerateRequest, consent *agent.Consent, pin agent.AskPIN) (agent.Key, agent.Session, error) {
	switch s.fault {
	case "makes nothing":
		return agent.Key{}, nil, problem.New(problem.TokenFull, "")
	case "wants another PIN": // and the person has only this one
		secret, err := pin(ctx, agent.PINRequest{})
		if secret.Wipe(); err == nil {
			err = problem.New(problem.PINIncorrect, "")
		}
		return agent.Key{}, nil, err
	case "keeps the PIN":
		pin = func(ask agent.AskPIN) agent.AskPIN {
			return func(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
				secret, err := ask(ctx, req)
				return secret.Clone(), err
			}
		}(pin)
	case "makes other keys":
		req.Algorithm = map[agent.KeyAlgorithm]agent.KeyAlgorithm{agent.RSA2048: agent.P256, agent.P256: agent.P384}[req.Algorithm]
	}
	key, session, err := s.Store.Generate(ctx, req, consent, pin)
	switch {
	case err == nil && s.fault == "signs without end":
		session = endless{session}
	case problem.CodeOf(err) == problem.UserCancelled && s.fault == "leaves keys when cancelled":
		_, session, _ := s.Store.Generate(ctx, req, consent, (&pins{answer: "Inne-hasło-1!"}).ask)
		_ = session.Close()
	}
	return key, session, err
}

func (s lyingStore) Open(ctx context.Context, id string, consent *agent.Consent, pin agent.AskPIN) (agent.Session, error) {
	if s.fault == "opens nothing" {
		return nil, problem.New(problem.DriverFailed, "")
	}
	switch {
	case s.fault == "needs no consent", s.fault == "signs more often than it may" && consent.Check(s.Name(), id) == nil:
		consent = agent.NewConsent(s.Name(), id, 99)
	}
	session, err := s.Store.Open(ctx, id, consent, pin)
	switch code := problem.CodeOf(err); {
	case err == nil && s.fault == "signs wrongly":
		session = wrongly{session}
	case err == nil && s.fault == "spends for nothing":
		session = spending{session}
	case code == problem.PINIncorrect && s.fault == "asks twice", code == problem.UserCancelled && s.fault == "asks again who cancelled":
		return s.Store.Open(ctx, id, consent, pin)
	case code == problem.PINIncorrect && s.fault == "takes any PIN":
		return wrongly{}, nil
	}
	return session, err
}

func (s lyingStore) Attach(ctx context.Context, id string, chain [][]byte, pin agent.AskPIN) error {
	if s.fault == "stores any certificate" {
		return nil
	}
	return s.Store.Attach(ctx, id, chain, pin)
}

func (s lyingStore) Delete(ctx context.Context, id string, pin agent.AskPIN) error {
	if s.fault == "deletes nothing" {
		return nil
	}
	return s.Store.Delete(ctx, id, pin)
}

// endless signs something when the consent is spent.
type endless struct{ agent.Session }

func (e endless) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if signature, err := e.Session.Sign(r, digest, opts); err == nil {
		return signature, nil
	}
	return []byte("signature"), nil
}

// wrongly signs another digest than it was given.
type wrongly struct{ agent.Session }

func (w wrongly) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	other := append([]byte{digest[0] ^ 1}, digest[1:]...)
	return w.Session.Sign(r, other, opts)
}

func (w wrongly) Close() error { return nil }

// spending spends the consent for what it does not sign.
type spending struct{ agent.Session }

func (s spending) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Session.Sign(r, digest, opts)
	if err != nil {
		_, _ = s.Session.Sign(r, make([]byte, 32), crypto.SHA256)
	}
	return signature, err
}

// selfTest runs the test over a folder of key files and returns what it reports.
func selfTest(t *testing.T, ctx context.Context, dir, fault string, algorithms ...agent.KeyAlgorithm) []agent.Check {
	t.Helper()
	open := func() agent.KeyStore { return lyingStore{keyfile.New(dir, keyfile.WithIterations(10)), fault} }
	places, err := open().(agent.Placer).Places(t.Context())
	require.NoError(t, err)
	places[0].NewPIN = fault != "wants another PIN"
	var checks []agent.Check
	test := agent.SelfTest{
		Open: open, Place: places[0], Algorithms: algorithms,
		PIN: func(context.Context, agent.PINRequest) (*agent.Secret, error) {
			return agent.NewSecret([]byte("123456")), nil
		},
		Report: func(c agent.Check) { checks = append(checks, c) },
	}
	require.NoError(t, test.Run(ctx))
	return checks
}

func TestASelfTestOfAGoodStorePasses(t *testing.T) {
	dir := filepath.Join(testtool.TempDir(t), "keys")
	passed := map[agent.KeyAlgorithm]int{}
	for _, c := range selfTest(t, t.Context(), dir, "", agent.RSA2048, agent.P256, "ed25519") {
		if c.Algorithm == "ed25519" {
			assert.Equal(t, agent.CheckGenerate, c.Name)
			assert.Equal(t, agent.CheckSkipped, c.Outcome)
			assert.Equal(t, problem.Unsupported, problem.CodeOf(c.Err))
			continue
		}
		passed[c.Algorithm]++
		assert.Equal(t, agent.CheckPassed, c.Outcome, "%s %s: %v", c.Algorithm, c.Name, c.Err)
		assert.NoError(t, c.Err)
	}
	all := len(agent.Checks())
	assert.Equal(t, map[agent.KeyAlgorithm]int{agent.RSA2048: all, agent.P256: all - 3}, passed, "RSA-PSS is for RSA")
}

func TestASelfTestGivesATokenAWrongPINOnlyWhenItMay(t *testing.T) {
	for _, may := range []bool{false, true} {
		dir, wrong := filepath.Join(testtool.TempDir(t), "keys"), 0
		open := func() agent.KeyStore { return keyfile.New(dir, keyfile.WithIterations(10)) }
		places, err := open().(agent.Placer).Places(t.Context())
		require.NoError(t, err)
		places[0].NewPIN = false // as a token, whose PIN the person is asked for
		test := agent.SelfTest{
			Open: func() agent.KeyStore { return counting{open(), &wrong} }, Place: places[0],
			Algorithms: []agent.KeyAlgorithm{agent.P256}, WrongPIN: may,
			PIN: func(context.Context, agent.PINRequest) (*agent.Secret, error) {
				return agent.NewSecret([]byte(rightPIN)), nil
			},
			Report: func(c agent.Check) {
				if c.Name == agent.CheckWrongPIN {
					assert.Equal(t, map[bool]agent.CheckOutcome{false: agent.CheckSkipped, true: agent.CheckPassed}[may], c.Outcome)
				} else {
					assert.Equal(t, agent.CheckPassed, c.Outcome, "%s: %v", c.Name, c.Err)
				}
			},
		}
		require.NoError(t, test.Run(t.Context()))
		assert.Equal(t, map[bool]int{false: 0, true: 2}[may], wrong)
	}
}

const rightPIN = "Zażółć-gęślą-7!"

// counting is a store that counts the wrong PINs that it gets.
type counting struct {
	agent.KeyStore
	wrong *int
}

func (s counting) counted(pin agent.AskPIN) agent.AskPIN {
	return func(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
		secret, err := pin(ctx, req)
		if err == nil && string(secret.Bytes()) != rightPIN {
			*s.wrong++
		}
		return secret, err
	}
}

func (s counting) Open(ctx context.Context, id string, consent *agent.Consent, pin agent.AskPIN) (agent.Session, error) {
	return s.KeyStore.Open(ctx, id, consent, s.counted(pin))
}

func (s counting) Attach(ctx context.Context, id string, chain [][]byte, pin agent.AskPIN) error {
	return s.KeyStore.(agent.Attacher).Attach(ctx, id, chain, s.counted(pin))
}

func (s counting) Delete(ctx context.Context, id string, pin agent.AskPIN) error {
	return s.KeyStore.(agent.Deleter).Delete(ctx, id, s.counted(pin))
}

func TestASelfTestFindsWhatIsWrongAndLeavesNothing(t *testing.T) {
	for fault, want := range map[string]agent.CheckName{
		"makes nothing": agent.CheckGenerate, "makes other keys": agent.CheckGenerate, "signs without end": agent.CheckRequest,
		"forgets keys": agent.CheckList, "forgets certificates": agent.CheckAttach, "stores any certificate": agent.CheckCancel,
		"signs wrongly": agent.CheckSHA256, "deletes nothing": agent.CheckDelete, "opens nothing": agent.CheckUnknown,
		"needs no consent": agent.CheckConsent, "signs more often than it may": agent.CheckSpent, "spends for nothing": agent.CheckSpent,
		"asks twice": agent.CheckWrongPIN, "keeps the PIN": agent.CheckGenerate, "takes any PIN": agent.CheckWrongPIN,
		"asks again who cancelled": agent.CheckCancel, "leaves keys when cancelled": agent.CheckCancel,
	} {
		t.Run(fault, func(t *testing.T) {
			dir := filepath.Join(testtool.TempDir(t), "keys")
			var failed []agent.CheckName
			for _, c := range selfTest(t, t.Context(), dir, fault, agent.P256) {
				if c.Outcome == agent.CheckFailed {
					assert.Error(t, c.Err)
					failed = append(failed, c.Name)
				}
			}
			require.NotEmpty(t, failed)
			assert.Equal(t, want, failed[0], "%v", failed)
			keys, err := keyfile.New(dir).List(t.Context())
			assert.NoError(t, err)
			if fault != "deletes nothing" && fault != "leaves keys when cancelled" {
				assert.Empty(t, keys)
			}
		})
	}
}

func TestASelfTestWithAWrongPINUsesOneTry(t *testing.T) {
	checks := selfTest(t, t.Context(), filepath.Join(testtool.TempDir(t), "keys"), "wants another PIN", agent.P256, agent.P384)
	require.Len(t, checks, 2)
	assert.Equal(t, agent.CheckFailed, checks[0].Outcome)
	assert.Equal(t, agent.CheckSkipped, checks[1].Outcome)
	assert.Equal(t, problem.PINIncorrect, problem.CodeOf(checks[1].Err))
}

func TestASelfTestThatIsInterruptedDeletesItsKey(t *testing.T) {
	dir := filepath.Join(testtool.TempDir(t), "keys")
	ctx, cancel := context.WithCancel(t.Context())
	open := func() agent.KeyStore { return keyfile.New(dir, keyfile.WithIterations(10)) }
	places, err := open().(agent.Placer).Places(ctx)
	require.NoError(t, err)
	var failed int
	test := agent.SelfTest{
		Open: open, Place: places[0], Algorithms: []agent.KeyAlgorithm{agent.P256},
		Report: func(c agent.Check) {
			if c.Name == agent.CheckAttach {
				cancel()
			}
			if c.Outcome == agent.CheckFailed {
				failed++
			}
		},
	}
	require.NoError(t, test.Run(ctx))
	assert.NotZero(t, failed)
	keys, err := open().List(t.Context())
	assert.NoError(t, err)
	assert.Empty(t, keys)
}
