package enroll

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"certsign/agent"
	"certsign/internal/online"
	"certsign/internal/problem"
)

// authority is a site's CA over the network: step-ca's API, and the one address that ours adds to it.
type authority struct {
	url    string
	client *online.Client
}

func newAuthority(site agent.Site, proxy string) (*authority, error) {
	to, err := online.ParseURL(site.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, c := range site.Certificates() {
		roots.AddCert(c)
	}
	client, err := online.New(online.Config{Proxy: proxy, Allowed: []online.HostPort{to}, Roots: roots})
	if err != nil {
		return nil, err
	}
	return &authority{url: strings.TrimRight(site.CA, "/"), client: client}, nil
}

func (a *authority) close() { a.client.Close() }

// fate is what is known of a token after it was, or was not, used.
type fate int

const (
	unsent  fate = iota // the CA never saw it
	unknown             // it may have been spent
	refused             // the CA answered no
	granted
)

// sign spends the token on the CSR: POST /1.0/sign as step-ca has it.
func (a *authority) sign(ctx context.Context, csr []byte, token string) ([][]byte, fate, error) {
	in := struct {
		CSR string `json:"csr"`
		OTT string `json:"ott"`
	}{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), token}
	var out struct {
		Crt   string   `json:"crt"`
		CA    string   `json:"ca"`
		Chain []string `json:"certChain"`
	}
	err := a.client.PostJSON(ctx, a.url+"/1.0/sign", in, &out)
	if err != nil {
		f, err := classify(err, token)
		return nil, f, err
	}
	if len(out.Chain) == 0 {
		out.Chain = []string{out.Crt, out.CA}
	}
	var chain [][]byte
	for _, text := range out.Chain {
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, unknown, problem.New(problem.CertificateMismatch, "the CA sent something that is no certificate")
		}
		chain = append(chain, block.Bytes)
	}
	return chain, granted, nil
}

// errNotIssued: the CA says that there is no certificate for this CSR and token. errNoSuchCall: it does not know the
// question, as an unmodified step-ca does not.
var (
	errNotIssued  = errors.New("no certificate was issued")
	errNoSuchCall = errors.New("the CA cannot be asked for a certificate again")
)

// issued asks for the certificate that was issued for a CSR, with the token, spent or not.
func (a *authority) issued(ctx context.Context, csrSHA256, token string) ([][]byte, error) {
	var out struct {
		Certificate string   `json:"certificate"`
		Chain       []string `json:"chain"`
	}
	err := a.client.GetJSON(ctx, a.url+"/api/v1/enrolments/"+csrSHA256, &out, online.Bearer(token))
	var status *online.StatusError
	switch {
	case errors.As(err, &status) && status.Status == 404 && codeOf(status) == problem.NotFound:
		return nil, errNotIssued
	case errors.As(err, &status) && (status.Status == 404 || status.Status == 405):
		return nil, errNoSuchCall
	case errors.As(err, &status):
		return nil, problem.Wrap(problem.CAUnreachable, status, "the CA could not answer")
	case err != nil:
		return nil, err
	}
	var chain [][]byte
	for _, text := range append([]string{out.Certificate}, out.Chain...) {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(der) == 0 {
			return nil, problem.New(problem.CertificateMismatch, "the CA sent something that is no certificate")
		}
		chain = append(chain, der)
	}
	return chain, nil
}

// classify says what a failed signing request means for the token, and for the person.
func classify(err error, token string) (fate, error) {
	var status *online.StatusError
	if errors.As(err, &status) && problem.CodeOf(err) == problem.Internal {
		switch {
		case status.Status == 429:
			return unsent, problem.Wrap(problem.RateLimited, status, "the CA has too many requests")
		case status.Status >= 500:
			return unknown, problem.Wrap(problem.CAUnreachable, status, "the CA could not answer")
		}
		return refused, refusal(status, token)
	}
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return unsent, err
	}
	switch problem.CodeOf(err) {
	case problem.CAMismatch, problem.AddressRefused: // before anything was written
		return unsent, err
	}
	return unknown, err
}

// believable are the codes that a CA may give for a refusal.
var believable = []problem.Code{
	problem.TokenInvalid, problem.TokenExpired, problem.TokenSpent, problem.TokenForOtherCSR, problem.CSRInvalid, problem.KeyWeak,
	problem.KeyAlreadyCertified, problem.NotEligible, problem.TooManyCertificates, problem.Forbidden, problem.TooLarge, problem.BadRequest,
}

// refusal translates a CA's no. An unmodified step-ca gives only a status: what the token itself says then tells more.
func refusal(status *online.StatusError, token string) error {
	code := codeOf(status)
	if !slices.Contains(believable, code) {
		exp := claimsOf(token).expires()
		switch {
		case status.Status == 401 && !exp.IsZero() && time.Now().After(exp):
			code = problem.TokenExpired
		case status.Status == 401:
			code = problem.TokenInvalid
		case status.Status == 403:
			code = problem.Forbidden
		default:
			code = problem.CSRInvalid
		}
	}
	detail := status.Message()
	if detail == "" {
		detail = "the CA refused"
	}
	return problem.Wrap(code, status, "%s", detail)
}

func codeOf(s *online.StatusError) problem.Code {
	var body struct {
		Code problem.Code `json:"code"`
	}
	if json.Unmarshal(s.Body, &body) != nil {
		return ""
	}
	return body.Code
}
