package online_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/online"
	"certsign/internal/problem"
)

func allowed(t *testing.T, raw ...string) []online.HostPort {
	t.Helper()
	var out []online.HostPort
	for _, r := range raw {
		to, err := online.ParseURL(r)
		require.NoError(t, err)
		out = append(out, to)
	}
	return out
}

func client(t *testing.T, config online.Config) *online.Client {
	t.Helper()
	if config.Proxy == "" {
		config.Proxy = "none"
	}
	c, err := online.New(config)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func serveTLS(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func code(t *testing.T, want problem.Code, err error) {
	t.Helper()
	require.Error(t, err)
	assert.Equal(t, want, problem.CodeOf(err), "%v", err)
}

func TestJSONCalls(t *testing.T) {
	type message struct{ CSR, OTT string }
	echo := func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
		assert.Equal(t, "certsign-test", r.Header.Get("User-Agent"))
		_, _ = io.Copy(w, r.Body)
	}

	t.Run("a configured server with the pinned root answers", func(t *testing.T) {
		server, roots := serveTLS(t, echo)
		c := client(t, online.Config{Allowed: allowed(t, server.URL), Roots: roots, UserAgent: "certsign-test"})
		var out message
		require.NoError(t, c.PostJSON(t.Context(), server.URL+"/1.0/sign", message{"csr", "ott"}, &out))
		assert.Equal(t, message{"csr", "ott"}, out)
	})
	t.Run("a server under another root is ca_mismatch and sees no request", func(t *testing.T) {
		var asked atomic.Bool
		server, _ := serveTLS(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
		c := client(t, online.Config{Allowed: allowed(t, server.URL), Roots: x509.NewCertPool()})
		code(t, problem.CAMismatch, c.PostJSON(t.Context(), server.URL, message{}, nil))
		assert.False(t, asked.Load())
	})
	t.Run("a certificate for another name is ca_mismatch", func(t *testing.T) {
		server, roots := serveTLS(t, echo)
		other := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
		c := client(t, online.Config{Allowed: allowed(t, other), Roots: roots})
		code(t, problem.CAMismatch, c.PostJSON(t.Context(), other, message{}, nil))
	})
	t.Run("another port of a configured host is refused", func(t *testing.T) {
		server, other := serve(t, echo), serve(t, echo)
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		code(t, problem.AddressRefused, c.PostJSON(t.Context(), other.URL, message{}, nil))
	})
	t.Run("another spelling of a configured host is that host", func(t *testing.T) {
		server := serve(t, echo)
		c := client(t, online.Config{Allowed: allowed(t, strings.Replace(server.URL, "127.0.0.1", "LOCALHOST.", 1)), UserAgent: "certsign-test"})
		var out message
		require.NoError(t, c.PostJSON(t.Context(), strings.Replace(server.URL, "127.0.0.1", "localhost", 1), message{OTT: "a"}, &out))
		assert.Equal(t, "a", out.OTT)
	})
	t.Run("a redirect is not followed and is ca_unreachable", func(t *testing.T) {
		var asked atomic.Bool
		target := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL, target.URL)})
		err := c.PostJSON(t.Context(), server.URL, message{OTT: "secret"}, nil, online.Bearer("secret"))
		code(t, problem.CAUnreachable, err)
		assert.False(t, asked.Load())
		assert.NotContains(t, err.Error(), "secret")
	})
	t.Run("a bearer token is sent", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(message{OTT: r.Header.Get("Authorization")})
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		var out message
		require.NoError(t, c.GetJSON(t.Context(), server.URL, &out, online.Bearer("abc")))
		assert.Equal(t, "Bearer abc", out.OTT)
	})
	t.Run("an error of step-ca is a StatusError with its message", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"status":401,"message":"token\u0000 already used"}`))
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		err := c.PostJSON(t.Context(), server.URL, message{}, nil)
		var status *online.StatusError
		require.ErrorAs(t, err, &status)
		assert.Equal(t, 401, status.Status)
		assert.Equal(t, "token  already used", status.Message())
	})
	t.Run("an answer that is not JSON is ca_unreachable", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hotel login")) })
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		code(t, problem.CAUnreachable, c.GetJSON(t.Context(), server.URL, &message{}))
	})
	t.Run("too long an answer is too_large, announced or not", func(t *testing.T) {
		for _, flush := range []bool{false, true} {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`"`))
				if flush {
					w.(http.Flusher).Flush()
				}
				_, _ = w.Write([]byte(strings.Repeat("a", 2000) + `"`))
			})
			c := client(t, online.Config{Allowed: allowed(t, server.URL), MaxResponse: 1000})
			code(t, problem.TooLarge, c.GetJSON(t.Context(), server.URL, new(string)))
		}
	})
	t.Run("a server that does not answer in time is ca_unreachable", func(t *testing.T) {
		stop := make(chan struct{})
		server := serve(t, func(http.ResponseWriter, *http.Request) { <-stop })
		defer close(stop)
		c := client(t, online.Config{Allowed: allowed(t, server.URL), Timeout: 50 * time.Millisecond})
		err := c.GetJSON(t.Context(), server.URL, nil)
		code(t, problem.CAUnreachable, err)
		assert.Contains(t, problem.DetailOf(err), "in time")
	})
	t.Run("nothing listening is ca_unreachable", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := "http://" + listener.Addr().String()
		require.NoError(t, listener.Close())
		c := client(t, online.Config{Allowed: allowed(t, address)})
		err = c.GetJSON(t.Context(), address+"/x?token=secret", nil)
		code(t, problem.CAUnreachable, err)
		assert.Contains(t, problem.DetailOf(err), "nothing listens")
		assert.NotContains(t, err.Error(), "secret")
	})
	t.Run("a caller that gives up stops the request", func(t *testing.T) {
		stop := make(chan struct{})
		server := serve(t, func(http.ResponseWriter, *http.Request) { <-stop })
		defer close(stop)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		require.ErrorIs(t, c.GetJSON(ctx, server.URL, nil), context.Canceled)
	})
}

func TestEvidence(t *testing.T) {
	hello := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }

	t.Run("a private address from a certificate is refused when it is dialled", func(t *testing.T) {
		var asked atomic.Bool
		server := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
		c := client(t, online.Config{})
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
		for _, address := range []string{
			server.URL,
			"http://localhost:" + port, // a public name that resolves to a private address looks the same to the dialer
			"http://[::1]:" + port,
			"http://[::ffff:127.0.0.1]:" + port,
			"http://[64:ff9b::7f00:1]:" + port,
			"http://10.0.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/", "http://0.0.0.0:" + port,
			"http://[fe80::1]/", "http://[fd00::1]/", "http://100.64.0.1/", "http://[2002:7f00:1::]/",
		} {
			_, err := c.Get(t.Context(), address, 100)
			code(t, problem.AddressRefused, err)
		}
		assert.False(t, asked.Load())
	})
	t.Run("an address that is none of http is refused", func(t *testing.T) {
		c := client(t, online.Config{AllowLoopback: true})
		for _, address := range []string{
			"file:///etc/passwd", "ldap://x.test/", "http://user:pw@x.test/", "http://", "http://127.1/", "http://2130706433/",
			"http://0x7f000001/", "http://[fe80::1%25eth0]/", "http://x.test:0/", "http://x.test:99999/", "x.test", "http://a b/", ":",
		} {
			_, err := c.Get(t.Context(), address, 100)
			code(t, problem.AddressRefused, err)
		}
	})
	t.Run("a configured address may be private", func(t *testing.T) {
		server := serve(t, hello)
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		answer, err := c.Get(t.Context(), server.URL, 100)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(answer))
	})
	t.Run("this machine is reached when that is allowed", func(t *testing.T) {
		server := serve(t, hello)
		c := client(t, online.Config{AllowLoopback: true})
		_, err := c.Get(t.Context(), server.URL, 100)
		require.NoError(t, err)
		_, err = c.Get(t.Context(), "http://10.0.0.1/", 100)
		code(t, problem.AddressRefused, err)
	})
	t.Run("a redirect to a private address is refused", func(t *testing.T) {
		var asked atomic.Bool
		private := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
		server := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, private.URL, http.StatusFound) })
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		_, err := c.Get(t.Context(), server.URL, 100)
		code(t, problem.AddressRefused, err)
		assert.False(t, asked.Load())
	})
	t.Run("a redirect to another scheme is refused", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		_, err := c.Get(t.Context(), server.URL, 100)
		code(t, problem.AddressRefused, err)
	})
	t.Run("a redirect to an allowed address is followed, a loop is not", func(t *testing.T) {
		target := serve(t, hello)
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/loop" {
				http.Redirect(w, r, "/loop", http.StatusFound)
				return
			}
			http.Redirect(w, r, target.URL, http.StatusFound)
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL, target.URL)})
		answer, err := c.Get(t.Context(), server.URL, 100)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(answer))
		_, err = c.Get(t.Context(), server.URL+"/loop", 100)
		code(t, problem.EvidenceUnreachable, err)
	})
	t.Run("a post is answered, not redirected", func(t *testing.T) {
		target := serve(t, hello)
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL, target.URL)})
		_, err := c.Post(t.Context(), server.URL, "application/ocsp-request", []byte("q"), 100)
		code(t, problem.EvidenceUnreachable, err)
	})
	t.Run("too long an answer is too_large, compressed or not", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			assert.NotContains(t, r.Header.Get("Accept-Encoding"), "gzip")
			for range 1000 {
				_, _ = w.Write(make([]byte, 1000))
			}
		})
		c := client(t, online.Config{Allowed: allowed(t, server.URL)})
		_, err := c.Get(t.Context(), server.URL, 10_000)
		code(t, problem.TooLarge, err)
	})
}

// proxy is a real forward proxy: absolute-form requests and CONNECT, with basic authentication, sending every host to
// backend. It records what it was asked for.
func proxy(t *testing.T, backend *httptest.Server, asked *atomic.Value) *httptest.Server {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("jan:hasło 1"))
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		asked.Store(r.Method + " " + r.Host)
		if r.Method != http.MethodConnect {
			r.URL.Host, r.RequestURI = backend.Listener.Addr().String(), ""
			r.Header.Del("Proxy-Authorization")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
			return
		}
		up, err := net.Dial("tcp", backend.Listener.Addr().String())
		if !assert.NoError(t, err) {
			return
		}
		defer up.Close()
		w.WriteHeader(http.StatusOK)
		down, buffered, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer down.Close()
		go func() { _, _ = io.Copy(up, buffered); _ = up.Close() }()
		_, _ = io.Copy(down, up)
	})
}

func TestProxy(t *testing.T) {
	withUser := func(p *httptest.Server, user *url.Userinfo) string {
		u, err := url.Parse(p.URL)
		require.NoError(t, err)
		u.User = user
		return u.String()
	}
	right := url.UserPassword("jan", "hasło 1")

	t.Run("https goes through it by CONNECT, and the pinned root still counts", func(t *testing.T) {
		server, roots := serveTLS(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"hello"`)) })
		var asked atomic.Value
		p := proxy(t, server, &asked)
		c := client(t, online.Config{Proxy: withUser(p, right), Allowed: []online.HostPort{{Host: "example.com", Port: 443}}, Roots: roots})
		var out string
		require.NoError(t, c.GetJSON(t.Context(), "https://example.com/1.0/sign", &out)) // httptest's certificate has that name
		assert.Equal(t, "hello", out)
		assert.Equal(t, "CONNECT example.com:443", asked.Load())

		unpinned := client(t, online.Config{Proxy: withUser(p, right), Allowed: []online.HostPort{{Host: "example.com", Port: 443}}, Roots: x509.NewCertPool()})
		code(t, problem.CAMismatch, unpinned.GetJSON(t.Context(), "https://example.com/", &out))
	})
	t.Run("http goes through it, for configured hosts", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("crl")) })
		var asked atomic.Value
		c := client(t, online.Config{Proxy: withUser(proxy(t, server, &asked), right), Allowed: []online.HostPort{{Host: "crl.mf.test", Port: 80}}})
		answer, err := c.Get(t.Context(), "http://crl.mf.test/1.crl", 100)
		require.NoError(t, err)
		assert.Equal(t, "crl", string(answer))
		assert.Equal(t, "GET crl.mf.test", asked.Load())
	})
	t.Run("the environment's is used when none is set", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("crl")) })
		var asked atomic.Value
		t.Setenv("http_proxy", "")
		t.Setenv("HTTP_PROXY", withUser(proxy(t, server, &asked), right))
		t.Setenv("NO_PROXY", "")
		c, err := online.New(online.Config{Allowed: []online.HostPort{{Host: "crl.mf.test", Port: 80}}})
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Get(t.Context(), "http://crl.mf.test/1.crl", 100)
		require.NoError(t, err)
		assert.Equal(t, "GET crl.mf.test", asked.Load())
	})
	t.Run("a private address is refused before the proxy hears of it", func(t *testing.T) {
		var asked atomic.Value
		c := client(t, online.Config{Proxy: withUser(proxy(t, nil, &asked), right)})
		for _, address := range []string{"http://10.0.0.1/", "http://intranet/", "http://db.internal/", "http://printer.local/", "https://169.254.169.254/"} {
			_, err := c.Get(t.Context(), address, 100)
			code(t, problem.AddressRefused, err)
		}
		assert.Nil(t, asked.Load())
	})
	t.Run("a wrong password is told as such and never shown", func(t *testing.T) {
		server, roots := serveTLS(t, func(http.ResponseWriter, *http.Request) {})
		var asked atomic.Value
		setting := withUser(proxy(t, server, &asked), url.UserPassword("jan", "tajne-haslo"))
		c := client(t, online.Config{Proxy: setting, Roots: roots, Allowed: []online.HostPort{{Host: "example.com", Port: 443}, {Host: "example.com", Port: 80}}})
		for _, address := range []string{"https://example.com/", "http://example.com/"} {
			err := c.GetJSON(t.Context(), address, nil)
			code(t, problem.CAUnreachable, err)
			assert.Contains(t, problem.DetailOf(err), "user name or password")
			assert.NotContains(t, err.Error(), "tajne")
		}
	})
	t.Run("a proxy that is not there is told as such", func(t *testing.T) {
		c := client(t, online.Config{Proxy: "http://127.0.0.1:1", Allowed: []online.HostPort{{Host: "example.com", Port: 443}}})
		err := c.GetJSON(t.Context(), "https://example.com/", nil)
		code(t, problem.CAUnreachable, err)
		assert.Contains(t, problem.DetailOf(err), "proxy")
	})
	t.Run("a setting that is no proxy is bad_request without the setting", func(t *testing.T) {
		for _, setting := range []string{"proxy:3128", "ftp://jan:tajne@p:1", "http://", "http://jan:tajne@[::1", "socks5://p:1"} {
			_, err := online.New(online.Config{Proxy: setting})
			code(t, problem.BadRequest, err)
			assert.NotContains(t, err.Error(), "tajne")
		}
	})
}

func TestTLSBelow12IsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // an old server is the test
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c := client(t, online.Config{Allowed: allowed(t, server.URL), Roots: roots})
	err := c.GetJSON(t.Context(), server.URL, nil)
	code(t, problem.CAUnreachable, err)
	var status *online.StatusError
	assert.False(t, errors.As(err, &status))
}
