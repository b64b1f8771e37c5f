package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/problem"
)

func (c *command) enrollCommand() *cobra.Command {
	var s struct {
		site, store, place, key, label, pinFile, csr, resume, tokenFile string
	}
	cmd := &cobra.Command{
		Use:   "enroll --site NAME --store STORE | --resume CEREMONY --token-file FILE",
		Short: "make a key and its certificate request, and obtain the certificate",
		Long: `Makes a key and a certificate request for a site; with the portal's one-time token, the
second call fetches the certificate and stores it beside the key. Where a token is not
bound to one request (an unmodified step-ca), one call does both.`,
		Example: `  certsign enroll --site puesc --store keyfile --csr request.pem
  certsign enroll --resume CEREMONY --token-file token.txt
  certsign enroll --site office --store pkcs11 --place "My card" --key p256 --token-file token.txt`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&s.site, "site", "", "name of the site whose CA certifies; see certsign sites")
	f.StringVar(&s.store, "store", "", "where the key shall live: keyfile, pkcs11, csp")
	f.StringVar(&s.place, "place", "", "token in the store, by its label; see certsign tokens")
	f.StringVar(&s.key, "key", "", "kind of key: rsa2048, rsa3072, p256, p384")
	f.StringVar(&s.label, "label", "", "the key's name, for people")
	f.StringVar(&s.pinFile, "pin-file", "", "file with the PIN, or with the new key's password")
	f.StringVar(&s.csr, "csr", "", "write the certificate request there, PEM; - is standard output")
	f.StringVar(&s.resume, "resume", "", "take up the ceremony with that ID")
	f.StringVar(&s.tokenFile, "token-file", "", "file with the one-time token; - is standard input")
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		algorithms := []agent.KeyAlgorithm{"", agent.RSA2048, agent.RSA3072, agent.P256, agent.P384}
		switch {
		case !slices.Contains(algorithms, agent.KeyAlgorithm(s.key)):
			return usagef("--key is rsa2048, rsa3072, p256 or p384")
		case s.resume == "" && (s.site == "" || s.store == ""):
			return usagef("--site and --store are needed, or --resume")
		case s.resume != "" && (s.site != "" || s.store != "" || s.csr != ""):
			return usagef("--resume goes with --token-file and --pin-file only")
		}
		token := ""
		if s.tokenFile != "" {
			b, err := readBounded(s.tokenFile, 16<<10)
			if err != nil {
				return problem.Wrap(problem.DocumentUnreadable, err, "the file of --token-file cannot be read")
			}
			token = string(bytes.TrimSpace(b))
		}
		a, err := c.agent(&shell{
			store: s.store, place: s.place, key: agent.KeyAlgorithm(s.key), label: s.label,
		}, c.pins(s.pinFile))
		if err != nil {
			return err
		}
		if s.resume != "" {
			return c.finishEnrolment(ctx, a, s.resume, token)
		}
		if err := a.ResumeCeremonies(ctx); err != nil { // what an interrupted call left
			return err
		}
		site, err := a.Sites().Named(s.site)
		if err != nil {
			return err
		}
		cer, err := a.EnrollLocal(ctx, site, agent.Wish{Store: s.store, Algorithm: agent.KeyAlgorithm(s.key), Label: s.label})
		if err != nil {
			return err
		}
		csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: cer.CSR})
		if s.csr != "" {
			if err := c.writeFile(s.csr, 0o644, csr); err != nil {
				return err
			}
		}
		if token != "" {
			return c.finishEnrolment(ctx, a, cer.ID, token)
		}
		if c.json {
			return c.printJSON(map[string]string{"ceremony": cer.ID, "csr": string(csr), "csrSHA256": cer.CSRSHA256})
		}
		if s.csr == "" {
			if _, err := c.out.Write(csr); err != nil {
				return err
			}
		}
		fmt.Fprintf(c.errs, "certsign: %s %s\n", c.say("ceremony", "ceremonia"), cer.ID)
		return nil
	})
	return cmd
}

func (c *command) finishEnrolment(ctx context.Context, a *agent.Agent, id, token string) error {
	cer, err := a.FinishLocal(ctx, id, token)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(cer.Chain[0])
	if err != nil {
		return err
	}
	i := agent.Identity{Key: agent.Key{Store: cer.Store, ID: cer.Key, Chain: cer.Chain, Label: cer.Label}, Certificate: leaf}
	if c.json {
		return c.printJSON(map[string]any{"ceremony": cer.ID, "certificate": c.identityJSON(i)})
	}
	_, err = fmt.Fprintf(c.out, "%s  %s  %s %s\n", agent.SerialHex(leaf), plain(leaf.Subject.String()),
		c.say("until", "do"), leaf.NotAfter.Local().Format("2006-01-02"))
	return err
}
