package home

import (
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"

	"certsign/internal/problem"
)

// makeFolder makes a folder for its owner, the system and administrators, unless there is one: that one must not be another
// user's. What a folder hands down by itself lets every user of the computer write, below C:\ for one.
func makeFolder(path string) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		found, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
		if err != nil {
			return &os.PathError{Op: "find the owner of", Path: path, Err: err}
		}
		if owner, _, err := found.Owner(); err != nil || !trusted(owner, user.User.Sid) {
			return problem.New(problem.BadRequest, "the folder %s belongs to somebody else", path)
		}
		return os.MkdirAll(path, 0o700) // an error when it is no folder
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Security Descriptor Definition Language: a protected list, which hands itself down; full access for three.
	rights, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;" + user.User.Sid.String() + ")(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: rights}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	if err := windows.CreateDirectory(name, &attributes); err != nil {
		return &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// trusted says whether an owner is the person, or can do whatever the person can. What an administrator makes may belong to
// all administrators; a file system without owners, such as a stick's, says nobody or everyone, which no folder elsewhere can
// be given to by an ordinary user.
func trusted(owner, person *windows.SID) bool {
	if owner == nil || owner.Equals(person) {
		return true
	}
	for _, kind := range []windows.WELL_KNOWN_SID_TYPE{windows.WinBuiltinAdministratorsSid, windows.WinLocalSystemSid, windows.WinWorldSid} {
		if owner.IsWellKnown(kind) {
			return true
		}
	}
	return false
}
