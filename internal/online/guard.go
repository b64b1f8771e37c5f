package online

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/idna"

	"certsign/internal/problem"
)

// HostPort is one exact address: a host name or IP address, and a port.
type HostPort struct {
	Host string
	Port uint16
}

// ParseURL returns the host and port that an http or https URL reaches, the scheme's own port where it names none. A URL
// with user information, or that is not absolute, is the problem address_refused.
func ParseURL(raw string) (HostPort, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return HostPort{}, problem.New(problem.AddressRefused, "the address cannot be read")
	}
	return target(u)
}

func (h HostPort) String() string { return net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port))) }

func target(u *url.URL) (HostPort, error) {
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return HostPort{}, problem.New(problem.AddressRefused, "the scheme of an address must be http or https")
	case u.User != nil:
		return HostPort{}, problem.New(problem.AddressRefused, "an address must not hold a user name")
	case u.Hostname() == "":
		return HostPort{}, problem.New(problem.AddressRefused, "the address names no host")
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return HostPort{}, problem.New(problem.AddressRefused, "the address has an impossible port")
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return HostPort{}, err
	}
	return HostPort{Host: host, Port: uint16(number)}, nil
}

// canonicalHost returns the one spelling of a host by which hosts are compared.
func canonicalHost(host string) (string, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" {
			return "", problem.New(problem.AddressRefused, "an address must not have an IPv6 zone")
		}
		return address.Unmap().String(), nil
	}
	host = strings.TrimSuffix(host, ".")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil || ascii == "" || len(ascii) > 253 {
		return "", problem.New(problem.AddressRefused, "the address names no possible host")
	}
	// "127.1", "0x7f000001" and "2130706433" are addresses to some resolvers and names to others.
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return "", problem.New(problem.AddressRefused, "the address names a host by a number that is no IP address")
	}
	return ascii, nil
}

// reach is how far a route goes.
type reach bool

const (
	configuredOnly reach = false
	publicToo      reach = true
)

type guard struct {
	allowed  []HostPort
	loopback bool
	proxy    func(*url.URL) (*url.URL, error)
	resolver *net.Resolver
}

func (g *guard) isConfigured(to HostPort) bool { return slices.Contains(g.allowed, to) }

// mayReach tells whether an address that a name resolved to may be asked for evidence.
func (g *guard) mayReach(address netip.Addr) bool {
	address = address.Unmap()
	return isPublic(address) || g.loopback && address.IsLoopback()
}

// dial connects without a proxy. The address is judged after resolution, on the very connection that will be used.
func (g *guard) dial(reach reach) func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: 10 * time.Second}
	checked := &net.Dialer{Timeout: 10 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !g.mayReach(ap.Addr()) {
			return problem.New(problem.AddressRefused, "the host lies in a network that is not public")
		}
		return nil
	}}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := split(address)
		if err != nil {
			return nil, err
		}
		switch {
		case g.isConfigured(to):
			return plain.DialContext(ctx, network, address)
		case reach == publicToo:
			return checked.DialContext(ctx, network, address)
		}
		return nil, problem.New(problem.AddressRefused, "%s is not a configured address", to)
	}
}

// dialProxy connects to the proxy, which the person or the environment configured.
func (g *guard) dialProxy(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
}

func split(address string) (HostPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return HostPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return HostPort{}, err
	}
	host, err = canonicalHost(host)
	return HostPort{Host: host, Port: uint16(number)}, err
}

// checkThroughProxy judges a host that the proxy will resolve: by its name, and by its addresses where this computer can
// resolve it at all. A proxy for a closed network must itself refuse what is inside it.
func (g *guard) checkThroughProxy(ctx context.Context, host string) error {
	refused := problem.New(problem.AddressRefused, "the host lies in a network that is not public")
	if address, err := netip.ParseAddr(host); err == nil {
		if !g.mayReach(address) {
			return refused
		}
		return nil
	}
	if !strings.Contains(host, ".") || slices.ContainsFunc(localSuffixes, func(s string) bool { return strings.HasSuffix(host, s) }) {
		return refused
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	addresses, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // only the proxy can resolve it
	}
	for _, address := range addresses {
		if !g.mayReach(address) {
			return refused
		}
	}
	return nil
}

// localSuffixes are names that never lead to a public address (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal).
var localSuffixes = []string{".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet", ".corp", ".home"}

// route sends requests to one kind of address, through the proxy where one is configured for it.
type route struct {
	guard
	reach           reach
	direct, proxied *http.Transport
}

// RoundTrip runs for each redirect again, so each is judged like the first request.
func (r *route) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := target(req.URL)
	if err != nil {
		return nil, err
	}
	if r.reach == configuredOnly && !r.isConfigured(to) {
		return nil, problem.New(problem.AddressRefused, "%s is not a configured address", to)
	}
	proxy, err := r.proxy(req.URL)
	if err != nil {
		return nil, errors.New("the proxy setting of the environment cannot be read") // the error would quote its password
	}
	if proxy != nil && proxy.Scheme != "http" {
		return nil, problem.New(problem.BadRequest, "a proxy must be reached over http, not %s", proxy.Scheme)
	}
	if proxy == nil {
		return r.direct.RoundTrip(req)
	}
	if !r.isConfigured(to) {
		if err := r.checkThroughProxy(req.Context(), to.Host); err != nil {
			return nil, err
		}
	}
	return r.proxied.RoundTrip(req)
}

// evidenceRoute takes the pinned route to configured addresses, and the guarded one to all others.
type evidenceRoute struct {
	guard
	configured, public *route
}

func (r *evidenceRoute) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := target(req.URL)
	if err != nil {
		return nil, err
	}
	if r.isConfigured(to) {
		return r.configured.RoundTrip(req)
	}
	return r.public.RoundTrip(req)
}

// isPublic tells whether an address is globally reachable by the IANA special-purpose registries (RFC 6890).
func isPublic(address netip.Addr) bool {
	address = address.Unmap()
	if !address.IsValid() || address.Zone() != "" {
		return false
	}
	if nat64.Contains(address) { // RFC 6052: the last 32 bits are the IPv4 address that is really reached
		b := address.As16()
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	}
	if address.Is6() && !globalUnicast6.Contains(address) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(address) })
}

var (
	nat64          = netip.MustParsePrefix("64:ff9b::/96")
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
	special        = prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	)
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
