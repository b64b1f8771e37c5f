package testtool

import "os"

// Built returns a PATH that begins with the programs that were built, in the folder that CERTSIGN_BIN names, where there is
// one. Under the race detector, which a test's own program runs with, a password's derivation takes ten seconds.
func Built(path string) string {
	if bin := os.Getenv("CERTSIGN_BIN"); bin != "" {
		return bin + string(os.PathListSeparator) + path
	}
	return path
}
