//go:build unix

package window

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// tab drives the page in a window's Chromium over the DevTools protocol.
type tab struct {
	t    *testing.T
	conn *websocket.Conn
	id   int
}

func chromiumCommand(t *testing.T) []string {
	return []string{testtool.Need(t, "chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
		"--user-data-dir={profile}", "--no-first-run", "--disable-features=Translate", "--window-size=760,900", "--lang={lang}", "--app={url}"}
}

// attach waits until Chromium shows a page with that selector in it.
func attach(t *testing.T, w *Window, selector string) *tab {
	t.Helper()
	var page *tab
	require.Eventually(t, func() bool {
		lines, err := os.ReadFile(filepath.Join(w.config.Dir, "profile", "DevToolsActivePort"))
		if err != nil {
			return false
		}
		port, _, _ := strings.Cut(string(lines), "\n")
		answer, err := http.Get("http://127.0.0.1:" + port + "/json")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		var targets []struct {
			Type, URL            string
			WebSocketDebuggerURL string `json:"webSocketDebuggerUrl"`
		}
		b, _ := io.ReadAll(answer.Body)
		if json.Unmarshal(b, &targets) != nil {
			return false
		}
		for _, target := range targets {
			if target.Type != "page" || !strings.HasSuffix(target.URL, "/question") {
				continue
			}
			conn, _, err := websocket.DefaultDialer.Dial(target.WebSocketDebuggerURL, nil)
			if err != nil {
				return false
			}
			page = &tab{t: t, conn: conn}
			if page.eval(fmt.Sprintf("!!document.querySelector(%q) && document.readyState === 'complete'", selector)) == true {
				return true
			}
			_ = conn.Close()
		}
		return false
	}, 60*time.Second, 100*time.Millisecond)
	t.Cleanup(func() { _ = page.conn.Close() })
	page.call("Page.enable", nil)
	page.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true})
	return page
}

// call sends a command and returns its result, or nil when the browser went away.
func (p *tab) call(method string, params any) map[string]any {
	p.id++
	if p.conn.WriteJSON(map[string]any{"id": p.id, "method": method, "params": params}) != nil {
		return nil
	}
	for {
		var m struct {
			ID     int
			Result map[string]any
			Error  any
		}
		if p.conn.ReadJSON(&m) != nil {
			return nil
		}
		if m.ID == p.id {
			require.Nil(p.t, m.Error, method)
			return m.Result
		}
	}
}

func (p *tab) eval(expression string) any {
	r, _ := p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})["result"].(map[string]any)
	return r["value"]
}

func (p *tab) until(expression string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.eval(expression) == true }, 10*time.Second, 50*time.Millisecond, expression)
}

// key presses a key as a keyboard does.
func (p *tab) key(name string) {
	codes := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
	down := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": codes[name]}
	switch name {
	case "Enter":
		down["text"] = "\r"
	case " ":
		down["text"], down["code"] = " ", "Space"
	}
	p.call("Input.dispatchKeyEvent", down)
	p.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": down["code"], "windowsVirtualKeyCode": codes[name]})
}

// click presses the mouse in the middle of an element.
func (p *tab) click(selector string) {
	p.t.Helper()
	at, ok := p.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, selector)).([]any)
	require.True(p.t, ok, selector)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1})
	}
}

// shoot writes a picture of the window below SCREENSHOTS when that is set.
func (p *tab) shoot(name string, whole bool) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	params := map[string]any{"format": "png"}
	if whole {
		p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 760, "height": p.eval("document.documentElement.scrollHeight"), "deviceScaleFactor": 1, "mobile": false})
		defer p.call("Emulation.clearDeviceMetricsOverride", nil)
	}
	picture, err := base64.StdEncoding.DecodeString(p.call("Page.captureScreenshot", params)["data"].(string))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}

func TestAPersonAnswersInARealBrowser(t *testing.T) {
	for _, lang := range []string{"pl", "en"} {
		t.Run("a new origin, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			o := open(t, w, approve(w))
			p := attach(t, w, "#refuse")
			assert.Equal(t, "refuse", p.eval("document.activeElement.id"))
			assert.Equal(t, lang, p.eval("document.documentElement.lang"))
			assert.Equal(t, portal.String(), p.eval("document.querySelector('.origin').textContent"))
			p.shoot("origin-"+lang, false)
			p.until(`document.querySelector("#allow").getAttribute("aria-disabled") === "false"`)
			p.click("#allow")
			assert.NoError(t, <-o.result)
		})
		t.Run("a store, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			var got agent.StoreAnswer
			o := open(t, w, func(ctx context.Context) (err error) {
				got, err = w.ConfigureStore(ctx, storeQuestion())
				return err
			})
			p := attach(t, w, "#ok")
			assert.Equal(t, "store-pkcs11", p.eval("document.activeElement.id"), "the recommended store has the focus")
			p.shoot("store-token-"+lang, false)
			p.click("#store-keyfile")
			p.until(`document.querySelector("#store-keyfile").checked`)
			assert.Equal(t, true, p.eval(`document.querySelector("#about-keyfile .note.warn").checkVisibility()`), "nobody can recover the password: said before it is chosen")
			p.click("summary")
			p.shoot("store-keyfile-"+lang, true)
			p.click("#ok")
			require.NoError(t, <-o.result)
			assert.Equal(t, agent.StoreAnswer{Store: "keyfile", Algorithm: agent.RSA3072}, got)
		})
		t.Run("a signature, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			var got agent.SigningAnswer
			o := open(t, w, func(ctx context.Context) (err error) {
				got, err = w.ApproveSigning(ctx, signing(document("zgłoszenie\u202elmx.exe", "text/xml", declaration(120))))
				return err
			})
			p := attach(t, w, "#sign")
			assert.Equal(t, "refuse", p.eval("document.activeElement.id"))
			p.shoot("sign-"+lang, false)
			p.click(".source > summary")
			p.until(`document.querySelector(".source pre").textContent.includes("Żółta Łódź")`)
			p.shoot("sign-whole-"+lang, true)
			p.click("#certificate-1")
			p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 380, "height": 700, "deviceScaleFactor": 2, "mobile": false})
			p.shoot("sign-zoomed-"+lang, false)
			p.call("Emulation.clearDeviceMetricsOverride", nil)
			p.until(`document.querySelector("#sign").getAttribute("aria-disabled") === "false"`)
			p.shoot("sign-armed-"+lang, false)
			p.click("#sign")
			require.NoError(t, <-o.result)
			assert.Equal(t, "keyfile/02", got.Key)
		})
		t.Run("several documents, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			o := open(t, w, func(ctx context.Context) error {
				_, err := w.ApproveSigning(ctx, signing(
					document("zgłoszenie.xml", "text/xml", declaration(3)), document("uwagi.txt", "text/plain", "Proszę o pilne rozpatrzenie.\n\u202eobrócone\n"),
					document("faktura.pdf", "application/pdf", "%PDF-1.7\n"), document("zły.xml", "text/xml", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>\n<a>&b;</a>"),
					document("script.xml", "text/html", `<html><script>document.title="owned"</script><img src="x" onerror="document.title='owned'"/></html>`)))
				return err
			})
			p := attach(t, w, "#sign")
			for i := range 5 {
				p.click(fmt.Sprintf(`[data-document="%d"] > summary`, i))
				p.until(fmt.Sprintf(`(() => { const f = document.querySelector('[data-document="%d"] .fetched'), pre = f.querySelector("div.source pre");
					return f.childElementCount > 0 && (!pre || pre.textContent !== "") })()`, i))
			}
			p.until(`document.querySelectorAll(".fetched .tree").length === 2 && document.querySelector('[data-document="3"] pre').textContent.includes("ENTITY")`)
			assert.NotEqual(t, "owned", p.eval("document.title"))
			assert.Contains(t, p.eval(`document.querySelector('[data-document="1"] pre').textContent`), "⟨U+202E⟩")
			p.shoot("sign-several-"+lang, true)
			p.key("Escape")
			assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-o.result))
		})
		t.Run("a notice, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			c := certificates()[0]
			w.Notify(context.Background(), agent.Notice{Kind: agent.NoticeEnrolled, Origin: portal, Certificate: &c, Copy: func(context.Context) ([]byte, string, error) {
				return []byte("an encrypted key"), "klucz Żanety.p12", nil
			}})
			p := attach(t, w, "#ok")
			p.shoot("notice-enrolled-"+lang, true)
			downloads := t.TempDir()
			p.call("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": downloads})
			p.click("#copy")
			require.Eventually(t, func() bool {
				b, err := os.ReadFile(filepath.Join(downloads, "klucz Żanety.p12"))
				return err == nil && string(b) == "an encrypted key"
			}, 10*time.Second, 20*time.Millisecond, "a copy is saved, and the window stays")
			p.click("#ok")
			require.Eventually(t, func() bool { return !strings.Contains(processes(t), w.config.Dir) }, 10*time.Second, 20*time.Millisecond)
			w.Notify(context.Background(), agent.Notice{Kind: agent.NoticeSigned, Origin: portal, Certificate: &c, Documents: 3})
			attach(t, w, "#ok").shoot("notice-signed-"+lang, false)
			open(t, w, approve(w)) // a question takes the notice's place
			attach(t, w, "#allow")
			w.Notify(context.Background(), agent.Notice{Kind: agent.NoticeFailed, Origin: mustOrigin("https://xn--d-uga.example"), Problem: problem.New(problem.PINLocked, "")})
			attach(t, w, "#allow").click("#refuse")
			attach(t, w, "#ok").shoot("notice-failed-"+lang, false)
		})
	}
}

func TestTheKeyboardAloneIsEnoughAndEnterNeverSignsFromElsewhere(t *testing.T) {
	w := newWindow(t, "pl", chromiumCommand(t)...)
	var got agent.SigningAnswer
	o := open(t, w, func(ctx context.Context) (err error) {
		got, err = w.ApproveSigning(ctx, signing(document("a.xml", "text/xml", declaration(2))))
		return err
	})
	p := attach(t, w, "#sign")
	p.eval(`document.querySelector("#sign").focus()`)
	p.key("Enter")
	time.Sleep(200 * time.Millisecond)
	assert.Empty(t, o.result, "not armed yet")
	p.until(`document.querySelector("#sign").getAttribute("aria-disabled") === "false"`)

	p.eval(`document.querySelector("#refuse").focus(); document.querySelector("[role=treeitem][tabindex='0']").focus()`)
	p.key("ArrowDown")
	assert.Contains(t, p.eval("document.activeElement.textContent"), "CC515C")
	p.key("ArrowLeft")
	assert.Equal(t, "false", p.eval("document.activeElement.getAttribute('aria-expanded')"))
	p.key("ArrowRight")
	p.key("Enter")
	p.key("Tab")
	assert.Equal(t, "SUMMARY", p.eval("document.activeElement.tagName"), "the tree is one tab stop")
	p.key("Tab")
	assert.Equal(t, "certificate-0", p.eval("document.activeElement.id"))
	p.key("Enter")
	p.key("ArrowDown")
	assert.Equal(t, "certificate-1", p.eval("document.activeElement.id"))
	p.key("Tab")
	assert.Equal(t, "refuse", p.eval("document.activeElement.id"))
	p.key("Tab")
	assert.Equal(t, "sign", p.eval("document.activeElement.id"))
	require.Empty(t, o.result, "no Enter so far was an answer")
	p.key(" ")
	require.NoError(t, <-o.result)
	assert.Equal(t, "keyfile/02", got.Key)
}

func TestAWindowThatLosesTheFocusDisarms(t *testing.T) {
	w := newWindow(t, "en", chromiumCommand(t)...)
	open(t, w, approve(w))
	p := attach(t, w, "#allow")
	p.until(`document.querySelector("#allow").getAttribute("aria-disabled") === "false"`)
	p.eval(`dispatchEvent(new Event("blur"))`)
	assert.Equal(t, "true", p.eval(`document.querySelector("#allow").getAttribute("aria-disabled")`))
	p.eval(`dispatchEvent(new Event("focus"))`)
	p.until(`document.querySelector("#allow").getAttribute("aria-disabled") === "false"`)
}

func TestNoBrowserProcessOutlivesItsQuestion(t *testing.T) {
	w := newWindow(t, "pl", chromiumCommand(t)...)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- approve(w)(ctx) }()
	attach(t, w, "#refuse")
	require.Contains(t, processes(t), w.config.Dir)
	cancel()
	assert.ErrorIs(t, <-result, context.Canceled)
	assert.Eventually(t, func() bool { return !strings.Contains(processes(t), w.config.Dir) }, 5*time.Second, 20*time.Millisecond)

	// The same profile serves the next question.
	o := open(t, w, approve(w))
	attach(t, w, "#refuse").click("#refuse")
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-o.result))
}

func TestWhatABrowserLeavesBehindGoesWithItsWindow(t *testing.T) {
	for name, c := range map[string]struct {
		folder string
		own    bool
	}{
		"in a folder of the window":                     {"w", true},
		"unless its sockets would have too long a name": {strings.Repeat("w", 60), false},
	} {
		t.Run(name, func(t *testing.T) {
			base := shortDir(t)
			t.Setenv("TMPDIR", base)
			w, err := New(Config{Command: []string{"/bin/sh", "-c", `: >"$TMPDIR/left"; sleep 60`, "sh", "{url}"}, Dir: filepath.Join(base, c.folder)})
			require.NoError(t, err)
			o := open(t, w, approve(w))
			left, private := filepath.Join(base, "left"), filepath.Join(w.config.Dir, "tmp")
			if c.own {
				left = filepath.Join(private, "left")
			}
			require.Eventually(t, func() bool { _, err := os.Stat(left); return err == nil }, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, w.Close())
			assert.ErrorIs(t, <-o.result, context.Canceled)
			assert.NoDirExists(t, private)
		})
	}
}

func TestClosingTheBrowserIsANo(t *testing.T) {
	w := newWindow(t, "pl", chromiumCommand(t)...)
	o := open(t, w, approve(w))
	attach(t, w, "#refuse").call("Browser.close", nil)
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-o.result))
}

func TestFirefoxShowsTheWindowWhereThereIsNothingElse(t *testing.T) {
	w := newWindow(t, "pl", append([]string{testtool.Need(t, "firefox-esr"), "--headless"}, firefox...)...)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- approve(w)(ctx) }()
	file, _ := entryFile(t, w)
	require.Eventually(t, func() bool {
		_, err := os.Stat(file)
		return os.IsNotExist(err) || len(result) > 0
	}, 60*time.Second, 50*time.Millisecond, "the capability was exchanged")
	select {
	case err := <-result:
		require.NoError(t, err)
	case <-time.After(reloadGrace + time.Second):
	}
	cancel()
	assert.ErrorIs(t, <-result, context.Canceled)
	assert.Eventually(t, func() bool { return !strings.Contains(processes(t), w.config.Dir) }, 5*time.Second, 20*time.Millisecond)
}
