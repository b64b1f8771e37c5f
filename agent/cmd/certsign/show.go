package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/ades/format"
	"certsign/internal/pkix"
)

func (c *command) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "what is in a certificate, a certificate request or a signed document; nothing is verified",
		Example: "  certsign show declaration.signed.xml", Args: exactly("FILE"),
		RunE: c.do(func(ctx context.Context, args []string) error {
			doc, file, err := openDocument(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			if doc.Content.Size() <= maxTrust {
				b := make([]byte, doc.Content.Size())
				if _, err := doc.Content.ReadAt(b, 0); err != nil {
					return unreadable(args[0], err)
				}
				if facts := describeDER(b); len(facts) > 0 {
					return c.printFacts(facts)
				}
			}
			codec, err := format.Recognise(doc)
			if err != nil {
				return err
			}
			u, err := codec.Parse(ctx, doc)
			if err != nil {
				return err
			}
			var facts []fact
			for _, s := range u.Signatures {
				f := fact{Kind: "unverified-signature", Values: [][2]string{
					{"format", string(s.Format)}, {"claimed level", string(s.Level)}, {"packaging", string(s.Packaging)},
					{"covers", string(s.Coverage)}, {"algorithm", s.Algorithm.Name},
				}}
				if !s.ClaimedSigningTime.IsZero() {
					f.Values = append(f.Values, [2]string{"claimed time", s.ClaimedSigningTime.UTC().Format(time.RFC3339)})
				}
				facts = append(facts, f)
				for _, der := range s.Certificates {
					facts = append(facts, describeDER(der)...)
				}
			}
			return c.printFacts(facts)
		}),
	}
}

// fact is one thing found in a file.
type fact struct {
	Kind   string
	Values [][2]string
}

func (c *command) printFacts(facts []fact) error {
	if c.json {
		list := []map[string]string{}
		for _, f := range facts {
			m := map[string]string{"kind": f.Kind}
			for _, v := range f.Values {
				m[v[0]] = v[1]
			}
			list = append(list, m)
		}
		return c.printJSON(map[string]any{"found": list})
	}
	for _, f := range facts {
		fmt.Fprintf(c.out, "%s\n", f.Kind)
		for _, v := range f.Values {
			if _, err := fmt.Fprintf(c.out, "  %-14s %s\n", v[0], plain(v[1])); err != nil {
				return err
			}
		}
	}
	return nil
}

// describeDER reads PEM or DER: certificates and certificate requests.
func describeDER(b []byte) []fact {
	if !bytes.Contains(b, []byte("-----BEGIN ")) {
		if f, ok := describeCertificate(b); ok {
			return []fact{f}
		}
		if f, ok := describeRequest(b); ok {
			return []fact{f}
		}
		return nil
	}
	var facts []fact
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			if f, ok := describeCertificate(block.Bytes); ok {
				facts = append(facts, f)
			}
		case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
			if f, ok := describeRequest(block.Bytes); ok {
				facts = append(facts, f)
			}
		}
	}
	return facts
}

func describeCertificate(der []byte) (fact, bool) {
	p, err := pkix.ParseCertificate(der)
	if err != nil {
		return fact{}, false
	}
	sum := p.Fingerprint()
	f := fact{Kind: "certificate", Values: [][2]string{
		{"subject", p.Subject.String()}, {"issuer", p.Issuer.String()},
		{"not before", p.NotBefore.UTC().Format(time.RFC3339)}, {"not after", p.NotAfter.UTC().Format(time.RFC3339)},
		{"key", keyName(p.PublicKey)}, {"sha256", hex.EncodeToString(sum[:])},
	}}
	if x, err := x509.ParseCertificate(der); err == nil {
		f.Values = append([][2]string{{"serial", agent.SerialHex(x)}}, f.Values...)
	}
	return f, true
}

func describeRequest(der []byte) (fact, bool) {
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fact{}, false
	}
	sum := sha256.Sum256(der)
	subject, signature := agent.DistinguishedName(r.RawSubject), "valid"
	if subject == "" {
		subject = "(none; the authority decides it)"
	}
	if r.CheckSignature() != nil {
		signature = "not valid"
	}
	return fact{Kind: "certificate-request", Values: [][2]string{
		{"subject", subject}, {"key", keyName(r.PublicKey)}, {"signature", signature}, {"sha256", hex.EncodeToString(sum[:])},
	}}, true
}

func keyName(k crypto.PublicKey) string {
	if a := agent.AlgorithmOf(k); a != "" {
		return string(a)
	}
	return fmt.Sprintf("%T", k)
}
