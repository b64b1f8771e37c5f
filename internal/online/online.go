// Package online makes every outgoing request of both programs: JSON calls to the configured CA or portal, and the
// fetching of evidence (CRLs, OCSP responses, issuers' certificates) from addresses that certificates name.
//
// Two kinds of address are told apart. A configured one is an exact host and port from the person's or the operator's
// own configuration; it may be private, its TLS root may be pinned, and no redirect is followed from it. Every other
// address comes from a certificate, that is, from a stranger: it is fetched over http or https only, from public
// addresses only, which is checked when the connection is dialled (so a name that changes its answer gains nothing) and
// again at each redirect. Through a proxy it is the proxy that resolves names; what can be checked here first, is.
//
// Answers are bounded in size and time and otherwise not believed: whoever asked verifies them. Time stamps are not
// requested here yet.
package online

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/http/httpproxy"

	"certsign/internal/problem"
)

// Defaults of Config.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultMaxResponse = 1 << 20
	DefaultUserAgent   = "certsign"
)

// maxRedirects is how many redirects a fetch of evidence follows.
const maxRedirects = 3

// Config is what a Client may do.
type Config struct {
	// Proxy is "" for the environment's (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), "none", or http://[user:password@]host:port.
	// Loopback targets never go through a proxy.
	Proxy string
	// Allowed are the configured addresses. JSON calls reach only these; evidence reaches them whatever network they are in.
	Allowed []HostPort
	// Roots, when set, are the only TLS roots believed at the configured addresses; nil means the system's. Evidence from
	// any other address uses the system's roots: what is fetched is verified by its own signature.
	Roots *x509.CertPool
	// Timeout bounds a whole request, redirects and reading included; 0 is DefaultTimeout.
	Timeout time.Duration
	// MaxResponse bounds a JSON answer, in octets; 0 is DefaultMaxResponse.
	MaxResponse int64
	// UserAgent is sent with each request; "" is DefaultUserAgent.
	UserAgent string
	// AllowLoopback lets evidence come from this machine at any port: for a CA and an agent that run on one computer.
	AllowLoopback bool
}

// Client makes requests under one Config. It is safe for concurrent use.
type Client struct {
	config     Config
	configured *http.Client
	evidence   *http.Client
	transports []*http.Transport
}

// New returns a client. A proxy that cannot be read is the problem bad_request.
func New(config Config) (*Client, error) {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.MaxResponse <= 0 {
		config.MaxResponse = DefaultMaxResponse
	}
	if config.UserAgent == "" {
		config.UserAgent = DefaultUserAgent
	}
	config.Allowed = slices.Clone(config.Allowed)
	for i := range config.Allowed {
		host, err := canonicalHost(config.Allowed[i].Host)
		if err != nil {
			return nil, err
		}
		config.Allowed[i].Host = host
	}
	proxy, err := proxyFunc(config.Proxy)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config}
	g := guard{allowed: config.Allowed, loopback: config.AllowLoopback, proxy: proxy, resolver: net.DefaultResolver}
	toConfigured := c.route(g, configuredOnly, config.Roots)
	c.configured = &http.Client{
		Transport: toConfigured,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // an enrolment goes where it was configured to go, or nowhere
		},
	}
	c.evidence = &http.Client{
		Transport:     &evidenceRoute{guard: g, configured: toConfigured, public: c.route(g, publicToo, nil)},
		CheckRedirect: checkRedirect,
	}
	return c, nil
}

// Close drops the connections that are kept open.
func (c *Client) Close() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

func (c *Client) route(g guard, reach reach, roots *x509.CertPool) *route {
	transport := func(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
		t := &http.Transport{
			DialContext:            dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  c.config.Timeout,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConnsPerHost:    2,
			MaxConnsPerHost:        8,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // a small answer must not become a large one
		}
		c.transports = append(c.transports, t)
		return t
	}
	r := &route{guard: g, reach: reach, direct: transport(g.dial(reach)), proxied: transport(g.dialProxy)}
	r.proxied.Proxy = func(req *http.Request) (*url.URL, error) { return g.proxy(req.URL) }
	return r
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return problem.New(problem.EvidenceUnreachable, "more than %d redirects", maxRedirects)
	}
	if via[0].Method != http.MethodGet {
		return http.ErrUseLastResponse // RFC 6960, A.1: a request sent by POST is answered, not forwarded
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return problem.New(problem.AddressRefused, "a redirect from https to %s", req.URL.Scheme)
	}
	return nil
}

func proxyFunc(setting string) (func(*url.URL) (*url.URL, error), error) {
	switch setting {
	case "":
		return httpproxy.FromEnvironment().ProxyFunc(), nil
	case "none":
		return func(*url.URL) (*url.URL, error) { return nil, nil }, nil
	}
	// The setting may hold a password, so neither it nor the parser's error, which quotes it, is shown.
	u, err := url.Parse(setting)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" {
		return nil, problem.New(problem.BadRequest, "the proxy setting is none of \"\", \"none\" and http://[user:password@]host:port")
	}
	config := httpproxy.Config{HTTPProxy: setting, HTTPSProxy: setting, NoProxy: httpproxy.FromEnvironment().NoProxy}
	return config.ProxyFunc(), nil
}
