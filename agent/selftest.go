package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	x509name "crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"time"

	"certsign/internal/problem"
)

// SelfTest runs the life of a key in a store on a person's own computer, from generation to deletion, with a key that is made
// for it. Keys that are there are only listed. What it makes it deletes, also when a check fails.
type SelfTest struct {
	// Open returns the store, each time a new one, as after a restart.
	Open func() KeyStore
	// Place is where the test key is made.
	Place Place
	// Algorithms are the kinds of key that are tried; those that the place does not make are skipped by name.
	Algorithms []KeyAlgorithm
	// PIN asks for the token's PIN, once for the whole test; a wrong one ends it. A new password is made up, not asked for.
	PIN AskPIN
	// Report is told each check as it ends.
	Report func(Check)

	held *Secret
	end  error // no further check is tried
}

// Check is one thing that a self-test tried.
type Check struct {
	Name      CheckName
	Algorithm KeyAlgorithm
	Outcome   CheckOutcome
	Err       error // why it failed or was skipped
	Took      time.Duration
}

// CheckName names a check.
type CheckName string

// The checks, in their order.
const (
	CheckGenerate CheckName = "generate" // a key is made, of the kind that was asked for
	CheckRequest  CheckName = "request"  // it signs one certificate request, and no second
	CheckList     CheckName = "list"     // a new start finds it, without a PIN
	CheckAttach   CheckName = "attach"   // a certificate is stored beside it; one for another key is not
	CheckOpen     CheckName = "open"     // the key is opened
	CheckSHA256   CheckName = "sha256"   // its signature over such a digest verifies
	CheckSHA384   CheckName = "sha384"
	CheckSHA512   CheckName = "sha512"
	CheckRSAPSS   CheckName = "pss"    // RSA-PSS
	CheckRefuse   CheckName = "refuse" // without consent, or for SHA-1, it does not sign
	CheckDelete   CheckName = "delete"
	CheckGone     CheckName = "gone" // a new start does not find it
)

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
		l := &life{SelfTest: t, ctx: ctx, store: store, algorithm: algorithm}
		l.run()
	}
	return nil
}

// ask is the AskPIN of the whole test.
func (t *SelfTest) ask(ctx context.Context, req PINRequest) (*Secret, error) {
	switch {
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

// life is the life of one test key.
type life struct {
	*SelfTest
	ctx       context.Context
	store     KeyStore
	algorithm KeyAlgorithm
	key       Key
}

// skip is an error that means that there is nothing to check.
type skip struct{ error }

func (s skip) Unwrap() error { return s.error }

// check runs one check and reports it. After one that ends the test nothing more is tried.
func (l *life) check(name CheckName, try func() error) bool {
	start := time.Now()
	err := l.end
	if err == nil {
		if err = l.ctx.Err(); err != nil {
			err = problem.Wrap(problem.UserCancelled, err, "")
		} else {
			err = try()
		}
	} else {
		err = skip{err}
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

var selfTestHashes = []struct {
	name CheckName
	hash crypto.Hash
}{{CheckSHA256, crypto.SHA256}, {CheckSHA384, crypto.SHA384}, {CheckSHA512, crypto.SHA512}}

func (l *life) run() {
	consent := newConsent(l.store.Name(), l.Place.ID, 1)
	defer consent.revoke()
	var session Session
	made := l.check(CheckGenerate, func() (err error) {
		if !slices.Contains(l.Place.Keys, l.algorithm) {
			return skip{problem.New(problem.Unsupported, "no such keys are made here")}
		}
		session, err = l.generate(consent)
		return err
	})
	if !made {
		return
	}
	deleted := false
	defer func() {
		if !deleted { // also when nobody waits any more
			_ = l.store.(Deleter).Delete(context.WithoutCancel(l.ctx), l.key.ID, l.ask)
		}
	}()
	l.check(CheckRequest, func() error { return requestOnce(session, l.key.Public) })
	_ = session.Close()
	l.check(CheckList, func() error { return l.listed(nil) })
	l.check(CheckAttach, l.attach)
	signing := newConsent(l.store.Name(), l.key.ID, len(selfTestHashes)+1)
	defer signing.revoke()
	opened := l.check(CheckOpen, func() (err error) {
		session, err = l.Open().Open(l.ctx, l.key.ID, signing, l.ask)
		return err
	})
	if opened {
		l.use(session)
		_ = session.Close()
	}
	deleted = l.check(CheckDelete, func() error { return l.store.(Deleter).Delete(l.ctx, l.key.ID, l.ask) })
	l.check(CheckGone, func() error {
		keys, err := l.Open().List(l.ctx)
		if err == nil && slices.ContainsFunc(keys, l.isTheKey) {
			err = errors.New("the key is still listed")
		}
		return err
	})
}

// use tries what an open key does, and what it must not do.
func (l *life) use(session Session) {
	for _, h := range selfTestHashes {
		l.check(h.name, func() error { return signs(session, l.key.Public, h.hash, h.hash) })
	}
	if _, ok := l.key.Public.(*rsa.PublicKey); ok {
		l.check(CheckRSAPSS, func() error {
			err := signs(session, l.key.Public, crypto.SHA256, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
			if problem.CodeOf(err) == problem.Unsupported {
				return skip{err}
			}
			return err
		})
	}
	l.check(CheckRefuse, func() error { return l.refuses(session) })
}

func samePublicKey(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}

func (l *life) isTheKey(k Key) bool { return k.ID == l.key.ID }

func (l *life) generate(consent *Consent) (Session, error) {
	req := GenerateRequest{Place: l.Place.ID, Algorithm: l.algorithm, Label: selfTestLabel}
	key, session, err := l.store.Generate(l.ctx, req, consent, l.ask)
	if err != nil {
		switch problem.CodeOf(err) {
		case problem.PINIncorrect, problem.PINLocked, problem.PINNotSet, problem.UserCancelled:
			l.end = err // another try would cost the token one more
		}
		return nil, err
	}
	l.key = key
	if AlgorithmOf(key.Public) != l.algorithm {
		_ = session.Close()
		return nil, errors.Join(errors.New("the key is of another kind"), l.store.(Deleter).Delete(l.ctx, key.ID, l.ask))
	}
	return session, nil
}

// requestOnce signs a certificate request, and wants the second one refused.
func requestOnce(session Session, public crypto.PublicKey) error {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, session)
	if err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return err
	}
	if !samePublicKey(csr.PublicKey, public) {
		return errors.New("the request holds another key")
	}
	if _, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, session); problem.CodeOf(err) != problem.ConsentSpent {
		return errors.Join(errors.New("a second signature was not refused"), err)
	}
	return nil
}

// listed wants the key found by a new start, with that certificate.
func (l *life) listed(certificate []byte) error {
	keys, err := l.Open().List(l.ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, l.isTheKey)
	switch {
	case i < 0:
		return errors.New("the key is not listed")
	case keys[i].Public != nil && !samePublicKey(keys[i].Public, l.key.Public):
		return errors.New("another public key is listed")
	case certificate == nil && len(keys[i].Chain) > 0:
		return errors.New("a certificate is listed that nobody stored")
	case certificate != nil && (len(keys[i].Chain) == 0 || !bytes.Equal(keys[i].Chain[0], certificate)):
		return errors.New("the certificate is not listed")
	}
	return nil
}

// attach stores a certificate of a CA that is made up for it, and wants one for another key refused.
func (l *life) attach() error {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	wrong, err := testCertificate(other.Public())
	if err != nil {
		return err
	}
	chain, err := testCertificate(l.key.Public)
	if err != nil {
		return err
	}
	store := l.Open().(Attacher)
	if err := store.Attach(l.ctx, l.key.ID, wrong, l.ask); problem.CodeOf(err) != problem.CertificateMismatch {
		return errors.Join(errors.New("a certificate for another key was not refused"), err)
	}
	if err := store.Attach(l.ctx, l.key.ID, chain, l.ask); err != nil {
		return err
	}
	return l.listed(chain[0])
}

// testCertificate returns a certificate that nobody trusts, with its issuer's.
func testCertificate(public crypto.PublicKey) ([][]byte, error) {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := func(name string) *x509.Certificate {
		serial := make([]byte, 16)
		_, _ = rand.Read(serial)
		serial[0] = serial[0]&0x7F | 0x40
		return &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(serial), Subject: x509name.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		}
	}
	issuer, leaf := template("TEST "+selfTestLabel+" CA"), template("TEST "+selfTestLabel)
	issuer.IsCA, issuer.BasicConstraintsValid, issuer.KeyUsage = true, true, x509.KeyUsageCertSign
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, ca.Public(), ca)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, issuer, public, ca)
	return [][]byte{leafDER, issuerDER}, err
}

// signs wants a signature that the standard library verifies.
func signs(session Session, public crypto.PublicKey, hash crypto.Hash, opts crypto.SignerOpts) error {
	h := hash.New()
	h.Write([]byte(selfTestLabel))
	digest := h.Sum(nil)
	signature, err := session.Sign(rand.Reader, digest, opts)
	if err != nil {
		return err
	}
	valid := false
	switch public := public.(type) {
	case *rsa.PublicKey:
		if options, ok := opts.(*rsa.PSSOptions); ok {
			valid = rsa.VerifyPSS(public, hash, digest, signature, options) == nil
		} else {
			valid = rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
		}
	case *ecdsa.PublicKey:
		valid = ecdsa.VerifyASN1(public, digest, signature)
	}
	if !valid {
		return errors.New("the signature does not verify")
	}
	return nil
}

// refuses wants what must not be signed refused.
func (l *life) refuses(session Session) error {
	digest := make([]byte, crypto.SHA256.Size())
	for what, try := range map[string]struct {
		sign func() error
		want problem.Code
	}{
		"SHA-1": {func() error {
			_, err := session.Sign(rand.Reader, digest[:20], crypto.SHA1)
			return err
		}, problem.Unsupported},
		"a digest of another length": {func() error {
			_, err := session.Sign(rand.Reader, digest, crypto.SHA512)
			return err
		}, problem.Unsupported},
		"no consent": {func() error {
			s, err := l.Open().Open(l.ctx, l.key.ID, new(Consent), l.ask)
			if err == nil {
				_ = s.Close()
			}
			return err
		}, problem.ConsentSpent},
	} {
		if err := try.sign(); problem.CodeOf(err) != try.want {
			return errors.Join(errors.New(what+" was not refused"), err)
		}
	}
	return nil
}
