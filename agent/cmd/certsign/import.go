package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/pfx"
	"certsign/internal/problem"
)

func (c *command) importCommand() *cobra.Command {
	var store string
	var files importPINs
	cmd := &cobra.Command{Use: "import FILE", Short: "take in a key with its certificate, or a certificate for a key that is here", Args: exactly("FILE"),
		Long: `Takes in a file: the keys in a .p12, .pfx or PEM file go into the store that --store names,
under a new password or the PIN of that store; a certificate (.cer, .crt, .pem, .p7b) is laid
beside the key that it was issued for, in whichever store that is. A certificate that comes
in this way is trusted for nothing more than before.

The file's own password is asked for, or read from --password-file; without that,
--pin-file serves for both. A password that does not meet the rules for key files opens
the file, but cannot be the new one.`,
		Example: "  certsign import certificate-5f3a.cer\n  certsign import --store keyfile old.pfx"}
	f := cmd.Flags()
	f.StringVar(&store, "store", "", "where the key shall live: keyfile, csp")
	f.StringVar(&files.pinFile, "pin-file", "", "file with the key's new password, or the PIN of the store")
	f.StringVar(&files.passwordFile, "password-file", "", "file with the password of FILE, where it is another one")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if files.pinFile == "-" || files.passwordFile == "-" || args[0] == "-" {
			return usagef("files, not standard input, are wanted here", "tu potrzebne są pliki, nie standardowe wejście")
		}
		if err := checkStore(store); err != nil {
			return err
		}
		b, err := readBounded(args[0], pfx.MaxFile)
		if problem.CodeOf(err) == problem.Internal {
			return unreadable(args[0], err)
		}
		if err != nil {
			return err
		}
		defer clear(b) // a PEM file may hold a bare key
		files.command = c
		a, err := c.agent(nil, &files)
		if err != nil {
			return err
		}
		found, err := a.ImportLocal(ctx, store, filepath.Base(args[0]), b)
		if errors.Is(err, agent.ErrWhichStore) {
			err = wordedAs(err, "The file holds a key.", "Add --store keyfile or --store csp.",
				"Plik zawiera klucz.", "Dodaj --store keyfile albo --store csp.")
		}
		if perr := c.printImported(found); err == nil {
			err = perr
		}
		return err
	})
	return cmd
}

// printImported shows what is there now, even when something after it failed.
func (c *command) printImported(found []agent.Identity) error {
	if len(found) == 0 {
		return nil
	}
	certificates, keys := []identityJSON{}, []keyJSON{}
	for _, i := range found {
		if i.Certificate != nil {
			certificates = append(certificates, c.identityJSON(i))
			continue
		}
		k := i.Key
		keys = append(keys, keyJSON{Store: k.Store, Key: k.ID, Label: k.Label, Where: k.Where, Algorithm: k.Algorithm})
	}
	if c.json {
		return c.printJSON(map[string]any{"certificates": certificates, "keys": keys})
	}
	for _, j := range certificates {
		_, err := fmt.Fprintf(c.out, "%s  %s  %s %s  %s  %s\n", j.Serial, plain(j.Subject), c.say("until", "do"), j.NotAfter.Local().Format("2006-01-02"), j.Store, plain(j.Where))
		if err != nil {
			return err
		}
	}
	for _, k := range keys {
		if _, err := fmt.Fprintf(c.out, "%s  %s/%s  %s\n", c.say("key without a certificate", "klucz bez certyfikatu"), k.Store, k.Key, plain(k.Label)); err != nil {
			return err
		}
	}
	return nil
}

// importPINs tells the password of the file that is read from what protects the key in its store.
type importPINs struct {
	command               *command
	pinFile, passwordFile string
}

// AskPIN implements agent.PINPrompter. The request for the password of a file that is read has no place.
func (p *importPINs) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	file := p.pinFile
	if req.Purpose == agent.PurposeImport && !req.New && req.Where == "" {
		file = cmp.Or(p.passwordFile, p.pinFile)
	}
	return p.command.pins(file).AskPIN(ctx, req)
}
