package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"certsign/agent/keystore/csp"
	"certsign/internal/problem"
)

func TestEachReasonNotToTrustAnAuthorityIsSaidInBothLanguages(t *testing.T) {
	for _, reason := range []csp.Refusal{
		csp.NotAdministrator, csp.NotReadable, csp.OfATest, csp.NoAuthority, csp.NotValidNow, csp.Weak, csp.NoRoot, csp.NotOfTheRoot,
	} {
		err := refused(fmt.Errorf("wrapped: %w", problem.Wrap(problem.CAMismatch, reason, "%q", "CN=x\x1b")))
		en, pl := (&command{lang: problem.English}).explain(err), (&command{lang: problem.Polish}).explain(err)
		assert.Equal(t, problem.CAMismatch, en.Code)
		for _, e := range []explained{en, pl} {
			assert.Contains(t, e.Message, `. ("CN=x\x1b")`, reason)
			assert.NotEmpty(t, e.Remedy, reason)
		}
		assert.NotEqual(t, en.Message, pl.Message)
		assert.NotEqual(t, en.Remedy, pl.Remedy)
	}
	other := problem.New(problem.Busy, "")
	assert.Equal(t, error(other), refused(other))
	assert.NoError(t, refused(nil))
}

func TestWhatCameOfACertificateIsSaidInBothLanguages(t *testing.T) {
	said := map[string]bool{}
	states := []csp.State{csp.Added, csp.Kept, csp.Restored, csp.Foreign, csp.Removed}
	for _, state := range states {
		for _, lang := range []string{problem.English, problem.Polish} {
			text := (&command{lang: lang}).outcomeOf(csp.Placed{Store: "Root", State: state})
			assert.Contains(t, text, `LocalMachine\Root`)
			said[text] = true
		}
	}
	assert.Len(t, said, 2*len(states), "each in its own words")
}
