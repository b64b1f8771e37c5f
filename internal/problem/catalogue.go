package problem

import "slices"

//go:generate go test -run TestWhatIsGeneratedFromTheCatalogueIsCurrent -update .

// Text is what a person reads about one problem, in one language: what happened, why it usually happens, and what to do.
// Each is one or more whole sentences without markup.
type Text struct {
	Message string
	Reason  string // the likely reason
	Remedy  string // how to resolve it
}

// Entry is a problem described in one language.
type Entry struct {
	Code Code
	// Retryable tells that nothing is lost and that doing the same thing again can succeed once the remedy was followed,
	// without choosing another document, key, certificate or account.
	Retryable bool
	Text
}

// Languages of the catalogue, the default last.
const (
	Polish  = "pl"
	English = "en"
)

// described is one row of the catalogue.
type described struct {
	code  Code
	retry retry
	en    Text
	pl    Text
}

type retry int

const (
	final retry = iota // doing the same again fails the same way
	again              // doing the same again can succeed
)

// catalogue holds every code of codes.go once, in the same order; catalogue_test.go sees to that.
var catalogue = slices.Concat(reachTexts, trustTexts, workTexts, caTexts)

var byCode = func() map[Code]described {
	m := make(map[Code]described, len(catalogue))
	for _, d := range catalogue {
		m[d.code] = d
	}
	return m
}()

// Describe returns what a person should read about a code: in Polish for "pl", in English for anything else. A code that
// is not in the catalogue is described as internal_error.
func Describe(code Code, lang string) Entry {
	d, ok := byCode[code]
	if !ok {
		d = byCode[Internal]
	}
	e := Entry{Code: d.code, Retryable: d.retry == again, Text: d.en}
	if lang == Polish {
		e.Text = d.pl
	}
	return e
}

// Retryable tells whether doing the same thing again can succeed; see Entry.Retryable.
func Retryable(code Code) bool { return byCode[code].retry == again }

// Codes returns every code of the catalogue, grouped as in codes.go.
func Codes() []Code {
	codes := make([]Code, 0, len(catalogue))
	for _, d := range catalogue {
		codes = append(codes, d.code)
	}
	return codes
}
