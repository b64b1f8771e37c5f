package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"certsign/agent"
	"certsign/internal/ades"
	"certsign/internal/ades/format"
	"certsign/internal/ades/validate"
	"certsign/internal/online"
	"certsign/internal/pkix"
	"certsign/internal/problem"
)

const (
	maxEvidence = 64 << 20
	maxTrust    = 4 << 20
)

type verifyFlags struct {
	trust, crl, ocsp, content []string
	at, policy, report        string
	offline                   bool
}

func (c *command) verifyCommand() *cobra.Command {
	var s verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "validate the signatures of a document by EN 319 102-1",
		Long: `Validates every signature of a document. The status of certificates is fetched from where
they say, unless --offline or --crl and --ocsp give it. Without --trust the roots of the
sites on the list are trusted.

Exit status: 0 each signature is TOTAL-PASSED, 4 some is TOTAL-FAILED, else 3; 1 when the
file holds no signature or cannot be read.`,
		Example: `  certsign verify --trust root.pem declaration.signed.xml
  certsign verify --trust root.pem --crl list.crl --offline --report json declaration.signed.xml`,
		Args: exactly("FILE"),
	}
	f := cmd.Flags()
	f.StringArrayVar(&s.trust, "trust", nil, "file with certificates that are believed, PEM or DER; any certificate can be one")
	f.StringArrayVar(&s.crl, "crl", nil, "file with a CRL, PEM or DER")
	f.StringArrayVar(&s.ocsp, "ocsp", nil, "file with an OCSP response, DER")
	f.StringArrayVar(&s.content, "content", nil, "document that a detached signature is for")
	f.StringVar(&s.at, "at", "", "moment of validation, RFC 3339 (default: now)")
	f.StringVar(&s.policy, "policy", "etsi", "etsi or puesc")
	f.StringVar(&s.report, "report", "text", "text or json")
	f.BoolVar(&s.offline, "offline", false, "fetch nothing")
	cmd.RunE = c.do(func(ctx context.Context, args []string) error {
		if s.report != "text" && s.report != "json" {
			return usagef("--report is text or json", "--report to text albo json")
		}
		policies := map[string]func(ades.Trust) ades.Policy{"etsi": validate.ETSI, "puesc": validate.Portal}
		policy, ok := policies[s.policy]
		if !ok {
			return usagef("--policy is etsi or puesc", "--policy to etsi albo puesc")
		}
		rep, err := c.verify(ctx, args[0], s, policy)
		if err != nil {
			return err
		}
		if c.json || s.report == "json" {
			err = c.printJSON(rep)
		} else {
			err = c.printReport(rep)
		}
		if err != nil {
			return err
		}
		switch rep.Indication() {
		case ades.TotalPassed:
			return nil
		case ades.TotalFailed:
			return exitStatus(exitFailed)
		}
		return exitStatus(exitIndeterminate)
	})
	return cmd
}

func (c *command) verify(ctx context.Context, path string, s verifyFlags, policy func(ades.Trust) ades.Policy) (*ades.Report, error) {
	evidence := ades.Evidence{At: time.Now()}
	if s.at != "" {
		at, err := time.Parse(time.RFC3339, s.at)
		if err != nil {
			return nil, usagef("--at is a moment like 2026-01-31T12:00:00Z", "--at to chwila w postaci 2026-01-31T12:00:00Z")
		}
		evidence.At = at
	}
	var err error
	if evidence.CRLs, err = readDER(s.crl, "X509 CRL", maxEvidence, "--crl", "CRL", "listy CRL"); err != nil {
		return nil, err
	}
	if evidence.OCSPs, err = readDER(s.ocsp, "OCSP RESPONSE", maxEvidence, "--ocsp", "OCSP response", "odpowiedzi OCSP"); err != nil {
		return nil, err
	}
	trust, err := c.trust(s.trust)
	if err != nil {
		return nil, err
	}
	doc, file, err := openDocument(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var detached []ades.Document
	for _, p := range s.content {
		d, f, err := openDocument(p)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		detached = append(detached, d)
	}
	codec, err := format.Recognise(doc)
	if err != nil {
		return nil, err
	}
	unverified, err := codec.Parse(ctx, doc, detached...)
	if err != nil {
		return nil, err
	}
	rep, err := validate.Validate(unverified, evidence, policy(trust))
	if err != nil {
		return nil, err
	}
	if len(rep.Signatures) == 0 {
		return nil, problem.New(problem.NoSignature, "%s", doc.Name)
	}
	if s.offline || rep.Indication() != ades.Indeterminate {
		return rep, nil
	}
	if !c.fetch(ctx, rep, &evidence) {
		return rep, nil
	}
	return validate.Validate(unverified, evidence, policy(trust))
}

// trust is what --trust names, or the roots of the sites on the list.
func (c *command) trust(files []string) (ades.Anchors, error) {
	var trust ades.Anchors
	if len(files) == 0 {
		all, err := agent.OpenSites(c.home).All()
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			for _, r := range s.Certificates() {
				trust = append(trust, ades.Anchor{Certificate: r.Raw})
			}
		}
		return trust, nil
	}
	for _, path := range files {
		ders, err := readDER([]string{path}, "CERTIFICATE", maxTrust, "--trust", "certificate", "certyfikatu")
		if err != nil {
			return nil, err
		}
		for _, der := range ders {
			if _, err := pkix.ParseCertificate(der); err != nil {
				return nil, holdsNo(path, "--trust", "certificate", "certyfikatu", err)
			}
			trust = append(trust, ades.Anchor{Certificate: der})
		}
	}
	return trust, nil
}

// readDER reads the files of an option, which hold PEM blocks of that kind, or DER.
func readDER(paths []string, kind string, max int64, option, what, plWhat string) ([][]byte, error) {
	var all [][]byte
	for _, p := range paths {
		b, err := readBounded(p, max)
		if err != nil {
			return nil, unreadable(p, err)
		}
		if !bytes.Contains(b, []byte("-----BEGIN ")) {
			all = append(all, b)
			continue
		}
		found := false
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == kind {
				all, found = append(all, block.Bytes), true
			}
		}
		if !found {
			return nil, holdsNo(p, option, what, plWhat, nil)
		}
	}
	return all, nil
}

// fetch looks for the status of every certificate that a path was made of, and tells whether it found any.
func (c *command) fetch(ctx context.Context, rep *ades.Report, evidence *ades.Evidence) bool {
	client, err := online.New(online.Config{Proxy: c.config.Proxy, Timeout: 15 * time.Second, AllowLoopback: true})
	if err != nil {
		c.log().Warn("status", "err", err)
		return false
	}
	defer client.Close()
	found, seen := false, map[string]bool{}
	for _, s := range rep.Signatures {
		for n := 0; n+1 < len(s.Chain); n++ {
			if seen[string(s.Chain[n])] {
				continue
			}
			seen[string(s.Chain[n])] = true
			if b, err := client.FetchOCSP(ctx, s.Chain[n], s.Chain[n+1]); err == nil {
				evidence.OCSPs, found = append(evidence.OCSPs, b), true
				continue
			}
			b, err := client.FetchCRL(ctx, s.Chain[n])
			if err != nil {
				fmt.Fprintf(c.errs, "certsign: %s: %s\n", c.say("no status", "brak statusu"), problem.DetailOf(err))
				continue
			}
			evidence.CRLs, found = append(evidence.CRLs, b), true
		}
	}
	return found
}

func (c *command) printReport(rep *ades.Report) error {
	for n, s := range rep.Signatures {
		fmt.Fprintf(c.out, "%s %d: %s\n  %s", c.say("signature", "podpis"), n+1, c.verdict(s), s.Indication)
		if s.SubIndication != "" {
			fmt.Fprintf(c.out, " / %s", s.SubIndication)
		}
		fmt.Fprintln(c.out)
		if len(s.Reasons) > 0 {
			fmt.Fprintf(c.out, "  %s\n", plain(s.Reasons[0]))
		}
		fmt.Fprintf(c.out, "  %s %s, %s\n", s.Format, s.Level, s.Covers)
		if s.Signer.Subject != "" {
			fmt.Fprintf(c.out, "  %s (%s)\n", plain(s.Signer.Subject), s.Signer.Serial)
		}
		if s.SignedAt != nil {
			fmt.Fprintf(c.out, "  %s %s\n", c.say("claimed time", "podany czas"), s.SignedAt.UTC().Format(time.RFC3339))
		}
		if s.Indication == ades.TotalFailed && !c.verbose {
			continue // what else is not known makes no difference
		}
		for _, r := range s.Reasons[min(1, len(s.Reasons)):] {
			fmt.Fprintf(c.out, "  %s: %s\n", c.say("also", "ponadto"), plain(r))
		}
	}
	_, err := fmt.Fprintf(c.out, "%s\n", rep.Indication())
	return err
}

// verdict says in one or two plain sentences what ETSI's words mean.
func (c *command) verdict(s ades.SignatureReport) string {
	first := c.say("It cannot be told whether the signature is valid.", "Nie można stwierdzić, czy podpis jest ważny.")
	switch s.Indication {
	case ades.TotalPassed:
		return c.say("The signature is valid.", "Podpis jest ważny.")
	case ades.TotalFailed:
		first = c.say("The signature is not valid.", "Podpis jest nieważny.")
	}
	why := ""
	switch s.SubIndication {
	case ades.HashFailure:
		why = c.say("The document was changed after it was signed.", "Dokument zmieniono po podpisaniu.")
	case ades.SigCryptoFailure:
		why = c.say("The signature was not made with the key of its certificate, or was changed.", "Podpisu nie złożono kluczem z podanego certyfikatu albo podpis zmieniono.")
	case ades.Revoked, ades.RevokedNoPOE:
		why = c.say("The signer's certificate was revoked or suspended.", "Certyfikat podpisującego unieważniono lub zawieszono.")
	case ades.Expired, ades.OutOfBoundsNoPOE:
		why = c.say("The signer's certificate is outside its validity, and nothing proves an earlier time.",
			"Certyfikat podpisującego jest poza okresem ważności, a nic nie dowodzi wcześniejszego czasu podpisania.")
	case ades.NoCertificateChainFound:
		why = c.say("The signer's certificate does not lead to an authority that is trusted here; see --trust.",
			"Certyfikat podpisującego nie prowadzi do urzędu, który jest tu zaufany; zobacz --trust.")
	case ades.TryLater:
		why = c.say("The status of a certificate is not known.", "Stan certyfikatu jest nieznany.")
	}
	return strings.TrimSpace(first + " " + why)
}
