// Command certsign is the agent: it keeps keys where the person chose, obtains customs certificates for them, and signs
// what the person has seen and approved, for pages in the browser and for the shell.
//
// This package wires the parts together and renders errors; it decides nothing. What a page or a file says is untrusted
// here as everywhere; the shell that calls it is the person.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"certsign/agent/home"
	"certsign/internal/problem"
)

// version is set by the linker.
var version = "0.1.0-dev"

// Exit statuses, as the contract has them.
const (
	exitDone          = 0
	exitProblem       = 1
	exitUsage         = 2
	exitIndeterminate = 3
	exitFailed        = 4
)

func main() {
	if err := forbidDumps(); err != nil {
		fmt.Fprintln(os.Stderr, "certsign: error:", err)
		os.Exit(exitProblem)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with everything given to it.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not listen: a password's derivation
	c := &command{in: in, out: out, errs: errs}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	called, err := root.ExecuteContextC(ctx)
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case !c.begun && !isUsage(err): // said by the parser of the command line
		text := err.Error()
		err = usage{text, strings.NewReplacer("unknown flag: ", "nie ma opcji ", "flag needs an argument: ", "brak wartości opcji ").Replace(text)}
	}
	if isUsage(err) {
		c.complainOfUsage(err, called.CommandPath())
		return exitUsage
	}
	c.complain(err)
	return exitProblem
}

// exitStatus ends the program with a status and no message: the outcome was printed already.
type exitStatus int

func (exitStatus) Error() string { return "done" }

// command is one call of certsign.
type command struct {
	in        io.Reader
	out, errs io.Writer

	homeFlag string
	lang     string
	json     bool
	verbose  bool

	begun    bool
	password atomic.Bool // what was asked for last is a password, and no PIN of a token
	home     *home.Dir
	config   home.Config
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "certsign",
		Short: "keys, customs certificates and signatures on this computer",
		Long: `CertSign keeps keys where you choose, obtains customs certificates for them, and signs
what you have seen and approved.

Exit status: 0 done, 1 a problem, 2 wrong usage; certsign verify has its own. With --json an
error is one line on stderr: {"error":{"code","message","detail","remedy"}}.`,
		SilenceErrors: true, SilenceUsage: true, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if c.lang != "" && c.lang != problem.Polish && c.lang != problem.English {
				return usagef("--lang is pl or en", "--lang to pl albo en")
			}
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&c.homeFlag, "home", "", "folder with settings, sites, keys and journal (or CERTSIGN_HOME)")
	f.BoolVar(&c.json, "json", false, "print JSON")
	f.StringVar(&c.lang, "lang", "", "language: pl or en")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "say more on stderr")
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Use: "help [COMMAND]", Short: "help about a command", RunE: func(_ *cobra.Command, args []string) error {
		about, rest, err := root.Find(args)
		if err == nil {
			err = noArguments(about, rest)
		}
		if err != nil {
			return err
		}
		about.InitDefaultHelpFlag()
		return about.Help()
	}})
	root.AddCommand(
		c.runCommand(), c.openCommand(), c.sitesCommand(), c.enrollCommand(), c.listCommand(), c.signCommand(),
		c.verifyCommand(), c.showCommand(), c.tokensCommand(), c.journalCommand(), c.exportCommand(), c.deleteCommand(), c.selftestCommand(),
		c.importCommand(), c.backupCommand(), c.passwordCommand(), c.pinCommand(), c.trustCommand(), c.versionCommand(),
	)
	return root
}

// do wraps a command's body: it opens the folder and reads the settings before, and marks that the call was understood.
func (c *command) do(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.begun = true
		path := c.homeFlag
		if path == "" {
			var err error
			if path, err = home.Default(); err != nil {
				return homeless(err)
			}
		}
		var err error
		if c.home, err = home.Open(path); err != nil {
			return unopened(path, err)
		}
		if c.config, err = c.home.Config(); err != nil {
			return unusable(c.home.Path(home.ConfigName), err)
		}
		if c.lang == "" {
			c.lang = c.config.Language
		}
		return body(cmd.Context(), args)
	}
}

// language is what the person reads: as asked, as set, as the system says.
func (c *command) language() string {
	if c.lang != "" {
		return c.lang
	}
	if strings.HasPrefix(strings.ToLower(systemLanguage()), "pl") {
		return problem.Polish
	}
	return problem.English
}

// say chooses between two wordings.
func (c *command) say(en, pl string) string {
	if c.language() == problem.Polish {
		return pl
	}
	return en
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "print the version", Args: noArguments, RunE: func(*cobra.Command, []string) error {
		c.begun = true
		if c.json {
			return c.printJSON(map[string]string{"version": version})
		}
		_, err := fmt.Fprintln(c.out, "certsign", version)
		return err
	}}
}
