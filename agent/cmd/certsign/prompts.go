package main

import (
	"context"
	"errors"
	"strings"

	"certsign/agent"
	"certsign/agent/prompt/pin"
	"certsign/agent/prompt/terminal"
	"certsign/agent/prompt/window"
	"certsign/internal/problem"
)

// prompts are the ways in which a person is asked.
type prompts struct {
	prompter agent.Prompter
	pins     agent.PINPrompter
	close    func()
}

// prompts chooses how the person is asked: as --ui says, or, with auto, by what there is. Where there is nothing, what
// needs a person is refused.
func (c *command) prompts(ui string) (prompts, error) {
	none := prompts{close: func() {}}
	switch ui {
	case "none":
		return none, nil
	case "window":
		return c.windowPrompts()
	case "terminal":
		return c.terminalPrompts()
	}
	for _, try := range []func() (prompts, error){c.windowPrompts, c.terminalPrompts} {
		p, err := try()
		if err == nil {
			return p, nil
		}
		c.log().Info("a way to ask is not there", "err", err)
	}
	c.log().Warn("nobody can be asked: what needs a person is refused")
	return none, nil
}

// windowPrompts asks in the agent's own window, and for PINs in the platform's dialog, or on the terminal where there is
// no dialog.
func (c *command) windowPrompts() (prompts, error) {
	w, err := window.New(window.Config{Command: c.config.WindowCommand, Dir: c.home.Path("window"), Language: c.language(), Log: c.log()})
	if err != nil {
		return prompts{}, err
	}
	p := prompts{prompter: w, close: func() { _ = w.Close() }}
	if err := w.Available(); err != nil {
		p.close()
		return prompts{}, err
	}
	dialog := c.dialog()
	if p.pins = dialog; dialog.Available() == nil {
		return p, nil
	}
	if t, err := terminal.New(terminal.Config{Language: c.language()}); err == nil {
		p.pins, p.close = t, func() { _, _ = w.Close(), t.Close() }
	}
	return p, nil
}

func (c *command) terminalPrompts() (prompts, error) {
	t, err := terminal.New(terminal.Config{Language: c.language()})
	if err != nil {
		return prompts{}, err
	}
	return prompts{prompter: t, pins: t, close: func() { _ = t.Close() }}, nil
}

// dialog asks for PINs in the platform's own way.
func (c *command) dialog() *pin.Prompter {
	return pin.New(pin.Config{Program: c.config.PinentryProgram, Language: c.language(), Log: c.log()})
}

// pins chooses how a shell call asks for a PIN: from the file; by the program that the person set; on the terminal; in
// the platform's dialog.
func (c *command) pins(file string) agent.PINPrompter {
	if file != "" {
		return filePINs(file)
	}
	return shellPINs{c}
}

// noting notes what kind of secret was asked for last, so that an error can call it by its name.
type noting struct {
	agent.PINPrompter
	command *command
}

// AskPIN implements agent.PINPrompter. Key files have passwords, and so has a file that is imported, which has no place.
func (n noting) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	n.command.password.Store(strings.HasPrefix(req.Where, n.command.home.Path("keys")) || req.Purpose == agent.PurposeImport && req.Where == "")
	return n.PINPrompter.AskPIN(ctx, req)
}

// shellPINs looks for a way to ask only when it is asked: not every call needs a PIN.
type shellPINs struct{ command *command }

// AskPIN implements agent.PINPrompter.
func (s shellPINs) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	dialog := s.command.dialog()
	if s.command.config.PinentryProgram != "" {
		return dialog.AskPIN(ctx, req)
	}
	t, err := terminal.New(terminal.Config{Language: s.command.language()})
	if err != nil {
		secret, derr := dialog.AskPIN(ctx, req)
		if problem.CodeOf(derr) == problem.PromptUnavailable {
			return nil, wordedAs(errors.Join(derr, err),
				"A PIN or password is needed, and there is neither a terminal nor a dialog to ask for it.",
				"Add --pin-file FILE; see --help.",
				"Potrzebny jest PIN lub hasło, a nie ma terminala ani okna, w którym można o nie zapytać.",
				"Dodaj --pin-file PLIK; zobacz --help.")
		}
		if derr != nil {
			return nil, errors.Join(derr, err)
		}
		return secret, nil
	}
	defer t.Close()
	return t.AskPIN(ctx, req)
}

// available tells whether AskPIN would find a way to ask.
func (s shellPINs) available() bool {
	if s.command.dialog().Available() == nil {
		return true
	}
	t, err := terminal.New(terminal.Config{Language: s.command.language()})
	if err == nil {
		_ = t.Close()
	}
	return err == nil
}
