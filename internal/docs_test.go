package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEachAnswerInSecurityNamesATestThatExists keeps SECURITY.md true.
func TestEachAnswerInSecurityNamesATestThatExists(t *testing.T) {
	security, err := os.ReadFile("../SECURITY.md")
	require.NoError(t, err)
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(Test\w+)\(`)
	for _, dir := range []string{".", "../agent", "../ca"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declaration.FindAllSubmatch(b, -1) {
				declared[string(m[1])] = true
			}
			return nil
		}))
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(security, -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		if !declared[string(m[1])] {
			t.Errorf("SECURITY.md names %s, which is no test", m[1])
		}
	}
}

// TestMakeTargetsInTheReadmeExist keeps the README's commands true.
func TestMakeTargetsInTheReadmeExist(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	named := regexp.MustCompile("(?m)(?:^    |`)make ([a-z]+)").FindAllSubmatch(readme, -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		require.Regexp(t, `(?m)^`+string(m[1])+`:`, string(makefile))
	}
}
