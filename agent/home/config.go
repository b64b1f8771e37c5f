package home

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"certsign/internal/problem"
)

// ConfigName is the settings file's name.
const ConfigName = "config.yaml"

// The limits are far more than anybody writes by hand.
const (
	maxConfig     = 1 << 20
	maxParameters = 4 << 10
)

// Config is the person's own settings: config.yaml. No page can change or read them.
type Config struct {
	// Language of windows and messages: "pl" or "en"; "" follows the system.
	Language string `yaml:"language"`
	// WindowCommand opens the agent's own window: a program and its arguments, or one string split at spaces. {url} stands
	// for the window's address, {profile} for a private folder. Empty: Chromium, Edge, Chrome or Firefox, whichever is there.
	WindowCommand Command `yaml:"window-command"`
	// PinentryProgram asks for PINs and passwords, in the Assuan protocol. Empty: the system's own.
	PinentryProgram string `yaml:"pinentry-program"`
	// PKCS11Modules are drivers of cards and tokens, beside those that are found by themselves.
	PKCS11Modules []Module `yaml:"pkcs11-modules"`
	// PKCS11OnlyModules leaves those that are found by themselves out: no driver is loaded that is not named.
	PKCS11OnlyModules bool `yaml:"pkcs11-only-modules"`
	// Proxy is an http:// or https:// proxy for everything that the agent sends out. Empty: the environment's.
	Proxy string `yaml:"proxy"`
	// Limits bound what pages may ask for.
	Limits Limits `yaml:"limits"`
}

// Limits are sizes in octets and counts; 0 is the default.
type Limits struct {
	XML       int64 `yaml:"xml"`       // one XML document, held in memory: 64 MiB
	Detached  int64 `yaml:"detached"`  // one document that is signed detached: 4 GiB
	Documents int   `yaml:"documents"` // documents in one request: 100
	Pages     int   `yaml:"pages"`     // pages connected at once: 32
}

// Module is a PKCS#11 driver: the absolute path of a shared library, and, for the few that want them, parameters for its
// start (NSS's softokn does). In YAML a string, or a mapping with path and parameters.
type Module struct {
	Path       string
	Parameters string
}

// UnmarshalYAML reads a path or a mapping.
func (m *Module) UnmarshalYAML(n *yaml.Node) error {
	*m = Module{}
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&m.Path)
	}
	var fields map[string]string
	if err := n.Decode(&fields); err != nil {
		return err
	}
	for name, value := range fields {
		switch name {
		case "path":
			m.Path = value
		case "parameters":
			m.Parameters = value
		default:
			return mistakef("line %d: a driver has path and parameters, and not “%s”", "wiersz %d: sterownik ma path i parameters, a nie „%s”", n.Line, name)
		}
	}
	return nil
}

// Command is a program and its arguments; in YAML a list, or a string.
type Command []string

// UnmarshalYAML reads a list or a string split at white space.
func (c *Command) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		var s string
		if err := n.Decode(&s); err != nil {
			return err
		}
		*c = splitWords(s)
		return nil
	}
	return n.Decode((*[]string)(c))
}

// splitWords splits at spaces outside double quotes.
func splitWords(s string) []string {
	var words []string
	var word []rune
	quoted, started := false, false
	for _, r := range s {
		switch {
		case r == '"':
			quoted, started = !quoted, true
		case (r == ' ' || r == '\t') && !quoted:
			if started {
				words, word, started = append(words, string(word)), nil, false
			}
		default:
			word, started = append(word, r), true
		}
	}
	if started {
		words = append(words, string(word))
	}
	return words
}

// Config reads config.yaml. Where there is none it writes one in which everything is explained and nothing is set.
func (d *Dir) Config() (Config, error) {
	var c Config
	b, err := d.Read(ConfigName, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return c, d.Write(ConfigName, []byte(template))
	}
	if err != nil {
		return c, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, problem.Wrap(problem.BadRequest, misread(err), "%s cannot be read", d.Path(ConfigName))
	}
	if err := c.check(); err != nil {
		return Config{}, problem.Wrap(problem.BadRequest, err, "%s cannot be used", d.Path(ConfigName))
	}
	return c, nil
}

// Mistake is what is wrong in config.yaml, in the words of whoever wrote it. The error in it is for the log.
type Mistake struct {
	error
	English, Polish string
}

func mistakef(en, pl string, args ...any) Mistake {
	text := fmt.Sprintf(en, args...)
	return Mistake{errors.New(text), text, fmt.Sprintf(pl, args...)}
}

// yamlLine is how yaml.v3 begins what it says of a line, and how it says that a setting is unknown.
var yamlLine = regexp.MustCompile(`line (\d+): (?:field (\S+) not found in type )?`)

// misread makes what yaml.v3 says a Mistake.
func misread(err error) Mistake {
	var m Mistake
	if errors.As(err, &m) {
		return m
	}
	said := []string{err.Error()}
	var all *yaml.TypeError
	if errors.As(err, &all) {
		said = all.Errors
	}
	var en, pl []string
	for _, s := range said {
		at := yamlLine.FindStringSubmatch(s)
		switch {
		case at == nil:
			m = mistakef("the file is not YAML", "plik nie jest w formacie YAML")
		case at[2] == "":
			m = mistakef("line %s: this is no setting, or no value for one", "wiersz %s: to nie jest ustawienie ani jego wartość", at[1])
		default:
			m = mistakef("line %s: there is no setting “%s”", "wiersz %s: nie ma ustawienia „%s”", at[1], at[2])
		}
		en, pl = append(en, m.English), append(pl, m.Polish)
	}
	return Mistake{err, strings.Join(en, "; "), strings.Join(pl, "; ")}
}

func (c Config) check() error {
	switch c.Language {
	case "", "pl", "en":
	default:
		return mistakef("language is pl or en, and not “%s”", "language to pl albo en, a nie „%s”", c.Language)
	}
	for _, m := range c.PKCS11Modules {
		if !filepath.IsAbs(m.Path) {
			return mistakef("pkcs11-modules: “%s” is no absolute path", "pkcs11-modules: „%s” nie jest ścieżką bezwzględną", m.Path)
		}
		if len(m.Parameters) > maxParameters || strings.ContainsRune(m.Parameters, 0) {
			return mistakef("pkcs11-modules: the parameters of “%s” are too long, or hold a zero", "pkcs11-modules: parametry „%s” są za długie albo zawierają znak zero", m.Path)
		}
	}
	if c.Limits.XML < 0 || c.Limits.Detached < 0 || c.Limits.Documents < 0 || c.Limits.Pages < 0 {
		return mistakef("limits are not negative", "limits nie mogą być ujemne")
	}
	return nil
}

const template = `# CertSign: your settings. Only you can change them; a web page can neither see nor set them.
# A line takes effect when the # before it is removed and certsign is started again.

# The language of windows and messages: pl or en. Otherwise the system's.
#language: pl

# What opens CertSign's own window, in which you approve a site, choose where a key shall live and read what you sign.
# {url} stands for the window's address and {profile} for a private folder. Otherwise Chromium, Edge, Chrome or Firefox.
#window-command: ["chromium", "--app={url}", "--user-data-dir={profile}"]

# What asks for your PIN or password, such as pinentry-gtk-2 or pinentry-mac. Otherwise the system's own.
#pinentry-program: /usr/bin/pinentry-gtk-2

# Drivers of your cards and tokens, by absolute path, beside those that CertSign finds by itself (certsign tokens lists
# them). Firefox's and Thunderbird's own store of keys wants to know where its files are.
#pkcs11-modules:
#  - /opt/maker/lib/maker-pkcs11.so
#  - path: /usr/lib/x86_64-linux-gnu/libsoftokn3.so
#    parameters: "configdir='sql:/home/jan/.mozilla/firefox/abc.default' certPrefix='' keyPrefix='' secmod='secmod.db'"

# Load no other drivers than those above.
#pkcs11-only-modules: true

# The proxy for everything that CertSign sends out. Otherwise HTTPS_PROXY and NO_PROXY.
#proxy: http://proxy.example:3128

# What pages may ask for, in octets and counts.
#limits:
#  xml: 67108864          # one XML document, held in memory
#  detached: 4294967296   # one document that is signed detached
#  documents: 100         # documents in one request
#  pages: 32              # pages connected at once
`
