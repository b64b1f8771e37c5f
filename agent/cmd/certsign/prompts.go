package main

import (
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

// prompts chooses how the person is asked: as --ui says, or, with auto, by what there is.
func (c *command) prompts(ui string) (prompts, error) {
	p := prompts{close: func() {}}
	var err error
	switch ui {
	case "none":
	case "window":
		p, err = c.windowPrompts()
	case "terminal":
		p, err = c.terminalPrompts()
	case "auto":
		if p, err = c.windowPrompts(); err == nil {
			break
		}
		c.log().Warn("nobody can be asked in a window", "err", err)
		if p, err = c.terminalPrompts(); err != nil {
			c.log().Warn("nobody can be asked on a terminal", "err", err)
			p, err = prompts{close: func() {}}, nil
		}
	default:
		return p, usagef("--ui is auto, window, terminal or none")
	}
	return p, err
}

func (c *command) windowPrompts() (prompts, error) {
	w, err := window.New(window.Config{Command: c.config.WindowCommand, Dir: c.home.Path("window"), Language: c.language(), Log: c.log()})
	if err != nil {
		return prompts{}, err
	}
	if err := w.Available(); err != nil {
		_ = w.Close()
		return prompts{}, problem.Wrap(problem.PromptUnavailable, err, "no window can be shown here")
	}
	return prompts{prompter: w, pins: c.dialog(), close: func() { _ = w.Close() }}, nil
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

// pins chooses how a shell call asks for a PIN: from the file, in a dialog, or, where none can be shown, on the terminal.
func (c *command) pins(file string) (agent.PINPrompter, func(), error) {
	if file != "" {
		return filePINs(file), func() {}, nil
	}
	d := c.dialog()
	if d.Available() != nil {
		if t, err := c.terminalPrompts(); err == nil {
			return t.pins, t.close, nil
		}
	}
	return d, func() {}, nil
}
