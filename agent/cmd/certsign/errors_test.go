package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

func TestAPersonIsShownNoDetailThatSaysNothingToHim(t *testing.T) {
	for _, c := range []struct {
		name            string
		err             error
		english, polish string
	}{
		{"who says no knows it", problem.New(problem.UserCancelled, "the person said no"), "", ""},
		{"the message has it", problem.New(problem.TokenAbsent, "there is no token in any reader"), "there is no token in any reader", ""},
		{"the message has nothing", problem.New(problem.Unsupported, "RSA-PSS"), "RSA-PSS", "RSA-PSS"},
		{"a place in a document", problem.New(problem.XMLDoctype, "line 3, column 14: a document type declaration is not accepted"),
			"line 3, column 14: a document type declaration is not accepted", "wiersz 3, kolumna 14"},
		{"a host", problem.New(problem.CAUnreachable, "nothing listens at ca.example:443"), "nothing listens at ca.example:443", "ca.example:443"},
		{"the last try", problem.New(problem.PINIncorrect, "the PUK was wrong; one try is left"), "the PUK was wrong; one try is left", "błędny PUK; została jedna próba"},
		{"a PIN of another length", agent.PINRequest{New: true, Min: 4, Max: 8}.Unfit(), "it has 4 to 8 characters", "długość od 4 do 8 znaków"},
		{"what a password lacks", agent.CheckPassword([]byte("łoś")), "missing: 12 characters; an upper-case letter; a digit; a special character",
			"co najmniej 12 znaków; wielka litera; cyfra; znak specjalny"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for language, want := range map[string]string{problem.English: c.english, problem.Polish: c.polish} {
				var errs bytes.Buffer
				shell := &command{errs: &errs, lang: language}
				shell.complain(c.err)
				first, _, _ := bytes.Cut(errs.Bytes(), []byte("\n"))
				text := problem.Describe(problem.CodeOf(c.err), language).Message
				if want != "" {
					text += " (" + want + ")"
				}
				assert.True(t, bytes.HasSuffix(first, []byte(": "+text)), "%s", first)
				errs.Reset()
				shell.json = true
				shell.complain(c.err)
				require.Contains(t, errs.String(), `"detail":"`+problem.DetailOf(c.err)+`"`)
			}
		})
	}
}

func TestATablesColumnsGoToItsEnd(t *testing.T) {
	var out bytes.Buffer
	c := &command{out: &out, lang: problem.English}
	require.NoError(t, c.printTable([]string{"A", "B", "C"}, [][]string{{"1", "", ""}, {"1", "long", "x"}, {"1", "", "y"}}))
	assert.Equal(t, "A  B     C\n1\n1  long  x\n1        y\n", out.String())
}
