package pin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
)

// system shows questions in a dialog of Windows' own controls: screen readers read it out, Tab, Enter and Escape work as
// everywhere, and what is typed goes nowhere but into it. A new password is typed twice, in one dialog.
type system struct{}

func native(Config, bool) (dialog, error) { return system{}, nil }

func (system) ask(ctx context.Context, q question) (*agent.Secret, bool, error) {
	for {
		typed, err := (&box{q: q}).show(ctx)
		if err != nil {
			return nil, false, err
		}
		if len(typed) == 1 {
			return agent.NewSecret(typed[0]), false, nil
		}
		same := subtle.ConstantTimeCompare(typed[0], typed[1]) == 1
		clear(typed[1])
		if same {
			return agent.NewSecret(typed[0]), true, nil
		}
		clear(typed[0])
		q.wrong = q.differ
	}
}

// box is a question while it is shown.
type box struct {
	q      question
	fields []windows.HWND
	typed  [][]byte
	err    error // why it could not be built

	mu     sync.Mutex
	window windows.HWND // 0 while there is none
	closed bool         // nobody wants the answer any more
}

// boxes has the *box of each thread that shows one.
var boxes sync.Map

// show returns what was typed into each field. The caller wipes it.
func (b *box) show(ctx context.Context) ([][]byte, error) {
	ended := make(chan error, 1)
	go func() {
		// A window belongs to the thread that made it, which must stay to hear its messages.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		boxes.Store(windows.GetCurrentThreadId(), b)
		defer boxes.Delete(windows.GetCurrentThreadId())
		defer sharp()()
		ended <- runDialog(template(b.q.title), procedure())
	}()
	defer context.AfterFunc(ctx, b.close)()
	err := <-ended
	switch {
	case b.err != nil:
		err = b.err
	case errors.Is(err, errCancelled):
		return nil, problem.New(problem.UserCancelled, "the PIN dialog was cancelled")
	}
	if err != nil {
		return nil, problem.Wrap(problem.PromptUnavailable, err, "the PIN dialog cannot be shown")
	}
	return b.typed, nil
}

func (b *box) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.window != 0 {
		post(b.window, wmCommand, idCancel)
	}
}

// procedure is the dialog procedure of every box. Windows never gives the memory of one back, so there is only one.
var procedure = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(window windows.HWND, message, wparam, _ uintptr) uintptr {
		b, ok := boxes.Load(windows.GetCurrentThreadId())
		if !ok {
			return 0
		}
		return b.(*box).handle(window, message, wparam)
	})
})

// handle returns 1 for a message that it has dealt with.
func (b *box) handle(window windows.HWND, message, wparam uintptr) uintptr {
	switch message {
	case wmInitDialog:
		if b.err = b.build(window); b.err != nil {
			endDialog(window, idCancel)
			return 0
		}
		b.mu.Lock()
		b.window = window
		closed := b.closed
		b.mu.Unlock()
		if closed {
			endDialog(window, idCancel)
		}
		return 0 // the focus stays where build has put it
	case wmCommand:
		switch wparam { // the high word is 0 for a pressed button and for Enter and Escape
		case idOK:
			for _, field := range b.fields {
				b.typed = append(b.typed, take(field))
			}
			endDialog(window, idOK)
			return 1
		case idCancel:
			endDialog(window, idCancel)
			return 1
		}
	case wmDestroy:
		b.mu.Lock()
		b.window = 0
		b.mu.Unlock()
	}
	return 0
}

// Sizes in dialog units, a quarter of a letter's width and an eighth of its height, as Microsoft's layout guidelines give them.
const (
	margin     = 7
	related    = 4 // between things that belong together
	unrelated  = 7 // between others
	textWidth  = 290
	fieldTall  = 14
	buttonWide = 56
	buttonTall = 14
)

// build puts the texts, the fields and the buttons in, one below the other, and makes the window as tall as they need.
func (b *box) build(window windows.HWND) error {
	l := layout{window: window, font: fontOf(window)}
	l.x, l.y = l.pixels(margin, margin)
	width, _ := l.pixels(textWidth, 0)
	_, near := l.pixels(0, related)
	_, far := l.pixels(0, unrelated)
	text := func(s string, gap int32) windows.HWND {
		if s == "" {
			return 0
		}
		tall := l.tall(s, width)
		h := l.add("STATIC", s, styleText, 0, 0, l.x, l.y, width, tall)
		l.y += tall + gap
		return h
	}
	field := func(prompt string, id uintptr) {
		text(prompt, near/2)
		_, tall := l.pixels(0, fieldTall)
		f := l.add("EDIT", "", styleField, exClientEdge, id, l.x, l.y, width, tall)
		send(f, emLimitText, maxTyped, 0)
		b.fields = append(b.fields, f)
		l.y += tall + far
	}
	text(b.q.wrong, far)
	text(b.q.description(), far)
	field(b.q.prompt, idFirstField)
	if b.q.repeat != "" {
		field(b.q.repeat, idFirstField+1)
	}
	wide, tall := l.pixels(buttonWide, buttonTall)
	right := l.x + width
	l.add("BUTTON", b.q.ok, styleDefaultButton, 0, idOK, right-2*wide-near, l.y, wide, tall)
	l.add("BUTTON", b.q.cancel, styleButton, 0, idCancel, right-wide, l.y, wide, tall)
	if l.err != nil {
		return l.err
	}
	send(window, dmSetDefID, idOK, 0)
	edge, bottom := l.pixels(margin, margin)
	place(window, right+edge, l.y+tall+bottom)
	focus(b.fields[0])
	return nil
}

// maxTyped is the most characters that a field takes: more than any PIN or password.
const maxTyped = 256

// take returns what a field holds as UTF-8 and empties the field. Of Windows' own copies it can only overwrite the field's.
func take(field windows.HWND) []byte {
	units := textOf(field)
	defer clear(units)
	defer setText(field, strings.Repeat(" ", len(units)))
	typed := make([]byte, 0, 3*len(units)) // it never grows, so that nothing is left behind
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) && i+1 < len(units) {
			if pair := utf16.DecodeRune(r, rune(units[i+1])); pair != utf8.RuneError {
				r = pair
				i++
			}
		}
		typed = utf8.AppendRune(typed, r)
	}
	return typed
}

// layout adds controls to a window. Its first failure stays in err.
type layout struct {
	window windows.HWND
	font   uintptr
	x, y   int32 // where the next one goes
	err    error
}

func (l *layout) add(class, text string, style, exStyle, id uintptr, x, y, width, tall int32) windows.HWND {
	h, err := createControl(l.window, class, text, style, exStyle, id, x, y, width, tall)
	if err != nil {
		l.err = errors.Join(l.err, fmt.Errorf("create %s: %w", class, err))
		return 0
	}
	send(h, wmSetFont, l.font, 0)
	return h
}
