package agent_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/testtool"
)

// peerSuite is what other programs make of key files as they are written, with a certificate and its issuer's.
type peerSuite struct {
	bench
	key   agent.Key
	chain [][]byte
}

// peerRig is a folder of key files under a password of its own.
type peerRig struct {
	rig
	store    agent.KeyStore
	password string
}

func (r peerRig) Store() agent.KeyStore { return r.store }
func (r peerRig) PIN() string           { return r.password }

func TestOtherProgramsUseTheKeyFiles(t *testing.T) {
	testtool.NotWine(t, "openssl, keytool and pk12util are programs of the system that runs Wine")
	const ascii, polish = "Zazolc-gesla-7!", "Zażółć-gęślą-7!"
	iterations := 2000
	if os.Getenv("CERTSIGN_SOAK") != "" {
		iterations = keyfile.MaxIterations
	}
	for _, c := range []struct {
		algorithm agent.KeyAlgorithm
		password  string
	}{
		{agent.P256, ascii}, {agent.RSA2048, ascii}, {agent.RSA3072, polish}, {agent.P384, ascii},
	} {
		t.Run(string(c.algorithm), func(t *testing.T) {
			r := newKeyfileRig(t)
			s := &peerSuite{bench: bench{rig: peerRig{r, keyfile.New(r.Where().Keyfile, keyfile.WithIterations(iterations)), c.password}, ctx: t.Context()}}
			s.SetT(t)
			s.key = s.made(c.algorithm)
			s.chain = s.certify(s.key.Public)
			s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, s.key.ID, s.chain, s.pin().ask))
			s.Run("openssl", s.openssl)
			s.Run("keytool", func() {
				if c.password != ascii {
					s.T().Skip("keytool takes ASCII passwords only")
				}
				s.keytool()
			})
			s.Run("NSS", s.nss)
		})
	}
}

// output runs a program, with the password in PASSWORD.
func (s *peerSuite) output(program string, args ...string) []byte {
	s.T().Helper()
	cmd := exec.Command(testtool.Need(s.T(), program), args...)
	cmd.Env = append(os.Environ(), "PASSWORD="+s.rig.PIN(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	s.Require().NoError(err, "%s %v: %s", program, args, out)
	return out
}

// blocks returns the contents of the PEM blocks of one type.
func blocks(text []byte, kind string) (all [][]byte) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			all = append(all, block.Bytes)
		}
	}
	return all
}

func (s *peerSuite) openssl() {
	out := s.output("openssl", "pkcs12", "-in", s.key.Where, "-nodes", "-passin", "env:PASSWORD")
	private := blocks(out, "PRIVATE KEY")
	s.Require().Len(private, 1)
	parsed, err := x509.ParsePKCS8PrivateKey(private[0])
	s.Require().NoError(err)
	s.Equal(s.key.Public, parsed.(crypto.Signer).Public())
	s.Equal(s.chain, blocks(out, "CERTIFICATE"))
}

func (s *peerSuite) keytool() {
	store := []string{"-storetype", "PKCS12", "-keystore", s.key.Where, "-storepass:env", "PASSWORD"}
	out := s.output("keytool", append([]string{"-J-Duser.language=en", "-list", "-v"}, store...)...)
	s.Contains(string(out), "Entry type: PrivateKeyEntry")
	s.Contains(string(out), "Certificate chain length: 2")
	alias := regexp.MustCompile(`(?m)^Alias name: (.+)$`).FindSubmatch(out)
	s.Require().NotNil(alias, "%s", out)
	requests := blocks(s.output("keytool", append([]string{"-certreq", "-alias", string(alias[1])}, store...)...), "NEW CERTIFICATE REQUEST")
	s.Require().Len(requests, 1)
	csr, err := x509.ParseCertificateRequest(requests[0])
	s.Require().NoError(err)
	s.NoError(csr.CheckSignature())
	s.Equal(s.key.Public, csr.PublicKey)
}

func (s *peerSuite) nss() {
	dir := testtool.TempDir(s.T())
	password := filepath.Join(dir, "password")
	s.Require().NoError(os.WriteFile(password, []byte(s.rig.PIN()), 0o600))
	s.output("certutil", "-N", "-d", "sql:"+dir, "--empty-password")
	s.output("pk12util", "-i", s.key.Where, "-d", "sql:"+dir, "-w", password)
	listed := s.output("certutil", "-K", "-d", "sql:"+dir)
	found := regexp.MustCompile(`(?m)^< 0> +(rsa|ec) +([0-9a-f]+) `).FindSubmatch(listed)
	s.Require().NotNil(found, "%s", listed)
	kind := "ec"
	if strings.HasPrefix(string(s.key.Algorithm), "rsa") {
		kind = "rsa"
	}
	s.Equal(kind, string(found[1]))
	request := filepath.Join(dir, "request")
	s.output("certutil", "-R", "-k", string(found[2]), "-s", "CN=x", "-d", "sql:"+dir, "-o", request)
	der, err := os.ReadFile(request)
	s.Require().NoError(err)
	csr, err := x509.ParseCertificateRequest(der)
	s.Require().NoError(err)
	s.NoError(csr.CheckSignature())
	s.Equal(s.key.Public, csr.PublicKey)
	everything := s.output("certutil", "-L", "-d", "sql:"+dir)
	for _, der := range s.chain {
		c, err := x509.ParseCertificate(der)
		s.Require().NoError(err)
		s.True(bytes.Contains(everything, []byte(c.Subject.CommonName)), "%s in %s", c.Subject.CommonName, everything)
	}
}
