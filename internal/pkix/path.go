package pkix

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Path is certificates from an end certificate (first) to an anchor (last), each issued by the next one's name and key.
type Path []*Certificate

// Anchor returns the path's last certificate.
func (p Path) Anchor() *Certificate { return p[len(p)-1] }

// DER returns the certificates as they stand.
func (p Path) DER() [][]byte {
	out := make([][]byte, len(p))
	for i, c := range p {
		out[i] = c.Raw
	}
	return out
}

// Verifier finds and judges paths to its anchors. It is for one validation and not for concurrent use.
type Verifier struct {
	anchors   []*Certificate
	pool      []*Certificate
	bySubject map[string][]*Certificate // anchors and pool
	known     map[[sha256.Size]byte]bool
	crls      []*CRL
	ocsps     []*OCSPResponse
	checked   map[[2][sha256.Size]byte]bool
	spent     int                        // signature checks
	steps     int                        // of the search for paths
	judging   map[[sha256.Size]byte]bool // certificates whose status is being found out
}

// NewVerifier returns a verifier that believes those certificates, whatever they are, and no other.
func NewVerifier(anchors []*Certificate) *Verifier {
	v := &Verifier{
		bySubject: make(map[string][]*Certificate),
		known:     make(map[[sha256.Size]byte]bool),
		checked:   make(map[[2][sha256.Size]byte]bool),
		judging:   make(map[[sha256.Size]byte]bool),
	}
	for _, c := range anchors {
		if v.enter(c) {
			v.anchors = append(v.anchors, c)
		}
	}
	return v
}

// AddCertificate offers an unverified certificate for paths. Beyond MaxPool it is left out.
func (v *Verifier) AddCertificate(c *Certificate) {
	if len(v.pool) < MaxPool && v.enter(c) {
		v.pool = append(v.pool, c)
	}
}

// AddCRL offers an unverified CRL.
func (v *Verifier) AddCRL(l *CRL) { v.crls = append(v.crls, l) }

// AddOCSP offers an unverified OCSP response.
func (v *Verifier) AddOCSP(r *OCSPResponse) { v.ocsps = append(v.ocsps, r) }

func (v *Verifier) enter(c *Certificate) bool {
	if v.known[c.fingerprint] {
		return false
	}
	v.known[c.fingerprint] = true
	v.bySubject[c.Subject.key()] = append(v.bySubject[c.Subject.key()], c)
	return true
}

func (v *Verifier) isAnchor(c *Certificate) bool { return slices.ContainsFunc(v.anchors, c.same) }

// Paths returns the paths from a certificate to any anchor whose names chain and whose signatures verify; nothing else of
// them is judged. An anchor's own path is itself alone. At most MaxPaths are returned, the likeliest first.
func (v *Verifier) Paths(leaf *Certificate) iter.Seq[Path] {
	return func(yield func(Path) bool) {
		left := MaxPaths
		var climb func(Path) bool
		climb = func(p Path) bool {
			last := p[len(p)-1]
			if v.isAnchor(last) {
				left--
				return yield(slices.Clone(p)) && left > 0
			}
			if len(p) == MaxPath {
				return true
			}
			if v.steps++; v.steps > MaxSteps { // cross-certificates make more ways than there are certificates
				return false
			}
			for _, issuer := range v.issuers(last) {
				if slices.ContainsFunc(p, issuer.sameEntity) || !v.mayHaveSigned(issuer, last) {
					continue
				}
				if !climb(append(p[:len(p):len(p)], issuer)) {
					return false
				}
			}
			return true
		}
		climb(Path{leaf})
	}
}

// issuers returns the certificates of the issuer's name: anchors first, then those whose key identifier fits, then the
// newest.
func (v *Verifier) issuers(c *Certificate) []*Certificate {
	found := slices.Clone(v.bySubject[c.Issuer.key()])
	rank := func(d *Certificate) int {
		r := 0
		if !v.isAnchor(d) {
			r += 2
		}
		if !bytes.Equal(c.authorityKeyID, d.subjectKeyID) {
			r++
		}
		return r
	}
	slices.SortStableFunc(found, func(a, b *Certificate) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.NotBefore.Compare(a.NotBefore))
	})
	return found
}

// mayHaveSigned verifies a certificate's signature, except with a DSA key whose parameters are known only once the path is.
func (v *Verifier) mayHaveSigned(issuer, c *Certificate) bool {
	if KeyBits(issuer.PublicKey) == 0 && inherit(issuer.PublicKey, nil) != issuer.PublicKey {
		return true
	}
	return v.verify(c.fingerprint, issuer.fingerprint, c.SignatureAlgorithm, issuer.PublicKey, c.RawTBS, c.Signature)
}

// verify is CheckSignature with memory and budget.
func (v *Verifier) verify(what, who [sha256.Size]byte, algorithm Algorithm, key crypto.PublicKey, tbs, value []byte) bool {
	id := [2][sha256.Size]byte{what, who}
	if valid, known := v.checked[id]; known {
		return valid
	}
	if v.spent >= MaxSignatures {
		return false
	}
	v.spent++
	valid := CheckSignature(algorithm, key, tbs, value) == nil
	v.checked[id] = valid
	return valid
}

// Exhausted tells whether something was left unexamined because the budget was spent.
func (v *Verifier) Exhausted() bool { return v.spent >= MaxSignatures || v.steps > MaxSteps }

// Input is what RFC 5280, 6.1.1 calls the inputs, beside path and anchor.
type Input struct {
	At time.Time
	// AnyTimeForLeaf leaves the end certificate's own validity to the caller.
	AnyTimeForLeaf bool
	Policies       []string // user-initial-policy-set; nil is any policy
	ExplicitPolicy bool
	InhibitMapping bool
	InhibitAny     bool
}

// Failure says why a path is not valid.
type Failure struct {
	Kind        FailureKind
	Index       int // of the certificate in the path
	Certificate *Certificate
	Text        string // completes "the certificate of X …"
}

// FailureKind is the kind of a Failure.
type FailureKind string

// The kinds of failure.
const (
	FailedSignature   FailureKind = "signature"
	FailedValidity    FailureKind = "validity"
	FailedConstraints FailureKind = "constraints" // basicConstraints, pathLen, keyUsage, names
	FailedExtension   FailureKind = "extension"   // critical and unknown, or unreadable
	FailedPolicy      FailureKind = "policy"
)

func (f *Failure) Error() string {
	return fmt.Sprintf("the certificate of %s %s", f.Certificate.Subject, f.Text)
}

// Check judges a path by RFC 5280, 6.1, except for revocation. It returns the user-constrained-policy-set, or a *Failure.
func (v *Verifier) Check(p Path, in Input) (policies []string, err error) {
	n := len(p) - 1 // the anchor is an input and not a part of the path (6.1.1)
	state := newPolicyState(n, in)
	names := &nameConstraints{}
	maxPath, key, keyOf := n, p.Anchor().PublicKey, p.Anchor()
	if n == 0 {
		return nil, checkValidity(p, 0, in)
	}
	for i := n - 1; i >= 0; i-- {
		c, last := p[i], i == 0
		fail := func(kind FailureKind, format string, args ...any) ([]string, error) {
			return nil, &Failure{Kind: kind, Index: i, Certificate: c, Text: fmt.Sprintf(format, args...)}
		}
		// 6.1.3 (a)
		if !c.Issuer.Equal(keyOf.Subject) || !v.verify(c.fingerprint, keyOf.fingerprint, c.SignatureAlgorithm, key, c.RawTBS, c.Signature) {
			return fail(FailedSignature, "is not signed by its issuer")
		}
		if inner, ok := algorithmOf(c.innerAlgorithm); !ok || inner.OID != c.SignatureAlgorithm.OID || !sameParameters(inner, c.SignatureAlgorithm) {
			return fail(FailedExtension, "names two different signature algorithms") // RFC 5280, 4.1.1.2
		}
		if err := checkValidity(p, i, in); err != nil {
			return nil, err
		}
		if c.fault != "" {
			return fail(FailedExtension, "has an extension %s that cannot be read or occurs twice", c.fault)
		}
		if !c.SelfIssued() || last {
			if refused := names.check(c); refused != "" { // 6.1.3 (b), (c)
				return fail(FailedConstraints, "holds %s", refused)
			}
		}
		if !state.process(c, last) {
			return fail(FailedPolicy, "is not valid for any certificate policy, and one is demanded")
		}
		if c.alien != "" { // 6.1.4 (o), 6.1.5 (f)
			return fail(FailedExtension, "has a critical extension %s that is not understood", c.alien)
		}
		if last {
			break
		}
		// 6.1.4
		if !state.prepare(c) {
			return fail(FailedPolicy, "maps a policy from or to anyPolicy")
		}
		names.add(c)
		key, keyOf = inherit(c.PublicKey, key), c
		switch {
		case c.Version != 3 || !c.isCA:
			return fail(FailedConstraints, "is not a CA's")
		case !c.HasUsage(UsageCertSign):
			return fail(FailedConstraints, "may not sign certificates")
		}
		if !c.SelfIssued() {
			if maxPath <= 0 {
				return fail(FailedConstraints, "makes the path longer than a CA above it allows")
			}
			maxPath--
		}
		lower(&maxPath, c.pathLen)
	}
	set, ok := state.finish(p[0])
	if !ok {
		return nil, &Failure{Kind: FailedPolicy, Certificate: p[0], Text: "is not valid for any certificate policy that is demanded"}
	}
	return set, nil
}

func checkValidity(p Path, i int, in Input) error {
	c := p[i]
	if in.AnyTimeForLeaf && i == 0 || c.ValidAt(in.At) {
		return nil
	}
	text := "expired on " + c.NotAfter.Format(time.RFC3339)
	if in.At.Before(c.NotBefore) {
		text = "is not valid before " + c.NotBefore.Format(time.RFC3339)
	}
	return &Failure{Kind: FailedValidity, Index: i, Certificate: c, Text: text}
}

// sameParameters takes absent and NULL parameters for the same.
func sameParameters(a, b Algorithm) bool {
	absent := func(p []byte) bool { return len(p) == 0 || bytes.Equal(p, []byte{5, 0}) }
	return absent(a.Parameters) && absent(b.Parameters) || bytes.Equal(a.Parameters, b.Parameters)
}
