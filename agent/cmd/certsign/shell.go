package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"certsign/agent"
	"certsign/internal/problem"
)

// shell is the Prompter of a call from the shell: the call itself is the consent, and its flags are the answers.
type shell struct {
	store string
	place string
	key   agent.KeyAlgorithm
	label string
	cert  string // CertificateView.Key
}

// ApproveOrigin is never asked for: the shell is no page.
func (s *shell) ApproveOrigin(context.Context, agent.OriginQuestion) error {
	return problem.New(problem.PromptUnavailable, "a shell call approves no site")
}

// ConfigureStore answers with --store and --place.
func (s *shell) ConfigureStore(_ context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
	for _, o := range q.Stores {
		if o.Store != s.store {
			continue
		}
		if o.Unavailable != "" {
			return agent.StoreAnswer{}, problem.New(problem.Code(o.Unavailable), "nothing to make a key on in the store %s", s.store)
		}
		place, err := s.choosePlace(o.Places)
		if err != nil {
			return agent.StoreAnswer{}, err
		}
		return agent.StoreAnswer{Store: o.Store, Place: place.ID, Algorithm: s.algorithm(place), Label: s.label}, nil
	}
	return agent.StoreAnswer{}, problem.New(problem.StoreUnavailable, "there is no store %q here", s.store)
}

// choosePlace takes the place with that label or ID, or the only one.
func (s *shell) choosePlace(places []agent.Place) (agent.Place, error) {
	var fits, labels []string
	var chosen agent.Place
	for _, p := range places {
		labels = append(labels, p.Label)
		if s.place == "" || named(p, s.place) {
			fits, chosen = append(fits, p.Label), p
		}
	}
	switch len(fits) {
	case 1:
		return chosen, nil
	case 0:
		return chosen, noToken(s.place, labels)
	}
	return chosen, usagef("say with --place which of: %s", "podaj w --place, które z: %s", strings.Join(fits, ", "))
}

// noToken is a name that no token here has.
func noToken(name string, labels []string) error {
	there := strings.Join(labels, ", ")
	return wordedAs(problem.New(problem.TokenAbsent, "there is no %q; there are: %s", name, there),
		fmt.Sprintf("There is no “%s”; there are: %s.", name, there), "Put the card or token in, or take its label from certsign tokens.",
		fmt.Sprintf("Nie ma tu „%s”; są: %s.", name, there), "Włóż kartę lub podłącz token albo wybierz nazwę z certsign tokens.")
}

// tokenID is what IDs of tokens look like. No token is called so by its label: it could pose as one that is not there.
var tokenID = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9]+)?$`)

// named says whether a person means that place: by its ID, or by its label, with or without the serial number.
func named(p agent.Place, name string) bool {
	if p.ID == name || tokenID.MatchString(name) {
		return p.ID == name
	}
	label := p.Label
	if end := strings.LastIndex(label, " ("); end >= 0 && strings.HasSuffix(label, ")") {
		label = label[:end]
	}
	return p.Label == name || label == name
}

// algorithm is --key, or P-256 where the place makes it, or what it makes.
func (s *shell) algorithm(p agent.Place) agent.KeyAlgorithm {
	if s.key != "" {
		return s.key
	}
	for _, k := range p.Keys {
		if k == agent.P256 {
			return k
		}
	}
	if len(p.Keys) > 0 {
		return p.Keys[0]
	}
	return agent.P256
}

// ApproveSigning answers with --cert.
func (s *shell) ApproveSigning(_ context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
	for _, v := range q.Certificates {
		if v.Key == s.cert {
			if v.Problem != "" {
				return agent.SigningAnswer{}, problem.New(problem.Code(v.Problem), "%s", v.Subject)
			}
			return agent.SigningAnswer{Key: v.Key}, nil
		}
	}
	return agent.SigningAnswer{}, problem.New(problem.NoCertificate, "the certificate is gone")
}

// Notify is for windows; the command prints what came of the call.
func (s *shell) Notify(context.Context, agent.Notice) {}

// filePINs takes the PIN or password from --pin-file. A wrong one is not given twice.
type filePINs string

const maxPINFile = 4 << 10

func (f filePINs) AskPIN(_ context.Context, req agent.PINRequest) (*agent.Secret, error) {
	if req.Incorrect && req.New {
		return nil, req.Unfit()
	}
	if req.Incorrect {
		return nil, problem.New(problem.PINIncorrect, "the one in the file was refused")
	}
	b, err := readBounded(string(f), maxPINFile)
	if err != nil {
		return nil, unreadable(string(f), err)
	}
	line := bytes.TrimRight(b, "\r\n")
	s := agent.NewSecret(bytes.Clone(line))
	clear(b)
	return s, nil
}

// readBounded reads a small file, or standard input for "-".
func readBounded(path string, max int64) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, problem.New(problem.TooLarge, "%s is longer than %d octets", path, max)
	}
	return b, nil
}

// findIdentity returns the certificate that a selector names: its serial number in hex or its SHA-256 fingerprint, or an
// unambiguous beginning of either.
func findIdentity(ctx context.Context, a *agent.Agent, selector string) (agent.Identity, error) {
	want := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(selector, "0x")))
	var found []agent.Identity
	for _, i := range a.Identities(ctx) {
		serial, print := agent.SerialHex(i.Certificate), fingerprint(i)
		if serial == want || print == want {
			return i, nil
		}
		if want != "" && (strings.HasPrefix(serial, want) || strings.HasPrefix(strings.TrimLeft(serial, "0"), want) || strings.HasPrefix(print, want)) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		err := problem.New(problem.NoCertificate, "no certificate %q; see certsign list", selector)
		if slices.ContainsFunc(a.Keys(ctx), func(k agent.Key) bool { return k.Store+"/"+k.ID == selector && len(k.Chain) == 0 }) {
			return agent.Identity{}, wordedAs(err, "This key has no certificate yet.", "Finish its enrolment: see certsign list.",
				"Ten klucz nie ma jeszcze certyfikatu.", "Dokończ generowanie certyfikatu: zobacz certsign list.")
		}
		return agent.Identity{}, wordedAs(err, fmt.Sprintf("There is no certificate “%s” here.", selector), "Take it from certsign list.",
			fmt.Sprintf("Nie ma tu certyfikatu „%s”.", selector), "Wybierz z tych, które wypisuje certsign list.")
	}
	return agent.Identity{}, usagef("%q begins the names of %d certificates: give more of it", "od %q zaczynają się oznaczenia %d certyfikatów: podaj więcej znaków", selector, len(found))
}

func fingerprint(i agent.Identity) string {
	sum := sha256.Sum256(i.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}
