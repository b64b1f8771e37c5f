package seal_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/ca/seal"
	"certsign/internal/ades"
	"certsign/internal/ades/format/xades"
	"certsign/internal/ades/validate"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

func receipt() ca.Receipt {
	signedAt := testpki.Clock.Add(-time.Minute)
	return ca.Receipt{
		Reference: "DOC-2026-000123", Received: testpki.Clock, DocumentID: "abc", DocumentName: "zgłoszenie <celne> & \"spółka\".xml",
		MIME: "application/xml", Size: 20480, SHA256: "aa11", DraftSHA256: "bb22", Sender: "jan@example.test",
		Person:      ca.Person{GivenName: "Józef", Surname: "Żółć-Gęśla", Identity: "PNOPL-44051401359", IDSISC: "PL907050300000001"},
		Certificate: "0f1e2d",
		Report: &ades.Report{Policy: "puesc", Signatures: []ades.SignatureReport{{
			Format: ades.XAdES, Level: ades.LevelBB, Indication: ades.TotalPassed, SignedAt: &signedAt,
		}}},
	}
}

func newSeal(t *testing.T, kind testpki.KeyKind) (*seal.Seal, *testpki.Authority, *testpki.Leaf) {
	t.Helper()
	root := testpki.Root(t)
	leaf := root.Leaf(testpki.Named("TEST Pieczęć"), testpki.WithKind(kind))
	s, err := seal.New(leaf.Key, leaf.Chain(), xades.Codec{}, func() time.Time { return testpki.Clock })
	require.NoError(t, err)
	return s, root, leaf
}

func TestASealedReceiptIsAValidSignatureOverTheWholeReceipt(t *testing.T) {
	for _, kind := range []testpki.KeyKind{testpki.RSA2048, testpki.P256} {
		t.Run(string(kind), func(t *testing.T) {
			s, root, _ := newSeal(t, kind)
			sealed, err := s.Seal(context.Background(), receipt())
			require.NoError(t, err)

			unverified, err := xades.Codec{}.Parse(context.Background(), ades.Document{Name: "r.xml", Content: bytes.NewReader(sealed)})
			require.NoError(t, err)
			policy := validate.Portal(ades.Anchors{{Certificate: root.DER}})
			report, err := validate.Validate(unverified, ades.Evidence{At: testpki.Clock, CRLs: [][]byte{root.CRL(testpki.CRL{})}}, policy)
			require.NoError(t, err)
			require.Len(t, report.Signatures, 1)
			assert.Equal(t, ades.TotalPassed, report.Indication(), report.Signatures[0].Reasons)
			assert.Equal(t, ades.CoversWhole, report.Signatures[0].Covers)
		})
	}
}

func TestXMLSec1VerifiesASealedReceipt(t *testing.T) {
	xmlsec := testtool.Need(t, "xmlsec1")
	s, root, _ := newSeal(t, testpki.P256)
	sealed, err := s.Seal(context.Background(), receipt())
	require.NoError(t, err)
	dir := t.TempDir()
	file, anchor := filepath.Join(dir, "receipt.xml"), filepath.Join(dir, "root.der")
	require.NoError(t, os.WriteFile(file, sealed, 0o600))
	require.NoError(t, os.WriteFile(anchor, root.DER, 0o600))
	out, err := exec.Command(xmlsec, "--verify", "--enabled-key-data", "x509", "--id-attr:Id",
		"http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--trusted-der", anchor, "--verification-gmt-time", "2026-03-02 09:00:00", file).CombinedOutput()
	require.NoError(t, err, string(out))

	changed := bytes.Replace(sealed, []byte("DOC-2026-000123"), []byte("DOC-2026-000124"), 1)
	require.NoError(t, os.WriteFile(file, changed, 0o600))
	out, err = exec.Command(xmlsec, "--verify", "--enabled-key-data", "x509", "--id-attr:Id",
		"http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--trusted-der", anchor, "--verification-gmt-time", "2026-03-02 09:00:00", file).CombinedOutput()
	require.Error(t, err, string(out))
}

func TestAReceiptNamesWhatWasReceivedFromWhomAndWhen(t *testing.T) {
	s, _, _ := newSeal(t, testpki.P256)
	sealed, err := s.Seal(context.Background(), receipt())
	require.NoError(t, err)
	var r struct {
		XMLName   xml.Name
		Reference string
		Received  string
		Result    string
		Document  struct {
			Name, SHA256, UnsignedSHA256 string
			Size                         int64
		}
		Submitter        struct{ GivenName, Surname, IDSISC, Account string }
		CheckedSignature struct{ CertificateSerial, Indication, Policy string }
	}
	require.NoError(t, xml.Unmarshal(sealed, &r))
	assert.Equal(t, xml.Name{Space: seal.Namespace, Local: "Receipt"}, r.XMLName)
	assert.Equal(t, "DOC-2026-000123", r.Reference)
	assert.Equal(t, "2026-03-02T09:00:00Z", r.Received)
	assert.Equal(t, "accepted", r.Result)
	assert.Equal(t, "zgłoszenie <celne> & \"spółka\".xml", r.Document.Name)
	assert.Equal(t, "aa11", r.Document.SHA256)
	assert.Equal(t, "bb22", r.Document.UnsignedSHA256)
	assert.EqualValues(t, 20480, r.Document.Size)
	assert.Equal(t, "Żółć-Gęśla", r.Submitter.Surname)
	assert.Equal(t, "PL907050300000001", r.Submitter.IDSISC)
	assert.Equal(t, "0f1e2d", r.CheckedSignature.CertificateSerial)
	assert.Equal(t, "TOTAL-PASSED", r.CheckedSignature.Indication)
	assert.NotContains(t, string(sealed), "44051401359", "the identification number is not needed in a receipt")
}

func TestNothingIsSealedThatWasNotFoundValid(t *testing.T) {
	s, _, _ := newSeal(t, testpki.P256)
	for name, report := range map[string]*ades.Report{
		"no report":              nil,
		"no signature":           {},
		"a failed signature":     {Signatures: []ades.SignatureReport{{Indication: ades.TotalFailed}}},
		"an undecided signature": {Signatures: []ades.SignatureReport{{Indication: ades.Indeterminate}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := receipt()
			r.Report = report
			sealed, err := s.Seal(context.Background(), r)
			require.Error(t, err)
			assert.Nil(t, sealed)
		})
	}
}

type cades struct{ xades.Codec }

func (cades) Format() ades.Format { return ades.CAdES }

type broken struct{ xades.Codec }

func (broken) Sign(context.Context, io.Writer, ades.SignRequest) error {
	return errors.New("token removed")
}

func TestASealRefusesWhatCouldNotSeal(t *testing.T) {
	root := testpki.Root(t)
	leaf, other := root.Leaf(testpki.Named("A")), root.Leaf(testpki.Named("B"))
	for name, make := range map[string]func() error{
		"no key":                         func() error { _, err := seal.New(nil, leaf.Chain(), xades.Codec{}, nil); return err },
		"no chain":                       func() error { _, err := seal.New(leaf.Key, nil, xades.Codec{}, nil); return err },
		"another format":                 func() error { _, err := seal.New(leaf.Key, leaf.Chain(), cades{}, nil); return err },
		"the key of another certificate": func() error { _, err := seal.New(other.Key, leaf.Chain(), xades.Codec{}, nil); return err },
		"bytes that are no certificate":  func() error { _, err := seal.New(leaf.Key, [][]byte{{1}}, xades.Codec{}, nil); return err },
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, make()) })
	}
	s, err := seal.New(leaf.Key, leaf.Chain(), broken{}, nil)
	require.NoError(t, err)
	sealed, err := s.Seal(context.Background(), receipt())
	require.ErrorContains(t, err, "DOC-2026-000123")
	assert.Nil(t, sealed)
}
