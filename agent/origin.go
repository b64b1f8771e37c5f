package agent

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"certsign/internal/problem"
)

// Origin is a page's origin exactly as the browser sent it in the handshake, already checked by ParseOrigin: scheme,
// host and port, never "null". The zero value is no origin.
type Origin struct{ serialized string }

// LocalOrigin is the person's own shell.
var LocalOrigin = Origin{serialized: "local"}

// String returns the ASCII serialization (RFC 6454, 6.2).
func (o Origin) String() string { return o.serialized }

// maxOrigin is longer than any origin with a valid host name (RFC 1035, 2.3.4: 255 octets).
const maxOrigin = 300

// ParseOrigin reads the value of an Origin header. It accepts only what a browser itself writes (RFC 6454, 6.2): a lower
// case scheme, a canonical host, a port unless it is the scheme's own, and nothing more; so two strings are the same
// origin exactly when they are equal. https may have any host, http only one that never leaves this computer. Anything
// else, "null" included, is origin_rejected.
func ParseOrigin(s string) (Origin, error) {
	reject := func(why string) (Origin, error) {
		return Origin{}, problem.New(problem.OriginRejected, "origin %s", why)
	}
	switch {
	case s == "":
		return reject("is missing")
	case s == "null":
		return reject("is opaque (null)")
	case len(s) > maxOrigin:
		return reject("is too long")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return reject("is neither https nor http")
	}
	host, port, why := splitHostPort(rest)
	if why != "" {
		return reject(why)
	}
	if port == "443" && scheme == "https" || port == "80" && scheme == "http" {
		return reject("names the scheme's own port")
	}
	if why := canonicalHost(host); why != "" {
		return reject(why)
	}
	if scheme == "http" && !loopbackHost(host) {
		return reject("is not secure: http is for this computer only")
	}
	return Origin{serialized: s}, nil
}

// splitHostPort takes "host", "host:port" or "[v6]:port" apart; why is not empty when it is none of them.
func splitHostPort(s string) (host, port, why string) {
	host = s
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", "has a broken address"
		}
		host, s = s[:end+1], s[end+1:]
		if s == "" {
			return host, "", ""
		}
		if s[0] != ':' {
			return "", "", "has more than scheme, host and port"
		}
		port = s[1:]
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
	} else {
		return host, "", ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", "", "has more than scheme, host and port"
	}
	return host, port, ""
}

// canonicalHost says what is wrong with a host, or "".
func canonicalHost(host string) string {
	if host == "" {
		return "has no host"
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(v6, "]"))
		if err != nil || !a.Is6() || a.Zone() != "" || "["+a.String()+"]" != host && !a.Is4In6() {
			return "has a broken address"
		}
		if a.Is4In6() {
			return "has an IPv4 address written as IPv6"
		}
		return ""
	}
	if len(host) > 253 {
		return "has a host name that is too long"
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if why := canonicalLabel(l); why != "" {
			return why
		}
	}
	// WHATWG URL, 3.5: a host whose last label is a number is an IPv4 address, and then a whole one.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is4() || a.String() != host {
			return "has a broken address"
		}
	}
	return ""
}

func canonicalLabel(l string) string {
	if l == "" {
		return "has an empty label or a trailing dot"
	}
	if len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return "has a host name that cannot be"
	}
	for i := range len(l) {
		c := l[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return "has a host that is not canonical"
		}
	}
	if strings.HasPrefix(l, "xn--") {
		u, err := idna.Lookup.ToUnicode(l)
		if err != nil || u == l {
			return "has a broken international name"
		}
	}
	return ""
}

// loopbackHost tells whether browsers take http from that host for secure (W3C Secure Contexts, 3.1).
func loopbackHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

// TypedOrigin reads an origin as a person types it on the command line: upper case, international names, the scheme's
// own port and one trailing slash are put right, and the result must then pass ParseOrigin.
func TypedOrigin(s string) (Origin, error) {
	s = strings.TrimSuffix(strings.TrimSpace(s), "/")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return Origin{}, problem.New(problem.OriginRejected, "origin must look like https://portal.example")
	}
	scheme = strings.ToLower(scheme)
	if strings.ContainsAny(rest, "/?#@") {
		return Origin{}, problem.New(problem.OriginRejected, "origin has more than scheme, host and port")
	}
	host, port, why := splitHostPort(rest)
	if why != "" {
		return Origin{}, problem.New(problem.OriginRejected, "origin %s", why)
	}
	if !strings.HasPrefix(host, "[") {
		ascii, err := idna.Lookup.ToASCII(host)
		if err == nil {
			host = ascii
		}
		host = strings.ToLower(host)
	}
	if port != "" && !(scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		host += ":" + port
	}
	return ParseOrigin(scheme + "://" + host)
}

// Display returns the origin for people: the ASCII form, which cannot be forged with letters that look alike, and after
// it, where the host is an international name, the name in its own letters.
func (o Origin) Display() string {
	scheme, rest, ok := strings.Cut(o.serialized, "://")
	if !ok || !strings.Contains(rest, "xn--") {
		return o.serialized
	}
	host, _, _ := splitHostPort(rest)
	u, err := idna.Display.ToUnicode(host)
	if err != nil || u == host {
		return o.serialized
	}
	return o.serialized + " (" + scheme + "://" + u + strings.TrimPrefix(rest, host) + ")"
}

// owner names who answers for an origin: the registrable domain (by the public suffix list), under which anybody can have as
// many names as he likes; for an address and for names of this computer the origin itself.
func (o Origin) owner() string {
	_, rest, _ := strings.Cut(o.serialized, "://")
	host, _, _ := splitHostPort(rest)
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || loopbackHost(host) {
		return o.serialized
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

// MarshalText and UnmarshalText make an Origin a string in files; reading checks it.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.serialized), nil }

// UnmarshalText accepts what ParseOrigin accepts, and "local".
func (o *Origin) UnmarshalText(b []byte) error {
	if string(b) == LocalOrigin.serialized {
		*o = LocalOrigin
		return nil
	}
	p, err := ParseOrigin(string(b))
	if err != nil {
		return err
	}
	*o = p
	return nil
}
