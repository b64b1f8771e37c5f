//go:build unix

package window

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

// stand is where cards are put in and taken out while a question is open.
type stand[T any] struct {
	mu      sync.Mutex
	there   []T
	tell    chan struct{}
	watched chan struct{} // closed when the watch has ended
}

func newStand[T any](there []T) *stand[T] {
	return &stand[T]{there: there, tell: make(chan struct{}, 1), watched: make(chan struct{})}
}

func (s *stand[T]) look(context.Context) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there
}

func (s *stand[T]) watch(ctx context.Context) <-chan struct{} {
	changes := make(chan struct{})
	go func() {
		defer close(s.watched)
		defer close(changes)
		for {
			select {
			case <-s.tell:
				select {
				case changes <- struct{}{}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes
}

func (s *stand[T]) becomes(there ...T) {
	s.mu.Lock()
	s.there = there
	s.mu.Unlock()
	s.tell <- struct{}{}
}

var (
	cardKeys = []agent.KeyAlgorithm{agent.RSA3072, agent.P256}
	card     = agent.Place{ID: "card", Label: "Karta celna", Detail: "nr 0123456789", Hardware: true, State: agent.PINOK, Keys: cardKeys}
	stick    = agent.Place{ID: "stick", Label: "Token USB", Detail: "nr 42", Hardware: true, State: agent.PINOK, Keys: cardKeys}
	folder   = agent.StoreOffer{Store: "keyfile", Places: []agent.Place{{ID: "folder", Label: "Plik", NewPIN: true, State: agent.PINUnset, Keys: cardKeys}}}
	empty    = agent.StoreOffer{Store: "pkcs11", Unavailable: string(problem.TokenAbsent)}
)

func tokens(places ...agent.Place) agent.StoreOffer {
	return agent.StoreOffer{Store: "pkcs11", Places: places}
}

func placesQuestion(s *stand[agent.StoreOffer]) agent.StoreQuestion {
	return agent.StoreQuestion{Origin: portal, Site: "Portal celny", Stores: s.there, Algorithm: agent.RSA3072, Look: s.look, Watch: s.watch}
}

func TestACardThatComesOrGoesLeavesEveryOtherChoiceAlone(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after []agent.StoreOffer
		form          string
		store, place  string // what is chosen then
		gone          bool
	}{
		{"a card comes: the file stays chosen", []agent.StoreOffer{empty, folder}, []agent.StoreOffer{tokens(card), folder},
			"store=keyfile&place-keyfile=folder", "keyfile", "folder", false},
		{"a card comes where there was nothing: it is preselected", []agent.StoreOffer{empty}, []agent.StoreOffer{tokens(card)}, "", "pkcs11", "card", false},
		{"a second card comes: the first stays chosen", []agent.StoreOffer{tokens(card)}, []agent.StoreOffer{tokens(stick, card)},
			"store=pkcs11&place-pkcs11=card", "pkcs11", "card", false},
		{"the card that is not chosen goes", []agent.StoreOffer{tokens(card, stick)}, []agent.StoreOffer{tokens(stick)},
			"store=pkcs11&place-pkcs11=stick", "pkcs11", "stick", false},
		{"the chosen card goes: no other takes its place", []agent.StoreOffer{tokens(card, stick), folder}, []agent.StoreOffer{tokens(stick), folder},
			"store=pkcs11&place-pkcs11=card", "", "", true},
		{"the only card is another now", []agent.StoreOffer{tokens(card), folder}, []agent.StoreOffer{tokens(stick), folder},
			"store=pkcs11&place-pkcs11=card", "", "", true},
		{"the only card goes: the file does not take its place", []agent.StoreOffer{tokens(card), folder}, []agent.StoreOffer{empty, folder},
			"store=pkcs11&place-pkcs11=card", "", "", true},
		{"the chosen card's PIN is locked now", []agent.StoreOffer{tokens(card)}, []agent.StoreOffer{tokens(agent.Place{ID: "card", Hardware: true, State: agent.PINLocked, Keys: cardKeys}), folder},
			"store=pkcs11&place-pkcs11=card", "", "", true},
		{"a form that names what never was", []agent.StoreOffer{tokens(card)}, []agent.StoreOffer{tokens(card), folder}, "store=cloud", "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := storePage("en", agent.StoreQuestion{Stores: c.before, Algorithm: agent.RSA3072})
			require.True(t, page.take(c.after))
			assert.False(t, page.take(c.after), "the same again is no change")
			values, err := url.ParseQuery(c.form)
			require.NoError(t, err)
			values.Set("algorithm-keyfile", string(agent.P256))
			assert.Equal(t, c.gone, page.keep(form(values)))
			var store, place string
			for _, o := range page.Stores {
				if o.Checked {
					store = o.Store
					for _, p := range o.Places {
						if p.Checked {
							place = p.ID
						}
					}
				}
				if o.Store == "keyfile" {
					assert.Equal(t, agent.P256, o.Key, "the kind of key stays chosen")
				}
			}
			assert.Equal(t, [2]string{c.store, c.place}, [2]string{store, place})
			if c.gone {
				page.take([]agent.StoreOffer{tokens(card), folder})
				page.take([]agent.StoreOffer{empty})
				page.take([]agent.StoreOffer{tokens(card), folder})
				_, wrong := page.answer(form{})
				assert.Equal(t, "store.error.store", wrong, "what came back is not chosen by itself")
			}
		})
	}
}

func TestACertificateStaysChosenOnlyWhileItIsTheSame(t *testing.T) {
	q := signing(document("a.xml", "text/xml", declaration(1)))
	all := q.Certificates
	page := signPage("en", q)
	assert.False(t, page.take(all))
	require.True(t, page.take(all[1:]))
	assert.False(t, page.keep(form{"certificate": {"keyfile/02 31c4a9"}}))
	answer, wrong := page.answer(form{"certificate": {"keyfile/02 31c4a9"}})
	assert.Equal(t, agent.SigningAnswer{Key: "keyfile/02"}, answer)
	assert.Empty(t, wrong)
	other := all[1]
	other.Serial = "ffff"
	require.True(t, page.take([]agent.CertificateView{other}))
	assert.True(t, page.keep(form{"certificate": {"keyfile/02 31c4a9"}}), "the key has another certificate now")
	assert.Nil(t, page.chosen())
	_, wrong = page.answer(form{})
	assert.Equal(t, "sign.error.choose", wrong)
}

func TestAnAnswerToAListThatHasChangedIsAskedAgain(t *testing.T) {
	w := newWindow(t, "en", idle...)
	q := signing(document("a.xml", "text/xml", declaration(1)))
	s := newStand(q.Certificates)
	q.Look, q.Watch = s.look, s.watch
	var got agent.SigningAnswer
	o := open(t, w, func(ctx context.Context) (err error) {
		got, err = w.ApproveSigning(ctx, q)
		return err
	})
	c := enter(t, w)
	c.do("GET", "/question", "", nil)
	time.Sleep(armDelay)
	s.becomes(q.Certificates[1:]...)
	sign := "answer=sign&certificate=keyfile%2F02+31c4a9"
	require.Eventually(t, func() bool {
		return strings.Contains(c.text(c.do("POST", "/list", "", nil)), `name="revision" value="1"`)
	}, 5*time.Second, 50*time.Millisecond)
	fresh := c.text(c.do("POST", "/list", "certificate=pkcs11%2F01+5a01f3c29be4d7780c11", nil))
	assert.Contains(t, fresh, "What was chosen is no longer there")
	assert.NotContains(t, fresh, "checked")
	assert.NotContains(t, fresh, "5a01f3c29be4d7780c11")
	assert.Contains(t, c.text(c.do("POST", "/answer", sign+"&revision=1", nil)), "“Sign” was used too soon", "the second begins anew with each list")
	time.Sleep(armDelay)
	for _, revision := range []string{"", "&revision=0", "&revision=2"} {
		answer := c.do("POST", "/answer", sign+revision, nil)
		assert.Equal(t, 422, answer.StatusCode)
		assert.Contains(t, c.text(answer), "The list changed as you answered.")
	}
	assert.Equal(t, 422, c.do("POST", "/answer", "answer=sign&certificate=pkcs11%2F01+5a01f3c29be4d7780c11&revision=1", nil).StatusCode, "what is gone signs nothing")
	time.Sleep(armDelay)
	assert.Equal(t, 200, c.do("POST", "/answer", sign+"&revision=1", nil).StatusCode)
	require.NoError(t, <-o.result)
	assert.Equal(t, "keyfile/02", got.Key)
	<-s.watched
}

func TestOnlyTheWindowItselfReachesItsList(t *testing.T) {
	w := newWindow(t, "en", idle...)
	s := newStand([]agent.StoreOffer{tokens(card), folder})
	o := open(t, w, func(ctx context.Context) error {
		_, err := w.ConfigureStore(ctx, placesQuestion(s))
		return err
	})
	c := enter(t, w)
	stranger := &client{t: t, base: c.base}
	for name, tt := range map[string]struct {
		as      *client
		method  string
		headers headers
		status  int
	}{
		"its page":               {c, "POST", nil, 200},
		"who has no cookie":      {stranger, "POST", nil, 403},
		"a foreign page":         {c, "POST", headers{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		"another port":           {c, "POST", headers{"Sec-Fetch-Site": "same-site"}, 403},
		"a name that was bound":  {c, "POST", headers{"Host": "evil.example"}, 421},
		"a form in another type": {c, "POST", headers{"Content-Type": "text/plain"}, 415},
		"a link":                 {c, "GET", nil, 405},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.status, tt.as.do(tt.method, "/list", "", tt.headers).StatusCode)
		})
	}
	c.do("POST", "/answer", "answer=cancel", nil)
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-o.result))
	select {
	case <-s.watched:
	case <-time.After(5 * time.Second):
		assert.Fail(t, "the watch outlives its question")
	}
}

func TestACardIsSeenInTheOpenWindow(t *testing.T) {
	for _, lang := range []string{"pl", "en"} {
		t.Run("for a new key, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			s := newStand([]agent.StoreOffer{empty, folder})
			var got agent.StoreAnswer
			o := open(t, w, func(ctx context.Context) (err error) {
				got, err = w.ConfigureStore(ctx, placesQuestion(s))
				return err
			})
			p := attach(t, w, "#ok")
			p.shoot("list-none-"+lang, false)
			p.click("summary")
			p.eval(`document.querySelector("#algorithm-keyfile").value = "p256"; document.querySelector("#label").focus(); document.execCommand("insertText", false, "Biuro Łódź")`)
			s.becomes(tokens(card), folder)
			p.until(`!!document.querySelector("#store-pkcs11:not(:disabled)")`)
			says := map[string]string{"pl": "Lista została odświeżona. Teraz dostępne: Karta celna (nr 0123456789).", "en": "The list has been updated. Now available: Karta celna (nr 0123456789)."}[lang]
			assert.Equal(t, says, p.eval(`document.querySelector("[aria-live=polite]").textContent`))
			assert.Equal(t, []any{"label", "Biuro Łódź", "p256", true, true}, p.eval(`[document.activeElement.id, document.querySelector("#label").value,
				document.querySelector("#algorithm-keyfile").value, document.querySelector("#store-keyfile").checked, document.querySelector("details").open]`))
			p.shoot("list-came-"+lang, true)

			p.click("#store-pkcs11")
			s.becomes(tokens(stick, card), folder)
			p.until(`!!document.querySelector("#place-pkcs11-1")`)
			assert.Equal(t, []any{"store-pkcs11", true}, p.eval(`[document.activeElement.id, document.querySelector("#place-pkcs11-1").checked]`), "the card is still the one that is chosen")
			s.becomes(tokens(stick), folder)
			p.until(`!document.querySelector("#place-pkcs11-1")`)
			assert.Equal(t, true, p.eval(`!document.querySelector("input[type=radio]:checked")`), "nothing takes the place of what was chosen")
			assert.Equal(t, true, p.eval(`document.querySelector(".news").matches(".warn")`))
			p.shoot("list-went-"+lang, true)
			p.click("#store-pkcs11")
			p.click("#ok")
			require.NoError(t, <-o.result)
			assert.Equal(t, agent.StoreAnswer{Store: "pkcs11", Place: "stick", Algorithm: agent.RSA3072, Label: "Biuro Łódź"}, got)
			<-s.watched
		})
		t.Run("for a signature, in "+lang, func(t *testing.T) {
			w := newWindow(t, lang, chromiumCommand(t)...)
			q := signing(document("a.xml", "text/xml", declaration(40)))
			all := q.Certificates
			q.Certificates = all[1:]
			s := newStand(q.Certificates)
			q.Look, q.Watch = s.look, s.watch
			var got agent.SigningAnswer
			o := open(t, w, func(ctx context.Context) (err error) {
				got, err = w.ApproveSigning(ctx, q)
				return err
			})
			p := attach(t, w, "#sign")
			armed := `document.querySelector("#sign").getAttribute("aria-disabled") === "false"`
			where := `JSON.stringify(document.querySelector("#sign").getBoundingClientRect())`
			for _, height := range []int{900, 400} { // the lower one has its buttons below the list rather than always in view
				p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 760, "height": height, "deviceScaleFactor": 1, "mobile": false})
				p.eval(`document.querySelector("#sign").scrollIntoView({block: "end"}); scrollBy(0, -40)`)
				p.until(armed)
				before := p.eval(where)
				p.eval(`window.disarmed = 0; new MutationObserver(() => { if (document.querySelector("#sign").getAttribute("aria-disabled") === "true") window.disarmed = performance.now() })
					.observe(document.querySelector("#sign"), {attributes: true}); true`)
				s.becomes(all...)
				p.until(`document.querySelectorAll("input[name=certificate]").length === 3`)
				assert.Equal(t, true, p.eval("window.disarmed > 0"), "who was about to sign gets time to look")
				assert.Equal(t, before, p.eval(where), "the button is where it was")
				time.Sleep(300 * time.Millisecond)
				assert.Equal(t, before, p.eval(where), "and stays there")
				assert.Equal(t, "keyfile/02 31c4a9", p.eval(`document.querySelector("input[name=certificate]:checked").value`))
				p.shoot("list-sign-"+lang, false)
				p.until(armed)
				assert.Equal(t, true, p.eval("performance.now() - window.disarmed > 900"))
				s.becomes(all[1:]...)
				p.until(`document.querySelectorAll("input[name=certificate]").length === 2`)
			}
			s.becomes(all[2:]...)
			p.until(`document.querySelector("#sign").disabled`)
			p.shoot("list-sign-none-"+lang, false)
			s.becomes(all...)
			p.until(`!document.querySelector("#sign").disabled`)
			assert.Equal(t, true, p.eval(`!document.querySelector("input[name=certificate]:checked")`))
			p.call("Emulation.clearDeviceMetricsOverride", nil)
			p.click("#certificate-0")
			p.until(armed)
			p.click("#sign")
			require.NoError(t, <-o.result)
			assert.Equal(t, "pkcs11/01", got.Key)
			<-s.watched
		})
	}
}
