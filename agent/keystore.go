package agent

import (
	"context"
	"crypto"
	"time"
)

// KeyStore keeps private keys where the person chose. A new one is a folder below keystore/ and a line in
// cmd/certsign/wire.go; keystore_test.go holds the contract that each must meet. Stores sign digests and know no
// documents.
//
// Failures are problems: store_unavailable, token_absent, token_full, driver_failed, pin_incorrect, pin_locked,
// pin_not_set, password_weak, key_absent, user_cancelled. A wrong PIN costs exactly one try: no store asks or logs in
// twice by itself.
type KeyStore interface {
	// Name is the store's name on the command line and on the wire: "keyfile", "pkcs11", "csp".
	Name() string
	// List returns the keys that the store holds, with the certificates that belong to them. It asks for no PIN.
	List(ctx context.Context) ([]Key, error)
	// Generate makes a key pair at req.Place and returns it with a session that is open for it. The session spends
	// consent, which must be for req.Place.
	Generate(ctx context.Context, req GenerateRequest, consent *Consent, pin AskPIN) (Key, Session, error)
	// Open opens the key with that ID for as many signatures as consent, which must be for that key, still allows.
	Open(ctx context.Context, id string, consent *Consent, pin AskPIN) (Session, error)
}

// Attacher is a KeyStore that keeps certificates beside its keys.
type Attacher interface {
	// Attach stores chain (DER, the key's own certificate first) beside the key. certificate_mismatch when the
	// certificate holds another key.
	Attach(ctx context.Context, id string, chain [][]byte, pin AskPIN) error
}

// Placer is a KeyStore that has several places for a new key, or none at the moment: tokens in readers.
type Placer interface {
	Places(ctx context.Context) ([]Place, error)
}

// Watcher is a Placer whose places come and go, as cards do in readers.
type Watcher interface {
	// Watch sends whenever Places would return something else than before. The channel is closed when ctx ends.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// Deleter is a KeyStore that can delete a key and its certificate.
type Deleter interface {
	Delete(ctx context.Context, id string, pin AskPIN) error
}

// Importer is a KeyStore that takes keys that were made elsewhere.
type Importer interface {
	// Import stores the key and its certificates, under a password or PIN that pin gets. A key that is there already is not
	// stored twice: its certificates are, when bundle.Renews those that lie there. unsupported where the store takes no such key.
	Import(ctx context.Context, bundle Bundle, pin AskPIN) (Key, error)
}

// Copier is a KeyStore whose keys can be copied as they lie there, encrypted. No store gives out a bare key.
type Copier interface {
	// Copy returns the key's file, octet for octet, and its name.
	Copy(ctx context.Context, id string) (file []byte, name string, err error)
}

// Bundle is a private key and what belongs to it, as a .p12, .pfx or PEM file holds them.
type Bundle struct {
	Private crypto.Signer
	Chain   [][]byte // DER, the key's own certificate first; may be empty
	Label   string
}

// Renews says whether its certificate is to lie beside the key, where held is the chain that does: it was issued later, or
// there is none.
func (b Bundle) Renews(held [][]byte) bool {
	own, old := parsed(b.Chain), parsed(held)
	return len(own) > 0 && (len(old) == 0 || own[0].NotBefore.After(old[0].NotBefore))
}

// PINChanger is a KeyStore in which a person can change a PIN or password.
type PINChanger interface {
	// ChangePIN sets a token's PIN (id is a Place.ID) or the password of a key file (id is a Key.ID). It asks twice, once for
	// what allows it and once for the new one, and costs one try. unsupported where the store knows no such way.
	ChangePIN(ctx context.Context, id string, how PINChange, pin AskPIN) error
}

// PINChange says what allows a new PIN.
type PINChange string

// The ways to a new PIN.
const (
	PINRenew   PINChange = "change"  // the PIN or password that holds now
	PINUnblock PINChange = "unblock" // the PUK (PKCS#11: the security officer's PIN); the PIN is locked or forgotten
	PINFirst   PINChange = "first"   // the PUK, on a token that has no PIN yet
)

// Place is somewhere that a new key can be made: the folder of the keyfile store, or one token.
type Place struct {
	ID       string         `json:"id"`    // what GenerateRequest.Place takes; stable while the token is the same
	Label    string         `json:"label"` // for people: the folder of key files, or the token's label and serial number
	Detail   string         `json:"detail,omitempty"`
	Hardware bool           `json:"hardware"`          // keys cannot be copied out of it: recommended
	NewPIN   bool           `json:"newPin"`            // the person chooses a new password for the key (keyfile) rather than giving the token's PIN
	State    PINState       `json:"pinState"`          // what the token's flags say; "" where there is no token, and Problem says why
	Problem  string         `json:"problem,omitempty"` // a problem.Code when no key can be made here now
	Keys     []KeyAlgorithm `json:"keys"`
}

// PINState is what a token's flags say of its PIN.
type PINState string

// The PIN states.
const (
	PINOK     PINState = "ok"
	PINLow    PINState = "low"   // a wrong PIN was given since the last right one
	PINFinal  PINState = "final" // one try left
	PINLocked PINState = "locked"
	PINUnset  PINState = "unset"
)

// KeyAlgorithm is a kind of key as the command line and the wire name it.
type KeyAlgorithm string

// The key algorithms.
const (
	RSA2048 KeyAlgorithm = "rsa2048"
	RSA3072 KeyAlgorithm = "rsa3072"
	P256    KeyAlgorithm = "p256"
	P384    KeyAlgorithm = "p384"
)

// GenerateRequest asks for a new key.
type GenerateRequest struct {
	Place     string // a Place.ID; "" is the store's only place
	Algorithm KeyAlgorithm
	Label     string // for people; the store makes it fit
}

// Key is a key in a store and the certificates that belong to it.
type Key struct {
	Store     string // KeyStore.Name
	ID        string // unique in the store and stable over restarts
	Place     string // Place.ID
	Label     string
	Where     string           // for people: the file, or the token's label and serial number
	Algorithm KeyAlgorithm     // "" when it is none of ours
	Public    crypto.PublicKey // nil when the token does not tell before log-in and there is no certificate
	Chain     [][]byte         // DER, the key's own certificate first; empty before enrolment
	Hardware  bool
	Created   time.Time // zero when the store does not know
	Made      Made      // how the key came to be, as far as the store knows
}

// Made is what a store states of how a key came to be. Nothing proves it: a driver says it, and the agent repeats it.
type Made struct {
	By               string // the token's manufacturer and model, or the provider; "" is this program
	Local            Stated // made where it is kept (PKCS#11: CKA_LOCAL)
	NeverExtractable Stated // could be copied out at no time (CKA_NEVER_EXTRACTABLE)
}

// Stated is yes, no, or nothing.
type Stated string

// What can be stated.
const (
	StatedYes Stated = "yes"
	StatedNo  Stated = "no"
)

// Session is an open key. Sign takes a digest and spends the consent it was opened with. It is used by one goroutine at
// a time and must be closed, which forgets the PIN. For RSA it signs PKCS#1 v1.5, and PSS (rsa.PSSOptions, the salt as long
// as the digest) where the store offers it, else unsupported; for ECDSA the signature is ASN.1.
type Session interface {
	crypto.Signer
	Close() error
}

// AskPIN gets a PIN or password from the person. A store calls it at most once per operation (ChangePIN: once for each
// secret, and not at all when the token has a PIN pad of its own). The store must Wipe the secret.
type AskPIN func(ctx context.Context, req PINRequest) (*Secret, error)

// PINRequest says which secret is asked for and why.
type PINRequest struct {
	New     bool // a new one is chosen, and typed twice: a password under the portal's rules, or a PIN when Max is set
	PUK     bool // the PUK is asked for, not the PIN
	Pad     bool // nothing is asked for here, and the secret is nil: the reader is about to ask for the PIN on its own pad
	Min     int  // of a token's PIN, in characters; 0 is not known
	Max     int
	Label   string // which key or token
	Where   string
	State   PINState // of the token's PIN or PUK; "" asks for the password of a key file
	Purpose Purpose
	// The agent's core fills in the rest; stores leave it empty.
	Origin    string // as Origin.Display shows it
	Document  string // name and count, for example "zgłoszenie.xml"
	Incorrect bool   // the last try was wrong
}

// Purpose is what a PIN or a consent is for.
type Purpose string

// The purposes.
const (
	PurposeEnroll Purpose = "enroll"
	PurposeSign   Purpose = "sign"
	PurposeStore  Purpose = "store" // to write a certificate beside its key
	PurposeDelete Purpose = "delete"
	PurposeImport Purpose = "import" // to read a file that somebody else wrote, or to store a key from one
	PurposePIN    Purpose = "pin"    // to change a PIN or password
)
