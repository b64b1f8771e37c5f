//go:build unix

package pin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

// The test binary is also the pinentry of these tests: a script of answers, one to each GETPIN over all its runs.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PIN_TEST_PEER"); dir != "" {
		peer(dir)
		return
	}
	os.Exit(m.Run())
}

func peer(dir string) {
	var script []string
	b, _ := os.ReadFile(filepath.Join(dir, "script"))
	_ = json.Unmarshal(b, &script)
	log, _ := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	_, _ = fmt.Fprintln(log, "START", strconv.Itoa(os.Getpid()), strings.Join(os.Args[1:], " "))
	if greeting := os.Getenv("PIN_TEST_GREETING"); greeting != "" {
		fmt.Println(greeting)
	} else {
		fmt.Println("OK Pleased to meet you")
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		_, _ = fmt.Fprintln(log, in.Text())
		switch {
		case in.Text() == "GETPIN":
			b, _ := os.ReadFile(filepath.Join(dir, "log"))
			n := bytes.Count(b, []byte("GETPIN\n")) - 1
			switch script[n] {
			case "grabbed":
				fmt.Fprintln(os.Stderr, "** (pinentry-gtk-2:1): CRITICAL **: could not grab keyboard: already grabbed (1)")
				fmt.Println("ERR 83886179 Operation cancelled <Pinentry>")
			case "die":
				os.Exit(1)
			case "hang":
				time.Sleep(time.Minute)
			default:
				fmt.Print(script[n])
			}
		case strings.HasPrefix(in.Text(), "OPTION"):
			fmt.Println("ERR 83886254 Unknown option <Pinentry>")
		case in.Text() == "BYE":
			fmt.Println("OK closing connection")
			return
		default:
			fmt.Println("OK")
		}
	}
}

// scripted returns a Prompter whose dialog gives those answers, and its record.
func scripted(t *testing.T, lang string, answers ...string) (*Prompter, func() string) {
	t.Helper()
	dir := t.TempDir()
	b, err := json.Marshal(answers)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), b, 0o600))
	p := New(Config{Program: os.Args[0], Args: []string{"--argument"}, Env: []string{"PIN_TEST_PEER=" + dir}, TTY: "/dev/pts/77", Language: lang, Timeout: 20 * time.Second})
	return p, func() string {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return string(log)
	}
}

func signRequest() agent.PINRequest {
	return agent.PINRequest{Label: "Karta celna", Where: "nr 0123456789", State: agent.PINOK, Purpose: agent.PurposeSign, Origin: "https://portal.example:8443", Document: "zgłoszenie.xml"}
}

const good = "D Zażółć-gęślą1%25\nOK\n"

func TestAPINComesBackExactly(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"plain":                         {"D 123456\nOK\n", "123456"},
		"with percent escapes":          {"D a%25b%0Ac%0Dd\nOK\n", "a%b\nc\rd"},
		"with lower-case escapes":       {"D %2b\nOK\n", "+"},
		"with a percent sign by itself": {"D 100%\nOK\n", "100%"},
		"with Polish letters":           {"D zażółć\nOK\n", "zażółć"},
		"with spaces at its ends":       {"D  a \nOK\n", " a "},
		"in two data lines":             {"D 12\nD 34\nOK\n", "1234"},
		"after a status and a comment":  {"S PASSWORD_FROM_CACHE\n# hello\nD 1\nOK\n", "1"},
		"after a question of quality":   {"INQUIRE QUALITY 12\nD 12\nOK\n", "12"},
		"after nothing was entered":     {"OK\n", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := scripted(t, "pl", tt.answer, "D x\nOK\n")
			s, err := p.AskPIN(context.Background(), signRequest())
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(s.Bytes()))
		})
	}
}

func TestADialogThatCannotHaveTheKeyboardForItselfComesAgain(t *testing.T) {
	p, log := scripted(t, "pl", "grabbed", good)
	s, err := p.AskPIN(context.Background(), signRequest())
	require.NoError(t, err)
	assert.Equal(t, "Zażółć-gęślą1%", string(s.Bytes()))
	assert.NotContains(t, log(), "no-grab")

	p, log = scripted(t, "pl", "grabbed", "grabbed", "grabbed", good)
	_, err = p.AskPIN(context.Background(), signRequest())
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(log(), "OPTION no-grab\n"), "at last it shares the keyboard")

	p, log = scripted(t, "pl", "grabbed", "grabbed", "grabbed", "grabbed", good)
	_, err = p.AskPIN(context.Background(), signRequest())
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(err), "it has an end")
	assert.Equal(t, 4, strings.Count(log(), "GETPIN\n"))

	p, log = scripted(t, "pl", "ERR 83886179 Operation cancelled <Pinentry>\n", good)
	_, err = p.AskPIN(context.Background(), signRequest())
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
	assert.Equal(t, 1, strings.Count(log(), "GETPIN\n"), "a person who cancels is not asked again")
}

func TestADialogSaysWhoAsksForWhat(t *testing.T) {
	tests := []struct {
		name, lang string
		change     func(*agent.PINRequest)
		says       []string
		not        []string
	}{
		{"a signature", "pl", func(*agent.PINRequest) {}, []string{
			"START", "--argument", "OPTION ttyname=/dev/pts/77", "SETTITLE CertSign – PIN\n",
			"SETDESC Złożenie podpisu elektronicznego%0AStrona: https://portal.example:8443%0ADokument: „zgłoszenie.xml”%0AKlucz: Karta celna%0AMiejsce: nr 0123456789\n",
			"SETPROMPT PIN karty lub tokena:\n", "SETOK OK\n", "SETCANCEL Anuluj\n"},
			[]string{"SETERROR", "SETREPEAT", "SETKEYINFO", "allow-external-password-cache"}},
		{"in English", "en", func(*agent.PINRequest) {}, []string{"SETDESC Making an electronic signature%0ASite: https://portal.example:8443%0ADocument: “zgłoszenie.xml”", "SETCANCEL Cancel"}, nil},
		{"after a wrong one", "pl", func(r *agent.PINRequest) { r.Incorrect = true }, []string{"SETERROR Nieprawidłowy PIN. Spróbuj ponownie.\n"}, nil},
		{"of a key file", "pl", func(r *agent.PINRequest) { r.State, r.Incorrect = "", true }, []string{
			"SETTITLE CertSign – hasło klucza\n", "SETPROMPT Hasło:\n", "SETERROR Nieprawidłowe hasło. Spróbuj ponownie.\n"}, []string{"PIN karty"}},
		{"with fewer tries", "pl", func(r *agent.PINRequest) { r.State = agent.PINLow }, []string{"SETTITLE CertSign – PIN (ostatnio błędny)\n", "%0A%0AUWAGA: ostatnio podano błędny PIN"}, nil},
		{"with the last try", "en", func(r *agent.PINRequest) { r.State = agent.PINFinal }, []string{"SETTITLE CertSign – PIN (LAST TRY)\n", "CAUTION: this is the last try."}, nil},
		{"before a deletion", "en", func(r *agent.PINRequest) { r.Purpose = agent.PurposeDelete }, []string{"SETDESC DELETING a key"}, nil},
		{"of a certificate that is stored", "pl", func(r *agent.PINRequest) { r.Purpose, r.Document = agent.PurposeStore, "Grażyna Żółć" }, []string{"Certyfikat: „Grażyna Żółć”"}, []string{"Dokument"}},
		{"from the shell", "en", func(r *agent.PINRequest) { r.Origin = "local" }, []string{"Site: this computer (command line)"}, nil},
		{"with hostile words", "en", func(r *agent.PINRequest) {
			r.Document = "<b>a</b>\nSETERROR owned\u202e%0A"
			r.Label = "x\r\nGETPIN"
		}, []string{"“‹b›a‹/b›⟨U+000A⟩SETERROR owned⟨U+202E⟩%250A”", "Key: x⟨U+000D⟩⟨U+000A⟩GETPIN"}, []string{"\nSETERROR", "<b>"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, log := scripted(t, tt.lang, "D 1\nOK\n")
			req := signRequest()
			tt.change(&req)
			_, err := p.AskPIN(context.Background(), req)
			require.NoError(t, err)
			for _, s := range tt.says {
				assert.Contains(t, log(), s)
			}
			for _, s := range tt.not {
				assert.NotContains(t, log(), s)
			}
		})
	}
}

func TestANewPasswordIsAskedForUntilItIsGoodAndTheSameTwice(t *testing.T) {
	req := agent.PINRequest{New: true, Purpose: agent.PurposeEnroll, Origin: "https://portal.example"}
	p, log := scripted(t, "pl",
		"D krótkie\nOK\n",                    // weak
		"S PIN_REPEATED\nD samemaleL1\nOK\n", // weak too, although repeated
		good, "D Zażółć-gęślą1\nOK\n",        // differs
		good, good)
	s, err := p.AskPIN(context.Background(), req)
	require.NoError(t, err)
	assert.Equal(t, "Zażółć-gęślą1%", string(s.Bytes()))
	for _, says := range []string{
		"SETTITLE CertSign – nowe hasło klucza", "Co najmniej 12 znaków, w tym mała litera, wielka litera, cyfra i znak specjalny.", "Hasła nikt nie może odzyskać.",
		"SETREPEAT Powtórz hasło:", "SETREPEATERROR Hasła są różne.", "SETPROMPT Powtórz hasło:",
		"SETERROR Hasło nie spełnia wymagań. Brakuje: 12 znaków, wielkiej litery, cyfry, znaku specjalnego.",
		"SETERROR Hasło nie spełnia wymagań. Brakuje: 12 znaków, znaku specjalnego.", "SETERROR Hasła są różne.",
	} {
		assert.Contains(t, log(), says)
	}
	assert.NotContains(t, log(), "gęślą", "the password goes one way only")

	p, log = scripted(t, "en", "S PIN_REPEATED\n"+good)
	_, err = p.AskPIN(context.Background(), req)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(log(), "GETPIN"), "a dialog that repeats by itself is shown once")

	p, _ = scripted(t, "en", strings.Split(strings.Repeat("D weak\nOK\n|", maxWeak), "|")...)
	_, err = p.AskPIN(context.Background(), req)
	assert.Equal(t, problem.PasswordWeak, problem.CodeOf(err))
}

func TestWhatGoesWrongHasItsCode(t *testing.T) {
	tests := []struct {
		name, answer string
		code         problem.Code
	}{
		{"cancelled", "ERR 83886179 Operation cancelled <Pinentry>\n", problem.UserCancelled},
		{"cancelled, by a pinentry of another origin", "ERR 100663395 canceled\n", problem.UserCancelled},
		{"fully cancelled", "ERR 83886278 fully\n", problem.UserCancelled},
		{"not confirmed", "ERR 83886194 no\n", problem.UserCancelled},
		{"timed out", "ERR 83886142 Timeout <Pinentry>\n", problem.Timeout},
		{"no terminal", "ERR 83918950 Inappropriate ioctl for device <Pinentry>\n", problem.PromptUnavailable},
		{"the program dies", "die", problem.PromptUnavailable},
		{"the program talks nonsense", "D secret123\nHELLO secret123\n", problem.PromptUnavailable},
		{"a line without end", "D " + strings.Repeat("x", 10000) + "\n", problem.PromptUnavailable},
		{"a secret without end", strings.Repeat("D "+strings.Repeat("x", 900)+"\n", 10) + "OK\n", problem.PromptUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := scripted(t, "pl", tt.answer)
			var log bytes.Buffer
			p.log = slog.New(slog.NewTextHandler(&log, nil))
			s, err := p.AskPIN(context.Background(), signRequest())
			assert.Nil(t, s)
			assert.Equal(t, tt.code, problem.CodeOf(err))
			assert.NotContains(t, fmt.Sprintf("%v%+v", err, err)+log.String(), "secret123")
		})
	}
	t.Run("a greeting that is none", func(t *testing.T) {
		p, _ := scripted(t, "pl", "die")
		p.config.Env = append(p.config.Env, "PIN_TEST_GREETING=no")
		_, err := p.AskPIN(context.Background(), signRequest())
		assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(err))
	})
	t.Run("no program", func(t *testing.T) {
		p := New(Config{Program: "/nonexistent/pinentry"})
		assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(p.Available()))
	})
	t.Run("a locked PIN is not asked for", func(t *testing.T) {
		p, log := scripted(t, "pl")
		_, err := p.AskPIN(context.Background(), agent.PINRequest{State: agent.PINLocked})
		assert.Equal(t, problem.PINLocked, problem.CodeOf(err))
		_, err = p.AskPIN(context.Background(), agent.PINRequest{State: agent.PINUnset})
		assert.Equal(t, problem.PINNotSet, problem.CodeOf(err))
		assert.Empty(t, log())
	})
	t.Run("a locked PUK is not asked for", func(t *testing.T) {
		p, log := scripted(t, "pl")
		_, err := p.AskPIN(context.Background(), agent.PINRequest{PUK: true, State: agent.PINLocked})
		assert.Equal(t, problem.PUKLocked, problem.CodeOf(err))
		assert.Empty(t, log())
	})
	t.Run("a new PIN that no token takes", func(t *testing.T) {
		p, log := scripted(t, "en", strings.Split(strings.Repeat("D 123\nOK\n|", maxWeak), "|")...)
		_, err := p.AskPIN(context.Background(), agent.PINRequest{New: true, Min: 4, Max: 8, State: agent.PINUnset})
		assert.Equal(t, problem.PINUnsuitable, problem.CodeOf(err))
		assert.Contains(t, log(), "SETPROMPT New PIN:")
		assert.Contains(t, log(), "SETERROR From 4 to 8 characters.")
	})
	t.Run("an empty PIN costs no try", func(t *testing.T) {
		p, _ := scripted(t, "pl", "OK\n", "OK\n", "OK\n", "OK\n", "OK\n")
		_, err := p.AskPIN(context.Background(), signRequest())
		assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
	})
}

func TestADialogEndsWithItsContext(t *testing.T) {
	p, log := scripted(t, "pl", "hang")
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { _, err := p.AskPIN(ctx, signRequest()); result <- err }()
	require.Eventually(t, func() bool { return strings.Contains(log(), "GETPIN") }, 10*time.Second, 5*time.Millisecond)
	pid := strings.Fields(log())[1]
	cancel()
	assert.ErrorIs(t, <-result, context.Canceled)
	assert.NoFileExists(t, "/proc/"+pid+"/status")

	p, _ = scripted(t, "pl", "hang")
	p.config.Timeout = 300 * time.Millisecond
	_, err := p.AskPIN(context.Background(), signRequest())
	assert.Equal(t, problem.Timeout, problem.CodeOf(err))
}

func FuzzConversation(f *testing.F) {
	f.Add([]byte("OK\nS x\nD a%25\nD b\nERR 1 x\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer func() { _ = r.Close() }()
		go func() { _, _ = w.Write(said); _ = w.Close() }()
		c := &conversation{stdout: r}
		for {
			line, _, err := c.ReadLine()
			if err != nil {
				break
			}
			require.LessOrEqual(t, len(line), maxLine)
			if bytes.HasPrefix(line, []byte("D ")) {
				require.Len(t, line, 2)
			}
		}
		require.LessOrEqual(t, len(c.secret), maxSecret+maxLine)
	})
}
