package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// The attribute types of a customs certificate's subject.
var (
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSurname      = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName    = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	// RFC 4519, 2.39: uid. It holds the ID SISC.
	oidUserID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
)

// OIDUserID is the attribute type that holds the ID SISC in a subject.
func OIDUserID() asn1.ObjectIdentifier { return append(asn1.ObjectIdentifier(nil), oidUserID...) }

// SubjectOf returns the DER name of a person's certificate. Everything in it comes from the registry; nothing comes from a
// CSR. It names no entity that the person represents and no e-mail address.
func SubjectOf(p Person) ([]byte, error) {
	// EN 319 412-2, 4.2.4: country, common name, given name and surname, serialNumber. RFC 5280, 4.1.2.4: UTF8String;
	// country and serialNumber are PrintableString by definition (RFC 5280, A.1).
	name := pkix.RDNSequence{
		rdn(oidCountry, asn1.TagPrintableString, p.Country),
		rdn(oidCommonName, asn1.TagUTF8String, p.FullName()),
		rdn(oidSurname, asn1.TagUTF8String, p.Surname),
		rdn(oidGivenName, asn1.TagUTF8String, p.GivenName),
		rdn(oidSerialNumber, asn1.TagPrintableString, p.Identity),
		rdn(oidUserID, asn1.TagUTF8String, p.IDSISC),
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		return nil, fmt.Errorf("subject name: %w", err)
	}
	return der, nil
}

func rdn(id asn1.ObjectIdentifier, tag int, value string) pkix.RelativeDistinguishedNameSET {
	return pkix.RelativeDistinguishedNameSET{{Type: id, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}}
}
