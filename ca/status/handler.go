package status

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"certsign/internal/problem"
)

// Handler serves /ocsp (POST, and GET with the request in the path), /crl/ISSUER-SHARD.crl and /ca/ISSUER.cer.
func (s *Status) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ocsp", s.postOCSP)
	mux.HandleFunc("POST /ocsp/{$}", s.postOCSP)
	mux.HandleFunc("GET /crl/{name}", s.getCRL)
	mux.HandleFunc("GET /ca/{name}", s.getCertificate)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// The base64 in a GET may hold // or an escaped /, which a ServeMux would clean away or split.
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/ocsp/") {
			s.getOCSP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Status) postOCSP(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/ocsp-request" {
		http.Error(w, "want application/ocsp-request", http.StatusUnsupportedMediaType)
		return
	}
	der, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			http.Error(w, "request too long", http.StatusRequestEntityTooLarge)
		}
		return
	}
	s.writeOCSP(w, r, der)
}

// getOCSP answers RFC 6960, A.1.1: the request in base64, URL-encoded.
func (s *Status) getOCSP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/ocsp/")
	if len(path) > 2*maxRequest {
		http.Error(w, "request too long", http.StatusRequestURITooLong)
		return
	}
	text, err := url.PathUnescape(path)
	if err != nil {
		text = ""
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		der, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	if err != nil {
		der = nil
	}
	s.writeOCSP(w, r, der)
}

func (s *Status) writeOCSP(w http.ResponseWriter, r *http.Request, der []byte) {
	answer, unique := s.respond(r.Context(), der)
	// RFC 5019, 6.2 would allow caching until nextUpdate. A suspension acts at once, so caches may help for seconds only.
	w.Header().Set("Cache-Control", "public, max-age=10, no-transform, must-revalidate")
	if unique {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

var crlName = regexp.MustCompile(`^([a-z0-9]{1,32})-([0-9]{1,5})\.crl$`)

func (s *Status) getCRL(w http.ResponseWriter, r *http.Request) {
	m := crlName.FindStringSubmatch(r.PathValue("name"))
	if m == nil {
		http.NotFound(w, r)
		return
	}
	shard, err := strconv.Atoi(m[2])
	if err != nil || strconv.Itoa(shard) != m[2] {
		http.NotFound(w, r)
		return
	}
	var der []byte
	switch {
	case m[1] == RootSlug && shard == 0:
		der = s.c.RootCRL
	case m[1] == s.c.Slug && shard < s.c.Shards:
		row, err := s.CRL(r.Context(), shard)
		if err != nil {
			s.c.Log.Error("crl", "shard", shard, "error", err)
			http.Error(w, string(problem.Internal), http.StatusInternalServerError)
			return
		}
		der = row.DER
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=10, must-revalidate")
	write(w, "application/pkix-crl", der) // RFC 2585, 4.2
}

func (s *Status) getCertificate(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("name") {
	case s.c.Slug + ".cer":
		w.Header().Set("Cache-Control", "public, max-age=3600")
		write(w, "application/pkix-cert", s.c.Issuer.Raw) // RFC 2585, 4.1
	case RootSlug + ".cer":
		w.Header().Set("Cache-Control", "public, max-age=3600")
		write(w, "application/pkix-cert", s.c.Root.Raw)
	default:
		http.NotFound(w, r)
	}
}

func write(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}
