package ca_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/internal/problem"
)

func TestLoginFailsAlikeForAWrongPasswordAndAnUnknownAddress(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	got, err := h.desk.Login(ctx, " Anna@Example.TEST ", password, "")
	require.NoError(t, err)
	assert.Equal(t, anna.ID, got.ID)

	timed := func(email string) (time.Duration, error) {
		started := time.Now()
		_, err := h.desk.Login(ctx, email, "wrong", "")
		return time.Since(started), err
	}
	took, wrong := timed("anna@example.test")
	tookToo, unknown := timed("nobody@example.test")
	assert.Equal(t, problem.LoginFailed, problem.CodeOf(wrong))
	assert.Equal(t, wrong.Error(), unknown.Error())
	assert.Less(t, took/4, tookToo, "an unknown address must not be found out by its speed")
	assert.Less(t, tookToo/4, took)
}

func TestTenFailedLoginsLimitTheAddressForAWhile(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.anna()
	for range 10 {
		_, err := h.desk.Login(ctx, "anna@example.test", "wrong", "")
		require.Equal(t, problem.LoginFailed, problem.CodeOf(err))
	}
	_, err := h.desk.Login(ctx, "anna@example.test", password, "")
	assert.Equal(t, problem.RateLimited, problem.CodeOf(err))
	h.pass(16 * time.Minute)
	_, err = h.desk.Login(ctx, "anna@example.test", password, "")
	require.NoError(t, err)
}

func TestNobodyElseCanLockAPersonOutOfADeviceTheyUse(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.anna()
	device := h.desk.NewDevice("Anna@example.test ")
	assert.True(t, h.desk.KnowsDevice("anna@example.test", device))
	for name, other := range map[string]string{
		"another address's": h.desk.NewDevice("piotr@example.test"), "none": "", "not base64": "=", "cut": device[:20],
		"changed": "A" + device[1:], "with something behind it": device + "AAAA",
	} {
		if other != device {
			assert.False(t, h.desk.KnowsDevice("anna@example.test", other), name)
		}
	}
	fail := func(device string, n int) {
		for range n {
			_, err := h.desk.Login(ctx, "anna@example.test", "wrong", device)
			require.Equal(t, problem.LoginFailed, problem.CodeOf(err))
		}
	}
	fail("", 5)
	fail(h.desk.NewDevice("piotr@example.test"), 5) // counts as unknown
	_, err := h.desk.Login(ctx, "anna@example.test", password, "")
	require.Equal(t, problem.RateLimited, problem.CodeOf(err))
	_, err = h.desk.Login(ctx, "anna@example.test", password, device)
	require.NoError(t, err, "Anna's own browser")

	fail(device, 10)
	_, err = h.desk.Login(ctx, "anna@example.test", password, device)
	assert.Equal(t, problem.RateLimited, problem.CodeOf(err), "a device that was stolen guesses no more than others")
}

func TestOneTimeCodesAreForOnePurposeOneUseAndTenMinutes(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()

	assert.Equal(t, problem.SecondFactorRequired, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, "123456")))
	require.NoError(t, h.desk.SendFactor(ctx, anna.ID, ca.PurposeGenerate))
	code := h.lastCode(anna)
	assert.Equal(t, problem.SecondFactorRequired, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeResume, code)))
	assert.Equal(t, problem.SecondFactorFailed, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, wrongVersionOf(code))))
	require.NoError(t, h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, code[:3]+" "+code[3:]))
	assert.Equal(t, problem.SecondFactorRequired, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, code)), "single use")

	require.NoError(t, h.desk.SendFactor(ctx, anna.ID, ca.PurposeGenerate))
	code = h.lastCode(anna)
	h.pass(11 * time.Minute)
	assert.Equal(t, problem.SecondFactorRequired, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, code)), "too old")

	require.NoError(t, h.desk.SendFactor(ctx, anna.ID, ca.PurposeGenerate))
	code = h.lastCode(anna)
	for range 5 {
		assert.Equal(t, problem.SecondFactorFailed, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, wrongVersionOf(code))))
	}
	assert.Equal(t, problem.SecondFactorRequired, problem.CodeOf(h.desk.CheckFactor(ctx, anna.ID, ca.PurposeGenerate, code)), "five tries")

	for h.desk.SendFactor(ctx, anna.ID, ca.PurposeResume) == nil {
	}
	assert.Equal(t, problem.RateLimited, problem.CodeOf(h.desk.SendFactor(ctx, anna.ID, ca.PurposeResume)))
	assert.Equal(t, problem.BadRequest, problem.CodeOf(h.desk.SendFactor(ctx, anna.ID, "sign")))
}

func TestEligibilityNamesEachThingThatIsMissing(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	jan := h.account("jan@example.test", ca.Basic, ca.RoleUser)
	e, err := h.desk.Eligibility(ctx, jan.ID)
	require.NoError(t, err)
	assert.True(t, e.NeedsExtendedAccount)
	assert.True(t, e.NeedsIDSISC)
	assert.False(t, e.OK())
	p, err := h.ledger.AddPerson(ctx, ca.Person{GivenName: "Jan", Surname: "Nowak", Country: "PL", Identity: "TINPL-1234563218", IDSISC: "PL123456321800019"})
	require.NoError(t, err)
	require.NoError(t, h.ledger.Register(ctx, "jan@example.test", p.ID, ca.Extended))
	e, err = h.desk.Eligibility(ctx, jan.ID)
	require.NoError(t, err)
	assert.True(t, e.OK())
}

func TestWhatTheRegisterRefuses(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	good := ca.Person{GivenName: "Ewa", Surname: "Lis", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"}
	for name, edit := range map[string]func(*ca.Person){
		"a PESEL number with a wrong check digit": func(p *ca.Person) { p.Identity = "PNOPL-44051401459" },
		"an identity without its type":            func(p *ca.Person) { p.Identity = "44051401458" },
		"an ID SISC of 16 characters":             func(p *ca.Person) { p.IDSISC = p.IDSISC[1:] },
		"a country in small letters":              func(p *ca.Person) { p.Country = "pl" },
		"a name with a line break":                func(p *ca.Person) { p.Surname = "Lis\nCN=x" },
		"an empty name":                           func(p *ca.Person) { p.GivenName = "" },
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			edit(&p)
			_, err := h.ledger.AddPerson(ctx, p)
			assert.Equal(t, problem.BadRequest, problem.CodeOf(err))
		})
	}
	_, err := h.ledger.AddAccount(ctx, ca.NewAccount{Email: "a@example.test", Password: "short", Kind: ca.Basic, Role: ca.RoleUser, Language: "pl"})
	assert.Equal(t, problem.PasswordWeak, problem.CodeOf(err))
	_, err = h.ledger.AddAccount(ctx, ca.NewAccount{Email: "a@example.test", Password: strings.Repeat("a", 20), Kind: ca.Basic, Role: ca.RoleUser, Language: "pl"})
	assert.Equal(t, problem.PasswordWeak, problem.CodeOf(err))
}
