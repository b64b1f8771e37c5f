package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/agent/transport/ws"
	"certsign/internal/problem"
)

// Files in the agent's folder.
const (
	agentLock  = "agent.lock"
	agentState = "agent.json"
	agentLog   = "agent.log"
	maxState   = 4 << 10
)

// running is agent.json: where the agent of this folder listens.
type running struct {
	PID     int       `json:"pid"`
	Port    int       `json:"port"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
}

func (c *command) runCommand() *cobra.Command {
	var ui string
	var named []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "be the agent: listen on loopback until it is stopped",
		Example: `  certsign run
  certsign run --ui none --port 18731`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&ui, "ui", "auto", "how the person is asked: auto, window, terminal, none (none refuses what needs a person)")
	cmd.Flags().StringSliceVar(&named, "port", nil, "port to listen on; several are tried in order (default: the first free of 18731 to 18794)")
	cmd.RunE = c.do(func(ctx context.Context, _ []string) error {
		if !slices.Contains([]string{"auto", "window", "terminal", "none"}, ui) {
			return usagef("--ui is auto, window, terminal or none", "--ui to auto, window, terminal albo none")
		}
		var ports []int
		for _, name := range named {
			port, err := strconv.ParseUint(name, 10, 16)
			if err != nil {
				return usagef("--port is a number from 1 to 65535", "--port to liczba od 1 do 65535")
			}
			ports = append(ports, int(port))
		}
		lock, err := c.home.TryLock(agentLock)
		if errors.Is(err, home.ErrLocked) {
			return wordedAs(problem.New(problem.Busy, "an agent is running already with the folder %s", c.home.Path()),
				fmt.Sprintf("An agent is running already with the folder %s.", c.home.Path()), "Use it, or end it first.",
				fmt.Sprintf("Agent używający folderu %s już działa.", c.home.Path()), "Korzystaj z niego albo najpierw go zakończ.")
		}
		if err != nil {
			return err
		}
		defer lock.Unlock()
		asking, err := c.prompts(ui)
		if err != nil {
			return err
		}
		defer asking.close()
		return c.serve(ctx, asking, ports)
	})
	return cmd
}

// portNames are the ports that were tried.
func portNames(ports []int) string {
	if len(ports) == 0 {
		return fmt.Sprintf("%d–%d", agent.FirstPort, agent.LastPort)
	}
	return strings.Trim(fmt.Sprint(ports), "[]")
}

// serve runs the agent until ctx ends.
func (c *command) serve(ctx context.Context, asking prompts, ports []int) error {
	a, err := c.agent(asking.prompter, asking.pins)
	if err != nil {
		return err
	}
	t, err := ws.Listen(ws.Config{Ports: ports, Log: c.log()})
	if err != nil {
		return wordedAs(problem.Wrap(problem.Busy, err, "no port is free"),
			"None of the ports to listen on is free: "+portNames(ports)+".", "End the program that takes it, or name another port with --port.",
			"Żaden z portów do nasłuchiwania nie jest wolny: "+portNames(ports)+".", "Zakończ program, który go zajmuje, albo podaj inny port w --port.")
	}
	defer t.Close()
	state, err := json.Marshal(running{PID: os.Getpid(), Port: t.Port(), Version: version, Started: time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := c.home.Write(agentState, state); err != nil {
		return err
	}
	defer func() { _ = c.home.Remove(agentState) }()
	defer a.Close()
	defer context.AfterFunc(ctx, a.Close)() // what runs for pages ends first; the transport waits for it
	started := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		err := a.Start(ctx) // ceremonies may wait for the network; pages need not wait for them
		started <- err
		if err != nil && ctx.Err() == nil {
			cancel()
		}
	}()
	if c.json {
		err = json.NewEncoder(c.out).Encode(map[string]int{"port": t.Port()})
	} else {
		_, err = fmt.Fprintf(c.out, "certsign: listening on 127.0.0.1:%d\n", t.Port())
	}
	if err != nil {
		return err
	}
	err = t.Serve(ctx, a)
	cancel()
	if serr := <-started; serr != nil && !errors.Is(serr, context.Canceled) {
		err = errors.Join(err, serr)
	}
	return err
}

// scheme is all that the agent accepts of a certsign: address. The address is a page's; it may start the agent, and has no
// other meaning, whatever it says.
var scheme = regexp.MustCompile(`^certsign:(//)?(start/?)?$`)

func (c *command) openCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "open ADDRESS",
		Short:   "what the system calls for a certsign: address: starts the agent if it is not running",
		Example: "  certsign open certsign://start",
		Args:    exactly("ADDRESS"),
		RunE: c.do(func(ctx context.Context, args []string) error {
			if !scheme.MatchString(args[0]) {
				return wordedAs(problem.New(problem.BadRequest, "the address is not certsign://start"),
					"The address is not certsign://start.", "No other address starts the agent.",
					"To nie jest adres certsign://start.", "Żaden inny adres nie uruchamia programu.")
			}
			lock, err := c.home.TryLock(agentLock)
			if errors.Is(err, home.ErrLocked) {
				return nil // it is awake
			}
			if err != nil {
				return err
			}
			err = c.home.Remove(agentState) // of one that was killed
			lock.Unlock()
			if err != nil {
				return err
			}
			return c.launch(ctx)
		}),
	}
}

// launch starts the agent as a process of its own and waits until it listens.
func (c *command) launch(ctx context.Context) error {
	exe, err := self()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.home.Path(agentLog), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(exe, "--home", c.home.Path(), "run")
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.home.Path()
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.After(15 * time.Second)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return problem.New(problem.LaunchUnconfirmed, "the agent did not come up; see %s", filepath.Join(c.home.Path(), agentLog))
		case err := <-ended:
			if lock, lerr := c.home.TryLock(agentLock); errors.Is(lerr, home.ErrLocked) {
				return nil // somebody else's call was a moment faster
			} else {
				lock.Unlock()
			}
			return problem.Wrap(problem.AgentNotRunning, err, "the agent ended at once: %s", c.lastWords())
		case <-time.After(50 * time.Millisecond):
			if _, err := c.home.Read(agentState, maxState); err == nil {
				return nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
}

func (c *command) lastWords() string {
	b, err := c.home.Read(agentLog, 1<<20)
	if err != nil {
		return "it left no log"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return plain(lines[0])
}

var _ agent.Transport = (*ws.Transport)(nil)
