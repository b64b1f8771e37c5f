package pkcs11

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// known is where drivers of the cards that are sold in Poland, and the usual open ones, put their modules. Only those that
// exist are tried, in this order; the makers' own come before OpenSC, which knows many cards less well than they do.
var known = map[string][]string{
	"linux": {
		"/opt/proCertumSmartSign/libcryptoCertum3PKCS.so", // Certum
		"/usr/lib/ccs/libccpkip11.so",                     // CryptoTech: KIR, Cencert
		"/usr/lib/libIDPrimePKCS11.so",                    // Thales: EuroCert, Certum
		"/usr/lib/pkcs11/libIDPrimePKCS11.so",
		"/usr/lib/libeToken.so", // SafeNet
		"/usr/lib/x86_64-linux-gnu/libykcs11.so",
		"/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
		"/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
		"/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
		"/usr/lib64/opensc-pkcs11.so",
		"/usr/lib/opensc-pkcs11.so",
		"/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so",
	},
	"darwin": {
		"/usr/local/lib/pkcs11/libcryptoCertum3PKCS.dylib",
		"/usr/local/lib/libSimplySignPKCS.dylib",
		"/Applications/e-dowód.app/Contents/lib/e-dowod-pkcs11-64.dylib",
		"/usr/local/lib/libeToken.dylib",
		"/usr/local/lib/libykcs11.dylib",
		"/Library/OpenSC/lib/opensc-pkcs11.so",
		"/opt/homebrew/lib/softhsm/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so",
	},
	"windows": {
		`C:\Windows\System32\cryptoCertum3PKCS.dll`,
		`C:\Windows\System32\SimplySignPKCS.dll`,
		`C:\Program Files\CryptoTech\CryptoCard\CCPkiP11.dll`,
		`C:\Program Files\PWPW\pwpw-card-pkcs11.dll`,
		`C:\Windows\System32\eTPKCS11.dll`,
		`C:\Program Files\Yubico\Yubico PIV Tool\bin\libykcs11.dll`,
		`C:\Program Files\OpenSC Project\OpenSC\pkcs11\opensc-pkcs11.dll`,
		`C:\SoftHSM2\lib\softhsm2-x64.dll`,
	},
}

// candidate is a module that may be loaded.
type candidate struct {
	path string
	told bool // named by the configuration: its failure is worth telling even if it is only not set up
}

// candidates returns the modules in the order in which they are asked, each file once.
func (s *Store) candidates() []candidate {
	var all []candidate
	var seen []string
	add := func(path string, told bool) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			real = path
		}
		if !slices.Contains(seen, real) {
			seen = append(seen, real)
			all = append(all, candidate{path, told})
		}
	}
	for _, path := range s.config.Modules {
		add(path, true)
	}
	if !s.config.OnlyModules {
		for _, path := range known[runtime.GOOS] {
			if found, err := os.Stat(path); err == nil && found.Mode().IsRegular() {
				add(path, false)
			}
		}
	}
	return all
}
