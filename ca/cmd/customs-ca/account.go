package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"certsign/ca"
	"certsign/internal/problem"
)

// passwordVariable names the environment variable that holds a new account's password; an argument would be visible to
// every user of the computer.
const passwordVariable = "CUSTOMS_CA_ACCOUNT_PASSWORD"

func accountCommand(o *options) *cobra.Command {
	return group("account", "portal accounts", accountAdd(o), accountList(o), accountSeed(o))
}

// passwordFlag reads a password from a file, else the environment, else makes one up.
func newPassword(file string) (password string, generated bool, err error) {
	if file != "" {
		b, err := readPassword(file, "--password-file")
		return string(b), false, err
	}
	if p := os.Getenv(passwordVariable); p != "" {
		return p, false, nil
	}
	p, err := makePassword()
	return p, true, err
}

// makePassword returns 20 characters of four classes, none of which looks like another.
func makePassword() (string, error) {
	classes := []string{"abcdefghijkmnopqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "-+.=_"}
	var b strings.Builder
	for i := range 20 {
		class := classes[i%len(classes)]
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(class))))
		if err != nil {
			return "", err
		}
		b.WriteByte(class[n.Int64()])
	}
	return b.String(), nil
}

func accountAdd(o *options) *cobra.Command {
	var kind, role, language, passwordFile string
	var person int64
	c := &cobra.Command{
		Use:   "add EMAIL",
		Short: "add an account; its password comes from --password-file, " + passwordVariable + ", or is made up and printed",
		Example: `  customs-ca account add anna.kowalska@example.test --kind extended --person 1
  customs-ca account add clerk@example.test --role helpdesk`,
		Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, generated, err := newPassword(passwordFile)
			if err != nil {
				return err
			}
			return o.with(cmd.Context(), func(b *books) error {
				a, err := b.ledger.AddAccount(cmd.Context(), ca.NewAccount{
					Email: args[0], Password: password, Kind: ca.AccountKind(kind), Role: ca.Role(role), Language: language, PersonID: person,
				})
				if err != nil {
					return err
				}
				printAccount(cmd.OutOrStdout(), a, password, generated)
				return nil
			})
		},
	}
	c.Flags().StringVar(&kind, "kind", string(ca.Basic), "basic or extended")
	c.Flags().StringVar(&role, "role", string(ca.RoleUser), "user or helpdesk")
	c.Flags().StringVar(&language, "language", "pl", "pl or en")
	c.Flags().Int64Var(&person, "person", 0, "number of the person that the account belongs to")
	c.Flags().StringVar(&passwordFile, "password-file", "", "file with the password")
	return c
}

func printAccount(out io.Writer, a *ca.Account, password string, show bool) {
	if show {
		fmt.Fprintf(out, "account %d %s password %s\n", a.ID, a.Email, password)
		return
	}
	fmt.Fprintf(out, "account %d %s\n", a.ID, a.Email)
}

func accountList(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the accounts", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				all, err := b.ledger.Accounts(cmd.Context())
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				for _, a := range all {
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\tperson %d\n", a.ID, a.Email, a.Kind, a.Role, a.Language, a.PersonID)
				}
				return w.Flush()
			})
		},
	}
}

// seeds are invented people. Their PESEL numbers have right check digits and belong to nobody known here.
var seeds = []struct {
	email  string
	kind   ca.AccountKind
	role   ca.Role
	person *ca.Person
}{
	{"anna.kowalska@example.test", ca.Extended, ca.RoleUser, &ca.Person{GivenName: "Anna", Surname: "Kowalska", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"}},
	{"piotr.zielinski@example.test", ca.Extended, ca.RoleUser, &ca.Person{GivenName: "Piotr", Surname: "Zieliński", Country: "PL", Identity: "PNOPL-44051401359", IDSISC: "PL526000001500018"}},
	{"jan.nowak@example.test", ca.Basic, ca.RoleUser, nil},
	{"helpdesk@example.test", ca.Basic, ca.RoleHelpDesk, nil},
}

func accountSeed(o *options) *cobra.Command {
	var passwordFile, language string
	c := &cobra.Command{
		Use:   "seed",
		Short: "add four accounts of invented people to a test CA: two that may have certificates, one that may not, a clerk",
		Long: `seed adds, where they are missing, anna.kowalska@example.test and piotr.zielinski@example.test (extended scope of rights
and an ID SISC), jan.nowak@example.test (basic) and helpdesk@example.test (help desk). All have the same password: from
--password-file, ` + passwordVariable + `, or one that is made up and printed.`,
		Example: `  customs-ca account seed --config ca/customs-ca.yaml`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, _, err := newPassword(passwordFile)
			if err != nil {
				return err
			}
			return o.with(cmd.Context(), func(b *books) error {
				if !b.config.Test {
					return hint(problem.New(problem.Forbidden, "invented people are for a test CA"), "make one with customs-ca init --test")
				}
				return seed(cmd.Context(), b, password, language, cmd.OutOrStdout())
			})
		},
	}
	c.Flags().StringVar(&passwordFile, "password-file", "", "file with the password")
	c.Flags().StringVar(&language, "language", "pl", "pl or en")
	return c
}

func seed(ctx context.Context, b *books, password, language string, out io.Writer) error {
	present, err := b.ledger.Accounts(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, a := range present {
		known[a.Email] = true
	}
	for _, s := range seeds {
		if known[s.email] {
			fmt.Fprintf(out, "present %s\n", s.email)
			continue
		}
		n := ca.NewAccount{Email: s.email, Password: password, Kind: s.kind, Role: s.role, Language: language}
		if s.person != nil {
			p, err := b.ledger.EnsurePerson(ctx, *s.person)
			if err != nil {
				return err
			}
			n.PersonID = p.ID
		}
		a, err := b.ledger.AddAccount(ctx, n)
		if err != nil {
			return err
		}
		printAccount(out, a, password, true)
	}
	return nil
}
