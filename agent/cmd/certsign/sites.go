package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/problem"
)

func (c *command) sitesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "sites", Short: "which sites may talk to the agent, and where each enrols", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.sitesList(), c.sitesAdd(), c.sitesRemove())
	return cmd
}

// siteJSON is a site as programs read it.
type siteJSON struct {
	Name   string            `json:"name"`
	Origin string            `json:"origin"`
	CA     string            `json:"ca,omitempty"`
	Roots  []string          `json:"roots,omitempty"` // subjects
	Allow  []agent.Operation `json:"allow"`
	Known  string            `json:"known"` // "approved" by the person in a window, or "added"
}

func (c *command) sitesList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "list the sites", Args: noArguments, RunE: c.do(func(context.Context, []string) error {
		all, err := agent.OpenSites(c.home).All()
		if err != nil {
			return err
		}
		list, rows := []siteJSON{}, [][]string{}
		for _, s := range all {
			j := siteJSON{Name: s.Name, Origin: s.Origin.String(), CA: s.CA, Allow: s.Allow, Known: "added"}
			if !s.Approved.IsZero() {
				j.Known = "approved"
			}
			ops := make([]string, len(s.Allow))
			for i, op := range s.Allow {
				ops[i] = string(op)
			}
			for _, r := range s.Certificates() {
				j.Roots = append(j.Roots, agent.DistinguishedName(r.RawSubject))
			}
			list, rows = append(list, j), append(rows, []string{s.Name, s.Origin.Display(), s.CA, strings.Join(ops, ",")})
		}
		switch {
		case c.json:
			return c.printJSON(map[string]any{"sites": list})
		case len(rows) == 0:
			_, err := fmt.Fprintln(c.out, c.say("No site is on the list; see certsign sites add --help.", "Lista witryn jest pusta; zobacz certsign sites add --help."))
			return err
		}
		return c.printTable([]string{"NAME", "ORIGIN", "CA", "MAY"}, rows)
	})}
}

func (c *command) sitesAdd() *cobra.Command {
	var s struct {
		name, origin, ca, root, fingerprint string
		allow                               []string
	}
	cmd := &cobra.Command{
		Use:   "add --name NAME --origin ORIGIN [--ca URL --root FILE [--fingerprint HEX]]",
		Short: "add a site, or replace the one with the same origin",
		Example: `  certsign sites add --name puesc --origin https://portal.example --ca https://ca.example --root root.pem
  certsign sites add --name archive --origin https://archive.example --allow sign`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.StringVar(&s.name, "name", "", "the site's name, as --site takes it")
	f.StringVar(&s.origin, "origin", "", "scheme, host and port of its pages")
	f.StringVar(&s.ca, "ca", "", "address of its certification authority, https")
	f.StringVar(&s.root, "root", "", "file with the authority's root certificate, PEM")
	f.StringVar(&s.fingerprint, "fingerprint", "", "SHA-256 of the root certificate, hex: checked before it is believed")
	f.StringSliceVar(&s.allow, "allow", nil, "what it may do: certificates, sign, enroll (default: all that its entry makes possible)")
	cmd.RunE = c.do(func(context.Context, []string) error {
		if s.name == "" || s.origin == "" {
			return usagef("--name and --origin are needed", "podaj --name i --origin")
		}
		if (s.ca == "") != (s.root == "") {
			return usagef("--ca and --root go together", "--ca i --root podaje się razem")
		}
		if s.fingerprint != "" && s.root == "" {
			return usagef("--fingerprint goes with --root", "--fingerprint podaje się razem z --root")
		}
		origin, err := agent.TypedOrigin(s.origin)
		if err != nil {
			return usage{
				fmt.Sprintf("--origin %q is no address of a site's pages, such as https://portal.example: %s", s.origin, problem.DetailOf(err)),
				fmt.Sprintf("--origin %q nie jest adresem stron witryny, takim jak https://portal.example", s.origin),
			}
		}
		site := agent.Site{Name: s.name, Origin: origin, CA: s.ca, Fingerprint: s.fingerprint}
		if s.root != "" {
			b, err := os.ReadFile(s.root)
			if err != nil {
				return unreadable(s.root, err)
			}
			if block, _ := pem.Decode(b); block == nil || block.Type != "CERTIFICATE" {
				return usagef("the file %s holds no root certificate (PEM)", "w pliku %s nie ma certyfikatu głównego (PEM)", s.root)
			}
			site.Roots = string(b)
		}
		for _, op := range s.allow {
			if !slices.Contains([]agent.Operation{agent.MayList, agent.MaySign, agent.MayEnroll}, agent.Operation(op)) {
				return usagef("--allow %q: a site may do certificates, sign, enroll", "--allow %q: można zezwolić na certificates, sign, enroll", op)
			}
			site.Allow = append(site.Allow, agent.Operation(op))
		}
		if s.allow == nil {
			site.Allow = []agent.Operation{agent.MayList, agent.MaySign}
			if s.ca != "" {
				site.Allow = append(site.Allow, agent.MayEnroll)
			}
		}
		sites := agent.OpenSites(c.home)
		all, err := sites.All()
		if err != nil {
			return err
		}
		done := c.say("added", "dodano")
		for _, other := range all {
			switch {
			case other.Origin == origin:
				done = c.say("replaced", "zastąpiono")
			case strings.EqualFold(other.Name, s.name):
				return usagef("the name %q is taken by %s: choose another one, or remove that site first",
					"nazwę %q ma już witryna %s: wybierz inną albo najpierw usuń tamtą witrynę", other.Name, other.Origin.Display())
			}
		}
		if err := sites.Put(site); err != nil {
			return siteRefused(err, site)
		}
		_, err = fmt.Fprintf(c.errs, "certsign: %s %s\n", done, origin.Display())
		return err
	})
	return cmd
}

// siteRefused says in the shell's words why an entry cannot be used.
func siteRefused(err error, site agent.Site) error {
	switch problem.CodeOf(err) {
	case problem.CAMismatch:
		var has string
		if block, _ := pem.Decode([]byte(site.Roots)); block != nil {
			sum := sha256.Sum256(block.Bytes)
			has = hex.EncodeToString(sum[:])
		}
		return wordedAs(err,
			fmt.Sprintf("The root certificate is not the one that --fingerprint names: it has %s, and not %s.", has, site.Fingerprint),
			"Nothing was added. Compare the fingerprint with what the authority published, and fetch its root certificate again.",
			fmt.Sprintf("To nie jest certyfikat główny wskazany w --fingerprint: jego skrót to %s, a nie %s.", has, site.Fingerprint),
			"Niczego nie dodano. Porównaj skrót z ogłoszonym przez urząd i pobierz jego certyfikat główny jeszcze raz.")
	case problem.BadRequest:
		return usage{problem.DetailOf(err), "nie można dodać takiej witryny: sprawdź --name (do 64 liter, cyfr, spacji, kropek i myślników), --ca (adres https), --root i --allow"}
	}
	return err
}

func (c *command) sitesRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME", Short: "take a site off the list: it has to ask again", Args: exactly("NAME"),
		Example: "  certsign sites remove archive",
		RunE: c.do(func(_ context.Context, args []string) error {
			if err := agent.OpenSites(c.home).Remove(args[0]); err != nil {
				return notListed(args[0], err)
			}
			_, err := fmt.Fprintf(c.errs, "certsign: %s %s\n", c.say("removed", "usunięto"), plain(args[0]))
			return err
		})}
}
