package xades

import (
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"certsign/internal/ades"
	"certsign/internal/xmldsig"
)

// Names of older editions that are read: TS 101 903 v1.1.1 and v1.2.2.
const (
	namespace111 = "http://uri.etsi.org/01903/v1.1.1#"
	namespace122 = "http://uri.etsi.org/01903/v1.2.2#"
)

// isXAdES tells whether a namespace is that of QualifyingProperties in some edition.
func isXAdES(space string) bool {
	return space == namespace132 || space == namespace122 || space == namespace111
}

func isETSI(space string) bool { return isXAdES(space) || space == namespace141 }

func isSignedPropertiesType(t string) bool {
	return t == typeSignedProperties || t == namespace132+"SignedProperties" || t == namespace122+"SignedProperties" || t == namespace111+"SignedProperties"
}

// properties are a signature's own qualifying properties.
type properties struct {
	space    string
	signed   xmldsig.Node // SignedProperties
	unsigned xmldsig.Node // UnsignedSignatureProperties
}

// qualifying finds QualifyingProperties by their place: a child of an Object that is a child of the signature. EN 319
// 132-1, 4.3.1 and 4.4.1: one of each, and Target names the signature.
func (p *parsing) qualifying() properties {
	var out properties
	found := 0
	for _, object := range p.sig.Objects {
		for q := range object.Elements() {
			if q.Name().Local != "QualifyingProperties" || !isXAdES(q.Name().Space) {
				continue
			}
			if found++; found > 1 {
				p.defect("a second QualifyingProperties")
				return properties{}
			}
			out.space = q.Name().Space
			if target, _ := q.Attr("", "Target"); p.sig.ID == "" || target != "#"+p.sig.ID {
				p.defect("the Target of the qualifying properties is another than their own signature")
			}
			out.signed = p.one(q, out.space, "SignedProperties")
			out.unsigned = p.one(p.one(q, out.space, "UnsignedProperties"), out.space, "UnsignedSignatureProperties")
		}
	}
	return out
}

// one returns the only child of that name; a second one is a defect, and then there is none.
func (p *parsing) one(parent xmldsig.Node, space, local string) xmldsig.Node {
	var out xmldsig.Node
	for c := range parent.Elements() {
		if !c.Is(space, local) {
			continue
		}
		if out.Exists() {
			p.defect("a second %s", local)
			return xmldsig.Node{}
		}
		out = c
	}
	return out
}

// signedProperties reads what the signed properties say; it is called only where a reference signs them.
func (p *parsing) signedProperties() {
	space := p.props.space
	about := p.one(p.props.signed, space, "SignedSignatureProperties")
	if t := p.one(about, space, "SigningTime"); t.Exists() {
		p.signingTime(t)
	}
	for version, name := range []string{"SigningCertificate", "SigningCertificateV2"} {
		for c := range p.one(about, space, name).Elements() {
			if c.Is(space, "Cert") {
				p.signingCertificate(c, version+1)
			}
		}
	}
	for _, name := range []string{"SignerRole", "SignerRoleV2"} {
		roles := p.one(p.one(about, space, name), space, "ClaimedRoles")
		for r := range roles.Elements() {
			if r.Is(space, "ClaimedRole") {
				p.out.ClaimedRoles = append(p.out.ClaimedRoles, role(r))
			}
		}
	}
	p.dataObjects()
}

// signingTime reads xsd:dateTime; one without a zone is taken as UTC.
func (p *parsing) signingTime(el xmldsig.Node) {
	text, err := xmldsig.Content(el)
	if err == nil {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
			if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
				p.out.ClaimedSigningTime = t.UTC()
				return
			}
		}
	}
	p.defect("SigningTime is no time")
}

// signingCertificate reads a Cert of SigningCertificate (version 1) or SigningCertificateV2.
func (p *parsing) signingCertificate(cert xmldsig.Node, version int) {
	digest := p.one(cert, p.props.space, "CertDigest")
	// DigestMethod and DigestValue are the elements of XML Signature; TS 101 903 v1.1.1 wraps them in names of its own.
	method := digest.Child(xmldsig.Namespace, "DigestMethod")
	value := digest.Child(xmldsig.Namespace, "DigestValue")
	if p.props.space == namespace111 && !method.Exists() {
		method, value = digest.Child(namespace111, "DigestMethod"), digest.Child(namespace111, "DigestValue")
	}
	ref := ades.CertificateReference{Version: version}
	ref.HashName, _ = method.Attr("", "Algorithm")
	ref.Hash = xmldsig.DigestFor(ref.HashName)
	var err error
	if ref.Digest, err = xmldsig.Base64(value); err != nil {
		p.defect("a reference to the signer's certificate without a readable digest")
		return
	}
	serial := p.one(cert, p.props.space, "IssuerSerial").Child(xmldsig.Namespace, "X509SerialNumber")
	if version == 1 && serial.Exists() {
		if ref.SerialNumber, err = xmldsig.Content(serial); err != nil {
			p.defect("a reference to the signer's certificate without a readable serial number")
			return
		}
		ref.SerialNumber = strings.TrimSpace(ref.SerialNumber)
	}
	p.out.SigningCertificate = append(p.out.SigningCertificate, ref)
}

// role returns a claimed role: its text, or the exclusive canonical form of what it holds where that is markup, as in
// signatures made with the Trusted Profile.
func role(el xmldsig.Node) string {
	var b strings.Builder
	for c := range el.Elements() {
		octets, err := xmldsig.Canonicalization{Kind: xmldsig.Exclusive10}.Bytes(xmldsig.Subtree(c))
		if err != nil {
			return ""
		}
		b.Write(octets)
	}
	if b.Len() == 0 {
		return strings.TrimSpace(el.Text())
	}
	return b.String()
}

// dataObjects checks that each DataObjectFormat describes data that the signature signs: EN 319 132-1, 5.2.4.
func (p *parsing) dataObjects() {
	about := p.one(p.props.signed, p.props.space, "SignedDataObjectProperties")
	for f := range about.Elements() {
		if !f.Is(p.props.space, "DataObjectFormat") {
			continue
		}
		target, _ := f.Attr("", "ObjectReference")
		id, ok := strings.CutPrefix(target, "#")
		if !ok || !p.signs(id) {
			p.defect("a DataObjectFormat describes something that the signature does not sign")
		}
	}
}

// signs tells whether id is that of one of the signature's references, or of one in a manifest it signs.
func (p *parsing) signs(id string) bool {
	if id == "" {
		return false
	}
	for _, r := range p.sig.References {
		if r.ID == id {
			return true
		}
	}
	for _, n := range p.doc.ByID(id) {
		if n.Is(xmldsig.Namespace, "Reference") && n.Parent().Is(xmldsig.Namespace, "Manifest") && n.Inside(p.sig.Element) {
			return true
		}
	}
	return false
}

// certificates collects the certificates and the revocation values that are embedded, in document order.
func (p *parsing) certificates() {
	certificates, crls, faults := p.sig.X509()
	for _, f := range faults {
		p.defect("%s", f)
	}
	p.out.CRLs = crls
	for _, der := range certificates {
		p.certificate(der)
	}
	for el := range p.props.unsigned.Elements() {
		name := el.Name()
		switch {
		case !isETSI(name.Space):
		case name.Local == "CertificateValues" || name.Local == "RevocationValues":
			p.values(el)
		case name.Local == "TimeStampValidationData" || name.Local == "AnyValidationData":
			for inner := range el.Elements() {
				p.values(inner)
			}
		}
	}
}

// values reads CertificateValues or RevocationValues: EN 319 132-1, A.1 and 5.4.
func (p *parsing) values(container xmldsig.Node) {
	for el := range container.Descendants() {
		name := el.Name()
		if !isETSI(name.Space) || !strings.HasPrefix(name.Local, "Encapsulated") {
			continue
		}
		der, err := xmldsig.Base64(el)
		if err != nil {
			p.defect("%s: %s", name.Local, err)
			continue
		}
		switch name.Local {
		case "EncapsulatedX509Certificate":
			p.certificate(der)
		case "EncapsulatedCRLValue":
			p.out.CRLs = append(p.out.CRLs, der)
		case "EncapsulatedOCSPValue":
			p.out.OCSPs = append(p.out.OCSPs, der)
		}
	}
}

func (p *parsing) certificate(der []byte) {
	if !isCertificate(der) {
		p.defect("a certificate value that is no certificate")
		return
	}
	p.out.Certificates = append(p.out.Certificates, der)
}

// isCertificate tells whether der has the outer shape of RFC 5280, 4.1: what is in it is for whoever validates.
func isCertificate(der []byte) bool {
	var outer, part cryptobyte.String
	input := cryptobyte.String(der)
	return input.ReadASN1(&outer, asn1.SEQUENCE) && input.Empty() &&
		outer.ReadASN1(&part, asn1.SEQUENCE) && outer.ReadASN1(&part, asn1.SEQUENCE) &&
		outer.ReadASN1(&part, asn1.BIT_STRING) && outer.Empty()
}

// level is the baseline level of EN 319 132-1, 6 that the structure claims; "" where it is below B-B.
func (p *parsing) level() ades.Level {
	if p.out.ClaimedSigningTime.IsZero() || len(p.out.SigningCertificate) == 0 {
		return ""
	}
	has := func(names ...string) bool {
		for el := range p.props.unsigned.Elements() {
			if !isETSI(el.Name().Space) {
				continue
			}
			for _, n := range names {
				if el.Name().Local == n {
					return true
				}
			}
		}
		return false
	}
	switch {
	case !has("SignatureTimeStamp"):
		return ades.LevelBB
	case !has("RevocationValues", "TimeStampValidationData", "AnyValidationData"):
		return ades.LevelBT
	case !has("ArchiveTimeStamp"):
		return ades.LevelBLT
	}
	return ades.LevelBLTA
}
