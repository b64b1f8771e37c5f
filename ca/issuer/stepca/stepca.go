// Package stepca issues customs certificates through step-ca's own authority, embedded: one-time JWK tokens that are bound
// to one CSR, and the HTTP API that the step command and any ACME-free client of step-ca know, at /1.0/sign and its
// neighbours.
//
// Around the authority it adds what step-ca leaves open: the ledger is its database; each certificate is linted and its
// exact octets are written to the ledger before the CA's key touches them; a token is spent once, in the ledger, and a
// process that was killed in between is recovered from at the next start; refusals carry a code beside step-ca's status
// and message.
//
// It does not renew or rekey (a customs certificate is not renewed), does not serve SSH, ACME or SCEP, publishes no
// encrypted provisioner key, and makes no CRL: package status does. Over HTTP it believes nobody but the holder of a token
// that it minted; what a request says about subject, names, extensions or validity is ignored or refused.
package stepca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/jose"

	"certsign/ca"
)

// ProvisionerName is the issuer of the tokens.
const ProvisionerName = "portal"

// Config is what an issuer works with. All fields but Now, Log and Shards are required.
type Config struct {
	Ledger *ca.Ledger
	// Root and Certificate are the chain; Key signs for Certificate: RSA or ECDSA.
	Root, Certificate *x509.Certificate
	Key               crypto.Signer
	// Provisioner signs the tokens, ECDSA P-256. Its public half is published, nothing else.
	Provisioner *ecdsa.PrivateKey
	// URL is the CA's address, https. Names are further host names and addresses under which clients reach it.
	URL   string
	Names []string
	// StatusURL is the base of the addresses that each certificate carries for its whole life: /ocsp, /crl/…, /ca/….
	StatusURL string
	// Slug names the issuer in those addresses: "external" gives /crl/external-3.crl and /ca/external.cer.
	Slug string
	// Shards is over how many CRLs the certificates are spread; 8 when zero.
	Shards int
	// PolicyURL is where the certification policy and practice statement can be read.
	PolicyURL string
	Now       func() time.Time
	Log       *slog.Logger
}

// Issuer is a ca.Issuer.
type Issuer struct {
	c         Config
	authority *authority.Authority
	lint      *linter
	kid       string
	token     jose.Signer
	audience  string
	root      string // SHA-256, hex: step clients bootstrap from it
	// step is called with a name at each step of an issue; tests stop the process there.
	step func(string)
}

var _ ca.Issuer = (*Issuer)(nil)

// validity and backdate are those of domain practice: two years, and a minute for clocks that are slow.
const (
	validityYears = 2
	backdate      = time.Minute
)

// New returns the issuer and recovers from whatever an earlier process left undone.
func New(ctx context.Context, c Config) (*Issuer, error) {
	if c.Ledger == nil || c.Root == nil || c.Certificate == nil || c.Key == nil || c.Provisioner == nil {
		return nil, errors.New("stepca: ledger, certificates and keys are required")
	}
	if c.Slug == "" || c.StatusURL == "" || c.PolicyURL == "" {
		return nil, errors.New("stepca: slug, status URL and policy URL are required")
	}
	if err := c.Certificate.CheckSignatureFrom(c.Root); err != nil {
		return nil, fmt.Errorf("stepca: the issuing certificate is not the root's: %w", err)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("stepca: %q is not an https address", c.URL)
	}
	if c.Shards <= 0 {
		c.Shards = 8
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.StatusURL = strings.TrimSuffix(c.StatusURL, "/")
	i := &Issuer{c: c, audience: strings.TrimSuffix(c.URL, "/") + "/1.0/sign", root: fingerprint(c.Root.Raw), step: func(string) {}}
	if i.lint, err = newLinter(c.Key, c.Certificate); err != nil {
		return nil, err
	}
	public, err := i.provisionerKey()
	if err != nil {
		return nil, err
	}
	if i.authority, err = i.embed(public, append([]string{u.Hostname()}, c.Names...)); err != nil {
		return nil, err
	}
	if err := i.Recover(ctx, 0); err != nil {
		return nil, err
	}
	return i, nil
}

// provisionerKey prepares the token signer and returns the published half.
func (i *Issuer) provisionerKey() (*jose.JSONWebKey, error) {
	public := &jose.JSONWebKey{Key: i.c.Provisioner.Public(), Algorithm: jose.ES256, Use: "sig"}
	kid, err := jose.Thumbprint(public)
	if err != nil {
		return nil, fmt.Errorf("stepca: provisioner key: %w", err)
	}
	public.KeyID, i.kid = kid, kid
	options := new(jose.SignerOptions).WithType("JWT").WithHeader("kid", kid)
	i.token, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.c.Provisioner}, options)
	if err != nil {
		return nil, fmt.Errorf("stepca: provisioner key: %w", err)
	}
	return public, nil
}

func (i *Issuer) embed(public *jose.JSONWebKey, names []string) (*authority.Authority, error) {
	yes, no := true, false
	longest := &provisioner.Duration{Duration: (validityYears*366 + 2) * 24 * time.Hour}
	claims := &provisioner.Claims{
		MinTLSDur: &provisioner.Duration{Duration: time.Hour}, MaxTLSDur: longest, DefaultTLSDur: longest,
		DisableRenewal: &yes, AllowRenewalAfterExpiry: &no, DisableSmallstepExtensions: &yes, EnableSSHCA: &no,
	}
	jwk := &provisioner.JWK{
		Type: "JWK", Name: ProvisionerName, Key: public, Claims: claims,
		Options: &provisioner.Options{X509: &provisioner.X509Options{Template: profileTemplate}},
	}
	a, err := authority.NewEmbedded(
		authority.WithConfig(&config.Config{
			DNSNames: names,
			AuthorityConfig: &config.AuthConfig{
				Provisioners: provisioner.List{jwk}, Claims: claims,
				Backdate: &provisioner.Duration{Duration: backdate},
				// Spent tokens are in the ledger, so those minted before a restart stay good.
				DisableIssuedAtCheck: true,
			},
		}),
		authority.WithX509RootCerts(i.c.Root),
		authority.WithX509IntermediateCerts(i.c.Certificate),
		authority.WithX509CAService(&signer{i}),
		authority.WithDatabase(&book{i}),
		authority.WithQuietInit(),
	)
	if err != nil {
		return nil, fmt.Errorf("stepca: authority: %w", err)
	}
	return a, nil
}

// claims is a token's payload: RFC 7519, with step-ca's "sans" and "sha", a confirmation that binds the token to one CSR,
// and what the certificate is made from.
type claims struct {
	jose.Claims
	SANs         []string     `json:"sans"`
	SHA          string       `json:"sha,omitempty"`
	Confirmation confirmation `json:"cnf"`
	User         user         `json:"u"`
}

type confirmation struct {
	CSR string `json:"x5rt#S256"` // SHA-256 of the CSR's DER, base64url
}

type user struct {
	Subject []byte `json:"subject"` // DER, base64
}

// Token implements ca.Issuer.
func (i *Issuer) Token(_ context.Context, g ca.Grant) (string, error) {
	csr, err := x509.ParseCertificateRequest(g.CSR)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	now := i.c.Now().UTC()
	c := claims{
		Claims: jose.Claims{
			ID: g.TokenID, Issuer: ProvisionerName, Subject: "urn:customs:enrolment:" + g.ID, Audience: jose.Audience{i.audience},
			IssuedAt: jose.NewNumericDate(now), NotBefore: jose.NewNumericDate(now), Expiry: jose.NewNumericDate(g.Expires),
		},
		SHA:          i.root,
		Confirmation: confirmation{CSR: csrThumbprint(g.CSR)},
		User:         user{Subject: g.Subject},
	}
	c.SANs = []string{c.Subject}
	// The CSR's own name is ignored: listing it here keeps step-ca from refusing it, and the profile never uses it.
	if csr.Subject.CommonName != "" {
		c.SANs = append(c.SANs, csr.Subject.CommonName)
	}
	return i.mint(c)
}

func (i *Issuer) mint(c claims) (string, error) {
	token, err := jose.Signed(i.token).Claims(c).CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return token, nil
}

// RevocationToken mints a one-time token with which a program may revoke one certificate at /1.0/revoke. serial is hex.
func (i *Issuer) RevocationToken(serial string, id string, life time.Duration) (string, error) {
	number, err := decimalSerial(serial)
	if err != nil {
		return "", err
	}
	now := i.c.Now().UTC()
	return i.mint(claims{Claims: jose.Claims{
		ID: id, Issuer: ProvisionerName, Subject: number, Audience: jose.Audience{strings.TrimSuffix(i.audience, "sign") + "revoke"},
		IssuedAt: jose.NewNumericDate(now), NotBefore: jose.NewNumericDate(now), Expiry: jose.NewNumericDate(now.Add(life)),
	}})
}

// Recover finishes what a stopped process left: call it at times with the age that an intent must have to count as left.
func (i *Issuer) Recover(ctx context.Context, age time.Duration) error {
	if age == 0 {
		n, err := i.c.Ledger.ReleaseTokens(ctx)
		if err != nil {
			return fmt.Errorf("stepca: %w", err)
		}
		if n > 0 {
			i.c.Log.Info("tokens released that were spent without an issue", "count", n)
		}
	}
	r, err := i.c.Ledger.Recover(ctx, ca.IssuerID(i.c.Certificate), age, i.resign)
	if err != nil {
		return fmt.Errorf("stepca: %w", err)
	}
	if r.Completed+r.Abandoned > 0 {
		i.c.Log.Warn("issues finished that had been interrupted", "completed", r.Completed, "abandoned", r.Abandoned)
	}
	return nil
}

// Audience returns the address that tokens are for.
func (i *Issuer) Audience() string { return i.audience }

func fingerprint(der []byte) string {
	h := crypto.SHA256.New()
	h.Write(der)
	return hex.EncodeToString(h.Sum(nil))
}
