package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/testtool"
)

const softokn = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"

// nssToken is NSS's softokn with a database of its own, as Firefox has one in a profile.
type nssToken struct {
	helper string
	module string
	dir    string
}

func newNSSToken(t *testing.T, helper string) *nssToken {
	t.Helper()
	r := &nssToken{helper: helper, module: testtool.File(t, softokn), dir: filepath.Join(testtool.TempDir(t), "profile")}
	require.NoError(t, os.Mkdir(r.dir, 0o700))
	password := filepath.Join(testtool.TempDir(t), "password")
	require.NoError(t, os.WriteFile(password, []byte(tokenPIN), 0o600))
	out, err := exec.Command(testtool.Need(t, "certutil"), "-N", "-d", "sql:"+r.dir, "-f", password).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return r
}

// Where gives the module the parameters that NSS itself gives it.
func (r *nssToken) Where() where {
	parameters := "configdir='sql:" + r.dir + "' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
	return where{PKCS11: &pkcs11.Config{
		Helper: r.helper, Modules: []string{r.module}, Parameters: map[string]string{r.module: parameters}, OnlyModules: true,
	}}
}

func (r *nssToken) Store() agent.KeyStore { return r.Where().open() }

func (*nssToken) PIN() string      { return tokenPIN }
func (*nssToken) WrongPIN() string { return "Pin-1111" }

// Remove moves the profile away.
func (r *nssToken) Remove(t *testing.T) func() { return moved(t, r.dir) }

func (*nssToken) Lacks() map[string]string {
	return map[string]string{
		locking: "softokn counts no wrong PINs",
		missing: "softokn keeps the database open and the key in memory",
	}
}

func TestPKCS11StoreWithNSS(t *testing.T) {
	helper := moduleProcess(t)
	suite.Run(t, &storeSuite{bench{fresh: func(t *testing.T) rig { return newNSSToken(t, helper) }}})
}
