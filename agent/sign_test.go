package agent_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/ades"
	"certsign/internal/ades/format"
	"certsign/internal/ades/validate"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

var declaration = []byte(`<?xml version="1.0" encoding="UTF-8"?>
<AES:Zgłoszenie xmlns:AES="urn:test:aes" lrn="PL1">Łódź  &amp; Gdańsk</AES:Zgłoszenie>
`)

// passes validates a signed document against the CA, without its status.
func passes(t *testing.T, ca *testpki.Authority, signed []byte) *ades.Report {
	t.Helper()
	codec, err := format.ByName("")
	require.NoError(t, err)
	u, err := codec.Parse(t.Context(), ades.Document{Name: "signed.xml", Content: bytes.NewReader(signed)})
	require.NoError(t, err)
	policy := validate.ETSI(ades.Anchors{{Certificate: ca.DER}})
	policy.Revocation = ades.RevocationIgnored
	rep, err := validate.Validate(u, ades.Evidence{At: testpki.Clock.Add(time.Minute)}, policy)
	require.NoError(t, err)
	require.Equal(t, ades.TotalPassed, rep.Indication(), "%+v", rep.Signatures)
	return rep
}

func (v *visitor) fetch(ticket string) []byte {
	v.t.Helper()
	r, err := v.b.agent.Download(v.origin, ticket)
	require.NoError(v.t, err)
	defer r.Close()
	b, err := io.ReadAll(r.Content)
	require.NoError(v.t, err)
	return b
}

func TestAPersonSignsWhatTheySaw(t *testing.T) {
	b := newBureau(t)
	leaf := b.certify(b.ca)
	big := append(bytes.Clone(declaration), bytes.Repeat([]byte("<!-- -->"), 200_000)...) // goes through a file
	b.person.onSign = func(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
		assert.Equal(t, portal, q.Origin.String())
		require.Len(t, q.Documents, 2)
		assert.Equal(t, declaration, q.Documents[0].Content, "the very bytes")
		assert.Equal(t, big, q.Documents[1].Content)
		sum := sha256.Sum256(declaration)
		assert.Equal(t, hex.EncodeToString(sum[:]), q.Documents[0].SHA256)
		assert.Equal(t, "zgłoszenie-0.xml", q.Documents[0].Name)
		return chooseFirst(ctx, q)
	}
	v := b.open()
	f := v.sign("1", declaration, big)
	require.Nil(t, f.Error, "%+v", f.Error)
	var r agent.SignResult
	require.NoError(t, json.Unmarshal(f.Result, &r))
	assert.Equal(t, base64.StdEncoding.EncodeToString(leaf.DER), r.Certificate)
	require.Len(t, r.Results, 2)
	for _, d := range r.Results {
		require.Nil(t, d.Error)
		signed := v.fetch(d.Ticket)
		sum := sha256.Sum256(signed)
		assert.Equal(t, d.SHA256, hex.EncodeToString(sum[:]))
		assert.EqualValues(t, d.Size, len(signed))
		passes(t, b.ca, signed)
		_, err := b.agent.Download(v.origin, d.Ticket)
		assert.Equal(t, problem.TicketInvalid, problem.CodeOf(err), "a ticket is good once")
	}
	assert.Equal(t, "zgłoszenie-0.signed.xml", r.Results[0].Name)
	assert.Equal(t, []string{"sign", "pin"}, b.person.questions(), "one PIN for the whole order")
	assert.Equal(t, "zgłoszenie-0.xml (+1)", b.person.pins[0].Document)
	assert.Equal(t, portal, b.person.pins[0].Origin)
	assert.Equal(t, []string{"connected", "request", "consent", "signed", "signed"}, b.events())
	require.Len(t, b.person.notices, 1)
	assert.Equal(t, 2, b.person.notices[0].Documents)
	b.clean("Łódź")
}

func TestNobodyIsAskedForADocumentThatCannotBeSigned(t *testing.T) {
	for name, c := range map[string]struct {
		doc  string
		code problem.Code
	}{
		"not XML":             {"Dear customs", problem.XMLMalformed},
		"broken XML":          {"<a><b></a>", problem.XMLMalformed},
		"XML with a DOCTYPE":  {`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, problem.XMLDoctype},
		"an empty document":   {"", problem.XMLMalformed},
		"two root elements":   {"<a/><b/>", problem.XMLMalformed},
		"an attribute double": {`<a b="1" b="2"/>`, problem.XMLMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t)
			b.certify(b.ca)
			f := b.open().sign("1", []byte(c.doc))
			require.NotNil(t, f.Error)
			assert.Equal(t, string(c.code), f.Error.Code)
			assert.Empty(t, b.person.questions())
			b.clean()
		})
	}
}

func TestOneBadDocumentDoesNotHoldUpTheOthers(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	b.person.onSign = func(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
		assert.Len(t, q.Documents, 1, "only what can be signed is asked about")
		return chooseFirst(ctx, q)
	}
	v := b.open()
	f := v.sign("1", []byte("no XML"), declaration)
	var r agent.SignResult
	require.NoError(t, json.Unmarshal(f.Result, &r))
	assert.Equal(t, "xml_malformed", r.Results[0].Error.Code)
	passes(t, b.ca, v.fetch(r.Results[1].Ticket))
}

func TestSigningRefusals(t *testing.T) {
	expired := testpki.Valid(testpki.Clock.AddDate(-2, 0, 0), testpki.Clock.Add(-time.Hour))
	future := testpki.Valid(testpki.Clock.Add(time.Hour), testpki.Clock.AddDate(2, 0, 0))
	for _, c := range []struct {
		name   string
		set    func(b *bureau)
		code   problem.Code
		asked  string
		events string
	}{
		{"with no certificate nobody is asked", func(*bureau) {}, problem.NoCertificate, "", "refused no_certificate"},
		{"an expired certificate is not offered", func(b *bureau) { b.certify(b.ca, expired) }, problem.CertificateExpired, "", "refused certificate_expired"},
		{"a certificate of tomorrow is not offered", func(b *bureau) { b.certify(b.ca, future) }, problem.CertificateExpired, "", "refused certificate_expired"},
		{"the person says no", func(b *bureau) { b.certify(b.ca); b.person.onSign = nil }, problem.UserCancelled, "sign", "consent-refused user_cancelled"},
		{"the person gives no PIN", func(b *bureau) { b.certify(b.ca); b.person.onPIN = nil }, problem.UserCancelled, "sign pin", "refused user_cancelled"},
		{"the password is wrong three times", func(b *bureau) { b.certify(b.ca); b.person.onPIN = says("Wrong-Horse-77") }, problem.PINIncorrect, "sign pin pin pin", "refused pin_incorrect"},
		{"nobody can be asked", func(b *bureau) {
			b.certify(b.ca)
			b.person.onSign = func(context.Context, agent.SigningQuestion) (agent.SigningAnswer, error) {
				return agent.SigningAnswer{}, problem.New(problem.PromptUnavailable, "no display")
			}
		}, problem.PromptUnavailable, "sign", "consent-refused prompt_unavailable"},
		{"an answer that was not offered is refused", func(b *bureau) {
			b.certify(b.ca)
			b.person.onSign = func(context.Context, agent.SigningQuestion) (agent.SigningAnswer, error) {
				return agent.SigningAnswer{Key: "keyfile/other"}, nil
			}
		}, problem.NoCertificate, "sign", "refused no_certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBureau(t)
			c.set(b)
			f := b.open().sign("1", declaration)
			require.NotNil(t, f.Error)
			assert.Equal(t, string(c.code), f.Error.Code)
			assert.Equal(t, c.asked, strings.Join(b.person.questions(), " "))
			assert.Contains(t, b.events(), c.events)
			assert.NotContains(t, b.events(), "signed")
			b.clean("Wrong-Horse-77", "Łódź")
		})
	}
}

func TestAWrongPINIsSaidToBeWrongAndAskedForAgain(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	b.person.onPIN = says("Wrong-Horse-77", password)
	f := b.open().sign("1", declaration)
	require.Nil(t, f.Error)
	require.Len(t, b.person.pins, 2)
	assert.False(t, b.person.pins[0].Incorrect)
	assert.True(t, b.person.pins[1].Incorrect)
}

func TestTheSitesOwnCACertificateComesFirst(t *testing.T) {
	b := newBureau(t)
	other := testpki.Root(t, testpki.Named("TEST other root"))
	b.certify(b.ca, testpki.Valid(testpki.Clock.AddDate(-2, 0, 0), testpki.Clock.Add(-time.Hour)), testpki.Named("expired"))
	b.certify(other, testpki.Named("other"))
	b.certify(b.ca, testpki.Named("own"))
	var order []string
	b.person.onSign = func(_ context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
		for _, c := range q.Certificates {
			order = append(order, strings.TrimSpace(c.Subject+" "+c.Problem))
		}
		return agent.SigningAnswer{Key: q.Certificates[2].Key}, nil
	}
	f := b.open().sign("1", declaration)
	assert.Equal(t, []string{"own", "other", "expired certificate_expired"}, order)
	require.NotNil(t, f.Error, "the expired one cannot be chosen")
	assert.Equal(t, "no_certificate", f.Error.Code)
}

func TestHandingIn(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   string
		length int64
		code   problem.Code
	}{
		{"other bytes than declared", "<b/>", 4, problem.IntegrityFailed},
		{"fewer bytes than declared", "<a", 2, problem.IntegrityFailed},
		{"fewer bytes than announced", "<a", -1, problem.IntegrityFailed},
		{"more bytes than declared", "<a/><!-- -->", 12, problem.TooLarge},
		{"more bytes than announced", "<a/><!-- -->", -1, problem.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBureau(t)
			b.certify(b.ca)
			v := b.open()
			v.send("1", agent.MethodSign, agent.SignParams{Documents: []agent.SignDocument{declare("a.xml", []byte("<a/>"))}})
			ticket := tickets(t, v.next())[0]
			err := b.agent.Upload(v.origin, ticket, strings.NewReader(c.body), c.length)
			assert.Equal(t, c.code, problem.CodeOf(err))
			assert.Equal(t, string(c.code), v.await("1", nil).Error.Code)
			assert.Equal(t, problem.TicketInvalid, problem.CodeOf(b.agent.Upload(v.origin, ticket, strings.NewReader("<a/>"), 4)), "the ticket is spent")
			assert.Empty(t, b.person.questions())
			b.clean()
		})
	}
}

func TestATicketIsGoodOnceForItsOwnOriginAndNotForEver(t *testing.T) {
	b := newBureau(t)
	v := b.open()
	v.send("1", agent.MethodSign, agent.SignParams{Documents: []agent.SignDocument{declare("a.xml", []byte("<a/>")), declare("b.xml", []byte("<a/>"))}})
	names := tickets(t, v.next())
	assert.Len(t, names[0], 22, "128 bits")
	up := func(o, name string) problem.Code {
		return problem.CodeOf(b.agent.Upload(origin(t, o), name, strings.NewReader("<a/>"), 4))
	}
	assert.Equal(t, problem.TicketInvalid, up("https://evil.example", names[0]))
	assert.Empty(t, up(portal, names[0]))
	assert.Equal(t, problem.TicketInvalid, up(portal, names[0]))
	assert.Equal(t, problem.TicketInvalid, up(portal, "AAAAAAAAAAAAAAAAAAAAAA"))
	_, err := b.agent.Download(v.origin, names[1])
	assert.Equal(t, problem.TicketInvalid, problem.CodeOf(err), "an upload's ticket fetches nothing")
	b.advance(time.Hour)
	assert.Equal(t, problem.TicketInvalid, up(portal, names[1]))
}

func TestResultsEndWithTheirPage(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	v := b.open()
	var r agent.SignResult
	require.NoError(t, json.Unmarshal(v.sign("1", declaration).Result, &r))
	v.page.Close()
	_, err := b.agent.Download(v.origin, r.Results[0].Ticket)
	assert.Equal(t, problem.TicketInvalid, problem.CodeOf(err))
	b.clean("Łódź")
}

func TestAPageThatGoesAwayTakesEverythingWithIt(t *testing.T) {
	until := func(shown chan<- string, what string) func(context.Context) error {
		return func(ctx context.Context) error {
			shown <- what
			<-ctx.Done()
			return problem.Wrap(problem.UserCancelled, ctx.Err(), "")
		}
	}
	for _, at := range []string{"upload", "consent", "pin"} {
		t.Run("during the "+at, func(t *testing.T) {
			b := newBureau(t)
			b.certify(b.ca)
			shown := make(chan string, 1)
			switch at {
			case "consent":
				wait := until(shown, at)
				b.person.onSign = func(ctx context.Context, _ agent.SigningQuestion) (agent.SigningAnswer, error) {
					return agent.SigningAnswer{}, wait(ctx)
				}
			case "pin":
				wait := until(shown, at)
				b.person.onPIN = func(ctx context.Context, _ agent.PINRequest) (*agent.Secret, error) { return nil, wait(ctx) }
			}
			v := b.open()
			big := append(bytes.Clone(declaration), bytes.Repeat([]byte("<!-- -->"), 200_000)...)
			v.send("1", agent.MethodSign, agent.SignParams{Documents: []agent.SignDocument{declare("a.xml", big)}})
			ticket := tickets(t, v.next())[0]
			if at == "upload" {
				r, w := io.Pipe()
				done := make(chan error, 1)
				go func() { done <- b.agent.Upload(v.origin, ticket, r, int64(len(big))) }()
				_, err := w.Write(big[:len(big)-10])
				require.NoError(t, err)
				v.page.Close()
				require.NoError(t, w.Close())
				assert.Error(t, <-done)
			} else {
				require.NoError(t, b.agent.Upload(v.origin, ticket, bytes.NewReader(big), int64(len(big))))
				assert.Equal(t, at, <-shown)
				v.page.Close() // returns when all is cleaned
			}
			b.clean("Łódź")
			assert.NotContains(t, b.events(), "signed")
			// Nobody else is kept waiting.
			b.person.onSign, b.person.onPIN = chooseFirst, says(password)
			require.Nil(t, b.open().sign("1", declaration).Error)
		})
	}
}

func TestTheAgentStopsInTheMiddle(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	shown := make(chan struct{})
	b.person.onSign = func(ctx context.Context, _ agent.SigningQuestion) (agent.SigningAnswer, error) {
		close(shown)
		<-ctx.Done()
		return agent.SigningAnswer{}, ctx.Err()
	}
	v := b.open()
	v.send("1", agent.MethodSign, agent.SignParams{Documents: []agent.SignDocument{declare("a.xml", declaration)}})
	require.NoError(t, b.agent.Upload(v.origin, tickets(t, v.next())[0], bytes.NewReader(declaration), int64(len(declaration))))
	<-shown
	b.agent.Close()
	b.clean("Łódź")
	assert.Equal(t, "stopped", b.events()[len(b.events())-1])
}

func TestASiteThatIsRefusedAgainAndAgainHasToWait(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	b.person.onSign = nil
	v := b.open()
	for _, id := range []string{"1", "2", "3"} {
		assert.Equal(t, "user_cancelled", v.sign(id, declaration).Error.Code)
	}
	assert.Equal(t, "rate_limited", v.sign("4", declaration).Error.Code)
	assert.Len(t, b.person.questions(), 3)
	b.advance(2 * time.Minute)
	b.person.onSign = chooseFirst
	assert.Nil(t, v.sign("5", declaration).Error)
}

// swapped is a store that signs with another key than the one that was asked for.
type swapped struct{ agent.KeyStore }

func (s swapped) Open(ctx context.Context, id string, c *agent.Consent, ask agent.AskPIN) (agent.Session, error) {
	session, err := s.KeyStore.Open(ctx, id, c, ask)
	return swappedSession{session}, err
}

type swappedSession struct{ agent.Session }

func (s swappedSession) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return testpki.Key("somebody else", testpki.P256).Sign(r, digest, o)
}

func TestASignatureByAnotherKeyNeverLeavesTheAgent(t *testing.T) {
	b := newBureau(t, func(c *agent.Config) { c.Stores = []agent.KeyStore{swapped{c.Stores[0]}} })
	b.certify(b.ca)
	var r agent.SignResult
	require.NoError(t, json.Unmarshal(b.open().sign("1", declaration, declaration).Result, &r))
	assert.Equal(t, "driver_failed", r.Results[0].Error.Code)
	assert.Equal(t, "driver_failed", r.Results[1].Error.Code)
	assert.Contains(t, b.events(), "signing-failed driver_failed")
	b.clean("Łódź")
}

// shifting is a document that changes after it was shown.
type shifting struct {
	*bytes.Reader
	reads int
}

func (s *shifting) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.Reader.ReadAt(p, off)
	if s.reads++; s.reads > 12 {
		copy(p, bytes.ReplaceAll(p[:n], []byte("Gdańsk"), []byte("Poznań")))
	}
	return n, err
}

func TestADocumentThatChangesAfterItWasShownIsNotSigned(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	doc := &shifting{Reader: bytes.NewReader(declaration)}
	b.person.onSign = func(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
		doc.reads = 100
		return chooseFirst(ctx, q)
	}
	signed, _, err := b.agent.SignLocal(t.Context(), agent.SignOrder{
		Documents: []ades.Document{{Name: "a.xml", Content: doc}}, Format: "XAdES", Packaging: ades.Enveloped, Level: ades.LevelBB,
	})
	require.NoError(t, err)
	assert.Equal(t, problem.IntegrityFailed, problem.CodeOf(signed[0].Err))
	assert.Nil(t, signed[0].Content)
}

func TestTheShellSignsUnderTheSameRules(t *testing.T) {
	b := newBureau(t, func(c *agent.Config) { c.Limits.XML = 1000 })
	b.certify(b.ca)
	order := agent.SignOrder{
		Documents: []ades.Document{
			{Name: "a.xml", Content: bytes.NewReader(declaration)},
			{Name: "b.xml", Content: bytes.NewReader(make([]byte, 1001))},
		}, Format: "xades", Packaging: ades.Enveloped, Level: ades.LevelBB,
	}
	signed, who, err := b.agent.SignLocal(t.Context(), order)
	require.NoError(t, err)
	assert.Equal(t, problem.TooLarge, problem.CodeOf(signed[1].Err))
	content, err := io.ReadAll(io.NewSectionReader(signed[0].Content, 0, signed[0].Content.Size()))
	require.NoError(t, err)
	passes(t, b.ca, content)
	signed[0].Remove()
	assert.Equal(t, "keyfile", who.Key.Store)
	assert.Equal(t, []string{"request", "consent", "signed"}, b.events())
	b.clean("Łódź")
}

func TestAConsentOpensNothingButWhatItIsFor(t *testing.T) {
	var none agent.Consent
	assert.Equal(t, problem.ConsentSpent, problem.CodeOf(none.Check("keyfile", "a")))
	assert.Equal(t, problem.ConsentSpent, problem.CodeOf(new(agent.Consent).Spend("keyfile", "a")))
	var nothing *agent.Consent
	assert.Equal(t, problem.ConsentSpent, problem.CodeOf(nothing.Check("keyfile", "a")))
	c := agent.NewConsent("keyfile", "a", 2)
	assert.Equal(t, problem.ConsentSpent, problem.CodeOf(c.Spend("keyfile", "b")))
	assert.Equal(t, problem.ConsentSpent, problem.CodeOf(c.Spend("pkcs11", "a")))
	require.NoError(t, c.Check("keyfile", "a"))
	require.NoError(t, c.Spend("keyfile", "a"))
	require.NoError(t, c.Spend("keyfile", "a"))
	assert.Equal(t, problem.ConsentSpent, problem.CodeOf(c.Spend("keyfile", "a")))
}

func TestASecretPrintsAsNothing(t *testing.T) {
	s := agent.NewSecret([]byte(password))
	out := &bytes.Buffer{}
	require.NoError(t, json.NewEncoder(out).Encode(map[string]any{"pin": s}))
	for _, text := range []string{out.String(), s.String(), errors.New(s.GoString()).Error(), s.LogValue().String()} {
		assert.NotContains(t, text, "Horse")
	}
	copied := s.Clone()
	s.Wipe()
	assert.Empty(t, s.Bytes())
	assert.Equal(t, password, string(copied.Bytes()))
}
