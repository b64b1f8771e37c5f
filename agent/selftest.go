package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	x509name "crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"certsign/internal/problem"
)

// SelfTest runs the contract of key stores on one that is in use, with a key that is made for it. The tests of stores run
// the same checks, and beside them those that need hands on a token. Keys that are there are only listed. What it makes it
// deletes, also when a check fails.
type SelfTest struct {
	// Open returns the store, each time a new one, as after a restart.
	Open func() KeyStore
	// Place is where the test key is made.
	Place Place
	// Algorithms are the kinds of key that are tried; those that the place does not make are skipped by name.
	Algorithms []KeyAlgorithm
	// PIN asks for the token's PIN, once for the whole test; one that is refused ends it. A new password is made up, not asked for.
	PIN AskPIN
	// WrongPIN has a wrong PIN tried too. That costs a token a try, twice for each algorithm, each time with the right one after it.
	// A key file gets a wrong password in any case.
	WrongPIN bool
	// Report is told each check as it ends.
	Report func(Check)

	held *Secret
	end  error // no further check is tried, and no secret given
}

// Check is one thing that a self-test tried.
type Check struct {
	Name      CheckName
	Algorithm KeyAlgorithm
	Outcome   CheckOutcome
	Err       error // why it failed or was skipped
	Took      time.Duration
}

// CheckOutcome is how a check ended.
type CheckOutcome string

// The outcomes.
const (
	CheckPassed  CheckOutcome = "passed"
	CheckFailed  CheckOutcome = "failed"
	CheckSkipped CheckOutcome = "skipped"
)

// selfTestLabel is what a person sees should a test key ever be left over.
const selfTestLabel = "CertSign selftest"

// Run runs the checks. It fails only when it cannot begin: unsupported for a store that deletes no keys or stores no certificates.
func (t *SelfTest) Run(ctx context.Context) error {
	store := t.Open()
	_, deletes := store.(Deleter)
	_, attaches := store.(Attacher)
	if !deletes || !attaches {
		return problem.New(problem.Unsupported, "the store %q would keep the test key", store.Name())
	}
	defer func() { t.held.Wipe() }()
	for _, algorithm := range t.Algorithms {
		l := &life{SelfTest: t, ctx: ctx, algorithm: algorithm}
		l.run()
	}
	return nil
}

// ask is the AskPIN of the whole test.
func (t *SelfTest) ask(ctx context.Context, req PINRequest) (*Secret, error) {
	switch {
	case t.end != nil:
		return nil, t.end // it would cost the token another try
	case req.Pad:
		return nil, nil
	case t.held != nil:
	case t.Place.NewPIN:
		t.held = NewSecret([]byte("aA1!" + rand.Text())) // what the rules want, and 128 bits
	default:
		req.Origin, req.Document = LocalOrigin.Display(), selfTestLabel
		s, err := t.PIN(ctx, req)
		if err != nil {
			return nil, err
		}
		t.held = s.Clone()
		return s, nil
	}
	return t.held.Clone(), nil
}

// skip is an error that means that there is nothing to check.
type skip struct{ error }

func (s skip) Unwrap() error { return s.error }

// run takes a test key through its life.
func (l *life) run() {
	defer func() {
		l.close()
		for _, consent := range l.consents {
			consent.revoke()
		}
		if l.key.ID != "" && !l.deleted { // also when nobody waits any more
			_ = l.Open().(Deleter).Delete(context.WithoutCancel(l.ctx), l.key.ID, l.ask)
		}
	}()
	for _, c := range contract {
		if c.rsa && l.algorithm != RSA2048 && l.algorithm != RSA3072 {
			continue
		}
		if !l.check(c.name, c.try) && c.name == CheckGenerate {
			return
		}
	}
}

// check runs one check and reports it. After one that ends the test nothing more is tried.
func (l *life) check(name CheckName, try func(*life) error) bool {
	start := time.Now()
	var err error
	switch {
	case l.end != nil:
		err = skip{l.end}
	case l.ctx.Err() != nil:
		err = problem.Wrap(problem.UserCancelled, l.ctx.Err(), "")
	default:
		err = try(l)
	}
	c := Check{Name: name, Algorithm: l.algorithm, Outcome: CheckPassed, Err: err, Took: time.Since(start)}
	switch {
	case errors.As(err, new(skip)):
		c.Outcome = CheckSkipped
	case err != nil:
		c.Outcome = CheckFailed
	}
	l.Report(c)
	return err == nil
}

// life is the life of one test key.
type life struct {
	*SelfTest
	ctx       context.Context
	algorithm KeyAlgorithm
	before    []string // the IDs of other keys
	key       Key
	asks      bool // for a PIN; else the driver does, or nobody
	session   Session
	consent   *Consent // for the key
	left      int      // of the consent
	consents  []*Consent
	deleted   bool
}

// allow is a consent that ends with the test.
func (l *life) allow(store, key string, n int) *Consent {
	l.consents = append(l.consents, newConsent(store, key, n))
	return l.consents[len(l.consents)-1]
}

// answer is what is given to a store that asks for a PIN.
type answer int

const (
	right answer = iota
	wrong
	cancelled
)

// final are the problems after which nothing more is tried: another try would cost the token one, or the person wants none.
var final = []problem.Code{problem.PINIncorrect, problem.PINLocked, problem.PINNotSet, problem.UserCancelled}

// during runs one operation of a store, with that answer to its question. A store that asks twice or keeps the secret has
// broken its contract, whatever else becomes of the operation.
func (l *life) during(answer answer, op func(AskPIN) error) (asked []PINRequest, err error) {
	var given *Secret
	err = op(func(ctx context.Context, req PINRequest) (*Secret, error) {
		if !req.Pad {
			asked = append(asked, req)
		}
		if answer == cancelled || len(asked) > 1 {
			return nil, problem.New(problem.UserCancelled, "")
		}
		s, err := l.ask(ctx, req)
		if err == nil && answer == wrong {
			defer s.Wipe()
			s = spoilt(s)
		}
		given = s
		return s, err
	})
	switch code := problem.CodeOf(err); {
	case len(asked) > 1:
		return asked, fmt.Errorf("it was asked %d times for a PIN: %v", len(asked), err)
	case given.Bytes() != nil:
		return asked, fmt.Errorf("the PIN was not wiped: %v", err)
	case answer == right && l.ctx.Err() == nil && slices.Contains(final, code):
		l.end = err
	}
	return asked, err
}

// spoilt is a secret that is wrong and as long as the right one.
func spoilt(s *Secret) *Secret {
	other := s.Clone()
	other.b[len(other.b)-1] ^= 1
	return other
}

// refused wants an error with one of those codes. Where no PIN could help, unasked wants that none was asked for.
func refused(what string, err error, codes ...problem.Code) error {
	if slices.Contains(codes, problem.CodeOf(err)) {
		return nil
	}
	return fmt.Errorf("%s was not refused as %s: %v", what, codes[0], err)
}

func (l *life) unasked(what string, op func(AskPIN) error, codes ...problem.Code) error {
	asked, err := l.during(right, op)
	if len(asked) > 0 {
		return fmt.Errorf("%s: a PIN was asked for", what)
	}
	return refused(what, err, codes...)
}

func (l *life) making(algorithm KeyAlgorithm, consent *Consent) func(AskPIN) error {
	return func(pin AskPIN) error {
		req := GenerateRequest{Place: l.Place.ID, Algorithm: algorithm, Label: selfTestLabel}
		key, session, err := l.Open().Generate(l.ctx, req, consent, pin)
		if err == nil {
			l.close()
			l.key, l.session = key, session
		}
		return err
	}
}

func (l *life) opening(id string, consent *Consent) func(AskPIN) error {
	return func(pin AskPIN) error {
		session, err := l.Open().Open(l.ctx, id, consent, pin)
		if err == nil {
			l.close()
			l.session = session
		}
		return err
	}
}

func (l *life) attaching(chain [][]byte) func(AskPIN) error {
	return func(pin AskPIN) error { return l.Open().(Attacher).Attach(l.ctx, l.key.ID, chain, pin) }
}

func (l *life) deleting(pin AskPIN) error { return l.Open().(Deleter).Delete(l.ctx, l.key.ID, pin) }

func (l *life) close() {
	if l.session != nil {
		_ = l.session.Close()
		l.session = nil
	}
}

// others are the IDs of the keys that are not the test key.
func (l *life) others() ([]string, error) {
	keys, err := l.Open().List(l.ctx)
	var ids []string
	for _, k := range keys {
		if k.ID != l.key.ID {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// nothingNew wants the other keys to be those that were there before.
func (l *life) nothingNew() error {
	now, err := l.others()
	if err == nil && !slices.Equal(now, l.before) {
		err = errors.New("other keys are listed than before")
	}
	return err
}

func samePublicKey(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}

const selfTestIssuer = "TEST " + selfTestLabel + " CA"

// testChain returns a certificate that nobody trusts, with its issuer's, which the root issued; both are one when they have
// one name.
func testChain(public crypto.PublicKey, subject, issuer, root string) ([][]byte, error) {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := func(name string) *x509.Certificate {
		serial := make([]byte, 16)
		_, _ = rand.Read(serial) // never fails
		serial[0] = serial[0]&0x7F | 0x40
		return &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(serial), Subject: x509name.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		}
	}
	above := template(issuer)
	above.IsCA, above.BasicConstraintsValid, above.KeyUsage = true, true, x509.KeyUsageCertSign
	issuerDER, err := x509.CreateCertificate(rand.Reader, above, template(root), ca.Public(), ca)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, template(subject), above, public, ca)
	return [][]byte{leafDER, issuerDER}, err
}
