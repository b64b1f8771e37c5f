package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// issue makes a certificate; a nil parent makes it self-signed.
func issue(t testing.TB, name string, isCA bool, expires time.Time, public crypto.PublicKey, parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: expires,
		BasicConstraintsValid: true, IsCA: isCA,
	}
	if isCA {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func publicOf(t testing.TB, id string, key crypto.PublicKey) wire.Object {
	t.Helper()
	o, err := wire.NewPublic(key)
	require.NoError(t, err)
	o.ID = []byte(id)
	return o
}

func certificateOf(id string, c *x509.Certificate) wire.Object {
	return wire.Object{Class: wire.ClassCertificate, ID: []byte(id), Value: c.Raw}
}

func TestKeysArePutTogetherFromObjects(t *testing.T) {
	soon, later := time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
	rootKey, caKey, key, other := newKey(t), newKey(t), newKey(t), newKey(t)
	root := issue(t, "root", true, later, rootKey.Public(), nil, rootKey)
	ca := issue(t, "CA", true, later, caKey.Public(), root, rootKey)
	mine := issue(t, "Jan Kowalski", false, soon, key.Public(), ca, caKey)
	renewed := issue(t, "Jan Kowalski", false, later, key.Public(), ca, caKey)
	placeholder := issue(t, "placeholder", false, later, key.Public(), nil, key)
	theirs := issue(t, "Anna Nowak", false, soon, other.Public(), ca, caKey)
	hidden := wire.Object{Class: wire.ClassPrivate, ID: []byte("1"), KeyType: wire.KeyEC, Label: "klucz"}
	place := agent.Place{ID: "place", Label: "Moja karta (1)", Hardware: true}

	type want struct {
		public crypto.PublicKey
		chain  []*x509.Certificate
		label  string
	}
	for _, c := range []struct {
		name    string
		objects []wire.Object
		want    []want
	}{
		{"nothing", nil, nil},
		{"a public key is a key", []wire.Object{publicOf(t, "1", key.Public())}, []want{{public: key.Public()}}},
		{"public and private halves are one key", []wire.Object{publicOf(t, "1", key.Public()), hidden}, []want{{public: key.Public(), label: "klucz"}}},
		{"a hidden key without a certificate has no public half", []wire.Object{hidden}, []want{{label: "klucz"}}},
		{"a certificate alone is a key, as on many finished cards",
			[]wire.Object{certificateOf("1", mine)}, []want{{key.Public(), []*x509.Certificate{mine}, "Jan Kowalski"}}},
		{"a certificate tells the public half of a hidden key",
			[]wire.Object{hidden, certificateOf("1", mine)}, []want{{key.Public(), []*x509.Certificate{mine}, "klucz"}}},
		{"issuers' certificates complete the chain and are no keys",
			[]wire.Object{certificateOf("3", root), certificateOf("2", ca), publicOf(t, "1", key.Public()), certificateOf("1", mine)},
			[]want{{key.Public(), []*x509.Certificate{mine, ca, root}, "Jan Kowalski"}}},
		{"of two certificates the one that lasts longer counts",
			[]wire.Object{publicOf(t, "1", key.Public()), certificateOf("1", mine), certificateOf("1", renewed)},
			[]want{{key.Public(), []*x509.Certificate{renewed}, "Jan Kowalski"}}},
		{"one that the key made for itself is a placeholder, however long it lasts",
			[]wire.Object{publicOf(t, "1", key.Public()), certificateOf("2", placeholder), certificateOf("1", mine), certificateOf("3", placeholder)},
			[]want{{key.Public(), []*x509.Certificate{mine}, "Jan Kowalski"}}},
		{"a certificate under another ID is found by the key it holds",
			[]wire.Object{publicOf(t, "1", key.Public()), certificateOf("9", mine)}, []want{{key.Public(), []*x509.Certificate{mine}, "Jan Kowalski"}}},
		{"another key's certificate under this key's ID is nobody's",
			[]wire.Object{publicOf(t, "1", key.Public()), certificateOf("1", theirs)}, []want{{public: key.Public()}}},
		{"two keys with one ID are two keys", []wire.Object{publicOf(t, "1", key.Public()), publicOf(t, "1", other.Public()), hidden,
			certificateOf("1", theirs)},
			[]want{{public: key.Public(), label: "klucz"}, {other.Public(), []*x509.Certificate{theirs}, "Anna Nowak"}}},
		{"objects without an ID cannot be used",
			[]wire.Object{publicOf(t, "", key.Public()), certificateOf("", mine)}, nil},
		{"keys of other kinds are passed over",
			[]wire.Object{{Class: wire.ClassPublic, ID: []byte("1")}, {Class: "data", ID: []byte("2")}}, nil},
		{"a certificate that cannot be read is passed over",
			[]wire.Object{publicOf(t, "1", key.Public()), {Class: wire.ClassCertificate, ID: []byte("1"), Value: []byte{0x30}}}, []want{{public: key.Public()}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := compose(place, c.objects)
			require.Len(t, got, len(c.want))
			for i, want := range c.want {
				if want.public == nil {
					assert.Nil(t, got[i].Public)
				} else {
					assert.True(t, wire.Same(want.public, got[i].Public))
					assert.Equal(t, agent.P256, got[i].Algorithm)
				}
				var chain [][]byte
				for _, c := range want.chain {
					chain = append(chain, c.Raw)
				}
				assert.Equal(t, chain, got[i].Chain)
				assert.Equal(t, want.label, got[i].Label)
				assert.Equal(t, Name, got[i].Store)
				assert.Equal(t, "place", placeOf(got[i].ID))
				assert.True(t, got[i].Hardware)
			}
		})
	}
}

func TestTokensAreNamedByAllThatTellsThemApart(t *testing.T) {
	token := wire.Identity{Label: "karta", Manufacturer: "SoftHSM project", Model: "SoftHSM v2", Serial: "1"}
	id := placeID(token)
	assert.Len(t, id, 32)
	assert.Equal(t, id, placeID(token))
	for _, change := range []func(*wire.Identity){
		func(t *wire.Identity) { t.Label += "x" }, func(t *wire.Identity) { t.Manufacturer += "x" },
		func(t *wire.Identity) { t.Model += "x" }, func(t *wire.Identity) { t.Serial += "x" },
		func(t *wire.Identity) { t.Label, t.Serial = "", token.Serial+token.Label },
	} {
		other := token
		change(&other)
		assert.NotEqual(t, id, placeID(other))
	}
}

func TestTokensThatNothingTellsApartAreNamedByTheirSlots(t *testing.T) {
	first, second := &process{}, &process{}
	at := func(p *process, slot uint64, serial string) *token {
		t := wire.Token{Slot: slot, Identity: wire.Identity{Label: "karta", Serial: serial}}
		return &token{Token: t, place: newPlace(t), process: p}
	}
	got := distinct([]*token{at(first, 0, "1"), at(first, 1, "1"), at(first, 2, "2"), at(second, 7, "2"), at(second, 8, "3")})
	require.Len(t, got, 4, "the same token through a second driver is left out")
	one := placeID(wire.Identity{Label: "karta", Serial: "1"})
	assert.Equal(t, one+"-0", got[0].place.ID)
	assert.Equal(t, one+"-1", got[1].place.ID)
	assert.Equal(t, placeID(wire.Identity{Label: "karta", Serial: "2"}), got[2].place.ID)
	assert.Same(t, first, got[2].process)
}

func TestFlagsSayWhatATokenCan(t *testing.T) {
	const usable = flagInitialized | flagPINInitialized | flagLoginRequired
	generates := []wire.Mechanism{
		{Type: ckmRSAKeyPairGen, Min: 1024, Max: 2048, Flags: flagGenerateKeyPair}, {Type: ckmRSAPKCS, Min: 1024, Max: 2048, Flags: flagSign},
		{Type: ckmECKeyPairGen, Flags: flagGenerateKeyPair}, {Type: ckmECDSA, Min: 256, Max: 256, Flags: flagSign},
	}
	for _, c := range []struct {
		name  string
		token wire.Token
		state agent.PINState
		code  problem.Code
		logIn wire.LogIn
	}{
		{"an ordinary token", wire.Token{Flags: usable, Mechanisms: generates}, agent.PINOK, "", wire.LogInPIN},
		{"a wrong PIN was given", wire.Token{Flags: usable | flagPINCountLow, Mechanisms: generates}, agent.PINLow, "", wire.LogInPIN},
		{"one try is left", wire.Token{Flags: usable | flagPINCountLow | flagPINFinalTry, Mechanisms: generates}, agent.PINFinal, "", wire.LogInPIN},
		{"none is", wire.Token{Flags: usable | flagPINFinalTry | flagPINLocked, Mechanisms: generates}, agent.PINLocked, problem.PINLocked, wire.LogInPIN},
		{"nobody set a PIN", wire.Token{Flags: flagInitialized | flagLoginRequired, Mechanisms: generates}, agent.PINUnset, problem.PINNotSet, wire.LogInPIN},
		{"the first PIN must be changed", wire.Token{Flags: usable | flagPINToBeChanged, Mechanisms: generates}, agent.PINOK, problem.PINNotSet, wire.LogInPIN},
		{"a reader with keys", wire.Token{Flags: usable | flagProtectedPath, Mechanisms: generates}, agent.PINOK, "", wire.LogInPad},
		{"no PIN is wanted", wire.Token{Flags: flagInitialized, Mechanisms: generates}, agent.PINOK, "", wire.LogInNone},
		{"it makes no keys", wire.Token{Flags: usable, Mechanisms: generates[1:2]}, agent.PINOK, problem.KeyGenerationForbidden, wire.LogInPIN},
		{"it cannot be written", wire.Token{Flags: usable | flagWriteProtected, Mechanisms: generates}, agent.PINOK, problem.KeyGenerationForbidden, wire.LogInPIN},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := newPlace(c.token)
			assert.Equal(t, c.state, place.State)
			assert.Equal(t, string(c.code), place.Problem)
			assert.Equal(t, c.logIn, logIn(c.token.Flags))
		})
	}
	assert.Equal(t, []agent.KeyAlgorithm{agent.RSA2048, agent.P256}, algorithms(wire.Token{Mechanisms: generates}))
	assert.True(t, newPlace(wire.Token{SlotFlags: flagRemovable}).Hardware)
	assert.False(t, newPlace(wire.Token{}).Hardware)
}

func TestVirtualReadersAndBlankSlotsAreNoTokens(t *testing.T) {
	for _, c := range []struct {
		name  string
		token wire.Token
		want  bool
	}{
		{"a card", wire.Token{SlotName: "ACS ACR39U ICC Reader 00 00", Flags: flagInitialized}, true},
		{"a card whose driver sets only the PIN's flag", wire.Token{Flags: flagPINInitialized}, true},
		{"a slot that nobody initialised", wire.Token{SlotName: "SoftHSM slot ID 0x1"}, false},
		{"the slot that NSS calculates with", wire.Token{SlotName: "NSS Internal Cryptographic Services", Flags: flagInitialized | flagWriteProtected}, false},
		{"a card that is only read, without a PIN", wire.Token{SlotFlags: flagRemovable, Flags: flagInitialized | flagWriteProtected}, true},
		{"Windows Hello", wire.Token{SlotName: "Windows Hello for Business 1", Flags: flagInitialized | flagPINInitialized}, false},
		{"a virtual smart card, which is the person's own", wire.Token{SlotName: "Microsoft Virtual Smart Card 0", Flags: flagInitialized}, true},
	} {
		assert.Equal(t, c.want, isToken(c.token), c.name)
	}
}

func TestAReaderIsStrangeOnlyWhenNoDriverKnowsWhatIsInIt(t *testing.T) {
	known := []*token{{Token: wire.Token{SlotName: "reader 1"}}}
	assert.Equal(t, []string{"reader 2", "reader 3"}, strangers([]string{"reader 1", "reader 2", "", "reader 3", "reader 2"}, known))
}

func TestAWayToANewPINIsTakenOnlyWhereItCanLeadAnywhere(t *testing.T) {
	const usable = flagInitialized | flagPINInitialized | flagLoginRequired
	for _, c := range []struct {
		name  string
		how   agent.PINChange
		flags uint64
		want  problem.Code
	}{
		{"a change", agent.PINRenew, usable, ""},
		{"the change that the token wants", agent.PINRenew, usable | flagPINToBeChanged, ""},
		{"a change of a locked PIN", agent.PINRenew, usable | flagPINLocked, problem.PINLocked},
		{"a change of no PIN", agent.PINRenew, flagInitialized | flagLoginRequired, problem.PINNotSet},
		{"a locked PIN is unblocked", agent.PINUnblock, usable | flagPINLocked, ""},
		{"a forgotten PIN is unblocked", agent.PINUnblock, usable, ""},
		{"a PIN is unblocked with the last try for the PUK", agent.PINUnblock, usable | flagPINLocked | flagSOFinalTry, ""},
		{"a PIN is unblocked with a locked PUK", agent.PINUnblock, usable | flagPINLocked | flagSOLocked, problem.PUKLocked},
		{"no PIN is unblocked", agent.PINUnblock, flagInitialized | flagLoginRequired, problem.PINNotSet},
		{"a first PIN", agent.PINFirst, flagInitialized | flagLoginRequired, ""},
		{"a first PIN where there is one", agent.PINFirst, usable, problem.Unsupported},
		{"a PIN where none is wanted", agent.PINRenew, flagInitialized, problem.Unsupported},
		{"a token that cannot be written", agent.PINRenew, usable | flagWriteProtected, problem.Unsupported},
		{"no way at all", "", usable, problem.BadRequest},
	} {
		at := wire.Token{Flags: c.flags}
		assert.Equal(t, c.want, problem.CodeOf((&token{Token: at, place: newPlace(at)}).allows(c.how)), c.name)
	}
}

func TestReturnValuesAreTranslatedOnce(t *testing.T) {
	failed := func(function string, ckr uint64) wire.Failure {
		return wire.Failure{Cause: wire.CauseCKR, Function: function, CKR: ckr}
	}
	login := func(ckr uint64, user wire.User, flags uint64) wire.Failure {
		return wire.Failure{Cause: wire.CauseCKR, Function: "C_Login", CKR: ckr, User: user, Flags: flags}
	}
	for _, c := range []struct {
		failure wire.Failure
		want    problem.Code
	}{
		{failed("C_Login", 0xA0), problem.PINIncorrect},
		{login(0xA0, wire.UserNormal, flagPINLocked), problem.PINLocked},
		{failed("C_Login", 0xA4), problem.PINLocked},
		{failed("C_Login", 0xA3), problem.PINNotSet},
		{failed("C_Login", 0x102), problem.PINNotSet},
		{failed("C_Login", 0x50), problem.UserCancelled},
		{failed("C_Login", 0x104), problem.Busy},
		{login(0xA0, wire.UserSO, flagPINLocked), problem.PINIncorrect}, // the user's PIN is, the PUK is not
		{login(0xA0, wire.UserSO, flagSOLocked), problem.PUKLocked},
		{login(0xA4, wire.UserSO, flagPINLocked), problem.PUKLocked},
		{failed("C_Login", 0x103), problem.Unsupported},
		{failed("C_SetPIN", 0xA0), problem.PINIncorrect},
		{failed("C_SetPIN", 0xA1), problem.PINUnsuitable},
		{failed("C_InitPIN", 0xA2), problem.PINUnsuitable},
		{failed("C_InitPIN", 0x1B8), problem.PINUnsuitable},
		{failed("C_SetPIN", 0xA4), problem.Unsupported},
		{failed("C_Sign", 0x32), problem.TokenAbsent},
		{failed("C_Sign", 0xE1), problem.TokenUnrecognized},
		{failed("C_Sign", 0x05), problem.DriverFailed},
		{failed("C_Sign", 0x21), problem.Unsupported},
		{failed("C_CreateObject", 0x31), problem.TokenFull},
		{failed("C_GenerateKeyPair", 0x31), problem.TokenFull},
		{failed("C_GenerateKeyPair", 0xE2), problem.KeyGenerationForbidden},
		{failed("C_GenerateKeyPair", 0x54), problem.KeyGenerationForbidden},
		{failed("C_GenerateKeyPair", 0x103), problem.KeyGenerationForbidden},
		{failed("C_GenerateKeyPair", 0xD1), problem.KeyGenerationForbidden},
		{failed("C_GenerateKeyPair", 0x62), problem.Unsupported},
		{failed("C_GenerateKeyPair", 0x70), problem.Unsupported},
		{failed("C_Sign", 0x80000001), problem.DriverFailed},
		{wire.Failure{Cause: wire.CauseToken}, problem.TokenAbsent},
		{wire.Failure{Cause: wire.CauseKey}, problem.KeyAbsent},
		{wire.Failure{Cause: wire.CauseUnsupported}, problem.Unsupported},
		{wire.Failure{Cause: wire.CauseLoad}, problem.DriverFailed},
		{wire.Failure{Cause: wire.CauseCall}, problem.Internal},
		{wire.Failure{Cause: "anything"}, problem.Internal},
	} {
		err := translate(&c.failure)
		assert.Equal(t, c.want, problem.CodeOf(err), "%+v", c.failure)
		var f *wire.Failure
		assert.ErrorAs(t, err, &f, "the log learns the cause")
	}
	err := translate(&wire.Failure{Cause: wire.CauseCKR, Function: "C_Login <script>1234", CKR: 5})
	assert.Equal(t, "the driver answered a call with 0x00000005", problem.DetailOf(err), "a driver's words are not shown")
}

func TestSignaturesAreVerifiedBeforeTheyLeave(t *testing.T) {
	key := newKey(t)
	digest := bytes.Repeat([]byte{7}, 32)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	require.NoError(t, err)
	raw := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	der, err := finish(key.Public(), crypto.SHA256, false, digest, raw)
	require.NoError(t, err)
	assert.True(t, ecdsa.VerifyASN1(&key.PublicKey, digest, der))
	for name, raw := range map[string][]byte{
		"too short": raw[1:], "zero": make([]byte, 64), "another's": append(bytes.Clone(raw[32:]), raw[:32]...), "nothing": nil,
	} {
		_, err := finish(key.Public(), crypto.SHA256, false, digest, raw)
		assert.Equal(t, problem.DriverFailed, problem.CodeOf(err), name)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, err = finish(rsaKey.Public(), crypto.SHA256, false, digest, raw)
	assert.Equal(t, problem.DriverFailed, problem.CodeOf(err))
	pkcs1, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest)
	require.NoError(t, err)
	_, err = finish(rsaKey.Public(), crypto.SHA256, true, digest, pkcs1)
	assert.Equal(t, problem.DriverFailed, problem.CodeOf(err), "PKCS#1 v1.5 where PSS was asked for")
	for salt, want := range map[int]problem.Code{32: "", 20: problem.DriverFailed} {
		pss, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt})
		require.NoError(t, err)
		_, err = finish(rsaKey.Public(), crypto.SHA256, true, digest, pss)
		assert.Equal(t, want, problem.CodeOf(err), "a salt of %d octets", salt)
	}
	_, err = finish(nil, crypto.SHA256, false, digest, raw)
	assert.Equal(t, problem.DriverFailed, problem.CodeOf(err))
}

func TestCandidatesAreEachFileOnce(t *testing.T) {
	dir := t.TempDir()
	module, link := filepath.Join(dir, "module.so"), filepath.Join(dir, "link.so")
	require.NoError(t, os.WriteFile(module, nil, 0o600))
	require.NoError(t, os.Symlink(module, link))
	s := New(Config{Modules: []string{module, link, "/nowhere/other.so"}, OnlyModules: true})
	assert.Equal(t, []candidate{{path: module, told: true}, {path: "/nowhere/other.so", told: true}}, s.candidates())
	s = New(Config{Modules: []string{module}, Parameters: map[string]string{module: "configdir='sql:x'"}, OnlyModules: true})
	assert.Equal(t, []candidate{{path: module, reserved: "configdir='sql:x'", told: true}}, s.candidates())
	for _, table := range []map[string][]string{makers, open} {
		for system, paths := range table {
			for _, path := range paths {
				assert.True(t, system == "windows" && strings.HasPrefix(path, `C:\`) || filepath.IsAbs(path), path)
				_, err := filepath.Match(path, "")
				assert.NoError(t, err, path)
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lib-1.2.so"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lib-3.so"), 0o700))
	assert.Equal(t, []string{filepath.Join(dir, "lib-1.2.so"), module},
		existing([]string{filepath.Join(dir, "lib-*.so"), module, filepath.Join(dir, "nothing.so")}))
}

func FuzzCompose(f *testing.F) {
	key := newKey(f)
	c := issue(f, "Jan Kowalski", false, time.Now().Add(time.Hour), key.Public(), nil, key)
	seed, err := json.Marshal(wire.ObjectsResult{Objects: []wire.Object{
		publicOf(f, "1", key.Public()), certificateOf("1", c), {Class: wire.ClassPrivate, ID: []byte("1"), KeyType: wire.KeyEC},
	}})
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var objects wire.ObjectsResult
		if wire.Decode(b, &objects) != nil || objects.Check() != nil {
			return
		}
		for _, k := range compose(agent.Place{ID: "place"}, objects.Objects) {
			require.NotEmpty(t, k.ckaID)
			require.NotEmpty(t, k.kind)
			require.LessOrEqual(t, len(k.Chain), maxChain)
			if len(k.Chain) > 0 {
				own, err := x509.ParseCertificate(k.Chain[0])
				require.NoError(t, err)
				require.True(t, wire.Same(k.Public, own.PublicKey), "a certificate is never shown for another key")
			}
		}
	})
}
