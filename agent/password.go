package agent

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"certsign/internal/problem"
)

// PasswordRule is one of the portal's rules for the password of a key file. A window can show each with a tick.
type PasswordRule string

// The rules: what a password of a key file must have.
const (
	PasswordLength     PasswordRule = "length"     // 12 characters or more
	PasswordUpper      PasswordRule = "upper"      // an upper-case letter
	PasswordLower      PasswordRule = "lower"      // a lower-case letter
	PasswordDigit      PasswordRule = "digit"      // a digit
	PasswordSpecial    PasswordRule = "special"    // a punctuation mark or symbol
	PasswordCharacters PasswordRule = "characters" // nothing that a PKCS#12 file cannot hold, and at most 128 characters
)

// PasswordRules are the rules in the order in which to show them.
var PasswordRules = []PasswordRule{
	PasswordLength, PasswordUpper, PasswordLower, PasswordDigit, PasswordSpecial, PasswordCharacters,
}

// PasswordMinLength and PasswordMaxLength bound a password, in characters.
const (
	PasswordMinLength = 12
	PasswordMaxLength = 128
)

var passwordRuleText = map[PasswordRule]string{
	PasswordLength:     "12 characters",
	PasswordUpper:      "an upper-case letter",
	PasswordLower:      "a lower-case letter",
	PasswordDigit:      "a digit",
	PasswordSpecial:    "a special character",
	PasswordCharacters: "only characters that can be typed anywhere, and at most 128 of them",
}

// MissingPasswordRules returns the rules that the password breaks, in the order of PasswordRules; none when it is good.
// It makes no copy of the password.
func MissingPasswordRules(password []byte) []PasswordRule {
	kept := map[PasswordRule]bool{PasswordCharacters: true}
	n := 0
	for rest := password; len(rest) > 0; n++ {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r == utf8.RuneError && size == 1:
			kept[PasswordCharacters] = false
		// RFC 7292, B.1: the password is a BMPString, which holds the Basic Multilingual Plane only: no emoji.
		case r > 0xFFFF, unicode.IsControl(r), !unicode.IsPrint(r) && !unicode.IsSpace(r):
			kept[PasswordCharacters] = false
		case unicode.IsUpper(r):
			kept[PasswordUpper] = true
		case unicode.IsLower(r):
			kept[PasswordLower] = true
		case unicode.IsDigit(r):
			kept[PasswordDigit] = true
		case unicode.IsPunct(r), unicode.IsSymbol(r):
			kept[PasswordSpecial] = true
		}
	}
	kept[PasswordLength] = n >= PasswordMinLength
	if n > PasswordMaxLength {
		kept[PasswordCharacters] = false
	}
	var missing []PasswordRule
	for _, rule := range PasswordRules {
		if !kept[rule] {
			missing = append(missing, rule)
		}
	}
	return missing
}

// CheckPassword returns password_weak, saying what is missing and nothing of the password, or nil.
func CheckPassword(password []byte) error {
	missing := MissingPasswordRules(password)
	if len(missing) == 0 {
		return nil
	}
	texts := make([]string, len(missing))
	for i, rule := range missing {
		texts[i] = passwordRuleText[rule]
	}
	return problem.New(problem.PasswordWeak, "missing: %s", strings.Join(texts, "; "))
}
