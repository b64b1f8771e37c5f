package pkix_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/pkix"
	"certsign/internal/testpki"
)

// pkitsFloor is how many of the 246 cases came out right when it was last raised; it is only ever raised.
const pkitsFloor = 246

type pkitsCase struct {
	ID, Name, Cert, Expected string
	OtherCerts               []string `json:"other_certs"`
	CRLs                     []string
	Params                   struct {
		Policies       []string `json:"user_initial_policy_set"`
		Explicit       bool     `json:"initial_explicit_policy"`
		InhibitMapping bool     `json:"initial_policy_mapping_inhibit"`
		InhibitAny     bool     `json:"initial_any_policy_inhibit"`
	}
}

// TestPKITS runs the path validation suite of NIST: RFC 5280, section 6, with revocation by CRL.
func TestPKITS(t *testing.T) {
	var suite struct {
		Time  string
		Tests []pkitsCase
		Certs map[string]string
		CRLs  map[string]string
	}
	require.NoError(t, json.Unmarshal(testpki.Corpus(t, "pkits.json"), &suite))
	at, err := time.Parse(time.DateOnly, suite.Time)
	require.NoError(t, err)
	cert := func(name string) *pkix.Certificate {
		der, err := base64.StdEncoding.DecodeString(suite.Certs[name])
		require.NoError(t, err)
		c, err := pkix.ParseCertificate(der)
		require.NoError(t, err, name)
		return c
	}
	right := 0
	for _, test := range suite.Tests {
		v := pkix.NewVerifier([]*pkix.Certificate{cert("TrustAnchorRootCertificate.crt")})
		for _, name := range test.OtherCerts {
			v.AddCertificate(cert(name))
		}
		for _, name := range append(test.CRLs, "TrustAnchorRootCRL.crl") {
			der, err := base64.StdEncoding.DecodeString(suite.CRLs[name])
			require.NoError(t, err)
			if l, err := pkix.ParseCRL(der); assert.NoError(t, err, name) {
				v.AddCRL(l)
			}
		}
		verdict, why := "INVALID", "no path"
		for p := range v.Paths(cert(test.Cert)) {
			_, err := v.Check(p, pkix.Input{
				At: at, Policies: test.Params.Policies, ExplicitPolicy: test.Params.Explicit,
				InhibitMapping: test.Params.InhibitMapping, InhibitAny: test.Params.InhibitAny,
			})
			if err != nil {
				why = err.Error()
				continue
			}
			good := true
			for i := range p {
				if s := v.Status(p, i, at, 0); s.State != pkix.Good {
					good, why = false, string(s.State)+": "+s.Why
				}
			}
			if good {
				verdict = "VALID"
				break
			}
		}
		if verdict == test.Expected {
			right++
		} else {
			t.Logf("%s %s: %s, expected %s (%s)", test.ID, test.Name, verdict, test.Expected, why)
		}
	}
	t.Logf("%d of %d", right, len(suite.Tests))
	assert.GreaterOrEqual(t, right, pkitsFloor)
}
