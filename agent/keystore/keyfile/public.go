package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"certsign/agent"
)

// The limits of a public part, which is read before anything vouches for it.
const (
	maxPublicPart  = 512 << 10
	maxChain       = 10
	maxCertificate = 32 << 10
	maxLabel       = 64   // characters
	maxRSA         = 8192 // bits
)

// publicPart is what is known of a key without its password.
type publicPart struct {
	id      string // hex SHA-256 of the SubjectPublicKeyInfo
	label   string
	spki    []byte
	public  crypto.PublicKey
	chain   [][]byte
	created time.Time
	made    agent.Made
}

// publicFile is a public part as it lies on the disk.
type publicFile struct {
	Version   int       `json:"version"`
	Label     string    `json:"label"`
	PublicKey []byte    `json:"publicKey"` // DER, SubjectPublicKeyInfo
	Chain     [][]byte  `json:"chain"`     // DER, the key's own certificate first
	Created   time.Time `json:"created"`
	// Local is "yes" for a key that was made here, "no" for one that was imported.
	Local agent.Stated `json:"local,omitempty"`
}

const publicVersion = 1

func newPublicPart(public crypto.PublicKey, label string, created time.Time) (*publicPart, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(spki)
	return &publicPart{
		id: hex.EncodeToString(sum[:]), label: label, spki: spki, public: public, created: created.UTC().Truncate(time.Second),
	}, nil
}

// readPublicPart reads a public part that anybody may have written: within the limits, a key of a kind that we make, and a
// chain whose first certificate holds that key.
func readPublicPart(b []byte) (*publicPart, error) {
	if len(b) > maxPublicPart {
		return nil, errors.New("the public part is too long")
	}
	var f publicFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("read public part: %w", err)
	}
	if f.Version != publicVersion {
		return nil, fmt.Errorf("public part of version %d", f.Version)
	}
	public, err := x509.ParsePKIXPublicKey(f.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() > maxRSA {
			return nil, fmt.Errorf("an RSA key of %d bits", public.N.BitLen())
		}
	case *ecdsa.PublicKey:
	default:
		return nil, fmt.Errorf("public key of type %T", public)
	}
	p, err := newPublicPart(public, cleanLabel(f.Label), f.Created)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.spki, f.PublicKey) {
		return nil, errors.New("the public key is not in the one encoding that it has")
	}
	certificates, err := parseChain(f.Chain)
	if err != nil {
		return nil, err
	}
	if len(certificates) > 0 && !samePublic(certificates[0].PublicKey, public) {
		return nil, errors.New("the certificate holds another key")
	}
	switch f.Local {
	case "", agent.StatedYes, agent.StatedNo:
	default:
		return nil, fmt.Errorf("a key made %q", f.Local)
	}
	p.chain = f.Chain
	p.made = agent.Made{Local: f.Local, NeverExtractable: agent.StatedNo} // it is a file
	return p, nil
}

func (p *publicPart) marshal() ([]byte, error) {
	b, err := json.MarshalIndent(publicFile{
		Version: publicVersion, Label: p.label, PublicKey: p.spki, Chain: p.chain, Created: p.created,
		Local: p.made.Local,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write public part: %w", err)
	}
	return append(b, '\n'), nil
}

// fileName is the label as far as every file system takes it, and the start of the ID, which makes it unique.
func (p *publicPart) fileName() string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(p.label)) {
		switch {
		case b.Len() == 40:
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b.WriteRune(r)
		case r == 'ł': // has no decomposition
			b.WriteByte('l')
		case unicode.Is(unicode.Mn, r):
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" {
		name = "key"
	}
	return name + "-" + p.id[:12]
}

// cleanLabel takes control and format characters out of a label, shortens it, and gives it a default.
func cleanLabel(label string) string {
	var b strings.Builder
	n := 0
	for _, r := range norm.NFC.String(strings.ToValidUTF8(label, "")) {
		if !unicode.IsPrint(r) || n == maxLabel {
			continue
		}
		b.WriteRune(r)
		n++
	}
	if cleaned := strings.TrimSpace(b.String()); cleaned != "" {
		return cleaned
	}
	return "CertSign"
}

func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) > maxChain {
		return nil, fmt.Errorf("a chain of %d certificates", len(chain))
	}
	certificates := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		if len(der) > maxCertificate {
			return nil, fmt.Errorf("a certificate of %d octets", len(der))
		}
		var err error
		if certificates[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
	}
	return certificates, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}
