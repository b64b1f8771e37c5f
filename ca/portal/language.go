package portal

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	_ "time/tzdata" // people read Polish time wherever the server runs

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"certsign/ca"
)

//go:embed text/*.json
var textFiles embed.FS

// languages are those in which every text exists, the default first.
var languages = []string{"pl", "en"}

// catalogue is one language's texts by key. A text with plural forms has one entry per form: key.one, key.few, key.many,
// key.other, as CLDR names them.
type catalogue map[string]string

func loadCatalogues() (map[string]catalogue, error) {
	all := make(map[string]catalogue, len(languages))
	for _, lang := range languages {
		b, err := textFiles.ReadFile("text/" + lang + ".json")
		if err != nil {
			return nil, err
		}
		c := catalogue{}
		if err := json.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("texts %s: %w", lang, err)
		}
		all[lang] = c
	}
	return all, nil
}

// missing marks a key without a text, so that a test sees it on any page.
const missing = "⟦"

// text returns the text for key, with args filled in as fmt does.
func (c catalogue) text(key string, args ...any) string {
	s, ok := c[key]
	if !ok {
		return missing + key + "⟧"
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// has tells whether there is a text for key.
func (c catalogue) has(key string) bool {
	_, ok := c[key]
	return ok
}

// count returns the text for key in the plural form that n takes.
func (c catalogue) count(lang, key string, n int) string {
	return c.text(key+"."+pluralForm(lang, n), n)
}

func pluralForm(lang string, n int) string {
	digits := n
	if digits < 0 {
		digits = -digits
	}
	switch plural.Cardinal.MatchPlural(language.Make(lang), digits, 0, 0, 0, 0) {
	case plural.One:
		return "one"
	case plural.Few:
		return "few"
	case plural.Many:
		return "many"
	default:
		return "other"
	}
}

var warsaw = func() *time.Location {
	l, err := time.LoadLocation("Europe/Warsaw")
	if err != nil {
		return time.UTC // never: time/tzdata is linked in
	}
	return l
}()

const languageCookie = "portal_lang"

var matcher = language.NewMatcher([]language.Tag{language.Polish, language.English})

// negotiate picks the request's language: what the person chose here, else what the browser asks for, else Polish.
func (p *portal) negotiate(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil && known(c.Value) {
		return c.Value
	}
	tags, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(tags) == 0 {
		return languages[0]
	}
	_, i, confidence := matcher.Match(tags...)
	if confidence == language.No {
		return languages[0]
	}
	return languages[i]
}

func known(lang string) bool {
	for _, l := range languages {
		if l == lang {
			return true
		}
	}
	return false
}

// langOf returns the request's language.
func langOf(ctx context.Context) string {
	if lang, ok := ctx.Value(languageKey{}).(string); ok {
		return lang
	}
	return languages[0]
}

func (p *portal) setLanguageCookie(w http.ResponseWriter, lang string) {
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: lang, Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: p.Secure, SameSite: http.SameSiteLaxMode,
	})
}

// postLanguage switches the language for this browser and, when somebody is logged in, for their account's e-mails.
func (p *portal) postLanguage(w http.ResponseWriter, r *http.Request) error {
	lang := r.PostFormValue("lang")
	if !known(lang) {
		lang = languages[0]
	}
	if a := account(r.Context()); a != nil {
		if err := p.Desk.SetLanguage(r.Context(), a.ID, lang); err != nil {
			return err
		}
	}
	p.setLanguageCookie(w, lang)
	http.Redirect(w, r, ownPath(r.PostFormValue("back"), "/"), http.StatusSeeOther)
	return nil
}

// follow sets the account's language in a browser that chose none.
func (p *portal) follow(w http.ResponseWriter, r *http.Request, a *ca.Account) {
	if c, err := r.Cookie(languageCookie); err == nil && known(c.Value) {
		return
	}
	if known(a.Language) {
		p.setLanguageCookie(w, a.Language)
	}
}
