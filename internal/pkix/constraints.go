package pkix

import (
	"net/netip"
	"net/url"
	"strings"
)

// nameConstraints is the state variables permitted_subtrees and excluded_subtrees of RFC 5280, 6.1.2. Each certificate's
// permitted subtrees are kept as a set of their own: a name must lie within every set that speaks of its kind, which is the
// intersection that the standard asks for.
type nameConstraints struct {
	permitted [][]subtree
	excluded  []subtree
}

func (n *nameConstraints) add(c *Certificate) {
	if len(c.permitted) > 0 {
		n.permitted = append(n.permitted, c.permitted)
	}
	n.excluded = append(n.excluded, c.excluded...)
}

// check judges the subject and the subject's alternative names (RFC 5280, 6.1.3 (b) and (c)). It returns what is refused.
func (n *nameConstraints) check(c *Certificate) (refused string) {
	if len(n.permitted) == 0 && len(n.excluded) == 0 {
		return ""
	}
	names := c.altNames
	hasEmail := false
	for _, g := range names {
		hasEmail = hasEmail || g.kind == emailName
	}
	if !c.Subject.Empty() {
		names = append([]generalName{{kind: directoryName, dn: c.Subject}}, names...)
	}
	if !hasEmail { // RFC 5280, 4.2.1.10: an address in the subject counts when there is none in the alternative names
		for _, rdn := range c.Subject.RDNs {
			for _, a := range rdn {
				if a.Type == typeEmail {
					names = append(names, generalName{kind: emailName, value: []byte(a.Value)})
				}
			}
		}
	}
	for _, g := range names {
		for _, t := range n.excluded {
			if t.name.kind == g.kind && t.matches(g, true) {
				return "a name that a CA above it excludes"
			}
		}
		for _, set := range n.permitted {
			spoken, within := false, false
			for _, t := range set {
				if t.name.kind == g.kind {
					spoken, within = true, within || t.matches(g, false)
				}
			}
			if spoken && !within {
				return "a name outside those that a CA above it permits"
			}
		}
	}
	return ""
}

// matches tells whether the name lies in the subtree; doubt is what it answers where that cannot be told.
func (t *subtree) matches(g generalName, doubt bool) bool {
	constraint, name := strings.ToLower(string(t.name.value)), string(g.value)
	switch g.kind {
	case directoryName:
		return g.dn.Within(t.name.dn)
	case dnsName:
		return withinDomain(strings.ToLower(name), constraint)
	case emailName:
		return matchesEmail(name, string(t.name.value), doubt)
	case uriName:
		u, err := url.Parse(name)
		if err != nil || u.Hostname() == "" {
			return doubt
		}
		host := strings.ToLower(u.Hostname())
		if _, err := netip.ParseAddr(host); err == nil {
			return doubt // RFC 5280, 4.2.1.10: the constraint is on a host name
		}
		if strings.HasPrefix(constraint, ".") {
			return strings.HasSuffix(host, constraint)
		}
		return host == constraint
	case ipName:
		address, ok := netip.AddrFromSlice(g.value)
		if !ok {
			return doubt
		}
		return t.network.Contains(address)
	}
	return doubt // a kind that cannot be compared
}

func withinDomain(name, constraint string) bool {
	name = strings.TrimSuffix(name, ".")
	if constraint == "" || name == constraint {
		return true
	}
	return strings.HasSuffix(name, "."+strings.TrimPrefix(constraint, "."))
}

func matchesEmail(address, constraint string, doubt bool) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return doubt
	}
	local, host := address[:at], strings.ToLower(address[at+1:])
	if i := strings.LastIndexByte(constraint, '@'); i >= 0 {
		return local == constraint[:i] && host == strings.ToLower(constraint[i+1:])
	}
	constraint = strings.ToLower(constraint)
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(host, constraint)
	}
	return constraint == "" || host == constraint
}
