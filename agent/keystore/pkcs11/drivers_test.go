package pkcs11

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKnownDriversLieWhereOtherUsersCannotPutOne(t *testing.T) {
	guarded := map[string][]string{
		"linux":   {"/usr/", "/opt/"},
		"darwin":  {"/usr/local/", "/opt/homebrew/", "/Applications/", "/Library/"},
		"windows": {`C:\Windows\System32\`, `C:\Windows\SysWOW64\`, `C:\Program Files\`, `C:\Program Files (x86)\`},
	}
	for _, table := range []map[string][]string{makers, open} {
		for system, patterns := range table {
			for _, pattern := range patterns {
				in := false
				for _, folder := range guarded[system] {
					in = in || strings.HasPrefix(pattern, folder)
				}
				assert.True(t, in, "%s: %s", system, pattern)
			}
		}
	}
}
