package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/agent/enroll"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

func (c *command) enrollCommand() *cobra.Command {
	var s struct {
		site, store, place, key, label, pinFile, csr, resume, tokenFile string
		force                                                           bool
	}
	cmd := &cobra.Command{
		Use:   "enroll --site NAME --store STORE | --resume CEREMONY [--token-file FILE]",
		Short: "make a key and its certificate request, and obtain the certificate",
		Long: `Makes a key and a certificate request for a site; with a one-time token, the second call
fetches the certificate and stores it beside the key. CEREMONY is the number that the first
call prints, and certsign list shows. Where a token is not bound to one request (an
unmodified step-ca), one call does both.

The token is the CA's permission for one certificate. In the browser the portal's page
makes the request, gets the token and hands it over by itself: nobody has to copy it. In
the shell it comes from whoever runs the CA; with an unmodified step-ca it is what
"step ca token NAME" prints.

The key's PIN or password is needed once for the key and once to store the certificate
beside it. A call that ends in between loses nothing: run it again with --resume and
without a token.`,
		Example: `  certsign enroll --site puesc --store keyfile --pin-file pin.txt --csr request.pem
  certsign enroll --resume CEREMONY --token-file token.txt --pin-file pin.txt
  certsign enroll --site office --store pkcs11 --place "My card" --key p256 --token-file token.txt`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.StringVar(&s.site, "site", "", "name of the site whose CA certifies; see certsign sites")
	f.StringVar(&s.store, "store", "", "where the key shall live: keyfile, pkcs11, csp")
	f.StringVar(&s.place, "place", "", "token in the store, by its label; see certsign tokens")
	f.StringVar(&s.key, "key", "", "kind of key: rsa2048, rsa3072, p256, p384")
	f.StringVar(&s.label, "label", "", "the key's name, for people")
	f.StringVar(&s.pinFile, "pin-file", "", "file with the PIN, or with the new key's password")
	f.StringVar(&s.csr, "csr", "", "write the certificate request there, PEM; - is standard output")
	f.BoolVar(&s.force, "force", false, "replace the file of --csr")
	f.StringVar(&s.resume, "resume", "", "take up the ceremony with that number")
	f.StringVar(&s.tokenFile, "token-file", "", "file with the one-time token; - is standard input")
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		algorithms := []agent.KeyAlgorithm{"", agent.RSA2048, agent.RSA3072, agent.P256, agent.P384}
		switch {
		case !slices.Contains(algorithms, agent.KeyAlgorithm(s.key)):
			return usagef("--key is rsa2048, rsa3072, p256 or p384", "--key to rsa2048, rsa3072, p256 albo p384")
		case s.resume == "" && (s.site == "" || s.store == ""):
			return usagef("--site and --store are needed, or --resume", "podaj --site i --store albo --resume")
		case s.resume != "" && (s.site != "" || s.store != "" || s.csr != ""):
			return usagef("--resume goes with --token-file and --pin-file only", "z --resume można podać tylko --token-file i --pin-file")
		case s.tokenFile == "-" && s.pinFile == "-":
			return usagef("only one of the files can be standard input", "tylko jeden z plików może być standardowym wejściem")
		}
		if err := checkStore(s.store); err != nil {
			return err
		}
		if err := mayWrite(s.csr, s.force, s.tokenFile, s.pinFile); err != nil {
			return err
		}
		token, err := readToken(s.tokenFile)
		if err != nil {
			return err
		}
		a, err := c.agent(&shell{
			store: s.store, place: s.place, key: agent.KeyAlgorithm(s.key), label: s.label,
		}, c.pins(s.pinFile))
		if err != nil {
			return err
		}
		if s.resume != "" {
			return c.finishEnrolment(ctx, a, s.resume, token, s.pinFile)
		}
		if err := a.ResumeCeremonies(ctx); err != nil { // what an interrupted call left
			return err
		}
		site, err := a.Sites().Named(s.site)
		if err != nil {
			return notListed(s.site, err)
		}
		cer, err := a.EnrollLocal(ctx, site, agent.Wish{Store: s.store, Algorithm: agent.KeyAlgorithm(s.key), Label: s.label})
		if err != nil {
			return err
		}
		csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: cer.CSR})
		if s.csr != "" {
			if err := c.writeFile(s.csr, s.force, csr); err != nil {
				return err
			}
		}
		if token != "" {
			return c.finishEnrolment(ctx, a, cer.ID, token, s.pinFile)
		}
		if c.json {
			return c.printJSON(map[string]string{"ceremony": cer.ID, "csr": string(csr), "csrSHA256": cer.CSRSHA256})
		}
		if s.csr == "" {
			if _, err := c.out.Write(csr); err != nil {
				return err
			}
		}
		c.printNext(cer.ID, s.csr)
		return nil
	})
	return cmd
}

// readToken reads a one-time token; "" for no file. Nothing else is ever sent to a CA as one.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := readBounded(path, 64<<10)
	if err != nil && problem.CodeOf(err) != problem.TooLarge {
		return "", unreadable(path, err)
	}
	token := string(bytes.TrimSpace(b))
	if err == nil {
		err = enroll.CheckToken(token)
	}
	if err != nil {
		return "", wordedAs(problem.Wrap(problem.TokenInvalid, err, "the file holds no one-time token"),
			fmt.Sprintf("The file %s holds no one-time token.", path), "Nothing was sent. Name the file with the token; see certsign enroll --help.",
			fmt.Sprintf("Plik %s nie zawiera jednorazowego tokena.", path), "Niczego nie wysłano. Podaj plik z tokenem; zobacz certsign enroll --help.")
	}
	return token, nil
}

// printNext says what the first leg left, and what to do next.
func (c *command) printNext(id, csr string) {
	if csr == "" || csr == "-" {
		csr = c.say("(standard output)", "(standardowe wyjście)")
	}
	fmt.Fprintf(c.errs, "certsign: %s %s\n", c.say("ceremony", "ceremonia"), id)
	fmt.Fprintf(c.errs, "certsign: %s: %s\n", c.say("certificate request", "wniosek o certyfikat"), plain(csr))
	fmt.Fprintf(c.errs, "certsign: %s: certsign enroll --resume %s --token-file %s\n", c.say("next, with the CA's one-time token", "następny krok, z jednorazowym tokenem urzędu"), id,
		c.say("FILE", "PLIK"))
}

func (c *command) finishEnrolment(ctx context.Context, a *agent.Agent, id, token, pinFile string) error {
	if err := c.pinAtHand(a, id, pinFile); err != nil {
		return err
	}
	cer, err := a.FinishLocal(ctx, id, token)
	if err != nil {
		return c.halfDone(a, id, token, err)
	}
	leaf, err := x509.ParseCertificate(cer.Chain[0])
	if err != nil {
		return err
	}
	i := agent.Identity{Key: agent.Key{Store: cer.Store, ID: cer.Key, Chain: cer.Chain, Label: cer.Label}, Certificate: leaf}
	if c.json {
		return c.printJSON(map[string]any{"ceremony": cer.ID, "certificate": c.identityJSON(i)})
	}
	_, err = fmt.Fprintf(c.out, "%s  %s  %s %s\n", agent.SerialHex(leaf), plain(agent.DistinguishedName(leaf.RawSubject)),
		c.say("until", "do"), leaf.NotAfter.Local().Format("2006-01-02"))
	if advice := wording.Parse(c.language()).BackupAdvice(&agent.CertificateView{Store: cer.Store, Serial: agent.SerialHex(leaf)}); advice != "" {
		fmt.Fprintf(c.errs, "certsign: %s\n", advice)
	}
	return err
}

// ceremony finds one that is not finished.
func ceremony(a *agent.Agent, id string) (agent.Ceremony, bool) {
	open, err := a.Ceremonies()
	n := slices.IndexFunc(open, func(c agent.Ceremony) bool { return c.ID == id })
	if err != nil || n < 0 {
		return agent.Ceremony{}, false
	}
	return open[n], true
}

// pinAtHand looks, before a token is spent, for the way to the password that a key file will need. A token may have a PIN
// pad of its own, and the system's store asks by itself.
func (c *command) pinAtHand(a *agent.Agent, id, pinFile string) error {
	if pinFile != "" && pinFile != "-" {
		if _, err := os.Stat(pinFile); err != nil {
			return unreadable(pinFile, err)
		}
		return nil
	}
	if cer, open := ceremony(a, id); pinFile == "-" || !open || cer.Store != keyfile.Name || (shellPINs{c}).available() {
		return nil
	}
	return wordedAs(problem.New(problem.PromptUnavailable, "there is no way to ask for the password"),
		"The key's password is needed to store the certificate, and there is neither a terminal nor a dialog to ask for it.",
		"Nothing was sent and the token was not used. Add --pin-file FILE.",
		"Do zapisania certyfikatu potrzebne jest hasło klucza, a nie ma terminala ani okna, w którym można o nie zapytać.",
		"Niczego nie wysłano, a token nie został użyty. Dodaj --pin-file PLIK.")
}

// halfDone says of a failure what the person cannot see: that the certificate is here already, or that a token is missing.
func (c *command) halfDone(a *agent.Agent, id, token string, err error) error {
	cer, _ := ceremony(a, id)
	switch {
	case len(cer.Chain) > 0:
		e := c.explain(err)
		again := "certsign enroll --resume " + id + " [--pin-file FILE]"
		return wordedAs(err,
			"The certificate was issued and is kept, but not yet stored beside its key: "+e.Message, "No token is needed any more. Run again: "+again,
			"Certyfikat został wydany i zachowany, ale nie zapisano go jeszcze przy kluczu: "+e.Message, "Token nie jest już potrzebny. Uruchom ponownie: "+again)
	case token == "" && problem.CodeOf(err) == problem.TokenInvalid:
		return wordedAs(err, "The ceremony has no one-time token that could be used.", "Add --token-file FILE; see certsign enroll --help.",
			"Ceremonia nie ma jednorazowego tokena, którego można by użyć.", "Dodaj --token-file PLIK; zobacz certsign enroll --help.")
	case slices.Contains([]problem.Code{problem.TokenInvalid, problem.TokenExpired, problem.TokenSpent, problem.TokenForOtherCSR}, problem.CodeOf(err)):
		message, again := c.explain(err).Message, "certsign enroll --resume "+id+" --token-file "
		return wordedAs(err, message, "Have a new token made for this certificate request and run "+again+"FILE again.",
			message, "Uzyskaj nowy token dla tego wniosku i ponownie uruchom "+again+"PLIK.")
	}
	return err
}
