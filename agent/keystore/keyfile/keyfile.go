// Package keyfile keeps each key in a file of its own: a PKCS#12 file (RFC 7292) under the person's password, with the
// certificates that belong to it. The key and the certificates are encrypted with AES-256-CBC under PBES2 (RFC 8018), PBKDF2
// with HMAC-SHA-256; the file as a whole carries an HMAC-SHA-256. The iterations are measured on this machine to cost a guess
// a quarter of a second. OpenSSL 1.1.1, Java 12, NSS, Windows Server 2019 and newer read it, unless they are set to a low
// limit of iterations. Until a certificate is attached the file holds a self-signed placeholder, because a PKCS#12 encoder
// wants one; it is valid for no time and is never listed.
//
// Beside NAME.p12 lies NAME.json with the public key, the label and the certificates, so that keys can be listed without
// a password. It is only a cache and is not trusted: when the file is opened, both must say the same, or nothing is signed.
// Who can write in the folder can delete keys and hide them, and can show a wrong label; without the password he can
// neither use a key nor have it sign for another certificate.
//
// A file is written under another name, synchronised and renamed, by one writer at a time: whatever fails and whenever the
// machine stops, the old file or the new one is there, and what was left half done goes with the next write.
//
// What this package does not do: it does not recover a forgotten password, it does not keep two copies (Copy gives one out,
// encrypted as it is), it does not open files with more than one key, BER encoding or a PBMAC1 code (package pfx reads those
// for an import), and it does not list files that it did not write. On Windows the rights of the folder are those that the
// profile hands down (the person, SYSTEM, administrators), and files inherit them; elsewhere files are 0600 and a folder that
// others can write is refused.
//
// The PKCS#12 library takes passwords as Go strings, and Go gives no way to overwrite a string or the numbers of a key:
// the password that came from the person is wiped, the library's copies live until the memory is used again.
package keyfile

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
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

// Store is the keys in one folder.
type Store struct {
	dir        string
	iterations int // 0: as calibrated
	disk       disk
}

// Option changes a Store.
type Option func(*Store)

// WithIterations sets another count of iterations for files that are written. It is there for tests that make many keys;
// certsign itself never uses it.
func WithIterations(n int) Option { return func(s *Store) { s.iterations = n } }

// New returns the store in that folder, which is made when the first key is.
func New(dir string, opts ...Option) *Store {
	s := &Store{dir: dir, disk: systemDisk{}}
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

	_ agent.Importer   = (*Store)(nil)
	_ agent.PINChanger = (*Store)(nil)
	_ agent.Copier     = (*Store)(nil)
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
	e, private, err := s.generate(ctx, generate, cleanLabel(req.Label), pin)
	if err != nil {
		return agent.Key{}, nil, err
	}
	return e.key(), &session{private: private, consent: consent, spendAs: req.Place}, nil
}

func (s *Store) generate(ctx context.Context, generate func() (crypto.Signer, error), label string, pin agent.AskPIN) (*entry, crypto.Signer, error) {
	password, err := s.newPassword(ctx, label, agent.PurposeEnroll, pin)
	if err != nil {
		return nil, nil, err
	}
	defer password.Wipe()
	private, err := generate()
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	p, err := newPublicPart(private.Public(), label, time.Now())
	if err != nil {
		return nil, nil, err
	}
	p.made = agent.Made{Local: agent.StatedYes, NeverExtractable: agent.StatedNo}
	e, err := s.add(ctx, p, private, nil, password)
	return e, private, err
}

// newPassword asks for the password of a file that is about to be written into the folder.
func (s *Store) newPassword(ctx context.Context, label string, purpose agent.Purpose, pin agent.AskPIN) (*agent.Secret, error) {
	if err := makeFolder(s.dir); err != nil {
		return nil, err
	}
	password, err := pin(ctx, agent.PINRequest{New: true, Label: label, Where: s.dir, Purpose: purpose})
	if err != nil {
		return nil, err
	}
	if err := agent.CheckPassword(password.Bytes()); err != nil {
		password.Wipe()
		return nil, err
	}
	return password, nil
}

// add writes a key that is not in the folder yet. It is complete on the disk when add returns it.
func (s *Store) add(ctx context.Context, p *publicPart, private crypto.Signer, chain []*x509.Certificate, password *agent.Secret) (*entry, error) {
	sealed, err := encode(private, chain, password, s.count())
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, problem.Wrap(problem.UserCancelled, err, "")
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := s.find(p.id); err == nil {
		return nil, problem.New(problem.StoreUnavailable, "another program stored this key meanwhile")
	}
	e, err := s.free(p)
	if err != nil {
		return nil, err
	}
	// The public part goes first: a crash in between leaves no key that nobody can see.
	if err = e.writePublic(); err == nil {
		err = writeFile(s.disk, e.path+extKey, sealed)
	}
	if err != nil {
		_ = s.disk.remove(e.path + extKey) // when the last step failed, it is there
		return nil, errors.Join(err, s.disk.remove(e.path+extPublic))
	}
	return e, nil
}

// free returns an entry under a name that no file has: one whose public part was lost must not be written over.
func (s *Store) free(p *publicPart) (*entry, error) {
	for n := 1; n <= maxEntries; n++ {
		e := &entry{path: filepath.Join(s.dir, p.fileName()), public: p, disk: s.disk}
		if n > 1 {
			e.path = fmt.Sprintf("%s-%d", e.path, n)
		}
		_, key := os.Lstat(e.path + extKey)
		_, public := os.Lstat(e.path + extPublic)
		if errors.Is(key, fs.ErrNotExist) && errors.Is(public, fs.ErrNotExist) {
			return e, nil
		}
	}
	return nil, problem.New(problem.StoreUnavailable, "no name is free for the key file")
}

// count is the iterations of files that are written.
func (s *Store) count() int {
	if s.iterations > 0 {
		return s.iterations
	}
	return calibrated()
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
	if err := s.compare(ctx, e, content); err != nil {
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
	return s.attach(ctx, e, chain, pin)
}

func (s *Store) attach(ctx context.Context, e *entry, chain [][]byte, pin agent.AskPIN) error {
	certificates, err := chainOf(e.public.public, chain)
	if err != nil {
		return err
	}
	content, password, err := e.unlock(ctx, pin, agent.PurposeStore)
	if err != nil {
		return err
	}
	defer password.Wipe()
	content.chain = certificates
	return s.rewrite(ctx, e, content, password)
}

// chainOf reads a chain whose first certificate must hold the key: certificate_mismatch.
func chainOf(public crypto.PublicKey, chain [][]byte) ([]*x509.Certificate, error) {
	certificates, err := parseChain(chain)
	if err != nil {
		return nil, problem.Wrap(problem.CertificateMismatch, err, "the certificate cannot be read")
	}
	if len(certificates) == 0 || !samePublic(certificates[0].PublicKey, public) {
		return nil, problem.New(problem.CertificateMismatch, "the certificate holds another key")
	}
	return certificates, nil
}

// rewrite replaces a key file by one with that content under that password, and the public part after it.
func (s *Store) rewrite(ctx context.Context, e *entry, content *content, password *agent.Secret) error {
	sealed, err := encode(content.private, content.chain, password, max(s.count(), content.iterations))
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := readFile(e.path+extKey, maxKeyFile)
	switch {
	case err != nil:
		return problem.Wrap(problem.KeyAbsent, err, "the key file cannot be read")
	case !bytes.Equal(now, content.sealed):
		return problem.New(problem.StoreUnavailable, "another program changed the key file meanwhile")
	}
	if err := writeFile(s.disk, e.path+extKey, sealed); err != nil {
		return err
	}
	// A crash here leaves a public part without the certificate: opening the key mends it, and so does attaching again.
	if slices.EqualFunc(e.public.chain, content.chain, sameCertificate) {
		return nil
	}
	e.public.chain = rawChain(content.chain)
	return e.writePublic()
}

// ChangePIN implements agent.PINChanger: the file is written anew under a new password. The old one is asked for first, and
// must be right before the new one is asked for.
func (s *Store) ChangePIN(ctx context.Context, id string, how agent.PINChange, pin agent.AskPIN) error {
	if how != agent.PINRenew {
		return problem.New(problem.Unsupported, "nobody can recover the password of a key file")
	}
	e, err := s.find(id)
	if err != nil {
		return err
	}
	content, password, err := e.unlock(ctx, pin, agent.PurposePIN)
	if err != nil {
		return err
	}
	password.Wipe()
	password, err = pin(ctx, agent.PINRequest{New: true, Label: e.public.label, Where: e.path + extKey, Purpose: agent.PurposePIN})
	if err != nil {
		return err
	}
	defer password.Wipe()
	if err := agent.CheckPassword(password.Bytes()); err != nil {
		return err
	}
	return s.rewrite(ctx, e, content, password)
}

// Copy implements agent.Copier: the key file as it is, under its password.
func (s *Store) Copy(_ context.Context, id string) ([]byte, string, error) {
	e, err := s.find(id)
	if err != nil {
		return nil, "", err
	}
	sealed, err := readFile(e.path+extKey, maxKeyFile)
	if err != nil {
		return nil, "", problem.Wrap(problem.KeyAbsent, err, "the key file cannot be read")
	}
	if _, err := checkSealed(sealed, maxIterations); err != nil {
		return nil, "", problem.Wrap(problem.IntegrityFailed, err, "the key file is damaged")
	}
	return sealed, filepath.Base(e.path) + extKey, nil
}

// Delete implements agent.Deleter. It asks for no password: whoever may write the folder can delete the file anyway, and
// a key whose password is forgotten must not stay for ever.
func (s *Store) Delete(ctx context.Context, id string, _ agent.AskPIN) error {
	e, err := s.find(id)
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.disk.remove(e.path + extKey); err != nil {
		return problem.Wrap(problem.StoreUnavailable, err, "the key file cannot be deleted")
	}
	if err := s.disk.remove(e.path + extPublic); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem.Wrap(problem.StoreUnavailable, err, "the key is deleted, its public part is not")
	}
	return s.disk.syncFolder(s.dir)
}

// maxEntries bounds what a folder can make the agent read.
const maxEntries = 1000

// entries returns the readable pairs of files, oldest first. Of pairs that name the same key only the first counts, so that
// what is listed is what is opened, and held against what is in the file.
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
		e := &entry{path: filepath.Join(s.dir, name), disk: s.disk}
		if e.read() != nil {
			continue
		}
		if entries = append(entries, e); len(entries) == maxEntries {
			break
		}
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return a.public.created.Compare(b.public.created) })
	seen := map[string]bool{}
	return slices.DeleteFunc(entries, func(e *entry) bool {
		twin := seen[e.public.id]
		seen[e.public.id] = true
		return twin
	}), nil
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
