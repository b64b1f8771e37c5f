package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"certsign/ca"
	"certsign/internal/keyorigin"
	"certsign/internal/problem"
)

func certificateCommand(o *options) *cobra.Command {
	return group("certificate", "issued certificates and their status",
		certificateList(o), certificateShow(o), certificateUnlock(o),
		certificateOrder(o, "hold", ca.Suspend, "suspend a certificate, for example after a telephone call"),
		certificateOrder(o, "resume", ca.Resume, "end a suspension"),
		certificateOrder(o, "revoke", ca.Revoke, "revoke a certificate for good"))
}

func certificateList(o *options) *cobra.Command {
	var state string
	c := &cobra.Command{
		Use: "list", Short: "list the certificates, newest first", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch ca.State(state) {
			case "", ca.Active, ca.Suspended, ca.Revoked, ca.Expired:
			default:
				return usage("--state is active, suspended, revoked or expired")
			}
			return o.with(cmd.Context(), func(b *books) error {
				all, err := b.ledger.All(cmd.Context(), ca.State(state), 10000)
				if err != nil {
					return err
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "no certificates")
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				for _, one := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", one.Serial, one.State, one.X509.Subject.CommonName, clock(one.Issued), clock(one.X509.NotAfter))
				}
				return w.Flush()
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "only active, suspended, revoked or expired ones")
	return c
}

// find resolves a serial number or its beginning.
func (b *books) find(ctx context.Context, typed string) (*ca.Certificate, error) {
	return b.ledger.FindByPrefix(ctx, typed)
}

func certificateShow(o *options) *cobra.Command {
	var asPEM bool
	c := &cobra.Command{
		Use: "show SERIAL", Short: "show one certificate; the beginning of its serial number is enough", Args: exactly("SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				one, err := b.find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				if asPEM {
					return pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: one.DER})
				}
				fmt.Fprintf(out, "serial %s\nsubject %s\nissuer %s\nstate %s\nsince %s\nissued %s\nvalid-until %s\ndays-left %d\nshard %d\nterms %s\n",
					one.Serial, one.X509.Subject.CommonName, one.X509.Issuer.CommonName, one.State, clock(one.Since), clock(one.Issued),
					clock(one.X509.NotAfter), one.DaysLeft(time.Now()), one.Shard, one.Terms)
				fmt.Fprintln(out, statedOrigin(one.KeyOrigin))
				if one.State == ca.Revoked || one.State == ca.Suspended {
					fmt.Fprintf(out, "reason %d\nrevocation-date %s\n", one.Reason, clock(one.RevokedAt))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asPEM, "pem", false, "the certificate itself, in PEM")
	return c
}

// statedOrigin is what the agent stated of the key, on one line: its word, which nothing proves.
func statedOrigin(s *keyorigin.Statement) string {
	if s == nil {
		return "key-stated -"
	}
	return fmt.Sprintf("key-stated store=%s hardware=%t local=%s never-extractable=%s by=%q",
		s.Store, s.Hardware, first(s.Local, "-"), first(s.NeverExtractable, "-"), s.By)
}

func certificateOrder(o *options, use string, kind ca.RequestKind, short string) *cobra.Command {
	var reason, comment string
	c := &cobra.Command{
		Use: use + " SERIAL", Short: short, Args: exactly("SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind != ca.Resume && reason == "" {
				return usage("--reason is missing")
			}
			return o.with(cmd.Context(), func(b *books) error {
				one, err := b.find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				r, err := b.ledger.Order(cmd.Context(), one.Serial, kind, ca.WishReason(reason), comment)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s\n", r.Ticket, r.Kind, r.Serial, r.State)
				return nil
			})
		},
	}
	if kind != ca.Resume {
		c.Flags().StringVar(&reason, "reason", "", "key-disclosed, carrier-lost, other; hold: on-request; revoke: data-wrong, data-changed, replaced, no-longer-needed")
	}
	c.Flags().StringVar(&comment, "comment", "", "what the person reads in the e-mail")
	return c
}

func certificateUnlock(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "unlock SERIAL", Short: "give a locked verification code its tries back", Args: exactly("SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				one, err := b.find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := b.ledger.Unlock(cmd.Context(), "operator", one.Serial); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "unlocked %s\n", one.Serial)
				return nil
			})
		},
	}
}

func requestCommand(o *options) *cobra.Command {
	return group("request", "requests about certificates", requestList(o), requestDecide(o))
}

func requestList(o *options) *cobra.Command {
	var state string
	c := &cobra.Command{
		Use: "list", Short: "list requests, by default those that wait", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch ca.RequestState(state) {
			case ca.Submitted, ca.Resolved, ca.Rejected:
			default:
				return usage("--state is submitted, resolved or rejected")
			}
			return o.with(cmd.Context(), func(b *books) error {
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
				err := b.ledger.View(cmd.Context(), func(tx ca.Tx) error {
					all, err := tx.RequestsIn(ca.RequestState(state), 10000)
					if err == nil && len(all) == 0 {
						fmt.Fprintln(cmd.ErrOrStderr(), "no requests")
					}
					for _, r := range all {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Ticket, r.Kind, r.Serial, r.State, first(string(r.Reason), "-"), clock(r.Created))
					}
					return err
				})
				if err != nil {
					return err
				}
				return w.Flush()
			})
		},
	}
	c.Flags().StringVar(&state, "state", string(ca.Submitted), "submitted, resolved or rejected")
	return c
}

func requestDecide(o *options) *cobra.Command {
	var approve, reject bool
	var comment string
	c := &cobra.Command{
		Use:   "decide TICKET --approve|--reject --comment TEXT",
		Short: "decide on a request",
		Example: `  customs-ca request decide CSD-2026-000123 --approve
  customs-ca request decide CSD-2026-000123 --reject --comment "the caller could not say their ID SISC"`,
		Args: exactly("TICKET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if approve == reject {
				return usage("either --approve or --reject")
			}
			if reject && comment == "" {
				return hint(problem.New(problem.BadRequest, "a rejection needs a reason that the person can read"), "add --comment TEXT")
			}
			return o.with(cmd.Context(), func(b *books) error {
				r, err := b.ledger.DecideAsOperator(cmd.Context(), args[0], approve, comment)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s\n", r.Ticket, r.Kind, r.Serial, r.State)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&approve, "approve", false, "do what is asked for")
	c.Flags().BoolVar(&reject, "reject", false, "do not")
	c.Flags().StringVar(&comment, "comment", "", "what the person reads in the e-mail")
	return c
}
