package pin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	pinentry "github.com/twpayne/go-pinentry/v4"

	"certsign/agent"
	"certsign/agent/prompt/child"
	"certsign/internal/problem"
)

// entry shows questions with a pinentry program.
type entry struct {
	program string
	args    []string
	env     []string
	tty     string
}

// grabs is how often a pinentry may try to have the keyboard for itself alone, and pause what lies between.
const (
	grabs = 3
	pause = 500 * time.Millisecond
)

// ask shows the question. A pinentry of X11 wants the keyboard for itself, and says that it was cancelled when another program
// has it: a menu that is open, a dialog that is about to close. It is started again, at last without that wish.
func (e *entry) ask(ctx context.Context, q question) (*agent.Secret, bool, error) {
	for try := 1; ; try++ {
		secret, repeated, grabbed, err := e.askOnce(ctx, q, try <= grabs)
		if err == nil || !grabbed || try > grabs {
			return secret, repeated, err
		}
		select {
		case <-ctx.Done():
			return nil, false, err
		case <-time.After(pause):
		}
	}
}

// askOnce also says whether the program complained that it could not grab keyboard or pointer.
func (e *entry) askOnce(ctx context.Context, q question, grab bool) (secret *agent.Secret, repeated, grabbed bool, err error) {
	talk := &conversation{ctx: ctx, env: e.env}
	defer talk.wipe()
	options := []pinentry.ClientOption{
		pinentry.WithProcess(talk), pinentry.WithBinaryName(e.program), pinentry.WithArgs(e.args),
		pinentry.WithOption(pinentry.OptionLCCType + "=" + charset()),
		pinentry.WithTitle(q.title), pinentry.WithDesc(q.description()), pinentry.WithPrompt(q.prompt),
		pinentry.WithOK(q.ok), pinentry.WithCancel(q.cancel),
	}
	// Neither SETKEYINFO nor allow-external-password-cache: nothing may remember a PIN.
	if e.tty != "" {
		options = append(options, pinentry.WithOption(pinentry.OptionTTYName+"="+e.tty),
			pinentry.WithOption(pinentry.OptionTTYType+"="+terminalType()))
	}
	if !grab {
		options = append(options, pinentry.WithOption("no-grab"))
	}
	if q.repeat != "" {
		options = append(options, pinentry.WithRepeat(q.repeat), pinentry.WithRepeatError(q.differ))
	}
	if q.wrong != "" {
		options = append(options, pinentry.WithError(q.wrong))
	}
	client, err := pinentry.NewClient(options...)
	if err != nil {
		_ = talk.Close()
		return nil, false, false, translate(err)
	}
	result, err := client.GetPIN()
	_ = client.Close()
	if err != nil {
		return nil, false, talk.complaints.ofGrab(), translate(err)
	}
	return talk.take(), result.PINRepeated, false, nil
}

// translate makes an Assuan error a problem. The code's lower 16 bits are libgpg-error's, the others say who found it.
func translate(err error) error {
	var assuan *pinentry.AssuanError
	if errors.As(err, &assuan) {
		switch assuan.Code & 0xFFFF {
		case 99, 114, 198: // GPG_ERR_CANCELED, GPG_ERR_NOT_CONFIRMED, GPG_ERR_FULLY_CANCELED
			return problem.New(problem.UserCancelled, "the PIN dialog was cancelled")
		case 62: // GPG_ERR_TIMEOUT
			return problem.New(problem.Timeout, "nobody answered the PIN dialog")
		}
		return problem.Wrap(problem.PromptUnavailable, err, "the PIN program failed")
	}
	var unexpected pinentry.UnexpectedResponseError
	if errors.As(err, &unexpected) {
		err = errors.New("it broke the protocol") // its words may hold anything
	}
	return problem.Wrap(problem.PromptUnavailable, err, "the PIN program failed")
}

// charset is the encoding that we speak: the person's own locale where that is UTF-8.
func charset() string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if upper := strings.ToUpper(v); strings.HasSuffix(upper, ".UTF-8") || strings.HasSuffix(upper, ".UTF8") {
				return v
			}
			break
		}
	}
	return "C.UTF-8"
}

func terminalType() string {
	if t := os.Getenv("TERM"); t != "" {
		return t
	}
	return "vt100"
}

// maxLine is more than Assuan's 1000 octets, and maxSecret more than any PIN or password.
const (
	maxLine   = 2048
	maxSecret = 4096
)

// complaints are the first words of a program on its standard error. They are looked at once it has ended, and go nowhere.
type complaints struct{ words []byte }

func (c *complaints) Write(b []byte) (int, error) {
	c.words = append(c.words, b[:min(len(b), maxLine-len(c.words))]...)
	return len(b), nil
}

// ofGrab looks for what pinentry-gtk-2 and its relatives write, in no language but English.
func (c *complaints) ofGrab() bool { return bytes.Contains(c.words, []byte("could not grab")) }

var errLine = errors.New("a line that is too long")

// conversation is the pipe to a pinentry. It takes the secret out of the lines before the protocol library, which would
// make Go strings of it, and keeps only the last of several data lines, sees them. It also excuses a program from options that it does not know.
type conversation struct {
	ctx     context.Context
	env     []string
	process *child.Process
	stdin   io.WriteCloser
	stdout  *os.File
	buffer  [maxLine]byte
	held    int // octets in buffer
	secret  []byte
	option  bool // the last command was one that may fail

	complaints complaints
}

func (c *conversation) Start(name string, args []string) error {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), c.env...), &c.complaints
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	c.process, c.stdout, err = child.StartReading(c.ctx, cmd)
	return err
}

func (c *conversation) Write(line []byte) (int, error) {
	c.option = bytes.HasPrefix(line, []byte("OPTION "))
	return c.stdin.Write(line)
}

// ReadLine returns the next line without its line feed, and without the secret.
func (c *conversation) ReadLine() ([]byte, bool, error) {
	for {
		if end := bytes.IndexByte(c.buffer[:c.held], '\n'); end >= 0 {
			line := c.judge(bytes.TrimSuffix(c.buffer[:end], []byte("\r")))
			copy(c.buffer[:], c.buffer[end+1:c.held])
			clear(c.buffer[c.held-end-1 : c.held])
			c.held -= end + 1
			if len(c.secret) > maxSecret {
				return nil, false, errLine
			}
			return line, false, nil
		}
		if c.held == len(c.buffer) {
			return nil, false, errLine
		}
		n, err := c.stdout.Read(c.buffer[c.held:])
		c.held += n
		if n == 0 && err != nil {
			return nil, false, err
		}
	}
}

// judge returns what the library shall see of a line.
func (c *conversation) judge(line []byte) []byte {
	switch {
	case bytes.HasPrefix(line, []byte("D ")):
		c.secret = unescape(c.secret, line[2:])
		return []byte("D ")
	case bytes.HasPrefix(line, []byte("INQUIRE QUALITY")):
		return []byte("INQUIRE QUALITY ") // we ask for no judgement, and it would hold what is typed
	case c.option && bytes.HasPrefix(line, []byte("ERR ")):
		return []byte("OK")
	default:
		return bytes.Clone(line)
	}
}

// unescape appends data with its percent escapes replaced (Assuan, "Server responses": %25, %0D and %0A at least). It
// moves dst by itself, so that no copy of it is left behind.
func unescape(dst, data []byte) []byte {
	if need := len(dst) + len(data); need > cap(dst) {
		moved := make([]byte, len(dst), 2*need)
		copy(moved, dst)
		clear(dst)
		dst = moved
	}
	for i := 0; i < len(data); i++ {
		if data[i] == '%' && i+2 < len(data) {
			if hi, lo := hex(data[i+1]), hex(data[i+2]); hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		dst = append(dst, data[i])
	}
	return dst
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	default:
		return -1
	}
}

// Close ends the program.
func (c *conversation) Close() error {
	if c.process == nil {
		return nil
	}
	err := c.stdin.Close()
	c.process.Stop()
	_ = c.stdout.Close()
	return err
}

// take hands over the secret.
func (c *conversation) take() *agent.Secret {
	s := agent.NewSecret(c.secret)
	c.secret = nil
	return s
}

func (c *conversation) wipe() {
	clear(c.buffer[:])
	clear(c.secret)
	c.secret = nil
}
