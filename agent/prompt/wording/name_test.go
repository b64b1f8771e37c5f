package wording

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNamesOfPeopleAreFoundInDistinguishedNames(t *testing.T) {
	for subject, want := range map[string]string{
		"CN=Jan Kowalski,C=PL":                         "Jan Kowalski",
		"C=PL, O=Firma\\, Spółka, cn=Jan \\+ Kowalski": "Jan + Kowalski",
		`O="Firma, CN=Inna",CN=Jan`:                    "Jan",
		"SERIALNUMBER=1+CN=Jan,C=PL":                   "Jan",
		"O=Firma,C=PL":                                 "O=Firma,C=PL",
		"":                                             "",
		`CN=\\`:                                        `\`,
	} {
		assert.Equal(t, want, CommonName(subject), subject)
	}
	assert.Equal(t, `CN=A\, B, O=C + OU=D`, DistinguishedName(`CN=A\, B,O=C +OU=D`))
}

func FuzzDistinguishedNames(f *testing.F) {
	f.Add(`CN=A\, B,O="C,D"+OU=E`)
	f.Fuzz(func(t *testing.T, name string) {
		CommonName(name)
		DistinguishedName(name)
	})
}
