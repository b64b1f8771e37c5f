package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"certsign/internal/problem"
)

// Enroller runs ceremonies: from a key and its CSR, over the portal's one-time token, to the certificate beside the key.
// A ceremony outlives the process: what Begin returned can be finished after a crash at any moment.
type Enroller interface {
	// Begin makes a key and a CSR. When it fails, or its ctx ends first, no key is left behind, but for one that only a PIN on a
	// reader's own pad could delete.
	Begin(ctx context.Context, req BeginRequest, hands *Hands) (*Ceremony, error)
	// Finish fetches the certificate with the token and stores it beside the key. "" for the token takes up a ceremony that
	// has one already. ceremony_unknown when there is none with that ID for that site; token_*, ca_unreachable, ca_mismatch,
	// certificate_mismatch as the CA's answer goes; whatever the store says when the certificate cannot be stored now. After
	// any of them Finish can be called again.
	Finish(ctx context.Context, id, token string, site Site, hands *Hands) (*Ceremony, error)
	// Resume finishes what can be finished without asking anybody, and cleans what can be cleaned without losing anything.
	Resume(ctx context.Context, hands *Hands) error
	// Abandon deletes a key by calling del, forgets its ceremonies and returns those that were not finished. busy, and
	// nothing is deleted, while one of them is being finished.
	Abandon(store, key string, del func() error) ([]Ceremony, error)
	// Ceremonies returns those that are not finished and those that were lately, oldest first.
	Ceremonies() ([]Ceremony, error)
}

// BeginRequest is what the person chose.
type BeginRequest struct {
	ID    string // NewCeremonyID's
	Site  Site
	Where StoreAnswer
}

// Ceremony is one enrolment as it stands.
type Ceremony struct {
	ID        string    `json:"id"`
	Site      string    `json:"site"`
	Origin    Origin    `json:"origin"`
	Store     string    `json:"store"`
	Place     string    `json:"place"`
	Key       string    `json:"key"` // a Key.ID
	Label     string    `json:"label"`
	CSR       []byte    `json:"csr"`       // DER
	CSRSHA256 string    `json:"csrSHA256"` // hex
	Evidence  Evidence  `json:"evidence"`
	State     string    `json:"state"`
	Created   time.Time `json:"created"`
	Chain     [][]byte  `json:"chain,omitempty"` // DER, once issued
}

// CeremonyDone is the State of a ceremony whose certificate lies beside its key.
const CeremonyDone = "done"

// NewCeremonyID returns a name that nobody can guess.
func NewCeremonyID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Hands are what a ceremony may do beside its own bookkeeping: use the key that the person agreed to, store the
// certificate, delete a key that never got one. Only the core makes them.
type Hands struct {
	agent    *Agent
	caller   caller
	ceremony string
	quiet    bool // nobody is asked
}

// Generate makes the key where the person chose, with a session for exactly one signature, the CSR's. The caller closes
// the session and calls done.
func (h *Hands) Generate(ctx context.Context, where StoreAnswer) (key Key, s Session, done func(), err error) {
	store, err := h.agent.store(where.Store)
	if err != nil {
		return Key{}, nil, nil, err
	}
	consent := newConsent(where.Store, where.Place, 1)
	req := GenerateRequest{Place: where.Place, Algorithm: where.Algorithm, Label: where.Label}
	err = h.agent.withPIN(ctx, h.caller, askFor{purpose: PurposeEnroll, keep: h.ceremony}, func(ask AskPIN) error {
		var err error
		key, s, err = store.Generate(ctx, req, consent, ask)
		return err
	})
	if err != nil {
		consent.revoke()
		return Key{}, nil, nil, err
	}
	return key, s, consent.revoke, nil
}

// Keys lists a store.
func (h *Hands) Keys(ctx context.Context, store string) ([]Key, error) {
	s, err := h.agent.store(store)
	if err != nil {
		return nil, err
	}
	return s.List(ctx)
}

// Attach stores the certificate beside its key. The PIN of the first leg serves while it is kept.
func (h *Hands) Attach(ctx context.Context, store, key string, chain [][]byte) error {
	s, err := h.agent.store(store)
	if err != nil {
		return err
	}
	at, ok := s.(Attacher)
	if !ok {
		return problem.New(problem.Unsupported, "the store %q keeps no certificates", store)
	}
	return h.withPIN(ctx, PurposeStore, func(ask AskPIN) error { return at.Attach(ctx, key, chain, ask) })
}

// Delete deletes a key that never got a certificate. It asks for no PIN that is not kept, nor lets a reader ask on its pad.
func (h *Hands) Delete(ctx context.Context, store, key string) error {
	s, err := h.agent.store(store)
	if err != nil {
		return err
	}
	d, ok := s.(Deleter)
	if !ok {
		return problem.New(problem.Unsupported, "the store %q deletes no keys", store)
	}
	silent := &Hands{agent: h.agent, caller: h.caller, ceremony: h.ceremony, quiet: true}
	err = silent.withPIN(ctx, PurposeDelete, func(ask AskPIN) error { return d.Delete(ctx, key, ask) })
	if err == nil {
		err = h.agent.record(Entry{Event: LogCeremonyCleaned, Origin: h.caller.origin.String(), Ceremony: h.ceremony, Store: store, Key: key})
	}
	return err
}

func (h *Hands) withPIN(ctx context.Context, purpose Purpose, op func(AskPIN) error) error {
	if !h.quiet {
		return h.agent.withPIN(ctx, h.caller, askFor{purpose: purpose, keep: h.ceremony, queue: true}, op)
	}
	return op(func(_ context.Context, req PINRequest) (*Secret, error) {
		if s := h.agent.secrets.get(h.ceremony, req); s != nil {
			return s, nil
		}
		return nil, problem.New(problem.UserCancelled, "nobody is asked for a PIN now")
	})
}

// Forget wipes the PIN that was kept for the ceremony.
func (h *Hands) Forget() { h.agent.secrets.forget(h.ceremony) }

// Show tells the person which certificate came, before it is stored.
func (h *Hands) Show(ctx context.Context, c *Ceremony) {
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return
	}
	key := Key{Store: c.Store, ID: c.Key, Chain: c.Chain, Label: c.Label}
	if keys, err := h.Keys(ctx, c.Store); err == nil {
		if n := slices.IndexFunc(keys, func(k Key) bool { return k.ID == c.Key }); n >= 0 {
			key.Where, key.Hardware = keys[n].Where, keys[n].Hardware
		}
	}
	h.agent.tellEnrolled(ctx, c.Origin, Identity{Key: key, Certificate: leaf})
}

// tellEnrolled tells the person of a certificate that lies beside its key now, or is about to; a copy of the key is offered
// where its store makes one.
func (a *Agent) tellEnrolled(ctx context.Context, o Origin, i Identity) {
	v := i.view(a.now())
	notice := Notice{Kind: NoticeEnrolled, Origin: o, Certificate: &v}
	if s, err := a.store(i.Key.Store); err == nil {
		if _, can := s.(Copier); can {
			notice.Copy = func(ctx context.Context) ([]byte, string, error) { return a.CopyLocal(ctx, i.Key) }
		}
	}
	a.prompter.Notify(ctx, notice)
}

// Site returns the site's entry as it stands now.
func (h *Hands) Site(o Origin) (Site, error) { return h.agent.sites.Find(o) }

// For returns the same hands for another ceremony.
func (h *Hands) For(ceremony string) *Hands {
	other := *h
	other.ceremony = ceremony
	return &other
}

// Record journals a step of the ceremony.
func (h *Hands) Record(e Entry) error {
	e.Origin, e.Request, e.Ceremony = h.caller.origin.String(), h.caller.request, h.ceremony
	return h.agent.record(e)
}

// Wish is what the one who asks would like; the person decides.
type Wish struct {
	Store     string
	Algorithm KeyAlgorithm
	Label     string
}

// doEnroll is the first leg: where, key, CSR.
func (a *Agent) doEnroll(ctx context.Context, c caller, params json.RawMessage) (any, error) {
	var p EnrollParams
	if err := readParams(params, &p); err != nil {
		return nil, err
	}
	if p.CA != "" && strings.TrimRight(p.CA, "/") != c.site.CA {
		return nil, problem.New(problem.CAMismatch, "the page names a certification authority that is not this site's")
	}
	if err := noRequest(p.Request); err != nil {
		return nil, err
	}
	if p.Label != "" && (!plainName(p.Label) || len([]rune(p.Label)) > 64) {
		return nil, problem.New(problem.BadRequest, "the label cannot be shown")
	}
	cer, err := a.enroll(ctx, c, Wish{Store: p.Store, Algorithm: KeyAlgorithm(p.Key), Label: p.Label})
	if err != nil {
		return nil, err
	}
	return EnrollResult{
		Ceremony: cer.ID, CSR: base64.StdEncoding.EncodeToString(cer.CSR), CSRSHA256: cer.CSRSHA256,
		Evidence: cer.Evidence,
	}, nil
}

// EvidenceOf is what is stated of how a key came to be, as its store says.
func EvidenceOf(k Key) Evidence {
	return Evidence{
		Store: k.Store, Hardware: k.Hardware, Algorithm: string(k.Algorithm), By: k.Made.By,
		Local: k.Made.Local, NeverExtractable: k.Made.NeverExtractable,
	}
}

// noRequest refuses a portal's signed request: this version does not check any, and one that is taken and not checked
// would promise what it does not keep.
func noRequest(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return problem.New(problem.Unsupported, "signed requests are not understood by this version")
}

// EnrollLocal is the first leg for the person's own shell; the Prompter that the command wired answers.
func (a *Agent) EnrollLocal(ctx context.Context, site Site, wish Wish) (*Ceremony, error) {
	c := caller{origin: LocalOrigin, site: site}
	if err := a.record(Entry{Event: LogRequest, Origin: LocalOrigin.String(), Method: MethodEnroll}); err != nil {
		return nil, err
	}
	cer, err := a.enroll(ctx, c, wish)
	if err != nil {
		return nil, errors.Join(err, a.record(Entry{Event: LogRefused, Origin: LocalOrigin.String(), Method: MethodEnroll, Code: string(problem.CodeOf(err))}))
	}
	return cer, nil
}

func (a *Agent) enroll(ctx context.Context, c caller, wish Wish) (*Ceremony, error) {
	if !c.site.May(MayEnroll) || c.site.CA == "" {
		return nil, problem.New(problem.SiteUnknown, "no certification authority is set for this site")
	}
	if a.enroller == nil {
		return nil, problem.New(problem.Unsupported, "this agent does not enrol")
	}
	leave, err := a.asking.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := a.approval.patient(c.origin); err != nil { // now: others may have been refused before it was its turn
		return nil, err
	}
	where, err := a.chooseStore(ctx, c, wish)
	if err != nil {
		return nil, err
	}
	id := NewCeremonyID()
	hands := &Hands{agent: a, caller: c, ceremony: id}
	cer, err := a.enroller.Begin(ctx, BeginRequest{ID: id, Site: c.site, Where: where}, hands)
	if err != nil {
		hands.Forget()
		return nil, err
	}
	return cer, nil
}

// chooseStore is the window "Cryptographic service configuration" and the check of its answer.
func (a *Agent) chooseStore(ctx context.Context, c caller, wish Wish) (StoreAnswer, error) {
	offers := &lookout[[]StoreOffer]{look: a.storeOffers}
	q := StoreQuestion{Origin: c.origin, Site: c.site.Name, CA: caName(c.site), Stores: offers.again(ctx), Look: offers.again}
	if a.mayCome(q.Stores) {
		q.Watch = a.watch()
	}
	usable := func(o StoreOffer) bool {
		return o.Unavailable == "" && slices.ContainsFunc(o.Places, func(p Place) bool { return p.Problem == "" })
	}
	if q.Watch == nil && !slices.ContainsFunc(q.Stores, usable) {
		return StoreAnswer{}, problem.New(problem.StoreUnavailable, "there is nowhere to keep a key")
	}
	if slices.ContainsFunc(q.Stores, func(o StoreOffer) bool { return o.Store == wish.Store }) {
		q.Wish = wish.Store
	}
	q.Algorithm = preferredKey(q.Stores, wish.Algorithm)
	c.awaiting("store")
	open, end := context.WithCancel(ctx) // whatever watches ends with the question
	answer, err := a.prompter.ConfigureStore(open, q)
	end()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() == nil && problem.CodeOf(err) == problem.UserCancelled {
			a.approval.declined(c.origin)
		}
		log := Entry{Event: LogConsentRefused, Origin: c.origin.String(), Request: c.request, Method: MethodEnroll, Code: string(problem.CodeOf(err))}
		return StoreAnswer{}, errors.Join(err, a.record(log))
	}
	a.approval.accepted(c.origin)
	if answer.Label == "" {
		answer.Label = wish.Label
	}
	if answer.Label == "" {
		answer.Label = c.site.Name + " " + a.now().Format(time.DateOnly)
	}
	for _, o := range offers.last() {
		for _, p := range o.Places {
			if o.Store == answer.Store && p.ID == answer.Place && o.Unavailable == "" {
				if p.Problem != "" {
					return StoreAnswer{}, problem.New(problem.Code(p.Problem), "no key can be made at %s now", p.Label)
				}
				if !slices.Contains(p.Keys, answer.Algorithm) {
					return StoreAnswer{}, problem.New(problem.Unsupported, "%s makes no %s keys", p.Label, answer.Algorithm)
				}
				log := Entry{Event: LogConsent, Origin: c.origin.String(), Request: c.request, Method: MethodEnroll, Store: answer.Store}
				return answer, a.record(log)
			}
		}
	}
	return StoreAnswer{}, problem.New(problem.StoreUnavailable, "there is no store %q with such a place", answer.Store)
}

// storeOffers asks every store what it has at this moment; hardware comes first.
func (a *Agent) storeOffers(ctx context.Context) []StoreOffer {
	var hard, soft []StoreOffer
	for _, s := range a.stores {
		o := StoreOffer{Store: s.Name()}
		pl, ok := s.(Placer)
		if !ok {
			continue
		}
		places, err := pl.Places(ctx)
		switch {
		case err != nil:
			o.Unavailable = string(problem.CodeOf(err))
			a.log.Warn("a store has no places", "store", s.Name(), "err", err)
		case len(places) == 0:
			o.Unavailable = string(problem.TokenAbsent)
		}
		o.Places = places
		if slices.ContainsFunc(places, func(p Place) bool { return p.Hardware }) {
			hard = append(hard, o)
		} else {
			soft = append(soft, o)
		}
	}
	return append(hard, soft...)
}

// preferredKey is the wished algorithm where some place makes it, else P-256, else whatever is made.
func preferredKey(offers []StoreOffer, wish KeyAlgorithm) KeyAlgorithm {
	var all []KeyAlgorithm
	for _, o := range offers {
		for _, p := range o.Places {
			all = append(all, p.Keys...)
		}
	}
	for _, k := range []KeyAlgorithm{wish, P256} {
		if k != "" && slices.Contains(all, k) {
			return k
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return P256
}

func caName(s Site) string {
	if len(s.roots) == 0 {
		return s.CA
	}
	return fmt.Sprintf("%s (%s)", displayName(s.roots[0].RawSubject), s.CA)
}

const (
	maxToken   = 16 << 10
	finishTime = 10 * time.Minute // the person may be asked for a PIN
)

// doEnrollFinish is the second leg.
func (a *Agent) doEnrollFinish(ctx context.Context, c caller, params json.RawMessage) (any, error) {
	var p EnrollFinishParams
	if err := readParams(params, &p); err != nil {
		return nil, err
	}
	if len(p.Token) > maxToken {
		return nil, problem.New(problem.TooLarge, "the token is too long")
	}
	cer, err := a.finish(ctx, c, p.Ceremony, p.Token)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(cer.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("read the new certificate: %w", err)
	}
	return EnrollFinishResult{certificateResult(leaf, cer.Chain, cer.Store)}, nil
}

// FinishLocal is the second leg for the person's own shell.
func (a *Agent) FinishLocal(ctx context.Context, id, token string) (*Ceremony, error) {
	if a.enroller == nil {
		return nil, problem.New(problem.Unsupported, "this agent does not enrol")
	}
	if err := a.record(Entry{Event: LogRequest, Origin: LocalOrigin.String(), Method: MethodEnrollFinish}); err != nil {
		return nil, err
	}
	all, err := a.enroller.Ceremonies()
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(all, func(c Ceremony) bool { return c.ID == id })
	if n < 0 {
		return nil, problem.New(problem.CeremonyUnknown, "no such ceremony is open")
	}
	site, err := a.sites.Find(all[n].Origin)
	if err != nil {
		return nil, err
	}
	cer, err := a.finish(ctx, caller{origin: LocalOrigin, site: site}, id, token)
	if err != nil {
		return nil, errors.Join(err, a.record(Entry{Event: LogRefused, Origin: LocalOrigin.String(), Method: MethodEnrollFinish, Code: string(problem.CodeOf(err))}))
	}
	return cer, nil
}

func (a *Agent) finish(ctx context.Context, c caller, id, token string) (*Ceremony, error) {
	if a.enroller == nil || !c.site.May(MayEnroll) || c.site.CA == "" {
		return nil, problem.New(problem.SiteUnknown, "no certification authority is set for this site")
	}
	// A token that is spent must not be lost because a page was closed: from here only the agent's own end stops it.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	defer context.AfterFunc(a.life, cancel)()
	cer, err := a.enroller.Finish(work, id, token, c.site, &Hands{agent: a, caller: c, ceremony: id, quiet: false})
	if err != nil {
		return nil, err
	}
	a.secrets.forget(id)
	return cer, nil
}

// ResumeCeremonies takes up what an earlier run left, without asking anybody.
func (a *Agent) ResumeCeremonies(ctx context.Context) error {
	if a.enroller == nil {
		return nil
	}
	return a.enroller.Resume(ctx, &Hands{agent: a, caller: caller{origin: LocalOrigin}, quiet: true})
}

// Ceremonies returns the enrolments that are not finished.
func (a *Agent) Ceremonies() ([]Ceremony, error) {
	if a.enroller == nil {
		return nil, nil
	}
	all, err := a.enroller.Ceremonies()
	return slices.DeleteFunc(all, func(c Ceremony) bool { return c.State == CeremonyDone }), err
}

// CSRDigest is how the portal and the CA name a CSR.
func CSRDigest(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
