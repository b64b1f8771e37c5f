// Package keyfile keeps each key in a file of its own: a PKCS#12 file (RFC 7292) under the person's password, with the
// certificates that belong to it. The key and the certificates are encrypted with AES-256-CBC under PBES2 (RFC 8018), PBKDF2
// with HMAC-SHA-256; the file as a whole carries an HMAC-SHA-256. OpenSSL 1.1.1, Java 12, Windows Server 2019 and newer
// read it, unless they are set to a low limit of iterations. Until a certificate is attached the file holds a self-signed
// placeholder, because a PKCS#12 encoder wants one; it is valid for no time and is never listed.
//
// Beside NAME.p12 lies NAME.json with the public key, the label and the certificates, so that keys can be listed without
// a password. It is only a cache and is not trusted: when the file is opened, both must say the same, or nothing is signed.
// Who can write in the folder can delete keys and hide them, and can show a wrong label; without the password he can
// neither use a key nor have it sign for another certificate.
//
// What this package does not do: it does not recover a forgotten password, it does not keep two copies, it does not read
// PKCS#12 files with more than one key, BER encoding or a PBMAC1 code, and it does not list files that it did not write. On Windows
// the rights of the folder are those that the profile hands down (the person, SYSTEM, administrators); elsewhere files
// are 0600 and a folder that others can write is refused.
//
// The PKCS#12 library takes passwords as Go strings, and Go gives no way to overwrite a string or the numbers of a key:
// the password that came from the person is wiped, the library's copies live until the memory is used again.
package keyfile

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"certsign/agent"
	"certsign/internal/problem"
)

// Name is the store's name, PlaceID its only place.
const (
	Name    = "keyfile"
	PlaceID = "keyfile"
)

// Iterations is the count for both key derivations and for the MAC. A guess costs whoever has the file at least one
// derivation of the MAC key (RFC 7292, B.2), the cheapest of the three: 0.32 s on one core of a 2.5 GHz Xeon, where the
// whole file takes 1.6 s to open.
const Iterations = 600_000

// Store is the keys in one folder.
type Store struct {
	dir        string
	iterations int
}

// Option changes a Store.
type Option func(*Store)

// WithIterations sets another count than Iterations for files that are written. It is there for tests that make many
// keys; certsign itself never uses it.
func WithIterations(n int) Option { return func(s *Store) { s.iterations = n } }

// New returns the store in that folder, which is made when the first key is.
func New(dir string, opts ...Option) *Store {
	s := &Store{dir: dir, iterations: Iterations}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

var (
	_ agent.KeyStore = (*Store)(nil)
	_ agent.Attacher = (*Store)(nil)
	_ agent.Placer   = (*Store)(nil)
	_ agent.Deleter  = (*Store)(nil)
)

// Name implements agent.KeyStore.
func (s *Store) Name() string { return Name }

// Places returns the folder, with a problem when keys cannot be made in it.
func (s *Store) Places(context.Context) ([]agent.Place, error) {
	place := agent.Place{
		ID: PlaceID, Label: s.dir, NewPIN: true, State: agent.PINOK,
		Keys: []agent.KeyAlgorithm{agent.RSA2048, agent.RSA3072, agent.P256, agent.P384},
	}
	if err := checkFolder(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		place.Problem = string(problem.CodeOf(err))
	}
	return []agent.Place{place}, nil
}

// List implements agent.KeyStore. A .json file that cannot be read, or that has no .p12 file, is passed over.
func (s *Store) List(context.Context) ([]agent.Key, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	keys := make([]agent.Key, len(entries))
	for i, e := range entries {
		keys[i] = e.key()
	}
	return keys, nil
}

// Generate implements agent.KeyStore. The person chooses a password; the file is complete on the disk before the key is
// returned. Making the placeholder takes one signature that is not of the consent: it is over a certificate that is valid
// for no time and never leaves the encrypted file.
func (s *Store) Generate(ctx context.Context, req agent.GenerateRequest, consent *agent.Consent, pin agent.AskPIN) (agent.Key, agent.Session, error) {
	if err := consent.Check(Name, req.Place); err != nil {
		return agent.Key{}, nil, err
	}
	if req.Place != "" && req.Place != PlaceID {
		return agent.Key{}, nil, problem.New(problem.StoreUnavailable, "no place %q in the keyfile store", req.Place)
	}
	generate, ok := generators[req.Algorithm]
	if !ok {
		return agent.Key{}, nil, problem.New(problem.Unsupported, "key algorithm %q", req.Algorithm)
	}
	if err := makeFolder(s.dir); err != nil {
		return agent.Key{}, nil, err
	}
	sweep(s.dir)

	label := cleanLabel(req.Label)
	password, err := pin(ctx, agent.PINRequest{New: true, Label: label, Where: s.dir, Purpose: agent.PurposeEnroll})
	if err != nil {
		return agent.Key{}, nil, err
	}
	defer password.Wipe()
	if err := agent.CheckPassword(password.Bytes()); err != nil {
		return agent.Key{}, nil, err
	}

	private, err := generate()
	if err != nil {
		return agent.Key{}, nil, fmt.Errorf("generate %s: %w", req.Algorithm, err)
	}
	p, err := newPublicPart(private.Public(), label, time.Now())
	if err != nil {
		return agent.Key{}, nil, err
	}
	sealed, err := encode(private, nil, password, s.iterations)
	if err != nil {
		return agent.Key{}, nil, err
	}
	if err := ctx.Err(); err != nil {
		return agent.Key{}, nil, problem.Wrap(problem.UserCancelled, err, "")
	}
	// The public part goes first: a crash in between leaves no key that nobody can see.
	e := &entry{path: filepath.Join(s.dir, p.fileName()), public: p}
	if err := e.writePublic(); err != nil {
		return agent.Key{}, nil, err
	}
	if err := writeFile(e.path+extKey, sealed); err != nil {
		return agent.Key{}, nil, errors.Join(err, os.Remove(e.path+extPublic))
	}
	return e.key(), &session{private: private, consent: consent, spendAs: req.Place}, nil
}

var generators = map[agent.KeyAlgorithm]func() (crypto.Signer, error){
	agent.RSA2048: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	agent.RSA3072: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) },
	agent.P256:    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	agent.P384:    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
}

// Open implements agent.KeyStore.
func (s *Store) Open(ctx context.Context, id string, consent *agent.Consent, pin agent.AskPIN) (agent.Session, error) {
	if err := consent.Check(Name, id); err != nil {
		return nil, err
	}
	e, err := s.find(id)
	if err != nil {
		return nil, err
	}
	content, password, err := e.unlock(ctx, pin, agent.PurposeSign)
	if err != nil {
		return nil, err
	}
	password.Wipe()
	if err := e.compare(content); err != nil {
		return nil, err
	}
	return &session{private: content.private, consent: consent, spendAs: id}, nil
}

// Attach implements agent.Attacher: the file is written anew with the chain, under the same password.
func (s *Store) Attach(ctx context.Context, id string, chain [][]byte, pin agent.AskPIN) error {
	e, err := s.find(id)
	if err != nil {
		return err
	}
	certificates, err := parseChain(chain)
	if err != nil {
		return problem.Wrap(problem.CertificateMismatch, err, "the certificate cannot be read")
	}
	if len(certificates) == 0 || !samePublic(certificates[0].PublicKey, e.public.public) {
		return problem.New(problem.CertificateMismatch, "the certificate holds another key")
	}
	content, password, err := e.unlock(ctx, pin, agent.PurposeStore)
	if err != nil {
		return err
	}
	defer password.Wipe()
	sealed, err := encode(content.private, certificates, password, s.iterations)
	if err != nil {
		return err
	}
	if err := writeFile(e.path+extKey, sealed); err != nil {
		return err
	}
	// A crash here leaves a public part without the certificate: opening the key mends it, and so does attaching again.
	e.public.chain = chain
	return e.writePublic()
}

// Delete implements agent.Deleter. It asks for no password: whoever may write the folder can delete the file anyway, and
// a key whose password is forgotten must not stay for ever.
func (s *Store) Delete(_ context.Context, id string, _ agent.AskPIN) error {
	e, err := s.find(id)
	if err != nil {
		return err
	}
	if err := os.Remove(e.path + extKey); err != nil {
		return problem.Wrap(problem.StoreUnavailable, err, "the key file cannot be deleted")
	}
	if err := os.Remove(e.path + extPublic); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem.Wrap(problem.StoreUnavailable, err, "the key is deleted, its public part is not")
	}
	return syncFolder(s.dir)
}

// maxEntries bounds what a folder can make the agent read.
const maxEntries = 1000

// entries returns the readable pairs of files, oldest first.
func (s *Store) entries() ([]*entry, error) {
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, problem.Wrap(problem.StoreUnavailable, err, "the folder of key files cannot be read")
	}
	var entries []*entry
	for _, file := range files {
		name, isPublic := strings.CutSuffix(file.Name(), extPublic)
		if !isPublic || strings.HasPrefix(name, ".") {
			continue
		}
		e := &entry{path: filepath.Join(s.dir, name)}
		if e.read() != nil {
			continue
		}
		if entries = append(entries, e); len(entries) == maxEntries {
			break
		}
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return a.public.created.Compare(b.public.created) })
	return entries, nil
}

func (s *Store) find(id string) (*entry, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.public.id == id {
			return e, nil
		}
	}
	return nil, problem.New(problem.KeyAbsent, "no such key file")
}
