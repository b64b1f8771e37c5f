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
		_, err := pin(ctx, agent.PINRequest{})
		if err == nil {
			err = problem.New(problem.PINIncorrect, "")
		}
		return agent.Key{}, nil, err
	case "makes other keys":
		req.Algorithm = map[agent.KeyAlgorithm]agent.KeyAlgorithm{agent.RSA2048: agent.P256, agent.P256: agent.P384}[req.Algorithm]
	}
	key, session, err := s.Store.Generate(ctx, req, consent, pin)
	if err == nil && s.fault == "signs without end" {
		session = endless{session}
	}
	return key, session, err
}

func (s lyingStore) Open(ctx context.Context, id string, consent *agent.Consent, pin agent.AskPIN) (agent.Session, error) {
	if s.fault == "opens nothing" {
		return nil, problem.New(problem.DriverFailed, "")
	}
	if s.fault == "needs no consent" {
		consent = agent.NewConsent(s.Name(), id, 9)
	}
	session, err := s.Store.Open(ctx, id, consent, pin)
	if err == nil && s.fault == "signs wrongly" {
		session = wrongly{session}
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
	checks := selfTest(t, t.Context(), dir, "", agent.RSA2048, agent.P256, "ed25519")
	seen := map[agent.KeyAlgorithm][]agent.CheckName{}
	for _, c := range checks {
		seen[c.Algorithm] = append(seen[c.Algorithm], c.Name)
		if c.Algorithm == "ed25519" {
			assert.Equal(t, agent.CheckSkipped, c.Outcome)
			assert.Equal(t, problem.Unsupported, problem.CodeOf(c.Err))
			continue
		}
		assert.Equal(t, agent.CheckPassed, c.Outcome, "%s %s: %v", c.Algorithm, c.Name, c.Err)
		assert.NoError(t, c.Err)
	}
	begin := []agent.CheckName{agent.CheckGenerate, agent.CheckRequest, agent.CheckList, agent.CheckAttach,
		agent.CheckOpen, agent.CheckSHA256, agent.CheckSHA384, agent.CheckSHA512}
	end := []agent.CheckName{agent.CheckRefuse, agent.CheckDelete, agent.CheckGone}
	assert.Equal(t, append(append([]agent.CheckName{}, begin...), end...), seen[agent.P256])
	assert.Equal(t, append(append(append([]agent.CheckName{}, begin...), agent.CheckRSAPSS), end...), seen[agent.RSA2048])
	assert.Equal(t, []agent.CheckName{agent.CheckGenerate}, seen["ed25519"])
}

func TestASelfTestFindsWhatIsWrongAndLeavesNothing(t *testing.T) {
	for fault, want := range map[string]agent.CheckName{
		"makes nothing": agent.CheckGenerate, "makes other keys": agent.CheckGenerate, "signs without end": agent.CheckRequest,
		"forgets keys": agent.CheckList, "forgets certificates": agent.CheckAttach, "stores any certificate": agent.CheckAttach,
		"signs wrongly": agent.CheckSHA256, "needs no consent": agent.CheckRefuse, "deletes nothing": agent.CheckGone, "opens nothing": agent.CheckOpen,
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
			if fault != "deletes nothing" {
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
