package pkcs11

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestModulesAreFoundAsP11KitIsConfigured(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		name  string
		files map[string]string // by the name of the folder and the file; $DIR is where they are
		want  []candidate
	}{
		{"nothing is configured", nil, nil},
		{"an absolute path", map[string]string{"pkg/a.module": "# a comment\n\nmodule: /opt/driver.so\n"}, []candidate{{path: "/opt/driver.so"}}},
		{"a name is looked for in the folder of modules", map[string]string{"pkg/a.module": "module: driver.so", "lib/driver.so": ""},
			[]candidate{{path: "$DIR/lib/driver.so"}}},
		{"a name that is nowhere", map[string]string{"pkg/a.module": "module: driver.so"}, nil},
		{"a relative path is nobody's", map[string]string{"pkg/a.module": "module: ../lib/driver.so", "lib/driver.so": ""}, nil},
		{"parameters", map[string]string{"pkg/a.module": "module: /nss.so\nx-init-reserved: configdir='sql:/home/jan/.pki'"},
			[]candidate{{path: "/nss.so", reserved: "configdir='sql:/home/jan/.pki'"}}},
		{"a higher priority comes first, then the name", map[string]string{
			"pkg/a.module": "module: /a.so", "pkg/b.module": "module: /b.so\npriority: 5", "pkg/c.module": "module: /c.so\npriority: -1",
			"pkg/d.module": "module: /d.so\npriority: much"},
			[]candidate{{path: "/b.so"}, {path: "/a.so"}, {path: "/d.so"}, {path: "/c.so"}}},
		{"the administrator overrides the package, and the person both, field by field", map[string]string{
			"pkg/a.module": "module: /pkg.so\npriority: 1", "system/a.module": "module: /system.so", "user/a.module": "x-init-reserved: mine"},
			[]candidate{{path: "/system.so", reserved: "mine"}}},
		{"the administrator forbids the person's modules", map[string]string{
			"conf": "user-config: none", "user/a.module": "module: /user.so", "pkg/b.module": "module: /pkg.so"}, []candidate{{path: "/pkg.so"}}},
		{"only the person's modules count", map[string]string{
			"conf": "user-config: only", "user/a.module": "module: /user.so", "pkg/b.module": "module: /pkg.so"}, []candidate{{path: "/user.so"}}},
		{"a configuration that cannot be read allows the person nothing", map[string]string{
			"conf": "nonsense", "user/a.module": "module: /user.so", "pkg/b.module": "module: /pkg.so"}, []candidate{{path: "/pkg.so"}}},
		{"enabled for us, or for others only", map[string]string{
			"pkg/a.module": "module: /a.so\nenable-in: firefox, certsign", "pkg/b.module": "module: /b.so\nenable-in: firefox",
			"pkg/c.module": "module: /c.so\ndisable-in: certsign", "pkg/d.module": "module: /d.so\ndisable-in: p11-kit-proxy"},
			[]candidate{{path: "/a.so"}, {path: "/d.so"}}},
		{"trust anchors, p11-kit itself and remote commands are no tokens", map[string]string{
			"pkg/a.module": "module: /a.so\ntrust-policy: yes", "pkg/b.module": "module: /usr/lib/p11-kit-proxy.so",
			"pkg/c.module": "remote: |ssh host p11-kit remote\nmodule: /c.so", "pkg/d.module": "module: /p11-kit-trust.so"}, nil},
		{"other files in the folder", map[string]string{
			"pkg/a.module~": "module: /a.so", "pkg/b.conf": "module: /b.so", "pkg/.c.module": "module: /c.so", "pkg/d e.module": "module: /d.so"}, nil},
		{"one that cannot be read hides no other", map[string]string{
			"pkg/a.module": "module /a.so", "pkg/b.module": "module: /b.so", "pkg/c.module": "module: /c\x00.so",
			"pkg/d.module": "module: /d.so\n" + strings.Repeat("# long\n", maxModuleFile/6)}, []candidate{{path: "/b.so"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(dir, path)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			k := p11kit{
				conf: []string{filepath.Join(dir, "nothing"), filepath.Join(dir, "conf")}, user: filepath.Join(dir, "user"),
				system: []string{filepath.Join(dir, "system")}, pkg: []string{filepath.Join(dir, "pkg")},
				modules: []string{filepath.Join(dir, "nothing"), filepath.Join(dir, "lib")},
			}
			for i := range c.want {
				c.want[i].path = strings.Replace(c.want[i].path, "$DIR", dir, 1)
			}
			assert.Equal(t, c.want, k.candidates(log))
		})
	}
	assert.Empty(t, p11kitOf("windows").candidates(log))
}

func FuzzReadSettings(f *testing.F) {
	f.Add("# comment\nmodule: opensc-pkcs11.so\npriority: 1\n enable-in : a, b\n")
	f.Add("a:b:c\r\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := readSettings(strings.NewReader(text))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(text), maxModuleFile)
		for field, value := range found {
			require.NotEmpty(t, field)
			require.NotContains(t, field+value, "\n")
		}
		if c, ok := (p11kit{modules: []string{"/nowhere"}}).candidate(found); ok {
			require.True(t, filepath.IsAbs(c.path), "never a relative path")
		}
	})
}
