package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"certsign/agent"
	"certsign/agent/enroll"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/ades/format"
)

// stores is the table of key stores, in the order in which they are listed. A new one is a folder below keystore/ and a
// line here, or in wire_OS.go when only one system has it.
func (c *command) stores(log *slog.Logger) []agent.KeyStore {
	tokens := []agent.KeyStore{pkcs11.New(c.drivers(log))}
	return slices.Concat(tokens, c.systemStores(log), []agent.KeyStore{keyfile.New(c.home.Path("keys"))})
}

// drivers are those that the person named, and unless that is all he wants, those that are found.
func (c *command) drivers(log *slog.Logger) pkcs11.Config {
	config := pkcs11.Config{Home: c.home, OnlyModules: c.config.PKCS11OnlyModules, Parameters: map[string]string{}, Log: log}
	for _, m := range c.config.PKCS11Modules {
		config.Modules = append(config.Modules, m.Path)
		config.Parameters[m.Path] = m.Parameters
	}
	return config
}

// agent puts an agent together, with what asks the person.
func (c *command) agent(prompter agent.Prompter, pins agent.PINPrompter) (*agent.Agent, error) {
	log := c.log()
	if pins != nil {
		pins = noting{pins, c}
	}
	desk, err := enroll.New(enroll.Config{Home: c.home, Proxy: c.config.Proxy, Log: log})
	if err != nil {
		return nil, err
	}
	return agent.New(agent.Config{
		Home: c.home, Version: version, Stores: c.stores(log), Prompter: prompter, PINs: pins, Codecs: format.All(),
		Enroller: desk, Log: log,
		Limits: agent.Limits{
			XML: c.config.Limits.XML, Detached: c.config.Limits.Detached, Documents: c.config.Limits.Documents,
			Pages: c.config.Limits.Pages,
		},
	})
}

// log goes to stderr: everything with -v, else only what went wrong.
func (c *command) log() *slog.Logger {
	level := slog.LevelError
	if c.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.errs, &slog.HandlerOptions{Level: level}))
}

// self is the running program's own path.
func self() (string, error) {
	p, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(p)
}
