package ca

import (
	"context"
	"fmt"
	"time"
)

// message is an e-mail in both languages. Neither holds a verification code or a personal number.
type message struct {
	subject, text map[string]string
}

// mail writes a message to the outbox, in the transaction of what it tells about.
func (l *Ledger) mail(tx Tx, a Account, m message) error {
	lang := a.Language
	if m.subject[lang] == "" {
		lang = "pl"
	}
	closing := map[string]string{
		"pl": "\n\n--\nCentralny Service Desk\nWiadomość wysłana automatycznie, prosimy na nią nie odpowiadać.\n",
		"en": "\n\n--\nCentral Service Desk\nThis message was sent automatically; please do not reply to it.\n",
	}
	id, err := tx.Next("mail")
	if err != nil {
		return err
	}
	return tx.InsertMail(Mail{ID: id, To: a.Email, Subject: m.subject[lang], Text: m.text[lang] + closing[lang], Created: l.now().UTC()})
}

func factorMail(purpose, code string) message {
	what := map[string][2]string{
		PurposeGenerate: {"wygenerowanie certyfikatu celnego", "generating a customs certificate"},
		PurposeResume:   {"wznowienie certyfikatu celnego", "resuming a customs certificate"},
	}[purpose]
	return message{
		subject: map[string]string{"pl": "Kod jednorazowy: " + code, "en": "One-time code: " + code},
		text: map[string]string{
			"pl": fmt.Sprintf("Kod jednorazowy potwierdzający %s:\n\n    %s\n\nKod jest ważny 10 minut i można go użyć jeden raz. "+
				"Nie podawaj go nikomu.\n\nJeżeli to nie Ty prosiłeś(-aś) o kod, zmień hasło do konta i skontaktuj się z Help Desk.", what[0], code),
			"en": fmt.Sprintf("One-time code to confirm %s:\n\n    %s\n\nThe code is valid for 10 minutes and can be used once. "+
				"Do not give it to anybody.\n\nIf you did not ask for it, change your account password and contact the Help Desk.", what[1], code),
		},
	}
}

func issuedMail(c *Certificate) message {
	until := c.X509.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
	return message{
		subject: map[string]string{"pl": "Wydano certyfikat celny", "en": "Customs certificate issued"},
		text: map[string]string{
			"pl": fmt.Sprintf("Wydano certyfikat celny o numerze seryjnym:\n\n    %s\n\nCertyfikat jest ważny do %s.\n\n"+
				"Pobierz potwierdzenie wystawienia certyfikatu i sprawdź dane w certyfikacie. Jeżeli dane są błędne, unieważnij certyfikat, "+
				"popraw dane i wystąp o nowy certyfikat. Potwierdzenie zawiera kod weryfikacyjny potrzebny do zawieszenia, wznowienia "+
				"i unieważnienia certyfikatu – przechowuj je w bezpiecznym miejscu.\n\n"+
				"Jeżeli to nie Ty wygenerowałeś(-aś) ten certyfikat, niezwłocznie skontaktuj się z Help Desk.", c.Serial, until),
			"en": fmt.Sprintf("A customs certificate was issued with the serial number:\n\n    %s\n\nIt is valid until %s.\n\n"+
				"Download the confirmation of the certificate issue and check the data in the certificate. If there are errors, revoke the "+
				"certificate, have the data corrected and apply for a new one. The confirmation holds the verification code needed to suspend, "+
				"resume or revoke the certificate: keep it in a safe place.\n\n"+
				"If it was not you who generated this certificate, contact the Help Desk at once.", c.Serial, until),
		},
	}
}

// kindWords are the kinds in the genitive case ("wniosek o zawieszenie") and as English nouns.
var kindWords = map[RequestKind][2]string{
	Suspend: {"zawieszenie", "suspension"},
	Resume:  {"wznowienie", "resumption"},
	Revoke:  {"unieważnienie", "revocation"},
}

func receivedMail(r Request) message {
	pl, en := "", ""
	if r.Held {
		pl = "\n\nDo czasu rozpatrzenia wniosku certyfikat jest zawieszony i nie można się nim posługiwać."
		en = "\n\nUntil the request is decided the certificate is suspended and cannot be used."
	}
	w := kindWords[r.Kind]
	return message{
		subject: map[string]string{
			"pl": fmt.Sprintf("[%s] Przyjęto wniosek o %s certyfikatu", r.Ticket, w[0]),
			"en": fmt.Sprintf("[%s] Request for %s of a certificate received", r.Ticket, w[1]),
		},
		text: map[string]string{
			"pl": fmt.Sprintf("Przyjęto wniosek o %s certyfikatu celnego o numerze seryjnym:\n\n    %s\n\nNumer zgłoszenia: %s\n\n"+
				"Wniosek rozpatrzy Help Desk. O rozstrzygnięciu powiadomimy odrębną wiadomością.%s", w[0], r.Serial, r.Ticket, pl),
			"en": fmt.Sprintf("We received a request for %s of the customs certificate with the serial number:\n\n    %s\n\nTicket: %s\n\n"+
				"The Help Desk will decide on it. You will be told in a separate message.%s", w[1], r.Serial, r.Ticket, en),
		},
	}
}

func resolvedMail(r Request) message {
	done := map[RequestKind][2]string{
		Suspend: {"Certyfikat został zawieszony. Nie można się nim posługiwać do czasu wznowienia.", "The certificate is suspended. It cannot be used until it is resumed."},
		Resume:  {"Certyfikat został wznowiony. Można się nim ponownie posługiwać.", "The certificate is resumed. It can be used again."},
		Revoke:  {"Certyfikat został unieważniony. Unieważnienie jest nieodwracalne.", "The certificate is revoked. Revocation is irreversible."},
	}[r.Kind]
	w := kindWords[r.Kind]
	return message{
		subject: map[string]string{
			"pl": fmt.Sprintf("[%s] Zrealizowano wniosek o %s certyfikatu", r.Ticket, w[0]),
			"en": fmt.Sprintf("[%s] Request for %s of a certificate resolved", r.Ticket, w[1]),
		},
		text: map[string]string{
			"pl": fmt.Sprintf("Zrealizowano wniosek o %s certyfikatu celnego o numerze seryjnym:\n\n    %s\n\nNumer zgłoszenia: %s\n\n%s%s",
				w[0], r.Serial, r.Ticket, done[0], comment("Uwagi: ", r.Comment)),
			"en": fmt.Sprintf("The request for %s of the customs certificate with this serial number was resolved:\n\n    %s\n\nTicket: %s\n\n%s%s",
				w[1], r.Serial, r.Ticket, done[1], comment("Remarks: ", r.Comment)),
		},
	}
}

func rejectedMail(r Request, resumed bool) message {
	pl, en := "Stan certyfikatu nie uległ zmianie.", "The certificate's status has not changed."
	if resumed {
		pl = "Zawieszenie certyfikatu na czas rozpatrywania wniosku zostało uchylone."
		en = "The suspension of the certificate while the request was decided has been lifted."
	}
	reasonPL, reasonEN := r.Comment, r.Comment
	if r.DecidedBy == decidedAuto {
		reasonPL, reasonEN = "podany kod weryfikacyjny jest nieprawidłowy", "the verification code is incorrect"
	}
	w := kindWords[r.Kind]
	return message{
		subject: map[string]string{
			"pl": fmt.Sprintf("[%s] Odrzucono wniosek o %s certyfikatu", r.Ticket, w[0]),
			"en": fmt.Sprintf("[%s] Request for %s of a certificate rejected", r.Ticket, w[1]),
		},
		text: map[string]string{
			"pl": fmt.Sprintf("Odrzucono wniosek o %s certyfikatu celnego o numerze seryjnym:\n\n    %s\n\nNumer zgłoszenia: %s\n\nPowód: %s\n\n%s",
				w[0], r.Serial, r.Ticket, reasonPL, pl),
			"en": fmt.Sprintf("The request for %s of the customs certificate with this serial number was rejected:\n\n    %s\n\nTicket: %s\n\nReason: %s\n\n%s",
				w[1], r.Serial, r.Ticket, reasonEN, en),
		},
	}
}

func lockedMail(serial string) message {
	return message{
		subject: map[string]string{"pl": "Zablokowano kod weryfikacyjny certyfikatu", "en": "Certificate verification code locked"},
		text: map[string]string{
			"pl": fmt.Sprintf("Pięć razy podano błędny kod weryfikacyjny certyfikatu celnego o numerze seryjnym:\n\n    %s\n\n"+
				"Kod został zablokowany. Aby go odblokować albo zawiesić certyfikat, skontaktuj się z Help Desk. "+
				"Jeżeli to nie Ty podawałeś(-aś) kod, zmień hasło do konta.", serial),
			"en": fmt.Sprintf("A wrong verification code was given five times for the customs certificate with the serial number:\n\n    %s\n\n"+
				"The code is locked. To unlock it, or to suspend the certificate, contact the Help Desk. "+
				"If it was not you who gave the codes, change your account password.", serial),
		},
	}
}

func comment(label, text string) string {
	if text == "" {
		return ""
	}
	return "\n\n" + label + text
}

// Mailbox returns the messages to one address, newest first.
func (l *Ledger) Mailbox(ctx context.Context, address string) ([]Mail, error) {
	var all []Mail
	err := l.store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.MailTo(normalEmail(address))
		return err
	})
	return all, err
}

// UnsentMail returns the messages that wait, oldest first.
func (l *Ledger) UnsentMail(ctx context.Context, limit int) ([]Mail, error) {
	var all []Mail
	err := l.store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.UnsentMail(limit)
		return err
	})
	return all, err
}

// MarkSent notes that a message was handed over to a mail server.
func (l *Ledger) MarkSent(ctx context.Context, id int64, at time.Time) error {
	return l.store.Update(ctx, func(tx Tx) error { return tx.MarkSent(id, at) })
}
