package agent_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

// forms are how a secret could be written down: as it is, in UTF-16, as octets, quoted, and in base64 from each of the three
// positions at which it can begin.
func forms(secret string) map[string]string {
	little, big, escaped := []byte{}, []byte{}, ""
	for _, unit := range utf16.Encode([]rune(secret)) {
		little, big = append(little, byte(unit), byte(unit>>8)), append(big, byte(unit>>8), byte(unit))
		if unit < 0x80 {
			escaped += string(rune(unit))
		} else {
			escaped += fmt.Sprintf("\\u%04x", unit)
		}
	}
	all := map[string]string{
		"as it is": secret, "UTF-16LE": string(little), "UTF-16BE": string(big), "JSON in ASCII": escaped,
		"hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"spaced hex": fmt.Sprintf("% x", secret), "octets": strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
		"octets, comma": strings.ReplaceAll(strings.Trim(fmt.Sprint([]byte(secret)), "[]"), " ", ","),
		"query":         url.QueryEscape(secret), "path": url.PathEscape(secret), "quoted": strings.Trim(strconv.QuoteToASCII(secret), `"`),
	}
	for i, name := range []string{"base64", "base64, one on", "base64, two on"} {
		for kind, encoding := range map[string]*base64.Encoding{"": base64.StdEncoding, ", URL": base64.URLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, i), secret...))
			text = strings.TrimRight(text[(8*i+5)/6:], "=")
			all[name+kind] = text[:len(text)-1] // the last one may hold bits of what follows
		}
	}
	if quoted, err := json.Marshal(secret); err == nil {
		all["JSON"] = strings.Trim(string(quoted), `"`)
	}
	return all
}

func TestSecretsAreFoundInEveryForm(t *testing.T) {
	const secret = "Hasło-Żółw-73915!x"
	escaped, err := json.Marshal(map[string][]byte{"a": []byte("x" + secret)})
	require.NoError(t, err)
	for _, text := range []string{secret, "{" + base64.StdEncoding.EncodeToString([]byte("a"+secret+"b")) + "}",
		base64.StdEncoding.EncodeToString([]byte("ab" + secret)), base64.URLEncoding.EncodeToString([]byte("abc" + secret + "xyz")),
		string(escaped), url.Values{"pin": {secret}}.Encode(), fmt.Sprintf("%+q", secret), fmt.Sprint([]byte(secret)), fmt.Sprintf("%X", secret)} {
		found := false
		for _, form := range forms(secret) {
			found = found || strings.Contains(text, form)
		}
		assert.True(t, found, text)
	}
}

// fakePinentry is a program in the place of a pinentry. It writes down what it sees and hears, and says what is in the file
// beside it, a line to each question; to one that is CRASH it crashes the program that asks.
const fakePinentry = `#!/bin/sh
answers=$(dirname "$0")/answers
heard=$(mktemp SEEN/pinentry-XXXXXX)
for process in $$ $PPID; do
	cat /proc/$process/cmdline >"$heard-$process-cmdline"
	cat /proc/$process/environ >"$heard-$process-environ"
done
echo "OK ready"
while IFS= read -r line; do
	printf '%s\n' "$line" >>"$heard"
	case $line in
	SETREPEAT*) repeated="S PIN_REPEATED" ;;
	BYE) echo OK; exit ;;
	GETPIN)
		IFS= read -r answer <"$answers"
		sed -i 1d "$answers"
		[ "$answer" != CRASH ] || kill -ABRT $PPID
		[ -z "$repeated" ] || echo "$repeated"
		printf 'D %s\n' "$answer" ;;
	esac
	echo OK
done
`

// TestNoSecretIsWrittenAnywhere runs keys through their lives at the most verbose level, with a driver that prints every PIN
// it gets, and searches all that came out of it: outputs, logs, files, command lines and environments.
func TestNoSecretIsWrittenAnywhere(t *testing.T) {
	const (
		pin, wrong, password                   = "Pin-Żółw-73915", "Zły-Pin-48260", "Hasło-Żółw-73915!x"
		puk, newPIN, thirdPIN, firstPIN        = "Puk-97531-abc", "Nowy-86420-def", "Trzeci-11223-ghi", "Pierwszy-33445-jkl"
		newPassword, filePassword, ownPassword = "Nowe-Hasło-Ćma-55!", "Obce-Hasło-Łoś-66!", "Własne-Hasło-Ryś-77!"
	)
	bin, dir, seen := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"certsign", "certsign-pkcs11"} {
		out, err := exec.Command(testtool.Need(t, "go"), "build", "-o", filepath.Join(bin, name), "certsign/agent/cmd/"+name).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	token := newSoftToken(t, filepath.Join(bin, "certsign-pkcs11"))
	for _, args := range [][]string{
		{"--token-label", "Moja karta", "--login", "--pin", tokenPIN, "--change-pin", "--new-pin", pin},
		{"--token-label", "Moja karta", "--login", "--login-type", "so", "--so-pin", "so-pin-1357", "--change-pin", "--new-pin", puk},
		{"--init-token", "--slot-index", "1", "--label", "Pusta karta", "--so-pin", puk},
	} {
		out, err := exec.Command(testtool.Need(t, "pkcs11-tool"), append([]string{"--module", softHSM}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	tools := &tokenSuite{shims: t.TempDir(), token: token, log: filepath.Join(seen, "notes")}
	tools.SetT(t)
	tools.shim("telltale")
	t.Setenv("SHIM_SEEN", seen)

	// The files that hold a secret on purpose are kept apart from what is searched.
	secrets := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(secrets, name)
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
		return path
	}
	pinFile, wrongFile, passwordFile := file("pin", pin), file("wrong", wrong), file("password", password)
	root := testpki.Root(t)
	rootFile := filepath.Join(dir, "root.pem")
	require.NoError(t, os.WriteFile(rootFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.DER}), 0o600))
	document := filepath.Join(dir, "declaration.xml")
	require.NoError(t, os.WriteFile(document, []byte("<declaration/>"), 0o600))

	pinentry, answers := filepath.Join(secrets, "pinentry"), filepath.Join(secrets, "answers")
	require.NoError(t, os.WriteFile(pinentry, []byte(strings.ReplaceAll(fakePinentry, "SEEN", seen)), 0o700))

	home := filepath.Join(dir, "home")
	var said bytes.Buffer
	certsign := func(status int, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "certsign"), append([]string{"--home", home, "-v"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOTRACEBACK=crash")
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		_ = cmd.Run()
		require.Equal(t, status, cmd.ProcessState.ExitCode(), "%v: %s", args, &text)
		said.Write(text.Bytes())
	}
	certsign(0, "sites", "add", "--name", "office", "--origin", "https://portal.example", "--ca", "https://127.0.0.1:1", "--root", rootFile)
	config, err := os.ReadFile(filepath.Join(home, "config.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, "config.yaml"), append(config,
		"\npkcs11-modules:\n  - "+token.module+"\npinentry-program: "+pinentry+"\n"...), 0o600))
	asked := func(status int, secrets []string, args ...string) {
		t.Helper()
		require.NoError(t, os.WriteFile(answers, []byte(strings.Join(secrets, "\n")+"\n"), 0o600))
		certsign(status, args...)
		left, err := os.ReadFile(answers)
		require.NoError(t, err)
		assert.Empty(t, string(left), "%v asks for all of them", args)
	}

	// shell takes a key of a store through its life, each step with a secret that is wrong first.
	rig := &bench{}
	rig.SetT(t)
	shell := func(store, place, right, wrong string) {
		request, certificate := filepath.Join(dir, store+".csr"), filepath.Join(dir, store+".cer")
		enroll := []string{"enroll", "--site", "office", "--store", store, "--place", place, "--csr", request, "--pin-file"}
		if store == "pkcs11" {
			certsign(1, append(enroll, wrong)...)
		}
		certsign(0, append(enroll, right)...)
		b, err := os.ReadFile(request)
		require.NoError(t, err)
		block, _ := pem.Decode(b)
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(rig.certify(csr.PublicKey)[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(certificate, leaf.Raw, 0o600))
		if store == "pkcs11" {
			certsign(1, "import", "--pin-file", wrong, certificate)
		}
		certsign(0, "import", "--pin-file", right, certificate)
		for status, secret := range []string{right, wrong} {
			certsign(status, "sign", "--force", "--cert", leaf.SerialNumber.Text(16), "--pin-file", secret, "-o", filepath.Join(dir, store+".xml"), document)
		}
	}
	shell("pkcs11", "Moja karta", pinFile, wrongFile)
	shell("keyfile", "", passwordFile, wrongFile)

	// The other commands that take secrets, which a pinentry asks for.
	asked(1, []string{wrong, wrong, wrong}, "pin", "change", "--token", "Moja karta")
	asked(-1, []string{pin, "CRASH"}, "pin", "change", "--token", "Moja karta")
	asked(0, []string{pin, newPIN}, "pin", "change", "--token", "Moja karta")
	asked(1, []string{wrong, thirdPIN, wrong, wrong}, "pin", "unblock", "--token", "Moja karta")
	asked(0, []string{puk, thirdPIN}, "pin", "unblock", "--token", "Moja karta")
	asked(0, []string{puk, firstPIN}, "pin", "first", "--token", "Pusta karta")
	keys, err := keyfile.New(filepath.Join(home, "keys")).List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	asked(0, []string{password, newPassword}, "password", "keyfile/"+keys[0].ID)
	certsign(0, "backup", "keyfile/"+keys[0].ID, "-o", filepath.Join(dir, "copy.p12"))
	elsewhere, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(rig.certify(elsewhere.Public())[0])
	require.NoError(t, err)
	p12, err := pkcs12.Modern.Encode(elsewhere, leaf, nil, filePassword)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.p12"), p12, 0o600))
	asked(0, []string{filePassword, ownPassword}, "import", "--store", "keyfile", filepath.Join(dir, "other.p12"))
	asked(1, []string{wrong, wrong, wrong}, "import", "--store", "keyfile", filepath.Join(dir, "copy.p12"))
	certsign(0, "list")
	certsign(0, "tokens")
	certsign(0, "journal")

	// The store by itself, with a log that keeps everything.
	var log bytes.Buffer
	token.tune = func(c *pkcs11.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	store := token.Store()
	keys, err = store.List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	for _, secret := range []string{wrong, thirdPIN} {
		err := store.(agent.Deleter).Delete(t.Context(), keys[0].ID, (&pins{answer: secret}).ask)
		said.WriteString(fmt.Sprintf("%v %+v %#v", err, err, err))
	}

	// What the driver saw around it, and what it was told to leave behind.
	notes, err := os.ReadFile(tools.log)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, strings.Count(string(notes), "dumpable 0, core 0 of 0\n"), 6)
	assert.NotContains(t, string(notes), "dumpable 1")
	for _, pattern := range []string{"*-module-cmdline", "*-module-environ", "*-agent-cmdline", "*-agent-environ"} {
		found, err := filepath.Glob(filepath.Join(seen, pattern))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(found), 6, pattern)
	}
	limits, err := filepath.Glob(filepath.Join(seen, "*-agent-limits"))
	require.NoError(t, err)
	agents := 0
	for _, path := range limits {
		cmdline, err := os.ReadFile(strings.Replace(path, "-limits", "-cmdline", 1))
		require.NoError(t, err)
		if bytes.HasPrefix(cmdline, []byte(filepath.Join(bin, "certsign"))) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Regexp(t, `Max core file size +0 +0 `, string(text), "the agent's own")
			agents++
		}
	}
	assert.GreaterOrEqual(t, agents, 6)
	assert.Contains(t, said.String(), "level=", "the most verbose level says something")
	texts := map[string][]byte{"outputs": said.Bytes(), "log": log.Bytes()}
	for _, folder := range []string{dir, seen} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				texts[path], err = os.ReadFile(path)
			}
			return err
		}))
	}
	heard, err := filepath.Glob(filepath.Join(seen, "pinentry-*-environ"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(heard), 30, "the pinentry and who started it, at each question")
	for what, in := range map[string]string{"journal": filepath.Join(home, "journal"), "key": filepath.Join(home, "keys"), "question": filepath.Join(seen, "pinentry")} {
		assert.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(texts)), func(path string) bool { return strings.HasPrefix(path, in) }), what)
	}
	for where, text := range texts {
		assert.False(t, strings.HasPrefix(filepath.Base(where), "core"), "a core dump: %s", where)
		for _, secret := range []string{pin, wrong, password, puk, newPIN, thirdPIN, firstPIN, newPassword, filePassword, ownPassword} {
			for how, form := range forms(secret) {
				assert.False(t, bytes.Contains(text, []byte(form)), "a secret is in %s, %s", where, how)
			}
		}
	}
}
