package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/problem"
)

// checkJSON is one check of a self-test as programs read it.
type checkJSON struct {
	Check        agent.CheckName    `json:"check"`
	Algorithm    agent.KeyAlgorithm `json:"algorithm"`
	Outcome      agent.CheckOutcome `json:"outcome"`
	Code         string             `json:"code,omitempty"`
	Reason       string             `json:"reason,omitempty"`
	Milliseconds int64              `json:"milliseconds"`
}

// selftestJSON is a whole report. It names no person: no user, no folder of his, no certificate.
type selftestJSON struct {
	Version string      `json:"version"`
	System  string      `json:"system"`
	Store   string      `json:"store"`
	Place   string      `json:"place,omitempty"` // the provider, or the token's maker and model
	Checks  []checkJSON `json:"checks"`
	Passed  int         `json:"passed"`
	Failed  int         `json:"failed"`
	Skipped int         `json:"skipped"`
}

func (c *command) selftestCommand() *cobra.Command {
	var s struct {
		store, place, key, pinFile string
		yes, wrongPIN              bool
	}
	cmd := &cobra.Command{
		Use:   "selftest [--store STORE]",
		Short: "make a test key, sign with it, delete it, and report what works here",
		Long: `Makes a test key of each kind in a key store of this computer, stores a test certificate
beside it, signs, checks that nothing is signed without consent, and deletes it again. Your own
keys are not touched, and a wrong PIN is given to no token unless --wrong-pin says so. The
report names neither you nor your certificates: it can be sent to those who mend what fails.`,
		Example: `  certsign selftest
  certsign selftest --store pkcs11 --place "My card" --yes
  certsign selftest --store keyfile --key p256 --json`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.StringVar(&s.store, "store", defaultStore(), "key store: keyfile, pkcs11, csp")
	f.StringVar(&s.place, "place", "", "token in the store, by its label; see certsign tokens")
	f.StringVar(&s.key, "key", "", "only that kind of key: rsa2048, rsa3072, p256, p384")
	f.StringVar(&s.pinFile, "pin-file", "", "file with the token's PIN")
	f.BoolVar(&s.wrongPIN, "wrong-pin", false, "also give the token a wrong PIN, which costs it a try (the right one follows)")
	f.BoolVar(&s.yes, "yes", false, "make the test key on a card or token without asking")
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		algorithms := []agent.KeyAlgorithm{agent.RSA2048, agent.RSA3072, agent.P256, agent.P384}
		if s.key != "" {
			if !slices.Contains(algorithms, agent.KeyAlgorithm(s.key)) {
				return usagef("--key is rsa2048, rsa3072, p256 or p384", "--key to rsa2048, rsa3072, p256 albo p384")
			}
			algorithms = []agent.KeyAlgorithm{agent.KeyAlgorithm(s.key)}
		}
		if err := checkStore(s.store); err != nil {
			return err
		}
		log := c.log()
		at := slices.IndexFunc(c.stores(log), func(k agent.KeyStore) bool { return k.Name() == s.store })
		test := agent.SelfTest{
			Open: func() agent.KeyStore { return c.stores(log)[at] }, Algorithms: algorithms, PIN: c.pins(s.pinFile).AskPIN, WrongPIN: s.wrongPIN,
		}
		var err error
		if test.Place, err = testPlace(ctx, test.Open(), s.place); err != nil {
			return err
		}
		if !s.yes && s.store == "pkcs11" && !c.agrees(test.Place) {
			return problem.New(problem.UserCancelled, "no test key was made; --yes says so beforehand")
		}
		return c.selftest(ctx, &test, s.store)
	})
	return cmd
}

// defaultStore is the one that everybody has on this system.
func defaultStore() string {
	if runtime.GOOS == "windows" {
		return "csp"
	}
	return "keyfile"
}

// testPlace chooses where the test key is made, as enroll does.
func testPlace(ctx context.Context, store agent.KeyStore, wanted string) (agent.Place, error) {
	placer, ok := store.(agent.Placer)
	if !ok {
		return agent.Place{}, problem.New(problem.Unsupported, "the store %q makes no keys", store.Name())
	}
	places, err := placer.Places(ctx)
	if err != nil {
		return agent.Place{}, err
	}
	if len(places) == 0 {
		return agent.Place{}, problem.New(problem.TokenAbsent, "nothing to make a key on in the store %s", store.Name())
	}
	place, err := (&shell{place: wanted}).choosePlace(places)
	if err == nil && place.Problem != "" {
		err = problem.New(problem.Code(place.Problem), "no key can be made at %s now", place.Label)
	}
	return place, err
}

// agrees asks on the terminal before a test key takes room on somebody's card.
func (c *command) agrees(place agent.Place) bool {
	fmt.Fprintf(c.errs, c.say("certsign: a test key will be made on %s and deleted again. Go on? [y/N] ",
		"certsign: na %s powstanie klucz próbny, który zostanie potem usunięty. Kontynuować? [t/N] "), plain(place.Label))
	line, _ := bufio.NewReader(c.in).ReadString('\n')
	return slices.Contains([]string{"y", "yes", "t", "tak"}, strings.ToLower(strings.TrimSpace(line)))
}

// selftest runs the test and prints the report, line by line as it goes.
func (c *command) selftest(ctx context.Context, test *agent.SelfTest, store string) error {
	name := c.anonymizer()
	r := selftestJSON{
		Version: version, System: runtime.GOOS + "/" + runtime.GOARCH + ", " + systemVersion(), Store: store,
		Place: plain(name.Replace(test.Place.Detail)), Checks: []checkJSON{},
	}
	if !c.json {
		fmt.Fprintf(c.out, "certsign selftest %s\n%s\n%s", r.Version, r.System, r.Store)
		if r.Place != "" {
			fmt.Fprintf(c.out, ", %s", r.Place)
		}
		fmt.Fprint(c.out, "\n\n")
	}
	test.Report = func(check agent.Check) {
		j := checkJSON{Check: check.Name, Algorithm: check.Algorithm, Outcome: check.Outcome, Milliseconds: check.Took.Milliseconds()}
		mark := "✓"
		switch check.Outcome {
		case agent.CheckPassed:
			r.Passed++
		case agent.CheckFailed:
			mark = "✗"
			r.Failed++
		case agent.CheckSkipped:
			mark = "–"
			r.Skipped++
		}
		if check.Err != nil {
			j.Code = string(problem.CodeOf(check.Err))
			j.Reason = problem.DetailOf(check.Err)
			if j.Code == string(problem.Internal) {
				j.Reason = check.Err.Error()
			}
			j.Reason = plain(name.Replace(j.Reason))
		}
		r.Checks = append(r.Checks, j)
		if c.json {
			return
		}
		fmt.Fprintf(c.out, "%s %-8s %7.2f s  %s", mark, j.Algorithm, check.Took.Seconds(), c.checkText(check.Name))
		if check.Err != nil {
			fmt.Fprintf(c.out, ": %s", j.Code)
			if j.Reason != "" {
				fmt.Fprintf(c.out, " (%s)", j.Reason)
			}
		}
		fmt.Fprintln(c.out)
	}
	if err := test.Run(ctx); err != nil {
		return err
	}
	if c.json {
		if err := c.printJSON(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, c.say("\n%d passed, %d failed, %d skipped\n", "\nudanych: %d, nieudanych: %d, pominiętych: %d\n"), r.Passed, r.Failed, r.Skipped)
	}
	if r.Failed > 0 {
		return exitStatus(exitProblem)
	}
	return nil
}

// checkText says in words what a check is.
func (c *command) checkText(name agent.CheckName) string {
	text, ok := map[agent.CheckName][2]string{
		agent.CheckGenerate: {"a key is made", "klucz powstaje"},
		agent.CheckRequest:  {"it signs one request, and no second", "podpisuje jeden wniosek i nic ponadto"},
		agent.CheckList:     {"a new start finds it without a PIN", "po ponownym uruchomieniu jest widoczny bez PIN-u"},
		agent.CheckUnknown:  {"what nobody knows is refused", "klucz, którego nie ma, zostaje odrzucony"},
		agent.CheckCancel:   {"who cancels is asked once, and nothing happens", "kto anuluje, jest pytany tylko raz i nic się nie dzieje"},
		agent.CheckWrongPIN: {"a wrong PIN or password is refused and not asked for again", "błędny PIN lub hasło zostaje odrzucone, bez ponownego pytania"},
		agent.CheckAttach:   {"its certificate is stored, another key's is refused", "jego certyfikat zostaje zapisany, certyfikat innego klucza – odrzucony"},
		agent.CheckConsent:  {"without consent it is not opened", "bez zgody nie daje się otworzyć"},
		agent.CheckOpen:     {"it is opened", "daje się otworzyć"},
		agent.CheckSHA256:   {"its signature with SHA-256 is valid", "jego podpis z SHA-256 jest poprawny"},
		agent.CheckSHA384:   {"its signature with SHA-384 is valid", "jego podpis z SHA-384 jest poprawny"},
		agent.CheckSHA512:   {"its signature with SHA-512 is valid", "jego podpis z SHA-512 jest poprawny"},
		agent.CheckPSS256:   {"its RSA-PSS signature with SHA-256 is valid", "jego podpis RSA-PSS z SHA-256 jest poprawny"},
		agent.CheckPSS384:   {"its RSA-PSS signature with SHA-384 is valid", "jego podpis RSA-PSS z SHA-384 jest poprawny"},
		agent.CheckPSS512:   {"its RSA-PSS signature with SHA-512 is valid", "jego podpis RSA-PSS z SHA-512 jest poprawny"},
		agent.CheckRefuse:   {"with SHA-1 it does not sign", "z SHA-1 niczego nie podpisuje"},
		agent.CheckSpent:    {"it signs as often as was agreed, and no more", "podpisuje tyle razy, na ile wyrażono zgodę, i ani razu więcej"},
		agent.CheckDelete:   {"it is deleted", "zostaje usunięty"},
		agent.CheckGone:     {"a new start does not find it", "po ponownym uruchomieniu już go nie ma"},
	}[name]
	if !ok {
		return string(name)
	}
	return c.say(text[0], text[1])
}

// anonymizer takes out of a text what tells who runs the program: his folders and his name.
func (c *command) anonymizer() *strings.Replacer {
	var pairs []string
	hide := func(text, by string) {
		if len(text) > 2 {
			pairs = append(pairs, text, by)
		}
	}
	hide(filepath.Clean(c.home.Path("")), "(home)")
	if dir, err := os.UserHomeDir(); err == nil {
		hide(dir, "~")
	}
	if u, err := user.Current(); err == nil {
		hide(u.HomeDir, "~")
		hide(u.Username, "(user)")
		hide(u.Username[strings.LastIndexByte(u.Username, '\\')+1:], "(user)") // DOMAIN\name
		hide(u.Name, "(user)")
	}
	return strings.NewReplacer(pairs...)
}
