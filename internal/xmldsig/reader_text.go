package xmldsig

import (
	"strings"
)

// stored begins a text that differs from the input, with what of the input it begins with.
func (r *reader) stored(from, to int) uint32 {
	at := uint32(r.extra.Len())
	r.extra.WriteString(r.src[from:to])
	return at
}

func (r *reader) storedSince(at uint32) span {
	return span{at | inExtra, uint32(r.extra.Len()) | inExtra}
}

// normalised returns the range with XML 1.0, 2.11 applied: CR LF and CR become LF.
func (r *reader) normalised(from, to int) span {
	s := r.src[from:to]
	if strings.IndexByte(s, '\r') < 0 {
		return span{uint32(from), uint32(to)}
	}
	at := uint32(r.extra.Len())
	r.lines(s)
	return r.storedSince(at)
}

func (r *reader) lines(s string) {
	for {
		i := strings.IndexByte(s, '\r')
		if i < 0 {
			r.extra.WriteString(s)
			return
		}
		r.extra.WriteString(s[:i])
		r.extra.WriteByte('\n')
		if s = s[i+1:]; s != "" && s[0] == '\n' {
			s = s[1:]
		}
	}
}

// characters reads text, references and CDATA sections up to the next other markup as one text node, as XPath 1.0, 5.7
// demands.
func (r *reader) characters() error {
	from, src := r.pos, r.src
	var at uint32
	buffered := false
	buffer := func() {
		if !buffered {
			at, buffered = r.stored(from, r.pos), true
		}
	}
	for r.pos < len(src) {
		run := r.pos
		for r.pos < len(src) && !textSpecial[src[r.pos]] {
			r.pos++
		}
		if buffered {
			r.extra.WriteString(src[run:r.pos])
		}
		if r.pos == len(src) {
			break
		}
		switch c := src[r.pos]; {
		case c == '&':
			buffer()
			char, err := r.reference()
			if err != nil {
				return err
			}
			r.extra.WriteString(char)
		case c == '\r':
			buffer()
			r.extra.WriteByte('\n')
			if r.pos++; r.pos < len(src) && src[r.pos] == '\n' {
				r.pos++
			}
		case c == ']':
			// XML 1.0, 2.4 [14].
			if strings.HasPrefix(src[r.pos:], "]]>") {
				return r.fail(r.pos, "the end of a CDATA section that did not begin")
			}
			if buffered {
				r.extra.WriteByte(']')
			}
			r.pos++
		case strings.HasPrefix(src[r.pos:], "<![CDATA["):
			buffer()
			body := r.pos + len("<![CDATA[")
			n := strings.Index(src[body:], "]]>")
			if n < 0 {
				return r.fail(r.pos, "a CDATA section without an end")
			}
			r.lines(src[body : body+n])
			r.pos = body + n + len("]]>")
		default:
			return r.addText(buffered, at, from)
		}
	}
	return r.addText(buffered, at, from)
}

var textSpecial = [256]bool{'<': true, '&': true, '\r': true, ']': true}

func (r *reader) addText(buffered bool, at uint32, from int) error {
	s := span{uint32(from), uint32(r.pos)}
	if buffered {
		s = r.storedSince(at)
	}
	if s.from == s.to {
		return nil // an empty CDATA section is no node
	}
	_, err := r.add(TextNode, s.from, s.to)
	return err
}

var valueSpecial = [256]bool{'<': true, '&': true, '\t': true, '\n': true, '\r': true, '"': true, '\'': true}

// attributeValue reads a quoted value and normalises it as XML 1.0, 3.3.3 says for CDATA, which is every attribute here.
func (r *reader) attributeValue() (span, error) {
	src := r.src
	if r.pos >= len(src) || src[r.pos] != '"' && src[r.pos] != '\'' {
		return span{}, r.fail(r.pos, "an attribute value without quotes")
	}
	quote := src[r.pos]
	r.pos++
	from := r.pos
	var at uint32
	buffered := false
	buffer := func() {
		if !buffered {
			at, buffered = r.stored(from, r.pos), true
		}
	}
	for r.pos < len(src) {
		run := r.pos
		for r.pos < len(src) && !valueSpecial[src[r.pos]] {
			r.pos++
		}
		if buffered {
			r.extra.WriteString(src[run:r.pos])
		}
		if r.pos == len(src) {
			break
		}
		switch c := src[r.pos]; c {
		case quote:
			s := span{uint32(from), uint32(r.pos)}
			if buffered {
				s = r.storedSince(at)
			}
			r.pos++
			return s, nil
		case '"', '\'':
			if buffered {
				r.extra.WriteByte(c)
			}
			r.pos++
		case '<':
			return span{}, r.fail(r.pos, "a less-than sign in an attribute value")
		case '&':
			buffer()
			char, err := r.reference()
			if err != nil {
				return span{}, err
			}
			r.extra.WriteString(char)
		default:
			buffer()
			r.extra.WriteByte(' ')
			r.pos++
			if c == '\r' && r.pos < len(src) && src[r.pos] == '\n' {
				r.pos++
			}
		}
	}
	return span{}, r.fail(r.pos, "the document ends inside an attribute value")
}

var predefined = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

// reference reads a character reference or one of the five predefined entities: XML 1.0, 4.1 and 4.6.
func (r *reader) reference() (string, error) {
	const longest = 64
	at := r.pos
	end := strings.IndexByte(r.src[at:min(len(r.src), at+longest)], ';')
	if end < 0 {
		return "", r.fail(at, "a broken reference")
	}
	name := r.src[at+1 : at+end]
	r.pos = at + end + 1
	digits, isChar := strings.CutPrefix(name, "#")
	if !isChar {
		if char, known := predefined[name]; known {
			return char, nil
		}
		return "", r.fail(at, "a reference to an entity, which only a document type could declare")
	}
	char, ok := charReference(digits)
	if !ok {
		return "", r.fail(at, "a broken character reference")
	}
	return char, nil
}

func charReference(digits string) (string, bool) {
	base := rune(10)
	if rest, hex := strings.CutPrefix(digits, "x"); hex {
		base, digits = 16, rest
	}
	var code rune
	for i := range len(digits) {
		c, digit := digits[i], rune(-1)
		switch {
		case '0' <= c && c <= '9':
			digit = rune(c - '0')
		case base == 16 && 'a' <= c && c <= 'f':
			digit = rune(c-'a') + 10
		case base == 16 && 'A' <= c && c <= 'F':
			digit = rune(c-'A') + 10
		}
		if digit < 0 {
			return "", false
		}
		if code = code*base + digit; code > 0x10FFFF {
			return "", false
		}
	}
	return string(code), digits != "" && isChar(code)
}

// comment reads XML 1.0, 2.5 [15].
func (r *reader) comment() error {
	from := r.pos + len("<!--")
	n := strings.Index(r.src[from:], "--")
	if n < 0 {
		return r.fail(r.pos, "a comment without an end")
	}
	if !strings.HasPrefix(r.src[from+n:], "-->") {
		return r.fail(from+n, "two hyphens inside a comment")
	}
	s := r.normalised(from, from+n)
	r.pos = from + n + len("-->")
	_, err := r.add(CommentNode, s.from, s.to)
	return err
}

// instruction reads XML 1.0, 2.6 [16].
func (r *reader) instruction() error {
	at := r.pos
	r.pos += len("<?")
	target := r.ncName()
	if target == "" || strings.EqualFold(target, "xml") {
		return r.fail(at, "a processing instruction with a missing or reserved name, or a misplaced XML declaration")
	}
	n := strings.Index(r.src[r.pos:], "?>")
	if n < 0 {
		return r.fail(at, "a processing instruction without an end")
	}
	end := r.pos + n
	if !r.space() && n > 0 {
		return r.fail(r.pos, "a processing instruction whose name does not end with a space")
	}
	s := r.normalised(min(r.pos, end), end)
	r.pos = end + len("?>")
	d := r.doc
	d.instructions = append(d.instructions, instruction{target, s})
	_, err := r.add(InstructionNode, uint32(len(d.instructions)-1), 0)
	return err
}
