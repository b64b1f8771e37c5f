//go:build !windows && !darwin

package pin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"certsign/agent"
	"certsign/agent/prompt/child"
	"certsign/internal/problem"
)

// zenity shows questions with the program of that name. Arguments can be read by everybody on the computer, so it is told
// only the agent's own words: not the site, not the document, not the key.
type zenity struct {
	program string
	env     []string
}

func native(c Config, display bool) (dialog, error) {
	path, err := exec.LookPath("zenity")
	if err != nil || !display {
		return nil, problem.New(problem.PromptUnavailable, "neither a pinentry nor zenity can ask for a PIN here")
	}
	return &zenity{program: path, env: c.Env}, nil
}

func (z *zenity) ask(ctx context.Context, q question) (*agent.Secret, bool, error) {
	lines := append(append([]string{}, q.subject[0]), q.advice...)
	if q.wrong != "" {
		lines = append([]string{q.wrong, ""}, lines...)
	}
	args := []string{"--entry", "--hide-text", "--title=" + q.title, "--text=" + strings.Join(append(lines, "", q.prompt), "\n"),
		"--ok-label=" + q.ok, "--cancel-label=" + q.cancel}
	cmd := exec.Command(z.program, args...)
	cmd.Env = append(os.Environ(), z.env...)
	process, out, err := child.StartReading(ctx, cmd)
	if err != nil {
		return nil, false, problem.Wrap(problem.PromptUnavailable, err, "zenity does not start")
	}
	defer process.Stop()
	defer func() { _ = out.Close() }()
	buffer := make([]byte, maxSecret)
	defer clear(buffer)
	n, err := io.ReadFull(out, buffer)
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false, problem.New(problem.PromptUnavailable, "zenity answered with more than a password")
	}
	if err := process.Err(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 1 {
			return nil, false, problem.New(problem.UserCancelled, "the PIN dialog was cancelled")
		}
		return nil, false, problem.Wrap(problem.PromptUnavailable, err, "zenity failed")
	}
	return agent.NewSecret(bytes.Clone(bytes.TrimSuffix(buffer[:n], []byte("\n")))), false, nil
}
