package pkcs11

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
)

// library is the beginning of a PE file for a machine, with its header at offset.
func library(offset uint32, kind uint16) []byte {
	b := make([]byte, int(offset)+24)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3C:], offset)
	copy(b[offset:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[offset+4:], kind)
	return b
}

func elf(class byte, kind uint16) []byte {
	b := make([]byte, 64)
	copy(b, []byte{0x7F, 'E', 'L', 'F', class, 1, 1})
	binary.LittleEndian.PutUint16(b[18:], kind)
	return b
}

func TestTheHeaderOfALibraryTellsItsMachine(t *testing.T) {
	far := library(128, 0x14C)
	binary.LittleEndian.PutUint32(far[0x3C:], 0xFFFFFFF0)
	for _, c := range []struct {
		name string
		file []byte
		want machine
	}{
		{"a 32-bit driver for Windows", library(128, 0x014C), "386"},
		{"a 64-bit driver for Windows", library(240, 0x8664), "amd64"},
		{"one for Windows on ARM", library(64, 0xAA64), "arm64"},
		{"one for another processor", library(128, 0x0200), ""},
		{"a header that lies outside the file", far, ""},
		{"a file that ends before its header", library(128, 0x014C)[:130], ""},
		{"a program for DOS", append([]byte("MZ"), make([]byte, 200)...), ""},
		{"a 64-bit driver for Linux", elf(2, 62), "amd64"},
		{"a 32-bit driver for Linux", elf(1, 3), "386"},
		{"one for Linux on ARM", elf(2, 183), "arm64"},
		{"no library", []byte("no module"), ""},
		{"nothing", nil, ""},
	} {
		assert.Equal(t, c.want, readMachine(bytes.NewReader(c.file)), c.name)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	if runtime.GOOS != "darwin" {
		assert.Equal(t, machine(runtime.GOARCH), machineOf(self), "this program is for this computer")
	}
	assert.Empty(t, machineOf("/nowhere/driver.dll"))
}

func TestADriverOfAnotherMachineGetsItsOwnProgramOrAClearWord(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("32-bit drivers are loaded on amd64 only")
	}
	dir := t.TempDir()
	usual := filepath.Join(dir, "certsign-pkcs11")
	require.NoError(t, os.WriteFile(usual, nil, 0o700))
	s := New(Config{Helper: usual})
	for _, kind := range []machine{"", "amd64"} {
		got, err := s.helper(kind)
		assert.NoError(t, err)
		assert.Equal(t, usual, got)
	}
	for _, kind := range []machine{"386", "arm64"} {
		_, err := s.helper(kind)
		assert.Equal(t, problem.DriverMismatch, problem.CodeOf(err))
	}
	require.NoError(t, os.WriteFile(usual+"-32", nil, 0o700))
	got, err := s.helper("386")
	assert.NoError(t, err)
	assert.Equal(t, usual+"-32", got)
	_, err = s.helper("arm64")
	assert.Equal(t, problem.DriverMismatch, problem.CodeOf(err))
}

func FuzzReadMachine(f *testing.F) {
	f.Add(library(128, 0x014C))
	f.Add(elf(2, 62))
	f.Fuzz(func(t *testing.T, b []byte) {
		switch got := readMachine(bytes.NewReader(b)); got {
		case "", "386", "amd64", "arm64", "arm":
		default:
			t.Fatalf("machine %q", got)
		}
	})
}
