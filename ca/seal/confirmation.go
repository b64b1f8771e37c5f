package seal

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the validity is printed in Polish time wherever the server runs

	"github.com/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"

	"certsign/ca"
	"certsign/internal/pkix"
)

// Paper is what all confirmations of one CA have in common.
type Paper struct {
	// PortalURL is where requests are filed, PolicyURL where the certification policy is; both are printed.
	PortalURL, PolicyURL string
	// HelpDesk is how the help desk is reached, in words that are the same in both languages; may be empty.
	HelpDesk string
	// Test prints across each page that the certificate proves nothing.
	Test bool
}

// Measures in millimetres, on A4.
const (
	margin     = 18.0
	pageWidth  = 210.0
	textWidth  = pageWidth - 2*margin
	labelWidth = 54.0
	bottom     = 20.0
)

// Confirmation returns the PDF "Potwierdzenie wystawienia certyfikatu celnego" with the certificate's verification code. It
// holds no key material; the person's identification number is masked, in the subject's name as well.
func (p Paper) Confirmation(_ context.Context, certificate *ca.Certificate, person *ca.Person, code string) ([]byte, error) {
	if certificate == nil || certificate.X509 == nil || person == nil || code == "" {
		return nil, errors.New("confirmation: a certificate, its holder and a verification code are needed")
	}
	f := p.newPDF(certificate)
	p.head(f, certificate)
	c := certificate.X509
	sum := sha256.Sum256(c.Raw)

	section(f, "Posiadacz", "Holder")
	row(f, "Imię", "Given name", person.GivenName)
	row(f, "Nazwisko", "Surname", person.Surname)
	row(f, "Numer identyfikacyjny", "Identification number", masked(person.Identity))
	row(f, "ID SISC", "ID SISC", person.IDSISC)

	section(f, "Certyfikat", "Certificate")
	mono(f, "Numer seryjny", "Serial number", certificate.Serial)
	mono(f, "Numer seryjny dziesiętnie", "Serial number, decimal", c.SerialNumber.String())
	row(f, "Ważny od", "Valid from", moments(c.NotBefore))
	row(f, "Ważny do", "Valid to", moments(c.NotAfter))
	row(f, "Podmiot", "Subject", personOf(c.Subject))
	row(f, "Wystawca", "Issuer", nameOf(c.Issuer))
	row(f, "Klucz", "Key", keyOf(c))
	mono(f, "Odcisk SHA-256", "SHA-256 fingerprint", pkix.Groups(hex.EncodeToString(sum[:])))

	section(f, "Polityka i stan certyfikatu", "Policy and certificate status")
	for _, oid := range c.Policies {
		row(f, "Polityka certyfikacji", "Certification policy", oid.String())
	}
	row(f, "Dokumenty", "Documents", p.PolicyURL)
	row(f, "Lista CRL", "CRL", strings.Join(c.CRLDistributionPoints, "\n"))
	row(f, "Usługa OCSP", "OCSP service", strings.Join(c.OCSPServer, "\n"))

	codeBox(f, code)
	p.advice(f)

	var b bytes.Buffer
	if err := f.Output(&b); err != nil {
		return nil, fmt.Errorf("confirmation %s: %w", certificate.Serial, err)
	}
	return b.Bytes(), nil
}

func (p Paper) newPDF(certificate *ca.Certificate) *fpdf.Fpdf {
	f := fpdf.New("P", "mm", "A4", "")
	f.AddUTF8FontFromBytes("go", "", goregular.TTF)
	f.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	f.AddUTF8FontFromBytes("gomono", "", gomono.TTF)
	// The same certificate gives the same bytes.
	f.SetCatalogSort(true)
	f.SetCreationDate(certificate.Issued.UTC())
	f.SetModificationDate(certificate.Issued.UTC())
	f.SetTitle("Potwierdzenie wystawienia certyfikatu celnego "+number(certificate), true)
	f.SetSubject("Confirmation of issue of a customs certificate", true)
	f.SetAuthor("Centrum Certyfikacji Ministerstwa Finansów (CCK MF)", true)
	f.SetCreator("customs-ca", true)
	f.SetProducer("customs-ca", true)
	f.SetLang("pl")
	f.SetMargins(margin, margin, margin)
	f.SetAutoPageBreak(true, bottom)
	f.AliasNbPages("{pages}")
	f.SetHeaderFunc(func() {
		if p.Test {
			f.SetFillColor(200, 16, 46)
			f.Rect(0, 0, pageWidth, 9, "F")
			f.SetTextColor(255, 255, 255)
			f.SetFont("go", "B", 9)
			f.SetXY(margin, 2)
			f.CellFormat(textWidth, 5, "TEST – certyfikat testowy, bez skutków prawnych / test certificate, no legal effect", "", 0, "C", false, 0, "")
		}
		f.SetXY(margin, margin)
	})
	f.SetFooterFunc(func() {
		f.SetY(-14)
		f.SetFont("go", "", 8)
		f.SetTextColor(90, 100, 115)
		f.CellFormat(textWidth/2, 5, number(certificate), "", 0, "L", false, 0, "")
		f.CellFormat(textWidth/2, 5, fmt.Sprintf("%d / {pages}", f.PageNo()), "", 0, "R", false, 0, "")
	})
	f.AddPage()
	return f
}

func (p Paper) head(f *fpdf.Fpdf, certificate *ca.Certificate) {
	f.SetTextColor(90, 100, 115)
	f.SetFont("go", "", 9)
	f.MultiCell(textWidth, 4.6, "Centrum Certyfikacji Ministerstwa Finansów (CCK MF)\nMinistry of Finance Certification Center", "", "L", false)
	f.Ln(3)
	f.SetTextColor(18, 58, 107)
	f.SetFont("go", "B", 18)
	f.MultiCell(textWidth, 8, "Potwierdzenie wystawienia certyfikatu celnego", "", "L", false)
	f.SetFont("go", "", 12)
	f.MultiCell(textWidth, 6, "Confirmation of issue of a customs certificate", "", "L", false)
	f.SetDrawColor(18, 58, 107)
	f.SetLineWidth(.6)
	f.Line(margin, f.GetY()+2, pageWidth-margin, f.GetY()+2)
	f.SetLineWidth(.2)
	f.Ln(4)
	row(f, "Numer", "Number", number(certificate))
	row(f, "Data wystawienia", "Date of issue", moments(certificate.Issued))
}

func section(f *fpdf.Fpdf, pl, en string) {
	room(f, 18)
	f.Ln(2.5)
	f.SetTextColor(18, 58, 107)
	f.SetFont("go", "B", 11.5)
	f.CellFormat(f.GetStringWidth(pl)+2, 6, pl, "", 0, "L", false, 0, "")
	f.SetFont("go", "", 9.5)
	f.SetTextColor(90, 100, 115)
	f.CellFormat(0, 6, "/ "+en, "", 1, "L", false, 0, "")
	f.SetDrawColor(205, 212, 222)
	f.Line(margin, f.GetY()+.4, pageWidth-margin, f.GetY()+.4)
	f.Ln(1.4)
}

func row(f *fpdf.Fpdf, pl, en, value string) { line(f, pl, en, value, "go", 10) }

func mono(f *fpdf.Fpdf, pl, en, value string) { line(f, pl, en, value, "gomono", 9) }

// line writes a label in both languages and its value beside it.
func line(f *fpdf.Fpdf, pl, en, value, font string, size float64) {
	if value == "" {
		return
	}
	const height = 4.5
	f.SetFont(font, "", size)
	lines := 0
	for _, part := range strings.Split(value, "\n") {
		lines += len(f.SplitText(part, textWidth-labelWidth))
	}
	label := []struct {
		style string
		size  float64
		text  string
	}{{"B", 9, pl}, {"", 8, en}}
	if pl == en {
		label = label[:1]
	}
	tall := max(float64(lines), float64(len(label))*.85) * height
	room(f, tall)
	top := f.GetY()
	for i, l := range label {
		f.SetXY(margin, top+float64(i)*3.8)
		f.SetFont("go", l.style, l.size)
		if l.style == "B" {
			f.SetTextColor(40, 50, 64)
		} else {
			f.SetTextColor(90, 100, 115)
		}
		f.CellFormat(labelWidth-2, height, l.text, "", 0, "L", false, 0, "")
	}
	f.SetXY(margin+labelWidth, top)
	f.SetFont(font, "", size)
	f.SetTextColor(20, 26, 34)
	f.MultiCell(textWidth-labelWidth, height, value, "", "L", false)
	f.SetXY(margin, max(f.GetY(), top+tall)+1.1)
}

// codeBox prints the verification code so that nobody overlooks it.
func codeBox(f *fpdf.Fpdf, code string) {
	room(f, 34)
	f.Ln(3)
	top := f.GetY()
	f.SetFillColor(238, 243, 250)
	f.SetDrawColor(18, 58, 107)
	f.RoundedRect(margin, top, textWidth, 24, 2, "1234", "FD")
	f.SetXY(margin+5, top+3)
	f.SetTextColor(18, 58, 107)
	f.SetFont("go", "B", 10)
	f.CellFormat(f.GetStringWidth("Kod weryfikacyjny")+2, 5, "Kod weryfikacyjny", "", 0, "L", false, 0, "")
	f.SetFont("go", "", 9)
	f.CellFormat(60, 5, "/ Verification code", "", 1, "L", false, 0, "")
	f.SetXY(margin+5, top+10)
	f.SetTextColor(20, 26, 34)
	f.SetFont("gomono", "", 20)
	f.CellFormat(textWidth-10, 10, code, "", 0, "L", false, 0, "")
	f.SetXY(margin, top+26)
}

// advice is what the holder should do and know, paragraph by paragraph in both languages.
func (p Paper) advice(f *fpdf.Fpdf) {
	desk := ""
	if p.HelpDesk != "" {
		desk = " (" + p.HelpDesk + ")"
	}
	section(f, "Informacje dla posiadacza", "Information for the holder")
	paragraphs := [][2]string{
		{"Sprawdź dane w certyfikacie. Jeżeli są błędne, unieważnij certyfikat, zaktualizuj dane i wystąp o nowy certyfikat.",
			"Check the data in the certificate. If there are errors, revoke it, update the data and apply for a new one."},
		{"Kod weryfikacyjny jest potrzebny do zawieszenia, wznowienia i unieważnienia certyfikatu. Chroń go przed innymi osobami. Wnioski składa się w portalu " +
			p.PortalURL + " (Mój pulpit › Moje dane › Lista certyfikatów celnych) albo przez Help Desk SISC" + desk + ".",
			"The verification code is needed to suspend, resume and revoke the certificate. Keep it from others. Requests are filed in the portal (My desktop › My data › List of customs certificates) or with the SISC Help Desk."},
		{"W przypadku ujawnienia lub podejrzenia ujawnienia klucza prywatnego niezwłocznie zawieś albo unieważnij certyfikat. Klucz prywatny ma tylko posiadacz: nikt nie może go odtworzyć ani odzyskać hasła.",
			"If the private key is disclosed, or may have been, suspend or revoke the certificate at once. Only the holder has the private key: nobody can restore it or recover its password."},
		{"Certyfikat celny nie jest kwalifikowanym certyfikatem podpisu elektronicznego w rozumieniu rozporządzenia (UE) nr 910/2014 (eIDAS). Może służyć do składania zaawansowanego podpisu elektronicznego tam, gdzie dopuszczają to przepisy prawa.",
			"A customs certificate is not a qualified electronic signature certificate in the meaning of Regulation (EU) No 910/2014 (eIDAS). It can be used to place an advanced electronic signature where the law permits that."},
	}
	for _, both := range paragraphs {
		f.SetFont("go", "", 9)
		tall := float64(len(f.SplitText(both[0], textWidth)))*4.3 + float64(len(f.SplitText(both[1], textWidth)))*4
		room(f, tall+2)
		f.SetTextColor(20, 26, 34)
		f.MultiCell(textWidth, 4.3, both[0], "", "L", false)
		f.SetTextColor(90, 100, 115)
		f.SetFont("go", "", 8.5)
		f.MultiCell(textWidth, 4, both[1], "", "L", false)
		f.Ln(1.8)
	}
}

// room starts a new page when what follows would be torn apart.
func room(f *fpdf.Fpdf, height float64) {
	_, pageHeight := f.GetPageSize()
	if f.GetY()+height > pageHeight-bottom {
		f.AddPage()
	}
}

// number is the confirmation's own number: the year of issue and the beginning of the serial number, which is random.
func number(c *ca.Certificate) string {
	serial := strings.ToUpper(c.Serial)
	if len(serial) > 12 {
		serial = serial[:12]
	}
	return fmt.Sprintf("PWC/%d/%s", c.Issued.UTC().Year(), serial)
}

var warsaw = func() *time.Location {
	l, err := time.LoadLocation("Europe/Warsaw")
	if err != nil {
		return time.UTC // never: time/tzdata is linked in
	}
	return l
}()

// moments writes a time in UTC and in Polish time.
func moments(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04:05 UTC") + "   (" + t.In(warsaw).Format("2006-01-02 15:04:05 MST") + ")"
}

func keyOf(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Params().Name
	default:
		return c.PublicKeyAlgorithm.String()
	}
}
