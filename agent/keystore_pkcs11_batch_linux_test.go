package agent_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"certsign/agent"
	"certsign/internal/testtool"
)

// TestAnotherProgramSignsWithTheSameTokenMeanwhile signs 100 digests, or with CERTSIGN_SOAK 1,000, ten to a hundred in a
// session, while pkcs11-tool signs in a loop.
func (s *tokenSuite) TestAnotherProgramSignsWithTheSameTokenMeanwhile() {
	sessions, each := 10, 10
	if os.Getenv("CERTSIGN_SOAK") != "" {
		each = 100
	}
	key := s.made(agent.P256)
	public, err := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--list-objects", "--type", "pubkey").Output()
	s.Require().NoError(err)
	_, id, _ := strings.Cut(string(public), "ID:")
	id = strings.TrimSpace(strings.SplitN(id, "\n", 2)[0])
	dir := s.T().TempDir()
	digest := digestOf(crypto.SHA256, "the other's")
	s.Require().NoError(os.WriteFile(filepath.Join(dir, "digest"), digest, 0o600))
	var stop atomic.Bool
	others := make(chan error, 1)
	made := 0
	go func() {
		for missed := 0; !stop.Load() || made == 0; {
			text, err := exec.Command("pkcs11-tool", "--module", softHSM, "--token-label", "Moja karta", "--login", "--pin", tokenPIN, "--sign",
				"--mechanism", "ECDSA", "--signature-format", "openssl", "--id", id, "--input-file", filepath.Join(dir, "digest"),
				"--output-file", filepath.Join(dir, fmt.Sprint(made))).CombinedOutput()
			switch {
			case err == nil:
				made++
			case strings.Contains(string(text), "No slot with token named") && missed < 20:
				missed++ // SoftHSM2 does not see a token while a log-in writes its flags
			default:
				others <- fmt.Errorf("signature %d: %w: %s", made, err, text)
				return
			}
		}
		others <- nil
	}()
	for i := range sessions {
		session, err := s.open(key, each, s.pin())
		s.Require().NoError(err)
		for j := range each {
			digest := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, j))
			signature, err := session.Sign(rand.Reader, digest[:], crypto.SHA256)
			s.Require().NoError(err)
			requireSignature(s.T(), key.Public, crypto.SHA256, digest[:], signature)
		}
		s.NoError(session.Close())
	}
	stop.Store(true)
	s.Require().NoError(<-others)
	s.Positive(made)
	for i := range made {
		signature, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		s.Require().NoError(err)
		requireSignature(s.T(), key.Public, crypto.SHA256, digest, signature)
	}
}

// TestTheNextSignatureIsBegunOnlyInABatch looks at what the driver is asked to begin.
func (s *tokenSuite) TestTheNextSignatureIsBegunOnlyInABatch() {
	key := s.made(agent.P256)
	s.shim("away") // which notes the functions
	begun := 0
	for _, c := range []struct{ signatures, begun int }{{1, 1}, {2, 3}, {5, 6}} {
		session, err := s.open(key, c.signatures, s.pin())
		s.Require().NoError(err)
		for range c.signatures {
			s.Require().NoError(s.sign(session))
		}
		s.NoError(session.Close())
		s.Equal(c.begun, s.count("C_SignInit")-begun, "%d signatures", c.signatures)
		begun = s.count("C_SignInit")
	}
	s.Equal(3, s.count("C_Login"))
}

func (s *tokenSuite) TestABatchMayMixItsSignatures() {
	key := s.made(agent.RSA2048)
	pss := func(hash crypto.Hash) crypto.SignerOpts {
		return &rsa.PSSOptions{Hash: hash, SaltLength: rsa.PSSSaltLengthEqualsHash}
	}
	kinds := []crypto.SignerOpts{
		crypto.SHA256, crypto.SHA256, crypto.SHA512, crypto.SHA384, pss(crypto.SHA256), pss(crypto.SHA256), pss(crypto.SHA512),
		crypto.SHA256, pss(crypto.SHA384), pss(crypto.SHA384), crypto.SHA384,
	}
	session, err := s.open(key, len(kinds), s.pin())
	s.Require().NoError(err)
	for i, opts := range kinds {
		digest := digestOf(opts.HashFunc(), fmt.Sprint(i))
		signature, err := session.Sign(rand.Reader, digest, opts)
		s.Require().NoError(err, i)
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			s.NoError(rsa.VerifyPSS(key.Public.(*rsa.PublicKey), opts.HashFunc(), digest, signature, pss))
		} else {
			requireSignature(s.T(), key.Public, opts.HashFunc(), digest, signature)
		}
	}
}

func (s *tokenSuite) TestAKeyThatAsksAtEachSignatureIsAskedForNoneAhead() {
	key := s.made(agent.RSA2048)
	s.shim("always")
	s.T().Setenv("SHIM_PIN", tokenPIN)
	session, err := s.open(key, 4, s.pin())
	s.Require().NoError(err)
	for range 4 {
		s.Require().NoError(s.sign(session))
	}
	s.NoError(session.Close())
	s.Equal(4, s.count("C_Login for one signature"))
}
