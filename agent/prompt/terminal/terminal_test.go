//go:build linux

package terminal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// keyboard is the person's side of a pseudo-terminal.
type keyboard struct {
	t      *testing.T
	master *os.File
	mu     sync.Mutex
	shown  bytes.Buffer
	read   int // of shown, by until
}

// open returns a Terminal and its keyboard.
func open(t *testing.T, lang string) (*Terminal, *keyboard) {
	t.Helper()
	master, slave := testtool.Terminal(t)
	terminal, err := New(Config{In: slave, Out: slave, Language: lang, Timeout: 20 * time.Second})
	require.NoError(t, err)
	k := &keyboard{t: t, master: master}
	go k.follow()
	t.Cleanup(func() { _ = terminal.Close(); _ = master.Close(); _ = slave.Close() })
	return terminal, k
}

func (k *keyboard) follow() {
	buffer := make([]byte, 4096)
	for {
		n, err := k.master.Read(buffer)
		k.mu.Lock()
		k.shown.Write(buffer[:n])
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (k *keyboard) all() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shown.String()
}

// until waits for a text that was not there at the last call, and then types.
func (k *keyboard) until(text, typed string) {
	k.t.Helper()
	require.Eventually(k.t, func() bool {
		all := k.all()
		at := strings.Index(all[k.read:], text)
		if at < 0 {
			return false
		}
		k.read += at + len(text)
		return true
	}, 10*time.Second, 5*time.Millisecond, "%q on %q", text, k.all())
	time.Sleep(200 * time.Millisecond) // what comes sooner is thrown away
	_, err := k.master.WriteString(typed)
	require.NoError(k.t, err)
}

func origin(s string) agent.Origin {
	o, err := agent.ParseOrigin(s)
	if err != nil {
		panic(err)
	}
	return o
}

func background(f func() error) chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func TestASiteIsLetInOnlyByTheWholeWord(t *testing.T) {
	for _, tt := range []struct {
		name, lang, typed string
		code              problem.Code
	}{
		{"the word", "pl", "tak\r", ""},
		{"the word in English", "en", "YES\n", ""},
		{"the word, corrected", "pl", "nix\x7f\x7f\x7ftal\bk\r", ""},
		{"the word after an arrow and a line taken back", "pl", "\x1b[Aabc\x15tak\r", ""},
		{"Enter alone", "pl", "\r", problem.UserCancelled},
		{"something else, and Enter", "en", "y\rno\r\r", problem.UserCancelled},
		{"something else for too long", "en", "y\ry\ry\ry\ry\r", problem.UserCancelled},
		{"control-C", "pl", "ta\x03", problem.UserCancelled},
		{"control-D", "pl", "\x04", problem.UserCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			terminal, k := open(t, tt.lang)
			result := background(func() error {
				return terminal.ApproveOrigin(context.Background(), agent.OriginQuestion{Origin: origin("https://xn--d-uga.example")})
			})
			k.until(map[string]string{"pl": "oznacza odmowę: ", "en": "Enter alone refuses: "}[tt.lang], tt.typed)
			assert.Equal(t, tt.code, problem.CodeOf(<-result))
			assert.Contains(t, k.all(), "https://xn--d-uga.example (https://ód.example)")
		})
	}
}

func TestWhatWasTypedBeforeTheQuestionIsThrownAway(t *testing.T) {
	terminal, k := open(t, "en")
	_, err := k.master.WriteString("yes\ryes\r")
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond)
	result := background(func() error {
		return terminal.ApproveOrigin(context.Background(), agent.OriginQuestion{Origin: origin("https://a.example")})
	})
	k.until("refuses: ", "\r")
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-result))
}

func TestAPlaceForAKeyIsChosenByNumber(t *testing.T) {
	keys := []agent.KeyAlgorithm{agent.RSA3072, agent.P256}
	q := agent.StoreQuestion{Origin: origin("https://portal.example"), Site: "Portal", CA: "CCK", Algorithm: agent.RSA3072, Stores: []agent.StoreOffer{
		{Store: "pkcs11", Places: []agent.Place{
			{ID: "a", Label: "Karta\x1b[2J", Hardware: true, State: agent.PINOK, Keys: keys},
			{ID: "b", Label: "Zablokowana", Hardware: true, State: agent.PINLocked, Keys: keys}}},
		{Store: "csp", Unavailable: string(problem.StoreUnavailable)},
		{Store: "keyfile", Places: []agent.Place{{Label: "Plik", NewPIN: true, State: agent.PINUnset, Keys: keys}}},
	}}
	for _, tt := range []struct {
		name, wish string
		typed      [2]string
		want       agent.StoreAnswer
		code       problem.Code
	}{
		{"what is preselected", "", [2]string{"\r", "\r"}, agent.StoreAnswer{Store: "pkcs11", Place: "a", Algorithm: agent.RSA3072}, ""},
		{"what the page wished", "keyfile", [2]string{"\r", "\r"}, agent.StoreAnswer{Store: "keyfile", Algorithm: agent.RSA3072}, ""},
		{"another", "", [2]string{"9\r2\r", "2\r"}, agent.StoreAnswer{Store: "keyfile", Algorithm: agent.P256}, ""},
		{"none", "", [2]string{"0\r", ""}, agent.StoreAnswer{}, problem.UserCancelled},
		{"a place and no key", "", [2]string{"1\r", "0\r"}, agent.StoreAnswer{}, problem.UserCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			terminal, k := open(t, "en")
			q := q
			q.Wish = tt.wish
			var got agent.StoreAnswer
			result := background(func() (err error) {
				got, err = terminal.ConfigureStore(context.Background(), q)
				return err
			})
			k.until("(0 – cancel", tt.typed[0])
			if tt.typed[1] != "" {
				k.until("Kind of key [", tt.typed[1])
			}
			assert.Equal(t, tt.code, problem.CodeOf(<-result))
			assert.Equal(t, tt.want, got)
			assert.Contains(t, k.all(), "Karta⟨U+001B⟩[2J")
			assert.Contains(t, k.all(), "CSP – the Windows certificate store; Not available: not present on this computer")
			if tt.want.Store == "keyfile" {
				assert.Contains(t, k.all(), "The password cannot be recovered.", "before it is chosen")
			}
		})
	}
}

func signing() agent.SigningQuestion {
	view := func(name, content string) agent.DocumentView {
		sum := sha256.Sum256([]byte(content))
		return agent.DocumentView{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Content: []byte(content)}
	}
	until := time.Now().AddDate(0, 0, 10)
	return agent.SigningQuestion{Origin: origin("https://portal.example:8443"), Site: "Portal celny", Format: "XAdES", Level: "B-B",
		Documents: []agent.DocumentView{
			view("zgłoszenie\u202elmx.exe", "<a x='1'>\n<b>Żółć &#x202E;</b><c/>"+strings.Repeat("<d>wiersz</d>", 60)+"</a>"),
			view("uwagi.txt", "raz\n\x1b]0;owned\x07dwa\n"), view("uwagi2.txt", "raz\n\x1b[31mdwa\n"), view("a.pdf", "%PDF-1.7")},
		Certificates: []agent.CertificateView{
			{Key: "k/0", Subject: "CN=Stary", Problem: string(problem.CertificateExpired)},
			{Key: "k/1", Subject: "CN=Żaneta\x1b[31m,C=PL", Issuer: "CN=CCK,C=PL", NotAfter: until, DaysLeft: 10, Where: "plik"},
			{Key: "k/2", Subject: "CN=Druga", Issuer: "CN=CCK", NotAfter: until, DaysLeft: 100, Where: "karta"}}}
}

func TestADocumentIsSeenAndSignedOnATerminal(t *testing.T) {
	terminal, k := open(t, "pl")
	var got agent.SigningAnswer
	result := background(func() (err error) {
		got, err = terminal.ApproveSigning(context.Background(), signing())
		return err
	})
	k.until("Numer certyfikatu", "2\r")
	k.until("Aby podpisać", "1\r")
	k.until("Enter: dalej, q: koniec", "\r")
	k.until("Enter: dalej, q: koniec", "q\r")
	k.until("Aby podpisać", "3\r")
	k.until("Koniec dokumentu.", "4\r")
	k.until("To plik PDF.", "2\r")
	k.until("nie można tutaj pokazać", "podpisz\r")
	require.NoError(t, <-result)
	assert.Equal(t, "k/2", got.Key)
	all := k.all()
	for _, says := range []string{"Podpisanie 4 dokumentów", "Portal celny – https://portal.example:8443", "„zgłoszenie⟨U+202E⟩lmx.exe”", "(został", "a x=\"1\"\r\n",
		"  b: Żółć ⟨U+202E⟩\r\n", "  c: (puste)", "⟨U+001B⟩[31mdwa", "Stary; Nie można użyć: certyfikat stracił ważność", "Żaneta⟨U+001B⟩[31m", "Certyfikat wkrótce straci ważność", "Ważny do:", "Skrót SHA-256: "} {
		assert.Contains(t, all, says)
	}
	assert.NotContains(t, all, "\x1b")
	assert.NotContains(t, all, "\u202e")
	assert.NotContains(t, all, "\x07")
}

func TestSigningIsRefusedByAnythingButTheWord(t *testing.T) {
	for name, typed := range map[string][2]string{
		"no certificate": {"0\r", ""}, "Enter": {"1\r", "\r"}, "control-C": {"1\r", "\x03"}, "other words": {"1\r", "s\rs\rs\rs\rs\r"},
	} {
		t.Run(name, func(t *testing.T) {
			terminal, k := open(t, "en")
			result := background(func() error {
				_, err := terminal.ApproveSigning(context.Background(), signing())
				return err
			})
			k.until("Number of the certificate", typed[0])
			if typed[1] != "" {
				k.until("Enter alone refuses", typed[1])
			}
			assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-result))
		})
	}
}

func TestAPINIsTypedAndNotShown(t *testing.T) {
	terminal, k := open(t, "pl")
	var secret *agent.Secret
	result := background(func() (err error) {
		secret, err = terminal.AskPIN(context.Background(), agent.PINRequest{State: agent.PINFinal, Incorrect: true, Purpose: agent.PurposeSign, Label: "Karta\x1b[8m", Origin: "https://portal.example"})
		return err
	})
	k.until("PIN karty lub tokena: ", "\r")
	k.until("Nic nie wpisano.", "12 ż9\x7f%34\r")
	require.NoError(t, <-result)
	assert.Equal(t, "12 ż%34", string(secret.Bytes()))
	for _, says := range []string{"OSTATNIA PRÓBA", "Złożenie podpisu elektronicznego", "Strona: https://portal.example", "Klucz: Karta⟨U+001B⟩[8m", "ostatnia próba", "Nieprawidłowy PIN"} {
		assert.Contains(t, k.all(), says)
	}
	assert.NotContains(t, k.all(), "12 ")
	assert.NotContains(t, k.all(), "34")
}

func TestANewPasswordIsTypedTwice(t *testing.T) {
	terminal, k := open(t, "en")
	var secret *agent.Secret
	result := background(func() (err error) {
		secret, err = terminal.AskPIN(context.Background(), agent.PINRequest{New: true, Purpose: agent.PurposeEnroll})
		return err
	})
	k.until("New password: ", "weak\r")
	k.until("Missing: 12 characters, an upper-case letter, a digit, a special character.", "Zażółć-gęślą1\r")
	k.until("Repeat password: ", "Zażółć-gęślą2\r")
	k.until("The passwords differ.", "Zażółć-gęślą1\r")
	k.until("Repeat password: ", "Zażółć-gęślą1\r")
	require.NoError(t, <-result)
	assert.Equal(t, "Zażółć-gęślą1", string(secret.Bytes()))
	assert.Contains(t, k.all(), "Nobody can recover the password.")
	assert.NotContains(t, k.all(), "gęślą")
}

func TestANewPINOfATokenIsTypedTwiceAfterThePUK(t *testing.T) {
	terminal, k := open(t, "pl")
	ask := func(req agent.PINRequest) (func() string, <-chan error) {
		var secret *agent.Secret
		result := background(func() (err error) {
			secret, err = terminal.AskPIN(context.Background(), req)
			return err
		})
		return func() string { return string(secret.Bytes()) }, result
	}
	got, result := ask(agent.PINRequest{PUK: true, State: agent.PINFinal, Incorrect: true, Purpose: agent.PurposePIN})
	k.until("PUK (PIN administratora karty): ", "87654321\r")
	require.NoError(t, <-result)
	assert.Equal(t, "87654321", got())
	for _, says := range []string{"Ustawienie nowego kodu PIN lub hasła", "Błędny PUK zablokuje kartę lub token na stałe", "Nieprawidłowy PUK"} {
		assert.Contains(t, k.all(), says)
	}

	got, result = ask(agent.PINRequest{New: true, State: agent.PINLocked, Min: 4, Max: 8, Purpose: agent.PurposePIN})
	k.until("Nowy PIN: ", "123\r")
	k.until("od 4 do 8", "zażółć\r")
	k.until("Nowy PIN: ", "123456789\r")
	k.until("Nowy PIN: ", "1357\r")
	k.until("Powtórz nowy PIN: ", "1358\r")
	k.until("Kody PIN są różne.", "1357\r")
	k.until("Powtórz nowy PIN: ", "1357\r")
	require.NoError(t, <-result)
	assert.Equal(t, "1357", got())
	assert.NotContains(t, k.all(), "1357")

	for _, refused := range []struct {
		req  agent.PINRequest
		code problem.Code
	}{
		{agent.PINRequest{State: agent.PINLocked}, problem.PINLocked},
		{agent.PINRequest{State: agent.PINLocked, PUK: true}, problem.PUKLocked},
		{agent.PINRequest{State: agent.PINUnset}, problem.PINNotSet},
	} {
		_, err := terminal.AskPIN(context.Background(), refused.req)
		assert.Equal(t, refused.code, problem.CodeOf(err), "nobody is asked when no answer could be right")
	}
}

func TestAQuestionOnATerminalEndsWithItsContext(t *testing.T) {
	terminal, k := open(t, "pl")
	ctx, cancel := context.WithCancel(context.Background())
	result := background(func() error {
		_, err := terminal.AskPIN(ctx, agent.PINRequest{})
		return err
	})
	k.until("Hasło: ", "12")
	cancel()
	assert.ErrorIs(t, <-result, context.Canceled)

	// What was begun is not part of the next answer, and the terminal shows again what is typed.
	var secret *agent.Secret
	result = background(func() (err error) {
		secret, err = terminal.AskPIN(context.Background(), agent.PINRequest{})
		return err
	})
	k.until("Hasło: ", "34\r")
	require.NoError(t, <-result)
	assert.Equal(t, "34", string(secret.Bytes()))
	state, err := unix.IoctlGetTermios(int(terminal.in.Fd()), unix.TCGETS)
	require.NoError(t, err)
	assert.NotZero(t, state.Lflag&unix.ECHO)

	terminal.timeout = 300 * time.Millisecond
	_, err = terminal.AskPIN(context.Background(), agent.PINRequest{})
	assert.Equal(t, problem.Timeout, problem.CodeOf(err))
	require.NoError(t, terminal.Close())
	_, err = terminal.AskPIN(context.Background(), agent.PINRequest{})
	assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(err))
}

func TestANoticeIsPrinted(t *testing.T) {
	terminal, k := open(t, "pl")
	c := signing().Certificates[1]
	terminal.Notify(context.Background(), agent.Notice{Kind: agent.NoticeEnrolled, Origin: origin("https://portal.example"), Certificate: &c})
	k.until("unieważnij certyfikat w portalu", "")
	terminal.Notify(context.Background(), agent.Notice{Kind: agent.NoticeSigned, Documents: 2})
	k.until("2 dokumenty", "")
	terminal.Notify(context.Background(), agent.Notice{Kind: agent.NoticeFailed, Problem: problem.New(problem.TokenAbsent, "")})
	k.until("Kod: token_absent", "")
}

func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _, _ = r.Close(), w.Close() }()
	_, err = New(Config{In: r, Out: w})
	assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(err))
}

func TestAPersonLooksAgainForACard(t *testing.T) {
	keys := []agent.KeyAlgorithm{agent.P256}
	card := []agent.StoreOffer{{Store: "pkcs11", Places: []agent.Place{{ID: "a", Label: "Karta celna", Hardware: true, State: agent.PINOK, Keys: keys}}}}
	for _, tt := range []struct{ lang, none, some, cert string }{
		{"pl", "wpisz r, aby odświeżyć listę; sam Enter anuluje: ", "(0 – anuluj, r – odśwież listę): ", "(0 – odmów, r – odśwież listę): "},
		{"en", "type r to look again; Enter alone cancels: ", "(0 – cancel, r – look again): ", "(0 – refuse, r – look again): "},
	} {
		t.Run("for a new key, in "+tt.lang, func(t *testing.T) {
			terminal, k := open(t, tt.lang)
			none, looks := []agent.StoreOffer{{Store: "pkcs11", Unavailable: string(problem.TokenAbsent)}}, 0
			q := agent.StoreQuestion{Origin: origin("https://a.example"), Stores: none, Look: func(context.Context) []agent.StoreOffer {
				if looks++; looks == 1 {
					return none
				}
				return card
			}}
			var got agent.StoreAnswer
			result := background(func() (err error) {
				got, err = terminal.ConfigureStore(context.Background(), q)
				return err
			})
			k.until(tt.none, "R\r")
			k.until(tt.none, "r\r")
			k.until("Karta celna", "")
			k.until(tt.some, "r\r")
			k.until(tt.some, "1\r")
			require.NoError(t, <-result)
			assert.Equal(t, agent.StoreAnswer{Store: "pkcs11", Place: "a", Algorithm: agent.P256}, got)
		})
		t.Run("for a signature, in "+tt.lang, func(t *testing.T) {
			terminal, k := open(t, tt.lang)
			q := signing()
			all := q.Certificates
			q.Certificates = all[:2]
			q.Look = func(context.Context) []agent.CertificateView { return all }
			result := background(func() error {
				_, err := terminal.ApproveSigning(context.Background(), q)
				return err
			})
			k.until(tt.cert, "2\rr\r") // there is no second one yet
			k.until("Druga", "")
			k.until(tt.cert, "0\r")
			assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-result))
		})
		t.Run("who gives up is not asked on, in "+tt.lang, func(t *testing.T) {
			terminal, k := open(t, tt.lang)
			result := background(func() error {
				_, err := terminal.ConfigureStore(context.Background(), agent.StoreQuestion{Look: func(context.Context) []agent.StoreOffer { return nil }})
				return err
			})
			k.until(tt.none, "\r")
			assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-result))
		})
	}
}
