package pkix

import (
	"encoding/asn1"
	"math/big"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	context0 = cbasn1.Tag(0).ContextSpecific()
	context1 = cbasn1.Tag(1).ContextSpecific()
	context2 = cbasn1.Tag(2).ContextSpecific()
	context3 = cbasn1.Tag(3).ContextSpecific()
	context4 = cbasn1.Tag(4).ContextSpecific()
	context5 = cbasn1.Tag(5).ContextSpecific()
)

// sequence reads the only element of der as a SEQUENCE and returns its content.
func sequence(der []byte) (cryptobyte.String, bool) {
	s := cryptobyte.String(der)
	var inner cryptobyte.String
	ok := s.ReadASN1(&inner, cbasn1.SEQUENCE) && s.Empty()
	return inner, ok
}

// readOID returns an object identifier in dotted form. Arcs beyond 31 bits, as below 2.25, are read too.
func readOID(s *cryptobyte.String) (string, bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.OBJECT_IDENTIFIER) {
		return "", false
	}
	return dotted(body)
}

func dotted(body []byte) (string, bool) {
	if len(body) == 0 || len(body) > 128 || body[len(body)-1]&0x80 != 0 {
		return "", false
	}
	var b strings.Builder
	arc, start := new(big.Int), true
	for _, octet := range body {
		if start && octet == 0x80 {
			return "", false // X.690, 8.19.2: as few octets as possible
		}
		start = octet&0x80 == 0
		arc.Lsh(arc, 7).Or(arc, big.NewInt(int64(octet&0x7f)))
		if !start {
			continue
		}
		if b.Len() == 0 { // X.690, 8.19.4: the first two arcs in one
			first := int64(2)
			if arc.IsInt64() && arc.Int64() < 80 {
				first = arc.Int64() / 40
			}
			b.WriteByte(byte('0' + first))
			arc.Sub(arc, big.NewInt(first*40))
		}
		b.WriteByte('.')
		b.WriteString(arc.String())
		arc.SetInt64(0)
	}
	return b.String(), true
}

// readInteger reads an INTEGER of any sign, whether or not it is written in as few octets as possible.
func readInteger(s *cryptobyte.String) (value *big.Int, raw []byte, ok bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.INTEGER) || len(body) == 0 || len(body) > 4096 {
		return nil, nil, false
	}
	return signed(body), body, true
}

func signed(body []byte) *big.Int {
	value := new(big.Int).SetBytes(body)
	if body[0]&0x80 != 0 {
		value.Sub(value, new(big.Int).Lsh(big.NewInt(1), uint(len(body))*8))
	}
	return value
}

// readSmall reads a non-negative INTEGER that fits in 31 bits, with that tag.
func readSmall(s *cryptobyte.String, tag cbasn1.Tag) (int, bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, tag) || len(body) == 0 || len(body) > 8 {
		return 0, false
	}
	value := signed(body)
	if value.Sign() < 0 || !value.IsInt64() || value.Int64() > 1<<31-1 {
		return 0, false
	}
	return int(value.Int64()), true
}

// readBoolean reads a BOOLEAN with that tag; any octet but 0 is true, as BER has it.
func readBoolean(s *cryptobyte.String, tag cbasn1.Tag) (value, ok bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, tag) || len(body) != 1 {
		return false, false
	}
	return body[0] != 0, true
}

// readBits reads a BIT STRING with that tag as octets, padding bits cleared.
func readBits(s *cryptobyte.String, tag cbasn1.Tag) ([]byte, bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, tag) || len(body) == 0 || body[0] > 7 || (len(body) == 1 && body[0] != 0) {
		return nil, false
	}
	bits := append([]byte(nil), body[1:]...)
	if n := len(bits); n > 0 {
		bits[n-1] &= 0xff << body[0]
	}
	return bits, true
}

// flags turns named bits into a mask in which bit i is the named bit i.
func flags(bits []byte) uint32 {
	var mask uint32
	for i := range min(len(bits)*8, 32) {
		if bits[i/8]&(0x80>>(i%8)) != 0 {
			mask |= 1 << i
		}
	}
	return mask
}

// readTime reads a Time: UTCTime or GeneralizedTime.
func readTime(s *cryptobyte.String) (time.Time, bool) {
	switch {
	case s.PeekASN1Tag(cbasn1.UTCTime):
		return readTimeAs(s, cbasn1.UTCTime)
	case s.PeekASN1Tag(cbasn1.GeneralizedTime):
		return readTimeAs(s, cbasn1.GeneralizedTime)
	}
	return time.Time{}, false
}

func readTimeAs(s *cryptobyte.String, tag cbasn1.Tag) (time.Time, bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, tag) || len(body) > 32 {
		return time.Time{}, false
	}
	layouts := []string{"20060102150405Z0700", "20060102150405.999999999Z0700", "200601021504Z0700"}
	if tag == cbasn1.UTCTime {
		layouts = []string{"060102150405Z0700", "0601021504Z0700"}
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, string(body))
		if err != nil {
			continue
		}
		if tag == cbasn1.UTCTime { // RFC 5280, 4.1.2.5.1: 50 to 99 are 19xx
			switch y := t.Year() % 100; {
			case y >= 50:
				t = t.AddDate(1900+y-t.Year(), 0, 0)
			default:
				t = t.AddDate(2000+y-t.Year(), 0, 0)
			}
		}
		return t.UTC(), true
	}
	return time.Time{}, false
}

// text decodes a string of any ASN.1 string type as well as its octets allow; ok is false for a type that is no string.
func text(tag cbasn1.Tag, body []byte) (s string, ok bool) {
	switch tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, cbasn1.T61String, cbasn1.Tag(asn1.TagNumericString),
		cbasn1.Tag(26): // VisibleString
		if utf8.Valid(body) {
			return string(body), true
		}
		return latin1(body), true
	case cbasn1.Tag(asn1.TagBMPString):
		if len(body)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(body)/2)
		for i := range units {
			units[i] = uint16(body[2*i])<<8 | uint16(body[2*i+1])
		}
		return string(utf16.Decode(units)), true
	case cbasn1.Tag(28): // UniversalString
		if len(body)%4 != 0 {
			return "", false
		}
		runes := make([]rune, len(body)/4)
		for i := range runes {
			runes[i] = rune(body[4*i])<<24 | rune(body[4*i+1])<<16 | rune(body[4*i+2])<<8 | rune(body[4*i+3])
		}
		return string(runes), true
	}
	return "", false
}

func latin1(body []byte) string {
	runes := make([]rune, len(body))
	for i, b := range body {
		runes[i] = rune(b)
	}
	return string(runes)
}
