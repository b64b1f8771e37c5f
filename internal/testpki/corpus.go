package testpki

import (
	"os"
	"path/filepath"
	"testing"
)

// CorpusDir returns the folder of the shared corpora: CERTSIGN_CORPUS, or ../shared/corpus beside the repository. They are
// other people's files and no part of the repository, so where they are absent the test is skipped, in CI too.
func CorpusDir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("CERTSIGN_CORPUS")
	if dir == "" {
		at, err := os.Getwd()
		if err != nil {
			tb.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil || at == filepath.Dir(at) {
				break
			}
			at = filepath.Dir(at)
		}
		dir = filepath.Join(at, "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		tb.Skip("the corpora are not here: set CERTSIGN_CORPUS to their folder")
	}
	return dir
}

// Corpus returns one file of the shared corpora, or skips the test as CorpusDir does.
func Corpus(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(CorpusDir(tb), filepath.FromSlash(name)))
	if err != nil {
		tb.Skipf("the corpora have no %s", name)
	}
	return data
}
