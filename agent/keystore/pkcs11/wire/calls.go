package wire

import (
	"errors"
	"fmt"
)

// Identity is what tells one token from another: the label alone does not (PKCS#11 3.1, 3.2, CK_TOKEN_INFO).
type Identity struct {
	Label        string `json:"label"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Serial       string `json:"serial"`
}

// Token is a token in a slot.
type Token struct {
	Slot       uint64      `json:"slot"`
	SlotName   string      `json:"slotName"` // CK_SLOT_INFO's description, mostly the reader's name
	SlotFlags  uint64      `json:"slotFlags"`
	Identity   Identity    `json:"identity"`
	Flags      uint64      `json:"flags"`
	MinPIN     uint64      `json:"minPIN"`
	MaxPIN     uint64      `json:"maxPIN"`
	Mechanisms []Mechanism `json:"mechanisms,omitempty"` // those of interest only
}

// Mechanism is a mechanism that a token has.
type Mechanism struct {
	Type  uint64 `json:"type"` // CKM_*
	Min   uint64 `json:"min"`  // key size, in bits
	Max   uint64 `json:"max"`
	Flags uint64 `json:"flags"`
}

// TokensParams load the module, at the first call.
type TokensParams struct {
	// Reserved is for C_Initialize's pReserved, which PKCS#11 wants to be NULL and NSS's softokn to be parameters.
	Reserved string `json:"reserved,omitempty"`
}

// TokensResult is what the module has in its slots.
type TokensResult struct {
	Module  string   `json:"module"` // what the module calls itself
	Tokens  []Token  `json:"tokens"`
	Unknown []string `json:"unknown,omitempty"` // the names of slots with something that the module does not recognise
}

// Check holds the result against the limits.
func (r *TokensResult) Check() error {
	if len(r.Tokens)+len(r.Unknown) > MaxSlots {
		return fmt.Errorf("%w: %d tokens", ErrFrame, len(r.Tokens)+len(r.Unknown))
	}
	names := append([]string{r.Module}, r.Unknown...)
	for _, t := range r.Tokens {
		names = append(names, t.SlotName, t.Identity.Label, t.Identity.Manufacturer, t.Identity.Model, t.Identity.Serial)
	}
	for _, name := range names {
		if len(name) > maxName {
			return fmt.Errorf("%w: a name of %d octets", ErrFrame, len(name))
		}
	}
	return nil
}

// maxName is more than any text of PKCS#11, which has 64 octets at most, is when what is no UTF-8 has been replaced.
const maxName = 200

// SlotParams names a slot and the token that must be in it.
type SlotParams struct {
	Slot  uint64   `json:"slot"`
	Token Identity `json:"token"`
}

// Class is a kind of object.
type Class string

// The classes.
const (
	ClassPublic      Class = "public"
	ClassPrivate     Class = "private"
	ClassCertificate Class = "certificate"
)

// KeyType is a kind of key.
type KeyType string

// The key types; any other is "".
const (
	KeyRSA KeyType = "rsa"
	KeyEC  KeyType = "ec"
)

// Object is an object on a token, with the attributes that could be read.
type Object struct {
	Class    Class   `json:"class"`
	ID       []byte  `json:"id,omitempty"`
	Label    string  `json:"label,omitempty"`
	KeyType  KeyType `json:"keyType,omitempty"`
	Modulus  []byte  `json:"modulus,omitempty"`
	Exponent []byte  `json:"exponent,omitempty"`
	ECParams []byte  `json:"ecParams,omitempty"` // DER
	ECPoint  []byte  `json:"ecPoint,omitempty"`  // as the token gives it: a DER OCTET STRING, or the point alone
	Value    []byte  `json:"value,omitempty"`    // a certificate's DER
}

// ObjectsResult is what a token shows without log-in.
type ObjectsResult struct {
	Objects []Object `json:"objects"`
}

// Check holds the result against the limits.
func (r *ObjectsResult) Check() error {
	if len(r.Objects) > MaxObjects {
		return fmt.Errorf("%w: %d objects", ErrFrame, len(r.Objects))
	}
	for i := range r.Objects {
		if err := r.Objects[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// Size is how many octets an object's attributes have.
func (o *Object) Size() int {
	return len(o.ID) + len(o.Label) + len(o.Modulus) + len(o.Exponent) + len(o.ECParams) + len(o.ECPoint) + len(o.Value)
}

func (o *Object) check() error {
	if len(o.Label) > MaxLabel {
		return fmt.Errorf("%w: a label of %d octets", ErrFrame, len(o.Label))
	}
	for _, attribute := range [][]byte{o.ID, o.Modulus, o.Exponent, o.ECParams, o.ECPoint, o.Value} {
		if len(attribute) > MaxAttribute {
			return fmt.Errorf("%w: an attribute of %d octets", ErrFrame, len(attribute))
		}
	}
	return nil
}

// LogIn says how to log in.
type LogIn string

// The ways to log in.
const (
	LogInNone LogIn = "none" // the token does not ask for it
	LogInPIN  LogIn = "pin"  // with the PIN that comes with the call
	LogInPad  LogIn = "pad"  // the person enters the PIN on the reader
)

// OpenParams opens a session. C_Login is called at most once.
type OpenParams struct {
	SlotParams
	ReadWrite bool  `json:"readWrite"`
	LogIn     LogIn `json:"logIn"`
}

// GenerateParams asks for a key pair.
type GenerateParams struct {
	Type  KeyType `json:"type"`
	Bits  int     `json:"bits"` // of an RSA key
	Curve []byte  `json:"curve,omitempty"`
	Label string  `json:"label"`
	ID    []byte  `json:"id"` // the CKA_ID until OpKeep; nobody else's
}

// MaxID bounds a CKA_ID that the agent gives, in octets.
const MaxID = 64

// KeepParams is the lasting CKA_ID of the new key.
type KeepParams struct {
	ID []byte `json:"id"`
}

// KeepResult is the ID that both halves have now: the token may have kept the first.
type KeepResult struct {
	ID []byte `json:"id"`
}

// Check holds the result against the limits.
func (r *KeepResult) Check() error { return (&Object{ID: r.ID}).check() }

// GenerateResult is the public half of a new key, and what the token says of the private one, where it says it.
type GenerateResult struct {
	Public           Object `json:"public"`
	Local            *bool  `json:"local,omitempty"`            // CKA_LOCAL
	NeverExtractable *bool  `json:"neverExtractable,omitempty"` // CKA_NEVER_EXTRACTABLE
}

// Check holds the result against the limits.
func (r *GenerateResult) Check() error { return r.Public.check() }

// KeyParams chooses the private key with that CKA_ID which belongs to Public.
type KeyParams struct {
	ID     []byte  `json:"id"`
	Type   KeyType `json:"type"`
	Public Object  `json:"public"` // what is known of it
}

// KeyResult says what is special about the key.
type KeyResult struct {
	AlwaysAuthenticate bool   `json:"alwaysAuthenticate"` // each signature asks for the PIN again
	Public             Object `json:"public"`             // its public half as far as it can be read after log-in
}

// Check holds the result against the limits.
func (r *KeyResult) Check() error { return r.Public.check() }

// SignParams is one signature with the chosen key: CKM_RSA_PKCS over a DigestInfo, CKM_RSA_PKCS_PSS or CKM_ECDSA over a
// digest.
type SignParams struct {
	Data []byte `json:"data"`
	PSS  Hash   `json:"pss,omitempty"` // RSA-PSS with that hash, MGF1 with the same, and a salt of its length
}

// Hash is a hash function.
type Hash string

// The hashes.
const (
	SHA256 Hash = "sha256"
	SHA384 Hash = "sha384"
	SHA512 Hash = "sha512"
)

// SignResult is a signature as PKCS#11 has it; for ECDSA r and s side by side.
type SignResult struct {
	Signature []byte `json:"signature"`
}

// Check holds the result against the limits.
func (r *SignResult) Check() error {
	if len(r.Signature) == 0 || len(r.Signature) > 2048 {
		return fmt.Errorf("%w: a signature of %d octets", ErrFrame, len(r.Signature))
	}
	return nil
}

// AttachParams writes certificates: the first replaces what has its ID, the others are issuers and are written as far as
// there is room.
type AttachParams struct {
	Certificates []Certificate `json:"certificates"`
}

// Certificate is a certificate object to be written.
type Certificate struct {
	ID      []byte `json:"id"`
	Label   string `json:"label"`
	Subject []byte `json:"subject"` // DER, as are the rest
	Issuer  []byte `json:"issuer"`
	Serial  []byte `json:"serial"`
	Value   []byte `json:"value"`
}

// AttachResult says how many of the certificates are on the token now.
type AttachResult struct {
	Stored int `json:"stored"`
}

// DeleteParams deletes the private key, public key and certificates with that ID, as far as they belong to Public: what
// another key's owner stored under the same ID stays.
type DeleteParams struct {
	ID     []byte `json:"id"`
	Public Object `json:"public"` // empty when it is not known: then the ID decides
}

// PINParams set the user's PIN of a token: from the first secret to the second, in at most one C_Login.
type PINParams struct {
	SlotParams
	User User `json:"user"` // whose PIN the first secret is
	// LogIn is LogInPIN, or LogInPad: then both secrets are empty, and the person enters them on the reader.
	LogIn LogIn `json:"logIn"`
	// OldAsPUK: where no security officer can log in, the first secret may be given to C_SetPIN of a public session, which
	// some drivers take as a PUK. Only for a PIN that is locked: elsewhere it could count as a wrong PIN.
	OldAsPUK bool `json:"oldAsPUK,omitempty"`
}

// User is who a PIN belongs to.
type User string

// The users: who uses the keys, and the security officer, whose PIN people know as the PUK.
const (
	UserNormal User = "user"
	UserSO     User = "so"
)

// Checker is a result with limits.
type Checker interface{ Check() error }

// ErrNoKey means that an object holds no public key of a kind that we know.
var ErrNoKey = errors.New("no readable public key")
