package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/internal/problem"
)

// identityJSON is a certificate as programs read it.
type identityJSON struct {
	Serial      string    `json:"serial"`
	Fingerprint string    `json:"fingerprint"` // SHA-256, hex
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Store       string    `json:"store"`
	Key         string    `json:"key"`
	Label       string    `json:"label"`
	Where       string    `json:"where"`
	Hardware    bool      `json:"hardware"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	DaysLeft    int       `json:"daysLeft"`
}

func (c *command) identityJSON(i agent.Identity) identityJSON {
	return identityJSON{
		Serial: agent.SerialHex(i.Certificate), Fingerprint: fingerprint(i), Subject: agent.DistinguishedName(i.Certificate.RawSubject),
		Issuer: agent.DistinguishedName(i.Certificate.RawIssuer), Store: i.Key.Store, Key: i.Key.ID, Label: i.Key.Label, Where: i.Key.Where,
		Hardware: i.Key.Hardware, NotBefore: i.Certificate.NotBefore.UTC(), NotAfter: i.Certificate.NotAfter.UTC(),
		DaysLeft: int(math.Floor(time.Until(i.Certificate.NotAfter).Hours() / 24)),
	}
}

// keyJSON is a key without a certificate.
type keyJSON struct {
	Store     string             `json:"store"`
	Key       string             `json:"key"`
	Label     string             `json:"label"`
	Where     string             `json:"where"`
	Algorithm agent.KeyAlgorithm `json:"algorithm,omitempty"`
}

// ceremonyJSON is an enrolment that is not finished.
type ceremonyJSON struct {
	ID        string    `json:"id"`
	Site      string    `json:"site"`
	Store     string    `json:"store"`
	State     string    `json:"state"`
	CSRSHA256 string    `json:"csrSHA256"`
	Created   time.Time `json:"created"`
}

func (c *command) listCommand() *cobra.Command {
	var store string
	cmd := &cobra.Command{Use: "list", Short: "certificates, where their keys live, and how many days are left", Args: noArguments,
		Example: "  certsign list\n  certsign list --store pkcs11 --json"}
	cmd.Flags().StringVar(&store, "store", "", "only that store")
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		if err := checkStore(store); err != nil {
			return err
		}
		a, err := c.agent(nil, nil)
		if err != nil {
			return err
		}
		certificates, keys, ceremonies := []identityJSON{}, []keyJSON{}, []ceremonyJSON{}
		var rows, bare, waiting [][]string
		for _, i := range a.Identities(ctx) {
			if store != "" && i.Key.Store != store {
				continue
			}
			j := c.identityJSON(i)
			certificates = append(certificates, j)
			name := cmp.Or(i.Certificate.Subject.CommonName, j.Subject)
			rows = append(rows, []string{begin(j.Serial), name, j.NotAfter.Local().Format(time.DateOnly), strconv.Itoa(j.DaysLeft), j.Store, j.Where})
		}
		for _, k := range a.Keys(ctx) {
			if len(k.Chain) == 0 && (store == "" || k.Store == store) {
				keys = append(keys, keyJSON{Store: k.Store, Key: k.ID, Label: k.Label, Where: k.Where, Algorithm: k.Algorithm})
				bare = append(bare, []string{k.Store + "/" + k.ID, k.Label})
			}
		}
		open, err := a.Ceremonies()
		if err != nil {
			return err
		}
		for _, o := range open {
			if store != "" && o.Store != store {
				continue
			}
			waiting = append(waiting, []string{o.ID, o.Site, c.progress(o.State)})
			ceremonies = append(ceremonies, ceremonyJSON{ID: o.ID, Site: o.Site, Store: o.Store, State: o.State, CSRSHA256: o.CSRSHA256, Created: o.Created})
		}
		if c.json {
			return c.printJSON(map[string]any{"certificates": certificates, "keys": keys, "ceremonies": ceremonies})
		}
		if len(rows)+len(bare)+len(waiting) == 0 {
			_, err := fmt.Fprintln(c.out, c.say("There are no keys or certificates here; see certsign enroll --help.", "Nie ma tu kluczy ani certyfikatów; zobacz certsign enroll --help."))
			return err
		}
		for _, part := range []struct {
			title string
			head  []string
			rows  [][]string
		}{
			{c.say("certificates", "certyfikaty"), []string{"SERIAL", "SUBJECT", "UNTIL", "DAYS", "STORE", "WHERE"}, rows},
			{c.say("keys without a certificate", "klucze bez certyfikatu"), []string{"KEY", "LABEL"}, bare},
			{c.say("unfinished enrolments", "niedokończone generowanie certyfikatów"), []string{"CEREMONY", "SITE", "STATE"}, waiting},
		} {
			if len(part.rows) == 0 {
				continue
			}
			fmt.Fprintf(c.out, "%s:\n", part.title)
			if err := c.printTable(part.head, part.rows); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// begin is as much of a serial number as --cert needs; --json has all of it.
func begin(serial string) string { return serial[:min(len(serial), 16)] }

// progress says how far an enrolment has come.
func (c *command) progress(state string) string {
	switch state {
	case "asked":
		return c.say("waits for a one-time token", "czeka na jednorazowy token")
	case "given":
		return c.say("the CA has not answered yet", "urząd jeszcze nie odpowiedział")
	case "issued":
		return c.say("the certificate waits to be stored beside its key", "certyfikat czeka na zapisanie przy kluczu")
	}
	return c.say("the key is being made", "klucz jest tworzony")
}

func (c *command) tokensCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{Use: "tokens", Short: "places where a key can be made: cards, tokens, the key file folder", Args: noArguments,
		Example: "  certsign tokens\n  certsign tokens --watch"}
	cmd.Flags().BoolVar(&watch, "watch", false, "again whenever a card is put in or taken out, until the call is interrupted")
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		a, err := c.agent(nil, nil)
		if err != nil {
			return err
		}
		if !watch {
			return c.printPlaces(a.Places(ctx))
		}
		changes := a.WatchPlaces(ctx) // before the first look: nothing is missed
		for {
			if err := c.printPlaces(a.Places(ctx)); err != nil {
				return err
			}
			if _, more := <-changes; !more {
				return nil
			}
		}
	})
	return cmd
}

func (c *command) printPlaces(offers []agent.StoreOffer) error {
	type placeJSON struct {
		Store string `json:"store"`
		agent.Place
	}
	list, rows := []placeJSON{}, [][]string{}
	for _, o := range offers {
		if o.Unavailable != "" {
			rows = append(rows, []string{o.Store, "", "", "", c.describe(o.Unavailable)})
		}
		for _, p := range o.Places {
			if p.Keys == nil {
				p.Keys = []agent.KeyAlgorithm{}
			}
			list = append(list, placeJSON{o.Store, p})
			rows = append(rows, []string{o.Store, p.Label, p.Detail, c.state(p), c.trouble(p)})
		}
	}
	if c.json {
		return c.printJSON(map[string]any{"places": list})
	}
	return c.printTable([]string{"STORE", "PLACE", "DETAIL", "PIN", "PROBLEM"}, rows)
}

// state says how it stands with a place's PIN.
func (c *command) state(p agent.Place) string {
	words := map[agent.PINState]string{
		agent.PINLow: "mało prób", agent.PINFinal: "ostatnia próba", agent.PINLocked: "zablokowany", agent.PINUnset: "nieustawiony",
	}
	return c.say(string(p.State), cmp.Or(words[p.State], string(p.State)))
}

// trouble says what is wrong at a place, and what to do.
func (c *command) trouble(p agent.Place) string {
	switch {
	case p.State == agent.PINLow:
		return c.say("a wrong PIN was given last; fewer tries are left, and the right one restores them",
			"ostatnio podano błędny PIN; zostało mniej prób, a poprawny PIN przywróci pozostałe")
	case p.State == agent.PINFinal:
		return c.say("one try is left; a wrong PIN locks the token. If you are not sure, use the PUK: certsign pin unblock",
			"została jedna próba; błędny PIN zablokuje token. W razie wątpliwości użyj kodu PUK: certsign pin unblock")
	case c.misnamed(p):
		return fmt.Sprintf(c.say("The driver %s is not there. Correct pkcs11-modules in config.yaml.",
			"Nie ma sterownika %s. Popraw pkcs11-modules w config.yaml."), p.Detail)
	case p.Problem != "":
		text := problem.Describe(problem.Code(p.Problem), c.language())
		return text.Message + " " + text.Remedy
	}
	return ""
}

// misnamed says whether a place stands for a driver that the person named and that is not there.
func (c *command) misnamed(p agent.Place) bool {
	_, err := os.Stat(p.Detail)
	return p.Problem == string(problem.DriverFailed) && errors.Is(err, fs.ErrNotExist) &&
		slices.ContainsFunc(c.config.PKCS11Modules, func(m home.Module) bool { return m.Path == p.Detail })
}

func (c *command) describe(code string) string {
	return problem.Describe(problem.Code(code), c.language()).Message
}

func (c *command) exportCommand() *cobra.Command {
	var out string
	var chain, der, force bool
	cmd := &cobra.Command{Use: "export-cert ID", Short: "write a certificate to a file; never its key", Args: exactly("ID"),
		Example: "  certsign export-cert 5f3a -o my.pem"}
	cmd.Flags().StringVarP(&out, "output", "o", "-", "file; - is standard output")
	cmd.Flags().BoolVar(&chain, "chain", false, "with the certificates above it")
	cmd.Flags().BoolVar(&der, "der", false, "DER instead of PEM")
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if chain && der {
			return usagef("--chain is for PEM", "--chain jest dla PEM")
		}
		if err := mayWrite(out, force); err != nil {
			return err
		}
		a, err := c.agent(nil, nil)
		if err != nil {
			return err
		}
		i, err := findIdentity(ctx, a, args[0])
		if err != nil {
			return err
		}
		if der {
			return c.writeFile(out, force, i.Certificate.Raw)
		}
		var b []byte
		for n, raw := range i.Key.Chain {
			if n == 0 || chain {
				b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})...)
			}
		}
		return c.writeFile(out, force, b)
	})
	return cmd
}

func (c *command) deleteCommand() *cobra.Command {
	var pinFile string
	var yes bool
	cmd := &cobra.Command{Use: "delete ID --yes", Short: "delete a key and its certificate, for good", Args: exactly("ID"),
		Long: `Deletes a key and its certificate. Nobody can bring the key back; a certificate that is
still valid should be revoked in the portal. ID is as in certsign list; a key without a
certificate is named STORE/KEY.`,
		Example: "  certsign delete 5f3a --yes"}
	cmd.Flags().StringVar(&pinFile, "pin-file", "", "file with the PIN")
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, delete it")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if !yes {
			return usagef("a deleted key is gone for good: add --yes", "usuniętego klucza nie da się odzyskać: dodaj --yes")
		}
		a, err := c.agent(nil, c.pins(pinFile))
		if err != nil {
			return err
		}
		k, err := findKey(ctx, a, args[0])
		if err != nil {
			return err
		}
		if err := a.DeleteLocal(ctx, k); err != nil {
			return err
		}
		what := c.say("the key", "klucz") + " " + k.Store + "/" + k.ID
		if len(k.Chain) > 0 {
			if leaf, err := x509.ParseCertificate(k.Chain[0]); err == nil {
				what += c.say(" and its certificate ", " i jego certyfikat ") + agent.SerialHex(leaf) + ", " + agent.DistinguishedName(leaf.RawSubject)
			}
		}
		if c.json {
			return c.printJSON(map[string]string{"store": k.Store, "key": k.ID})
		}
		_, err = fmt.Fprintf(c.out, "%s: %s\n", c.say("deleted", "usunięto"), plain(what))
		return err
	})
	return cmd
}

// broken says that the journal is not as it was written. What stands before the broken place holds.
func broken(err error, good int64) error {
	return wordedAs(err,
		fmt.Sprintf("The journal was changed or is damaged: %s. %d lines before it are as they were written.", problem.DetailOf(err), good),
		"Keep a copy of "+agent.JournalName+" and tell your administrator.",
		fmt.Sprintf("Dziennik zmieniono lub uszkodzono: liczba nienaruszonych wierszy przed tym miejscem to %d (%s).", good, problem.DetailOf(err)),
		"Zachowaj kopię pliku "+agent.JournalName+" i powiadom administratora.")
}

func (c *command) journalCommand() *cobra.Command {
	var verify bool
	cmd := &cobra.Command{Use: "journal", Short: "what was asked, approved and signed on this computer", Args: noArguments,
		Example: "  certsign journal\n  certsign journal --verify"}
	cmd.Flags().BoolVar(&verify, "verify", false, "only check that no line was changed or removed")
	cmd.RunE = c.do(func(context.Context, []string) error {
		var entries []agent.Entry
		rep, err := agent.VerifyJournal(c.home, func(e agent.Entry) {
			if !verify {
				entries = append(entries, e)
			}
		})
		if problem.CodeOf(err) == problem.IntegrityFailed {
			return broken(err, rep.Lines)
		}
		if err != nil {
			return err
		}
		if verify {
			if c.json {
				return c.printJSON(rep)
			}
			_, err := fmt.Fprintf(c.out, "%d %s, %s\n", rep.Lines, c.say("lines, unbroken; last", "wierszy, bez naruszeń; ostatni"), rep.Head)
			if rep.Torn > 0 {
				fmt.Fprintf(c.errs, "certsign: %d %s\n", rep.Torn, c.say("lines were cut short by a crash", "wierszy urwanych przez awarię"))
			}
			return err
		}
		if c.json {
			if entries == nil {
				entries = []agent.Entry{}
			}
			return c.printJSON(map[string]any{"entries": entries})
		}
		if len(entries) == 0 {
			_, err := fmt.Fprintln(c.out, c.say("The journal is empty.", "Dziennik jest pusty."))
			return err
		}
		var rows [][]string
		for _, e := range entries {
			what := e.Method
			for _, d := range e.Documents {
				what += " " + strconv.Quote(d.Name)
			}
			rows = append(rows, []string{e.Time.Local().Format("2006-01-02 15:04:05 -07:00"), string(e.Event), e.Origin, what, e.Certificate, e.Code})
		}
		return c.printTable([]string{"TIME", "EVENT", "ORIGIN", "WHAT", "CERTIFICATE", "PROBLEM"}, rows)
	})
	return cmd
}
