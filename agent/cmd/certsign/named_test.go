package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

func TestAPINFromAFileGoesToNoTokenThatIsOnlyCalledAlike(t *testing.T) {
	const id, other = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
	for _, c := range []struct {
		name  string
		label string
		wish  string
		fits  bool
	}{
		{"its label", "My card (0012)", "My card", true},
		{"its label and serial number", "My card (0012)", "My card (0012)", true},
		{"its label, without a serial number", "My card", "My card", true},
		{"its ID", "My card (0012)", id, true},
		{"a label that goes on", "My card 2 (0013)", "My card", false},
		{"a label that goes on in brackets", "My card (old) (0013)", "My card", false},
		{"the first word", "My card (0012)", "My", false},
		{"another token's ID for a label", other + " (0012)", other, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := findToken([]agent.Token{{Place: agent.Place{ID: id, Label: c.label}}}, c.wish)
			if c.fits {
				require.NoError(t, err)
				assert.Equal(t, id, found.ID)
			} else {
				assert.Equal(t, problem.TokenAbsent, problem.CodeOf(err))
			}
		})
	}
}
