package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"

	"certsign/internal/pfx"
	"certsign/internal/problem"
)

// The shortest RSA key that is taken from elsewhere, and the longest, in bits.
const (
	minRSA = 2048
	maxRSA = 8192
)

// CheckKey is what a key that was made elsewhere must meet: RSA of 2048 bits or more, or ECDSA on P-256 or P-384, as those
// that are made here. key_weak otherwise.
func CheckKey(public crypto.PublicKey) error {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return problem.New(problem.KeyWeak, "an RSA key of %d bits", bits)
		}
		return nil
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() && public.Curve != elliptic.P384() {
			return problem.New(problem.KeyWeak, "an elliptic curve key on %s", public.Curve.Params().Name)
		}
		return nil
	}
	return problem.New(problem.KeyWeak, "a key of type %T", public)
}

// ErrWhichStore is why a file with a key is not taken in without a store for it.
var ErrWhichStore = errors.New("no store is named")

// ImportLocal takes in a file for the person's own shell: PKCS#12, PEM or DER. Its keys go into the store with that name,
// with the certificates in the file that belong to them; a file with certificates only is laid beside the keys that they
// were issued for, in whichever store (only the named one when store is not ""). It returns what was stored, or was there
// already, one identity or bare key (Certificate nil) for each.
//
// A certificate that comes in this way is trusted for nothing more than before.
func (a *Agent) ImportLocal(ctx context.Context, store, name string, file []byte) ([]Identity, error) {
	stored, err := a.importFile(ctx, store, name, file)
	if err != nil {
		log := Entry{Event: LogRefused, Origin: LocalOrigin.String(), Method: "import", Store: store, Code: string(problem.CodeOf(err))}
		return stored, errors.Join(err, a.record(log))
	}
	return stored, nil
}

func (a *Agent) importFile(ctx context.Context, store, name string, file []byte) ([]Identity, error) {
	var found *pfx.Contents
	what := askFor{purpose: PurposeImport, document: name, queue: true}
	err := a.withPIN(ctx, caller{origin: LocalOrigin}, what, func(ask AskPIN) (err error) {
		found, err = pfx.Read(file, func() ([]byte, error) {
			password, err := ask(ctx, PINRequest{Label: name, Purpose: PurposeImport})
			if err != nil {
				return nil, err
			}
			defer password.Wipe()
			return bytes.Clone(password.Bytes()), nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	found.Certificates = slices.DeleteFunc(found.Certificates, func(c *x509.Certificate) bool {
		return !c.NotAfter.After(c.NotBefore) // valid for no time: what stands in a key file that has no certificate yet
	})
	if len(found.Keys) == 0 {
		return a.importCertificates(ctx, store, found.Certificates)
	}
	return a.importKeys(ctx, store, found)
}

func (a *Agent) importKeys(ctx context.Context, store string, found *pfx.Contents) ([]Identity, error) {
	if store == "" {
		return nil, problem.Wrap(problem.BadRequest, ErrWhichStore, "the file holds a key: say which store it is for")
	}
	s, err := a.store(store)
	if err != nil {
		return nil, err
	}
	into, ok := s.(Importer)
	if !ok {
		return nil, problem.New(problem.Unsupported, "the store %q takes no keys that were made elsewhere", store)
	}
	for _, k := range found.Keys { // all or none, as far as that can be known
		if err := CheckKey(k.Private.Public()); err != nil {
			return nil, err
		}
	}
	var stored []Identity
	for _, k := range found.Keys {
		bundle := Bundle{Private: k.Private, Label: k.Label}
		if leaf := newestFor(k.Private.Public(), found.Certificates); leaf != nil {
			bundle.Chain = chainFrom(leaf, found.Certificates)
			bundle.Label = cmp.Or(k.Label, displayName(leaf.RawSubject))
		}
		var key Key
		what := askFor{purpose: PurposeImport, document: bundle.Label, queue: true}
		err := a.withPIN(ctx, caller{origin: LocalOrigin}, what, func(ask AskPIN) (err error) {
			key, err = into.Import(ctx, bundle, ask)
			return err
		})
		if err == nil {
			err = a.record(Entry{Event: LogKeyImported, Origin: LocalOrigin.String(), Store: store, Key: key.ID})
		}
		if err != nil {
			return stored, err
		}
		stored = append(stored, identityOf(key))
	}
	return stored, nil
}

// importCertificates lays each certificate beside its key; those above them come along. key_absent when none has one.
func (a *Agent) importCertificates(ctx context.Context, store string, certificates []*x509.Certificate) ([]Identity, error) {
	keys := slices.DeleteFunc(a.Keys(ctx), func(k Key) bool { return store != "" && k.Store != store })
	all, err := a.layBeside(ctx, caller{origin: LocalOrigin}, keys, certificates, a.known(keys, certificates))
	var stored []Identity
	for _, l := range all {
		if l.State != SaveKept {
			stored = append(stored, l.Identity)
		} else if err == nil {
			err = problem.New(problem.BadRequest, "beside this key lies a newer certificate, %s", SerialHex(l.Certificate))
		}
	}
	return stored, err
}

// laid is a key, what lies beside it now, and what became of the certificate that was to lie there.
type laid struct {
	Identity
	State SaveState
}

// layBeside puts the newest certificate for each of keys beside it, with those above it among known, and returns the keys
// that one was for. key_absent when there is none. The newer of two certificates for one key stays.
func (a *Agent) layBeside(ctx context.Context, c caller, keys []Key, certificates, known []*x509.Certificate) ([]laid, error) {
	var all []laid
	for _, k := range keys {
		leaf := newestFor(k.Public, certificates)
		if leaf == nil {
			continue
		}
		state, err := a.attach(ctx, c, &k, leaf, chainFrom(leaf, known))
		if err != nil {
			return all, err
		}
		all = append(all, laid{identityOf(k), state})
	}
	if len(all) == 0 {
		return nil, problem.New(problem.KeyAbsent, "no key on this computer, or on a card or token in its readers, belongs to the certificate")
	}
	return all, nil
}

func (a *Agent) attach(ctx context.Context, c caller, k *Key, leaf *x509.Certificate, chain [][]byte) (SaveState, error) {
	if held := parsed(k.Chain); len(held) > 0 {
		switch same := held[0].Equal(leaf); {
		case same && (len(k.Chain) >= len(chain) || !c.local()): // a page does not have a PIN asked for what is above it
			return SavePresent, nil
		case !same && held[0].NotBefore.After(leaf.NotBefore):
			return SaveKept, nil
		}
	}
	s, err := a.store(k.Store)
	if err != nil {
		return "", err
	}
	at, ok := s.(Attacher)
	if !ok {
		return "", problem.New(problem.Unsupported, "the store %q keeps no certificates", k.Store)
	}
	what := askFor{purpose: PurposeStore, document: displayName(leaf.RawSubject), queue: true}
	err = a.withPIN(ctx, c, what, func(ask AskPIN) error { return at.Attach(ctx, k.ID, chain, ask) })
	if err != nil {
		return "", err
	}
	k.Chain = chain
	return SaveStored, a.record(Entry{
		Event: LogCertificate, Origin: c.origin.String(), Request: c.request, Store: k.Store, Key: k.ID, Certificate: SerialHex(leaf),
	})
}

// known are the certificates from which a chain can be put together: those given, and those that lie beside keys or wait to.
func (a *Agent) known(keys []Key, given []*x509.Certificate) []*x509.Certificate {
	known := slices.Clone(given)
	for _, k := range keys {
		known = append(known, parsed(k.Chain)...)
	}
	if open, err := a.Ceremonies(); err == nil {
		for _, c := range open {
			known = append(known, parsed(c.Chain)...)
		}
	}
	return known
}

func identityOf(k Key) Identity {
	i := Identity{Key: k}
	if held := parsed(k.Chain); len(held) > 0 {
		i.Certificate = held[0]
	}
	return i
}

// parsed returns the certificates of a chain up to the first that cannot be read.
func parsed(chain [][]byte) []*x509.Certificate {
	var all []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			break
		}
		all = append(all, c)
	}
	return all
}

// newestFor returns the certificate for that key that was issued last, or nil.
func newestFor(public crypto.PublicKey, certificates []*x509.Certificate) *x509.Certificate {
	key, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	var newest *x509.Certificate
	for _, c := range certificates {
		if key.Equal(c.PublicKey) && (newest == nil || c.NotBefore.After(newest.NotBefore)) {
			newest = c
		}
	}
	return newest
}

// maxImportedChain is how many certificates are kept beside a key.
const maxImportedChain = 6

// chainFrom returns leaf and the certificates above it among those known, without roots: each signed by the next.
func chainFrom(leaf *x509.Certificate, known []*x509.Certificate) [][]byte {
	chain := [][]byte{leaf.Raw}
	for at := leaf; len(chain) < maxImportedChain; {
		n := slices.IndexFunc(known, func(c *x509.Certificate) bool {
			return !bytes.Equal(c.RawSubject, c.RawIssuer) && bytes.Equal(c.RawSubject, at.RawIssuer) && at.CheckSignatureFrom(c) == nil &&
				!slices.ContainsFunc(chain, func(der []byte) bool { return bytes.Equal(der, c.Raw) })
		})
		if n < 0 {
			break
		}
		at = known[n]
		chain = append(chain, at.Raw)
	}
	return chain
}

// CopyLocal returns a key as its store keeps it, encrypted, and the name of its file, for the person's own shell.
func (a *Agent) CopyLocal(ctx context.Context, key Key) (file []byte, name string, err error) {
	s, err := a.store(key.Store)
	if err != nil {
		return nil, "", err
	}
	c, ok := s.(Copier)
	if !ok {
		return nil, "", problem.New(problem.Unsupported, "a key in the store %q cannot be copied out of it", key.Store)
	}
	if file, name, err = c.Copy(ctx, key.ID); err != nil {
		return nil, "", err
	}
	return file, name, a.record(Entry{Event: LogKeyCopied, Origin: LocalOrigin.String(), Store: key.Store, Key: key.ID})
}
