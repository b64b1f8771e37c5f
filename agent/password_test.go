package agent_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"certsign/agent"
	"certsign/internal/problem"
)

func TestCheckPassword(t *testing.T) {
	long := strings.Repeat("Aa1!", 32)
	for _, c := range []struct {
		name     string
		password string
		missing  []agent.PasswordRule
	}{
		{"twelve characters of four classes are enough", "Haslo!234567", nil},
		{"Polish letters count as letters", "ŻÓŁĆłąka-202", nil},
		{"a space is allowed", "Zielona 3 łąka!", nil},
		{"a space is not a special character", "Zielona 3 laka", []agent.PasswordRule{agent.PasswordSpecial}},
		{"128 characters are allowed", long, nil},
		{"129 are not", long + "a", []agent.PasswordRule{agent.PasswordCharacters}},
		{"eleven characters are too few, though they take more octets", "ŻÓŁĆłąka-20", []agent.PasswordRule{agent.PasswordLength}},
		{"an empty password lacks everything", "", []agent.PasswordRule{
			agent.PasswordLength, agent.PasswordUpper, agent.PasswordLower, agent.PasswordDigit, agent.PasswordSpecial}},
		{"no upper-case letter", "haslo!234567", []agent.PasswordRule{agent.PasswordUpper}},
		{"no lower-case letter", "HASLO!234567", []agent.PasswordRule{agent.PasswordLower}},
		{"no digit", "Haslo!haslo!", []agent.PasswordRule{agent.PasswordDigit}},
		{"no special character", "Haslo1234567", []agent.PasswordRule{agent.PasswordSpecial}},
		{"an emoji does not fit into a PKCS#12 file", "Haslo!234567😀", []agent.PasswordRule{agent.PasswordCharacters}},
		{"a line feed cannot be typed", "Haslo!234567\n", []agent.PasswordRule{agent.PasswordCharacters}},
		{"octets that are no UTF-8", "Haslo!234567\xff", []agent.PasswordRule{agent.PasswordCharacters}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.missing, agent.MissingPasswordRules([]byte(c.password)))
			err := agent.CheckPassword([]byte(c.password))
			if c.missing == nil {
				assert.NoError(t, err)
				return
			}
			assert.Equal(t, problem.PasswordWeak, problem.CodeOf(err))
			if c.password != "" {
				assert.NotContains(t, err.Error(), c.password)
			}
		})
	}
}
