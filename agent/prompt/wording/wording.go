// Package wording holds what the agent's windows, terminal questions and PIN dialogs say, in Polish and English, and the
// ways in which dates, sizes, fingerprints and other people's words are shown.
//
// It formats plain text only: no HTML, no terminal sequences. Visible and VisibleText make hostile text harmless to
// read; escaping it for a medium is that medium's work.
package wording

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"certsign/internal/pkix"
	"certsign/internal/problem"
)

// Language is one that people are spoken to in.
type Language string

// The languages.
const (
	Polish  Language = "pl"
	English Language = "en"
)

// Parse returns the language of a tag such as "en-GB"; what is neither is Polish, the portal's own.
func Parse(tag string) Language {
	if tag = strings.ToLower(tag); tag == "en" || strings.HasPrefix(tag, "en-") || strings.HasPrefix(tag, "en_") {
		return English
	}
	return Polish
}

// entry is a text in both languages.
type entry struct{ pl, en string }

func (e entry) in(l Language) string {
	if l == English {
		return e.en
	}
	return e.pl
}

// catalogue is every text by its key; its parts are beside what they are about.
var catalogue = join(common, origins, stores, signing, notices, pins, reasons)

func join(parts ...map[string]entry) map[string]entry {
	all := map[string]entry{}
	for _, part := range parts {
		for key, e := range part {
			if _, twice := all[key]; twice {
				panic("wording: two texts for " + key)
			}
			all[key] = e
		}
	}
	return all
}

// Text returns the text for key with its verbs filled in. Arguments are put in as they are: pass untrusted ones through
// Visible or Quote.
func (l Language) Text(key string, args ...any) string {
	e, ok := catalogue[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return e.in(l)
	}
	return fmt.Sprintf(e.in(l), args...)
}

// Count returns the text for n things: key with ".one", ".few" or ".many" after it, and n for its verb.
func (l Language) Count(key string, n int) string {
	return l.Text(key+"."+l.plural(n), n)
}

// plural returns the CLDR plural category of a whole number, where "many" is also English "other".
func (l Language) plural(n int) string {
	if n < 0 {
		n = -n
	}
	switch {
	case n == 1:
		return "one"
	case l == Polish && n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14):
		return "few"
	default:
		return "many"
	}
}

// Reason returns why something cannot be used, for a problem code: a few words without a full stop.
func (l Language) Reason(code string) string {
	if e, ok := reasons["reason."+code]; ok {
		return e.in(l)
	}
	message := strings.TrimSuffix(problem.Describe(problem.Code(code), string(l)).Message, ".")
	word, _, _ := strings.Cut(message, " ")
	if first, size := utf8.DecodeRuneInString(word); strings.ToLower(word[size:]) == word[size:] { // neither PIN nor CertSign
		message = string(unicode.ToLower(first)) + message[size:]
	}
	return message
}

var months = map[Language][12]string{
	Polish: {"stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca", "lipca", "sierpnia", "września", "października",
		"listopada", "grudnia"},
	English: {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
		"December"},
}

// Date returns a day in words, in the computer's time zone.
func (l Language) Date(t time.Time) string {
	t = t.Local()
	return fmt.Sprintf("%d\u00a0%s\u00a0%d", t.Day(), months[l][t.Month()-1], t.Year())
}

// Size returns a number of octets in a unit that people read, and exactly.
func (l Language) Size(n int64) string {
	unit, value := "", float64(n)
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, u
	}
	exact := l.Text("size.octets", l.group(n))
	if unit == "" {
		return exact
	}
	return l.decimal(value) + "\u00a0" + unit + " (" + exact + ")"
}

func (l Language) decimal(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	if l == Polish {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// group writes a number in groups of three digits.
func (l Language) group(n int64) string {
	separator := ","
	if l == Polish {
		separator = "\u00a0"
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + separator + s[i:]
	}
	return s
}

// Quote returns somebody else's words between quotation marks, on one line and with nothing hidden in them.
func (l Language) Quote(s string) string {
	if l == English {
		return "“" + Visible(s) + "”"
	}
	return "„" + Visible(s) + "”"
}

// Fingerprint returns a hexadecimal digest as people compare it.
func Fingerprint(digest string) string { return pkix.Groups(Visible(digest)) }
