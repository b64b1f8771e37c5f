package wording

import "strings"

// Soon is how many days before its end a certificate is worth replacing.
const Soon = 30

// CommonName returns the first CN of a distinguished name (RFC 4514), or the whole name when it has none.
func CommonName(subject string) string {
	rest := subject
	for rest != "" {
		end := attributeEnd(rest)
		part := strings.TrimLeft(rest[:end], " ")
		if len(part) > 3 && strings.EqualFold(part[:3], "CN=") {
			return unescapeName(part[3:])
		}
		rest = strings.TrimLeft(rest[end:], ",+;")
	}
	return subject
}

// DistinguishedName returns a name with a space after each separator, so that it can be read and broken into lines.
func DistinguishedName(name string) string {
	var parts []string
	for name != "" {
		end := attributeEnd(name)
		if end < len(name) {
			end++
		}
		parts = append(parts, strings.TrimSpace(name[:end]))
		name = name[end:]
	}
	return Visible(strings.Join(parts, " "))
}

// attributeEnd returns where the first attribute ends: at a separator that is neither escaped nor quoted.
func attributeEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ',', '+', ';':
			if !quoted {
				return i
			}
		}
	}
	return len(s)
}

// unescapeName undoes a backslash before a character; hexadecimal pairs stay as they are.
func unescapeName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,+"\<>;= #`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return strings.Trim(b.String(), `"`)
}
