package agent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"certsign/internal/problem"
)

// CheckName names a check.
type CheckName string

// The checks, in their order.
const (
	CheckGenerate CheckName = "generate"  // a key is made, of the kind that was asked for
	CheckRequest  CheckName = "request"   // it signs one certificate request, and no second
	CheckList     CheckName = "list"      // a new start finds it, without a PIN
	CheckUnknown  CheckName = "unknown"   // a key or a kind of key that nobody knows is refused, without a PIN
	CheckCancel   CheckName = "cancel"    // who cancels is asked once, and nothing happens
	CheckWrongPIN CheckName = "wrong-pin" // a wrong PIN is asked for once, and refused
	CheckAttach   CheckName = "attach"    // a certificate is stored beside it, and replaced; one for another key is refused
	CheckConsent  CheckName = "consent"   // without a consent for it nothing is opened or made
	CheckOpen     CheckName = "open"      // the key is opened
	CheckSHA256   CheckName = "sha256"    // its signature over such a digest verifies
	CheckSHA384   CheckName = "sha384"
	CheckSHA512   CheckName = "sha512"
	CheckPSS256   CheckName = "pss" // RSA-PSS
	CheckPSS384   CheckName = "pss384"
	CheckPSS512   CheckName = "pss512"
	CheckRefuse   CheckName = "refuse" // for SHA-1 and the like it does not sign, and that spends nothing
	CheckSpent    CheckName = "spent"  // it signs as often as was consented, over all sessions, and no more
	CheckDelete   CheckName = "delete"
	CheckGone     CheckName = "gone" // a new start does not find it, and finds what was there before
)

// contract is what every store does with a key, from its generation to its deletion.
var contract = []struct {
	name CheckName
	try  func(*life) error
	rsa  bool // for RSA keys only
}{
	{name: CheckGenerate, try: (*life).generate},
	{name: CheckRequest, try: (*life).request},
	{name: CheckList, try: func(l *life) error { return l.listed(nil) }},
	{name: CheckUnknown, try: (*life).unknown},
	{name: CheckCancel, try: (*life).cancel},
	{name: CheckWrongPIN, try: (*life).wrongPIN},
	{name: CheckAttach, try: (*life).attach},
	{name: CheckConsent, try: (*life).withoutConsent},
	{name: CheckOpen, try: (*life).open},
	{name: CheckSHA256, try: signs(crypto.SHA256)},
	{name: CheckSHA384, try: signs(crypto.SHA384)},
	{name: CheckSHA512, try: signs(crypto.SHA512)},
	{name: CheckPSS256, try: signsPSS(crypto.SHA256), rsa: true},
	{name: CheckPSS384, try: signsPSS(crypto.SHA384), rsa: true},
	{name: CheckPSS512, try: signsPSS(crypto.SHA512), rsa: true},
	{name: CheckRefuse, try: (*life).refuse},
	{name: CheckSpent, try: (*life).spend},
	{name: CheckDelete, try: (*life).delete},
	{name: CheckGone, try: (*life).gone},
}

// Checks returns the names of all checks, in their order.
func Checks() (names []CheckName) {
	for _, c := range contract {
		names = append(names, c.name)
	}
	return names
}

func (l *life) generate() (err error) {
	if !slices.Contains(l.Place.Keys, l.algorithm) {
		return skip{problem.New(problem.Unsupported, "no such keys are made here")}
	}
	if l.before, err = l.others(); err != nil {
		return err
	}
	asked, err := l.during(right, l.making(l.algorithm, l.allow(l.Open().Name(), l.Place.ID, 1)))
	l.asks = len(asked) > 0
	k := l.key
	switch {
	case err != nil:
		return err
	case AlgorithmOf(k.Public) != l.algorithm || k.Algorithm != l.algorithm:
		return errors.New("the key is of another kind")
	case !samePublicKey(k.Public, l.session.Public()):
		return errors.New("the session is of another key")
	case k.Store != l.Open().Name() || k.Place != l.Place.ID || k.Label != selfTestLabel || k.Where == "" || len(k.Chain) > 0:
		return errors.New("the key's description is wrong")
	}
	return nil
}

// request signs a certificate request with the session that made the key, and wants the second one refused.
func (l *life) request() error {
	defer l.close()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, l.session)
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
	if !samePublicKey(csr.PublicKey, l.key.Public) {
		return errors.New("the request holds another key")
	}
	_, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, l.session)
	return refused("a second signature", err, problem.ConsentSpent)
}

// listed wants the key found by a new start, with that certificate.
func (l *life) listed(certificate []byte) error {
	keys, err := l.Open().List(l.ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == l.key.ID })
	switch {
	case i < 0:
		return errors.New("the key is not listed")
	case keys[i].Public != nil && !samePublicKey(keys[i].Public, l.key.Public):
		return errors.New("another public key is listed")
	case keys[i].Label != l.key.Label:
		return errors.New("another label is listed")
	case certificate == nil && len(keys[i].Chain) > 0:
		return errors.New("a certificate is listed that nobody stored")
	case certificate != nil && (len(keys[i].Chain) == 0 || !bytes.Equal(keys[i].Chain[0], certificate)):
		return errors.New("the certificate is not listed")
	}
	return l.nothingNew() // an issuer's certificate is no key
}

func (l *life) unknown() error {
	name := l.Open().Name()
	for _, id := range []string{"", ".", "../../etc/passwd", l.Place.ID, l.Place.ID + ".k00", "\x00"} {
		err := l.unasked(fmt.Sprintf("the ID %q", id), l.opening(id, l.allow(name, id, 1)), problem.KeyAbsent, problem.TokenAbsent)
		if err != nil {
			return err
		}
	}
	return l.unasked("a key of another kind", l.making("rsa1024", l.allow(name, l.Place.ID, 1)), problem.Unsupported)
}

// noQuestion is why a store shows nothing of how it deals with answers.
var noQuestion = skip{problem.New(problem.Unsupported, "the store itself asks for no PIN")}

func (l *life) cancel() error {
	if !l.asks {
		return noQuestion
	}
	name := l.Open().Name()
	for what, op := range map[string]func(AskPIN) error{
		"opening": l.opening(l.key.ID, l.allow(name, l.key.ID, 1)), "making": l.making(l.algorithm, l.allow(name, l.Place.ID, 1)),
		"storing": func(pin AskPIN) error {
			chain, err := testChain(l.key.Public, selfTestLabel, selfTestIssuer, selfTestIssuer)
			if err != nil {
				return err
			}
			return l.attaching(chain)(pin)
		},
	} {
		if _, err := l.during(cancelled, op); problem.CodeOf(err) != problem.UserCancelled {
			return refused(what, err, problem.UserCancelled)
		}
	}
	return l.listed(nil)
}

func (l *life) wrongPIN() error {
	switch {
	case !l.asks:
		return noQuestion
	case !l.Place.NewPIN && !l.WrongPIN:
		return skip{problem.New(problem.UserCancelled, "not asked for: it costs the token one of its tries")}
	}
	chain, err := testChain(l.key.Public, selfTestLabel, selfTestIssuer, selfTestIssuer)
	if err != nil {
		return err
	}
	consent := l.allow(l.Open().Name(), l.key.ID, 1)
	defer l.close()
	for _, op := range []func(AskPIN) error{l.opening(l.key.ID, consent), l.attaching(chain)} {
		_, err := l.during(wrong, op)
		if broken := refused("a wrong PIN", err, problem.PINIncorrect); broken != nil {
			return broken
		}
		tried := spoilt(l.held)
		defer tried.Wipe()
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), string(tried.Bytes())) {
			return errors.New("the PIN is in the error")
		}
		if _, err := l.during(right, l.opening(l.key.ID, consent)); err != nil {
			return fmt.Errorf("the right PIN after a wrong one: %w", err)
		}
	}
	return l.listed(nil)
}

// attach stores a certificate of a CA that is made up for it, wants one for another key refused, and stores the next.
func (l *life) attach() error {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	chains := make([][][]byte, 3)
	for i, public := range []crypto.PublicKey{other.Public(), l.key.Public, l.key.Public} {
		if chains[i], err = testChain(public, selfTestLabel, selfTestIssuer, selfTestIssuer); err != nil {
			return err
		}
	}
	for what, chain := range map[string][][]byte{
		"a certificate for another key": chains[0], "no certificate": nil, "what is no certificate": {[]byte("x")},
	} {
		if err := l.unasked(what, l.attaching(chain), problem.CertificateMismatch); err != nil {
			return err
		}
	}
	if err := l.listed(nil); err != nil {
		return err
	}
	for _, chain := range chains[1:] { // the second takes the place of the first
		if _, err := l.during(right, l.attaching(chain)); err != nil {
			return err
		}
		if err := l.listed(chain[0]); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) withoutConsent() error {
	name := l.Open().Name()
	for what, consent := range map[string]*Consent{
		"no consent": nil, "a consent that nobody gave": new(Consent), "a consent for another key": l.allow(name, l.key.ID+"0", 1),
		"a consent for another store": l.allow("other", l.key.ID, 1), "a consent for another place": l.allow(name, l.Place.Label, 1),
	} {
		for _, op := range []func(AskPIN) error{l.opening(l.key.ID, consent), l.making(l.algorithm, consent)} {
			if err := l.unasked(what, op, problem.ConsentSpent); err != nil {
				return err
			}
		}
	}
	return l.nothingNew()
}

// signatures is how many the test consents to: one for each hash and padding, and one for another session.
const signatures = 7

func (l *life) open() error {
	l.consent, l.left = l.allow(l.Open().Name(), l.key.ID, signatures), signatures
	asked, err := l.during(right, l.opening(l.key.ID, l.consent))
	switch {
	case err != nil:
		return err
	case !samePublicKey(l.session.Public(), l.key.Public):
		return errors.New("the session is of another key")
	case l.asks != (len(asked) == 1):
		return errors.New("a PIN is asked for when a key is made and not when it is opened, or the other way round")
	case l.asks && (asked[0].Purpose != PurposeSign || asked[0].New || asked[0].Label == "" || asked[0].Where == ""):
		return errors.New("the question for the PIN does not say what it is for")
	}
	return nil
}

func signs(hash crypto.Hash) func(*life) error {
	return func(l *life) error { return l.sign(hash, hash) }
}

// signsPSS is skipped where the store offers no PSS.
func signsPSS(hash crypto.Hash) func(*life) error {
	return func(l *life) error {
		err := l.sign(hash, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
		if problem.CodeOf(err) == problem.Unsupported {
			return skip{err}
		}
		return err
	}
}

// notOpen is why what needs an open key is skipped: opening it is a check of its own.
var notOpen = skip{problem.New(problem.KeyAbsent, "the key was not opened")}

// sign wants a signature that the standard library verifies.
func (l *life) sign(hash crypto.Hash, opts crypto.SignerOpts) error {
	if l.session == nil {
		return notOpen
	}
	h := hash.New()
	h.Write([]byte(selfTestLabel))
	digest := h.Sum(nil)
	signature, err := l.session.Sign(rand.Reader, digest, opts)
	if problem.CodeOf(err) != problem.Unsupported {
		l.left--
	}
	if err != nil {
		return err
	}
	valid := false
	switch public := l.key.Public.(type) {
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

// refuse wants what must not be signed refused. That it spends nothing the next check sees.
func (l *life) refuse() error {
	if l.session == nil {
		return notOpen
	}
	digest := make([]byte, crypto.SHA256.Size())
	for what, try := range map[string]struct {
		digest []byte
		opts   crypto.SignerOpts
	}{
		"SHA-1": {digest[:20], crypto.SHA1}, "no hash": {digest, crypto.Hash(0)}, "a digest of another length": {digest, crypto.SHA512},
		"PSS with a salt of another length": {digest, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20}},
	} {
		_, err := l.session.Sign(rand.Reader, try.digest, try.opts)
		if err := refused(what, err, problem.Unsupported); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) spend() error {
	if l.session == nil {
		return notOpen
	}
	for l.left > 1 {
		if err := l.sign(crypto.SHA256, crypto.SHA256); err != nil {
			return fmt.Errorf("%d signatures are left: %w", l.left, err)
		}
	}
	closed := l.session
	l.close()
	if _, err := closed.Sign(rand.Reader, make([]byte, crypto.SHA256.Size()), crypto.SHA256); err == nil {
		return errors.New("a closed session signs")
	}
	if _, err := l.during(right, l.opening(l.key.ID, l.consent)); err != nil {
		return fmt.Errorf("one signature is left: %w", err)
	}
	if err := l.sign(crypto.SHA256, crypto.SHA256); err != nil {
		return fmt.Errorf("one signature is left: %w", err)
	}
	if err := refused("one signature more", l.sign(crypto.SHA256, crypto.SHA256), problem.ConsentSpent); err != nil {
		return err
	}
	return l.unasked("a spent consent", l.opening(l.key.ID, l.consent), problem.ConsentSpent)
}

func (l *life) delete() error {
	l.close()
	if _, err := l.during(right, l.deleting); err != nil {
		return err
	}
	l.deleted = true
	_, err := l.during(right, l.opening(l.key.ID, l.allow(l.Open().Name(), l.key.ID, 1)))
	if err := refused("the deleted key", err, problem.KeyAbsent); err != nil {
		return err
	}
	_, err = l.during(right, l.deleting)
	return refused("deleting it again", err, problem.KeyAbsent)
}

func (l *life) gone() error {
	keys, err := l.Open().List(l.ctx)
	if err == nil && slices.ContainsFunc(keys, func(k Key) bool { return k.ID == l.key.ID }) {
		err = errors.New("the key is still listed")
	}
	return errors.Join(err, l.nothingNew())
}
