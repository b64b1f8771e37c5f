package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/problem"
)

func (c *command) sitesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "sites", Short: "which sites may talk to the agent, and where each enrols", Args: cobra.NoArgs,
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
	return &cobra.Command{Use: "list", Short: "list the sites", Args: cobra.NoArgs, RunE: c.do(func(context.Context, []string) error {
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
				j.Roots = append(j.Roots, r.Subject.String())
			}
			list, rows = append(list, j), append(rows, []string{s.Name, s.Origin.Display(), s.CA, strings.Join(ops, ",")})
		}
		if c.json {
			return c.printJSON(map[string]any{"sites": list})
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
		Args: cobra.NoArgs,
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
			return usagef("--name and --origin are needed")
		}
		if (s.ca == "") != (s.root == "") {
			return usagef("--ca and --root go together")
		}
		origin, err := agent.TypedOrigin(s.origin)
		if err != nil {
			return err
		}
		site := agent.Site{Name: s.name, Origin: origin, CA: s.ca, Fingerprint: s.fingerprint}
		if s.root != "" {
			b, err := os.ReadFile(s.root)
			if err != nil {
				return problem.Wrap(problem.DocumentUnreadable, err, "%s cannot be read", s.root)
			}
			site.Roots = string(b)
		}
		for _, op := range s.allow {
			site.Allow = append(site.Allow, agent.Operation(op))
		}
		if s.allow == nil {
			site.Allow = []agent.Operation{agent.MayList, agent.MaySign}
			if s.ca != "" {
				site.Allow = append(site.Allow, agent.MayEnroll)
			}
		}
		if err := agent.OpenSites(c.home).Put(site); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.errs, "certsign: %s %s\n", c.say("added", "dodano"), origin.Display())
		return err
	})
	return cmd
}

func (c *command) sitesRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME", Short: "take a site off the list: it has to ask again", Args: cobra.ExactArgs(1),
		Example: "  certsign sites remove archive",
		RunE: c.do(func(_ context.Context, args []string) error {
			return agent.OpenSites(c.home).Remove(args[0])
		})}
}
