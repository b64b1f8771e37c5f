// Command customs-ca is the customs CA and its portal: the key ceremony, the server, and the commands of whoever runs it.
//
// It wires the domain in package ca to its store, its issuer and its services; it decides nothing itself. Whoever may run
// it on the CA's computer is trusted as an operator. Keys are encrypted files under a password file; a hardware module is
// not supported yet.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"certsign/ca/issuer/stepca"
	"certsign/internal/problem"
)

// issuers are the CA backends by their name in the configuration. A new one is a folder below ca/issuer and a line here.
var issuers = map[string]func(context.Context, stepca.Config) (issuer, error){
	"stepca": func(ctx context.Context, c stepca.Config) (issuer, error) { return stepca.New(ctx, c) },
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// errUsage marks wrong usage: exit status 2.
var errUsage = errors.New("usage")

// run is the whole command; it returns the exit status: 0 done, 1 a problem, 2 wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "customs-ca: error: %v\n", err)
	var hinted *hintedError
	wrong := errors.Is(err, errUsage)
	switch {
	case errors.As(err, &hinted):
		fmt.Fprintf(stderr, "customs-ca: hint: %s\n", hinted.hint)
	case wrong || problem.CodeOf(err) != problem.Internal: // the catalogue's remedies are for pages
		fmt.Fprintf(stderr, "customs-ca: hint: see %s --help\n", called.CommandPath())
	}
	if wrong {
		return 2
	}
	return 1
}

// hintedError is an error with a line about what to do.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func hint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

func usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// options are the flags that all commands share.
type options struct {
	config  string
	verbose bool
}

func rootCommand() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "customs-ca",
		Short: "the customs certification authority and its portal",
		Example: `  customs-ca init --dir ca --test
  customs-ca account seed --config ca/customs-ca.yaml
  customs-ca serve --config ca/customs-ca.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	root.PersistentFlags().StringVar(&o.config, "config", "customs-ca.yaml", "configuration file that init wrote")
	root.PersistentFlags().BoolVarP(&o.verbose, "verbose", "v", false, "log more to standard error")
	root.AddCommand(initCommand(), serveCommand(o), migrateCommand(o), accountCommand(o), personCommand(o),
		certificateCommand(o), requestCommand(o), crlCommand(o), auditCommand(o), versionCommand())
	root.SetHelpCommand(helpCommand(root))
	return root
}

// helpCommand is cobra's, but a command that is not there is wrong usage.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND]", Short: "help about any command", RunE: func(_ *cobra.Command, args []string) error {
		c, rest, err := root.Find(args)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return hint(usage("unknown command %q for %q", rest[0], c.CommandPath()), "see %s --help", c.CommandPath())
		}
		c.InitDefaultHelpFlag()
		return c.Help()
	}}
}

// noArguments and exactly are cobra's checks with exit status 2.
func noArguments(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case c.HasSubCommands():
		return usage("unknown command %q for %q", args[0], c.CommandPath())
	}
	return usage("%s takes no arguments, and %q is one", c.CommandPath(), args[0])
}

// exactly demands one argument and calls it by its name when it is missing.
func exactly(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usage("%s is missing", name)
		case 1:
			return nil
		}
		return usage("one %s is wanted, and %q is more", name, args[1])
	}
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noArguments, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(commands...)
	return c
}
