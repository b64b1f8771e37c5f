package csp

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"log/slog"
	"slices"

	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
)

// Config says what the store needs.
type Config struct {
	// Chains is the folder in which the certificates above those that are attached are kept. It is made when it is needed.
	Chains string
	// Log gets what is left out of a list; nil is nothing.
	Log *slog.Logger
}

// Store is the person's keys in the Windows certificate store.
type Store struct {
	chains issuers
	log    *slog.Logger
}

// New returns the store. Nothing is opened before it is used.
func New(config Config) *Store {
	if config.Log == nil {
		config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Store{chains: issuers(config.Chains), log: config.Log}
}

var (
	_ agent.KeyStore = (*Store)(nil)
	_ agent.Attacher = (*Store)(nil)
	_ agent.Placer   = (*Store)(nil)
	_ agent.Deleter  = (*Store)(nil)
	_ agent.Importer = (*Store)(nil)
)

// Name implements agent.KeyStore.
func (*Store) Name() string { return Name }

// Places returns the store, with a problem when Microsoft's provider does not open.
func (*Store) Places(context.Context) ([]agent.Place, error) {
	p := agent.Place{ID: PlaceID, Label: place, Detail: rsaProvider, State: agent.PINOK, Keys: []agent.KeyAlgorithm{agent.RSA2048, agent.RSA3072}}
	if _, err := containers(); err != nil {
		p.Problem = string(problem.CodeOf(translate(err)))
	}
	if cng, err := openCNG(); err == nil {
		p.Keys = append(p.Keys, cng.makes()...)
		cng.close()
	}
	return []agent.Place{p}, nil
}

// List implements agent.KeyStore: the keys that this package made, and those that certificates in MY point at. It opens no
// foreign provider, so a certificate may be listed whose card is not in the reader.
func (s *Store) List(context.Context) ([]agent.Key, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	keys := make([]agent.Key, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys, nil
}

// entry is a key, where its private half is, and the certificates in MY that hold it, the one to show first.
type entry struct {
	agent.Key
	at           keyPlace
	ours         bool // in a container that this package made
	certificates []stored
}

// entries puts together what the store holds.
func (s *Store) entries() ([]*entry, error) {
	all, err := s.ownEntries()
	if err != nil {
		return nil, translate(err)
	}
	byID := map[string]*entry{}
	for _, e := range all {
		byID[e.ID] = e
	}
	found, err := keyed(s.chains)
	if err != nil {
		return nil, translate(err)
	}
	for _, c := range found {
		id := keyID(c.PublicKey)
		e := byID[id]
		if e == nil {
			switch c.PublicKey.(type) {
			case *rsa.PublicKey, *ecdsa.PublicKey:
			default:
				continue
			}
			if _, ours := parseContainer(c.key.container); ours && (c.key.provider == rsaProvider || c.key.provider == cngProvider) {
				s.log.Info("a certificate's key is gone", "certificate", id)
				continue
			}
			e = &entry{Key: newKey(id, c.PublicKey, c.key.provider), at: c.key}
			byID[id] = e
			all = append(all, e)
		}
		e.certificates = append(e.certificates, c)
	}
	var others []*x509.Certificate
	for _, e := range all {
		if len(e.certificates) == 0 {
			continue
		}
		// What was attached last is the key's certificate, else what is valid longest.
		slices.SortStableFunc(e.certificates, func(a, b stored) int {
			if a.attached != b.attached {
				return map[bool]int{true: -1, false: 1}[a.attached]
			}
			return cmp.Or(b.NotAfter.Compare(a.NotAfter), b.NotBefore.Compare(a.NotBefore))
		})
		own := e.certificates[0]
		candidates := own.issuers
		if len(candidates) == 0 {
			if others == nil {
				others = certificates(intermediate)
			}
			candidates = others
		}
		if !e.ours {
			e.at = own.key
		}
		e.complete(own, candidates)
	}
	return all, nil
}

// keyID names a key: the SHA-256 of its SubjectPublicKeyInfo. It is "" for what is no public key.
func keyID(public crypto.PublicKey) string {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

func samePublic(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}

func newKey(id string, public crypto.PublicKey, provider string) agent.Key {
	return agent.Key{
		Store: Name, ID: id, Place: PlaceID, Where: place + ", " + cleanLabel(provider), Public: public, Algorithm: agent.AlgorithmOf(public),
		Hardware: hardware[provider], Made: agent.Made{By: cleanLabel(provider)},
	}
}

// complete fills in what follows from the key's own certificate.
func (e *entry) complete(own stored, candidates []*x509.Certificate) {
	e.Chain, e.Created = buildChain(own.Certificate, candidates), own.NotBefore
	if e.Label == "" {
		e.Label = cleanLabel(cmp.Or(own.label, own.Subject.CommonName))
	}
}

// ownEntries returns the keys in our containers.
func (s *Store) ownEntries() ([]*entry, error) {
	names, err := containers()
	if err != nil {
		return nil, err
	}
	var all []*entry
	for _, name := range names {
		e, err := ownRSA(name)
		if err != nil {
			s.log.Warn("a key container cannot be read", "container", name, "err", err)
			continue
		}
		all = append(all, e)
	}
	cng, err := openCNG()
	if err != nil {
		return all, nil // an old system without CNG
	}
	defer cng.close()
	if names, err = cng.names(); err != nil {
		s.log.Info("CNG keeps no keys here", "err", err)
		return all, nil
	}
	for _, name := range names {
		e, err := ownCNG(cng, name)
		if err != nil {
			s.log.Warn("a key cannot be read", "key", name, "err", err)
			continue
		}
		all = append(all, e)
	}
	return all, nil
}

func ownRSA(name string) (*entry, error) {
	c, err := acquire(name, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_SILENT)
	if err != nil {
		return nil, err
	}
	defer c.close()
	pair, err := c.pair()
	if err != nil {
		return nil, err
	}
	defer pair.close()
	public, err := pair.public()
	if err != nil {
		return nil, err
	}
	copyable, err := pair.copyable()
	return ownEntry(name, public, copyable, keyPlace{container: name, provider: rsaProvider, kind: windows.PROV_RSA_AES, spec: windows.AT_SIGNATURE}), err
}

func ownCNG(cng cngHandle, name string) (*entry, error) {
	key, err := cng.open(name)
	if err != nil {
		return nil, err
	}
	defer key.close()
	public, err := key.public()
	if err != nil {
		return nil, err
	}
	copyable, err := key.copyable()
	return ownEntry(name, public, copyable, keyPlace{container: name, provider: cngProvider}), err
}

func ownEntry(name string, public crypto.PublicKey, copyable bool, at keyPlace) *entry {
	c, _ := parseContainer(name)
	e := &entry{Key: newKey(keyID(public), public, at.provider), at: at, ours: true}
	e.Label = c.label
	e.Made.Local, e.Made.NeverExtractable = agent.StatedYes, agent.StatedYes
	if c.imported {
		e.Made.Local, e.Made.NeverExtractable = agent.StatedNo, agent.StatedNo
	}
	if copyable {
		e.Made.NeverExtractable = agent.StatedNo
	}
	return e
}

func (s *Store) find(id string) (*entry, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.ID == id {
			return e, nil
		}
	}
	return nil, problem.New(problem.KeyAbsent, "the Windows certificate store has no such key")
}

// Open implements agent.KeyStore. It asks for no PIN: the provider does so itself, mostly at the first signature.
func (s *Store) Open(ctx context.Context, id string, consent *agent.Consent, _ agent.AskPIN) (agent.Session, error) {
	if err := consent.Check(Name, id); err != nil {
		return nil, err
	}
	e, err := s.find(id)
	if err != nil {
		return nil, err
	}
	key, err := await(ctx, e.open, privateKey.close)
	if err != nil {
		return nil, translate(err)
	}
	return &session{key: key, public: e.Public, consent: consent, spendAs: id}, nil
}

// open opens the private key, wherever it is; this may show a dialog ("insert the card").
func (e *entry) open() (privateKey, error) {
	switch {
	case e.ours && e.at.kind == 0:
		cng, err := openCNG()
		if err != nil {
			return nil, err
		}
		defer cng.close()
		key, err := cng.open(e.at.container)
		if err != nil {
			return nil, err
		}
		return &cngKey{key: key}, nil
	case e.ours || older[e.at.provider]:
		c, err := acquire(e.at.container, rsaProvider, windows.PROV_RSA_AES, e.at.flags&windows.CRYPT_MACHINE_KEYSET)
		if err != nil {
			return nil, err
		}
		return &capiKey{context: c, spec: e.at.spec}, nil
	}
	return e.certificates[0].open()
}

// open opens the private key of a certificate in MY as Windows finds it.
func (c stored) open() (privateKey, error) {
	store, err := openCollection(windows.CERT_STORE_PROV_SYSTEM_W, my, windows.CERT_STORE_READONLY_FLAG)
	if err != nil {
		return nil, err
	}
	defer store.close() // its contexts outlive it
	ctx, err := store.find(c.Raw)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, &failure{call: "CertFindCertificateInStore", code: cryptENotFound}
	}
	var handle windows.Handle
	var spec uint32
	var free bool
	err = windows.CryptAcquireCertificatePrivateKey(ctx, windows.CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG, nil, &handle, &spec, &free)
	if err != nil || free {
		_ = windows.CertFreeCertificateContext(ctx)
		ctx = nil
	}
	if err != nil {
		return nil, failed("CryptAcquireCertificatePrivateKey", err)
	}
	if spec == windows.CERT_NCRYPT_KEY_SPEC {
		return &cngKey{key: cngHandle{handle}, borrowed: ctx}, nil
	}
	return &capiKey{context: capiContext{handle}, spec: spec, borrowed: ctx}, nil
}
