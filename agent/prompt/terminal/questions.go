package terminal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"certsign/agent"
	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

// maxTries is how often an answer may be none.
const maxTries = 5

// heading prints a title under an empty line.
func (s *screen) heading(title string) {
	s.say("", title, strings.Repeat("=", min(len([]rune(title)), 60)))
}

// pair prints a name and its value.
func (s *screen) pair(key, value string) { s.say("  " + s.lang.Text(key) + ": " + value) }

func (s *screen) origin(key string, site string, o agent.Origin) {
	name := s.lang.OriginName(o)
	if site != "" {
		name = wording.Visible(site) + " – " + name
	}
	s.pair(key, name)
	if strings.Contains(o.String(), "xn--") {
		s.say("  ! " + s.lang.Text("origin.punycode"))
	}
}

// ask reads a shown line, without the white space around it.
func (s *screen) ask(prompt string) (string, error) {
	b, err := s.line(prompt, shown)
	return strings.TrimSpace(string(b)), err
}

// again is the number of "look again".
const again = -1

// lookKey is what is typed to look again; it is listed in the prompts.
const lookKey = "r"

// number asks for one of 1 to n, where 0 is a no and an empty line the preselected one; with none preselected, it is a no.
// With look there is also again.
func (s *screen) number(key string, preselected, n int, look looking) (int, error) {
	prompt := s.lang.Text(key, preselected)
	if n == 0 {
		prompt = s.lang.Text(key)
	}
	for range maxTries {
		answer, err := s.ask(prompt)
		if err != nil {
			return 0, err
		}
		got, err := strconv.Atoi(answer)
		switch {
		case answer == "" && preselected > 0:
			return preselected, nil
		case bool(look) && strings.EqualFold(answer, lookKey):
			return again, nil
		case answer == "", err == nil && got == 0:
			return 0, errCancelled
		case err == nil && got > 0 && got <= n:
			return got, nil
		}
		s.say(s.lang.Text("terminal.again"))
	}
	return 0, errCancelled
}

// looking says whether a person may look again at what there is.
type looking bool

const noLook looking = false

// ApproveOrigin implements agent.Prompter.
func (t *Terminal) ApproveOrigin(ctx context.Context, q agent.OriginQuestion) error {
	return t.session(ctx, func(s *screen) error {
		l := s.lang
		s.heading(l.Text("origin.title"))
		s.say(l.Text("origin.lead"))
		s.origin("asks.origin", "", q.Origin)
		s.say(l.Text("origin.may"), "  - "+l.Text("origin.may.1"), "  - "+l.Text("origin.may.2"), "  - "+l.Text("origin.may.3"),
			l.Text("origin.maynot"), "", l.Text("origin.question")+" "+l.Text("origin.uncertain"))
		s.settle()
		word := l.Text("terminal.word.yes")
		for range maxTries {
			answer, err := s.ask(l.Text("terminal.origin.ask", word))
			switch {
			case err != nil:
				return err
			case strings.EqualFold(answer, word):
				return nil
			case answer == "":
				return errCancelled
			}
			s.say(l.Text("terminal.again"))
		}
		return errCancelled
	})
}

// choice is a place that can be chosen.
type choice struct {
	store string
	place agent.Place
}

// ConfigureStore implements agent.Prompter.
func (t *Terminal) ConfigureStore(ctx context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
	var answer agent.StoreAnswer
	err := t.session(ctx, func(s *screen) error {
		l := s.lang
		s.heading(l.Text("store.title"))
		s.say(l.Text("store.lead"))
		s.origin("store.site", q.Site, q.Origin)
		if q.CA != "" {
			s.pair("store.ca", wording.Visible(q.CA))
		}
		c, err := s.place(q)
		if err != nil {
			return err
		}
		s.consequences(c.place)
		algorithm, err := s.algorithm(c.place.Keys, q.Algorithm)
		answer = agent.StoreAnswer{Store: c.store, Place: c.place.ID, Algorithm: algorithm}
		return err
	})
	if err != nil {
		return agent.StoreAnswer{}, err
	}
	return answer, nil
}

// place asks for a place until one is chosen.
func (s *screen) place(q agent.StoreQuestion) (choice, error) {
	l := s.lang
	for stores := q.Stores; ; stores = q.Look(s.ctx) {
		s.say("", l.Text("store.question")+":")
		choices := s.offers(stores)
		key, preselected := "terminal.store.ask", 1+max(0, slices.IndexFunc(choices, func(c choice) bool { return c.store == q.Wish }))
		if len(choices) == 0 {
			s.say(l.Text("store.none"))
			key, preselected = "terminal.none.ask", 0
		}
		if n, err := s.choose(key, preselected, len(choices), q.Look != nil); n != again || err != nil {
			return pick(choices, n), err
		}
	}
}

// choose is number for a list that has just been printed; without anything in it, and no way to look again, it is a no.
func (s *screen) choose(key string, preselected, n int, look looking) (int, error) {
	if n == 0 && !look {
		return 0, errCancelled
	}
	s.settle()
	return s.number(key, preselected, n, look)
}

// pick returns the nth of all, from 1, or nothing.
func pick[T any](all []T, n int) (chosen T) {
	if n >= 1 && n <= len(all) {
		chosen = all[n-1]
	}
	return chosen
}

// offers prints the stores and returns the places that have a number.
func (s *screen) offers(stores []agent.StoreOffer) []choice {
	l := s.lang
	var choices []choice
	for _, offer := range stores {
		name, what := l.StoreName(offer.Store)
		if what != "" {
			name += " – " + what
		}
		if offer.Unavailable != "" || len(offer.Places) == 0 {
			code := offer.Unavailable
			if code == "" {
				code = string(problem.StoreUnavailable)
			}
			s.say("   -  " + name + "; " + l.Text("store.unusable") + ": " + l.Reason(code))
			continue
		}
		for _, p := range offer.Places {
			text := name + ": " + wording.Visible(p.Label)
			if p.Detail != "" {
				text += ", " + wording.Visible(p.Detail)
			}
			if why := wording.PlaceProblem(p); why != "" {
				s.say("   -  " + text + "; " + l.Text("store.unusable") + ": " + l.Reason(why))
				continue
			}
			choices = append(choices, choice{store: offer.Store, place: p})
			s.say(fmt.Sprintf("  %2d. %s", len(choices), text))
			if p.Hardware {
				s.say("      " + l.Text("store.because"))
			}
		}
	}
	return choices
}

// consequences says what a choice means before anything is asked about it.
func (s *screen) consequences(p agent.Place) {
	l := s.lang
	switch {
	case p.NewPIN:
		s.say("", "! "+l.Text("store.unrecoverable")+" "+l.Text("store.unrecoverable.2"), l.Text("store.password.next"), "")
	case p.State == agent.PINLow:
		s.say("! " + l.Text("store.pin.low"))
	case p.State == agent.PINFinal:
		s.say("! " + l.Text("store.pin.final"))
	}
}

func (s *screen) algorithm(keys []agent.KeyAlgorithm, preselected agent.KeyAlgorithm) (agent.KeyAlgorithm, error) {
	if len(keys) == 1 {
		return keys[0], nil
	}
	for i, k := range keys {
		s.say(fmt.Sprintf("  %2d. %s", i+1, s.lang.Text("store.key."+string(k))))
	}
	n, err := s.number("terminal.key.ask", 1+max(0, slices.Index(keys, preselected)), len(keys), noLook)
	if err != nil {
		return "", err
	}
	return keys[n-1], nil
}

// ApproveSigning implements agent.Prompter.
func (t *Terminal) ApproveSigning(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
	var answer agent.SigningAnswer
	err := t.session(ctx, func(s *screen) error {
		l := s.lang
		title := l.Text("sign.title.one")
		if len(q.Documents) != 1 {
			title = l.Count("sign.title", len(q.Documents))
		}
		s.heading(title)
		s.say(l.Text("sign.lead"))
		s.origin("asks.site", q.Site, q.Origin)
		if q.Format != "" {
			s.pair("sign.format", strings.TrimSuffix(wording.Visible(q.Format)+", "+wording.Visible(q.Level), ", "))
		}
		for i, d := range q.Documents {
			s.say("", l.Text("sign.number", i+1, len(q.Documents))+". "+l.Text("sign.pages.word"))
			s.pair("sign.name", l.Quote(d.Name))
			s.pair("sign.size", l.Size(d.Size))
			s.pair("sign.sha256", wording.Fingerprint(d.SHA256))
		}
		c, err := s.certificate(q)
		if err != nil {
			return err
		}
		s.say(l.Text("sign.consent"))
		answer.Key = c.Key
		return s.confirm(q.Documents)
	})
	if err != nil {
		return agent.SigningAnswer{}, err
	}
	return answer, nil
}

// certificate asks for a certificate until one is chosen.
func (s *screen) certificate(q agent.SigningQuestion) (agent.CertificateView, error) {
	l := s.lang
	for all := q.Certificates; ; all = q.Look(s.ctx) {
		s.say("", l.Text("sign.certificate")+":")
		usable := s.certificates(all)
		key, preselected := "terminal.cert.ask", 1
		if len(usable) == 0 {
			s.say(l.Text("sign.certificate.none"))
			key, preselected = "terminal.none.ask", 0
		}
		if n, err := s.choose(key, preselected, len(usable), q.Look != nil); n != again || err != nil {
			return pick(usable, n), err
		}
	}
}

// certificates prints them and returns those that have a number.
func (s *screen) certificates(all []agent.CertificateView) []agent.CertificateView {
	l := s.lang
	var usable []agent.CertificateView
	for _, c := range all {
		if c.Problem != "" {
			s.say("   -  " + wording.Visible(wording.CommonName(c.Subject)) + "; " + l.Text("sign.unusable") + " " + l.Reason(c.Problem))
			continue
		}
		usable = append(usable, c)
		s.say(fmt.Sprintf("  %2d. %s", len(usable), wording.Visible(wording.CommonName(c.Subject))))
		s.details(c)
		if c.DaysLeft < wording.Soon {
			s.say("      ! " + l.Text("sign.soon"))
		}
	}
	return usable
}

func (s *screen) details(c agent.CertificateView) {
	l := s.lang
	until := l.Date(c.NotAfter)
	if c.DaysLeft >= 0 {
		until += " (" + l.Count("days", c.DaysLeft) + ")"
	}
	for _, p := range [][2]string{{"sign.valid", until}, {"sign.issuer", wording.DistinguishedName(c.Issuer)},
		{"sign.serial", wording.Visible(c.Serial)}, {"sign.where", wording.Visible(c.Where)}} {
		s.say("      " + l.Text(p[0]) + ": " + p[1])
	}
}

// confirm shows documents until the person signs or refuses.
func (s *screen) confirm(documents []agent.DocumentView) error {
	word := s.lang.Text("terminal.word.sign")
	for tries := 0; tries < maxTries; {
		answer, err := s.ask(s.lang.Text("terminal.sign.ask", word))
		if err != nil {
			return err
		}
		n, notNumber := strconv.Atoi(answer)
		switch {
		case answer == "":
			return errCancelled
		case strings.EqualFold(answer, word):
			return nil
		case notNumber == nil && n >= 1 && n <= len(documents):
			if err := s.document(documents[n-1]); err != nil {
				return err
			}
		default:
			tries++
			s.say(s.lang.Text("terminal.again"))
		}
	}
	return errCancelled
}

// Notify implements agent.Prompter: it prints when no question is being put.
func (t *Terminal) Notify(_ context.Context, n agent.Notice) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = t.session(ctx, func(s *screen) error {
			s.notice(n)
			return nil
		})
	}()
}

func (s *screen) notice(n agent.Notice) {
	l := s.lang
	switch n.Kind {
	case agent.NoticeEnrolled:
		s.heading(l.Text("notice.enrolled.title"))
		s.say(l.Text("notice.enrolled"))
	case agent.NoticeSigned:
		s.heading(l.Text("notice.signed.title"))
		s.say(l.Text("notice.signed", l.Count("documents", n.Documents)))
	default:
		s.heading(l.Text("notice.failed.title"))
		e := problem.Describe(problem.CodeOf(n.Problem), string(l))
		s.say(e.Message+" "+e.Reason, e.Remedy)
		s.pair("notice.failed.code", string(e.Code))
	}
	if n.Origin != (agent.Origin{}) {
		s.origin("asks.site", "", n.Origin)
	}
	if n.Certificate != nil {
		s.pair("sign.subject", wording.DistinguishedName(n.Certificate.Subject))
		s.details(*n.Certificate)
	}
	if n.Kind == agent.NoticeEnrolled {
		s.say(l.Text("notice.enrolled.wrong"))
		if advice := l.BackupAdvice(n.Certificate); advice != "" {
			s.say(advice)
		}
	}
}
