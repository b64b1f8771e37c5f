package seal_test

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/ca/seal"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

func confirmed(t *testing.T) (*ca.Certificate, *ca.Person) {
	t.Helper()
	person := &ca.Person{GivenName: "Grażyna", Surname: "Żółć-Świętosławska", Country: "PL", Identity: "PNOPL-44051401359", IDSISC: "PL907050300000001"}
	subject, err := ca.SubjectOf(*person)
	require.NoError(t, err)
	root := testpki.Root(t, testpki.Named("TEST Główne Centrum Certyfikacji"))
	issuing := root.Intermediate(testpki.Named("TEST CCK Użytkowników Zewnętrznych Służby Celnej"))
	leaf := issuing.Leaf(testpki.RawSubject(subject), testpki.CRLAt("http://status.example.test/crl/external-3.crl"),
		testpki.OCSPAt("http://status.example.test/ocsp"), testpki.Policies("2.25.313614783650927290743788372219043569588"))
	parsed, err := x509.ParseCertificate(leaf.DER)
	require.NoError(t, err)
	return &ca.Certificate{
		Serial: hex.EncodeToString(parsed.SerialNumber.Bytes()), DER: leaf.DER, X509: parsed, State: ca.Active, Issued: testpki.Clock,
	}, person
}

var paper = seal.Paper{PortalURL: "https://portal.example.test", PolicyURL: "https://portal.example.test/docs/cp", HelpDesk: "helpdesk@example.test", Test: true}

const code = "7KQ2-M9XD-41TB-C"

// pdfText writes the PDF, also to CERTSIGN_SHOW for looking at, and returns its text.
func pdfText(t *testing.T, pdf []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "confirmation.pdf")
	require.NoError(t, os.WriteFile(file, pdf, 0o600))
	if dir := os.Getenv("CERTSIGN_SHOW"); dir != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "confirmation.pdf"), pdf, 0o600))
	}
	out, err := exec.Command(testtool.Need(t, "pdftotext"), "-layout", file, "-").Output()
	require.NoError(t, err)
	return string(out)
}

func TestPdftotextReadsTheConfirmationWithItsPolishLetters(t *testing.T) {
	c, person := confirmed(t)
	pdf, err := paper.Confirmation(context.Background(), c, person, code)
	require.NoError(t, err)
	text := pdfText(t, pdf)
	for _, want := range []string{
		"Potwierdzenie wystawienia certyfikatu celnego", "Confirmation of issue of a customs certificate", "Grażyna", "Żółć-Świętosławska",
		"PL907050300000001", "PESEL *******1359", c.Serial, c.X509.SerialNumber.String(), code, "2.25.313614783650927290743788372219043569588",
		"http://status.example.test/crl/external-3.crl", "http://status.example.test/ocsp", "Użytkowników Zewnętrznych Służby",
		"Kod weryfikacyjny", "nie jest kwalifikowanym certyfikatem", "unieważnij certyfikat", "2026-03-02 09:00:00 UTC", "10:00:00 CET", "EC P-256", "TEST",
	} {
		assert.Contains(t, text, want)
	}
	assert.Regexp(t, regexp.MustCompile(`PWC/2026/[0-9A-F]+`), text)
}

func TestTheConfirmationNeverShowsTheWholeIdentificationNumber(t *testing.T) {
	c, person := confirmed(t)
	pdf, err := paper.Confirmation(context.Background(), c, person, code)
	require.NoError(t, err)
	text := strings.Join(strings.Fields(pdfText(t, pdf)), "")
	assert.NotContains(t, text, "44051401359")
	assert.Contains(t, text, "serialNumber=PNOPL-*******1359", "the subject's name is printed with the number masked")
}

func TestTheSameCertificateGivesTheSameBytes(t *testing.T) {
	c, person := confirmed(t)
	first, err := paper.Confirmation(context.Background(), c, person, code)
	require.NoError(t, err)
	second, err := paper.Confirmation(context.Background(), c, person, code)
	require.NoError(t, err)
	assert.Equal(t, first, second)
}

func TestTheConfirmationHasTitleAndLanguageAndClaimsNoSeal(t *testing.T) {
	c, person := confirmed(t)
	pdf, err := paper.Confirmation(context.Background(), c, person, code)
	require.NoError(t, err)
	assert.Contains(t, string(pdf), "/Lang (pl)")
	file := filepath.Join(t.TempDir(), "confirmation.pdf")
	require.NoError(t, os.WriteFile(file, pdf, 0o600))
	out, err := exec.Command(testtool.Need(t, "pdfinfo"), file).Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), "Potwierdzenie wystawienia certyfikatu celnego")
	assert.Contains(t, string(out), "A4")
	fonts, err := exec.Command(testtool.Need(t, "pdffonts"), file).Output()
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(fonts)), "\n")[2:] {
		assert.Contains(t, line, "yes", "each font is embedded: %s", line)
	}
	text := strings.ToLower(pdfText(t, pdf))
	assert.NotContains(t, text, "pieczę")
	assert.NotContains(t, text, " seal")
}

func TestAConfirmationNeedsACertificateAHolderAndACode(t *testing.T) {
	c, person := confirmed(t)
	for name, give := range map[string]func() ([]byte, error){
		"no certificate": func() ([]byte, error) { return paper.Confirmation(context.Background(), nil, person, code) },
		"no holder":      func() ([]byte, error) { return paper.Confirmation(context.Background(), c, nil, code) },
		"no code":        func() ([]byte, error) { return paper.Confirmation(context.Background(), c, person, "") },
	} {
		t.Run(name, func(t *testing.T) {
			pdf, err := give()
			require.Error(t, err)
			assert.Nil(t, pdf)
		})
	}
}
