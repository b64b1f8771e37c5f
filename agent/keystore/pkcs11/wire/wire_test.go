package wire_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent/keystore/pkcs11/wire"
)

func TestFramesComeBackAsTheyWent(t *testing.T) {
	var stream bytes.Buffer
	want := wire.Call{Version: wire.Version, Op: wire.OpSign, Params: json.RawMessage(`{"data":"AAE="}`)}
	require.NoError(t, wire.Write(&stream, want, []byte("1234")))
	require.NoError(t, wire.Write(&stream, wire.Answer{}, nil))
	assert.NotContains(t, stream.String(), `"1234"`, "the PIN is not in the JSON")

	var call wire.Call
	secret, err := wire.Read(&stream, &call)
	require.NoError(t, err)
	assert.Equal(t, want, call)
	assert.Equal(t, "1234", string(secret))
	var answer wire.Answer
	secret, err = wire.Read(&stream, &answer)
	require.NoError(t, err)
	assert.Empty(t, secret)
	_, err = wire.Read(&stream, &answer)
	assert.Equal(t, io.EOF, err)
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for name, frame := range map[string]string{
		"half a header":            "\x00\x00\x00",
		"a body over the limit":    "\x00\x40\x00\x01\x00\x00\x00\x00",
		"a secret over the limit":  "\x00\x00\x00\x02\x00\x00\x02\x01{}",
		"a body cut short":         "\x00\x00\x00\x09\x00\x00\x00\x00{}",
		"a secret cut short":       "\x00\x00\x00\x02\x00\x00\x00\x04{}12",
		"no JSON":                  "\x00\x00\x00\x02\x00\x00\x00\x00{]",
		"an unknown name":          "\x00\x00\x00\x09\x00\x00\x00\x00{\"pin\":1}",
		"two values":               "\x00\x00\x00\x04\x00\x00\x00\x00{}{}",
		"a driver's print to them": "Initializing smart card\n",
	} {
		t.Run(name, func(t *testing.T) {
			var call wire.Call
			_, err := wire.Read(strings.NewReader(frame), &call)
			assert.ErrorIs(t, err, wire.ErrFrame)
		})
	}
	assert.ErrorIs(t, wire.Write(io.Discard, wire.Call{}, make([]byte, wire.MaxSecret+1)), wire.ErrFrame)
}

func TestPublicKeysAreReadAsTokensShowThem(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)

	for _, public := range []crypto.PublicKey{rsaKey.Public(), p256.Public(), p384.Public()} {
		o, err := wire.NewPublic(public)
		require.NoError(t, err)
		got, err := o.PublicKey()
		require.NoError(t, err)
		assert.Equal(t, public, got)
	}
	_, err = wire.NewPublic(p521.Public())
	assert.ErrorIs(t, err, wire.ErrNoKey)

	bare, err := wire.NewPublic(p384.Public())
	require.NoError(t, err)
	wrapped := bare
	wrapped.ECPoint, err = asn1.Marshal(bare.ECPoint)
	require.NoError(t, err)
	got, err := wrapped.PublicKey()
	require.NoError(t, err, "wrapped into an OCTET STRING, as the standard wants")
	assert.Equal(t, p384.Public(), got)

	zeros, err := wire.NewPublic(rsaKey.Public())
	require.NoError(t, err)
	zeros.Modulus = append([]byte{0, 0}, zeros.Modulus...)
	got, err = zeros.PublicKey()
	require.NoError(t, err, "with leading zeros")
	assert.Equal(t, rsaKey.Public(), got)

	offCurve := bare
	offCurve.ECPoint = bytes.Clone(bare.ECPoint)
	offCurve.ECPoint[50] ^= 1
	for name, o := range map[string]wire.Object{
		"an object without a type":    {},
		"an even modulus":             {KeyType: wire.KeyRSA, Modulus: bytes.Repeat([]byte{2}, 256), Exponent: []byte{1, 0, 1}},
		"a modulus of 64 bits":        {KeyType: wire.KeyRSA, Modulus: bytes.Repeat([]byte{0xff}, 8), Exponent: []byte{1, 0, 1}},
		"a modulus of 16,384 bits":    {KeyType: wire.KeyRSA, Modulus: bytes.Repeat([]byte{0xff}, 2048), Exponent: []byte{1, 0, 1}},
		"the exponent 1":              {KeyType: wire.KeyRSA, Modulus: bytes.Repeat([]byte{0xff}, 256), Exponent: []byte{1}},
		"a point that is not on it":   offCurve,
		"a curve that is not ours":    {KeyType: wire.KeyEC, ECParams: []byte{6, 5, 0x2b, 0x81, 4, 0, 0x23}, ECPoint: bare.ECPoint},
		"the point at infinity":       {KeyType: wire.KeyEC, ECParams: wire.OIDP256, ECPoint: []byte{0}},
		"no point":                    {KeyType: wire.KeyEC, ECParams: wire.OIDP256},
		"a point of the other length": {KeyType: wire.KeyEC, ECParams: wire.OIDP256, ECPoint: bare.ECPoint},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.PublicKey()
			assert.ErrorIs(t, err, wire.ErrNoKey)
		})
	}
}

func TestTwoSecretsTravelAsOne(t *testing.T) {
	long := strings.Repeat("x", wire.MaxPIN)
	for _, c := range [][2]string{{"1234", "567890"}, {"", ""}, {"", "1"}, {long, long}} {
		both := wire.Pair([]byte(c[0]), []byte(c[1]))
		assert.LessOrEqual(t, len(both), wire.MaxSecret)
		first, second, err := wire.Split(both)
		require.NoError(t, err)
		assert.Equal(t, c, [2]string{string(first), string(second)})
	}
	for _, wrong := range []string{"", "\x00", "\x01\x00", "\x00\x00x", "\x02\x02abc", "\x02\x02abcde"} {
		_, _, err := wire.Split([]byte(wrong))
		assert.ErrorIs(t, err, wire.ErrFrame, "%q", wrong)
	}
}

func TestResultsHaveLimits(t *testing.T) {
	long := make([]byte, wire.MaxAttribute+1)
	for name, result := range map[string]wire.Checker{
		"tokens":             &wire.TokensResult{Tokens: make([]wire.Token, wire.MaxSlots+1)},
		"a token's name":     &wire.TokensResult{Tokens: []wire.Token{{Identity: wire.Identity{Label: strings.Repeat("x", 201)}}}},
		"unknown slots":      &wire.TokensResult{Unknown: make([]string, wire.MaxSlots+1)},
		"a slot's name":      &wire.TokensResult{Unknown: []string{strings.Repeat("x", 201)}},
		"objects":            &wire.ObjectsResult{Objects: make([]wire.Object, wire.MaxObjects+1)},
		"an attribute":       &wire.ObjectsResult{Objects: []wire.Object{{Value: long}}},
		"a new key":          &wire.GenerateResult{Public: wire.Object{Modulus: long}},
		"a chosen key":       &wire.KeyResult{Public: wire.Object{ECPoint: long}},
		"no signature":       &wire.SignResult{},
		"too long signature": &wire.SignResult{Signature: make([]byte, 2049)},
	} {
		assert.ErrorIs(t, result.Check(), wire.ErrFrame, name)
	}
}

// FuzzReadCall is the module process's side, FuzzReadAnswer the agent's.
func FuzzReadCall(f *testing.F) {
	var seed bytes.Buffer
	require.NoError(f, wire.Write(&seed, wire.Call{Version: 1, Op: wire.OpOpen, Params: json.RawMessage(`{}`)}, []byte("1234")))
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var call wire.Call
		secret, err := wire.Read(bytes.NewReader(b), &call)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(secret), wire.MaxSecret)
		var again bytes.Buffer
		if len(call.Params) > 0 && !json.Valid(call.Params) {
			t.Fatal("parameters that are no JSON")
		}
		require.NoError(t, wire.Write(&again, call, secret))
		var same wire.Call
		sameSecret, err := wire.Read(&again, &same)
		require.NoError(t, err)
		require.Equal(t, secret, sameSecret)
		require.Equal(t, call.Op, same.Op)
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(wire.Pair([]byte("1234"), []byte("5678")))
	f.Fuzz(func(t *testing.T, secret []byte) {
		if first, second, err := wire.Split(secret); err == nil {
			require.Equal(t, secret, wire.Pair(first, second))
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	seeds := []any{
		wire.TokensResult{Tokens: []wire.Token{{Slot: 1, Identity: wire.Identity{Label: "karta"}}}},
		wire.ObjectsResult{Objects: []wire.Object{{Class: wire.ClassPublic, KeyType: wire.KeyEC, ECParams: wire.OIDP256}}},
		wire.SignResult{Signature: []byte{1}},
	}
	for _, result := range seeds {
		b, err := json.Marshal(result)
		require.NoError(f, err)
		var seed bytes.Buffer
		require.NoError(f, wire.Write(&seed, wire.Answer{Result: b}, nil))
		f.Add(seed.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var answer wire.Answer
		if _, err := wire.Read(bytes.NewReader(b), &answer); err != nil {
			return
		}
		for _, result := range []wire.Checker{
			&wire.TokensResult{}, &wire.ObjectsResult{}, &wire.GenerateResult{}, &wire.KeyResult{}, &wire.SignResult{},
		} {
			if wire.Decode(answer.Result, result) != nil || result.Check() != nil {
				continue
			}
			if objects, ok := result.(*wire.ObjectsResult); ok {
				for _, o := range objects.Objects {
					public, err := o.PublicKey()
					if err == nil {
						_, err = wire.KeyID(public)
						require.NoError(t, err)
					}
				}
			}
		}
	})
}

func TestAFrameOfEmptyObjectsTakesLittleMemory(t *testing.T) {
	for _, name := range []string{"objects", "tokens"} {
		t.Run(name, func(t *testing.T) {
			result := json.RawMessage(`{"` + name + `":[` + strings.Repeat("{},", wire.MaxJSON/4) + `{}]}`)
			var frame bytes.Buffer
			require.NoError(t, wire.Write(&frame, wire.Answer{Result: result}, nil))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var answer wire.Answer
			_, err := wire.Read(&frame, &answer)
			if err == nil && name == "objects" {
				err = wire.Decode(answer.Result, new(wire.ObjectsResult))
			} else if err == nil {
				err = wire.Decode(answer.Result, new(wire.TokensResult))
			}
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, wire.ErrFrame)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
		})
	}
}

func TestAsMuchAsATokenMaySayFitsAFrame(t *testing.T) {
	var all wire.ObjectsResult
	for range wire.MaxObjects {
		all.Objects = append(all.Objects, wire.Object{
			Class: wire.ClassCertificate, KeyType: wire.KeyRSA, Label: strings.Repeat("<", wire.MaxLabel/2) + strings.Repeat("{", wire.MaxLabel/2),
			Value: make([]byte, wire.MaxContent/wire.MaxObjects-wire.MaxLabel),
		})
	}
	require.NoError(t, all.Check())
	result, err := json.Marshal(all)
	require.NoError(t, err)
	var frame bytes.Buffer
	require.NoError(t, wire.Write(&frame, wire.Answer{Result: result}, nil))
	var answer wire.Answer
	_, err = wire.Read(&frame, &answer)
	require.NoError(t, err)
	require.NoError(t, wire.Decode(answer.Result, new(wire.ObjectsResult)))
}
