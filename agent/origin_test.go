package agent_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

func TestParseOrigin(t *testing.T) {
	for _, c := range []struct {
		name   string
		origin string
		ok     bool
	}{
		{"an https host is an origin", "https://portal.example", true},
		{"a port belongs to the origin", "https://portal.example:8443", true},
		{"http is good for localhost", "http://localhost:18080", true},
		{"http is good for a name below localhost", "http://portal.localhost", true},
		{"http is good for a loopback address", "http://127.0.0.1:18080", true},
		{"http is good for another loopback address", "http://127.9.9.9", true},
		{"http is good for the IPv6 loopback", "http://[::1]:18080", true},
		{"https may have an IPv6 address", "https://[2001:db8::1]", true},
		{"an international name comes as punycode", "https://xn--za-8ia.example", true},
		{"underscores occur in names", "https://my_portal.example", true},
		{"null is no origin", "null", false},
		{"nothing is no origin", "", false},
		{"http is not good for a host elsewhere", "http://portal.example", false},
		{"http is not good for a name that begins like localhost", "http://localhost.evil.example", false},
		{"http is not good for a name that ends like localhost", "http://evillocalhost", false},
		{"a path is no part of an origin", "https://portal.example/", false},
		{"a query is no part of an origin", "https://portal.example?x", false},
		{"user information is no part of an origin", "https://portal.example@evil.example", false},
		{"a trailing dot makes another host", "https://portal.example.", false},
		{"upper case is not what browsers send", "https://Portal.example", false},
		{"an upper case scheme is not what browsers send", "HTTPS://portal.example", false},
		{"the scheme's own port is not what browsers send", "https://portal.example:443", false},
		{"a port of zero cannot be", "https://portal.example:0", false},
		{"a port beyond 65535 cannot be", "https://portal.example:65536", false},
		{"a port has no leading zeros", "https://portal.example:08443", false},
		{"an empty port cannot be", "https://portal.example:", false},
		{"letters of other scripts come as punycode only", "https://żółć.example", false},
		{"broken punycode is refused", "https://xn--a.example", false},
		{"white space is refused", "https://portal.example ", false},
		{"two origins are refused", "https://a.example https://b.example", false},
		{"an address in an unusual form is refused", "http://0x7f.0.0.1", false},
		{"a short address is refused", "http://127.1", false},
		{"an IPv6 address in an unusual form is refused", "https://[2001:0db8::1]", false},
		{"an IPv4 address inside an IPv6 one is refused", "https://[::ffff:127.0.0.1]", false},
		{"a zone is refused", "https://[fe80::1%25eth0]", false},
		{"an extension is refused", "chrome-extension://abcdefghijklmnopabcdefghijklmnop", false},
		{"a file is refused", "file://", false},
		{"a host that is too long is refused", "https://" + strings.Repeat("a.", 130) + "example", false},
		{"a label that is too long is refused", "https://" + strings.Repeat("a", 64) + ".example", false},
		{"a backslash is refused", `https://portal.example\.evil.example`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := agent.ParseOrigin(c.origin)
			if c.ok {
				require.NoError(t, err)
				assert.Equal(t, c.origin, o.String())
				return
			}
			assert.Equal(t, problem.OriginRejected, problem.CodeOf(err))
			assert.Equal(t, agent.Origin{}, o)
		})
	}
}

func TestDisplayShowsBothForms(t *testing.T) {
	for in, want := range map[string]string{
		"https://portal.example":              "https://portal.example",
		"https://xn--kda4b0koi.example":       "https://xn--kda4b0koi.example (https://żółć.example)",
		"https://xn--80ak6aa92e.example:8443": "https://xn--80ak6aa92e.example:8443 (https://аррӏе.example:8443)",
		"http://127.0.0.1:18080":              "http://127.0.0.1:18080",
		"https://[2001:db8::1]:8443":          "https://[2001:db8::1]:8443",
	} {
		o, err := agent.ParseOrigin(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, o.Display())
	}
	assert.Equal(t, "local", agent.LocalOrigin.Display())
}

func TestTypedOriginPutsRightWhatPeopleType(t *testing.T) {
	for in, want := range map[string]string{
		"https://Portal.Example/":     "https://portal.example",
		" https://portal.example:443": "https://portal.example",
		"HTTPS://żółć.example":        "https://xn--kda4b0koi.example",
		"http://localhost:80":         "http://localhost",
		"http://[::1]:18080/":         "http://[::1]:18080",
	} {
		o, err := agent.TypedOrigin(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, o.String())
	}
	for _, in := range []string{"portal.example", "https://portal.example/sub/", "https://a@b.example", "http://portal.example", "null"} {
		_, err := agent.TypedOrigin(in)
		assert.Equal(t, problem.OriginRejected, problem.CodeOf(err), in)
	}
}

func FuzzParseOrigin(f *testing.F) {
	for _, s := range []string{"https://portal.example", "http://[::1]:1", "null", "https://xn--kda4b0koi.example", "https://a:b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := agent.ParseOrigin(s)
		if err != nil {
			require.Equal(t, problem.OriginRejected, problem.CodeOf(err))
			return
		}
		require.Equal(t, s, o.String(), "what is accepted is the same string")
		require.NotContains(t, s, "@")
		require.Equal(t, 2, strings.Count(s, "/"))
		require.True(t, strings.HasPrefix(o.Display(), s))
		again, err := agent.TypedOrigin(s)
		require.NoError(t, err)
		require.Equal(t, o, again)
	})
}
