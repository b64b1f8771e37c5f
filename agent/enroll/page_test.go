package enroll_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/keyorigin"
	"certsign/internal/problem"
)

// visitor is a page of the site.
type visitor struct {
	o      *office
	page   *agent.Page
	frames chan agent.Frame
}

func (o *office) visit() *visitor {
	o.t.Helper()
	origin, err := agent.ParseOrigin(portal)
	require.NoError(o.t, err)
	v := &visitor{o: o, frames: make(chan agent.Frame, 100)}
	v.page, err = o.agent.Connect(o.t.Context(), origin, func(f agent.Frame) error { v.frames <- f; return nil })
	require.NoError(o.t, err)
	o.t.Cleanup(v.page.Close)
	require.NoError(o.t, v.page.Admit())
	return v
}

func (v *visitor) send(method string, params any) {
	v.o.t.Helper()
	raw, err := json.Marshal(map[string]any{"id": method, "method": method, "params": params})
	require.NoError(v.o.t, err)
	require.NoError(v.o.t, v.page.Receive(raw))
}

func (v *visitor) call(method string, params, result any) problem.Code {
	v.o.t.Helper()
	v.send(method, params)
	for {
		select {
		case f := <-v.frames:
			if f.Event != "" {
				continue
			}
			if f.Error != nil {
				return problem.Code(f.Error.Code)
			}
			raw, err := json.Marshal(f.Result)
			require.NoError(v.o.t, err)
			if result != nil {
				require.NoError(v.o.t, json.Unmarshal(raw, result))
			}
			return ""
		case <-time.After(20 * time.Second):
			require.FailNow(v.o.t, "no answer")
		}
	}
}

func TestAPageEnrols(t *testing.T) {
	o := newOffice(t)
	v := o.visit()
	var first agent.EnrollResult
	require.Empty(t, v.call(agent.MethodEnroll, agent.EnrollParams{CA: o.ca.url, Key: "p384", Label: "Jan Łoś"}, &first))
	csr, err := base64.StdEncoding.DecodeString(first.CSR)
	require.NoError(t, err)
	assert.Equal(t, agent.CSRDigest(csr), first.CSRSHA256)
	assert.Equal(t, agent.Evidence{Store: "keyfile", Algorithm: "p384", Local: agent.StatedYes, NeverExtractable: agent.StatedNo}, first.Evidence)
	request, err := x509.ParseCertificateRequest(csr)
	require.NoError(t, err)
	require.NoError(t, request.CheckSignature())
	assert.Empty(t, request.Subject.Names, "whom it is for is the CA's to know")
	assert.Equal(t, &keyorigin.Statement{Store: "keyfile", Local: "yes", NeverExtractable: "no"}, keyorigin.In(request), "the CA reads the same")
	v.page.Close()

	later := o.visit() // the page was loaded again while the portal decided
	token := mint(csr, time.Hour)
	var second agent.EnrollFinishResult
	require.Empty(t, later.call(agent.MethodEnrollFinish, agent.EnrollFinishParams{Ceremony: first.Ceremony, Token: token}, &second))
	der, err := base64.StdEncoding.DecodeString(second.Certificate)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	assert.Equal(t, agent.SerialHex(leaf), second.Serial)
	assert.Len(t, second.Chain, 1)

	var again agent.EnrollFinishResult
	require.Empty(t, later.call(agent.MethodEnrollFinish, agent.EnrollFinishParams{Ceremony: first.Ceremony, Token: token}, &again), "a page that missed the answer gets it again")
	assert.Equal(t, second, again)
	again = agent.EnrollFinishResult{}
	require.Empty(t, later.call(agent.MethodEnrollFinish, agent.EnrollFinishParams{Ceremony: first.Ceremony}, &again), "also without the token, which no page keeps")
	assert.Equal(t, second, again)
	assert.Equal(t, 1, o.ca.sent[token])
	assert.Len(t, o.person.pins, 1)
	o.sound()
}

func TestAPageNeverSaysWhereToEnrol(t *testing.T) {
	o := newOffice(t)
	v := o.visit()
	assert.Equal(t, problem.CAMismatch, v.call(agent.MethodEnroll, agent.EnrollParams{CA: "https://ca.evil.example"}, nil))
	assert.Equal(t, problem.Unsupported, v.call(agent.MethodEnroll, agent.EnrollParams{Request: json.RawMessage(`{"jws":"x"}`)}, nil))
	assert.Equal(t, problem.BadRequest, v.call(agent.MethodEnroll, agent.EnrollParams{Label: "a\nb"}, nil))
	assert.Empty(t, o.person.pins)
	assert.Empty(t, o.ceremonies())
	o.site.Allow = []agent.Operation{agent.MaySign}
	require.NoError(t, o.agent.Sites().Put(o.site))
	assert.Equal(t, problem.SiteUnknown, v.call(agent.MethodEnroll, nil, nil))
	assert.Equal(t, problem.SiteUnknown, v.call(agent.MethodEnrollFinish, nil, nil))
}

func TestAnotherSiteCannotFinishACeremony(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	other, err := agent.ParseOrigin("https://other.example")
	require.NoError(t, err)
	o.site.Name, o.site.Origin = "other", other
	require.NoError(t, o.agent.Sites().Put(o.site))
	frames := make(chan agent.Frame, 10)
	page, err := o.agent.Connect(t.Context(), other, func(f agent.Frame) error { frames <- f; return nil })
	require.NoError(t, err)
	defer page.Close()
	v := &visitor{o: o, page: page, frames: frames}
	require.NoError(t, page.Admit())
	assert.Equal(t, problem.CeremonyUnknown, v.call(agent.MethodEnrollFinish, agent.EnrollFinishParams{Ceremony: c.ID, Token: mint(c.CSR, time.Hour)}, nil))
}

func TestAPageThatGoesAwayWhileThePasswordIsChosenLeavesNothing(t *testing.T) {
	o := newOffice(t)
	shown, answer := make(chan struct{}), make(chan struct{})
	o.person.pin = func() (*agent.Secret, error) {
		close(shown)
		<-answer
		return agent.NewSecret([]byte(password)), nil
	}
	v := o.visit()
	v.send(agent.MethodEnroll, nil)
	<-shown
	gone := make(chan struct{})
	go func() { v.page.Close(); close(gone) }()
	time.Sleep(20 * time.Millisecond)
	close(answer) // too late
	<-gone
	with, without := o.keys()
	assert.Zero(t, with+without)
	assert.Empty(t, o.ceremonies())
	o.sound()
}

func TestAPageThatGoesAwayAfterTheTokenLosesNothing(t *testing.T) {
	o := newOffice(t)
	c := o.begin()
	v := o.visit()
	reached, goOn := make(chan struct{}), make(chan struct{})
	o.ca.after = func() { close(reached); <-goOn }
	v.send(agent.MethodEnrollFinish, agent.EnrollFinishParams{Ceremony: c.ID, Token: mint(c.CSR, time.Hour)})
	<-reached
	gone := make(chan struct{})
	go func() { v.page.Close(); close(gone) }()
	time.Sleep(20 * time.Millisecond)
	close(goOn)
	<-gone
	with, without := o.keys()
	assert.Equal(t, 1, with, "the certificate is stored although nobody waits for it")
	assert.Zero(t, without)
	o.sound()
}
