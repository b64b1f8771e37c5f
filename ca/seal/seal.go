// Package seal makes the papers that the CA gives people: receipts under its electronic seal, and confirmations of issue.
//
// A receipt is an XML document in a namespace of our own, modelled on an official confirmation of receipt, with a XAdES B-B
// seal enveloped in it (EN 319 132-1) that the given codec makes. A confirmation is a PDF for printing, in Polish and
// English, the same bytes each time for the same certificate; it bears no seal and does not claim one.
//
// It decides nothing and checks no signature: what stands in a receipt has been judged by package ca. Names and file names
// in it come from people and are written as text.
package seal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"certsign/ca"
	"certsign/internal/ades"
)

// Namespace is that of a receipt's elements.
const Namespace = "urn:certsign:customs:receipt:1"

// Seal seals receipts with one key. It is safe for concurrent use when the key is.
type Seal struct {
	key   crypto.Signer
	chain [][]byte
	codec ades.Codec
	now   func() time.Time
}

var _ ca.Sealer = (*Seal)(nil)

// New returns a seal. The chain is DER, the seal's own certificate first; the codec must be one for XAdES; now is the clock,
// time.Now when nil. It fails when the key is not the certificate's.
func New(key crypto.Signer, chain [][]byte, codec ades.Codec, now func() time.Time) (*Seal, error) {
	if key == nil || codec == nil || len(chain) == 0 {
		return nil, errors.New("seal: a key, its chain and a codec are needed")
	}
	if codec.Format() != ades.XAdES {
		return nil, fmt.Errorf("seal: receipts are XML and need a XAdES codec, not %s", codec.Format())
	}
	certificate, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("seal certificate: %w", err)
	}
	public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, errors.New("seal: the certificate is for another key")
	}
	if now == nil {
		now = time.Now
	}
	return &Seal{key: key, chain: chain, codec: codec, now: now}, nil
}

// Seal returns the sealed receipt.
func (s *Seal) Seal(ctx context.Context, receipt ca.Receipt) ([]byte, error) {
	unsealed, err := marshal(receipt)
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	err = s.codec.Sign(ctx, &sealed, ades.SignRequest{
		Document: ades.Document{
			Name: receipt.Reference + ".xml", MIME: "application/xml", Content: bytes.NewReader(unsealed),
		},
		Packaging: ades.Enveloped, Level: ades.LevelBB, Key: s.key, Chain: s.chain, Time: s.now().UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("seal receipt %s: %w", receipt.Reference, err)
	}
	return sealed.Bytes(), nil
}

// The elements of a receipt, in order.
type receiptXML struct {
	XMLName   xml.Name     `xml:"urn:certsign:customs:receipt:1 Receipt"`
	Titles    []titleXML   `xml:"Title"`
	Reference string       `xml:"Reference"`
	Received  string       `xml:"Received"` // xs:dateTime, UTC
	Result    string       `xml:"Result"`   // always "accepted": what is refused gets no receipt
	Document  documentXML  `xml:"Document"`
	Submitter submitterXML `xml:"Submitter"`
	Checked   []checkedXML `xml:"CheckedSignature"`
}

type titleXML struct {
	Lang string `xml:"http://www.w3.org/XML/1998/namespace lang,attr"`
	Text string `xml:",chardata"`
}

type documentXML struct {
	ID        string `xml:"Id"`
	Name      string `xml:"Name"`
	MediaType string `xml:"MediaType"`
	// Size and SHA256 are those of the signed document as it was received; UnsignedSHA256 of the document before.
	Size           int64  `xml:"Size"`
	SHA256         string `xml:"SHA256"`
	UnsignedSHA256 string `xml:"UnsignedSHA256"`
}

type submitterXML struct {
	GivenName string `xml:"GivenName"`
	Surname   string `xml:"Surname"`
	IDSISC    string `xml:"IDSISC"`
	Account   string `xml:"Account"`
}

type checkedXML struct {
	CertificateSerial string `xml:"CertificateSerial"` // hex
	Format            string `xml:"Format,omitempty"`
	Level             string `xml:"Level,omitempty"`
	Indication        string `xml:"Indication"` // EN 319 102-1, 5.1.3
	SignedAt          string `xml:"ClaimedSigningTime,omitempty"`
	Policy            string `xml:"Policy,omitempty"`
}

func marshal(r ca.Receipt) ([]byte, error) {
	if r.Report == nil || r.Report.Indication() != ades.TotalPassed {
		return nil, fmt.Errorf("seal receipt %s: the document was not found valid", r.Reference)
	}
	doc := receiptXML{
		Titles:    []titleXML{{"pl", "Urzędowe poświadczenie odbioru"}, {"en", "Official confirmation of receipt"}},
		Reference: r.Reference,
		Received:  r.Received.UTC().Format(time.RFC3339),
		Result:    "accepted",
		Document: documentXML{
			ID: r.DocumentID, Name: r.DocumentName, MediaType: r.MIME, Size: r.Size, SHA256: r.SHA256, UnsignedSHA256: r.DraftSHA256,
		},
		Submitter: submitterXML{GivenName: r.Person.GivenName, Surname: r.Person.Surname, IDSISC: r.Person.IDSISC, Account: r.Sender},
	}
	for _, s := range r.Report.Signatures {
		c := checkedXML{
			CertificateSerial: r.Certificate, Format: string(s.Format), Level: string(s.Level), Indication: string(s.Indication), Policy: r.Report.Policy,
		}
		if s.SignedAt != nil {
			c.SignedAt = s.SignedAt.UTC().Format(time.RFC3339)
		}
		doc.Checked = append(doc.Checked, c)
	}
	b, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("receipt %s: %w", r.Reference, err)
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}
