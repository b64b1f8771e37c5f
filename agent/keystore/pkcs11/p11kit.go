package pkcs11

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// p11kit is where p11-kit's configuration is: which modules the system's packages, the administrator and the person have
// registered for all programs (pkcs11.conf(5)). It is read, and p11-kit itself is not loaded: each module keeps a process
// of its own.
type p11kit struct {
	conf    []string // pkcs11.conf: whether the person's own modules count
	user    string   // folders of .module files, the one before overrides those after
	system  []string
	pkg     []string
	modules []string // where a module without a folder is
}

// p11kitOf returns the places on an operating system.
func p11kitOf(system string) p11kit {
	if system == "windows" {
		return p11kit{}
	}
	k := p11kit{
		conf:   []string{"/etc/pkcs11/pkcs11.conf", "/usr/local/etc/pkcs11/pkcs11.conf", "/opt/homebrew/etc/pkcs11/pkcs11.conf"},
		system: []string{"/etc/pkcs11/modules", "/usr/local/etc/pkcs11/modules", "/opt/homebrew/etc/pkcs11/modules"},
		pkg:    []string{"/usr/share/p11-kit/modules", "/usr/local/share/p11-kit/modules", "/opt/homebrew/share/p11-kit/modules"},
		modules: []string{
			"/usr/lib/x86_64-linux-gnu/pkcs11", "/usr/lib/aarch64-linux-gnu/pkcs11", "/usr/lib64/pkcs11", "/usr/lib/pkcs11",
			"/usr/local/lib/pkcs11", "/opt/homebrew/lib/pkcs11",
		},
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		k.user = filepath.Join(home, ".config", "pkcs11", "modules")
	}
	return k
}

// The limits of p11-kit's files, which people write by hand.
const (
	maxModuleFile  = 64 << 10 // octets
	maxModuleFiles = 64       // per folder
)

// settings are the fields of one file.
type settings map[string]string

// moduleName is what p11-kit takes for the name of a module's file.
var moduleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\.module$`)

// candidates returns the modules that are registered for this program, those with the highest priority first. Registrations
// that cannot be read are logged and left out.
func (k p11kit) candidates(log *slog.Logger) []candidate {
	var folders []string
	switch mode := k.userConfig(log); {
	case mode == "only" && k.user != "":
		folders = []string{k.user}
	case mode == "merge" && k.user != "":
		folders = append([]string{k.user}, append(k.system, k.pkg...)...)
	case mode != "only":
		folders = append(slices.Clone(k.system), k.pkg...)
	}
	registered := map[string]settings{}
	for _, folder := range folders {
		for name, found := range readFolder(folder, log) {
			if registered[name] == nil {
				registered[name] = settings{}
			}
			for field, value := range found { // the person's and the administrator's fields override the package's
				if _, there := registered[name][field]; !there {
					registered[name][field] = value
				}
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(registered), func(a, b string) int {
		return cmp.Or(cmp.Compare(registered[b].priority(), registered[a].priority()), strings.Compare(a, b))
	})
	var all []candidate
	for _, name := range names {
		if c, ok := k.candidate(registered[name]); ok {
			all = append(all, c)
		}
	}
	return all
}

// userConfig says whether the person's own registrations count: "none", "merge" or "only".
func (k p11kit) userConfig(log *slog.Logger) string {
	for _, path := range k.conf {
		switch found, err := readFile(path); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			log.Warn("p11-kit's configuration not read", "file", path, "err", err)
			return "none" // what the administrator forbade is not known
		case found["user-config"] != "":
			return found["user-config"]
		}
	}
	return "merge"
}

func readFolder(folder string, log *slog.Logger) map[string]settings {
	all := map[string]settings{}
	files, err := os.ReadDir(folder)
	if err != nil {
		return all
	}
	for _, f := range files {
		if !moduleName.MatchString(f.Name()) || len(all) == maxModuleFiles {
			continue
		}
		found, err := readFile(filepath.Join(folder, f.Name()))
		if err != nil {
			log.Warn("registration with p11-kit not read", "file", filepath.Join(folder, f.Name()), "err", err)
			continue
		}
		all[f.Name()] = found
	}
	return all
}

func readFile(path string) (settings, error) {
	is, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !is.Mode().IsRegular() || is.Size() > maxModuleFile {
		return nil, errors.New("no file, or too long")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSettings(f)
}

// readSettings reads "field: value" lines; a # begins a comment line, and of two lines with one field the last counts.
func readSettings(r io.Reader) (settings, error) {
	found := settings{}
	limited := &io.LimitedReader{R: r, N: maxModuleFile + 1}
	lines := bufio.NewScanner(limited)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		field, value, ok := strings.Cut(line, ":")
		field, value = strings.TrimSpace(field), strings.TrimSpace(value)
		if !ok || field == "" || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }) {
			return nil, fmt.Errorf("line %d is no field with a value", n)
		}
		found[field] = value
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if limited.N == 0 {
		return nil, errors.New("too long")
	}
	return found, nil
}

// programName is what enable-in and disable-in call this program.
const programName = "certsign"

// notTokens are p11-kit's own modules: they hold trust anchors, or lead back to all others.
var notTokens = []string{"p11-kit-trust", "p11-kit-proxy", "p11-kit-client"}

func (k p11kit) candidate(s settings) (candidate, bool) {
	enabled, disabled := s.list("enable-in"), s.list("disable-in")
	path := s["module"]
	switch {
	// A remote module would be a command to run.
	case path == "", s["remote"] != "", s["trust-policy"] == "yes":
		return candidate{}, false
	case len(enabled) > 0 && !slices.Contains(enabled, programName), len(enabled) == 0 && slices.Contains(disabled, programName):
		return candidate{}, false
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	if slices.Contains(notTokens, name) {
		return candidate{}, false
	}
	c := candidate{path: path, reserved: s["x-init-reserved"]}
	if filepath.IsAbs(path) {
		return c, true
	}
	if filepath.Base(path) != path { // relative to what?
		return candidate{}, false
	}
	for _, folder := range k.modules {
		c.path = filepath.Join(folder, path)
		if is, err := os.Stat(c.path); err == nil && is.Mode().IsRegular() {
			return c, true
		}
	}
	return candidate{}, false
}

// list is a field with names between commas or spaces.
func (s settings) list(field string) []string {
	return strings.FieldsFunc(s[field], func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func (s settings) priority() int {
	n, err := strconv.Atoi(s["priority"])
	if err != nil {
		return 0
	}
	return n
}
