// Package internal_test holds the architecture as a test: which package may import which, and that each says what it is.
// It parses the files itself, so that files for other systems count and no test cache can answer for it.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "certsign/"

// source is one Go file that ships.
type source struct {
	file    string
	pkg     string // directory, slash-separated, relative to the module
	name    string
	doc     bool
	imports []string
}

func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.mod"))
	var all []source
	fset := token.NewFileSet()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"build", "node_modules", "testdata", "dist"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := source{file: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), name: f.Name.Name, doc: documents(f)}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func documents(f *ast.File) bool { return f.Doc != nil && len(f.Doc.Text()) > 40 }

// below tells whether pkg is one of the folders, or inside one.
func below(pkg string, folders ...string) bool {
	for _, f := range folders {
		if pkg == f || strings.HasPrefix(pkg, f+"/") {
			return true
		}
	}
	return false
}

// implementations are the leaves that only cmd wires together. What several of them share (agent/prompt/wording) is not one.
var implementations = []string{
	"agent/keystore/keyfile", "agent/keystore/pkcs11", "agent/keystore/csp",
	"agent/transport/ws", "agent/transport/native",
	"agent/prompt/window", "agent/prompt/terminal", "agent/prompt/pin", "agent/enroll",
	"ca/issuer/stepca", "ca/sqlstore", "ca/status", "ca/tsa", "ca/seal", "ca/portal", "ca/gateway",
}

// testOnly may be imported by tests alone.
var testOnly = []string{"internal/testpki", "internal/testtool", "internal/bench"}

// forbidden are the arrows that must not be, each with its reason.
var forbidden = []struct {
	from, to []string
	reason   string
}{
	{[]string{"agent"}, []string{"ca"}, "the agent is installed without the CA, and trusts only what it checked itself"},
	{[]string{"ca"}, []string{"agent"}, "the CA never holds what an agent holds"},
	{[]string{"internal"}, []string{"agent", "ca"}, "internal is what both programs need and knows neither"},
	{[]string{"internal/ades/validate"}, []string{"internal/ades/format", "internal/online"}, "validation gets parsed signatures and evidence; it reads no format and fetches nothing"},
	{[]string{"internal/ades/format"}, []string{"internal/online"}, "a format gets its evidence handed in and fetches nothing"},
	{[]string{"internal/xmldsig", "internal/cms", "internal/pdf"}, []string{"internal/ades"}, "a codec knows bytes and structures, not levels and verdicts"},
	{[]string{"internal/trustlist"}, []string{"internal/ades/validate"}, "cmd hands the trust list its verifier, so that neither needs the other"},
	{[]string{"agent/keystore"}, []string{"internal/ades", "internal/xmldsig", "internal/cms", "internal/pdf"}, "key stores sign digests and know no documents"},
	{[]string{"agent/transport"}, []string{"agent/keystore", "agent/prompt"}, "a transport carries frames; keys and consent are the core's"},
	{[]string{"ca/portal"}, []string{"ca/issuer", "ca/sqlstore"}, "the portal asks the domain and never the issuer or the database"},
	{[]string{"internal/problem"}, []string{"internal", "agent", "ca"}, "problem is a leaf that anyone may import"},
}

// network are the only packages that may speak HTTP.
var network = []string{
	"internal/online", "agent/transport/ws", "agent/prompt/window",
	"ca/portal", "ca/gateway", "ca/status", "ca/tsa", "ca/issuer/stepca", "ca/cmd/customs-ca",
}

func TestArrowsPointDownward(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.imports {
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				if (imp == "net/http" || strings.HasPrefix(imp, "net/http/")) && !below(s.pkg, network...) && !below(s.pkg, testOnly...) {
					t.Errorf("%s imports %s: only %s speak HTTP", s.file, imp, strings.Join(network, ", "))
				}
				continue
			}
			for _, rule := range forbidden {
				if below(s.pkg, rule.from...) && below(to, rule.to...) && !below(to, s.pkg) {
					t.Errorf("%s imports %s: %s", s.file, to, rule.reason)
				}
			}
			if below(to, testOnly...) && !below(s.pkg, testOnly...) {
				t.Errorf("%s imports %s: that is for tests only", s.file, to)
			}
			for _, leaf := range implementations {
				if below(to, leaf) && !below(s.pkg, leaf, "agent/cmd", "ca/cmd") {
					t.Errorf("%s imports %s: only cmd wires implementations together", s.file, to)
				}
			}
		}
	}
}

func TestEachPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.pkg] = documented[s.pkg] || s.doc
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment (what it implements, what it does not, how far its input is trusted)", pkg)
		}
	}
}

func TestNamesSayWhatAPackageDoes(t *testing.T) {
	banned := []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "impl"}
	for _, s := range sources(t) {
		for _, part := range strings.Split(s.pkg, "/") {
			if slices.Contains(banned, part) {
				t.Errorf("%s: a package named %q says nothing", s.file, part)
			}
		}
	}
}

func TestSourceFilesStayReadable(t *testing.T) {
	for _, s := range sources(t) {
		b, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(s.file)))
		require.NoError(t, err)
		if n := strings.Count(string(b), "\n"); n > 700 {
			t.Errorf("%s has %d lines: 700 is the limit", s.file, n)
		}
		if strings.HasSuffix(s.file, "doc.go") && s.name == "main" {
			t.Errorf("%s: a command's comment belongs in main.go", s.file)
		}
	}
}
