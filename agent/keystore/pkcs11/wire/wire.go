// Package wire is the language between the agent and certsign-pkcs11, the process that loads one PKCS#11 module: framed
// JSON calls on its standard input, one answer to each on its standard output.
//
// Neither side trusts the other. The module process checks what it is told because a wrong slot or an empty key ID could
// use or delete the wrong key; the agent checks what it is told because a driver is foreign code that can write anything
// into its process. A PIN travels beside the JSON, never in it, so that no encoder keeps a copy.
//
// It is no protocol between releases: both programs come from one build, and Version differs where they do not.
package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is the language's version.
const Version = 3

// The limits of a frame, in octets.
const (
	MaxJSON   = 4 << 20
	MaxPIN    = 255          // a PIN, password or PUK
	MaxSecret = 2 + 2*MaxPIN // one of them, or two as Pair puts them together
)

// The limits of what a module may say.
const (
	MaxSlots     = 64
	MaxObjects   = 512      // per token
	MaxAttribute = 32 << 10 // octets
	MaxLabel     = 200      // octets of an object's label
	MaxContent   = 2 << 20  // octets of all objects of a token together, so that they fit a frame in base64
)

// Op names what a call asks for.
type Op string

// The operations, with their parameters and results. A process serves one session with one token after another calls.
const (
	OpTokens   Op = "tokens"   // TokensParams → TokensResult; loads the module
	OpObjects  Op = "objects"  // SlotParams → ObjectsResult; without log-in, or in the open session
	OpOpen     Op = "open"     // OpenParams and the PIN → nothing; a session, logged in
	OpGenerate Op = "generate" // GenerateParams → GenerateResult; in the open session
	OpKeep     Op = "keep"     // KeepParams → KeepResult; the key that was just made gets its lasting ID
	OpKey      Op = "key"      // KeyParams → KeyResult; the key for the next OpSign
	OpSign     Op = "sign"     // SignParams → SignResult
	OpAttach   Op = "attach"   // AttachParams → AttachResult
	OpDelete   Op = "delete"   // DeleteParams → nothing
	OpSetPIN   Op = "set-pin"  // PINParams and a Pair of secrets → nothing; without a session
	OpEnd      Op = "end"      // → nothing; the process ends
)

// Call is one request.
type Call struct {
	Version int             `json:"version"`
	Op      Op              `json:"op"`
	Params  json.RawMessage `json:"params,omitempty"`
	Sign    *SignParams     `json:"-"` // the parameters of OpSign, whose frame is no JSON
}

// Answer is the answer to the one call before it.
type Answer struct {
	Result    json.RawMessage `json:"result,omitempty"`
	Failure   *Failure        `json:"failure,omitempty"`
	Signature *SignResult     `json:"-"` // the result of OpSign, whose frame is no JSON
}

// Cause is what kind of failure it was.
type Cause string

// The causes.
const (
	CauseCKR         Cause = "ckr"         // Function returned CKR
	CauseLoad        Cause = "load"        // the file is no PKCS#11 module, or for another kind of processor
	CauseCall        Cause = "call"        // the call makes no sense here: a fault of ours
	CauseToken       Cause = "token"       // the slot no longer holds that token
	CauseKey         Cause = "key"         // the token has no such private key
	CauseUnsupported Cause = "unsupported" // the token cannot do that
)

// Failure is why a call was not done. It never holds what the call held.
type Failure struct {
	Cause    Cause  `json:"cause"`
	Function string `json:"function,omitempty"` // of PKCS#11, for example "C_Login"
	CKR      uint64 `json:"ckr,omitempty"`
	Detail   string `json:"detail,omitempty"`
	User     User   `json:"user,omitempty"`  // whose PIN it was, after a log-in that failed
	Flags    uint64 `json:"flags,omitempty"` // the token's, after a log-in that failed
}

func (f *Failure) Error() string {
	switch f.Cause {
	case CauseCKR:
		return fmt.Sprintf("%s: CKR 0x%08X", f.Function, f.CKR)
	default:
		return fmt.Sprintf("%s: %s", f.Cause, f.Detail)
	}
}

// Pair puts two PINs into one secret, and Split takes them apart again. Both are at most MaxPIN octets long.
func Pair(first, second []byte) []byte {
	both := make([]byte, 0, 2+len(first)+len(second))
	both = append(both, byte(len(first)), byte(len(second)))
	return append(append(both, first...), second...)
}

// Split returns parts of secret, not copies.
func Split(secret []byte) (first, second []byte, err error) {
	if len(secret) < 2 || len(secret) != 2+int(secret[0])+int(secret[1]) {
		return nil, nil, fmt.Errorf("%w: no two secrets", ErrFrame)
	}
	end := 2 + int(secret[0])
	return secret[2:end:end], secret[end:], nil
}

// ErrFrame is a frame that breaks the limits or the form.
var ErrFrame = errors.New("malformed frame")

// Write writes one frame: the lengths of both parts as 32-bit big-endian numbers, the JSON, the secret. A signature's frames
// have a short form in place of JSON, because they are many.
func Write(w io.Writer, message any, secret []byte) error {
	body, short := shorten(message)
	if !short {
		var err error
		if body, err = json.Marshal(message); err != nil {
			return fmt.Errorf("encode frame: %w", err)
		}
	}
	if len(body) > MaxJSON || len(secret) > MaxSecret {
		return fmt.Errorf("%w: %d and %d octets", ErrFrame, len(body), len(secret))
	}
	frame := make([]byte, 0, 8+len(body)+len(secret))
	defer func() { clear(frame[:cap(frame)]) }()
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(secret)))
	frame = append(frame, body...)
	frame = append(frame, secret...)
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// Read reads one frame into message, which must be a pointer, and returns the secret, which the caller wipes. At the end
// of the stream, between two frames, it returns io.EOF.
func Read(r io.Reader, message any) (secret []byte, err error) {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	size, secretSize := binary.BigEndian.Uint32(header[:4]), binary.BigEndian.Uint32(header[4:])
	if size > MaxJSON || secretSize > MaxSecret {
		return nil, fmt.Errorf("%w: %d and %d octets", ErrFrame, size, secretSize)
	}
	body, err := readBody(r, int64(size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	secret = make([]byte, secretSize)
	if _, err := io.ReadFull(r, secret); err != nil {
		clear(secret)
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if isShort(body) {
		err = lengthen(body, message)
	} else {
		err = Decode(body, message)
	}
	if err != nil {
		clear(secret)
		return nil, err
	}
	return secret, nil
}

func readBody(r io.Reader, size int64) ([]byte, error) {
	if size <= 4<<10 {
		body := make([]byte, size)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	// The buffer grows with what comes, not with what the header promises.
	var body bytes.Buffer
	_, err := io.CopyN(&body, r, size)
	return body.Bytes(), err
}

// maxBraces is more than MaxObjects objects have, even with labels of nothing else. An empty object takes two octets in a
// frame and two hundred in memory.
const maxBraces = MaxObjects * (MaxLabel + 2)

// Decode reads JSON strictly: one value, no unknown names, not more objects than anybody says.
func Decode(b []byte, v any) error {
	if n := bytes.Count(b, []byte("{")); n > maxBraces {
		return fmt.Errorf("%w: %d objects", ErrFrame, n)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: octets after the value", ErrFrame)
	}
	return nil
}
