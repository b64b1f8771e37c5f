package agent

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"certsign/agent/home"
	"certsign/internal/problem"
)

// Operation is something that a site may ask for.
type Operation string

// The operations.
const (
	MayList   Operation = "certificates"
	MaySign   Operation = "sign"
	MayEnroll Operation = "enroll"
)

// Site is a page's origin and what the agent knows of it: never from the page, always from an installer, an
// administrator or the person. Where an agent enrols stands here.
type Site struct {
	Name   string `yaml:"name"` // as --site takes it; unique, large and small letters being the same
	Origin Origin `yaml:"origin"`
	// CA is the address of the site's own certification authority, https; without it the site cannot enrol.
	CA string `yaml:"ca,omitempty"`
	// Roots are the CA's root certificates, PEM. RootFile is a file that holds them, seen from the agent's folder.
	Roots    string `yaml:"roots,omitempty"`
	RootFile string `yaml:"root-file,omitempty"`
	// Fingerprint, when given, is the SHA-256 of the only root, hex: the file may then lie where others can write.
	Fingerprint string      `yaml:"fingerprint,omitempty"`
	Allow       []Operation `yaml:"allow"`
	// Approved is when the person let the site in, in the agent's own window; zero for an entry made otherwise.
	Approved time.Time `yaml:"approved,omitempty"`

	roots []*x509.Certificate
}

// Certificates returns the site's root certificates; none for a site that was only approved.
func (s Site) Certificates() []*x509.Certificate { return s.roots }

// May tells whether the site may ask for op.
func (s Site) May(op Operation) bool { return slices.Contains(s.Allow, op) }

// Sites is sites.yaml in the agent's folder. It is read again when it has changed, so that a running agent knows at once
// what `certsign sites` did.
type Sites struct {
	home *home.Dir
	mu   sync.Mutex
	seen os.FileInfo // of the file that list was read from
	list []Site
}

const (
	sitesName = "sites.yaml"
	sitesLock = "sites.lock"
	maxSites  = 4 << 20
)

type sitesFile struct {
	Sites []Site `yaml:"sites"`
}

// OpenSites returns the list in that folder; an absent file is an empty list.
func OpenSites(h *home.Dir) *Sites { return &Sites{home: h} }

// All returns the sites in the file's order.
func (l *Sites) All() ([]Site, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.load()
}

func (l *Sites) load() ([]Site, error) {
	fi, err := os.Stat(l.home.Path(sitesName))
	if errors.Is(err, fs.ErrNotExist) {
		l.list, l.seen = nil, nil
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sites: %w", err)
	}
	// A new file replaces the old one, so two changes within the clock's step are two files.
	if l.seen != nil && os.SameFile(fi, l.seen) && fi.ModTime().Equal(l.seen.ModTime()) && fi.Size() == l.seen.Size() {
		return slices.Clone(l.list), nil
	}
	b, err := l.home.Read(sitesName, maxSites)
	if err != nil {
		return nil, err
	}
	var f sitesFile
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, problem.Wrap(problem.BadRequest, err, "%s cannot be read", l.home.Path(sitesName))
	}
	for i := range f.Sites {
		if err := f.Sites[i].check(l.home); err != nil {
			return nil, err
		}
		for _, before := range f.Sites[:i] {
			if strings.EqualFold(before.Name, f.Sites[i].Name) || before.Origin == f.Sites[i].Origin {
				return nil, problem.New(problem.BadRequest, "site %s stands twice in %s", f.Sites[i].Name, sitesName)
			}
		}
	}
	l.list, l.seen = f.Sites, fi
	return slices.Clone(l.list), nil
}

// Find returns the site with that origin; site_unknown when there is none.
func (l *Sites) Find(o Origin) (Site, error) {
	return l.find(func(s Site) bool { return s.Origin == o }, o.String())
}

// Named returns the site with that name; site_unknown when there is none.
func (l *Sites) Named(name string) (Site, error) {
	return l.find(func(s Site) bool { return strings.EqualFold(s.Name, name) }, name)
}

func (l *Sites) find(is func(Site) bool, what string) (Site, error) {
	all, err := l.All()
	if err != nil {
		return Site{}, err
	}
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	return Site{}, problem.New(problem.SiteUnknown, "%s is not on the list of sites", what)
}

// Put adds a site, or replaces the one with the same origin. bad_request when the entry cannot be used or its name is
// another site's.
func (l *Sites) Put(s Site) error {
	if err := s.check(l.home); err != nil {
		return err
	}
	return l.change(func(all []Site) ([]Site, error) {
		all = slices.DeleteFunc(all, func(old Site) bool { return old.Origin == s.Origin })
		if slices.ContainsFunc(all, func(old Site) bool { return strings.EqualFold(old.Name, s.Name) }) {
			return nil, problem.New(problem.BadRequest, "there is another site named %s", s.Name)
		}
		return append(all, s), nil
	})
}

// Remove takes a site off the list; site_unknown when it is not there.
func (l *Sites) Remove(name string) error {
	return l.change(func(all []Site) ([]Site, error) {
		n := len(all)
		all = slices.DeleteFunc(all, func(s Site) bool { return strings.EqualFold(s.Name, name) })
		if len(all) == n {
			return nil, problem.New(problem.SiteUnknown, "%s is not on the list of sites", name)
		}
		return all, nil
	})
}

func (l *Sites) change(do func([]Site) ([]Site, error)) error {
	lock, err := l.home.Lock(sitesLock)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = nil
	all, err := l.load()
	if err != nil {
		return err
	}
	if all, err = do(all); err != nil {
		return err
	}
	b, err := yaml.Marshal(sitesFile{Sites: all})
	if err != nil {
		return fmt.Errorf("write sites: %w", err)
	}
	l.seen = nil
	return l.home.Write(sitesName, append([]byte(sitesHead), b...))
}

const sitesHead = `# The sites that may talk to CertSign on this computer; see "certsign sites --help".
`

var siteName = regexp.MustCompile(`^[\pL\pN][\pL\pN ._-]{0,63}$`)

// check validates an entry and reads its roots.
func (s *Site) check(h *home.Dir) error {
	bad := func(format string, args ...any) error {
		return problem.New(problem.BadRequest, "site %q: "+format, append([]any{s.Name}, args...)...)
	}
	if !siteName.MatchString(s.Name) {
		return bad("a name is 1 to 64 letters, digits, spaces, dots or dashes")
	}
	if s.Origin == (Origin{}) || s.Origin == LocalOrigin {
		return bad("it has no origin")
	}
	for _, op := range s.Allow {
		if op != MayList && op != MaySign && op != MayEnroll {
			return bad("%q is not something a site may do", op)
		}
	}
	pemRoots := []byte(s.Roots)
	if s.RootFile != "" {
		path := s.RootFile
		if !filepath.IsAbs(path) {
			path = h.Path(path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return problem.Wrap(problem.BadRequest, err, "site %q: its root certificate cannot be read", s.Name)
		}
		pemRoots = append(pemRoots, b...)
	}
	roots, err := parsePEM(pemRoots)
	if err != nil {
		return bad("its root certificate is broken")
	}
	if s.Fingerprint != "" {
		want := strings.ToLower(strings.ReplaceAll(s.Fingerprint, ":", ""))
		if len(roots) != 1 {
			return bad("a fingerprint needs exactly one root certificate")
		}
		if sum := sha256.Sum256(roots[0].Raw); hex.EncodeToString(sum[:]) != want {
			return problem.New(problem.CAMismatch, "site %q: its root certificate has another fingerprint", s.Name)
		}
	}
	s.roots = roots
	if s.CA == "" {
		if s.May(MayEnroll) {
			return bad("it may enrol and has no CA")
		}
		return nil
	}
	u, err := url.Parse(s.CA)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return bad("its CA is not an https address")
	}
	s.CA = strings.TrimRight(s.CA, "/")
	if len(roots) == 0 {
		return bad("its CA has no root certificate")
	}
	return nil
}

// parsePEM reads the certificates in b; other text between them is passed over, other PEM blocks are an error.
func parsePEM(b []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a PEM block %s is no certificate", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read root certificate: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 && len(bytes.TrimSpace(b)) > 0 {
		return nil, errors.New("not PEM")
	}
	return all, nil
}
