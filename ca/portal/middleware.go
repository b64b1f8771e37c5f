package portal

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"certsign/internal/problem"
)

// contentSecurityPolicy allows what the pages have: their own files, and the agent. CSP has no way to name [::1]
// (host-source takes no IPv6 literal), so the agent is reached at 127.0.0.1.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:*; form-action 'self'; base-uri 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'"

const permissionsPolicy = "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=()"

// uploadPolicy goes with bytes that people uploaded: even opened directly they are not a page.
const uploadPolicy = "default-src 'none'; sandbox"

// handler joins the routes with what every request passes through.
func (p *portal) handler() http.Handler {
	protection := http.NewCrossOriginProtection()
	// The public URL's origin is trusted even where a proxy rewrites Host. New has checked that it parses.
	if err := protection.AddTrustedOrigin(p.PublicURL); err != nil {
		panic("portal: " + err.Error())
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, problem.New(problem.Forbidden, "the request came from another site"))
	}))
	return p.guard(protection.Handler(p.routes()))
}

// guard refuses foreign hosts, sets the headers, bounds bodies, logs and catches panics.
func (p *portal) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// no-referrer would make browsers send "Origin: null" with forms, which must stay refusable.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", permissionsPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if p.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r = r.WithContext(context.WithValue(r.Context(), languageKey{}, p.negotiate(r)))
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if e := recover(); e != nil {
				if e == http.ErrAbortHandler {
					panic(e)
				}
				p.Log.Error("panic", "path", r.URL.Path, "error", fmt.Sprint(e), "stack", string(debug.Stack()))
				if !sw.wrote {
					p.fail(sw, r, fmt.Errorf("panic: %v", e))
				}
			}
			p.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", sw.status, "took", time.Since(start))
		}()
		if !p.ownHost(r.Host) {
			// A page under another name that resolves to this computer (DNS rebinding) ends here.
			sw.Header().Set("Content-Type", "text/plain; charset=utf-8")
			sw.WriteHeader(http.StatusMisdirectedRequest)
			_, _ = fmt.Fprintln(sw, "misdirected request: this portal is", p.PublicURL)
			return
		}
		limit := int64(1 << 16) // a form
		if takesDocument(r.URL.Path) {
			limit += p.maxSigned
		}
		r.Body = http.MaxBytesReader(sw, r.Body, limit)
		next.ServeHTTP(sw, r)
	})
}

// takesDocument tells whether a document may be sent to that path.
func takesDocument(path string) bool {
	return path == "/verify" || strings.HasPrefix(path, "/my/documents") || strings.HasPrefix(path, "/api/v1/documents/")
}

func (p *portal) ownHost(host string) bool {
	if strings.EqualFold(host, p.public.Host) {
		return true
	}
	if !p.loopback {
		return false
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	return IsLoopback(name)
}

// ownOrigin demands proof that a request was made by one of this portal's own pages; CrossOriginProtection alone admits
// clients that are no browsers.
func (p *portal) ownOrigin(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return true
	}
	origin := r.Header.Get("Origin")
	return origin == p.PublicURL || (p.loopback && origin == p.public.Scheme+"://"+r.Host)
}

// address is the client's, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	w.status, w.wrote = status, true
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
