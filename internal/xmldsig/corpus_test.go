package xmldsig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// corpus returns the folder of signed files that other projects wrote, which is not part of this repository: what
// CERTSIGN_CORPUS names, or shared/corpus beside the repository. Where neither is there, the test is skipped.
func corpus(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("CERTSIGN_CORPUS"); dir != "" {
		require.DirExists(t, dir, "CERTSIGN_CORPUS")
		return dir
	}
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		require.NotEqual(t, filepath.Dir(dir), dir, "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(filepath.Dir(dir), "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpus of other projects' signed files is neither in CERTSIGN_CORPUS nor in shared/corpus beside the repository")
	}
	return dir
}

// vector is a line of the corpus's manifest.
type vector struct {
	file, level, expected, how, aux string
}

func manifest(t testing.TB, dir string, folders ...string) []vector {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.tsv"))
	require.NoError(t, err)
	var out []vector
	for line := range strings.SplitSeq(string(raw), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 8 {
			continue
		}
		folder, _, _ := strings.Cut(f[0], "/")
		for _, want := range folders {
			if folder == want {
				out = append(out, vector{file: f[0], level: f[2], expected: f[3], how: f[5], aux: f[6]})
			}
		}
	}
	require.NotEmpty(t, out)
	return out
}

func read(t testing.TB, input string) *Document {
	t.Helper()
	d, err := Read([]byte(input), Limits{})
	require.NoError(t, err)
	return d
}
