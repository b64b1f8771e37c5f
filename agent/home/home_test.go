package home_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent/home"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

func open(t *testing.T) *home.Dir {
	t.Helper()
	d, err := home.Open(filepath.Join(testtool.TempDir(t), "a", "b"))
	require.NoError(t, err)
	return d
}

func TestTheFolderIsThePersonsAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("rights come from the profile there")
	}
	dir := testtool.TempDir(t)
	require.NoError(t, os.Chmod(dir, 0o755))
	d, err := home.Open(dir)
	require.NoError(t, err)
	sub, err := d.Sub("tmp")
	require.NoError(t, err)
	require.NoError(t, d.Write("file", []byte("x")))
	for path, mode := range map[string]fs.FileMode{dir: 0o700, sub: 0o700, d.Path("file"): 0o600} {
		fi, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, fi.Mode().Perm(), path)
	}
}

func TestSomebodyElsesFolderIsNotTakenOver(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("rights come from the profile there")
	}
	dir := testtool.TempDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600))
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err := home.Open(dir)
	assert.Equal(t, problem.BadRequest, problem.CodeOf(err))
	fi, err := os.Stat(dir)
	require.NoError(t, err)
	assert.EqualValues(t, 0o755, fi.Mode().Perm())
	require.NoError(t, os.WriteFile(filepath.Join(dir, home.ConfigName), nil, 0o600))
	_, err = home.Open(dir)
	assert.NoError(t, err, "a home that was opened to others is closed again")
}

func TestWriteReplacesWholeFilesAndLeavesNoOthers(t *testing.T) {
	d := open(t)
	_, err := d.Read("a", 10)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	for _, text := range []string{"one", "two"} {
		require.NoError(t, d.Write("a", []byte(text)))
		b, err := d.Read("a", 10)
		require.NoError(t, err)
		assert.Equal(t, text, string(b))
	}
	require.NoError(t, d.Write("big", make([]byte, 11)))
	_, err = d.Read("big", 10)
	assert.Error(t, err)
	require.NoError(t, d.Remove("big"))
	require.NoError(t, d.Remove("big"), "what is gone is gone")
	entries, err := os.ReadDir(d.Path())
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestWhatACrashLeftHalfWrittenGoesAndNothingElse(t *testing.T) {
	d := open(t)
	sub, err := d.Sub("notes")
	require.NoError(t, err)
	old := time.Now().Add(-2 * time.Hour)
	for name, age := range map[string]time.Time{
		".new-1": old, "notes/.new-22": old, ".new-3": time.Now(), "notes/.new-4": time.Now(), "new-5": old, "notes/6.json": old, ".hidden": old,
	} {
		require.NoError(t, d.Write(filepath.FromSlash(name), []byte(name)))
		require.NoError(t, os.Chtimes(d.Path(filepath.FromSlash(name)), age, age))
	}
	require.NoError(t, os.Mkdir(d.Path(".new-folder"), 0o700))
	require.NoError(t, os.Chtimes(d.Path(".new-folder"), old, old))
	again, err := home.Open(d.Path())
	require.NoError(t, err)
	_, err = again.Sub("notes")
	require.NoError(t, err)
	var left []string
	for _, folder := range []string{d.Path(), sub} {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, e := range entries {
			left = append(left, e.Name())
		}
	}
	assert.ElementsMatch(t, []string{".hidden", ".new-3", ".new-folder", "new-5", "notes", ".new-4", "6.json"}, left)
}

func TestALockIsHeldByOne(t *testing.T) {
	d := open(t)
	first, err := d.TryLock("l")
	require.NoError(t, err)
	_, err = d.TryLock("l")
	assert.ErrorIs(t, err, home.ErrLocked)
	got := make(chan error)
	go func() {
		second, err := d.Lock("l")
		second.Unlock()
		got <- err
	}()
	select {
	case <-got:
		assert.Fail(t, "two hold the lock")
	case <-time.After(50 * time.Millisecond):
	}
	first.Unlock()
	first.Unlock()
	assert.NoError(t, <-got)
}

func TestSettings(t *testing.T) {
	d := open(t)
	c, err := d.Config()
	require.NoError(t, err)
	assert.Equal(t, home.Config{}, c)
	b, err := d.Read(home.ConfigName, 1<<20)
	require.NoError(t, err)
	assert.Contains(t, string(b), "#window-command:")
	c, err = d.Config()
	require.NoError(t, err, "the file that was written can be read")
	assert.Equal(t, home.Config{}, c)

	drive := filepath.VolumeName(d.Path()) // "" but on Windows
	require.NoError(t, d.Write(home.ConfigName, []byte(strings.ReplaceAll(`
language: pl
window-command: chromium --app={url} "--user-data-dir={profile}/my profile"
pinentry-program: /usr/bin/pinentry
pkcs11-modules:
  - DRIVE/usr/lib/softhsm/libsofthsm2.so
  - path: DRIVE/usr/lib/libsoftokn3.so
    parameters: "configdir='sql:/home/jan'"
proxy: http://proxy.example:3128
limits: {xml: 1048576, detached: 5, documents: 2, pages: 3}
`, "DRIVE", drive))))
	c, err = d.Config()
	require.NoError(t, err)
	assert.Equal(t, home.Config{
		Language: "pl", WindowCommand: home.Command{"chromium", "--app={url}", "--user-data-dir={profile}/my profile"},
		PinentryProgram: "/usr/bin/pinentry", PKCS11Modules: []home.Module{
			{Path: drive + "/usr/lib/softhsm/libsofthsm2.so"}, {Path: drive + "/usr/lib/libsoftokn3.so", Parameters: "configdir='sql:/home/jan'"},
		},
		Proxy: "http://proxy.example:3128", Limits: home.Limits{XML: 1 << 20, Detached: 5, Documents: 2, Pages: 3},
	}, c)
	require.NoError(t, d.Write(home.ConfigName, []byte("window-command: [a, 'b c']\n")))
	c, err = d.Config()
	require.NoError(t, err)
	assert.Equal(t, home.Command{"a", "b c"}, c.WindowCommand)

	for name, text := range map[string]string{
		"something that is no YAML":   "a: b: c\n",
		"a key that is unknown":       "pin: 1234\n",
		"a language that is unknown":  "language: de\n",
		"a limit that is negative":    "limits: {xml: -1}\n",
		"something that is no map":    "- 1\n",
		"a command that is no string": "window-command: {a: b}\n",
		"a driver by a relative path": "pkcs11-modules: [driver.so]\n",
		"a driver by no path":         "pkcs11-modules: [{parameters: x}]\n",
		"a driver with more to it":    "pkcs11-modules: [{path: /driver.so, pin: '1234'}]\n",
		"a driver that is a list":     "pkcs11-modules: [[/driver.so]]\n",
		"parameters without an end":   "pkcs11-modules: [{path: /driver.so, parameters: " + strings.Repeat("x", 5000) + "}]\n",
	} {
		require.NoError(t, d.Write(home.ConfigName, []byte(text)))
		_, err := d.Config()
		assert.Equal(t, problem.BadRequest, problem.CodeOf(err), name)
		var mistake home.Mistake
		require.ErrorAs(t, err, &mistake, name)
		assert.NotContains(t, mistake.English+mistake.Polish, "home.", name)
		assert.NotEqual(t, mistake.English, mistake.Polish, name)
	}
}

func TestDefault(t *testing.T) {
	t.Setenv("CERTSIGN_HOME", "/x/y")
	p, err := home.Default()
	require.NoError(t, err)
	assert.Equal(t, "/x/y", p)
	t.Setenv("CERTSIGN_HOME", "")
	p, err = home.Default()
	if err == nil {
		assert.True(t, filepath.IsAbs(p))
	}
	if runtime.GOOS == "linux" {
		t.Setenv("XDG_DATA_HOME", "relative")
		t.Setenv("HOME", "/home/jan")
		p, err = home.Default()
		require.NoError(t, err)
		assert.Equal(t, "/home/jan/.local/share/certsign", p)
		t.Setenv("XDG_DATA_HOME", "/data")
		p, _ = home.Default()
		assert.Equal(t, "/data/certsign", p)
	}
}
