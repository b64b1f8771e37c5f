package pin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

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

func (e *entry) ask(ctx context.Context, q question) (*agent.Secret, bool, error) {
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
	if q.repeat != "" {
		options = append(options, pinentry.WithRepeat(q.repeat), pinentry.WithRepeatError(q.differ))
	}
	if q.wrong != "" {
		options = append(options, pinentry.WithError(q.wrong))
	}
	client, err := pinentry.NewClient(options...)
	if err != nil {
		_ = talk.Close()
		return nil, false, translate(err)
	}
	result, err := client.GetPIN()
	_ = client.Close()
	if err != nil {
		return nil, false, translate(err)
	}
	return talk.take(), result.PINRepeated, nil
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
}

func (c *conversation) Start(name string, args []string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), c.env...)
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
