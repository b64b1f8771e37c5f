package window

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

func mustOrigin(s string) agent.Origin {
	o, err := agent.ParseOrigin(s)
	if err != nil {
		panic(err)
	}
	return o
}

var portal = mustOrigin("https://portal.example:8443")

// declaration is a customs declaration in miniature, with letters, namespaces and attributes to look at.
func declaration(goods int) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!-- zgłoszenie próbne -->
<aes:CC515C xmlns:aes="http://www.example.pl/xsd/AES/CC515C.xsd" PhaseID="NCTS5.1">
  <messageSender>PL526104082800001</messageSender>
  <preparationDateAndTime>2026-11-21T10:15:00</preparationDateAndTime>
  <ExportOperation>
    <LRN>26PLWAW0000012345</LRN>
    <declarationType>EX</declarationType>
    <totalAmountInvoiced currency="PLN">128450.90</totalAmountInvoiced>
  </ExportOperation>
  <Exporter>
    <name>Żółta Łódź Spółka z o.o. &amp; Wspólnicy</name>
    <Address><streetAndNumber>ul. Gęsia 7/9</streetAndNumber><postcode>80-001</postcode><city>Gdańsk</city><country>PL</country></Address>
  </Exporter>
  <GoodsShipment>
`)
	for i := 1; i <= goods; i++ {
		fmt.Fprintf(&b, `    <GoodsItem sequenceNumber="%d"><descriptionOfGoods>Śruby stalowe ocynkowane M%d</descriptionOfGoods><netMass>%d.5</netMass></GoodsItem>
`, i, i%20+2, i*3)
	}
	b.WriteString("  </GoodsShipment>\n</aes:CC515C>\n")
	return b.String()
}

func document(name, mime, content string) agent.DocumentView {
	sum := sha256.Sum256([]byte(content))
	return agent.DocumentView{Name: name, MIME: mime, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Content: []byte(content)}
}

func certificates() []agent.CertificateView {
	now := time.Now()
	issuer := "CN=TEST CCK Użytkowników Zewnętrznych Służby Celnej,O=Ministerstwo Finansów,C=PL"
	return []agent.CertificateView{
		{Key: "pkcs11/01", Subject: `CN=Żaneta Źdźbło-Kowalska,SERIALNUMBER=PL52610408280000101,C=PL`, Issuer: issuer, Serial: "5a01f3c29be4d7780c11", Store: "pkcs11", Where: "Karta kryptograficzna (nr 0123456789)", NotBefore: now, NotAfter: now.AddDate(2, 0, 0), DaysLeft: 730, Hardware: true},
		{Key: "keyfile/02", Subject: `CN=Żaneta Źdźbło-Kowalska,C=PL`, Issuer: issuer, Serial: "31c4a9", Store: "keyfile", Where: "Keystore zgloszenia.p12", NotBefore: now, NotAfter: now.AddDate(0, 0, 12), DaysLeft: 12},
		{Key: "keyfile/03", Subject: `CN=Żaneta Źdźbło-Kowalska,C=PL`, Issuer: issuer, Serial: "1f00", Store: "keyfile", Where: "Keystore stary.p12", NotBefore: now, NotAfter: now.AddDate(0, 0, -3), DaysLeft: -3, Problem: string(problem.CertificateExpired)},
	}
}

func signing(documents ...agent.DocumentView) agent.SigningQuestion {
	return agent.SigningQuestion{Origin: portal, Site: "Portal celny", Documents: documents, Format: "XAdES", Level: "B-B", Certificates: certificates()}
}

func storeQuestion() agent.StoreQuestion {
	keys := []agent.KeyAlgorithm{agent.RSA3072, agent.RSA2048, agent.P256, agent.P384}
	return agent.StoreQuestion{
		Origin: portal, Site: "Portal celny", CA: "TEST CCK Użytkowników Zewnętrznych (https://ca.example:18443)", Algorithm: agent.RSA3072,
		Stores: []agent.StoreOffer{
			{Store: "pkcs11", Places: []agent.Place{
				{ID: "slot-1", Label: "Karta celna", Detail: "nr 0123456789", Hardware: true, State: agent.PINOK, Keys: keys},
				{ID: "slot-2", Label: "Token USB", Detail: "nr 42", Hardware: true, State: agent.PINFinal, Keys: keys[:2]},
				{ID: "slot-3", Label: "Stara karta", Hardware: true, State: agent.PINLocked, Keys: keys},
			}},
			{Store: "csp", Unavailable: string(problem.StoreUnavailable)},
			{Store: "keyfile", Places: []agent.Place{{ID: "", Label: "Plik Keystore", Detail: "/home/zaneta/.local/share/certsign/keys", NewPIN: true, State: agent.PINUnset, Keys: keys}}},
		},
	}
}

// opened is a window whose program only waits: the test is its browser.
type opened struct {
	*Window
	result chan error
}

// idle is a window command that shows nothing and stays.
var idle = []string{"/bin/sh", "-c", "sleep 60", "sh", "{url}"}

func newWindow(t *testing.T, lang string, command ...string) *Window {
	t.Helper()
	w, err := New(Config{Command: command, Dir: filepath.Join(shortDir(t), "window"), Language: lang})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// shortDir is t.TempDir with a name that leaves room for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cs")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// open asks in the background.
func open(t *testing.T, w *Window, ask func(ctx context.Context) error) *opened {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	o := &opened{Window: w, result: make(chan error, 1)}
	done := make(chan struct{})
	go func() { o.result <- ask(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return o
}

var target = regexp.MustCompile(`content="0;url=(http://127\.0\.0\.1:\d+)/#(\w+)"`)

// entryFile waits for the file with the capability.
func entryFile(t *testing.T, w *Window) (file string, found []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(w.config.Dir, "open-*.html"))
		if len(files) != 1 {
			return false
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			return false
		}
		file, found = files[0], target.FindStringSubmatch(string(b))
		return found != nil
	}, 10*time.Second, 5*time.Millisecond)
	return file, found
}

// entry returns the listener's address and the capability.
func entry(t *testing.T, w *Window) (base, capability string) {
	t.Helper()
	_, found := entryFile(t, w)
	return found[1], found[2]
}
