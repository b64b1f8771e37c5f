package enroll

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"certsign/internal/problem"
)

// maxToken is the length of the longest token that is taken.
const maxToken = 16 << 10

// CheckToken tells whether text has the form of a one-time token: token_invalid for anything else, so that another secret
// that was given by mistake is neither kept nor sent. It is a signed JWS in compact serialization (RFC 7515, 7.1): three
// parts in base64url, a header that names an algorithm (4.1.1), JSON claims (RFC 7519, 7.2) and a signature.
func CheckToken(text string) error {
	invalid := problem.New(problem.TokenInvalid, "this is no one-time token")
	if len(text) > maxToken || strings.ContainsAny(text, "\r\n") { // which the decoder would pass over
		return invalid
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return invalid
	}
	var raw [3][]byte
	for n, part := range parts {
		var err error
		if raw[n], err = base64.RawURLEncoding.DecodeString(part); err != nil || len(part) == 0 {
			return invalid
		}
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(raw[0], &header) != nil || header.Alg == "" || header.Alg == "none" || json.Unmarshal(raw[1], &claims) != nil || claims == nil {
		return invalid
	}
	return nil
}

// claims are the parts of a token (RFC 7519) that tell when asking again is worth while, and whom it is for. They are not
// verified: the CA does that.
type claims struct {
	Exp float64 `json:"exp"`
	Cnf struct {
		CSR string `json:"x5rt#S256"`
	} `json:"cnf"`
}

func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(b, &c) != nil {
		return claims{}
	}
	return c
}

func (c claims) expires() time.Time {
	if c.Exp <= 0 || c.Exp > 1e11 {
		return time.Time{}
	}
	return time.Unix(int64(c.Exp), 0).UTC()
}

// otherCSR tells whether the token is bound to a CSR, and not to this one: then it is not sent at all.
func (c claims) otherCSR(csr []byte) bool {
	if c.Cnf.CSR == "" {
		return false
	}
	sum := sha256.Sum256(csr)
	return strings.TrimRight(c.Cnf.CSR, "=") != base64.RawURLEncoding.EncodeToString(sum[:])
}
