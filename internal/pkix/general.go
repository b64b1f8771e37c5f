package pkix

import (
	"net/netip"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// nameKind is the tag number of a GeneralName (RFC 5280, 4.2.1.6).
type nameKind uint8

const (
	otherName     nameKind = 0
	emailName     nameKind = 1
	dnsName       nameKind = 2
	directoryName nameKind = 4
	uriName       nameKind = 6
	ipName        nameKind = 7
)

// generalName is one GeneralName. Value is the content as it stands; a directory name is read into dn too.
type generalName struct {
	kind  nameKind
	value []byte
	dn    Name
}

func (g generalName) equal(h generalName) bool {
	if g.kind != h.kind {
		return false
	}
	if g.kind == directoryName {
		return g.dn.Equal(h.dn)
	}
	return slices.Equal(g.value, h.value)
}

func overlap(a, b []generalName) bool {
	return slices.ContainsFunc(a, func(x generalName) bool { return slices.ContainsFunc(b, x.equal) })
}

func readGeneralName(s *cryptobyte.String) (generalName, bool) {
	var body cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&body, &tag) || tag&0xc0 != 0x80 || tag&0x1f > 8 {
		return generalName{}, false
	}
	g := generalName{kind: nameKind(tag & 0x1f), value: body}
	if g.kind == directoryName { // a CHOICE, so its tag is explicit
		var ok bool
		if g.dn, ok = nameOf(body); !ok {
			return generalName{}, false
		}
	}
	return g, true
}

// readGeneralNames reads the content of a GeneralNames.
func readGeneralNames(s cryptobyte.String) ([]generalName, bool) {
	var names []generalName
	for !s.Empty() {
		g, ok := readGeneralName(&s)
		if !ok || len(names) == maxNames {
			return nil, false
		}
		names = append(names, g)
	}
	return names, len(names) > 0
}

func uris(names []generalName) []string {
	var out []string
	for _, g := range names {
		if g.kind == uriName {
			out = append(out, string(g.value))
		}
	}
	return out
}

// subtree is one GeneralSubtree; its minimum and maximum are always 0 and absent (RFC 5280, 4.2.1.10).
type subtree struct {
	name    generalName
	network netip.Prefix // of an ipName
}

func readSubtrees(s cryptobyte.String) ([]subtree, bool) {
	var out []subtree
	for !s.Empty() {
		var one cryptobyte.String
		if !s.ReadASN1(&one, cbasn1.SEQUENCE) || len(out) == maxNames {
			return nil, false
		}
		g, ok := readGeneralName(&one)
		if !ok {
			return nil, false
		}
		if one.PeekASN1Tag(context0) {
			if minimum, ok := readSmall(&one, context0); !ok || minimum != 0 {
				return nil, false
			}
		}
		if !one.Empty() { // a maximum
			return nil, false
		}
		t := subtree{name: g}
		if g.kind == ipName {
			if t.network, ok = network(g.value); !ok {
				return nil, false
			}
		}
		out = append(out, t)
	}
	return out, len(out) > 0
}

// network reads address and mask, which together are 8 or 32 octets.
func network(value []byte) (netip.Prefix, bool) {
	if len(value) != 8 && len(value) != 32 {
		return netip.Prefix{}, false
	}
	half := len(value) / 2
	address, _ := netip.AddrFromSlice(value[:half])
	bits, ended := 0, false
	for i := range half * 8 {
		one := value[half+i/8]&(0x80>>(i%8)) != 0
		if one && ended {
			return netip.Prefix{}, false // no contiguous mask
		}
		if one {
			bits++
		} else {
			ended = true
		}
	}
	prefix, err := address.Prefix(bits)
	return prefix, err == nil
}
