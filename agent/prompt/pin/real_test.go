//go:build linux

package pin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// screen starts an X server and returns its DISPLAY.
func screen(t *testing.T) string {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(testtool.Need(t, "Xvfb"), "-displayfd", "3", "-screen", "0", "900x700x24", "-nolisten", "tcp", "-noreset") // else the server starts anew when its last window closes, and the next one finds none
	cmd.ExtraFiles = []*os.File{w}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	_ = w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	return ":" + strings.TrimSpace(number)
}

// hands are a person's at a keyboard before that screen.
type hands struct {
	t       *testing.T
	display string
	xdotool string
	last    string // the process that was typed into
}

func (h hands) do(args ...string) (string, error) {
	cmd := exec.Command(h.xdotool, args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+h.display)
	out, err := cmd.Output()
	return string(out), err
}

// typeInto waits for a window with that title and types into it.
func (h *hands) typeInto(title string, keys ...string) {
	h.t.Helper()
	require.NoError(h.t, h.tryInto(title, keys...))
}

func (h *hands) tryInto(title string, keys ...string) error {
	var id string
	if !eventually(func() bool {
		out, err := h.do("search", "--onlyvisible", "--name", title)
		id, _, _ = strings.Cut(strings.TrimSpace(out), "\n")
		pid, err2 := h.do("getwindowpid", id)
		if err != nil || err2 != nil || pid == h.last {
			return false // X gives a window of the next program the same number
		}
		h.last = pid
		return true
	}) {
		return fmt.Errorf("no window named %s", title)
	}
	// Without a window manager nobody gives the window the keyboard, and what is typed before it has it is lost.
	if !eventually(func() bool {
		_, _ = h.do("windowfocus", "--sync", id)
		out, err := h.do("getwindowfocus", "-f")
		return err == nil && strings.TrimSpace(out) == id
	}) {
		return fmt.Errorf("no keyboard for the window named %s", title)
	}
	time.Sleep(500 * time.Millisecond)
	h.shoot(title)
	for _, k := range keys {
		var err error
		if k == "Return" || k == "Tab" || k == "Escape" {
			_, err = h.do("key", k)
		} else {
			_, err = h.do("type", "--delay", "20", k)
		}
		if err != nil {
			return err
		}
	}
	// On a busy computer a key can come before the dialog listens; a person who sees that nothing happened presses again.
	for range 5 {
		for range 20 {
			if out, err := h.do("getwindowpid", id); err != nil || strings.TrimSpace(out) != strings.TrimSpace(h.last) {
				return nil
			}
			time.Sleep(100 * time.Millisecond)
		}
		_, _ = h.do("windowfocus", "--sync", id)
		_, _ = h.do("key", keys[len(keys)-1])
	}
	return fmt.Errorf("the window named %s stays", title)
}

func eventually(is func() bool) bool {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

func (h hands) shoot(name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	cmd := exec.Command("import", "-window", "root", filepath.Join(dir, strings.ReplaceAll(h.t.Name()+"-"+strings.TrimSpace(h.last)+name, "/", "-")+".png"))
	cmd.Env = append(os.Environ(), "DISPLAY="+h.display)
	_ = cmd.Run()
}

type outcome struct {
	secret *agent.Secret
	err    error
}

func ask(p *Prompter, req agent.PINRequest) chan outcome {
	c := make(chan outcome, 1)
	go func() {
		s, err := p.AskPIN(context.Background(), req)
		c <- outcome{s, err}
	}()
	return c
}

func TestAPersonTypesIntoPinentryGTK(t *testing.T) {
	program := testtool.Need(t, "pinentry-gtk-2")
	h := &hands{t: t, display: screen(t), xdotool: testtool.Need(t, "xdotool")}
	p := New(Config{Program: program, Env: []string{"DISPLAY=" + h.display, "GTK_IM_MODULE=gtk-im-context-simple"}, Language: "pl", Timeout: 30 * time.Second})

	req := signRequest()
	req.State, req.Incorrect = agent.PINFinal, true
	c := ask(p, req)
	h.typeInto("CertSign", "12 %34", "Return")
	got := <-c
	require.NoError(t, got.err)
	assert.Equal(t, "12 %34", string(got.secret.Bytes()))

	// Typing twice fails on a busy computer when the first letters are lost: then once more, from the beginning.
	for try := 1; ; try++ {
		c = ask(p, agent.PINRequest{New: true, Purpose: agent.PurposeEnroll, Origin: "https://portal.example:8443", Label: "Keystore"})
		err := h.tryInto("CertSign", "slabe", "Return", "slabe", "Return")
		if err == nil {
			err = h.tryInto("CertSign", "Mocne-haslo-12", "Return", "Mocne-haslo-12", "Return")
		}
		if err == nil {
			break
		}
		require.Less(t, try, 3, "%v", err)
		_, _ = h.do("key", "Escape")
		<-c
	}
	got = <-c
	require.NoError(t, got.err)
	assert.Equal(t, "Mocne-haslo-12", string(got.secret.Bytes()))

	c = ask(p, signRequest())
	h.typeInto("CertSign", "Escape")
	assert.Equal(t, problem.UserCancelled, problem.CodeOf((<-c).err))
}

func TestAnotherProgramHasTheKeyboardWhenPinentryGTKComes(t *testing.T) {
	program := testtool.Need(t, "pinentry-gtk-2")
	h := &hands{t: t, display: screen(t), xdotool: testtool.Need(t, "xdotool")}
	env := []string{"DISPLAY=" + h.display, "GTK_IM_MODULE=gtk-im-context-simple"}

	other := exec.Command(program, "--display", h.display)
	other.Env = append(os.Environ(), env...)
	in, err := other.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	_, err = in.Write([]byte("SETTITLE other\nGETPIN\n"))
	require.NoError(t, err)
	visible := func(title string) func() bool {
		return func() bool {
			out, err := h.do("search", "--onlyvisible", "--name", title)
			return err == nil && strings.TrimSpace(out) != ""
		}
	}
	require.True(t, eventually(visible("other")))
	time.Sleep(500 * time.Millisecond) // it has the keyboard a moment after it is seen

	c := ask(New(Config{Program: program, Env: env, Language: "pl", Timeout: time.Minute}), signRequest())
	require.True(t, eventually(visible("CertSign – PIN")), "the dialog is there though it cannot have the keyboard alone")
	h.typeInto("other", "Escape")
	h.typeInto("CertSign – PIN", "12 %34", "Return")
	got := <-c
	require.NoError(t, got.err)
	assert.Equal(t, "12 %34", string(got.secret.Bytes()))
}

func TestAPersonTypesIntoZenityWhereThereIsNoPinentry(t *testing.T) {
	program := testtool.Need(t, "zenity")
	h := &hands{t: t, display: screen(t), xdotool: testtool.Need(t, "xdotool")}
	p := New(Config{Language: "pl", Timeout: 30 * time.Second})
	p.choose = func() (dialog, error) {
		return &zenity{program: program, env: []string{"DISPLAY=" + h.display, "GDK_BACKEND=x11"}}, nil
	}
	c := ask(p, signRequest())
	require.Eventually(t, func() bool { return strings.Contains(arguments(), "--hide-text") }, 10*time.Second, 10*time.Millisecond)
	assert.NotContains(t, arguments(), "portal.example", "arguments can be read by everybody on the computer")
	h.typeInto("CertSign", "12 %34", "Return")
	got := <-c
	require.NoError(t, got.err)
	assert.Equal(t, "12 %34", string(got.secret.Bytes()))

	c = ask(p, agent.PINRequest{New: true, Purpose: agent.PurposeEnroll})
	h.typeInto("CertSign", "Mocne-haslo-12", "Return")
	h.typeInto("CertSign", "Mocne-haslo-12", "Return")
	got = <-c
	require.NoError(t, got.err)
	assert.Equal(t, "Mocne-haslo-12", string(got.secret.Bytes()))

	c = ask(p, signRequest())
	h.typeInto("CertSign", "Escape")
	assert.Equal(t, problem.UserCancelled, problem.CodeOf((<-c).err))
}

// arguments are those of all processes.
func arguments() string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var b bytes.Buffer
	for _, f := range files {
		line, _ := os.ReadFile(f)
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// terminal makes a pseudo-terminal and returns the person's end and the name of the program's.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	person, program := testtool.Terminal(t)
	t.Cleanup(func() { _, _ = person.Close(), program.Close() }) // the person reads an error while no program has it open
	return person, program.Name()
}

// reader collects what a terminal shows.
type reader struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *reader) follow(f *os.File) {
	buffer := make([]byte, 4096)
	for {
		n, err := f.Read(buffer)
		r.mu.Lock()
		r.b.Write(buffer[:n])
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (r *reader) shows(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.b.String(), s)
}

func TestAPersonTypesIntoPinentryOnATerminal(t *testing.T) {
	for _, name := range []string{"pinentry-tty", "pinentry-curses"} {
		t.Run(name, func(t *testing.T) {
			program := testtool.Need(t, name)
			master, tty := terminal(t)
			var screen reader
			go screen.follow(master)
			p := New(Config{Program: program, TTY: tty, Language: "pl", Env: []string{"DISPLAY=", "TERM=vt100"}})
			c := ask(p, signRequest())
			require.Eventually(t, func() bool { return screen.shows("PIN karty") }, 10*time.Second, 10*time.Millisecond)
			assert.True(t, screen.shows("https://portal.example:8443"))
			_, err := master.WriteString("12 %34\r")
			require.NoError(t, err)
			got := <-c
			require.NoError(t, got.err)
			assert.Equal(t, "12 %34", string(got.secret.Bytes()))
			assert.False(t, screen.shows("12 %34"), "what is typed is not shown")
		})
	}
}
