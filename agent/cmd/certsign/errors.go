package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

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

// unwritable is a file that was named on the command line and cannot be written.
func unwritable(path string, err error) error {
	return wordedAs(problem.Wrap(problem.StoreUnavailable, err, "%s", path),
		fmt.Sprintf("The file %s cannot be written%s.", path, cause(err)), "Check that its folder is there, has room, and that you may write in it.",
		fmt.Sprintf("Nie można zapisać pliku %s%s.", path, cause(err)), "Sprawdź, czy jego folder istnieje, czy jest w nim miejsce i czy masz do niego prawo zapisu.")
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
	e := explained{Code: problem.CodeOf(err)}
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
		e.Message, e.Detail = c.say("The password is wrong.", "Hasło jest nieprawidłowe."), problem.DetailOf(err)
		e.Remedy = c.say("Try again: Caps Lock or the keyboard may be set differently, or it is another key's password. A key file is never locked.",
			"Spróbuj ponownie: sprawdź Caps Lock i układ klawiatury oraz czy to hasło do tego klucza. Plik klucza nigdy się nie blokuje.")
	default:
		text := problem.Describe(e.Code, c.language())
		e.Message, e.Remedy, e.Detail = text.Message, text.Remedy, problem.DetailOf(err)
	}
	return e
}

// complain renders an error. Together with complainOfUsage it is the only place where the command does.
func (c *command) complain(err error) {
	e := c.explain(err)
	c.printError(string(e.Code)+": ", e)
	if c.verbose && !c.json {
		fmt.Fprintf(c.errs, "certsign: %s: %s\n", c.say("cause", "przyczyna"), plain(err.Error()))
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
