package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"certsign/ca/portal"
	"certsign/ca/sqlstore"
	"certsign/internal/problem"
)

// minPassword is how many characters the password of a root's key has at least. A test's may be shorter.
const minPassword = 20

// initFlags are the questions that a key ceremony asks.
type initFlags struct {
	dir, passwordFile, database string
	publicURL, statusURL, caURL string
	hosts                       []string
	hsm, tokenLabel, pinFile    string
	test                        bool

	mailbox bool // for a test on this computer alone
}

func initCommand() *cobra.Command {
	f := &initFlags{}
	c := &cobra.Command{
		Use:   "init --dir DIR [--test]",
		Short: "the key ceremony: root, issuing CA, OCSP, seal, server keys and the configuration",
		Long: `init makes a new CA in a new folder: keys and certificates of the root, the issuing CA for external users, the OCSP
responder, the electronic seal and the CA's own server; an empty database; and customs-ca.yaml. It never touches a folder
that exists and is not empty.

--status-url and --public-url are written in every certificate and cannot change while one is valid.
With --test each name carries the word TEST, addresses default to this computer, and a password is made up.`,
		Example: `  customs-ca init --dir ca --test
  customs-ca init --dir /var/lib/customs-ca --password-file /etc/customs-ca.password --public-url https://portal.example \
    --status-url http://status.example --ca-url https://ca.example`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%q: name the folder with --dir", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	c.Flags().StringVar(&f.dir, "dir", "", "folder to make")
	c.Flags().BoolVar(&f.test, "test", false, "a test hierarchy on this computer")
	c.Flags().StringVar(&f.publicURL, "public-url", "", "address of the portal")
	c.Flags().StringVar(&f.statusURL, "status-url", "", "address of OCSP and CRLs, http")
	c.Flags().StringVar(&f.caURL, "ca-url", "", "address of the CA for agents, https")
	c.Flags().StringArrayVar(&f.hosts, "host", nil, "further name or address of the CA's server (repeatable)")
	c.Flags().StringVar(&f.database, "database", "", "sqlite://PATH or postgres://… (default sqlite://customs-ca.db)")
	c.Flags().StringVar(&f.passwordFile, "password-file", "", fmt.Sprintf("file with the password that encrypts the keys: at least %d characters", minPassword))
	c.Flags().StringVar(&f.hsm, "hsm", "", "PKCS #11 module that makes and keeps the keys")
	c.Flags().StringVar(&f.tokenLabel, "token", "", "the token's label, with --hsm")
	c.Flags().StringVar(&f.pinFile, "pin-file", "", "file with the token's PIN, with --hsm")
	for _, name := range []string{"hsm", "token", "pin-file"} {
		c.Flags().Lookup(name).Hidden = true // until a version supports them
	}
	return c
}

func (f *initFlags) check() error {
	if f.dir == "" {
		return usage("--dir is missing")
	}
	if f.hsm != "" || f.tokenLabel != "" || f.pinFile != "" {
		return hint(problem.New(problem.Unsupported, "keys in a hardware module are not supported by this version"),
			"leave out --hsm, --token and --pin-file; keys are then files encrypted under --password-file")
	}
	if f.test {
		f.publicURL = first(f.publicURL, "http://localhost:18080")
		f.statusURL = first(f.statusURL, "http://localhost:18081")
		f.caURL = first(f.caURL, "https://localhost:18443")
	}
	const fixed = ": it is fixed in certificates for two years, so it is asked now"
	for _, a := range []struct {
		flag  string
		value *string
		why   string
	}{{"--public-url", &f.publicURL, fixed}, {"--status-url", &f.statusURL, fixed}, {"--ca-url", &f.caURL, ""}} {
		if *a.value == "" {
			return usage("%s is missing%s", a.flag, a.why)
		}
		if err := checkOrigin(*a.value); err != nil {
			return usage("%s: %v", a.flag, err)
		}
		*a.value = strings.TrimSuffix(*a.value, "/")
	}
	public, err := url.Parse(f.publicURL)
	if err != nil {
		return err
	}
	here := portal.IsLoopback(public.Hostname())
	if public.Scheme == "http" && !here {
		return usage("--public-url: https is required; plain http is for this computer only")
	}
	f.mailbox = f.test && here
	if !strings.HasPrefix(f.caURL, "https://") {
		return usage("--ca-url: https is required")
	}
	if !strings.HasPrefix(f.statusURL, "http://") {
		// RFC 5280, 8: status over https could need the status of its own server first.
		return usage("--status-url: plain http is required; its answers are signed")
	}
	if f.passwordFile == "" && !f.test {
		return usage("--password-file is missing")
	}
	f.database = first(f.database, "sqlite://customs-ca.db")
	if scheme, _, ok := strings.Cut(f.database, "://"); !ok || scheme != "sqlite" && scheme != "postgres" && scheme != "postgresql" {
		return usage("--database: %q is neither sqlite://PATH nor postgres://…", scheme)
	}
	return nil
}

func (f *initFlags) run(ctx context.Context, out io.Writer) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	if entries, err := os.ReadDir(f.dir); err == nil && len(entries) > 0 {
		return hint(fmt.Errorf("%s is not empty", f.dir), "name a folder that does not exist: a ceremony never overwrites keys")
	}
	password := []byte(randomHex(24))
	if f.passwordFile != "" {
		if password, err = readPassword(f.passwordFile, "--password-file"); err != nil {
			return err
		}
		if !f.test && utf8.RuneCount(password) < minPassword {
			return hint(fmt.Errorf("the password in %s is too short: at least %d characters, since it encrypts the root's key", f.passwordFile, minPassword),
				"make one with: openssl rand -hex 24 > %s", f.passwordFile)
		}
		if f.passwordFile, err = filepath.Abs(f.passwordFile); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	// The database first: it is what may not be there, and keys left behind would bar the way to another try.
	if err := f.migrate(ctx); err != nil {
		return err
	}
	if f.passwordFile == "" {
		f.passwordFile = "password"
		if err := writeNew(filepath.Join(f.dir, f.passwordFile), append(password, '\n'), 0o600); err != nil {
			return err
		}
	}
	caURL, err := url.Parse(f.caURL)
	if err != nil {
		return err
	}
	hosts := []string{caURL.Hostname()}
	for _, host := range append([]string{"localhost", "127.0.0.1", "::1"}, f.hosts...) {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	made := ceremony{now: time.Now().UTC(), statusURL: f.statusURL, caHosts: hosts}
	if f.test {
		made.marker = "TEST "
	}
	h, err := made.run()
	if err != nil {
		return err
	}
	if err := f.write(h, password, hosts[1:]); err != nil {
		return err
	}
	root := h.certificates[rootName]
	fmt.Fprintf(out, "made %s\n", filepath.Join(f.dir, configFile))
	fmt.Fprintf(out, "root %s\nroot-sha256 %x\n", root.Subject, sha256.Sum256(root.Raw))
	fmt.Fprintf(out, "issuer %s\n", h.certificates[issuingName].Subject)
	if !f.test {
		fmt.Fprintf(out, "next: move %s to a medium that is kept off line; serve does not need it\n", keyPath(f.dir, rootName))
	}
	return nil
}

func (f *initFlags) write(h *hierarchy, password []byte, names []string) error {
	for name, key := range h.keys {
		if err := writeKey(f.dir, name, key, password); err != nil {
			return err
		}
	}
	for name, c := range h.certificates {
		if err := writeCertificate(f.dir, name, c); err != nil {
			return err
		}
	}
	return errors.Join(
		writeNew(filepath.Join(f.dir, rootCRLFile), h.rootCRL, 0o644),
		writeNew(filepath.Join(f.dir, codesFile), []byte(randomHex(32)+"\n"), 0o600),
		writeNew(filepath.Join(f.dir, configFile), []byte(f.configuration(names)), 0o600),
	)
}

func (f *initFlags) migrate(ctx context.Context) error {
	c := configuration{dir: f.dir, Database: f.database}
	store, err := sqlstore.Open(ctx, c.database())
	if err != nil {
		return err
	}
	_, err = store.Migrate(ctx)
	return errors.Join(err, store.Close())
}

// configuration writes customs-ca.yaml with a comment for each key.
func (f *initFlags) configuration(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return fmt.Sprintf(`# Configuration of customs-ca. Relative paths start at this file's folder.

# sqlite://PATH, or postgres://USER@HOST/NAME for several instances of the CA on one database.
database: %q

# Addresses. public-url and status-url are written in every certificate: leave them as long as one is valid.
public-url: %q   # the portal, for people
status-url: %q   # OCSP, CRLs and CA certificates, for relying parties
ca-url: %q   # the CA, for agents
ca-names: [%s]   # further names in the CA server's certificate

# Where to listen. Port 0 takes a free one; the lines "listening NAME ADDRESS" tell which.
# web beyond loopback needs web-tls; admin (metrics, health) is for loopback only.
listen:
  web: %q
  ca: %q
  status: %q
  admin: "127.0.0.1:%s"
# web-tls: {certificate: portal.crt, key: portal.pem}

# The password that the key files are encrypted under.
password-file: %q

# The CA backend.
issuer: stepca

# Who decides: auto (with the right verification code, at once) or helpdesk.
decision:
  suspend: auto
  resume: helpdesk
  revoke: helpdesk

max-certificates: 3      # active or suspended, for one person
max-document: 15728640   # octets of one document to send
crl-shards: %d            # CRLs that certificates are spread over; may grow, must not shrink

# Everybody's e-mail on a page that anybody on this computer can read. For demonstrations.
mailbox: %t
# The word TEST and a warning on every page and paper.
test: %t
# How people reach the help desk, printed in confirmations.
help-desk: ""

# Without a host, messages wait in the database.
# smtp: {host: mail.example, port: 587, tls: starttls, username: ca, password-file: smtp.password, from: "csd@example.test"}
`, f.database, f.publicURL, f.statusURL, f.caURL, strings.Join(quoted, ", "),
		listenOn(f.publicURL, "18080"), listenOn(f.caURL, "18443"), listenOn(f.statusURL, "18081"), adminPort(f.test, f.publicURL),
		f.passwordFile, defaultShards, f.mailbox, f.test)
}

// listenOn is the loopback address with the port of a URL that means this computer, else with the default port: what the
// outside sees is then a proxy's.
func listenOn(address, port string) string {
	if u, err := url.Parse(address); err == nil && u.Port() != "" && onLoopback(u.Host) {
		port = u.Port()
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// adminPort is the default one, or a free one where the others were moved from theirs.
func adminPort(test bool, publicURL string) string {
	if u, err := url.Parse(publicURL); test && err == nil && u.Port() != "18080" {
		return "0"
	}
	return "18082"
}
