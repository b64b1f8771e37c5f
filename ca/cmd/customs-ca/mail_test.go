package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/ca/sqlstore"
)

// postOffice is a mail server that takes messages until it is told to refuse one.
func postOffice(t *testing.T, refuse string) (port int, received <-chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	messages := make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				fmt.Fprint(c, "220 test\r\n")
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					switch command := strings.ToUpper(line); {
					case strings.HasPrefix(command, "EHLO"):
						fmt.Fprint(c, "250-test\r\n250 8BITMIME\r\n")
					case refuse != "" && strings.Contains(line, refuse):
						fmt.Fprint(c, "550 no such mailbox\r\n")
					case strings.HasPrefix(command, "DATA"):
						fmt.Fprint(c, "354 go on\r\n")
						var b strings.Builder
						for {
							line, err := r.ReadString('\n')
							if err != nil || line == ".\r\n" {
								break
							}
							b.WriteString(line)
						}
						messages <- b.String()
						fmt.Fprint(c, "250 taken\r\n")
					case strings.HasPrefix(command, "QUIT"):
						fmt.Fprint(c, "221 bye\r\n")
						return
					default:
						fmt.Fprint(c, "250 ok\r\n")
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, messages
}

func outbox(t *testing.T) *ca.Ledger {
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "ca.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	_, err = store.Migrate(ctx)
	require.NoError(t, err)
	ledger, err := ca.NewLedger(ca.LedgerConfig{Store: store, CodeKey: bytes.Repeat([]byte{1}, 32)})
	require.NoError(t, err)
	require.NoError(t, store.Update(ctx, func(tx ca.Tx) error {
		if err := tx.InsertMail(ca.Mail{ID: 1, To: "a@example.test", Subject: "Wydano certyfikat – zażółć", Text: "Gęślą jaźń"}); err != nil {
			return err
		}
		return tx.InsertMail(ca.Mail{ID: 2, To: "b@example.test", Subject: "two", Text: "second"})
	}))
	return ledger
}

func houseWithMail(port int) *house {
	c := &configuration{}
	c.SMTP.Host, c.SMTP.Port, c.SMTP.TLS, c.SMTP.From = "127.0.0.1", port, "none", "csd@example.test"
	return &house{books: &books{config: c}}
}

func TestWaitingMessagesAreSentOnce(t *testing.T) {
	port, received := postOffice(t, "")
	ledger := outbox(t)
	m, err := houseWithMail(port).mailer()
	require.NoError(t, err)
	require.NoError(t, m.send(context.Background(), ledger))
	assert.Contains(t, <-received, "To: <a@example.test>")
	assert.Contains(t, <-received, "second")
	require.NoError(t, m.send(context.Background(), ledger))
	assert.Empty(t, received)
	left, err := ledger.UnsentMail(context.Background(), 10)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestARefusedMessageWaits(t *testing.T) {
	port, _ := postOffice(t, "b@example.test")
	ledger := outbox(t)
	m, err := houseWithMail(port).mailer()
	require.NoError(t, err)
	require.Error(t, m.send(context.Background(), ledger))
	left, err := ledger.UnsentMail(context.Background(), 10)
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.EqualValues(t, 2, left[0].ID)
}

func TestWithoutAMailServerNothingIsSent(t *testing.T) {
	m, err := (&house{books: &books{config: &configuration{}}}).mailer()
	require.NoError(t, err)
	assert.Nil(t, m)
}
