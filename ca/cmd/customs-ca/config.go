package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"certsign/ca"
)

// configuration is customs-ca.yaml. Relative paths in it start at its own folder.
type configuration struct {
	// Database: sqlite://PATH or postgres://USER@HOST/NAME.
	Database string `yaml:"database"`
	// PublicURL, StatusURL and CAURL are the addresses under which people, relying parties and agents reach this CA.
	// StatusURL and PublicURL are written in certificates and cannot change while any is valid.
	PublicURL string `yaml:"public-url"`
	StatusURL string `yaml:"status-url"`
	CAURL     string `yaml:"ca-url"`
	// CANames are further names and addresses of the CA listener.
	CANames []string `yaml:"ca-names"`
	Listen  struct {
		Web    string `yaml:"web"`
		CA     string `yaml:"ca"`
		Status string `yaml:"status"`
		Admin  string `yaml:"admin"`
	} `yaml:"listen"`
	// WebTLS is needed where web listens beyond loopback.
	WebTLS struct {
		Certificate string `yaml:"certificate"`
		Key         string `yaml:"key"`
	} `yaml:"web-tls"`
	// PasswordFile holds the password of the key files.
	PasswordFile string `yaml:"password-file"`
	Issuer       string `yaml:"issuer"`
	// Decision per kind: auto or helpdesk.
	Decision        map[ca.RequestKind]ca.Decision `yaml:"decision"`
	MaxCertificates int                            `yaml:"max-certificates"`
	MaxDocument     int64                          `yaml:"max-document"`
	CRLShards       int                            `yaml:"crl-shards"`
	// Mailbox shows everybody's e-mail to anybody on this computer. For demonstrations only.
	Mailbox  bool   `yaml:"mailbox"`
	Test     bool   `yaml:"test"`
	HelpDesk string `yaml:"help-desk"`
	SMTP     struct {
		Host         string `yaml:"host"`
		Port         int    `yaml:"port"`
		TLS          string `yaml:"tls"` // starttls, implicit or none
		Username     string `yaml:"username"`
		PasswordFile string `yaml:"password-file"`
		From         string `yaml:"from"`
	} `yaml:"smtp"`

	dir string
}

// unknownSetting is how the decoder puts it.
var unknownSetting = regexp.MustCompile(`field (\S+) not found in type .*`)

// loadConfiguration reads and checks the file. A key that is not known is an error: a misspelt one would be silently
// without effect.
func loadConfiguration(path string) (*configuration, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, hint(fmt.Errorf("no configuration at %s", path), "make a CA with customs-ca init, or say where one is with --config")
	}
	if err != nil {
		return nil, err
	}
	c := &configuration{}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		var wrong *yaml.TypeError
		if errors.As(err, &wrong) {
			for i, line := range wrong.Errors {
				wrong.Errors[i] = unknownSetting.ReplaceAllString(line, "there is no setting “$1”")
			}
			err = errors.New(strings.Join(wrong.Errors, "; "))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if c.dir, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *configuration) check() error {
	c.Issuer = first(c.Issuer, "stepca")
	c.Listen.Web = first(c.Listen.Web, "127.0.0.1:18080")
	c.Listen.CA = first(c.Listen.CA, "127.0.0.1:18443")
	c.Listen.Status = first(c.Listen.Status, "127.0.0.1:18081")
	c.Listen.Admin = first(c.Listen.Admin, "127.0.0.1:18082")
	c.PasswordFile = first(c.PasswordFile, "password")
	if c.CRLShards == 0 {
		c.CRLShards = defaultShards
	}
	if c.MaxDocument == 0 {
		c.MaxDocument = 15_000_000
	}
	if c.CRLShards < 1 || c.CRLShards > 10000 {
		return errors.New("crl-shards: 1 to 10000")
	}
	if _, ok := issuers[c.Issuer]; !ok {
		return fmt.Errorf("issuer: %q is not known", c.Issuer)
	}
	for name, address := range map[string]string{"public-url": c.PublicURL, "status-url": c.StatusURL, "ca-url": c.CAURL} {
		if err := checkOrigin(address); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !strings.HasPrefix(c.CAURL, "https://") {
		return errors.New("ca-url: https is required")
	}
	if !onLoopback(c.Listen.Admin) {
		return errors.New("listen.admin: loopback only")
	}
	if !onLoopback(c.Listen.Web) && c.WebTLS.Certificate == "" {
		return errors.New("listen.web: beyond loopback web-tls is required")
	}
	switch c.SMTP.TLS {
	case "", "starttls", "implicit", "none":
	default:
		return errors.New("smtp.tls: starttls, implicit or none")
	}
	if c.SMTP.Host != "" && c.SMTP.From == "" {
		return errors.New("smtp.from is missing")
	}
	if c.Mailbox && c.SMTP.Host != "" {
		return errors.New("mailbox: not together with smtp; it shows everybody's messages")
	}
	return nil
}

func checkOrigin(address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q is not an address like https://host:port", address)
	}
	return nil
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// path resolves a path of the configuration.
func (c *configuration) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

// database returns the address with a relative SQLite path resolved.
func (c *configuration) database() string {
	if p, ok := strings.CutPrefix(c.Database, "sqlite://"); ok {
		return "sqlite://" + c.path(filepath.FromSlash(p))
	}
	return c.Database
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

const (
	defaultShards = 8
	clockFormat   = "2006-01-02 15:04:05Z"
)

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(clockFormat)
}
