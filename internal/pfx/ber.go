package pfx

import (
	"errors"
)

// maxDepth is how deep values may lie in each other.
const maxDepth = 32

var errBER = errors.New("not BER")

// definite rewrites one BER value (ITU-T X.690, 8) so that readers of DER take it: lengths definite and shortest (10.1), and
// OCTET STRINGs that were cut in pieces whole again (10.2). Contents of primitive values, and the order of sets, stay as they
// are.
func definite(b []byte) ([]byte, error) {
	out, rest, err := definiteValue(b, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errors.New("octets after the value")
	}
	return out, nil
}

const (
	tagConstructed = 0x20
	tagOctetString = 0x04
	tagSequence    = 0x10 | tagConstructed
)

// header reads identifier and length octets; length is -1 when it is indefinite.
func header(b []byte) (identifier, rest []byte, length int, err error) {
	n := 1
	if len(b) > 0 && b[0]&0x1f == 0x1f { // 8.1.2.4: a tag number of 31 or more
		for n < len(b) && n < 5 && b[n]&0x80 != 0 {
			n++
		}
		n++
	}
	if len(b) <= n {
		return nil, nil, 0, errBER
	}
	identifier, first, rest := b[:n], b[n], b[n+1:]
	switch {
	case first < 0x80:
		length = int(first)
	case first == 0x80: // 8.1.3.6
		if identifier[0]&tagConstructed == 0 {
			return nil, nil, 0, errBER
		}
		return identifier, rest, -1, nil
	default:
		octets := int(first & 0x7f)
		if octets > 4 || octets > len(rest) {
			return nil, nil, 0, errBER
		}
		for _, o := range rest[:octets] {
			length = length<<8 | int(o)
		}
		rest = rest[octets:]
	}
	if length < 0 || length > len(rest) {
		return nil, nil, 0, errBER
	}
	return identifier, rest, length, nil
}

func definiteValue(b []byte, depth int) (out, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, errors.New("values lie too deep in each other")
	}
	identifier, rest, length, err := header(b)
	if err != nil {
		return nil, nil, err
	}
	if identifier[0]&tagConstructed == 0 {
		return appendValue(identifier, rest[:length]), rest[length:], nil
	}
	inside, indefinite := rest, length < 0
	if !indefinite {
		inside, rest = rest[:length], rest[length:]
	}
	var content []byte
	pieces := identifier[0] == tagOctetString|tagConstructed
	for {
		if indefinite && len(inside) >= 2 && inside[0] == 0 && inside[1] == 0 { // 8.1.5: end-of-contents
			rest = inside[2:]
			break
		}
		if len(inside) == 0 {
			if indefinite {
				return nil, nil, errBER
			}
			break
		}
		var one []byte
		if one, inside, err = definiteValue(inside, depth+1); err != nil {
			return nil, nil, err
		}
		if pieces { // 8.7.3.2: each piece is an OCTET STRING
			tag, piece, n, err := header(one)
			if err != nil || len(tag) != 1 || tag[0] != tagOctetString {
				return nil, nil, errBER
			}
			one = piece[:n]
		}
		content = append(content, one...)
	}
	if pieces {
		identifier = []byte{tagOctetString}
	}
	return appendValue(identifier, content), rest, nil
}

// appendValue writes a value with the shortest length.
func appendValue(identifier, content []byte) []byte {
	out := make([]byte, 0, len(identifier)+5+len(content))
	out = append(out, identifier...)
	n := len(content)
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n))
	case n < 1<<24:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		out = append(out, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, content...)
}
