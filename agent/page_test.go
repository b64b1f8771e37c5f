package agent_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

func TestASiteOnTheListIsLetInWithoutAQuestion(t *testing.T) {
	b := newBureau(t)
	v := b.open()
	assert.Empty(t, b.person.questions())
	var s agent.StatusResult
	require.Empty(t, v.call("1", agent.MethodStatus, nil, &s))
	assert.Equal(t, agent.StatusResult{
		Agent: "certsign", Version: "1.2.3", Protocol: 1, Origin: portal, Site: s.Site, Connected: true,
		Stores: []string{"keyfile"}, Formats: []string{"xades"}, MaxDocument: 64 << 20, MaxDocuments: 100,
	}, s)
}

func TestANewSiteIsPutToThePerson(t *testing.T) {
	const o = "https://xn--kda4b0koi.example:8443"
	b := newBureau(t)
	b.person.onOrigin = func(_ context.Context, q agent.OriginQuestion) error {
		assert.Equal(t, o, q.Origin.String())
		return nil
	}
	v := b.visit(o)
	require.NoError(t, v.page.Admit())
	assert.Equal(t, agent.EventAwaitingApproval, v.next().Event)
	assert.Equal(t, agent.EventReady, v.next().Event)

	again := b.visit(o)
	require.NoError(t, again.page.Admit())
	assert.Equal(t, agent.EventReady, again.next().Event)
	assert.Equal(t, []string{"origin"}, b.person.questions(), "the yes is kept")

	s, err := b.agent.Sites().Find(origin(t, o))
	require.NoError(t, err)
	assert.False(t, s.Approved.IsZero())
	assert.Equal(t, problem.SiteUnknown, v.call("1", agent.MethodEnroll, nil, nil), "without a CA it cannot enrol")

	require.NoError(t, b.agent.Sites().Remove(s.Name))
	assert.Equal(t, problem.SiteUnknown, v.call("2", agent.MethodStatus, nil, nil), "what is removed is out at once")
}

func TestASiteThatWasRefusedIsNotAskedAboutAgainSoon(t *testing.T) {
	b := newBureau(t)
	admit := func(o string) problem.Code {
		page := b.visit(o).page
		defer page.Close()
		return problem.CodeOf(page.Admit())
	}
	assert.Equal(t, problem.OriginRejected, admit("https://pest.example"))
	assert.Equal(t, problem.OriginRejected, admit("https://pest.example"))
	assert.Len(t, b.person.questions(), 1)
	b.advance(31 * time.Second)
	assert.Equal(t, problem.OriginRejected, admit("https://pest.example"))
	assert.Len(t, b.person.questions(), 2)
	b.advance(31 * time.Second)
	assert.Equal(t, problem.OriginRejected, admit("https://pest.example"))
	assert.Len(t, b.person.questions(), 2, "the pause grows")
	assert.Equal(t, []string{"origin-refused origin_rejected", "origin-refused origin_rejected"}, b.events())
}

func TestARefusedSiteDoesNotComeBackUnderAnotherName(t *testing.T) {
	for name, c := range map[string]struct {
		first, second string
		asked         int
	}{
		"another host of the same domain":    {"https://a.pest.example", "https://b.pest.example", 1},
		"another port":                       {"https://pest.example", "https://pest.example:8443", 1},
		"a domain of somebody else's":        {"https://pest.com.pl", "https://other.com.pl", 2},
		"a tenant of the same provider":      {"https://pest.github.io", "https://other.github.io", 2},
		"another program on this computer":   {"http://localhost:3000", "http://localhost:4000", 2},
		"another address of a local network": {"https://192.0.2.1", "https://192.0.2.2", 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t)
			for _, o := range []string{c.first, c.second} {
				page := b.visit(o).page
				assert.Equal(t, problem.OriginRejected, problem.CodeOf(page.Admit()))
				page.Close()
			}
			assert.Len(t, b.person.questions(), c.asked)
		})
	}
}

func TestAnUnansweredQuestionIsNotAskedAgainAtOnce(t *testing.T) {
	b := newBureau(t)
	b.person.onOrigin = func(context.Context, agent.OriginQuestion) error {
		return problem.New(problem.Timeout, "nobody answered")
	}
	for _, want := range []problem.Code{problem.Timeout, problem.OriginRejected} {
		page := b.visit("https://pest.example").page
		assert.Equal(t, want, problem.CodeOf(page.Admit()))
		page.Close()
	}
	assert.Len(t, b.person.questions(), 1)
}

func TestOneUnknownSiteIsAskedAboutAtATime(t *testing.T) {
	b := newBureau(t)
	shown, answer := make(chan struct{}), make(chan error)
	b.person.onOrigin = func(context.Context, agent.OriginQuestion) error {
		close(shown)
		return <-answer
	}
	first := make(chan error)
	go func() { first <- b.visit("https://a.example").page.Admit() }()
	<-shown
	assert.Equal(t, problem.Busy, problem.CodeOf(b.visit("https://b.example").page.Admit()))
	answer <- nil
	require.NoError(t, <-first)
	assert.Len(t, b.person.questions(), 1)
}

func TestManyUnknownSitesCannotFloodThePerson(t *testing.T) {
	b := newBureau(t)
	ask := func(origin string) problem.Code {
		page := b.visit(origin).page
		defer page.Close()
		return problem.CodeOf(page.Admit())
	}
	for _, name := range strings.Split("abcdefgh", "") {
		ask("https://" + name + ".example")
	}
	assert.Len(t, b.person.questions(), 5)
	assert.Equal(t, problem.RateLimited, ask("https://i.example"))
	b.advance(11 * time.Second)
	assert.Equal(t, problem.OriginRejected, ask("https://j.example"))
	assert.Len(t, b.person.questions(), 6)
}

func TestUnknownSitesCannotKeepTheOthersOut(t *testing.T) {
	b := newBureau(t)
	connect := func(origin string) error {
		o, err := agent.ParseOrigin(origin)
		require.NoError(t, err)
		_, err = b.agent.Connect(context.Background(), o, func(agent.Frame) error { return nil })
		return err
	}
	for range 3 {
		require.NoError(t, connect("https://evil.example"))
	}
	assert.Equal(t, problem.Busy, problem.CodeOf(connect("https://evil.example")), "one unknown site")
	for n := range 40 {
		_ = connect(fmt.Sprintf("https://evil%d.example", n))
	}
	assert.Equal(t, problem.Busy, problem.CodeOf(connect("https://other.example")), "all unknown sites")
	b.open() // a site on the list
}

func TestAPageThatGoesAwayWhileThePersonIsAskedClosesTheWindowAndIsNoRefusal(t *testing.T) {
	b := newBureau(t)
	shown := make(chan struct{})
	b.person.onOrigin = func(ctx context.Context, _ agent.OriginQuestion) error {
		close(shown)
		<-ctx.Done()
		return problem.Wrap(problem.UserCancelled, ctx.Err(), "")
	}
	v := b.visit("https://a.example")
	done := make(chan error)
	go func() { done <- v.page.Admit() }()
	<-shown
	v.page.Close()
	assert.ErrorIs(t, <-done, context.Canceled)
	b.person.onOrigin = func(context.Context, agent.OriginQuestion) error { return nil }
	assert.NoError(t, b.visit("https://a.example").page.Admit())
}

func TestWithNobodyToAskANewSiteIsRefused(t *testing.T) {
	b := newBureau(t, func(c *agent.Config) { c.Prompter = nil })
	assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(b.visit("https://a.example").page.Admit()))
}

func TestBeforeItIsLetInAPageGetsNothing(t *testing.T) {
	b := newBureau(t)
	v := b.visit(portal)
	assert.Equal(t, problem.Busy, v.call("1", agent.MethodStatus, nil, nil))
	assert.Equal(t, problem.Busy, v.call("2", agent.MethodCertificates, nil, nil))
}

func TestFramesThatBreakTheProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		frame string
		code  problem.Code
	}{
		"not JSON":            {"{", problem.BadRequest},
		"an array":            {"[]", problem.BadRequest},
		"no id":               {`{"method":"status"}`, problem.BadRequest},
		"an id of spaces":     {`{"id":"a b","method":"status"}`, problem.BadRequest},
		"an id that is long":  {`{"id":"` + strings.Repeat("a", 65) + `","method":"status"}`, problem.BadRequest},
		"not UTF-8":           {"{\"id\":\"1\",\"method\":\"\xff\"}", problem.BadRequest},
		"a frame that is big": {`{"id":"1","method":"` + strings.Repeat("a", agent.MaxFrame) + `"}`, problem.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			v := newBureau(t).open()
			assert.Equal(t, c.code, problem.CodeOf(v.page.Receive([]byte(c.frame))))
			v.silent()
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	v := newBureau(t).open()
	assert.Equal(t, problem.UnknownMethod, v.call("1", "sign.digest", nil, nil))
	assert.Equal(t, problem.BadRequest, v.call("2", agent.MethodSign, []int{1}, nil))
	assert.Equal(t, problem.BadRequest, v.call("3", agent.MethodSign, agent.SignParams{}, nil))
	doc := declare("a.xml", []byte("<a/>"))
	for name, c := range map[string]struct {
		edit func(*agent.SignParams)
		code problem.Code
	}{
		"a format that is none":       {func(p *agent.SignParams) { p.Format = "raw" }, problem.Unsupported},
		"a packaging that is none":    {func(p *agent.SignParams) { p.Packaging = "wrapped" }, problem.Unsupported},
		"a level that is none":        {func(p *agent.SignParams) { p.Level = "B-X" }, problem.Unsupported},
		"a digest that is too short":  {func(p *agent.SignParams) { p.Documents[0].SHA256 = "ab" }, problem.BadRequest},
		"a size that is negative":     {func(p *agent.SignParams) { p.Documents[0].Size = -1 }, problem.BadRequest},
		"a size over the limit":       {func(p *agent.SignParams) { p.Documents[0].Size = 64<<20 + 1 }, problem.TooLarge},
		"a name with a line break":    {func(p *agent.SignParams) { p.Documents[0].Name = "a\nb" }, problem.BadRequest},
		"a name that turns direction": {func(p *agent.SignParams) { p.Documents[0].Name = "a\u202Elmx.exe" }, problem.BadRequest},
		"no name":                     {func(p *agent.SignParams) { p.Documents[0].Name = "" }, problem.BadRequest},
		"too many documents": {func(p *agent.SignParams) {
			for range 100 {
				p.Documents = append(p.Documents, doc)
			}
		}, problem.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			p := agent.SignParams{Documents: []agent.SignDocument{doc}}
			c.edit(&p)
			assert.Equal(t, c.code, v.call("4", agent.MethodSign, p, nil))
		})
	}
}

func TestTwoRequestsMayNotHaveOneID(t *testing.T) {
	v := newBureau(t).open()
	p := agent.SignParams{Documents: []agent.SignDocument{declare("a.xml", []byte("<a/>"))}}
	v.send("1", agent.MethodSign, p)
	require.Equal(t, agent.EventTickets, v.next().Event)
	v.send("1", agent.MethodStatus, nil)
	assert.Equal(t, "bad_request", v.await("1", nil).Error.Code)
	v.send("2", agent.MethodCancel, agent.CancelParams{ID: "1"})
	codes := map[string]string{}
	for range 2 {
		f := v.next()
		if f.Error != nil {
			codes[f.ID] = f.Error.Code
		}
	}
	assert.Equal(t, map[string]string{"1": "user_cancelled"}, codes)
}

func TestAPageMayNotRunTooManyRequests(t *testing.T) {
	v := newBureau(t).open()
	p := agent.SignParams{Documents: []agent.SignDocument{declare("a.xml", []byte("<a/>"))}}
	for _, id := range strings.Split("12345678", "") {
		v.send(id, agent.MethodSign, p)
		require.Equal(t, agent.EventTickets, v.next().Event)
	}
	assert.Equal(t, problem.Busy, v.call("9", agent.MethodStatus, nil, nil))
}

func TestAPageCannotFillTheJournalAtFullSpeed(t *testing.T) {
	b := newBureau(t)
	v := b.open()
	last := problem.UnknownMethod
	for n := 0; n < 1000 && last == problem.UnknownMethod; n++ {
		last = v.call("1", "nothing", nil, nil)
	}
	assert.Equal(t, problem.RateLimited, last)
}

func TestNotTooManyPagesAtOnce(t *testing.T) {
	b := newBureau(t, func(c *agent.Config) { c.Limits.Pages = 2 })
	b.open()
	v := b.open()
	_, err := b.agent.Connect(t.Context(), origin(t, portal), func(agent.Frame) error { return nil })
	assert.Equal(t, problem.Busy, problem.CodeOf(err))
	v.page.Close()
	b.open()
}

func TestAPageIsToldOfItsOwnCAsCertificatesOnly(t *testing.T) {
	b := newBureau(t)
	v := b.open()
	var r agent.CertificatesResult
	require.Empty(t, v.call("1", agent.MethodCertificates, nil, &r))
	assert.Empty(t, r.Certificates)
	b.certify(testpki.Root(t, testpki.Named("TEST other root")))
	between := b.ca.Intermediate()
	own := b.certify(between, testpki.Valid(testpki.Clock.Add(-time.Minute), testpki.Clock.Add(-time.Second)))
	require.Empty(t, v.call("2", agent.MethodCertificates, nil, &r))
	require.Len(t, r.Certificates, 1, "an expired one is still this CA's, another CA's is nobody's business")
	assert.Equal(t, base64.StdEncoding.EncodeToString(own.DER), r.Certificates[0].Certificate)
	assert.Equal(t, []string{base64.StdEncoding.EncodeToString(between.DER)}, r.Certificates[0].Chain)
	assert.Equal(t, agent.SerialHex(own.Certificate), r.Certificates[0].Serial)
	assert.Equal(t, "keyfile", r.Certificates[0].Store)
}

func TestWhatIsNoProblemIsAnInternalErrorOutside(t *testing.T) {
	b := newBureau(t)
	b.certify(b.ca)
	b.person.onSign = func(context.Context, agent.SigningQuestion) (agent.SigningAnswer, error) {
		return agent.SigningAnswer{}, errors.New("secret path /home/jan")
	}
	f := b.open().sign("1", []byte("<a/>"))
	require.NotNil(t, f.Error)
	assert.Equal(t, "internal_error", f.Error.Code)
	assert.NotContains(t, f.Error.Message, "jan")
}

func FuzzReceive(f *testing.F) {
	for _, s := range []string{`{"id":"1","method":"status"}`, `{"id":"1","method":"sign","params":{"documents":[{"name":"a","size":1}]}}`, `{"id":"1","method":"cancel","params":{"id":"1"}}`, `{"id":"1","method":"enroll","params":{"ca":"https://x"}}`} {
		f.Add([]byte(s))
	}
	b := newBureau(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		b.t = t
		v := b.open()
		defer v.page.Close()
		if err := v.page.Receive(raw); err != nil {
			require.Contains(t, []problem.Code{problem.BadRequest, problem.TooLarge}, problem.CodeOf(err))
			return
		}
		var req struct{ ID, Method string }
		require.NoError(t, json.Unmarshal(raw, &req))
		f := v.next()
		require.Equal(t, req.ID, f.ID)
	})
}
