package wording

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

var verbs = regexp.MustCompile(`%[a-z]`)

func TestEveryTextIsThereInBothLanguages(t *testing.T) {
	same := regexp.MustCompile(`^(app|size\.octets|button\.ok|store\.(pkcs11|csp|keyfile)|pin\.title)$`)
	for key, e := range catalogue {
		assert.NotEmpty(t, e.pl, key)
		assert.NotEmpty(t, e.en, key)
		assert.Equal(t, verbs.FindAllString(e.pl, -1), verbs.FindAllString(e.en, -1), "verbs of %s", key)
		if !same.MatchString(key) {
			assert.NotEqual(t, e.pl, e.en, "%s is not translated", key)
		}
		assert.Equal(t, strings.TrimSpace(strings.TrimSuffix(e.pl, " ")), strings.TrimSuffix(e.pl, " "), key)
	}
	for key := range catalogue {
		if base, ok := strings.CutSuffix(key, ".few"); ok {
			assert.Contains(t, catalogue, base+".one")
			assert.Contains(t, catalogue, base+".many")
		}
	}
}

// Keys are written as string literals: in Go as Text("key") and in templates as t "key" or count "key".
func TestEveryTextThatIsAskedForExistsAndEveryTextIsAskedFor(t *testing.T) {
	literal := regexp.MustCompile(`"([a-z]+(?:\.[a-z0-9]+)*\.?)"`)
	calls := regexp.MustCompile(`(?:Text\(|\bt |T\()\s*"([a-z0-9.]+)"`)
	var mentioned = map[string]bool{}
	var prefixes []string
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "texts_") {
			return err
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".html" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range calls.FindAllStringSubmatch(string(b), -1) {
			if !strings.HasSuffix(m[1], ".") {
				assert.Contains(t, catalogue, m[1], "asked for in %s", path)
			}
		}
		for _, m := range literal.FindAllStringSubmatch(string(b), -1) {
			mentioned[m[1]] = true
			if strings.HasSuffix(m[1], ".") {
				prefixes = append(prefixes, m[1])
			}
		}
		return nil
	})
	require.NoError(t, err)
	for key := range catalogue {
		base := regexp.MustCompile(`\.(one|few|many)$`).ReplaceAllString(key, "")
		used := mentioned[key] || mentioned[base]
		for _, p := range prefixes {
			used = used || strings.HasPrefix(key, p)
		}
		assert.True(t, used, "nothing shows %s", key)
	}
}

func TestWhatCannotBeSeenIsWrittenOut(t *testing.T) {
	tests := []struct{ name, in, out string }{
		{"plain Polish stays", "Zgłoszenie żółć 12 345.xml", "Zgłoszenie żółć 12 345.xml"},
		{"a bidirectional override that turns an extension round", "faktura\u202elmx.exe", "faktura⟨U+202E⟩lmx.exe"},
		{"isolates", "\u2066a\u2069", "⟨U+2066⟩a⟨U+2069⟩"},
		{"line breaks and tabs", "a\r\nb\tc", "a⟨U+000D⟩⟨U+000A⟩b⟨U+0009⟩c"},
		{"escape sequences", "\x1b[31m", "⟨U+001B⟩[31m"},
		{"C1 controls", "\u009b31m", "⟨U+009B⟩31m"},
		{"zero-width characters", "a\u200bb\u200dc\ufeff", "a⟨U+200B⟩b⟨U+200D⟩c⟨U+FEFF⟩"},
		{"blank letters", "a\u3164b\u2800c", "a⟨U+3164⟩b⟨U+2800⟩c"},
		{"wide spaces and line separators", "a\u3000b\u2028c", "a⟨U+3000⟩b⟨U+2028⟩c"},
		{"tag characters", "a\U000E0041", "a⟨U+E0041⟩"},
		{"variation selectors", "a\ufe0f", "a⟨U+FE0F⟩"},
		{"private characters", "\ue000", "⟨U+E000⟩"},
		{"octets that are no character", "a\x9bb\xc3", "a⟨0x9B⟩b⟨0xC3⟩"},
		{"two accents stay and more are written out", "e\u0301\u0323\u0300\u0300", "e\u0301\u0323⟨U+0300⟩⟨U+0300⟩"},
		{"the replacement character itself stays", "\ufffd", "\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.out, Visible(tt.in)) })
	}
	assert.Equal(t, "a\nb\tc\n⟨U+000D⟩⟨U+202E⟩", VisibleText("a\r\nb\tc\n\r\u202e"))
	assert.Equal(t, strings.Repeat("a", 400)+"…⟨1000⟩", Visible(strings.Repeat("a", 1000)))
}

func FuzzVisible(f *testing.F) {
	f.Add("a\u202eb\x1b[0m\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Visible(s) {
			require.False(t, hidden(r), "%U", r)
		}
		for _, r := range VisibleText(s) {
			require.True(t, r == '\n' || r == '\t' || !hidden(r), "%U", r)
		}
	})
}

func TestNumbersDatesAndDigestsReadAsPeopleWriteThem(t *testing.T) {
	for n, want := range map[int]string{
		0: "zostało 0 dni", 1: "został 1 dzień", 2: "zostały 2 dni", 4: "zostały 4 dni", 5: "zostało 5 dni",
		12: "zostało 12 dni", 14: "zostało 14 dni", 21: "zostało 21 dni", 22: "zostały 22 dni", 112: "zostało 112 dni", 730: "zostało 730 dni",
	} {
		assert.Equal(t, want, Polish.Count("days", n))
	}
	assert.Equal(t, "1 day left", English.Count("days", 1))
	assert.Equal(t, "2 days left", English.Count("days", 2))
	assert.Equal(t, "3 dokumenty", Polish.Count("documents", 3))

	day := time.Date(2028, 11, 21, 12, 0, 0, 0, time.Local)
	assert.Equal(t, "21\u00a0listopada\u00a02028", Polish.Date(day))
	assert.Equal(t, "21\u00a0November\u00a02028", English.Date(day))

	assert.Equal(t, "999\u00a0B", strings.ReplaceAll(Polish.Size(999), " ", "\u00a0"))
	assert.Equal(t, "20,4\u00a0kB (20\u00a0432 B)", Polish.Size(20432))
	assert.Equal(t, "20.4\u00a0kB (20,432 B)", English.Size(20432))
	assert.Equal(t, "4.3\u00a0GB (4,294,967,296 B)", English.Size(1<<32))

	assert.Equal(t, "0123 4567 89AB CDEF", Fingerprint("0123456789abcdef"))
	assert.Equal(t, "„a⟨U+000A⟩b”", Polish.Quote("a\nb"))
	assert.Equal(t, "“a”", English.Quote("a"))
	assert.Equal(t, "PIN jest zablokowany; odblokuj go kodem PUK w programie producenta karty", Polish.Reason("pin_locked"))
	assert.Equal(t, "the certificate has expired", English.Reason("certificate_expired"))
	for _, code := range problem.Codes() {
		for _, l := range []Language{Polish, English} {
			reason := l.Reason(string(code))
			assert.NotEmpty(t, reason, code)
			assert.NotRegexp(t, `\.$|^pIN|^certSign`, reason, code)
		}
	}
}

func TestALanguageTagIsUnderstood(t *testing.T) {
	for tag, want := range map[string]Language{"en": English, "en-GB": English, "EN_us": English, "pl": Polish, "pl-PL": Polish, "": Polish, "de": Polish} {
		assert.Equal(t, want, Parse(tag), tag)
	}
}

func TestANewKeyFileIsToBeCopied(t *testing.T) {
	c := agent.CertificateView{Store: "keyfile", Serial: "5f3a00112233445566778899aabbccdd"}
	assert.Contains(t, Polish.BackupAdvice(&c), "certsign backup 5f3a00112233 -o PLIK")
	assert.Contains(t, English.BackupAdvice(&c), "certsign backup 5f3a00112233 -o FILE")
	c.Serial = "5f"
	assert.Contains(t, English.BackupAdvice(&c), "certsign backup 5f -o FILE")
	c.Store = "pkcs11"
	assert.Empty(t, Polish.BackupAdvice(&c), "a key on a card cannot be copied")
	assert.Empty(t, Polish.BackupAdvice(nil))
}
