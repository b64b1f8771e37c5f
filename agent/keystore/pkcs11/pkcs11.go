// Package pkcs11 keeps keys on tokens that have a PKCS#11 module (OASIS PKCS#11 3.1, calls of version 2.20 only): cards,
// USB tokens, the TPM, NSS's softokn, SoftHSM2. Keys are made on the token, as its own and never to be read; RSA with 2048
// and 3072 bits, P-256 and P-384 where the token has the mechanisms. Signatures are PKCS#1 v1.5, PSS where the token has it,
// and ECDSA, over a digest.
//
// No module is loaded into the agent. Each is foreign code and gets a process of its own, certsign-pkcs11, for one operation or
// one open key: a driver that crashes, hangs or takes more than a gigabyte of memory (Linux and Windows) is the problem
// driver_failed, and its process group is killed. What comes from a module is checked against limits and for consistency, and no signature leaves before it was verified with the key
// that the person chose. A module can still lie about what a token holds, and it sees the PIN: a person must trust the driver
// that he installed.
//
// Modules are named by the person's configuration, by p11-kit's (pkcs11.conf(5), read here and not through its library) and by
// a table of paths; never by a page, and never by a relative path. A module for 32-bit programs is given to certsign-pkcs11-32,
// where that is installed.
//
// Tokens are told apart by manufacturer, model, serial number and label together. A PIN goes to a token only if the slot
// still holds the token that the person was shown, and costs one C_Login. A token whose flags say that its PIN is locked
// sees no C_Login at all.
//
// Listing asks for no PIN. A token that shows nothing of a key before log-in, not even its certificate, has the key all the
// same: it is not listed, but who knows its ID can use it.
//
// Which keys are being made is noted in the agent's folder. What is left of one whose making was interrupted is deleted when
// a key is next made on that token or deleted from it; a key with a certificate beside it never is.
//
// Not done here: initialising tokens, importing keys, EdDSA, RSA-PSS with other salts.
package pkcs11

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/internal/problem"
)

// Name is the store's name.
const Name = "pkcs11"

// DefaultTimeout is how long a driver may take for an ordinary call. Making a key, and a PIN that is entered on the reader, may
// take longTimes as long.
const (
	DefaultTimeout = 20 * time.Second
	longTimes      = 6
)

// Config says where the modules are.
type Config struct {
	// Helper is the path of certsign-pkcs11. Empty: beside the running program, under the same name on every system
	// (with .exe on Windows); links are followed first.
	Helper string
	// Modules are absolute paths of modules, asked before the known ones. One that is missing or broken is reported.
	Modules []string
	// Parameters are for modules that want some when they are initialised, by path: NSS's softokn does. No secrets.
	Parameters map[string]string
	// Home is the agent's folder, where it is noted which keys are being made, so that one that was never finished is deleted
	// when its token is next written to, and which were listed last. Nil: the one stays, and is listed, and what was listed is
	// forgotten with the Store.
	Home *home.Dir
	// OnlyModules leaves p11-kit's configuration and the table of known drivers out.
	OnlyModules bool
	// Timeout is how long a driver may take for an ordinary call; 0 is DefaultTimeout.
	Timeout time.Duration
	// Poll is how often readers are looked at while somebody waits for a card; 0 is every two seconds.
	Poll time.Duration
	// Log gets what goes wrong with drivers; nil is nothing. It never gets a PIN or a digest.
	Log *slog.Logger
}

// Store is the keys on all tokens that are there at the moment.
type Store struct {
	config Config
	seen   sync.Map                 // the module through which a token was seen last: Place.ID → candidate
	listed atomic.Pointer[[]string] // the places and keys that were listed last; nil before that is known
}

// New returns the store. Nothing is started before it is used.
func New(config Config) *Store {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Poll <= 0 {
		config.Poll = defaultPoll
	}
	if config.Log == nil {
		config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Store{config: config}
}

var (
	_ agent.KeyStore   = (*Store)(nil)
	_ agent.Attacher   = (*Store)(nil)
	_ agent.Placer     = (*Store)(nil)
	_ agent.Deleter    = (*Store)(nil)
	_ agent.PINChanger = (*Store)(nil)
)

// Name implements agent.KeyStore.
func (s *Store) Name() string { return Name }

// helper returns the path of the program that loads modules for a kind of processor.
func (s *Store) helper(module machine) (string, error) {
	path := s.config.Helper
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", problem.Wrap(problem.StoreUnavailable, err, "the program's own folder")
		}
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		path = filepath.Join(filepath.Dir(self), "certsign-pkcs11")
		if runtime.GOOS == "windows" {
			path += ".exe"
		}
	}
	if module != "" && string(module) != runtime.GOARCH {
		end := filepath.Ext(path)
		path = strings.TrimSuffix(path, end) + "-32" + end
		if _, err := os.Stat(path); module != "386" || runtime.GOARCH != "amd64" || err != nil {
			return "", problem.New(problem.DriverMismatch, "the driver is for %s, CertSign for %s", module, runtime.GOARCH)
		}
		return path, nil
	}
	if _, err := os.Stat(path); err != nil {
		return "", problem.Wrap(problem.StoreUnavailable, err, "the program certsign-pkcs11 is not installed")
	}
	return path, nil
}

// List returns the keys on all tokens, as far as the tokens show them before log-in. A module that fails hides the keys of
// the others only when they have none: then its failure is returned.
func (s *Store) List(ctx context.Context) ([]agent.Key, error) {
	for look := 1; ; look++ {
		keys, there, err := s.list(ctx)
		if !s.missed(there) || look == looks || !pause(ctx) {
			s.note(there)
			return keys, err
		}
	}
}

// missed says whether a token or a key that was listed last is not there now: it was taken out, or another program is writing
// to it.
func (s *Store) missed(there []string) bool {
	return slices.ContainsFunc(s.last(), func(id string) bool { return !slices.Contains(there, id) })
}

// list is one look of List; there are the places whose keys it could see, and those keys.
func (s *Store) list(ctx context.Context) (keys []agent.Key, there []string, err error) {
	found, err := s.scan(ctx, s.candidates())
	if err != nil {
		return nil, nil, err
	}
	defer found.end()
	for _, t := range found.tokens {
		some, err := t.keys(ctx)
		if err != nil {
			s.config.Log.Warn("token not listed", "module", t.process.module, "err", err)
			found.failures = append(found.failures, failure{t.process.module, err})
			continue
		}
		there = append(there, t.place.ID)
		for _, k := range some {
			keys, there = append(keys, k.Key), append(there, k.ID)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, there, interrupted(err)
	}
	if len(keys) == 0 && len(found.failures) > 0 {
		return nil, there, found.failures[0].err
	}
	return keys, there, nil
}

// Places returns the tokens, and a place with a problem for each module that fails and each card that no module knows.
func (s *Store) Places(ctx context.Context) ([]agent.Place, error) {
	found, err := s.scan(ctx, s.candidates())
	if err != nil {
		return nil, err
	}
	defer found.end()
	if err := ctx.Err(); err != nil {
		return nil, interrupted(err)
	}
	places := []agent.Place{}
	for _, t := range found.tokens {
		places = append(places, t.place)
	}
	for _, f := range found.failures {
		places = append(places, agent.Place{
			ID: "module:" + f.module, Label: filepath.Base(f.module), Detail: f.module, Problem: string(problem.CodeOf(f.err)),
		})
	}
	for _, reader := range found.unknown {
		places = append(places, agent.Place{
			ID: "reader:" + reader, Label: reader, Problem: string(problem.TokenUnrecognized),
		})
	}
	return places, nil
}
