package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/problem"
)

// findKey returns the key that a selector names: STORE/KEY, or what findIdentity takes.
func findKey(ctx context.Context, a *agent.Agent, selector string) (agent.Key, error) {
	for _, k := range a.Keys(ctx) {
		if k.Store+"/"+k.ID == selector {
			return k, nil
		}
	}
	i, err := findIdentity(ctx, a, selector)
	if problem.CodeOf(err) == problem.NoCertificate {
		err = wordedAs(err, fmt.Sprintf("There is no key or certificate “%s” here.", selector), "Take it from certsign list.",
			fmt.Sprintf("Nie ma tu klucza ani certyfikatu „%s”.", selector), "Wybierz z tych, które wypisuje certsign list.")
	}
	return i.Key, err
}

func (c *command) passwordCommand() *cobra.Command {
	var files secretFiles
	cmd := &cobra.Command{Use: "password KEY", Short: "change the password of a key file", Args: exactly("KEY"),
		Long: `Changes the password of a key file. KEY is as in certsign list: a serial number or
fingerprint, or STORE/KEY for a key without a certificate. Nobody can recover a password
that is forgotten. Copies made with certsign backup keep the password that they had.`,
		Example: "  certsign password 5f3a"}
	f := cmd.Flags()
	f.StringVar(&files.pin, "pin-file", "", "file with the password that holds now")
	f.StringVar(&files.fresh, "new-pin-file", "", "file with the new password")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if files.pin == "-" && files.fresh == "-" {
			return usagef("only one of the files can be standard input", "tylko jeden z plików może być standardowym wejściem")
		}
		files.person, files.given = shellPINs{c}, map[*string]bool{}
		a, err := c.agent(nil, &files)
		if err != nil {
			return err
		}
		k, err := findKey(ctx, a, args[0])
		if err != nil {
			return err
		}
		if k.Store != keyfile.Name {
			return problem.New(problem.Unsupported, "the key is in no file; for the PIN of a card or token see certsign pin")
		}
		if err := a.ChangePIN(ctx, k.Store, k.ID, agent.PINRenew); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(map[string]string{"store": k.Store, "key": k.ID, "where": k.Where})
		}
		_, err = fmt.Fprintf(c.out, "%s: %s\n", c.say("the new password holds for", "nowe hasło obowiązuje dla"), plain(k.Where))
		return err
	})
	return cmd
}

func (c *command) backupCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{Use: "backup KEY -o FILE", Short: "copy a key file, encrypted as it is", Args: exactly("KEY"),
		Long: `Copies a key file as it is, encrypted under its password; never a bare key. Keep the copy
where others cannot reach it: who has it and the password can sign in your name. KEY is as
in certsign list. certsign import brings the key back. FILE may be a folder; a file that is
there already is not replaced.`,
		Example: "  certsign backup 5f3a -o /media/usb"}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file or folder for the copy")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if out == "" || out == "-" {
			return usagef("say with -o which file the copy shall be", "podaj w -o plik, w którym ma się znaleźć kopia")
		}
		a, err := c.agent(nil, nil)
		if err != nil {
			return err
		}
		k, err := findKey(ctx, a, args[0])
		if err != nil {
			return err
		}
		b, name, err := a.CopyLocal(ctx, k)
		if err != nil {
			return err
		}
		if found, err := os.Stat(out); err == nil && found.IsDir() {
			out = filepath.Join(out, name)
		}
		if err := writeNew(out, 0o600, b); err != nil {
			return err
		}
		if c.json {
			sum := sha256.Sum256(b)
			return c.printJSON(map[string]string{"store": k.Store, "key": k.ID, "file": out, "sha256": hex.EncodeToString(sum[:])})
		}
		_, err = fmt.Fprintln(c.out, plain(out))
		return err
	})
	return cmd
}
