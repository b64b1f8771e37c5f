package wording

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many characters of a name, a subject or an origin are shown. What is cut is said.
const longest = 400

// Visible returns s on one line with every character that people cannot see, or that changes how the others are drawn,
// written out as ⟨U+202E⟩: controls, line breaks, bidirectional marks, zero-width and blank characters, stacked accents. Octets that are
// not UTF-8 become ⟨0x9B⟩. A long text is cut, with an ellipsis and its whole length.
func Visible(s string) string {
	shown := visible(s, false)
	if n := utf8.RuneCountInString(shown); n > longest {
		cut := []rune(shown)[:longest]
		return fmt.Sprintf("%s…⟨%d⟩", string(cut), n)
	}
	return shown
}

// VisibleText is Visible for a document's text: it keeps line breaks and tabs, and its whole length.
func VisibleText(s string) string { return visible(s, true) }

func visible(s string, text bool) string {
	var b strings.Builder
	b.Grow(len(s))
	marks := 0 // accents since the last letter
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "⟨0x%02X⟩", s[i])
			i++
			continue
		}
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case text && (r == '\n' || r == '\t'):
			b.WriteByte(byte(r))
		case text && r == '\r' && i+1 < len(s) && s[i+1] == '\n':
			// the line break follows
		case hidden(r), marks > 2:
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// hidden reports a character that leaves no mark of its own. Unassigned and private ones count: nobody knows their look.
func hidden(r rune) bool {
	switch r {
	case ' ', '\u00a0':
		return false
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true // the blank ones among letters, marks and symbols
	}
	if unicode.Is(unicode.Variation_Selector, r) {
		return true
	}
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Z, r)
}
