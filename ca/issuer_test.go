package ca_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/ca"
	"certsign/internal/problem"
)

// IssuerSuite is the contract of ca.Issuer: what a token is good for, once, and what remains of it.
type IssuerSuite struct {
	suite.Suite
	house func(*testing.T) *house
}

// TestIssuers runs the contract over every backend; a new one is a line here.
func TestIssuers(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *house{
		"stepca": func(t *testing.T) *house { return newHouse(t) },
	} {
		t.Run(name, func(t *testing.T) { suite.Run(t, &IssuerSuite{house: make}) })
	}
}

func (s *IssuerSuite) TestTokensAreRefusedEachWithItsOwnCode() {
	t := s.T()
	h := s.house(t)
	ctx := context.Background()
	anna := h.anna()
	require.NoError(t, h.desk.AcceptTerms(ctx, anna.ID, terms))

	csr, other := newCSR(t, newKey(t)), newCSR(t, newKey(t))
	e, err := h.desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)

	answer := h.sign(other, e.Token)
	assert.Equal(t, http.StatusForbidden, answer.HTTP)
	assert.Equal(t, "token_for_other_csr", answer.Code)

	forged := e.Token[:len(e.Token)-4] + "AAAA"
	answer = h.sign(csr, forged)
	assert.Equal(t, http.StatusUnauthorized, answer.HTTP)
	assert.Equal(t, "token_invalid", answer.Code)

	// The two refusals did not spend it.
	answer = h.sign(csr, e.Token)
	require.Equal(t, http.StatusCreated, answer.HTTP, answer.Message)
	assert.Len(t, answer.Chain, 2)

	answer = h.sign(csr, e.Token)
	assert.Equal(t, http.StatusUnauthorized, answer.HTTP)
	assert.Equal(t, "token_spent", answer.Code)

	_, err = h.desk.Issued(ctx, e.CSRSHA256, forged)
	assert.Equal(t, problem.NotFound, problem.CodeOf(err))

	late := newCSR(t, newKey(t))
	e, err = h.desk.Enroll(ctx, anna.ID, late)
	require.NoError(t, err)
	_, err = h.desk.Issued(ctx, e.CSRSHA256, e.Token)
	assert.Equal(t, problem.NotFound, problem.CodeOf(err), "nothing is issued yet")
	h.pass(ca.TokenLife + 2*time.Minute)
	answer = h.sign(late, e.Token)
	assert.Equal(t, http.StatusUnauthorized, answer.HTTP)
	assert.Equal(t, "token_expired", answer.Code)
	h.pass(-ca.TokenLife - 2*time.Minute)

	// Another token for the same request takes the enrolment up again.
	e, err = h.desk.Enroll(ctx, anna.ID, late)
	require.NoError(t, err)
	assert.Equal(t, http.StatusCreated, h.sign(late, e.Token).HTTP)
}

func (s *IssuerSuite) TestATokenSpentAtOnceByManyMakesOneCertificate() {
	t := s.T()
	h := s.house(t)
	ctx := context.Background()
	anna := h.anna()
	require.NoError(t, h.desk.AcceptTerms(ctx, anna.ID, terms))
	csr := newCSR(t, newKey(t))
	e, err := h.desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)
	results := make(chan reply, 8)
	for range cap(results) {
		go func() { results <- h.sign(csr, e.Token) }()
	}
	created := 0
	for range cap(results) {
		if r := <-results; r.HTTP == http.StatusCreated {
			created++
		} else {
			assert.Equal(t, "token_spent", r.Code)
		}
	}
	assert.Equal(t, 1, created)
	all, err := h.desk.Certificates(ctx, anna.ID)
	require.NoError(t, err)
	assert.Len(t, all, 1)
}
