package enroll_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/enroll"
	"certsign/internal/problem"
)

// grep tells whether any file of the agent's folder holds text.
func (o *office) grep(text string) (found bool) {
	o.t.Helper()
	require.NoError(o.t, filepath.WalkDir(o.home.Path(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || strings.Contains(string(b), text)
		return err
	}))
	return found
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestWhatIsNoTokenIsNeitherSentNorKept(t *testing.T) {
	header, claims, signature := b64(`{"alg":"ES256"}`), b64(`{"jti":"1"}`), b64("signature")
	for name, text := range map[string]string{
		"a password":                      "Secret-Horse-42",
		"a password with dots":            "Secret.Horse.42",
		"a key file":                      "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
		"two parts":                       header + "." + claims,
		"five parts, an encrypted token":  header + "." + claims + "." + signature + "." + signature + "." + signature,
		"a header that is no JSON":        b64("Secret-Horse-42") + "." + claims + "." + signature,
		"a header without an algorithm":   b64(`{"typ":"JWT"}`) + "." + claims + "." + signature,
		"a token that nobody signed":      b64(`{"alg":"none"}`) + "." + claims + ".",
		"no algorithm, with a signature":  b64(`{"alg":"none"}`) + "." + claims + "." + signature,
		"claims that are no object":       header + "." + b64(`null`) + "." + signature,
		"an empty signature":              header + "." + claims + ".",
		"padding":                         header + "." + claims + "." + signature + "==",
		"line breaks inside":              header + ".\n" + claims + "." + signature,
		"more than a token's length":      header + "." + claims + "." + strings.Repeat("A", 16<<10),
		"two tokens, one below the other": mint(nil, time.Hour) + "\n" + mint(nil, time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			c := o.begin()
			_, err := o.agent.FinishLocal(t.Context(), c.ID, text)
			assert.Equal(t, problem.TokenInvalid, problem.CodeOf(err))
			assert.NotContains(t, err.Error(), text)
			v := o.visit()
			code := v.call(agent.MethodEnrollFinish, agent.EnrollFinishParams{Ceremony: c.ID, Token: text}, nil)
			assert.Contains(t, []problem.Code{problem.TokenInvalid, problem.TooLarge}, code, "a page's is not taken either")
			assert.Empty(t, o.ca.sent)
			assert.False(t, o.grep(text))
			_, err = o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
			require.NoError(t, err, "the ceremony goes on with the right token")
			o.sound()
		})
	}
}

func TestATokenThatTheCARefusesAsInvalidIsForgotten(t *testing.T) {
	for _, stock := range []bool{false, true} {
		o := newOffice(t)
		o.ca.stock = stock
		o.ca.onSign = func(w http.ResponseWriter, _ *x509.CertificateRequest) bool {
			refuse(w, http.StatusUnauthorized, map[bool]problem.Code{false: problem.TokenInvalid}[stock])
			return true
		}
		c := o.begin()
		token := mint(nil, time.Hour)
		_, err := o.agent.FinishLocal(t.Context(), c.ID, token)
		assert.Equal(t, problem.TokenInvalid, problem.CodeOf(err))
		assert.False(t, o.grep(token))
		_, err = o.agent.FinishLocal(t.Context(), c.ID, "")
		assert.Equal(t, problem.TokenInvalid, problem.CodeOf(err))
		o.resume()
		assert.Equal(t, 1, o.ca.sent[token], "it is not sent again, now or at the next start")
		o.ca.onSign = nil
		_, err = o.agent.FinishLocal(t.Context(), c.ID, mint(c.CSR, time.Hour))
		require.NoError(t, err)
		o.sound()
	}
}

func FuzzTokenIsNotBelieved(f *testing.F) {
	f.Add("a.b.c")
	f.Add(mint([]byte("x"), time.Hour))
	f.Add("..")
	f.Add("e30.eyJleHAiOjFlMzA4fQ.x")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		enroll.ReadToken(token, []byte("csr"))
		if enroll.CheckToken(token) == nil {
			assert.Regexp(t, `^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`, token)
		}
	})
}
