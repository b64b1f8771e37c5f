package enroll

import "time"

// ReadToken lets the fuzz target read a token as a ceremony does.
func ReadToken(token string, csr []byte) (time.Time, bool) {
	c := claimsOf(token)
	return c.expires(), c.otherCSR(csr)
}
