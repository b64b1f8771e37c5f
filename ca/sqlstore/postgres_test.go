package sqlstore_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"certsign/internal/testtool"
)

// server is a PostgreSQL server of this test alone, on a socket in its own folder.
type server struct{ bin, dir string }

// startPostgres initialises and starts a server, as user postgres where the test runs as root: the server refuses root.
func startPostgres(t *testing.T) *server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	require.NoError(t, err)
	if len(found) == 0 {
		testtool.Missing(t, "PostgreSQL is not installed")
	}
	slices.Sort(found)
	// The folder's path must be short: a socket's name has about a hundred octets.
	dir, err := os.MkdirTemp("", "pg")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{bin: filepath.Dir(found[len(found)-1]), dir: dir}
	if os.Getuid() == 0 {
		testtool.Need(t, "runuser")
		require.NoError(t, exec.Command("chown", "postgres", dir).Run())
	}
	out, err := s.command("initdb", "-D", filepath.Join(dir, "data"), "-A", "trust", "-U", "test", "-E", "UTF8", "--no-sync").CombinedOutput()
	require.NoError(t, err, string(out))
	// -h '' leaves the socket as the only way in: no port to collide with.
	start := s.command("pg_ctl", "-D", filepath.Join(dir, "data"), "-w", "-l", filepath.Join(dir, "log"), "-o", "-h '' -F -k "+dir, "start")
	if out, err := start.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("pg_ctl start: %v\n%s\n%s", err, out, log)
	}
	t.Cleanup(func() {
		_ = s.command("pg_ctl", "-D", filepath.Join(dir, "data"), "-m", "immediate", "-w", "stop").Run()
	})
	_, err = net.Dial("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	require.NoError(t, err)
	return s
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	args = append([]string{filepath.Join(s.bin, name)}, args...)
	if os.Getuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	c := exec.Command(args[0], args[1:]...) //nolint:gosec // fixed programs
	c.Dir = s.dir
	return c
}

func (s *server) address(name string) string {
	return "postgres:///" + name + "?" + url.Values{"host": {s.dir}, "user": {"test"}, "sslmode": {"disable"}}.Encode()
}

// database makes a database and returns its address.
func (s *server) database(t *testing.T, name string) string {
	t.Helper()
	db, err := sql.Open("pgx", s.address("postgres"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(fmt.Sprintf("CREATE DATABASE %s", name))
	require.NoError(t, err)
	return s.address(name)
}

func authority(t *testing.T) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TEST CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	c, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return key, c
}

func issue(t *testing.T, issuer *x509.Certificate, by crypto.Signer, public crypto.PublicKey, subject []byte) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, RawSubject: subject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(2, 0, 0),
	}, issuer, public, by)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}
