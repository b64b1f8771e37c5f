//go:build linux

package soak_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/testtool"
)

// listing is what `certsign list` says.
type listing struct {
	Certificates []struct{ Serial, Store, Key string }
	Keys         []struct{ Store, Key string }
	Ceremonies   []struct{ ID, Store, State string }
}

func (w *world) list(t *testing.T) (l listing) {
	t.Helper()
	out, err := w.certsign("list", "--json").Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &l))
	return l
}

// count asks the CA's database, beside the CA or after its end.
func (w *world) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.database+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.QueryRow(query, args...).Scan(&n))
	return n
}

// replay sends the ceremony's request with its token to the CA once more, past the agent, which would not. The CA must know
// the token as spent, and issue nothing.
func (w *world) replay(t *testing.T, c ceremony, token string) {
	t.Helper()
	before := w.count(t, "SELECT count(*) FROM certificates")
	body, err := json.Marshal(map[string]string{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: c.CSR})), "ott": token,
	})
	require.NoError(t, err)
	r, err := w.gate.client.Post(w.ca+signPath, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer r.Body.Close()
	var answer struct{ Code string }
	require.NoError(t, json.NewDecoder(r.Body).Decode(&answer))
	require.Equal(t, http.StatusUnauthorized, r.StatusCode)
	require.Equal(t, "token_spent", answer.Code)
	require.Equal(t, before, w.count(t, "SELECT count(*) FROM certificates"))
	require.Equal(t, 1, w.count(t, "SELECT count(*) FROM certificates WHERE csr_sha256 = ?", c.CSRSHA256))
}

// audit compares what both sides know, after everything was taken up again.
func (w *world) audit(t *testing.T) {
	t.Helper()
	w.auditCA(t)
	l := w.list(t)
	w.auditCertificates(t, l)
	w.auditKeys(t, l)
	w.auditToken(t, l)
	w.auditFiles(t)
	w.auditProcesses(t)
	_, err := w.customsCA("audit", "verify").Output()
	assert.NoError(t, err, "the CA's audit log is whole")
	journal, err := w.certsign("journal", "--verify").CombinedOutput()
	assert.NoError(t, err, "the agent's journal is whole: %s", journal)
}

// auditCA looks for a token that was spent twice or for nothing, and for a request or an intent with another number of
// certificates than one.
func (w *world) auditCA(t *testing.T) {
	t.Helper()
	certificates := w.count(t, "SELECT count(*) FROM certificates")
	require.NotZero(t, certificates)
	assert.Zero(t, w.count(t, "SELECT count(*) FROM intents WHERE state = 'open'"), "what was begun was ended")
	assert.Equal(t, certificates, w.count(t, "SELECT count(*) FROM intents WHERE state = 'issued'"), "each certificate was intended")
	assert.Zero(t, w.count(t, "SELECT count(*) FROM certificates WHERE serial NOT IN (SELECT serial FROM intents WHERE state = 'issued')"))
	for _, column := range []string{"csr_sha256", "spki_sha256", "enrolment_id"} {
		assert.Equal(t, certificates, w.count(t, "SELECT count(DISTINCT "+column+") FROM certificates"), column)
	}
	assert.Zero(t, w.count(t, `SELECT count(*) FROM tokens t WHERE spent_at <> 0 AND
		(SELECT count(*) FROM certificates c WHERE c.enrolment_id = t.enrolment_id) <> 1`), "a spent token is worth one certificate")
	assert.Zero(t, w.count(t, `SELECT count(*) FROM certificates c WHERE
		(SELECT count(*) FROM tokens t WHERE t.enrolment_id = c.enrolment_id AND spent_at <> 0) <> 1`), "a certificate costs one token")
}

// auditCertificates has each certificate that the CA issued sign a document with its key.
func (w *world) auditCertificates(t *testing.T, l listing) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.database+"?mode=ro")
	require.NoError(t, err)
	defer db.Close()
	stores := map[string]string{}
	for _, c := range l.Certificates {
		stores[strings.TrimLeft(c.Serial, "0")] = c.Store
	}
	document := filepath.Join(t.TempDir(), "zgłoszenie.xml")
	require.NoError(t, os.WriteFile(document, []byte("<Zgłoszenie>Śruby</Zgłoszenie>"), 0o600))
	rows, err := db.Query("SELECT serial FROM certificates")
	require.NoError(t, err)
	defer rows.Close()
	issued := 0
	for rows.Next() {
		var serial string
		require.NoError(t, rows.Scan(&serial))
		issued++
		store, held := stores[strings.TrimLeft(serial, "0")]
		if !assert.True(t, held, "certificate %s was issued, and its key is not in any store", serial) {
			continue
		}
		out, err := w.certsign("sign", "--cert", serial, "--pin-file", w.pinFiles[store], "--force", document).CombinedOutput()
		assert.NoError(t, err, "the key of certificate %s in %s does not sign: %s", serial, store, out)
	}
	require.NoError(t, rows.Err())
	assert.Len(t, l.Certificates, issued, "the agent holds certificates that the CA does not know")
}

// auditKeys looks for keys that belong to nothing: one without a certificate waits for it in a ceremony whose request was
// signed, and such a ceremony has its key. Nothing else is open any more.
func (w *world) auditKeys(t *testing.T, l listing) {
	t.Helper()
	waiting := map[string]bool{}
	for _, n := range w.notes(t) {
		switch n.State {
		case "done":
		case "asked":
			waiting[n.Store+"/"+n.Key] = true
		default:
			assert.Failf(t, "a ceremony was neither taken up nor cleaned", "%s: %s", n.ID, n.State)
		}
	}
	for _, k := range l.Keys {
		id := k.Store + "/" + k.Key
		assert.True(t, waiting[id], "the key %s has no certificate and belongs to no ceremony", id)
		delete(waiting, id)
	}
	assert.Empty(t, waiting, "ceremonies without their keys")
}

// auditToken looks at the token with another program: each private key that is there after a log-in is one that the agent
// lists, and has its public half.
func (w *world) auditToken(t *testing.T, l listing) {
	t.Helper()
	objects := func(kind string) map[string]int {
		cmd := exec.Command(testtool.Need(t, "pkcs11-tool"), "--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", "Card",
			"--login", "--pin", tokenPIN, "--list-objects", "--type", kind)
		cmd.Env = w.env
		out, err := cmd.Output()
		require.NoError(t, err)
		all := map[string]int{}
		for _, m := range regexp.MustCompile(`(?m)^\s+ID:\s+(\S+)$`).FindAllSubmatch(out, -1) {
			all[string(m[1])]++
		}
		return all
	}
	private := objects("privkey")
	certificates, keys := 0, 0
	for _, c := range l.Certificates {
		if c.Store == "pkcs11" {
			certificates++
		}
	}
	for _, k := range l.Keys {
		if k.Store == "pkcs11" {
			keys++
		}
	}
	assert.Equal(t, certificates+keys, len(private), "private keys on the token, and those that the agent lists")
	assert.Equal(t, private, objects("pubkey"), "the halves of the keys on the token")
	beside := objects("cert")
	maps.DeleteFunc(beside, func(id string, _ int) bool { return private[id] == 0 }) // the CA's
	assert.Len(t, beside, certificates, "keys on the token with a certificate, and those that the agent lists")
}

// legal are the files that may be in the agent's folder while nothing runs. A file that was being written when its process
// was killed may be there too, until an agent is started an hour later: sooner it could be somebody's who is just writing.
var legal = regexp.MustCompile(`^(config\.yaml|listed\.json|sites\.(yaml|lock)|agent\.lock|journal\.(jsonl|lock|head)|ceremonies/[0-9a-f]{32}\.(json|lock)|` +
	`keys/[^/]+\.(p12|json)|keys/\.lock)$`)

func (w *world) auditFiles(t *testing.T) {
	t.Helper()
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range w.files(t) {
		if unfinished.MatchString(name) || strings.HasSuffix(name, ".lock") {
			require.NoError(t, os.Chtimes(filepath.Join(w.home, name), old, old))
		}
	}
	t.Logf("%d files were being written", w.unfinished(t))
	d := w.startDaemon(t)
	time.Sleep(time.Second)
	d.stop(t)
	for _, name := range w.files(t) {
		assert.Regexp(t, legal, name, "left behind")
		if id, lock := strings.CutSuffix(name, ".lock"); lock && strings.HasPrefix(name, "ceremonies/") {
			assert.FileExists(t, filepath.Join(w.home, id+".json"), "%s is the lock of no ceremony", name)
		}
	}
}

// files lists the agent's folder.
func (w *world) files(t *testing.T) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(w.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(w.home, path)
			all = append(all, name)
		}
		return err
	}))
	return all
}

// unfinished counts the files that are being written, or were when their process was killed.
func (w *world) unfinished(t *testing.T) (n int) {
	t.Helper()
	for _, name := range w.files(t) {
		if unfinished.MatchString(name) {
			n++
		}
	}
	return n
}

// auditProcesses looks for module processes that outlived their agent.
func (w *world) auditProcesses(t *testing.T) {
	t.Helper()
	assert.Eventually(t, func() bool { return len(w.processes()) == 0 }, 5*time.Second, 50*time.Millisecond, "%v", w.processes())
}

func (w *world) processes() (left []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte("CERTSIGN_HOME="+w.home+"\x00")) {
			continue
		}
		exe, err := os.Readlink(filepath.Join(filepath.Dir(path), "exe"))
		if err == nil && filepath.Base(exe) == "certsign-pkcs11" {
			left = append(left, fmt.Sprint(filepath.Base(filepath.Dir(path)), " ", exe))
		}
	}
	return left
}
