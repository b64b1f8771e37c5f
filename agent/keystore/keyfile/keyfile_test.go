package keyfile

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

const password = "Zażółć-gęślą-7!"

// sealIterations makes cheap files: there are many of them in these tests.
const sealIterations = 20

// seal puts a key into dir as Generate does, without the consent that only the core can give; the contract tests in
// package agent go the whole way.
func seal(t *testing.T, dir string) (*Store, *entry, *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p, err := newPublicPart(private.Public(), "Zgłoszenia celne", time.Now())
	require.NoError(t, err)
	e := &entry{path: filepath.Join(dir, p.fileName()), public: p, disk: systemDisk{}}
	sealed, err := encode(private, nil, agent.NewSecret([]byte(password)), sealIterations)
	require.NoError(t, err)
	require.NoError(t, e.writePublic())
	require.NoError(t, writeFile(systemDisk{}, e.path+extKey, sealed))
	return New(dir, WithIterations(sealIterations)), e, private
}

func certify(t *testing.T, key *ecdsa.PrivateKey, name string) []byte {
	t.Helper()
	der, err := selfSigned(key, name)
	require.NoError(t, err)
	return der
}

func selfSigned(key *ecdsa.PrivateKey, name string) ([]byte, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	template.Subject.CommonName = name
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}

func answer(t *testing.T, text string) agent.AskPIN {
	asked := 0
	return func(context.Context, agent.PINRequest) (*agent.Secret, error) {
		asked++
		require.Equal(t, 1, asked, "the password is asked for once")
		return agent.NewSecret([]byte(text)), nil
	}
}

// TestOpenSSLNamesTheAlgorithms; that other programs use the files is tested in package agent, where they are made.
func TestOpenSSLNamesTheAlgorithms(t *testing.T) {
	testtool.NotWine(t, "openssl is a program of the system that runs Wine")
	_, e, _ := seal(t, testtool.TempDir(t))
	cmd := exec.Command(testtool.Need(t, "openssl"), "pkcs12", "-in", e.path+extKey, "-info", "-noout", "-passin", "env:PASSWORD")
	cmd.Env = append(os.Environ(), "PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), fmt.Sprintf("MAC: sha256, Iteration %d", sealIterations))
	assert.Equal(t, 2, strings.Count(string(out), fmt.Sprintf("PBES2, PBKDF2, AES-256-CBC, Iteration %d, PRF hmacWithSHA256", sealIterations)))
}

func TestAWrongPasswordIsExpensiveToTry(t *testing.T) {
	const part = 50 // of the real count is tried, so that the test does not take as long as a thief
	count := New("").count()
	assert.GreaterOrEqual(t, count, MinIterations)
	assert.LessOrEqual(t, count, MaxIterations)
	assert.Equal(t, count, New("").count(), "it is measured once")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sealed, err := encode(private, nil, agent.NewSecret([]byte(password)), count/part)
	require.NoError(t, err)
	start := time.Now()
	_, err = decode(sealed, agent.NewSecret([]byte("wrong")))
	guess := part * time.Since(start)
	require.Equal(t, problem.PINIncorrect, problem.CodeOf(err))
	t.Logf("%d iterations: a guess takes %s", count, guess)
	// Half of the aim: when the count was measured the machine may have been busier than it is now.
	if count < MaxIterations {
		assert.Greater(t, guess, guessTime/2)
	}
}

func TestTheCountOfIterationsFollowsTheMachine(t *testing.T) {
	for name, tc := range map[string]struct {
		hash time.Duration
		want int
	}{
		"a slow machine":                {2 * time.Microsecond, MinIterations},
		"one that makes 4 in 1 µs":      {250 * time.Nanosecond, 1_000_000},
		"in whole hundred thousands":    {240 * time.Nanosecond, 1_100_000},
		"never more than keytool reads": {time.Nanosecond, MaxIterations},
		"a clock that stands still":     {0, MaxIterations},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, iterationsFor(1000*tc.hash, 1000)) })
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows hands rights down from the profile's folder")
	}
	dir := filepath.Join(testtool.TempDir(t), "keys")
	require.NoError(t, makeFolder(dir))
	_, e, _ := seal(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, e.path + extKey: 0o600, e.path + extPublic: 0o600} {
		found, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, want, found.Mode().Perm(), path)
	}
	require.NoError(t, os.Chmod(dir, 0o777))
	assert.Equal(t, problem.StoreUnavailable, problem.CodeOf(makeFolder(dir)), "others could put files there")
	places, err := New(dir).Places(t.Context())
	require.NoError(t, err)
	assert.Equal(t, string(problem.StoreUnavailable), places[0].Problem)
}

func TestFileNamesAreSafeEverywhere(t *testing.T) {
	for label, want := range map[string]string{
		"Zgłoszenia celne":       "zgloszenia-celne-0123456789ab",
		"../../etc/passwd":       "etc-passwd-0123456789ab",
		"CON":                    "con-0123456789ab",
		"???":                    "key-0123456789ab",
		"":                       "key-0123456789ab",
		strings.Repeat("Ź", 200): strings.Repeat("z", 40) + "-0123456789ab",
	} {
		assert.Equal(t, want, (&publicPart{id: "0123456789abcdef", label: label}).fileName(), label)
	}
}

func TestLabelsLoseWhatCannotBeSeen(t *testing.T) {
	assert.Equal(t, "Jan Kowalski", cleanLabel("\u202eJan\x00 Kowalski\n "))
	assert.Equal(t, "CertSign", cleanLabel("\x00"))
	assert.Equal(t, strings.Repeat("ł", maxLabel), cleanLabel(strings.Repeat("ł", 1000)))
}

func TestPublicPartIsNotTrusted(t *testing.T) {
	rewrite := func(t *testing.T, e *entry, change func(f *publicFile)) {
		b, err := os.ReadFile(e.path + extPublic)
		require.NoError(t, err)
		var f publicFile
		require.NoError(t, json.Unmarshal(b, &f))
		change(&f)
		b, err = json.Marshal(f)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(e.path+extPublic, b, 0o600))
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	t.Run("another key is not opened as this one", func(t *testing.T) {
		store, e, _ := seal(t, testtool.TempDir(t))
		rewrite(t, e, func(f *publicFile) {
			f.PublicKey, _ = x509.MarshalPKIXPublicKey(other.Public())
		})
		keys, err := store.List(t.Context())
		require.NoError(t, err)
		require.Len(t, keys, 1)
		found, err := store.find(keys[0].ID)
		require.NoError(t, err)
		_, _, err = found.unlock(t.Context(), answer(t, password), agent.PurposeSign)
		assert.Equal(t, problem.IntegrityFailed, problem.CodeOf(err))
	})
	t.Run("a certificate for another key hides nothing behind its name", func(t *testing.T) {
		store, e, _ := seal(t, testtool.TempDir(t))
		rewrite(t, e, func(f *publicFile) { f.Chain = [][]byte{certify(t, other, "somebody else")} })
		keys, err := store.List(t.Context())
		require.NoError(t, err)
		assert.Empty(t, keys)
	})
	t.Run("another certificate for the same key is refused once and put right", func(t *testing.T) {
		store, e, private := seal(t, testtool.TempDir(t))
		real, false_ := certify(t, private, "Jan Kowalski"), certify(t, private, "Anna Nowak")
		require.NoError(t, store.Attach(t.Context(), e.public.id, [][]byte{real}, answer(t, password)))
		rewrite(t, e, func(f *publicFile) { f.Chain = [][]byte{false_} })

		for i, want := range []problem.Code{problem.IntegrityFailed, ""} {
			found, err := store.find(e.public.id)
			require.NoError(t, err)
			content, _, err := found.unlock(t.Context(), answer(t, password), agent.PurposeSign)
			require.NoError(t, err)
			assert.Equal(t, want, problem.CodeOf(store.compare(t.Context(), found, content)), "time %d", i+1)
		}
		keys, err := store.List(t.Context())
		require.NoError(t, err)
		assert.Equal(t, [][]byte{real}, keys[0].Chain)
	})
	t.Run("a certificate that a crash left out comes back when the key is opened", func(t *testing.T) {
		store, e, private := seal(t, testtool.TempDir(t))
		chain := [][]byte{certify(t, private, "Jan Kowalski")}
		require.NoError(t, store.Attach(t.Context(), e.public.id, chain, answer(t, password)))
		rewrite(t, e, func(f *publicFile) { f.Chain = nil })
		found, err := store.find(e.public.id)
		require.NoError(t, err)
		content, _, err := found.unlock(t.Context(), answer(t, password), agent.PurposeSign)
		require.NoError(t, err)
		require.NoError(t, store.compare(t.Context(), found, content))
		keys, err := store.List(t.Context())
		require.NoError(t, err)
		assert.Equal(t, chain, keys[0].Chain)
	})
}

func TestAttach(t *testing.T) {
	store, e, private := seal(t, testtool.TempDir(t))
	before, err := os.ReadFile(e.path + extKey)
	require.NoError(t, err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	never := func(context.Context, agent.PINRequest) (*agent.Secret, error) {
		require.Fail(t, "no password is needed to see that")
		return nil, nil
	}

	t.Run("a certificate for another key is a mismatch", func(t *testing.T) {
		err := store.Attach(t.Context(), e.public.id, [][]byte{certify(t, other, "x")}, never)
		assert.Equal(t, problem.CertificateMismatch, problem.CodeOf(err))
	})
	t.Run("so are no certificate and no certificate's octets", func(t *testing.T) {
		for _, chain := range [][][]byte{nil, {[]byte("x")}} {
			assert.Equal(t, problem.CertificateMismatch, problem.CodeOf(store.Attach(t.Context(), e.public.id, chain, never)))
		}
	})
	t.Run("a wrong password leaves the file as it was", func(t *testing.T) {
		err := store.Attach(t.Context(), e.public.id, [][]byte{certify(t, private, "x")}, answer(t, "Wrong-password-1"))
		assert.Equal(t, problem.PINIncorrect, problem.CodeOf(err))
		after, err := os.ReadFile(e.path + extKey)
		require.NoError(t, err)
		assert.Equal(t, before, after)
	})
	t.Run("the certificate replaces the placeholder", func(t *testing.T) {
		chain := [][]byte{certify(t, private, "Jan Kowalski"), certify(t, other, "CA")}
		require.NoError(t, store.Attach(t.Context(), e.public.id, chain, answer(t, password)))
		sealed, err := os.ReadFile(e.path + extKey)
		require.NoError(t, err)
		_, leaf, issuers, err := pkcs12.DecodeChain(sealed, password)
		require.NoError(t, err)
		assert.Equal(t, "Jan Kowalski", leaf.Subject.CommonName)
		require.Len(t, issuers, 1)
		assert.Equal(t, "CA", issuers[0].Subject.CommonName)
	})
}

func TestWritesAreWhole(t *testing.T) {
	dir := testtool.TempDir(t)
	_, e, _ := seal(t, dir)
	t.Run("a write that cannot end leaves the old content and no remains", func(t *testing.T) {
		target := filepath.Join(dir, "folder")
		require.NoError(t, os.Mkdir(target, 0o700))
		assert.Equal(t, problem.StoreUnavailable, problem.CodeOf(writeFile(systemDisk{}, target, []byte("x"))))
		left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
		require.NoError(t, err)
		assert.Empty(t, left)
	})
	t.Run("what a crash left behind goes, what others left stays", func(t *testing.T) {
		public, err := os.ReadFile(e.path + extPublic)
		require.NoError(t, err)
		files := map[string][]byte{
			tempPrefix + "123": []byte("half a file"), "lost-key.json": public, "package.json": []byte(`{"name":"x"}`), "notes.txt": nil,
		}
		for name, content := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		}
		unlock, err := New(dir).lock(t.Context())
		require.NoError(t, err)
		unlock()
		assert.NoFileExists(t, filepath.Join(dir, tempPrefix+"123"))
		assert.NoFileExists(t, filepath.Join(dir, "lost-key.json"))
		assert.FileExists(t, filepath.Join(dir, "package.json"))
		assert.FileExists(t, filepath.Join(dir, "notes.txt"))
		assert.FileExists(t, e.path+extPublic)
	})
	t.Run("a second writer waits for its turn, and not for ever", func(t *testing.T) {
		unlock, err := New(dir).lock(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = New(dir).lock(ctx)
		assert.Equal(t, problem.StoreUnavailable, problem.CodeOf(err))
		time.AfterFunc(50*time.Millisecond, unlock)
		unlock, err = New(dir).lock(t.Context())
		require.NoError(t, err)
		unlock()
	})
}

func TestDamagedFilesAreRefusedBeforeThePassword(t *testing.T) {
	dir := testtool.TempDir(t)
	_, e, private := seal(t, dir)
	sealed, err := os.ReadFile(e.path + extKey)
	require.NoError(t, err)
	costly, err := pkcs12.Modern2023.WithIterations(2).Encode(private, mustParse(t, certify(t, private, "x")), nil, "x")
	require.NoError(t, err)
	// The MAC's count of iterations is the last INTEGER of the file.
	require.Equal(t, []byte{2, 1, 2}, costly[len(costly)-3:])
	pbmac1, err := pkcs12.Modern2026.Encode(private, mustParse(t, certify(t, private, "x")), nil, "x")
	require.NoError(t, err)
	for name, damaged := range map[string][]byte{
		"nothing":                nil,
		"not DER":                []byte("MZ"),
		"cut short":              sealed[:len(sealed)-1],
		"octets at the end":      append(bytes.Clone(sealed), 0),
		"a PBMAC1 code":          pbmac1,
		"no iterations":          append(bytes.Clone(costly[:len(costly)-1]), 0),
		"a negative count":       append(bytes.Clone(costly[:len(costly)-1]), 0x80),
		"longer than any we had": bytes.Repeat([]byte{0x30}, maxKeyFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(e.path+extKey, damaged, 0o600))
			_, _, err := e.unlock(t.Context(), func(context.Context, agent.PINRequest) (*agent.Secret, error) {
				require.Fail(t, "asked")
				return nil, nil
			}, agent.PurposeSign)
			assert.Contains(t, []problem.Code{problem.IntegrityFailed, problem.KeyAbsent}, problem.CodeOf(err))
		})
	}
}

func mustParse(t *testing.T, der []byte) *x509.Certificate {
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func FuzzReadPublicPart(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	p, err := newPublicPart(private.Public(), "klucz", time.Unix(1_700_000_000, 0))
	require.NoError(f, err)
	seed, err := p.marshal()
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"version":1,"publicKey":"","chain":[""],"created":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readPublicPart(b)
		if err != nil {
			return
		}
		again, err := p.marshal()
		if err != nil {
			return // a year that JSON cannot write
		}
		q, err := readPublicPart(again)
		require.NoError(t, err, "what was read can be written and read again")
		require.Equal(t, p.id, q.id)
		require.Equal(t, p.label, q.label)
	})
}

func FuzzDecode(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	sealed, err := encode(private, nil, agent.NewSecret([]byte(password)), 1)
	require.NoError(f, err)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := checkSealed(b, 1000); err != nil {
			return
		}
		c, err := decode(b, agent.NewSecret([]byte(password)))
		if err == nil {
			require.NotNil(t, c.private)
		}
	})
}
