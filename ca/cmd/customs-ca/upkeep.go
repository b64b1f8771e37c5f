package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"certsign/ca"
	"certsign/ca/sqlstore"
)

func migrateCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "bring the database to the newest schema; stop every serve first", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfiguration(o.config)
			if err != nil {
				return err
			}
			store, err := sqlstore.Open(cmd.Context(), config.database())
			if err != nil {
				return err
			}
			applied, err := store.Migrate(cmd.Context())
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "applied %d migrations\n", len(applied))
			}
			return errors.Join(err, store.Close())
		},
	}
}

func crlCommand(o *options) *cobra.Command {
	return group("crl", "certificate revocation lists", crlPublish(o))
}

func crlPublish(o *options) *cobra.Command {
	var root bool
	c := &cobra.Command{
		Use:   "publish",
		Short: "make every CRL that is due; with --root the root's, which needs the root's key",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				if root {
					return publishRoot(cmd, b.config)
				}
				keys, err := readKeyring(b.config)
				if err != nil {
					return err
				}
				s, err := b.statusService(keys)
				if err != nil {
					return err
				}
				for shard := range b.config.CRLShards {
					row, err := s.CRL(cmd.Context(), shard)
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s-%d.crl number %d next-update %s\n", issuingName, shard, row.Number, clock(row.NextUpdate))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&root, "root", false, "renew the root's CRL; restart serve afterwards")
	return c
}

func publishRoot(cmd *cobra.Command, c *configuration) error {
	password, err := readPassword(c.path(c.PasswordFile), "password-file in the configuration")
	if err != nil {
		return err
	}
	certificate, key, err := readPair(c.dir, rootName, password)
	if err != nil {
		return err
	}
	now := time.Now()
	list, err := rootCRL(certificate, key, now)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(c.dir, rootCRLFile), list, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "root-0.crl next-update %s\n", clock(now.Add(rootCRLLife)))
	return nil
}

func auditCommand(o *options) *cobra.Command {
	return group("audit", "the audit log", auditVerify(o), auditList(o))
}

func auditVerify(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "recompute the audit log's hash chain", Args: noArguments,
		Long: `verify recomputes the hash chain of the audit log and prints its head. The chain shows entries that were changed, taken
out or put in. To see whether its end was cut off, keep the head somewhere else and compare.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				last, err := b.ledger.VerifyAudit(cmd.Context())
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "audit log intact, %d entries, head %x\n", last.Sequence, last.Hash)
				return nil
			})
		},
	}
}

func auditList(o *options) *cobra.Command {
	var after int64
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "print entries of the audit log", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *books) error {
				return b.ledger.View(cmd.Context(), func(tx ca.Tx) error {
					entries, err := tx.AuditAfter(after, limit)
					for _, e := range entries {
						fmt.Fprintf(cmd.OutOrStdout(), "%d %s %s %s %s %s\n", e.Sequence, clock(e.At), e.Actor, e.Action, first(e.Subject, "-"), e.Detail)
					}
					return err
				})
			})
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "number of the entry to begin after")
	c.Flags().IntVar(&limit, "limit", 1000, "how many")
	return c
}

// version is set by the linker for a release.
var version = ""

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := version
			if info, ok := debug.ReadBuildInfo(); ok && v == "" {
				v = info.Main.Version
			}
			fmt.Fprintf(cmd.OutOrStdout(), "customs-ca %s %s/%s %s\n", first(v, "(devel)"), runtime.GOOS, runtime.GOARCH, runtime.Version())
			return nil
		},
	}
}
