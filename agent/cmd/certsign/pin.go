package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"certsign/agent"
)

// pinCommand sets the PIN of a card or token. Its siblings for key files are certsign password.
func (c *command) pinCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "pin", Short: "set, change or unblock the PIN of a card or token", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		c.pinChange(agent.PINRenew, "change", "a new PIN, with the one that holds now",
			"  certsign pin change\n  certsign pin change --token \"My card\""),
		c.pinChange(agent.PINUnblock, "unblock", "a new PIN, with the PUK: the PIN is locked or forgotten",
			"  certsign pin unblock --token \"My card\""),
		c.pinChange(agent.PINFirst, "first", "the first PIN of a blank token, with the PUK",
			"  certsign pin first"),
	)
	return cmd
}

func (c *command) pinChange(how agent.PINChange, name, short, example string) *cobra.Command {
	var token string
	var files secretFiles
	cmd := &cobra.Command{Use: name, Short: short, Args: noArguments, Example: example,
		Long: `Sets the PIN of a card or token: ` + short + `.
The PUK is what PKCS#11 calls the security officer's PIN. Each secret is given to the token once:
a wrong one costs one try. A locked PUK cannot be unlocked.`}
	f := cmd.Flags()
	f.StringVar(&token, "token", "", "the token, by its label or ID; see certsign tokens")
	f.StringVar(&files.fresh, "new-pin-file", "", "file with the new PIN")
	if how == agent.PINRenew {
		f.StringVar(&files.pin, "pin-file", "", "file with the PIN that holds now")
	} else {
		f.StringVar(&files.puk, "puk-file", "", "file with the PUK")
	}
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		if files.fresh == "-" && (files.pin == "-" || files.puk == "-") {
			return usagef("only one of the files can be standard input", "tylko jeden z plików może być standardowym wejściem")
		}
		files.person, files.given = shellPINs{c}, map[*string]bool{}
		a, err := c.agent(nil, &files)
		if err != nil {
			return err
		}
		all, err := a.Tokens(ctx)
		if err != nil {
			return err
		}
		t, err := findToken(all, token)
		if err != nil {
			return err
		}
		if err := a.ChangePIN(ctx, t.Store, t.ID, how); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(map[string]string{"store": t.Store, "token": t.ID, "label": t.Label})
		}
		_, err = fmt.Fprintf(c.out, "%s: %s\n", c.say("the new PIN is set", "nowy PIN został ustawiony"), plain(t.Label))
		return err
	})
	return cmd
}

// findToken returns the token that --token names, or the only one.
func findToken(tokens []agent.Token, name string) (agent.Token, error) {
	var fits []agent.Token
	var labels []string
	for _, t := range tokens {
		labels = append(labels, t.Label)
		if name == "" || named(t.Place, name) {
			fits = append(fits, t)
		}
	}
	switch len(fits) {
	case 1:
		return fits[0], nil
	case 0:
		return agent.Token{}, noToken(name, labels)
	}
	return agent.Token{}, usagef("say with --token which of: %s", "podaj w --token, który z: %s", strings.Join(labels, ", "))
}

// secretFiles takes secrets from files, each once, and asks the person for those that have none.
type secretFiles struct {
	pin, puk, fresh string
	person          agent.PINPrompter
	given           map[*string]bool
}

// AskPIN implements agent.PINPrompter.
func (f *secretFiles) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	file := &f.pin
	switch {
	case req.New:
		file = &f.fresh
	case req.PUK:
		file = &f.puk
	}
	if *file == "" {
		return f.person.AskPIN(ctx, req)
	}
	if err := req.Refusal(); err != nil {
		return nil, err
	}
	req.Incorrect = f.given[file]
	f.given[file] = true
	return filePINs(*file).AskPIN(ctx, req)
}
