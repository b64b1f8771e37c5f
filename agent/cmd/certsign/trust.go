package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/agent/keystore/csp"
	"certsign/internal/problem"
)

func (c *command) trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trust", Short: "the certification authority in the certificate stores of this computer (Windows, administrators)",
		Long: `Makes the customs certification authority known to Windows, so that other programs can check
signatures: its root in LocalMachine\Root, its issuers in LocalMachine\CA. Windows trusts it for
documents and for the state of certificates, never for servers or programs. A test authority is
refused. An installer calls add, its uninstaller remove. CertSign itself needs none of this.`,
		Args: noArguments, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.trustAdd(), c.trustRemove(), c.trustList())
	return cmd
}

// trusting wraps such a command's body. It opens no folder: an installer is nobody in particular. Where there are no such
// stores that is said first.
func (c *command) trusting(body func() error) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error {
		c.begun = true
		_, err := csp.Trusted()
		if err == nil {
			err = body()
		}
		if problem.CodeOf(err) == problem.Unsupported {
			return wordedAs(err, "Only Windows has certificate stores in which an administrator makes an authority known.",
				"CertSign does not need them: what it trusts is named by certsign sites add and certsign verify --trust.",
				"Tylko Windows ma magazyny certyfikatów, do których administrator dodaje urzędy.",
				"CertSign ich nie potrzebuje: zaufane urzędy wskazuje się poleceniami certsign sites add i certsign verify --trust.")
		}
		return err
	}
}

func (c *command) trustAdd() *cobra.Command {
	var root string
	var issuers []string
	cmd := &cobra.Command{
		Use:     "add --root FILE [--issuer FILE…]",
		Short:   "make an authority known to this computer, for documents only",
		Example: "  certsign trust add --root root.crt --issuer issuing.crt",
		Args:    noArguments,
	}
	f := cmd.Flags()
	f.StringVar(&root, "root", "", "file with the authority's root certificate, PEM or DER")
	f.StringArrayVar(&issuers, "issuer", nil, "file with the certificate of an issuer right below the root; can be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if root == "" {
			return usagef("--root is needed", "podaj --root")
		}
		return c.trusting(func() error {
			files := make([][]byte, 0, 1+len(issuers))
			for _, path := range append([]string{root}, issuers...) {
				b, err := readBounded(path, maxTrust)
				if e := (*fs.PathError)(nil); errors.As(err, &e) {
					return unreadable(path, err)
				} else if err != nil {
					return err
				}
				files = append(files, b)
			}
			authority, err := csp.ReadAuthority(files[0], files[1:], time.Now())
			if err != nil {
				return refused(err)
			}
			placed, err := csp.Trust(authority)
			return c.printPlaced(placed, refused(err))
		})(cmd, args)
	}
	return cmd
}

func (c *command) trustRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove", Short: "take away what certsign trust add put there, and nothing else", Example: "  certsign trust remove",
		Args: noArguments, RunE: c.trusting(func() error {
			gone, err := csp.Distrust()
			return c.printPlaced(gone, refused(err))
		}),
	}
}

func (c *command) trustList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list what certsign trust add put there", Example: "  certsign trust list",
		Args: noArguments, RunE: c.trusting(func() error {
			placed, err := csp.Trusted()
			switch {
			case err != nil:
				return err
			case c.json:
				return c.printPlaced(placed, nil)
			case len(placed) == 0:
				_, err := fmt.Fprintln(c.out, c.say("CertSign has put no authority into the certificate stores of this computer.",
					"CertSign nie dodał żadnego urzędu do magazynów certyfikatów tego komputera."))
				return err
			}
			rows := make([][]string, len(placed))
			for i, p := range placed {
				rows[i] = []string{p.Store, agent.DistinguishedName(p.RawSubject), p.NotAfter.Format(time.DateOnly), c.purposesOf(p), sumOf(p.Certificate)}
			}
			return c.printTable([]string{"STORE", "SUBJECT", "UNTIL", c.say("FOR", "PRZEZNACZENIE"), "SHA-256"}, rows)
		}),
	}
}

// placedJSON is a certificate in a store of the computer as programs read it.
type placedJSON struct {
	Store    string    `json:"store"`
	State    csp.State `json:"state"`
	Subject  string    `json:"subject"`
	SHA256   string    `json:"sha256"`
	NotAfter time.Time `json:"notAfter"`
	Limited  bool      `json:"limited"` // to the purposes of customs certificates
	Purposes []string  `json:"purposes"`
}

// printPlaced says what was done, also when something failed.
func (c *command) printPlaced(placed []csp.Placed, err error) error {
	if c.json {
		list := []placedJSON{}
		for _, p := range placed {
			j := placedJSON{p.Store, p.State, agent.DistinguishedName(p.RawSubject), sumOf(p.Certificate), p.NotAfter.UTC(), p.Limited(), []string{}}
			for _, id := range p.Purposes {
				j.Purposes = append(j.Purposes, id.String())
			}
			list = append(list, j)
		}
		return errors.Join(err, c.printJSON(map[string]any{"certificates": list}))
	}
	for _, p := range placed {
		line := fmt.Sprintf("%s: %s, SHA-256 %s", c.outcomeOf(p), agent.DistinguishedName(p.RawSubject), sumOf(p.Certificate))
		if p.State != csp.Removed {
			line += "; " + c.say("for: ", "przeznaczenie: ") + c.purposesOf(p)
		}
		fmt.Fprintf(c.errs, "certsign: %s\n", plain(line))
	}
	if len(placed) == 0 && err == nil {
		fmt.Fprintln(c.errs, c.say("certsign: nothing to remove", "certsign: nie ma czego usuwać"))
	}
	return err
}

// outcomeOf says what came of a certificate.
func (c *command) outcomeOf(p csp.Placed) string {
	text := map[csp.State][2]string{
		csp.Added:    {"added to %s", "dodano do %s"},
		csp.Kept:     {"already in %s", "jest już w %s"},
		csp.Restored: {"limited again in %s", "przywrócono ograniczenie w %s"},
		csp.Foreign:  {"in %s already, not by CertSign, and left alone", "jest już w %s, dodany nie przez CertSign; pozostawiono bez zmian"},
		csp.Removed:  {"removed from %s", "usunięto z %s"},
	}[p.State]
	return fmt.Sprintf(c.say(text[0], text[1]), `LocalMachine\`+p.Store)
}

// purposesOf says for what Windows trusts a certificate.
func (c *command) purposesOf(p csp.Placed) string {
	if p.Purposes == nil {
		return c.say("everything, servers too", "wszystko, także serwery")
	}
	names := map[string]string{
		"1.3.6.1.5.5.7.3.36": c.say("document signing", "podpisywanie dokumentów"),
		"1.3.6.1.5.5.7.3.9":  c.say("OCSP responses", "odpowiedzi OCSP"),
	}
	all := make([]string, len(p.Purposes))
	for i, id := range p.Purposes {
		all[i] = nameOf(id, names)
	}
	return strings.Join(all, ", ")
}

func nameOf(id asn1.ObjectIdentifier, names map[string]string) string {
	if name, ok := names[id.String()]; ok {
		return name
	}
	return id.String()
}

func sumOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// refusals are the reasons in words: message and remedy, in English and in Polish.
var refusals = map[csp.Refusal][4]string{
	csp.NotAdministrator: {
		"Only an administrator changes what this computer trusts.", "Open a command prompt with “Run as administrator” and try again.",
		"Tylko administrator może zmienić, komu ufa ten komputer.", "Uruchom wiersz polecenia jako administrator i spróbuj ponownie."},
	csp.NotReadable: {
		"The file does not hold one certificate.", "Name a file with exactly one certificate, PEM or DER.",
		"Plik nie zawiera jednego certyfikatu.", "Podaj plik z dokładnie jednym certyfikatem, PEM albo DER."},
	csp.OfATest: {
		"This is a test authority: no computer is made to trust it.", "Nothing was added. Fetch the certificates of the real authority.",
		"To urząd testowy: żaden komputer nie powinien mu ufać.", "Niczego nie dodano. Pobierz certyfikaty właściwego urzędu."},
	csp.NoAuthority: {
		"This is no certificate of a certification authority.", "Nothing was added. Name the authority's root with --root and its issuers with --issuer.",
		"To nie jest certyfikat urzędu certyfikacji.", "Niczego nie dodano. Podaj certyfikat główny urzędu w --root, a pośrednie w --issuer."},
	csp.NotValidNow: {
		"The certificate is not valid at this time.", "Nothing was added. Check the computer's date; if it is right, fetch the authority's current certificates.",
		"Certyfikat nie jest teraz ważny.", "Niczego nie dodano. Sprawdź datę na komputerze; jeśli jest poprawna, pobierz aktualne certyfikaty urzędu."},
	csp.Weak: {
		"The authority's key is too weak.", "Nothing was added. An RSA key needs 2048 bits at least.",
		"Klucz urzędu jest zbyt słaby.", "Niczego nie dodano. Klucz RSA musi mieć co najmniej 2048 bitów."},
	csp.NoRoot: {
		"The certificate in --root is no root: it is not signed with its own key.", "Nothing was added. Name the root with --root and certificates below it with --issuer.",
		"Certyfikat w --root nie jest główny: nie podpisano go jego własnym kluczem.", "Niczego nie dodano. Podaj certyfikat główny w --root, a certyfikaty pośrednie w --issuer."},
	csp.NotOfTheRoot: {
		"The certificate in --issuer was not issued by that root.", "Nothing was added. Fetch both certificates from the same authority again.",
		"Certyfikatu w --issuer nie wydał ten urząd główny.", "Niczego nie dodano. Pobierz oba certyfikaty jeszcze raz z tego samego urzędu."},
}

// refused words an error that has such a reason.
func refused(err error) error {
	var reason csp.Refusal
	if !errors.As(err, &reason) {
		return err
	}
	t := refusals[reason]
	whose := problem.DetailOf(err)
	if whose != "" {
		whose = " (" + whose + ")"
	}
	return wordedAs(err, t[0]+whose, t[1], t[2]+whose, t[3])
}
