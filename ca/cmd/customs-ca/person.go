package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"certsign/ca"
)

func personCommand(o *options) *cobra.Command {
	return group("person", "the register of persons", personAdd(o), personLink(o))
}

func personAdd(o *options) *cobra.Command {
	var p ca.Person
	c := &cobra.Command{
		Use:   "add --given-name NAME --surname NAME --identity PNOPL-… [--id-sisc …]",
		Short: "enter a person as the register knows them",
		Example: `  customs-ca person add --given-name Anna --surname Kowalska --country PL \
    --identity PNOPL-44051401458 --id-sisc PL526000001400017`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				added, err := b.ledger.AddPerson(cmd.Context(), p)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "person %d %s\n", added.ID, added.FullName())
				return nil
			})
		},
	}
	c.Flags().StringVar(&p.GivenName, "given-name", "", "given name, or names")
	c.Flags().StringVar(&p.Surname, "surname", "", "surname")
	c.Flags().StringVar(&p.Country, "country", "PL", "country of the identity document")
	c.Flags().StringVar(&p.Identity, "identity", "", "PNOPL-44051401458, IDCDE-…, PASUA-…, TINPL-…")
	c.Flags().StringVar(&p.IDSISC, "id-sisc", "", "17 characters")
	return c
}

func personLink(o *options) *cobra.Command {
	var kind string
	var person int64
	c := &cobra.Command{
		Use:     "link EMAIL --person NUMBER",
		Short:   "register a person for an account",
		Example: `  customs-ca person link anna.kowalska@example.test --person 1 --kind extended`,
		Args:    exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				if err := b.ledger.Register(cmd.Context(), args[0], person, ca.AccountKind(kind)); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "linked %s person %d %s\n", args[0], person, kind)
				return nil
			})
		},
	}
	c.Flags().Int64Var(&person, "person", 0, "number of the person")
	c.Flags().StringVar(&kind, "kind", string(ca.Extended), "basic or extended")
	return c
}
