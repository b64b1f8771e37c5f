package keyfile

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// faultyDisk does what a systemDisk does until the step that is named at, counted from 1; there it calls stop, which fails
// that step or ends the process. A write has gone half way then.
type faultyDisk struct {
	systemDisk
	at, step int
	keep     int // octets that a failing write leaves; -1: half
	stop     func(what string) error
	steps    []string
}

func (d *faultyDisk) fails(what string) error {
	d.step++
	d.steps = append(d.steps, what)
	if d.step == d.at {
		return d.stop(what)
	}
	return nil
}

func (d *faultyDisk) create(dir string) (file, error) {
	if err := d.fails("create"); err != nil {
		return nil, err
	}
	f, err := d.systemDisk.create(dir)
	return &faultyFile{f, d}, err
}

func (d *faultyDisk) rename(from, to string) error {
	if err := d.fails("rename to " + filepath.Ext(to)); err != nil {
		return err
	}
	return d.systemDisk.rename(from, to)
}

func (d *faultyDisk) remove(path string) error {
	if err := d.fails("remove " + filepath.Ext(path)); err != nil {
		return err
	}
	return d.systemDisk.remove(path)
}

func (d *faultyDisk) syncFolder(dir string) error {
	if err := d.fails("sync folder"); err != nil {
		return err
	}
	return d.systemDisk.syncFolder(dir)
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f *faultyFile) Write(b []byte) (int, error) {
	keep := f.disk.keep
	if keep < 0 || keep > len(b) {
		keep = len(b) / 2
	}
	if f.disk.step+1 == f.disk.at {
		_, _ = f.file.Write(b[:keep])
	}
	if err := f.disk.fails("write"); err != nil {
		return keep, err
	}
	return f.file.Write(b)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.fails("sync file"); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Close() error {
	if err := f.disk.fails("close"); err != nil {
		_ = f.file.Close()
		return err
	}
	return f.file.Close()
}

const newPassword = "Nowe-hasło-klucza-8"

// answers gives one password after the other.
func answers(passwords ...string) agent.AskPIN {
	return func(context.Context, agent.PINRequest) (*agent.Secret, error) {
		if len(passwords) == 0 {
			return nil, errors.New("asked too often")
		}
		next := passwords[0]
		passwords = passwords[1:]
		return agent.NewSecret([]byte(next)), nil
	}
}

// operation is something that writes. It works on a folder with one key, which has a certificate, and may add another.
type operation struct {
	name string
	do   func(ctx context.Context, s *Store, id string, other *ecdsa.PrivateKey) error
	// gone: the key may be missing afterwards, because that is what was asked for.
	gone bool
}

var operations = []operation{
	{name: "generate", do: func(ctx context.Context, s *Store, _ string, _ *ecdsa.PrivateKey) error {
		_, _, err := s.generate(ctx, generators[agent.P256], "nowy", answers(newPassword))
		return err
	}},
	{name: "attach", do: func(ctx context.Context, s *Store, id string, _ *ecdsa.PrivateKey) error {
		e, err := s.find(id)
		if err != nil {
			return err
		}
		c, _, err := e.unlock(ctx, answers(password), agent.PurposeSign)
		if err != nil {
			return err
		}
		der, err := selfSigned(c.private.(*ecdsa.PrivateKey), "renewed")
		if err != nil {
			return err
		}
		return s.Attach(ctx, id, [][]byte{der}, answers(password))
	}},
	{name: "change the password", do: func(ctx context.Context, s *Store, id string, _ *ecdsa.PrivateKey) error {
		return s.ChangePIN(ctx, id, agent.PINRenew, answers(password, newPassword))
	}},
	{name: "import", do: func(ctx context.Context, s *Store, _ string, other *ecdsa.PrivateKey) error {
		der, err := selfSigned(other, "imported")
		if err != nil {
			return err
		}
		_, err = s.Import(ctx, agent.Bundle{Private: other, Chain: [][]byte{der}, Label: "stary"}, answers(newPassword))
		return err
	}},
	{name: "delete", gone: true, do: func(ctx context.Context, s *Store, id string, _ *ecdsa.PrivateKey) error {
		return s.Delete(ctx, id, nil)
	}},
}

// steps counts what an operation does to the disk when nothing fails.
func steps(t *testing.T, op operation) []string {
	t.Helper()
	store, id, other := folderWithKey(t)
	d := &faultyDisk{}
	store.disk = d
	require.NoError(t, op.do(t.Context(), store, id, other))
	return d.steps
}

// folderWithKey returns a folder with one key that has a certificate.
func folderWithKey(t *testing.T) (*Store, string, *ecdsa.PrivateKey) {
	t.Helper()
	store, e, private := seal(t, testtool.TempDir(t))
	store.iterations = sealIterations
	require.NoError(t, store.Attach(t.Context(), e.public.id, [][]byte{certify(t, private, "first")}, answers(password)))
	_, _, other := seal(t, testtool.TempDir(t))
	return store, e.public.id, other
}

// requireWhole checks what a folder must be like whatever happened in it: every key that was there is there, and opens
// under the old password or the new one; so does every key that came; and after one more write nothing half is left.
func requireWhole(t *testing.T, dir, id string, gone bool) {
	t.Helper()
	store := New(dir, WithIterations(sealIterations)) // a new process
	keys, err := store.List(t.Context())
	require.NoError(t, err)
	seen := false
	for _, k := range keys {
		seen = seen || k.ID == id
		e, err := store.find(k.ID)
		require.NoError(t, err)
		c, secret, err := e.unlock(t.Context(), answers(password), agent.PurposeSign)
		if problem.CodeOf(err) == problem.PINIncorrect {
			c, secret, err = e.unlock(t.Context(), answers(newPassword), agent.PurposeSign)
		}
		require.NoError(t, err, "neither the old password nor the new one opens it")
		secret.Wipe()
		// Where one certificate was to take another's place, the public part may still show the first: the key is refused once.
		if err := store.compare(t.Context(), e, c); err != nil {
			require.Equal(t, problem.IntegrityFailed, problem.CodeOf(err))
			require.Equal(t, "renewed", c.chain[0].Subject.CommonName)
			e, err = store.find(k.ID)
			require.NoError(t, err)
			require.NoError(t, store.compare(t.Context(), e, c), "what is shown is what is there")
		}
		if k.ID == id {
			require.Len(t, c.chain, 1)
			assert.Contains(t, []string{"first", "renewed"}, c.chain[0].Subject.CommonName)
		}
	}
	if !gone {
		require.True(t, seen, "the key is lost")
	}

	_, _, err = store.generate(t.Context(), generators[agent.P256], "następny", answers(newPassword))
	require.NoError(t, err, "the store works on")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		assert.False(t, strings.HasPrefix(f.Name(), tempPrefix), "half a file is left: %s", f.Name())
		if name, isPublic := strings.CutSuffix(f.Name(), extPublic); isPublic {
			assert.FileExists(t, filepath.Join(dir, name+extKey), "a public part without its key is left")
		}
		if name, isKey := strings.CutSuffix(f.Name(), extKey); isKey {
			assert.FileExists(t, filepath.Join(dir, name+extPublic), "a key that nobody sees is left")
		}
	}
}

func TestAStepThatFailsLeavesTheOldFileOrTheNewOne(t *testing.T) {
	full := errors.New("no space left on device")
	for _, op := range operations {
		all := steps(t, op)
		for at, what := range all {
			t.Run(fmt.Sprintf("%s: %s fails (step %d of %d)", op.name, what, at+1, len(all)), func(t *testing.T) {
				store, id, other := folderWithKey(t)
				d := &faultyDisk{at: at + 1, keep: -1, stop: func(string) error { return full }}
				store.disk = d
				err := op.do(t.Context(), store, id, other)
				require.ErrorIs(t, err, full, "it is not hidden")
				if d.steps[at] != "sync folder" || op.name != "delete" {
					assert.Equal(t, problem.StoreUnavailable, problem.CodeOf(err))
				}
				requireWhole(t, store.dir, id, op.gone)
			})
		}
	}
}

func TestATornWriteAtAnyOctetLeavesTheOldFile(t *testing.T) {
	torn := errors.New("torn")
	store, id, _ := folderWithKey(t)
	e, err := store.find(id)
	require.NoError(t, err)
	before, err := os.ReadFile(e.path + extKey)
	require.NoError(t, err)
	chain := [][]byte{mustCertify(t, store, id, "renewed")}
	step := 1
	if runtime.GOOS == "windows" {
		step = 37 // files are slow there
	}
	for keep := 0; keep < len(before); keep += step {
		// The first write of an attachment is the key file's: step 1 makes it, step 2 writes it.
		store.disk = &faultyDisk{at: 2, keep: keep, stop: func(string) error { return torn }}
		require.ErrorIs(t, store.Attach(t.Context(), id, chain, answers(password)), torn)
		after, err := os.ReadFile(e.path + extKey)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "torn after %d octets", keep)
	}
	requireWhole(t, store.dir, id, false)
}

func mustCertify(t *testing.T, store *Store, id, name string) []byte {
	t.Helper()
	e, err := store.find(id)
	require.NoError(t, err)
	c, secret, err := e.unlock(t.Context(), answers(password), agent.PurposeSign)
	require.NoError(t, err)
	secret.Wipe()
	return certify(t, c.private.(*ecdsa.PrivateKey), name)
}

// A file that another program changed while the person typed is not written over.
func TestTwoWritersDoNotUndoEachOther(t *testing.T) {
	store, id, _ := folderWithKey(t)
	second := New(store.dir, WithIterations(sealIterations))
	chain := [][]byte{mustCertify(t, store, id, "renewed")}
	err := store.Attach(t.Context(), id, chain, func(ctx context.Context, _ agent.PINRequest) (*agent.Secret, error) {
		assert.NoError(t, second.ChangePIN(ctx, id, agent.PINRenew, answers(password, newPassword)))
		return agent.NewSecret([]byte(password)), nil
	})
	assert.Equal(t, problem.StoreUnavailable, problem.CodeOf(err))
	e, err := store.find(id)
	require.NoError(t, err)
	_, _, err = e.unlock(t.Context(), answers(newPassword), agent.PurposeSign)
	assert.NoError(t, err, "the new password holds")
}
