package enroll_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.step.sm/crypto/jose"
	"go.step.sm/crypto/randutil"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

// stepCA runs an unmodified step-ca with one JWK provisioner, and returns how to mint its tokens.
func stepCA(t *testing.T, root, inter *testpki.Authority) (url string, mint func() string) {
	t.Helper()
	program := os.Getenv("CERTSIGN_STEP_CA")
	if program == "" {
		program = filepath.Join("..", "..", "build", "bin", "step-ca")
	}
	program, err := filepath.Abs(testtool.File(t, program))
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	der, err := x509.MarshalPKCS8PrivateKey(inter.Key)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	jwk, err := jose.GenerateJWK("EC", "P-256", "ES256", "sig", "", 0)
	require.NoError(t, err)
	jwk.KeyID, err = jose.Thumbprint(jwk)
	require.NoError(t, err)
	public := jwk.Public()
	config, err := json.Marshal(map[string]any{
		"root": write("root.crt", []byte(certificatePEM(root.DER))), "crt": write("inter.crt", []byte(certificatePEM(inter.DER))),
		"key":     write("inter.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"address": address, "dnsNames": []string{"127.0.0.1"},
		"db":        map[string]string{"type": "bbolt", "dataSource": filepath.Join(dir, "db")},
		"authority": map[string]any{"provisioners": []any{map[string]any{"type": "JWK", "name": "portal", "key": &public}}},
	})
	require.NoError(t, err)
	var log bytes.Buffer
	cmd := exec.Command(program, write("ca.json", config))
	cmd.Env = append(os.Environ(), "STEPPATH="+dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "step-ca does not come up")
	url = "https://" + address
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jwk.Key}, new(jose.SignerOptions).WithType("JWT").WithHeader("kid", jwk.KeyID))
	require.NoError(t, err)
	return url, func() string {
		id, err := randutil.Hex(32)
		require.NoError(t, err)
		now := time.Now()
		token, err := jose.Signed(signer).Claims(jose.Claims{
			ID: id, Issuer: "portal", Subject: "jan.los", Audience: jose.Audience{url + "/1.0/sign"},
			IssuedAt: jose.NewNumericDate(now), NotBefore: jose.NewNumericDate(now), Expiry: jose.NewNumericDate(now.Add(5 * time.Minute)),
		}).Claims(map[string]any{"sans": []string{"jan.los"}}).CompactSerialize()
		require.NoError(t, err)
		return token
	}
}

func TestEnrolmentAtAnUnmodifiedStepCA(t *testing.T) {
	o := newOffice(t)
	url, mint := stepCA(t, o.ca.root, o.ca.inter)
	o.site.CA = url
	require.NoError(t, o.agent.Sites().Put(o.site))
	for _, algorithm := range []agent.KeyAlgorithm{agent.P256, agent.RSA2048} {
		t.Run(string(algorithm), func(t *testing.T) {
			c, err := o.agent.EnrollLocal(t.Context(), o.site, agent.Wish{Algorithm: algorithm})
			require.NoError(t, err)
			token := mint()
			done, err := o.agent.FinishLocal(t.Context(), c.ID, token)
			require.NoError(t, err)
			leaf, err := x509.ParseCertificate(done.Chain[0])
			require.NoError(t, err)
			assert.Equal(t, "jan.los", leaf.Subject.CommonName)

			c, err = o.agent.EnrollLocal(t.Context(), o.site, agent.Wish{Algorithm: algorithm})
			require.NoError(t, err)
			_, err = o.agent.FinishLocal(t.Context(), c.ID, token)
			assert.Equal(t, problem.TokenInvalid, problem.CodeOf(err), "step-ca takes a token once")
			_, err = o.agent.FinishLocal(t.Context(), c.ID, mint())
			require.NoError(t, err, "the same ceremony goes on with a new token")
		})
	}
	ids := o.agent.Identities(t.Context())
	require.Len(t, ids, 4)
	for _, i := range ids {
		assert.True(t, i.IssuedBy(o.site.Certificates()), fmt.Sprint(i.Certificate.Subject))
	}
	o.sound()
}
