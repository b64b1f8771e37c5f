package pin

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What the dialog needs of user32.dll and gdi32.dll; names and values are those of winuser.h and wingdi.h.

var (
	user32 = windows.NewLazySystemDLL("user32.dll")
	gdi32  = windows.NewLazySystemDLL("gdi32.dll")

	procDialogBoxIndirectParam = user32.NewProc("DialogBoxIndirectParamW")
	procEndDialog              = user32.NewProc("EndDialog")
	procCreateWindowEx         = user32.NewProc("CreateWindowExW")
	procSendMessage            = user32.NewProc("SendMessageW")
	procPostMessage            = user32.NewProc("PostMessageW")
	procGetWindowText          = user32.NewProc("GetWindowTextW")
	procSetWindowText          = user32.NewProc("SetWindowTextW")
	procMapDialogRect          = user32.NewProc("MapDialogRect")
	procDrawText               = user32.NewProc("DrawTextW")
	procGetDC                  = user32.NewProc("GetDC")
	procReleaseDC              = user32.NewProc("ReleaseDC")
	procSelectObject           = gdi32.NewProc("SelectObject")
	procAdjustWindowRectEx     = user32.NewProc("AdjustWindowRectEx")
	procSystemParametersInfo   = user32.NewProc("SystemParametersInfoW")
	procSetWindowPos           = user32.NewProc("SetWindowPos")
	procSetFocus               = user32.NewProc("SetFocus")
	procSetThreadDPIAwareness  = user32.NewProc("SetThreadDpiAwarenessContext")
)

const (
	wmDestroy       = 0x0002
	wmSetFont       = 0x0030
	wmGetFont       = 0x0031
	wmGetTextLength = 0x000e
	wmInitDialog    = 0x0110
	wmCommand       = 0x0111
	emLimitText     = 0x00c5
	dmSetDefID      = 0x0401

	idOK, idCancel = 1, 2
	idFirstField   = 100

	exTopmost, exControlParent, exAppWindow = 0x00000008, 0x00010000, 0x00040000
	exClientEdge                            = 0x00000200

	// WS_POPUP | WS_CAPTION | WS_SYSMENU | DS_MODALFRAME | DS_SETFONT | DS_FIXEDSYS | DS_SETFOREGROUND
	styleDialog = 0x80000000 | 0x00c00000 | 0x00080000 | 0x80 | 0x40 | 0x08 | 0x200
	exDialog    = exTopmost | exControlParent | exAppWindow

	styleChild = 0x40000000 | 0x10000000 // WS_CHILD | WS_VISIBLE
	styleStop  = styleChild | 0x00010000 // WS_TABSTOP
	// SS_NOPREFIX | SS_EDITCONTROL: "&" is a character like others, and a word that is longer than the line is broken.
	styleText          = styleChild | 0x80 | 0x2000
	styleField         = styleStop | 0x20 | 0x80 // ES_PASSWORD | ES_AUTOHSCROLL
	styleButton        = styleStop
	styleDefaultButton = styleStop | 0x1 // BS_DEFPUSHBUTTON

	// DT_WORDBREAK | DT_CALCRECT | DT_NOPREFIX | DT_EDITCONTROL
	measure = 0x10 | 0x400 | 0x800 | 0x2000

	spiGetWorkArea = 0x30
	swpNoZOrder    = 0x4
)

var errCancelled = errors.New("cancelled")

// template is a DLGTEMPLATE without controls: those come when their texts can be measured. The font is the one that
// Windows' guidelines name; where it is missing the system takes another.
func template(title string) []uint16 {
	const points = 9
	t := []uint16{styleDialog & 0xffff, styleDialog >> 16, exDialog & 0xffff, exDialog >> 16, 0, 0, 0, 200, 100, 0, 0}
	t = append(t, utf16z(title)...)
	t = append(t, points)
	return append(t, utf16z("Segoe UI")...)
}

// utf16z ends at the first NUL, as every reader of it does.
func utf16z(s string) []uint16 {
	s, _, _ = strings.Cut(s, "\x00")
	return append(utf16.Encode([]rune(s)), 0)
}

// runDialog shows a dialog until endDialog: nil for idOK, errCancelled for idCancel.
func runDialog(template []uint16, procedure uintptr) error {
	r, _, err := procDialogBoxIndirectParam.Call(0, uintptr(unsafe.Pointer(&template[0])), 0, procedure, 0)
	switch int32(r) {
	case idOK:
		return nil
	case idCancel:
		return errCancelled
	default:
		return fmt.Errorf("show dialog: %w", err)
	}
}

func endDialog(window windows.HWND, result uintptr) {
	_, _, _ = procEndDialog.Call(uintptr(window), result)
}

func send(window windows.HWND, message, wparam, lparam uintptr) uintptr {
	r, _, _ := procSendMessage.Call(uintptr(window), message, wparam, lparam)
	return r
}

func post(window windows.HWND, message, wparam uintptr) {
	_, _, _ = procPostMessage.Call(uintptr(window), message, wparam, 0)
}

func fontOf(window windows.HWND) uintptr { return send(window, wmGetFont, 0, 0) }

func focus(window windows.HWND) { _, _, _ = procSetFocus.Call(uintptr(window)) }

func createControl(parent windows.HWND, class, text string, style, exStyle, id uintptr, x, y, width, tall int32) (windows.HWND, error) {
	c, t := utf16z(class), utf16z(text)
	h, _, err := procCreateWindowEx.Call(exStyle, uintptr(unsafe.Pointer(&c[0])), uintptr(unsafe.Pointer(&t[0])), style,
		uintptr(x), uintptr(y), uintptr(width), uintptr(tall), uintptr(parent), id, 0, 0)
	if h == 0 {
		return 0, err
	}
	return windows.HWND(h), nil
}

// textOf returns what a control holds. The caller wipes it.
func textOf(control windows.HWND) []uint16 {
	buffer := make([]uint16, send(control, wmGetTextLength, 0, 0)+1)
	n, _, _ := procGetWindowText.Call(uintptr(control), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
	return buffer[:n]
}

func setText(control windows.HWND, text string) {
	t := utf16z(text)
	_, _, _ = procSetWindowText.Call(uintptr(control), uintptr(unsafe.Pointer(&t[0])))
}

// pixels turns dialog units into pixels.
func (l *layout) pixels(x, y int32) (int32, int32) {
	r := windows.Rect{Right: x, Bottom: y}
	if ok, _, err := procMapDialogRect.Call(uintptr(l.window), uintptr(unsafe.Pointer(&r))); ok == 0 {
		l.err = errors.Join(l.err, fmt.Errorf("map dialog units: %w", err))
	}
	return r.Right, r.Bottom
}

// tall returns how tall a text is when its lines are at most that wide.
func (l *layout) tall(text string, width int32) int32 {
	dc, _, err := procGetDC.Call(uintptr(l.window))
	if dc == 0 {
		l.err = errors.Join(l.err, fmt.Errorf("get device context: %w", err))
		return 0
	}
	defer func() { _, _, _ = procReleaseDC.Call(uintptr(l.window), dc) }()
	old, _, _ := procSelectObject.Call(dc, l.font)
	defer func() { _, _, _ = procSelectObject.Call(dc, old) }()
	t, r := utf16z(text), windows.Rect{Right: width}
	if ok, _, err := procDrawText.Call(dc, uintptr(unsafe.Pointer(&t[0])), uintptr(len(t)-1), uintptr(unsafe.Pointer(&r)), measure); ok == 0 {
		l.err = errors.Join(l.err, fmt.Errorf("measure text: %w", err))
	}
	screen := workArea()
	return min(r.Bottom, (screen.Bottom-screen.Top)/2) // the buttons must be seen, whatever the text is
}

// workArea is the screen without the task bar.
func workArea() (r windows.Rect) {
	_, _, _ = procSystemParametersInfo.Call(spiGetWorkArea, 0, uintptr(unsafe.Pointer(&r)), 0)
	return r
}

// place gives a window an inner size, in the middle of the work area.
func place(window windows.HWND, width, tall int32) {
	r := windows.Rect{Right: width, Bottom: tall}
	_, _, _ = procAdjustWindowRectEx.Call(uintptr(unsafe.Pointer(&r)), styleDialog, 0, exDialog)
	screen := workArea()
	width, tall = r.Right-r.Left, r.Bottom-r.Top
	x, y := (screen.Left+screen.Right-width)/2, (screen.Top+screen.Bottom-tall)/2
	_, _, _ = procSetWindowPos.Call(uintptr(window), 0, uintptr(max(x, screen.Left)), uintptr(max(y, screen.Top)), uintptr(width), uintptr(tall), swpNoZOrder)
}

// sharp makes what this thread shows follow the screen's resolution instead of being enlarged as a picture, until the
// function that it returns is called. Windows before 10, 1607, cannot.
func sharp() func() {
	const systemAware = ^uintptr(1) // DPI_AWARENESS_CONTEXT_SYSTEM_AWARE, (HANDLE)-2
	if procSetThreadDPIAwareness.Find() != nil {
		return func() {}
	}
	old, _, _ := procSetThreadDPIAwareness.Call(systemAware)
	return func() { _, _, _ = procSetThreadDPIAwareness.Call(old) }
}
