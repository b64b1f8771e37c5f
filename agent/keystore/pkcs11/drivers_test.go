package pkcs11

import (
	"path"
	"regexp"
	"slices"
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

func TestTheDriversOfEachMakerAreKnown(t *testing.T) {
	for system, drivers := range map[string]map[string]string{
		"linux": { // of ENCARD none is known here
			"Certum":            "/opt/proCertumSmartSign/libcryptoCertum3PKCS.so",
			"Certum SimplySign": "/opt/SimplySignDesktop/SimplySignPKCS_64-MS-1.0.20.so",
			"CryptoTech":        "/usr/lib/ccs/libccpkip11.so",
			"PWPW":              "/usr/lib64/pwpw-card-pkcs11.so",
			"e-dowód":           "/opt/e-dowod-4.3/lib/e-dowod-pkcs11-64.so",
			"IDPrime":           "/usr/lib/libIDPrimePKCS11.so",
			"SafeNet":           "/usr/lib/libeTPkcs11.so",
			"SafeNet, old":      "/usr/lib/libeToken.so",
			"YubiKey":           "/usr/lib/x86_64-linux-gnu/libykcs11.so.2",
			"YubiKey, built":    "/usr/local/lib/libykcs11.so",
			"TPM 2.0":           "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
			"OpenSC":            "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
			"OpenSC, Fedora":    "/usr/lib64/opensc-pkcs11.so",
			"SoftHSM2":          "/usr/lib/softhsm/libsofthsm2.so",
			"SoftHSM2, Ubuntu":  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
			"SoftHSM2, Fedora":  "/usr/lib64/pkcs11/libsofthsm2.so",
		},
		"darwin": { // of ENCARD none is known here, and a Mac has no TPM
			"Certum":            "/usr/local/lib/pkcs11/libcryptoCertum3PKCS.dylib",
			"Certum SimplySign": "/usr/local/lib/libSimplySignPKCS.dylib",
			"CryptoTech":        "/Library/Security/tokend/CCSuite.tokend/Contents/Frameworks/libccpkip11.dylib",
			"PWPW":              "/Library/PWPW-Card/lib/pwpw-card-pkcs11.so",
			"e-dowód":           "/Applications/e-dowód.app/Contents/lib/e-dowod-pkcs11-64.dylib",
			"IDPrime":           "/Library/Frameworks/eToken.framework/Versions/A/libIDPrimePKCS11.dylib",
			"SafeNet":           "/usr/local/lib/libeTPkcs11.dylib",
			"YubiKey":           "/opt/homebrew/lib/libykcs11.dylib",
			"OpenSC":            "/Library/OpenSC/lib/opensc-pkcs11.so",
			"SoftHSM2":          "/opt/homebrew/lib/softhsm/libsofthsm2.so",
		},
		"windows": { // the TPM is a provider of Windows
			"Certum":              `C:\Windows\System32\cryptoCertum3PKCS.dll`,
			"Certum, 32 bits":     `C:\Windows\SysWOW64\cryptoCertum3PKCS.dll`,
			"Certum SimplySign":   `C:\Windows\System32\SimplySignPKCS.dll`,
			"CryptoTech":          `C:\Program Files\CryptoTech\CryptoCard\CCPkiP11.dll`,
			"CryptoTech, 32 bits": `C:\Program Files (x86)\CryptoTech\CryptoCard\CCPkiP11.dll`,
			"ENCARD":              `C:\Program Files\ENCARD\enigmap11-x64.dll`,
			"ENCARD, 32 bits":     `C:\Program Files (x86)\ENCARD\enigmap11.dll`,
			"PWPW":                `C:\Program Files\PWPW\pwpw-card-pkcs11.dll`,
			"e-dowód":             `C:\Program Files\PWPW\E-dowód\e-dowod-pkcs11-64.dll`,
			"IDPrime":             `C:\Program Files\SafeNet\Authentication\SAC\x64\IDPrimePKCS1164.dll`,
			"IDPrime, 32 bits":    `C:\Program Files (x86)\Gemalto\IDGo 800 PKCS#11\IDPrimePKCS11.dll`,
			"SafeNet":             `C:\Windows\System32\eTPKCS11.dll`,
			"SafeNet, 32 bits":    `C:\Windows\SysWOW64\eTPKCS11.dll`,
			"YubiKey":             `C:\Program Files\Yubico\Yubico PIV Tool\bin\libykcs11.dll`,
			"YubiKey, 32 bits":    `C:\Program Files (x86)\Yubico\Yubico PIV Tool\bin\libykcs11.dll`,
			"OpenSC":              `C:\Program Files\OpenSC Project\OpenSC\pkcs11\opensc-pkcs11.dll`,
			"OpenSC, 32 bits":     `C:\Program Files (x86)\OpenSC Project\OpenSC\pkcs11\opensc-pkcs11.dll`,
			"SoftHSM2":            `C:\Program Files\SoftHSM2\lib\softhsm2-x64.dll`,
		},
	} {
		slashed := func(p string) string { return strings.ReplaceAll(p, `\`, "/") } // as filepath.Match has it on Windows
		for maker, driver := range drivers {
			assert.True(t, slices.ContainsFunc(append(makers[system], open[system]...), func(pattern string) bool {
				known, err := path.Match(slashed(pattern), slashed(driver))
				return assert.NoError(t, err, pattern) && known
			}), "%s: %s", system, maker)
		}
	}
}

func TestDriversOf32BitsComeLast(t *testing.T) {
	old := regexp.MustCompile(`\(x86\)|SysWOW64`)
	for _, patterns := range [][]string{makers["windows"], open["windows"]} {
		first := slices.IndexFunc(patterns, old.MatchString)
		assert.Positive(t, first)
		for _, pattern := range patterns[first:] {
			assert.Regexp(t, old, pattern)
		}
	}
}
