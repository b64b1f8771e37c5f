package online

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"unicode"

	"certsign/internal/problem"
)

// maxErrorBody bounds what is kept of an answer that reports an error.
const maxErrorBody = 64 << 10

// StatusError is an answer whose HTTP status is not a success. Body is its beginning, as the server sent it: untrusted.
type StatusError struct {
	Status int
	Body   []byte
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("the server answered with status %d", e.Status)
	if m := e.Message(); m != "" {
		s += ": " + m
	}
	return s
}

// Message returns the text of a JSON error body: "message" as step-ca writes it, "detail" or "title" as RFC 9457 does.
// It is cut to 300 characters, holds no control characters, and is "" where there is none.
func (e *StatusError) Message() string {
	var body struct{ Message, Detail, Title string }
	if json.Unmarshal(e.Body, &body) != nil {
		return ""
	}
	for _, text := range []string{body.Message, body.Detail, body.Title} {
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				return ' '
			}
			return r
		}, text)
		if text = strings.TrimSpace(text); text != "" {
			if runes := []rune(text); len(runes) > 300 {
				text = string(runes[:300]) + "…"
			}
			return text
		}
	}
	return ""
}

// RequestOption changes one request.
type RequestOption func(*http.Request)

// Bearer authorises the request with a token (RFC 6750, 2.1).
func Bearer(token string) RequestOption {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// GetJSON reads the JSON at a configured address into out.
//
// An answer that is no success is a *StatusError; an address that is not configured is the problem address_refused; a
// server that cannot be reached, or that redirects, is ca_unreachable; one that does not hold a certificate under the
// configured roots is ca_mismatch; too long an answer is too_large.
func (c *Client) GetJSON(ctx context.Context, url string, out any, options ...RequestOption) error {
	return c.json(ctx, http.MethodGet, url, nil, out, options)
}

// PostJSON sends in as JSON to a configured address and reads the answer into out, which may be nil. It fails as GetJSON
// does. A request that was written is never repeated: after a failure the caller does not know whether the server acted.
func (c *Client) PostJSON(ctx context.Context, url string, in, out any, options ...RequestOption) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.json(ctx, http.MethodPost, url, body, out, options)
}

func (c *Client) json(ctx context.Context, method, address string, body []byte, out any, options []RequestOption) error {
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	options = append([]RequestOption{func(r *http.Request) { r.Header.Set("Accept", "application/json") }}, options...)
	answer, err := c.do(ctx, c.configured, method, address, contentType, body, c.config.MaxResponse, options)
	if err != nil {
		return explain(err, address, problem.CAUnreachable)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return problem.New(problem.CAUnreachable, "%s answered with something that is not the expected JSON", hostOf(address))
	}
	return nil
}

// Get fetches evidence, of at most max octets, from a configured or a public address. Failures are *StatusError and the
// problems address_refused, evidence_unreachable and too_large.
func (c *Client) Get(ctx context.Context, url string, max int64) ([]byte, error) {
	answer, err := c.do(ctx, c.evidence, http.MethodGet, url, "", nil, max, nil)
	return answer, explain(err, url, problem.EvidenceUnreachable)
}

// Post sends a body to a configured or a public address and returns the answer, of at most max octets. It fails as Get
// does and follows no redirect.
func (c *Client) Post(ctx context.Context, url, contentType string, body []byte, max int64) ([]byte, error) {
	answer, err := c.do(ctx, c.evidence, http.MethodPost, url, contentType, body, max, nil)
	return answer, explain(err, url, problem.EvidenceUnreachable)
}

func (c *Client) do(ctx context.Context, client *http.Client, method, address, contentType string, body []byte, max int64, options []RequestOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if _, err := ParseURL(address); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, problem.New(problem.AddressRefused, "the address cannot be read")
	}
	req.Header.Set("User-Agent", c.config.UserAgent)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for _, option := range options {
		option(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what could be read of it will do
		return nil, &StatusError{Status: resp.StatusCode, Body: body}
	}
	if resp.ContentLength > max {
		return nil, tooLarge(max)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(answer)) > max {
		return nil, tooLarge(max)
	}
	return answer, nil
}

func tooLarge(max int64) error {
	return problem.New(problem.TooLarge, "the answer is longer than %d octets", max)
}

// explain turns a failed request into a problem that says what to look at. Only the host is named: a path or a query may
// hold what nobody else should read.
func explain(err error, address string, unreachable problem.Code) error {
	if err == nil {
		return nil
	}
	var refused *problem.Error
	if errors.As(err, &refused) {
		return refused
	}
	host := hostOf(address)
	var status *StatusError
	if errors.As(err, &status) {
		switch {
		case status.Status >= 300 && status.Status <= 399:
			return problem.Wrap(unreachable, status, "%s answered with a redirect, which is not followed", host)
		case status.Status == http.StatusProxyAuthRequired:
			return problem.Wrap(unreachable, status, "the proxy wants another user name or password")
		}
		return status
	}
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		tlsError  *tls.CertificateVerificationError
		dns       *net.DNSError
		timeout   net.Error
		operation *net.OpError
		wrapped   *url.Error
	)
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL
	}
	switch {
	case unreachable == problem.CAUnreachable && (errors.As(err, &authority) || errors.As(err, &name)):
		return problem.Wrap(problem.CAMismatch, err, "the server at %s does not hold a certificate under the configured root", host)
	case errors.As(err, &invalid), errors.As(err, &tlsError):
		return problem.Wrap(unreachable, err, "the TLS certificate of %s is not valid now", host)
	case errors.As(err, &dns):
		return problem.Wrap(unreachable, err, "the name of %s cannot be resolved", host)
	case errors.Is(err, context.Canceled):
		return problem.Wrap(unreachable, err, "the request to %s was stopped", host)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return problem.Wrap(unreachable, err, "%s did not answer in time", host)
	case strings.Contains(err.Error(), http.StatusText(http.StatusProxyAuthRequired)): // net/http has no value for it
		return problem.Wrap(unreachable, err, "the proxy wants another user name or password")
	case errors.As(err, &operation) && operation.Op == "proxyconnect":
		return problem.Wrap(unreachable, err, "the proxy cannot be reached")
	case errors.Is(err, syscall.ECONNREFUSED):
		return problem.Wrap(unreachable, err, "nothing listens at %s", host)
	}
	return problem.Wrap(unreachable, err, "the connection to %s was lost or could not be made", host)
}

func hostOf(address string) string {
	if to, err := ParseURL(address); err == nil {
		return to.String()
	}
	return "the address"
}
