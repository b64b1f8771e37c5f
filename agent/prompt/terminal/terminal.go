// Package terminal asks the person on a terminal: for servers, for SSH, and for who likes it better. It puts the same
// questions as the agent's windows and PIN dialogs.
//
// Whatever is printed passes one filter that writes control characters out, so that no name, document or origin can move
// the cursor or change a colour. What was typed before a question was put is thrown away. It does not defend against other programs of
// the same person that write to the same terminal. Without a terminal it refuses.
package terminal

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

// Config says which terminal.
type Config struct {
	// In and Out are the terminal; nil: the one that this process belongs to.
	In, Out *os.File
	// Language is "pl" or "en".
	Language string
	// Timeout is how long a question waits; 0 means ten minutes.
	Timeout time.Duration
}

// Terminal is an agent.Prompter and an agent.PINPrompter. It puts one question at a time.
type Terminal struct {
	in, out *os.File
	own     bool // opened by New
	lang    wording.Language
	timeout time.Duration
	turn    chan struct{}
	typed   chan []byte
	ended   chan struct{}
	closing sync.Once
}

// New opens the terminal. Without one it returns prompt_unavailable.
func New(c Config) (*Terminal, error) {
	t := &Terminal{in: c.In, out: c.Out, lang: wording.Parse(c.Language), timeout: c.Timeout,
		turn: make(chan struct{}, 1), typed: make(chan []byte), ended: make(chan struct{})}
	if t.timeout <= 0 {
		t.timeout = 10 * time.Minute
	}
	if t.in == nil || t.out == nil {
		var err error
		if t.in, t.out, err = openTerminal(); err != nil {
			return nil, problem.Wrap(problem.PromptUnavailable, err, "there is no terminal to ask on")
		}
		t.own = true
	}
	if !term.IsTerminal(int(t.in.Fd())) || !term.IsTerminal(int(t.out.Fd())) {
		_ = t.Close()
		return nil, problem.New(problem.PromptUnavailable, "there is no terminal to ask on")
	}
	go t.read()
	return t, nil
}

// Close ends the question at hand, waits until it has given the terminal back, and lets go of it.
func (t *Terminal) Close() (err error) {
	t.closing.Do(func() {
		close(t.ended)
		t.turn <- struct{}{} // and keeps it: nobody has a turn any more
		if !t.own {
			return
		}
		err = t.in.Close()
		if t.out != t.in {
			err = errors.Join(err, t.out.Close())
		}
	})
	return err
}

// read hands over what is typed, as long as the terminal is there. One reader serves all questions: a read of a terminal
// cannot be taken back, and a second one would share the letters with it.
func (t *Terminal) read() {
	defer close(t.typed)
	buffer := make([]byte, 256)
	for {
		n, err := t.in.Read(buffer)
		if n > 0 {
			chunk := append([]byte(nil), buffer[:n]...)
			clear(buffer)
			select {
			case t.typed <- chunk:
			case <-t.ended:
				clear(chunk)
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// session puts a question while it is its turn: the terminal is raw, so that nothing that is typed is shown by itself.
func (t *Terminal) session(ctx context.Context, f func(*screen) error) error {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.ended:
		return problem.New(problem.PromptUnavailable, "the terminal is closed")
	}
	defer func() { <-t.turn }()
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, problem.New(problem.Timeout, "nobody answered on the terminal"))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-t.ended:
			end(problem.New(problem.PromptUnavailable, "the terminal is closed"))
		case <-ctx.Done():
		}
	}()
	state, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return problem.Wrap(problem.PromptUnavailable, err, "the terminal cannot be used")
	}
	defer func() { _ = term.Restore(int(t.in.Fd()), state) }()
	s := &screen{t: t, ctx: ctx, lang: t.lang}
	defer s.wipe()
	err = f(s)
	if ctx.Err() != nil {
		s.say("")
		return context.Cause(ctx)
	}
	return err
}

// screen is the terminal during one question.
type screen struct {
	t       *Terminal
	ctx     context.Context
	lang    wording.Language
	pending []byte // typed and not yet read
	last    byte   // the line end that was read last
}

func (s *screen) wipe() { clear(s.pending) }

// say prints lines. This is the only way to the terminal: control characters do not pass.
func (s *screen) say(lines ...string) {
	for _, line := range lines {
		s.write(line)
		_, _ = s.t.out.WriteString("\r\n")
	}
}

func (s *screen) write(text string) {
	rest := wording.VisibleText(text)
	for {
		line, more, found := cutLine(rest)
		_, _ = s.t.out.WriteString(line)
		if !found {
			return
		}
		_, _ = s.t.out.WriteString("\r\n")
		rest = more
	}
}

func cutLine(text string) (line, rest string, found bool) {
	for i := range len(text) {
		if text[i] == '\n' {
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// settle throws away what was typed before the question was there to be read.
func (s *screen) settle() {
	clear(s.pending)
	s.pending = nil
	quiet := time.NewTimer(150 * time.Millisecond)
	defer quiet.Stop()
	for {
		select {
		case chunk, ok := <-s.t.typed:
			if !ok {
				return
			}
			clear(chunk)
		case <-quiet.C:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

var errCancelled = problem.New(problem.UserCancelled, "the person said no")

// next returns the next octet that is typed.
func (s *screen) next() (byte, error) {
	for len(s.pending) == 0 {
		select {
		case chunk, ok := <-s.t.typed:
			if !ok {
				return 0, problem.New(problem.PromptUnavailable, "the terminal is gone")
			}
			s.pending = chunk
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		case <-s.t.ended:
			return 0, problem.New(problem.PromptUnavailable, "the terminal is closed")
		}
	}
	c := s.pending[0]
	s.pending[0] = 0
	s.pending = s.pending[1:]
	return c, nil
}

// echo says whether what is typed is shown.
type echo bool

const (
	shown  echo = true
	hidden echo = false
)

// maxAnswer is how many octets an answer or a secret may have.
const maxAnswer = 1024

// line reads one line with the usual keys. Control-C, and Control-D on an empty line, are a no. The result is the caller's
// to wipe; it was never moved, so there is no other copy.
func (s *screen) line(prompt string, e echo) ([]byte, error) {
	s.write(prompt)
	typed := make([]byte, 0, maxAnswer)
	fail := func(err error) ([]byte, error) {
		clear(typed[:cap(typed)])
		_, _ = s.t.out.WriteString("\r\n")
		return nil, err
	}
	for {
		c, err := s.next()
		if err != nil {
			return fail(err)
		}
		previous := s.last
		s.last = 0
		switch {
		case c == '\n' && previous == '\r':
			continue // of one Enter
		case c == '\r', c == '\n':
			s.last = c
			_, _ = s.t.out.WriteString("\r\n")
			return typed, nil
		case c == 3, c == 4 && len(typed) == 0: // ^C, ^D
			return fail(errCancelled)
		case c == 127, c == 8:
			typed = s.rub(typed, 1, e)
		case c == 21: // ^U
			typed = s.rub(typed, len(typed), e)
		case c == 27:
			if err := s.skipEscape(); err != nil {
				return fail(err)
			}
		case c < ' ' || len(typed) == maxAnswer:
			// no other key means anything
		default:
			typed = append(typed, c)
			s.show(typed, e)
		}
	}
}

// show echoes the last character once it is whole.
func (s *screen) show(typed []byte, e echo) {
	r, size := utf8.DecodeLastRune(typed)
	if e == shown && (r != utf8.RuneError || size > 1) {
		s.write(string(r))
	}
}

// rub takes n characters back.
func (s *screen) rub(typed []byte, n int, e echo) []byte {
	for ; n > 0 && len(typed) > 0; n-- {
		_, size := utf8.DecodeLastRune(typed)
		clear(typed[len(typed)-size:])
		typed = typed[:len(typed)-size]
		if e == shown {
			_, _ = s.t.out.WriteString("\b \b")
		}
	}
	return typed
}

// skipEscape passes over a key such as an arrow (ECMA-48, 5.4: CSI, parameters, a final octet).
func (s *screen) skipEscape() error {
	c, err := s.next()
	if err != nil || c != '[' && c != 'O' {
		return err
	}
	for {
		if c, err = s.next(); err != nil || c >= 0x40 && c <= 0x7E {
			return err
		}
	}
}
