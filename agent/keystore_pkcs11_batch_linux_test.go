package agent_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"certsign/agent"
	"certsign/internal/ades"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

// otherProgram is pkcs11-tool, which signs with a key of the token over and over.
type otherProgram struct {
	stop     atomic.Bool
	done     chan struct{}
	made     int
	failures []string
	// spoilt counts calls that SoftHSM2 spoilt before they could begin; the same call must then work at once.
	spoilt int
}

// softHSMIsWriting is all that pkcs11-tool says when another process logs in with SoftHSM2 2.6.1 in the same instant: at each
// C_Login that writes the token's flags (Token::loginUser) by emptying their file and filling it again (ObjectFile::store), and
// whoever reads the file in between finds no token, or one without a PIN. Two pkcs11-tools do it to each other with no agent
// near: 99 of 2,400 calls, each of the three ways. So it is neither the agent's doing nor a failure of a signature.
var softHSMIsWriting = []string{
	`No slot with token named "Moja karta" found`,
	"error: PKCS11 function C_Login failed: rv = CKR_GENERAL_ERROR (0x5)\nAborting.",
	"error: PKCS11 function C_Login failed: rv = CKR_USER_PIN_NOT_INITIALIZED (0x102)\nAborting.",
}

// startOtherProgram signs digest with the key until it is stopped; each signature is a file in dir.
func (s *tokenSuite) startOtherProgram(id, digest, dir string) *otherProgram {
	o := &otherProgram{done: make(chan struct{})}
	tool := testtool.Need(s.T(), "pkcs11-tool")
	go func() {
		defer close(o.done)
		again := false
		for !o.stop.Load() || o.made == 0 && len(o.failures) == 0 || again {
			text, err := exec.Command(tool, "--module", softHSM, "--token-label", "Moja karta", "--login", "--pin", tokenPIN, "--sign",
				"--mechanism", "ECDSA", "--signature-format", "openssl", "--id", id, "--input-file", digest,
				"--output-file", filepath.Join(dir, fmt.Sprint(o.made))).CombinedOutput()
			spoilt := err != nil && slices.Contains(softHSMIsWriting, strings.TrimSpace(string(text)))
			switch {
			case err == nil:
				o.made++
			case spoilt && !again:
				o.spoilt++
			default:
				o.failures = append(o.failures, fmt.Sprintf("signature %d: %v: %s", o.made, err, text))
			}
			again = spoilt && !again
		}
	}()
	return o
}

func (o *otherProgram) end() {
	o.stop.Store(true)
	<-o.done
}

// TestAnotherProgramSignsWithTheSameTokenMeanwhile has the agent sign 100 documents as XAdES, or with CERTSIGN_SOAK 1,000, in
// ten orders, while pkcs11-tool signs in a loop with the same key. Neither may fail once.
func (s *tokenSuite) TestAnotherProgramSignsWithTheSameTokenMeanwhile() {
	orders, each := 10, 10
	if os.Getenv("CERTSIGN_SOAK") != "" {
		each = 100
	}
	store := s.rig.Store()
	b := newBureau(s.T(), func(c *agent.Config) { c.Stores = []agent.KeyStore{store} })
	b.person.onPIN = says(tokenPIN)
	key, session := s.generate(agent.P256, 1)
	chain := b.ca.Leaf(testpki.WithKey(session)).Chain()
	s.Require().NoError(session.Close())
	s.Require().NoError(store.(agent.Attacher).Attach(s.ctx, key.ID, chain[:len(chain)-1], s.pin().ask))

	public, err := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--list-objects", "--type", "pubkey").Output()
	s.Require().NoError(err)
	_, id, _ := strings.Cut(string(public), "ID:")
	id = strings.TrimSpace(strings.SplitN(id, "\n", 2)[0])
	dir := s.T().TempDir()
	digest := digestOf(crypto.SHA256, "the other's")
	s.Require().NoError(os.WriteFile(filepath.Join(dir, "digest"), digest, 0o600))

	other := s.startOtherProgram(id, filepath.Join(dir, "digest"), dir)
	defer other.end()
	signed, failures := 0, []string{}
	for i := range orders {
		order := agent.SignOrder{Format: "xades", Packaging: ades.Enveloped, Level: ades.LevelBB}
		for j := range each {
			content := fmt.Appendf(nil, "<z:Zgłoszenie xmlns:z=\"urn:test\" lp=\"%d\"><z:Towar>Śruby &amp; nakrętki</z:Towar></z:Zgłoszenie>", i*each+j)
			order.Documents = append(order.Documents, ades.Document{
				Name: fmt.Sprintf("zgłoszenie-%d.xml", i*each+j), MIME: "application/xml", Content: bytes.NewReader(content),
			})
		}
		results, _, err := b.agent.SignLocal(s.ctx, order)
		if err != nil {
			failures = append(failures, fmt.Sprintf("order %d: %v", i, err))
			continue
		}
		judge := []string{"--verify", "--insecure", "--enabled-key-data", "x509,ec", "--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"}
		for n, r := range results {
			if r.Err != nil {
				failures = append(failures, fmt.Sprintf("order %d, document %d: %v", i, n, r.Err))
				continue
			}
			whole, err := io.ReadAll(io.NewSectionReader(r.Content, 0, r.Content.Size()))
			s.Require().NoError(err)
			r.Remove()
			s.Contains(string(whole), fmt.Sprintf(` lp="%d"`, i*each+n), "each result is its own document's")
			passes(s.T(), b.ca, whole)
			file := filepath.Join(dir, r.Name)
			s.Require().NoError(os.WriteFile(file, whole, 0o600))
			judge = append(judge, file)
			signed++
		}
		out, err := exec.Command(testtool.Need(s.T(), "xmlsec1"), judge...).CombinedOutput()
		s.Require().NoError(err, "%s", out)
		s.Equal(len(results), strings.Count(string(out), "OK\n"), "%s", out)
	}
	other.end()
	s.T().Logf("the agent signed %d documents, pkcs11-tool %d digests; %d more calls SoftHSM2 spoilt", signed, other.made, other.spoilt)
	s.Empty(failures)
	s.Equal(orders*each, signed)
	s.Empty(other.failures)
	s.Greater(other.made, orders, "it did sign meanwhile")
	s.Less(other.spoilt, 5+other.made/20, "an instant now and then")
	for i := range other.made {
		signature, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		s.Require().NoError(err)
		requireSignature(s.T(), key.Public, crypto.SHA256, digest, signature)
	}
}

// TestATokenThatIsNotThereForAnInstantIsListed takes the token away for as long as another program's log-in does at worst.
func (s *tokenSuite) TestATokenThatIsNotThereForAnInstantIsListed() {
	key := s.made(agent.P256)
	dir := s.keeping()
	away := s.token.tokens + " away"
	take := func() {
		s.Require().NoError(os.Rename(s.token.tokens, away))
		s.Require().NoError(os.Mkdir(s.token.tokens, 0o700))
	}
	seen := func(store agent.KeyStore) []agent.Key {
		take()
		back := make(chan error, 1)
		time.AfterFunc(120*time.Millisecond, func() {
			back <- errors.Join(os.Remove(s.token.tokens), os.Rename(away, s.token.tokens))
		})
		keys, err := store.List(s.ctx)
		s.Require().NoError(<-back)
		s.Require().NoError(err)
		return keys
	}
	store := s.rig.Store()
	keys, err := store.List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 1)
	s.Equal(keys, seen(store))
	s.Equal(keys, seen(s.rig.Store()), "also by a process that begins just then")

	certified := s.rig.Store()
	s.Require().NoError(dir.Remove("listed.json"))
	s.Require().NoError(certified.(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), s.pin().ask))
	s.Len(seen(certified), 1, "what was certified is known to be there")

	take()
	for range 2 {
		gone, err := store.List(s.ctx)
		s.Require().NoError(err)
		s.Empty(gone, "and one that stays away is not listed")
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
