package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wneessen/go-mail"

	"certsign/ca"
)

// mailer hands the outbox to a mail server.
type mailer struct {
	client *mail.Client
	from   string
}

// mailer returns nil when no mail server is configured: messages then wait in the database.
func (h *house) mailer() (*mailer, error) {
	c := h.config.SMTP
	if c.Host == "" {
		return nil, nil
	}
	o := []mail.Option{mail.WithTimeout(20 * time.Second)}
	switch c.TLS {
	case "none":
		o = append(o, mail.WithTLSPolicy(mail.NoTLS))
	case "implicit":
		o = append(o, mail.WithSSL())
	default:
		o = append(o, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if c.Port != 0 {
		o = append(o, mail.WithPort(c.Port))
	}
	if c.Username != "" {
		password, err := readPassword(h.config.path(c.PasswordFile), "smtp.password-file in the configuration")
		if err != nil {
			return nil, err
		}
		o = append(o, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(c.Username), mail.WithPassword(string(password)))
	}
	client, err := mail.NewClient(c.Host, o...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return &mailer{client: client, from: c.From}, nil
}

// send sends what waits, oldest first, and stops at the first failure: a later try begins there again.
func (m *mailer) send(ctx context.Context, ledger *ca.Ledger) error {
	waiting, err := ledger.UnsentMail(ctx, 50)
	if err != nil {
		return err
	}
	for _, w := range waiting {
		message := mail.NewMsg()
		if err := message.From(m.from); err != nil {
			return fmt.Errorf("message %d: %w", w.ID, err)
		}
		if err := message.To(w.To); err != nil {
			return fmt.Errorf("message %d: %w", w.ID, err)
		}
		message.Subject(w.Subject)
		message.SetDateWithValue(w.Created)
		message.SetBodyString(mail.TypeTextPlain, w.Text)
		if err := m.client.DialAndSendWithContext(ctx, message); err != nil {
			return fmt.Errorf("message %d: %w", w.ID, err)
		}
		if err := ledger.MarkSent(ctx, w.ID, time.Now()); err != nil {
			return fmt.Errorf("message %d: %w", w.ID, err)
		}
	}
	return nil
}
