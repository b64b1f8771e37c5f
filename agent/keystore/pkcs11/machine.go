package pkcs11

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
)

// machine is a kind of processor, as Go names it; "" is not known.
type machine string

// machineOf says what kind of processor a module is for.
func machineOf(path string) machine {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	return readMachine(f)
}

// The machines of PE files (Microsoft's "PE Format", "Machine Types") and of ELF files (gABI, e_machine).
var (
	peMachines  = map[uint16]machine{0x014C: "386", 0x8664: "amd64", 0xAA64: "arm64", 0x01C4: "arm"}
	elfMachines = map[uint16]machine{3: "386", 62: "amd64", 183: "arm64", 40: "arm"}
)

// maxHeaderOffset bounds where a PE header may be: linkers put it within the first kilobyte.
const maxHeaderOffset = 64 << 10

// readMachine reads the header of a library: PE (Windows) or ELF (Linux). It reads a few octets at known places and
// believes none of them further than that.
func readMachine(r io.ReaderAt) machine {
	head := make([]byte, 64)
	if _, err := r.ReadAt(head, 0); err != nil {
		return ""
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF\x01\x01")), bytes.HasPrefix(head, []byte("\x7fELF\x02\x01")):
		return elfMachines[binary.LittleEndian.Uint16(head[18:])]
	case bytes.HasPrefix(head, []byte("MZ")):
		offset := binary.LittleEndian.Uint32(head[0x3C:]) // "PE Format": the signature's place is at 0x3C
		coff := make([]byte, 6)
		if offset > maxHeaderOffset {
			return ""
		}
		if _, err := r.ReadAt(coff, int64(offset)); err != nil || !bytes.HasPrefix(coff, []byte("PE\x00\x00")) {
			return ""
		}
		return peMachines[binary.LittleEndian.Uint16(coff[4:])]
	}
	return ""
}
