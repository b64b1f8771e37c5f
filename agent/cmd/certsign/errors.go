package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"certsign/agent/home"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/problem"
)

// usage is a call that cannot be meant.
type usage struct{ en, pl string }

func (u usage) Error() string { return u.en }

// usagef says what is wrong with a call, in both languages, with the same arguments.
func usagef(en, pl string, args ...any) error {
	return usage{fmt.Sprintf(en, args...), fmt.Sprintf(pl, args...)}
}

func isUsage(err error) bool {
	var u usage
	return errors.As(err, &u)
}

// noArguments refuses arguments: where commands are wanted, as commands that are not known.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return usagef("unknown command %q for %q", "nie ma polecenia %q w %q", args[0], cmd.CommandPath())
	}
	return usagef("%s takes no arguments, and %q is one", "%s nie przyjmuje argumentów, a podano %q", cmd.CommandPath(), args[0])
}

// exactly demands one argument and calls it by its name when it is missing.
func exactly(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("one %s is wanted, and %q is more", "potrzebny jest jeden argument %s, a %q to kolejny", name, args[1])
		}
		return atLeastOne(name)(cmd, args)
	}
}

// atLeastOne demands an argument.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s is missing", "brak argumentu %s", name)
		}
		return nil
	}
}

// checkStore refuses a --store that is no store, or none of this system; "" names none.
func checkStore(name string) error {
	switch {
	case name == "csp" && runtime.GOOS != "windows":
		return usagef("the store csp is in Windows only", "magazyn csp jest tylko w systemie Windows")
	case name == "", name == "csp", name == keyfile.Name, name == pkcs11.Name:
		return nil
	}
	return usagef("--store is keyfile, pkcs11 or csp", "--store to keyfile, pkcs11 albo csp")
}

// worded is a problem in the shell's own words, where the catalogue's are for pages or for documents.
type worded struct {
	error
	en, pl problem.Text
}

func (w worded) Unwrap() error { return w.error }

// wordedAs gives a problem a message and a remedy in both languages.
func wordedAs(err error, en, enRemedy, pl, plRemedy string) error {
	return worded{err, problem.Text{Message: en, Remedy: enRemedy}, problem.Text{Message: pl, Remedy: plRemedy}}
}

// unreadable is a file that was named on the command line and cannot be read.
func unreadable(path string, err error) error {
	return wordedAs(problem.Wrap(problem.DocumentUnreadable, err, "%s", path),
		fmt.Sprintf("The file %s cannot be read%s.", path, cause(err)), "Check its name, and that you may read it.",
		fmt.Sprintf("Nie można odczytać pliku %s%s.", path, cause(err)), "Sprawdź jego nazwę i prawo do odczytu.")
}

// holdsNo is a file that an option names and that holds nothing for it; what says what is wanted.
func holdsNo(path, option, what, plWhat string, err error) error {
	return wordedAs(problem.Wrap(problem.DocumentUnreadable, err, "%s holds no %s", path, what),
		fmt.Sprintf("The file %s of %s holds no %s.", path, option, what), "Name another file.",
		fmt.Sprintf("Plik %s podany w %s nie zawiera %s.", path, option, plWhat), "Podaj inny plik.")
}

// notListed is a site that a call names and that is not on the list; another error stays as it is.
func notListed(name string, err error) error {
	if problem.CodeOf(err) != problem.SiteUnknown {
		return err
	}
	return wordedAs(err, fmt.Sprintf("No site “%s” is on the list.", name), "See certsign sites list.",
		fmt.Sprintf("Na liście witryn nie ma „%s”.", name), "Zobacz certsign sites list.")
}

// unwritable is a file that was named on the command line and cannot be written.
func unwritable(path string, err error) error {
	return wordedAs(problem.Wrap(problem.StoreUnavailable, err, "%s", path),
		fmt.Sprintf("The file %s cannot be written%s.", path, cause(err)), "Check that its folder is there, has room, and that you may write in it.",
		fmt.Sprintf("Nie można zapisać pliku %s%s.", path, cause(err)), "Sprawdź, czy jego folder istnieje, czy jest w nim miejsce i czy masz do niego prawo zapisu.")
}

// unusable says what is wrong in the settings; another error stays as it is.
func unusable(path string, err error) error {
	var m home.Mistake
	if !errors.As(err, &m) {
		return err
	}
	return wordedAs(err,
		fmt.Sprintf("The settings in %s cannot be used: %s.", path, m.English), "Correct the line, or put # before it.",
		fmt.Sprintf("Nie można użyć ustawień z pliku %s: %s.", path, m.Polish), "Popraw ten wiersz albo poprzedź go znakiem #.")
}

// unopened is an agent's folder that is not there and cannot be made; another error stays as it is.
func unopened(path string, err error) error {
	if cause(err) == "" {
		return err
	}
	return wordedAs(problem.Wrap(problem.StoreUnavailable, err, "%s", path),
		fmt.Sprintf("The folder %s cannot be made%s.", path, cause(err)), "Name another with --home or CERTSIGN_HOME.",
		fmt.Sprintf("Nie można utworzyć folderu %s%s.", path, cause(err)), "Podaj inny w --home albo CERTSIGN_HOME.")
}

// homeless is a person without a folder of his own.
func homeless(err error) error {
	return wordedAs(problem.Wrap(problem.StoreUnavailable, err, "no home"), "It is not known where your folder is.", "Name one with --home or CERTSIGN_HOME.",
		"Nie wiadomo, gdzie jest Twój folder.", "Podaj go w --home albo CERTSIGN_HOME.")
}

// cause is what the system said of a file, without a name of our own making.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return " (" + p.Err.Error() + ")"
	}
	return ""
}

// explained is an error as programs read it.
type explained struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
	Detail  string       `json:"detail,omitempty"`
	Remedy  string       `json:"remedy,omitempty"`
}

func (c *command) explain(err error) explained {
	e := explained{Code: problem.CodeOf(err), Detail: problem.DetailOf(err)}
	var w worded
	switch {
	case errors.As(err, &w):
		text := w.en
		if c.language() == problem.Polish {
			text = w.pl
		}
		e.Message, e.Remedy = text.Message, text.Remedy
	case e.Code == problem.Internal:
		e.Message = err.Error()
	case e.Code == problem.PINIncorrect && c.password.Load():
		e.Message = c.say("The password is wrong.", "Hasło jest nieprawidłowe.")
		e.Remedy = c.say("Try again: Caps Lock or the keyboard may be set differently, or it is another key's password. A key file is never locked.",
			"Spróbuj ponownie: sprawdź Caps Lock i układ klawiatury oraz czy to hasło do tego klucza. Plik klucza nigdy się nie blokuje.")
	default:
		text := problem.Describe(e.Code, c.language())
		e.Message, e.Remedy = text.Message, text.Remedy
	}
	return e
}

// shown is as much of a problem's detail as a person is shown: none where the message has it already. Details are English;
// in Polish there is what the message alone would not tell, and -v says the rest.
func (c *command) shown(e explained, err error) string {
	var w worded
	switch {
	case errors.As(err, &w), e.Code == problem.UserCancelled:
		return ""
	case c.language() == problem.English:
		return e.Detail
	}
	var said []string
	for _, d := range polishDetails {
		if d.english.MatchString(e.Detail) {
			said = append(said, d.english.ReplaceAllString(d.english.FindString(e.Detail), d.polish))
		}
	}
	if said == nil && (e.Code == problem.BadRequest || e.Code == problem.Unsupported) {
		return e.Detail // these messages say nothing without it
	}
	return strings.Join(said, "; ")
}

// polishDetails are parts of details in Polish: places in documents, hosts, files, what is wrong with a PIN or a password.
var polishDetails = []struct {
	english *regexp.Regexp
	polish  string
}{
	{regexp.MustCompile(`^line (\d+), column (\d+)`), "wiersz $1, kolumna $2"},
	{regexp.MustCompile(`^(?:nothing listens at|the (?:name of|TLS certificate of|server at|connection to|request to)) (\S+)`), "$1"},
	{regexp.MustCompile(`^(\S+) (?:did not answer|answered with)`), "$1"},
	{regexp.MustCompile(`has (\d+) to (\d+) characters`), "długość od $1 do $2 znaków"},
	{regexp.MustCompile(`^the (PIN|PUK) was wrong`), "błędny $1"},
	{regexp.MustCompile(`one try is left`), "została jedna próba"},
	{regexp.MustCompile(`no try was used`), "nie zużyto żadnej próby"},
	{regexp.MustCompile(`^missing: 12 characters|; 12 characters`), "co najmniej 12 znaków"},
	{regexp.MustCompile(`an upper-case letter`), "wielka litera"},
	{regexp.MustCompile(`a lower-case letter`), "mała litera"},
	{regexp.MustCompile(`a digit`), "cyfra"},
	{regexp.MustCompile(`a special character`), "znak specjalny"},
	{regexp.MustCompile(`only characters that can be typed anywhere`), "tylko znaki, które można wpisać wszędzie, najwyżej 128"},
	{regexp.MustCompile(`^an RSA key of (\d+) bits`), "długość klucza RSA w bitach: $1"},
	{regexp.MustCompile(`^the file is no PKCS #12|^there is no key and no certificate| in the file cannot be read`),
		"w pliku nie ma kluczy ani certyfikatów, które można odczytać"},
	{regexp.MustCompile(`^beside this key lies a newer certificate, (\S+)`), "przy tym kluczu jest już nowszy certyfikat $1"},
	{regexp.MustCompile(`^the driver answered (\S+) with (\S+)`), "$1: $2"},
	{regexp.MustCompile(`^the proxy wants another user name or password`), "proxy wymaga innej nazwy użytkownika lub hasła"},
	{regexp.MustCompile(`^the proxy cannot be reached`), "proxy nie odpowiada"},
	{regexp.MustCompile(`^the proxy setting is none of`), "ustawienie proxy to none albo http://[użytkownik:hasło@]host:port"},
	{regexp.MustCompile(`^(.+\.yaml) cannot be read`), "nie można odczytać pliku $1"},
	{regexp.MustCompile(`^site (.+) stands twice in (\S+)`), "witryna $1 jest dwa razy w $2"},
	{regexp.MustCompile(`^the folder (.+) is open to others`), "folder $1 jest dostępny dla innych i nie jest folderem programu CertSign"},
	{regexp.MustCompile(`^others can write in the folder for key files`), "w folderze plików kluczy mogą zapisywać inni"},
}

// complain renders an error. Together with complainOfUsage it is the only place where the command does.
func (c *command) complain(err error) {
	e := c.explain(err)
	if !c.json {
		e.Detail = c.shown(e, err)
	}
	c.printError(string(e.Code)+": ", e)
	if c.verbose && !c.json {
		fmt.Fprintf(c.errs, "certsign: %s: %s\n", c.say("cause", "przyczyna"), plain(strings.Join(strings.Fields(err.Error()), " ")))
	}
}

// complainOfUsage renders a call that cannot be meant, and where the help for it is.
func (c *command) complainOfUsage(err error, called string) {
	var u usage
	errors.As(err, &u)
	c.printError("", explained{
		Code: problem.BadRequest, Message: c.say(u.en, u.pl), Remedy: c.say("see ", "zobacz ") + called + " --help",
	})
}

func (c *command) printError(code string, e explained) {
	if c.json {
		j := json.NewEncoder(c.errs)
		j.SetEscapeHTML(false)
		_ = j.Encode(map[string]explained{"error": e})
		return
	}
	line := e.Message
	if e.Detail != "" {
		line += " (" + e.Detail + ")"
	}
	fmt.Fprintf(c.errs, "certsign: %s: %s%s\n", c.say("error", "błąd"), code, plain(line))
	if e.Remedy != "" {
		fmt.Fprintf(c.errs, "certsign: %s: %s\n", c.say("hint", "wskazówka"), plain(e.Remedy))
	}
}
