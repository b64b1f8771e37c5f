package xmldsig

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"certsign/internal/problem"
)

// encoding is how the original octets stand for characters; it maps offsets in the decoded text back to them.
type encoding struct {
	bom  int  // octets before the first character
	unit int  // 1: UTF-8 and ASCII; 2: UTF-16; 0: one octet for each character
	big  bool // UTF-16, most significant octet first
}

// original returns the offset in the input of an offset in the decoded text.
func (e encoding) original(text string, offset int) int {
	switch e.unit {
	case 0:
		return e.bom + utf8.RuneCountInString(text[:offset])
	case 2:
		n := 0
		for _, r := range text[:offset] {
			n += 2 * utf16.RuneLen(r)
		}
		return e.bom + n
	}
	return e.bom + offset
}

// encode returns ASCII markup in the document's encoding.
func (e encoding) encode(ascii string) []byte {
	if e.unit != 2 {
		return []byte(ascii)
	}
	out := make([]byte, 2*len(ascii))
	for i := range len(ascii) {
		if e.big {
			out[2*i+1] = ascii[i]
		} else {
			out[2*i] = ascii[i]
		}
	}
	return out
}

// singleOctet are the charsets with one octet for each character. Names are those of IANA, in lower case.
var singleOctet = map[string]*charmap.Charmap{
	"iso-8859-1":   charmap.ISO8859_1,
	"iso-8859-2":   charmap.ISO8859_2,
	"windows-1250": charmap.Windows1250,
}

// decode returns the document's characters in UTF-8, without byte order mark, and how they were encoded. Each is a Char.
func decode(input []byte) (string, encoding, error) {
	text, enc, err := transcode(input)
	if err != nil {
		return "", enc, err
	}
	if at, wrong := badChar(text); at >= 0 {
		if wrong {
			return "", enc, malformed(text, at, "octets that are not UTF-8")
		}
		return "", enc, malformed(text, at, "a character that XML does not allow")
	}
	return text, enc, nil
}

// XML 1.0, 4.3.3 and appendix F: by byte order mark, then by the encoding declaration, else UTF-8.
func transcode(input []byte) (string, encoding, error) {
	s := string(input)
	switch {
	case strings.HasPrefix(s, "\xEF\xBB\xBF"):
		s = s[3:]
		name, err := declaredEncoding(s)
		if err != nil {
			return "", encoding{}, err
		}
		if name != "" && name != "utf-8" {
			return "", encoding{}, malformed(s, 0, "an encoding declaration that contradicts the byte order mark")
		}
		return s, encoding{bom: 3, unit: 1}, nil
	case strings.HasPrefix(s, "\xFF\xFE\x00\x00"), strings.HasPrefix(s, "\x00\x00\xFE\xFF"),
		strings.HasPrefix(s, "\x00\x00\x00<"), strings.HasPrefix(s, "<\x00\x00\x00"):
		return "", encoding{}, malformed("", 0, "the encoding UTF-32, which is not accepted")
	case strings.HasPrefix(s, "\xFE\xFF"):
		return fromUTF16(s[2:], encoding{bom: 2, unit: 2, big: true})
	case strings.HasPrefix(s, "\xFF\xFE"):
		return fromUTF16(s[2:], encoding{bom: 2, unit: 2})
	case strings.HasPrefix(s, "\x00<"), strings.HasPrefix(s, "<\x00"):
		// XML 1.0, 4.3.3: entities encoded in UTF-16 MUST begin with the byte order mark.
		return "", encoding{}, malformed("", 0, "UTF-16 without a byte order mark")
	}
	name, err := declaredEncoding(s)
	if err != nil {
		return "", encoding{}, err
	}
	switch name {
	case "", "utf-8":
		return s, encoding{unit: 1}, nil
	case "us-ascii", "ascii":
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return "", encoding{}, malformed(s, i, "an octet that is not US-ASCII")
			}
		}
		return s, encoding{unit: 1}, nil
	case "utf-16", "utf-16le", "utf-16be":
		return "", encoding{}, malformed(s, 0, "a declaration of UTF-16 in a document that is not UTF-16")
	}
	chars, known := singleOctet[name]
	if !known {
		return "", encoding{}, malformed(s, 0, "an encoding that is not accepted; use UTF-8, UTF-16, ISO-8859-1, ISO-8859-2 or windows-1250")
	}
	return fromCharmap(s, chars)
}

func fromCharmap(s string, chars *charmap.Charmap) (string, encoding, error) {
	var b strings.Builder
	b.Grow(len(s) + len(s)/8)
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(s[i])
			continue
		}
		r := chars.DecodeByte(s[i])
		if r == utf8.RuneError {
			return "", encoding{}, malformed(b.String(), b.Len(), "an octet that the declared encoding does not define")
		}
		b.WriteRune(r)
	}
	return b.String(), encoding{unit: 0}, nil
}

func fromUTF16(s string, enc encoding) (string, encoding, error) {
	var b strings.Builder
	b.Grow(len(s)/2 + len(s)/8)
	if len(s)%2 != 0 {
		return "", enc, malformed("", 0, "UTF-16 with an odd number of octets")
	}
	unit := func(i int) rune {
		if enc.big {
			return rune(s[i])<<8 | rune(s[i+1])
		}
		return rune(s[i+1])<<8 | rune(s[i])
	}
	for i := 0; i < len(s); i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if i+2 < len(s) {
				pair = utf16.DecodeRune(r, unit(i+2))
			}
			if pair == utf8.RuneError {
				return "", enc, malformed(b.String(), b.Len(), "half of a UTF-16 surrogate pair")
			}
			r = pair
			i += 2
		}
		b.WriteRune(r)
	}
	text := b.String()
	name, err := declaredEncoding(text)
	if err != nil {
		return "", enc, err
	}
	endian := "utf-16le"
	if enc.big {
		endian = "utf-16be"
	}
	if name != "" && name != "utf-16" && name != endian {
		return "", enc, malformed(text, 0, "an encoding declaration that contradicts the byte order mark")
	}
	return text, enc, nil
}

func declaredEncoding(s string) (string, error) {
	d, at, what := parseDeclaration(s)
	if what != "" {
		return "", malformed(s, at, what)
	}
	return strings.ToLower(d.encoding), nil
}

// declaration is the XML declaration; length 0 when there is none.
type declaration struct {
	encoding string
	length   int
}

// parseDeclaration reads XML 1.0, 2.8 [23] XMLDecl at the start of s.
func parseDeclaration(s string) (d declaration, at int, what string) {
	const open = "<?xml"
	if !strings.HasPrefix(s, open) || len(s) == len(open) || !isSpace(s[len(open)]) {
		return declaration{}, 0, ""
	}
	const longest = 1024
	end := strings.Index(s[:min(len(s), longest)], "?>")
	if end < 0 {
		return d, 0, "an XML declaration without an end"
	}
	d.length = end + 2
	rest, pos := s[:end], len(open)
	order := []string{"version", "encoding", "standalone"}
	seen := false
	for {
		from := pos
		for pos < len(rest) && isSpace(rest[pos]) {
			pos++
		}
		if pos == len(rest) {
			break
		}
		if pos == from {
			return d, pos, "no space between the parts of the XML declaration"
		}
		name, value, next, ok := pseudoAttribute(rest, pos)
		if !ok {
			return d, pos, "a broken XML declaration"
		}
		for len(order) > 0 && order[0] != name {
			if order[0] == "version" {
				return d, pos, "an XML declaration that does not begin with the version"
			}
			order = order[1:]
		}
		if len(order) == 0 {
			return d, pos, "an unknown, repeated or misplaced part of the XML declaration"
		}
		order = order[1:]
		switch name {
		case "version":
			seen = true
			if value != "1.0" {
				return d, pos, "an XML version that is not 1.0"
			}
		case "encoding":
			if !isEncodingName(value) {
				return d, pos, "a malformed name of an encoding"
			}
			d.encoding = value
		case "standalone":
			if value != "yes" && value != "no" {
				return d, pos, "a standalone declaration that is neither yes nor no"
			}
		}
		pos = next
	}
	if !seen {
		return d, 0, "an XML declaration without the version"
	}
	return d, 0, ""
}

func pseudoAttribute(s string, pos int) (name, value string, next int, ok bool) {
	from := pos
	for pos < len(s) && 'a' <= s[pos] && s[pos] <= 'z' {
		pos++
	}
	name = s[from:pos]
	for pos < len(s) && isSpace(s[pos]) {
		pos++
	}
	if pos >= len(s) || s[pos] != '=' {
		return "", "", pos, false
	}
	pos++
	for pos < len(s) && isSpace(s[pos]) {
		pos++
	}
	if pos >= len(s) || s[pos] != '"' && s[pos] != '\'' {
		return "", "", pos, false
	}
	end := strings.IndexByte(s[pos+1:], s[pos])
	if end < 0 {
		return "", "", pos, false
	}
	return name, s[pos+1 : pos+1+end], pos + end + 2, true
}

// XML 1.0, 4.3.3 [81]: EncName.
func isEncodingName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return s != ""
}

func malformed(text string, at int, what string) *problem.Error {
	line, column := position(text, at)
	return problem.New(problem.XMLMalformed, "line %d, column %d: %s", line, column, what)
}
