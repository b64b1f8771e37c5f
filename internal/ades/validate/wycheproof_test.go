package validate_test

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/ades"
	"certsign/internal/ades/validate"
	"certsign/internal/testpki"
)

func TestWycheproof(t *testing.T) {
	for _, file := range []struct {
		name      string
		algorithm ades.Algorithm
	}{
		{"ecdsa_secp256r1_sha256_p1363_test.json", ades.Algorithm{Name: "ecdsa", Key: ades.ECDSA, Hash: crypto.SHA256, P1363: true}},
		{"ecdsa_secp256r1_sha256_test.json", ades.Algorithm{Name: "ecdsa", Key: ades.ECDSA, Hash: crypto.SHA256}},
		{"rsa_pss_2048_sha256_mgf1_32_test.json", ades.Algorithm{Name: "pss", Key: ades.RSA, Hash: crypto.SHA256, PSS: true, Salt: 32}},
		{"rsa_signature_2048_sha256_test.json", ades.Algorithm{Name: "rsa", Key: ades.RSA, Hash: crypto.SHA256}},
	} {
		t.Run(file.name, func(t *testing.T) {
			var suite struct {
				TestGroups []struct {
					PublicKeyDER string `json:"publicKeyDer"`
					Tests        []struct {
						ID                        int `json:"tcId"`
						Comment, Msg, Sig, Result string
					}
				}
			}
			require.NoError(t, json.Unmarshal(testpki.Corpus(t, "wycheproof/"+file.name), &suite))
			octets := func(s string) []byte {
				b, err := hex.DecodeString(s)
				require.NoError(t, err)
				return b
			}
			right := 0
			for _, group := range suite.TestGroups {
				key, err := x509.ParsePKIXPublicKey(octets(group.PublicKeyDER))
				require.NoError(t, err)
				for _, test := range group.Tests {
					err := validate.VerifyValue(file.algorithm, key, octets(test.Msg), octets(test.Sig))
					// "acceptable" is what old software made; here it is refused.
					if assert.Equal(t, test.Result == "valid", err == nil, "%d %s: %s", test.ID, test.Comment, test.Result) {
						right++
					}
				}
			}
			t.Logf("%d right", right)
		})
	}
}
