package pkcs11

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// makers is where the drivers of the cards that are sold in Poland put their modules, and of some others; patterns as of
// filepath.Match, where the name holds a version. Only those that exist are tried, in this order. All lie in folders that
// only an administrator can write, on a Mac also the person: a driver that another user put there would get the PIN.
var makers = map[string][]string{
	"linux": {
		"/opt/proCertumSmartSign/libcryptoCertum3PKCS.so", // Certum
		"/opt/SimplySignDesktop/SimplySignPKCS_64-MS-*.so",
		"/usr/lib/SimplySignPKCS/SimplySignPKCS_64-MS-*.so",
		"/usr/lib/ccs/libccpkip11.so", // CryptoTech: KIR, Cencert
		"/usr/lib/libccpkip11.so",
		"/usr/lib/libccgraphitep11.so",
		"/usr/local/lib/libccgraphitep11.so",
		"/usr/lib64/pwpw-card-pkcs11.so", // PWPW: Sigillum
		"/usr/lib/pwpw-card-pkcs11.so",
		"/opt/e-dowod*/lib/e-dowod-pkcs11-64.so",
		"/usr/lib/libIDPrimePKCS11.so", // Thales: EuroCert, Certum
		"/usr/lib64/libIDPrimePKCS11.so",
		"/usr/lib/pkcs11/libIDPrimePKCS11.so",
		"/usr/lib/libeToken.so", // SafeNet
		"/usr/lib64/libeToken.so",
		"/usr/lib/libeTPkcs11.so",
		"/usr/lib64/libeTPkcs11.so",
		"/usr/lib/x64-athena/libASEP11.so", // Athena: Sigillum
		"/usr/lib/libASEP11.so",
		"/usr/lib/x86_64-linux-gnu/libykcs11.so*",
		"/usr/lib/aarch64-linux-gnu/libykcs11.so*",
		"/usr/lib64/libykcs11.so*",
		"/usr/local/lib/libykcs11.so",
	},
	"darwin": {
		"/usr/local/lib/pkcs11/libcryptoCertum3PKCS.dylib",
		"/usr/local/lib/libSimplySignPKCS.dylib",
		"/usr/local/lib/SimplySignPKCS/SimplySignPKCS-MS-*.dylib",
		"/Applications/e-dowód.app/Contents/lib/e-dowod-pkcs11-64.dylib", // PWPW
		"/Library/PWPW-Card/lib/pwpw-card-pkcs11.so",
		"/Library/Security/tokend/CCSuite.tokend/Contents/Frameworks/libccpkip11.dylib", // CryptoTech
		"/usr/local/lib/libIDPrimePKCS11.dylib",
		"/Library/Frameworks/eToken.framework/Versions/A/libIDPrimePKCS11.dylib",
		"/usr/local/lib/libeToken.dylib",
		"/usr/local/lib/libeTPkcs11.dylib",
		"/Library/Frameworks/eToken.framework/Versions/A/libeTPkcs11.dylib",
		"/usr/local/lib/libykcs11.dylib",
		"/opt/homebrew/lib/libykcs11.dylib",
	},
	// Drivers of 32 bits come after those of 64, and below SysWOW64 and Program Files (x86).
	"windows": {
		`C:\Windows\System32\cryptoCertum3PKCS.dll`,
		`C:\Program Files\Certum\SimplySign Desktop\proCertum SmartSign\cryptoCertum3PKCS.dll`,
		`C:\Windows\System32\SimplySignPKCS.dll`,
		`C:\Program Files\CryptoTech\CryptoCard\CCPkiP11.dll`,
		`C:\Program Files\Krajowa Izba Rozliczeniowa S.A\Szafir 2.0\bin\CCGraphiteP11p.x64.dll`,
		`C:\Program Files\ENCARD\enigmap11-x64.dll`, // Cencert
		`C:\Program Files\PWPW\pwpw-card-pkcs11.dll`,
		`C:\Program Files\PWPW\*\e-dowod-pkcs11-64.dll`,
		`C:\Program Files\SafeNet\Authentication\SAC\x64\IDPrimePKCS1164.dll`,
		`C:\Program Files\Gemalto\IDGo 800 PKCS#11\IDPrimePKCS1164.dll`,
		`C:\Windows\System32\eTPKCS11.dll`, // SafeNet
		`C:\Program Files\SafeNet\Authentication\SAC\x64\eTPKCS11.dll`,
		`C:\Windows\System32\asepkcs.dll`, // Athena: Sigillum
		`C:\Windows\System32\cmP1164.dll`, // Charismathics: EuroCert
		`C:\Program Files\Yubico\Yubico PIV Tool\bin\libykcs11.dll`,
		`C:\Windows\SysWOW64\cryptoCertum3PKCS.dll`,
		`C:\Program Files (x86)\CryptoTech\CryptoCard\CCPkiP11.dll`,
		`C:\Program Files (x86)\Krajowa Izba Rozliczeniowa S.A\CCAktywator\CCGraphiteP11.dll`,
		`C:\Program Files (x86)\ENCARD\enigmap11.dll`,
		`C:\Program Files (x86)\PWPW\pwpw-card-pkcs11.dll`,
		`C:\Program Files (x86)\Gemalto\IDGo 800 PKCS#11\IDPrimePKCS11.dll`,
		`C:\Windows\SysWOW64\eTPKCS11.dll`,
		`C:\Program Files (x86)\SafeNet\Authentication\SAC\x32\eTPKCS11.dll`,
		`C:\Windows\SysWOW64\asepkcs.dll`,
		`C:\Windows\SysWOW64\cmP11.dll`,
		`C:\Program Files (x86)\Yubico\Yubico PIV Tool\bin\libykcs11.dll`,
	},
}

// open are the modules that know cards of many makers, many of them less well than the makers' own do: they come last.
var open = map[string][]string{
	"linux": {
		"/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
		"/usr/lib/aarch64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
		"/usr/lib64/pkcs11/libtpm2_pkcs11.so",
		"/usr/lib/libtpm2_pkcs11.so",
		"/usr/lib/*-linux-gnu/libtpm2_pkcs11.so*",
		"/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
		"/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
		"/usr/lib64/opensc-pkcs11.so",
		"/usr/lib/opensc-pkcs11.so",
		"/usr/local/lib/opensc-pkcs11.so",
		"/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib/*-linux-gnu/softhsm/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so",
	},
	"darwin": {
		"/Library/OpenSC/lib/opensc-pkcs11.so",
		"/usr/local/lib/opensc-pkcs11.so",
		"/opt/homebrew/lib/softhsm/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so",
	},
	// SoftHSM2's installer proposes C:\SoftHSM2, which anybody could make before it does: there it must be named.
	"windows": {
		`C:\Program Files\OpenSC Project\OpenSC\pkcs11\opensc-pkcs11.dll`,
		`C:\Program Files\SoftHSM2\lib\softhsm2-x64.dll`,
		`C:\Program Files (x86)\OpenSC Project\OpenSC\pkcs11\opensc-pkcs11.dll`,
	},
}

// candidate is a module that may be loaded.
type candidate struct {
	path     string
	reserved string // for C_Initialize's pReserved
	told     bool   // named by the configuration: its failure is worth telling even if it is only not set up
}

// candidates returns the modules in the order in which they are asked, each file once.
func (s *Store) candidates() []candidate {
	var all []candidate
	var seen []string
	add := func(c candidate) {
		real, err := filepath.EvalSymlinks(c.path)
		if err != nil {
			real = c.path
		}
		if !slices.Contains(seen, real) {
			seen = append(seen, real)
			all = append(all, c)
		}
	}
	for _, path := range s.config.Modules {
		add(candidate{path: path, reserved: s.config.Parameters[path], told: true})
	}
	if s.config.OnlyModules {
		return all
	}
	for _, path := range existing(makers[runtime.GOOS]) {
		add(candidate{path: path})
	}
	for _, c := range p11kitOf(runtime.GOOS).candidates(s.config.Log) {
		add(c)
	}
	for _, path := range existing(open[runtime.GOOS]) {
		add(candidate{path: path})
	}
	return all
}

// existing returns the files that patterns stand for.
func existing(patterns []string) []string {
	var files []string
	for _, pattern := range patterns {
		found := []string{pattern}
		if strings.Contains(pattern, "*") {
			found, _ = filepath.Glob(pattern)
		}
		for _, path := range found {
			// Elsewhere C: may be a disk on which anybody can make folders.
			if runtime.GOOS == "windows" && !strings.EqualFold(os.Getenv("SystemDrive"), filepath.VolumeName(path)) {
				continue
			}
			if is, err := os.Stat(path); err == nil && is.Mode().IsRegular() {
				files = append(files, path)
			}
		}
	}
	return files
}
