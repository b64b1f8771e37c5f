//go:build linux

package soak_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"certsign/internal/testtool"
)

// daemon is `certsign run` on a terminal of its own, with somebody at the keyboard who agrees to everything.
type daemon struct {
	cmd    *exec.Cmd
	port   string
	master *os.File
	ended  chan struct{} // closed when the process is gone

	mu    sync.Mutex
	shown strings.Builder
}

// answers are what is typed when the terminal waits after that text.
var answers = []struct {
	prompt *regexp.Regexp
	typed  string
}{
	{regexp.MustCompile(`Number of the place \[\d+\] \([^)]*\): $`), "\r"}, // the page's wish is preselected
	{regexp.MustCompile(`Kind of key \[\d+\] \([^)]*\): $`), "\r"},
	{regexp.MustCompile(`(New password|Repeat password|Password): $`), password + "\r"},
	{regexp.MustCompile(`PIN of the card or token: $`), tokenPIN + "\r"},
}

func (w *world) startDaemon(t *testing.T) *daemon {
	t.Helper()
	master, slave := testtool.Terminal(t)
	defer slave.Close()

	d := &daemon{master: master, port: freeAddress(t)[len("127.0.0.1:"):], ended: make(chan struct{})}
	d.cmd = w.certsign("run", "--ui", "terminal", "--port", d.port)
	d.cmd.Stdin = slave
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // its standard input becomes its terminal
	out, err := d.cmd.StdoutPipe()
	require.NoError(t, err)
	d.cmd.Stderr = d.cmd.Stdout
	require.NoError(t, d.cmd.Start())
	go d.attend()
	lines := bufio.NewScanner(out)
	var said strings.Builder
	for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
		said.WriteString(lines.Text() + "\n")
	}
	require.Contains(t, lines.Text(), "listening", "%s", &said)
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = d.cmd.Wait()
		_ = master.Close()
		close(d.ended)
	}()
	t.Cleanup(d.kill)
	return d
}

// attend is the person at the keyboard.
func (d *daemon) attend() {
	buffer := make([]byte, 4096)
	answered := 0
	for {
		n, err := d.master.Read(buffer)
		if err != nil {
			return
		}
		d.mu.Lock()
		d.shown.Write(buffer[:n])
		all := d.shown.String()
		d.mu.Unlock()
		for _, a := range answers {
			if a.prompt.MatchString(all[answered:]) {
				answered = len(all)
				_, _ = d.master.WriteString(a.typed)
			}
		}
	}
}

func (d *daemon) screen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown.String()
}

// kill ends it with SIGKILL and waits.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.ended
}

// stop ends it as a person does.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	_ = d.cmd.Process.Signal(os.Interrupt)
	select {
	case <-d.ended:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the agent does not stop", d.screen())
	}
}

// page is a page of the portal, as the agent sees it.
type page struct{ conn *websocket.Conn }

func (w *world) open(d *daemon) (*page, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: []string{"certsign.v1"}}
	conn, _, err := dialer.Dial("ws://127.0.0.1:"+d.port+"/certsign/v1/socket", http.Header{"Origin": {w.web}})
	if err != nil {
		return nil, err
	}
	for {
		var f struct{ Event string }
		if err := conn.ReadJSON(&f); err != nil || f.Event == "ready" {
			return &page{conn}, err
		}
	}
}

// call sends a request and waits for its answer; events pass by.
func (p *page) call(method string, params, result any) error {
	if err := p.conn.WriteJSON(map[string]any{"id": method, "method": method, "params": params}); err != nil {
		return err
	}
	for {
		if err := p.conn.SetReadDeadline(time.Now().Add(90 * time.Second)); err != nil {
			return err
		}
		var f struct {
			ID     string
			Event  string
			Result json.RawMessage
			Error  *struct{ Code, Message string }
		}
		switch err := p.conn.ReadJSON(&f); {
		case err != nil:
			return err
		case f.Event != "" || f.ID != method:
		case f.Error != nil:
			return fmt.Errorf("%s: %s: %s", method, f.Error.Code, f.Error.Message)
		default:
			return json.Unmarshal(f.Result, result)
		}
	}
}

// enroll is the first leg, as the portal's page does it.
func (p *page) enroll(store string) (ceremony, error) {
	var answer struct {
		Ceremony, CSRSHA256 string
		CSR                 []byte
	}
	err := p.call("enroll", map[string]string{"store": store, "key": "p256", "label": "soak"}, &answer)
	return ceremony{ID: answer.Ceremony, CSR: answer.CSR, CSRSHA256: answer.CSRSHA256, store: store}, err
}

// finish is the second.
func (p *page) finish(c ceremony, token string) error {
	var answer struct{ Certificate []byte }
	err := p.call("enroll.finish", map[string]string{"ceremony": c.ID, "token": token}, &answer)
	if err == nil && len(answer.Certificate) == 0 {
		return fmt.Errorf("enroll.finish: no certificate")
	}
	return err
}
