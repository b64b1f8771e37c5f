package pin

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
)

var (
	procFindWindow    = user32.NewProc("FindWindowW")
	procGetWindow     = user32.NewProc("GetWindow")
	procGetWindowRect = user32.NewProc("GetWindowRect")
	procGetClientRect = user32.NewProc("GetClientRect")
	procGetWindowLong = user32.NewProc("GetWindowLongPtrW")
	procGetThreadInfo = user32.NewProc("GetGUIThreadInfo")
	procMapPoints     = user32.NewProc("MapWindowPoints")
)

// TestMain has the desktop made before two threads can want it at once, which Wine does not always survive.
func TestMain(m *testing.M) {
	_, _, _ = user32.NewProc("GetDesktopWindow").Call()
	os.Exit(m.Run())
}

// asking is a Prompter at work and what the person sees of it.
type asking struct {
	t      *testing.T
	result chan answer
}

type answer struct {
	secret *agent.Secret
	err    error
}

func ask(ctx context.Context, t *testing.T, req agent.PINRequest) *asking {
	t.Helper()
	a := &asking{t: t, result: make(chan answer, 1)}
	p := New(Config{Language: "pl", Timeout: time.Minute})
	require.NoError(t, p.Available())
	go func() {
		s, err := p.AskPIN(ctx, req)
		a.result <- answer{s, err}
	}()
	return a
}

// shown waits for a dialog with a title other than the one before and returns it.
func (a *asking) shown(title string, before windows.HWND) windows.HWND {
	a.t.Helper()
	var found windows.HWND
	require.Eventually(a.t, func() bool {
		t := utf16z(title)
		h, _, _ := procFindWindow.Call(0, uintptr(unsafe.Pointer(&t[0])))
		found = windows.HWND(h)
		return found != 0 && found != before && windows.IsWindowVisible(found) // it is when all is in it
	}, 20*time.Second, 10*time.Millisecond)
	return found
}

func (a *asking) got() answer {
	a.t.Helper()
	select {
	case r := <-a.result:
		return r
	case <-time.After(20 * time.Second):
		require.Fail(a.t, "the dialog did not end")
		return answer{}
	}
}

// children are a window's controls of a class, from the first to the last.
func children(window windows.HWND, class string) []windows.HWND {
	const child, next = 5, 2 // GW_CHILD, GW_HWNDNEXT
	var all []windows.HWND
	for h, _, _ := procGetWindow.Call(uintptr(window), child); h != 0; h, _, _ = procGetWindow.Call(h, next) {
		var name [32]uint16
		if n, _ := windows.GetClassName(windows.HWND(h), &name[0], int32(len(name))); strings.EqualFold(windows.UTF16ToString(name[:n]), class) {
			all = append(all, windows.HWND(h))
		}
	}
	return all
}

func texts(window windows.HWND) (all []string) {
	for _, h := range children(window, "STATIC") {
		all = append(all, windows.UTF16ToString(textOf(h)))
	}
	return all
}

// fill types into the fields and presses OK.
func fill(window windows.HWND, typed ...string) {
	for i, field := range children(window, "EDIT") {
		setText(field, typed[i])
	}
	press(window, idOK)
}

func press(window windows.HWND, button uintptr) { post(window, wmCommand, button) }

var signing = agent.PINRequest{Purpose: agent.PurposeSign, Origin: "https://puesc.example", Label: "Karta & spółka", Document: "zgłoszenie.xml"}

const title = "CertSign – hasło klucza"

func TestWhatIsTypedArrivesAsItIs(t *testing.T) {
	for name, secret := range map[string]string{
		"a PIN": "1234", "Polish letters": "Zażółć gęślą jaźń", "characters beyond 16 bits": "klucz🔑", "an accelerator's mark": "a&b&&c", "spaces at the ends": " x ",
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t.Context(), t, signing)
			fill(a.shown(title, 0), secret)
			r := a.got()
			require.NoError(t, r.err)
			assert.Equal(t, secret, string(r.secret.Bytes()))
		})
	}
}

func TestTheDialogSaysWhoAsksForWhat(t *testing.T) {
	a := ask(t.Context(), t, signing)
	window := a.shown(title, 0)
	all := strings.Join(texts(window), "\n")
	for _, s := range []string{"Złożenie podpisu elektronicznego", "Strona: https://puesc.example", "Karta ＆ spółka", "zgłoszenie.xml", "Hasło:"} {
		assert.Contains(t, all, s)
	}
	const style = ^uintptr(15) // GWL_STYLE, -16
	for _, field := range children(window, "EDIT") {
		s, _, _ := procGetWindowLong.Call(uintptr(field), style)
		assert.NotZero(t, s&0x20, "ES_PASSWORD: nobody reads it over a shoulder")
	}
	press(window, idCancel)
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(a.got().err))
}

func TestEverythingInTheDialogCanBeSeen(t *testing.T) {
	long := agent.PINRequest{New: true, Purpose: agent.PurposeEnroll, Origin: "https://" + strings.Repeat("bardzo-dluga-nazwa.", 12) + "example", Label: strings.Repeat("Ó", 900)}
	for name, req := range map[string]agent.PINRequest{"a short question": signing, "a long one": long} {
		t.Run(name, func(t *testing.T) {
			a := ask(t.Context(), t, req)
			window := a.shown(New(Config{Language: "pl"}).lang.PINTitle(req), 0)
			var inside, outer windows.Rect
			_, _, _ = procGetClientRect.Call(uintptr(window), uintptr(unsafe.Pointer(&inside)))
			_, _, _ = procGetWindowRect.Call(uintptr(window), uintptr(unsafe.Pointer(&outer)))
			screen := workArea()
			assert.True(t, outer.Top >= screen.Top && outer.Bottom <= screen.Bottom && outer.Left >= screen.Left && outer.Right <= screen.Right, "%v on a screen of %v", outer, screen)
			last := int32(0)
			for _, class := range []string{"STATIC", "EDIT", "BUTTON"} {
				for _, h := range children(window, class) {
					r := within(window, h)
					assert.True(t, r.Top > 0 && r.Left > 0 && r.Bottom < inside.Bottom && r.Right < inside.Right, "%s at %v of %v", class, r, inside)
					assert.Greater(t, r.Bottom-r.Top, int32(5), "%s at %v", class, r)
					if class == "STATIC" {
						assert.GreaterOrEqual(t, r.Top, last, "texts lie over each other")
						last = r.Bottom
					}
				}
			}
			press(window, idCancel)
			a.got()
		})
	}
}

// within is where a control lies in its window.
func within(window, control windows.HWND) windows.Rect {
	var r windows.Rect
	_, _, _ = procGetWindowRect.Call(uintptr(control), uintptr(unsafe.Pointer(&r)))
	_, _, _ = procMapPoints.Call(0, uintptr(window), uintptr(unsafe.Pointer(&r)), 2)
	return r
}

func TestANewPasswordIsTypedTwice(t *testing.T) {
	const good = "Poprawne-Hasło-12"
	req := agent.PINRequest{New: true, Purpose: agent.PurposeEnroll}
	const title = "CertSign – nowe hasło klucza"
	a := ask(t.Context(), t, req)
	first := a.shown(title, 0)
	assert.Equal(t, []string{"Nowe hasło:", "Powtórz hasło:"}, texts(first)[1:])
	fill(first, good, good+"x")
	second := a.shown(title, first)
	assert.Equal(t, "Hasła są różne. Wpisz je ponownie.", texts(second)[0])
	fill(second, "krótkie", "krótkie")
	third := a.shown(title, second)
	assert.Contains(t, texts(third)[0], "12 znaków")
	fill(third, good, good)
	r := a.got()
	require.NoError(t, r.err)
	assert.Equal(t, good, string(r.secret.Bytes()))
}

// focused waits until the first field has the focus, as a person's typing needs it.
func focused(t *testing.T, window windows.HWND) windows.HWND {
	t.Helper()
	thread, err := windows.GetWindowThreadProcessId(window, nil)
	require.NoError(t, err)
	var info windows.GUIThreadInfo
	info.Size = uint32(unsafe.Sizeof(info))
	require.Eventually(t, func() bool {
		ok, _, _ := procGetThreadInfo.Call(uintptr(thread), uintptr(unsafe.Pointer(&info)))
		return ok != 0 && info.Focus == children(window, "EDIT")[0]
	}, 5*time.Second, 10*time.Millisecond)
	return info.Focus
}

func TestTheFieldHasTheFocusAndKeysWorkAsEverywhere(t *testing.T) {
	const character, keyDown, enter, escape = 0x0102, 0x0100, 0x0d, 0x1b // WM_CHAR, WM_KEYDOWN, VK_RETURN, VK_ESCAPE
	t.Run("Enter is OK", func(t *testing.T) {
		a := ask(t.Context(), t, signing)
		field := focused(t, a.shown(title, 0))
		for _, r := range "4711" {
			post(field, character, uintptr(r))
		}
		post(field, keyDown, enter)
		r := a.got()
		require.NoError(t, r.err)
		assert.Equal(t, "4711", string(r.secret.Bytes()))
	})
	t.Run("Escape is Cancel", func(t *testing.T) {
		a := ask(t.Context(), t, signing)
		post(focused(t, a.shown(title, 0)), keyDown, escape)
		assert.Equal(t, problem.UserCancelled, problem.CodeOf(a.got().err))
	})
}

func TestADialogEndsWithItsQuestion(t *testing.T) {
	t.Run("while it is shown", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := ask(ctx, t, signing)
		window := a.shown(title, 0)
		cancel()
		assert.ErrorIs(t, a.got().err, context.Canceled)
		assert.Empty(t, children(window, "EDIT"))
	})
	t.Run("before it is shown", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := system{}.ask(ctx, question{title: "never"})
		assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
	})
}

func TestWhatWasTypedDoesNotStayInTheField(t *testing.T) {
	h, err := createControl(0, "EDIT", "", 0x00cf0000, 0, 0, 0, 0, 100, 20) // WS_OVERLAPPEDWINDOW
	require.NoError(t, err)
	setText(h, "tajne hasło")
	typed := take(h)
	assert.Equal(t, "tajne hasło", string(typed))
	assert.NotContains(t, windows.UTF16ToString(textOf(h)), "tajne")
}
