package testtool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Corpus returns the folder of signed files that other projects wrote, which is not part of this repository: what
// CERTSIGN_CORPUS names, or shared/corpus beside the repository. Where neither is there, the test is skipped.
func Corpus(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("CERTSIGN_CORPUS"); dir != "" {
		if _, err := os.Stat(dir); err != nil {
			t.Fatal("CERTSIGN_CORPUS: ", err)
		}
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !fileExists(filepath.Join(dir, "go.mod")) {
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(filepath.Dir(dir), "shared", "corpus")
	if !fileExists(dir) {
		t.Skip("the corpus of other projects' signed files is neither in CERTSIGN_CORPUS nor in shared/corpus beside the repository")
	}
	return dir
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// CorpusFile is a line of the corpus's manifest.
type CorpusFile struct {
	File     string // below the corpus, slash-separated
	Level    string
	Expected string
	How      string
	Aux      string // FILE=NAME;… : what belongs to it
}

// CorpusFiles returns the manifest's lines for files in those folders.
func CorpusFiles(t testing.TB, dir string, folders ...string) []CorpusFile {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var all []CorpusFile
	for line := range strings.SplitSeq(string(raw), "\n") {
		f := append(strings.Split(line, "\t"), make([]string, 7)...)
		for _, folder := range folders {
			if strings.HasPrefix(f[0], folder+"/") {
				all = append(all, CorpusFile{File: f[0], Level: f[2], Expected: f[3], How: f[5], Aux: f[6]})
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("the corpus has nothing in ", folders)
	}
	return all
}
