package home

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"certsign/internal/testtool"
)

// rights returns who may do what in a folder, in the Security Descriptor Definition Language.
func rights(t *testing.T, path string) string {
	t.Helper()
	d, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	require.NoError(t, err)
	return d.String()
}

func TestOtherUsersOfWindowsHaveNoRightsInTheFolder(t *testing.T) {
	open := filepath.Join(testtool.TempDir(t), "open")
	d, err := Open(filepath.Join(open, "home"))
	require.NoError(t, err)
	keys, err := d.Sub("keys")
	require.NoError(t, err)
	for _, folder := range []string{d.Path(), keys} {
		for _, others := range []string{"WD", "AU", "BU", "IU", "AN", "BG"} { // everyone, who is logged in, users, guests
			assert.NotContains(t, rights(t, folder), ";;;"+others+")", folder)
		}
	}
	_, err = Open(d.Path())
	require.NoError(t, err, "a second time")
}

func TestAFolderOfAnotherUserOfWindowsIsNotUsed(t *testing.T) {
	const me = "S-1-5-21-1-2-3-1001"
	person, err := windows.StringToSid(me)
	require.NoError(t, err)
	for sid, want := range map[string]bool{
		me: true, "S-1-5-32-544": true, "S-1-5-18": true, "S-1-1-0": true,
		"S-1-5-21-1-2-3-1002": false, "S-1-5-32-545": false, "S-1-5-32-546": false,
	} {
		owner, err := windows.StringToSid(sid)
		require.NoError(t, err)
		assert.Equal(t, want, trusted(owner, person), sid)
	}
	assert.True(t, trusted(nil, person), "a file system without owners")
}
