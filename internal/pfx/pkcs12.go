package pfx

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/asn1"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/internal/problem"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}

	oidKeyBag          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedKeyBag  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidSafeContentsBag = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 6}
	oidX509Certificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidFriendlyName    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}

	oidPBMAC1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}

	explicit0 = casn1.Tag(0).Constructed().ContextSpecific()
)

// readPKCS12 reads a PFX (RFC 7292, 4).
func (r *reader) readPKCS12(file []byte) error {
	der, err := definite(file)
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "the PKCS #12 file")
	}
	in := cryptobyte.String(der)
	var pfx cryptobyte.String
	var version int
	if !in.ReadASN1(&pfx, casn1.SEQUENCE) || !pfx.ReadASN1Integer(&version) || version != 3 {
		return unreadable("the PKCS #12 structure")
	}
	oid, content, ok := readContentInfo(&pfx)
	var safe cryptobyte.String
	switch {
	case !ok:
		return unreadable("the PKCS #12 structure")
	case !oid.Equal(oidData):
		return problem.New(problem.Unsupported, "a PKCS #12 file that is protected by another key instead of a password")
	case !content.ReadASN1(&safe, casn1.OCTET_STRING):
		return unreadable("the PKCS #12 structure")
	}
	if !pfx.Empty() {
		if err := r.checkMAC(pfx, safe); err != nil {
			return err
		}
	}
	return r.readSafe(safe)
}

func readContentInfo(in *cryptobyte.String) (oid asn1.ObjectIdentifier, content cryptobyte.String, ok bool) {
	var one cryptobyte.String
	ok = in.ReadASN1(&one, casn1.SEQUENCE) && one.ReadASN1ObjectIdentifier(&oid) && one.ReadASN1(&content, explicit0) && one.Empty()
	return oid, content, ok
}

// readSafe reads an AuthenticatedSafe (RFC 7292, 4.1), whose own encoding may be BER again.
func (r *reader) readSafe(safe []byte) error {
	der, err := definite(safe)
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "the contents of the PKCS #12 file")
	}
	in := cryptobyte.String(der)
	var contents cryptobyte.String
	if !in.ReadASN1(&contents, casn1.SEQUENCE) {
		return unreadable("the list of contents")
	}
	for n := 0; !contents.Empty(); n++ {
		oid, content, ok := readContentInfo(&contents)
		if !ok || n == maxParts {
			return unreadable("the list of contents")
		}
		switch {
		case oid.Equal(oidData):
			var bags cryptobyte.String
			if !content.ReadASN1(&bags, casn1.OCTET_STRING) {
				return unreadable("the list of contents")
			}
			err = r.readBags(bags, 0)
		case oid.Equal(oidEncryptedData):
			err = r.readEncrypted(content)
		default:
			err = problem.New(problem.Unsupported, "a PKCS #12 file whose contents are protected by another key instead of a password")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readEncrypted reads an EncryptedData (RFC 5652, 8) with bags in it.
func (r *reader) readEncrypted(content cryptobyte.String) error {
	var data, inner, algorithm cryptobyte.String
	var version int
	var oid asn1.ObjectIdentifier
	if !content.ReadASN1(&data, casn1.SEQUENCE) || !data.ReadASN1Integer(&version) || !data.ReadASN1(&inner, casn1.SEQUENCE) ||
		!inner.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidData) || !inner.ReadASN1(&algorithm, casn1.SEQUENCE) {
		return unreadable("an encrypted part")
	}
	// EncryptedContent is [0] IMPLICIT OCTET STRING: in one piece, or, from BER, in several.
	var sealed, pieces cryptobyte.String
	switch {
	case inner.ReadOptionalASN1(&sealed, nil, casn1.Tag(0).ContextSpecific()) && len(sealed) > 0:
	case !inner.ReadASN1(&pieces, explicit0):
		return unreadable("an encrypted part")
	default:
		for !pieces.Empty() {
			var piece cryptobyte.String
			if !pieces.ReadASN1(&piece, casn1.OCTET_STRING) {
				return unreadable("an encrypted part")
			}
			sealed = append(sealed, piece...)
		}
	}
	plain, err := r.decrypt(algorithm, sealed)
	if err != nil {
		return err
	}
	defer clear(plain)
	return r.readBags(plain, 0)
}

// maxSafes is how deep SafeContents may lie in each other; one is usual.
const maxSafes = 4

// readBags reads a SafeContents (RFC 7292, 4.2).
func (r *reader) readBags(safe []byte, depth int) error {
	der, err := definite(safe)
	if err != nil {
		return problem.Wrap(problem.DocumentUnreadable, err, "the contents of the PKCS #12 file")
	}
	in := cryptobyte.String(der)
	var bags cryptobyte.String
	if !in.ReadASN1(&bags, casn1.SEQUENCE) || depth > maxSafes {
		return unreadable("a list of keys and certificates")
	}
	for n := 0; !bags.Empty(); n++ {
		var bag, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !bags.ReadASN1(&bag, casn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&oid) || !bag.ReadASN1(&value, explicit0) || n == maxParts {
			return unreadable("a list of keys and certificates")
		}
		label := friendlyName(bag)
		switch {
		case oid.Equal(oidKeyBag):
			err = r.addPKCS8(value, label)
		case oid.Equal(oidShroudedKeyBag):
			err = r.addEncrypted(value, label)
		case oid.Equal(oidCertBag):
			err = r.addCertBag(value)
		case oid.Equal(oidSafeContentsBag):
			err = r.readBags(value, depth+1)
		} // CRLs and secrets are nothing to us
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) addCertBag(value cryptobyte.String) error {
	var bag, content, der cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !value.ReadASN1(&bag, casn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&oid) || !bag.ReadASN1(&content, explicit0) {
		return unreadable("a certificate")
	}
	if !oid.Equal(oidX509Certificate) {
		return nil
	}
	if !content.ReadASN1(&der, casn1.OCTET_STRING) {
		return unreadable("a certificate")
	}
	return r.addCertificate(der)
}

// friendlyName returns the name among a bag's attributes (RFC 7292, 4.2; RFC 2985, 5.5.1: a BMPString), or "".
func friendlyName(bag cryptobyte.String) string {
	var attributes, one, values, name cryptobyte.String
	if !bag.ReadASN1(&attributes, casn1.SET) {
		return ""
	}
	for !attributes.Empty() {
		var oid asn1.ObjectIdentifier
		if !attributes.ReadASN1(&one, casn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&oid) || !one.ReadASN1(&values, casn1.SET) {
			return ""
		}
		if !oid.Equal(oidFriendlyName) || !values.ReadASN1(&name, casn1.Tag(30)) || len(name)%2 != 0 || len(name) > 512 {
			continue
		}
		units := make([]uint16, len(name)/2)
		for i := range units {
			units[i] = uint16(name[2*i])<<8 | uint16(name[2*i+1])
		}
		return string(utf16.Decode(units))
	}
	return ""
}

// checkMAC reads a MacData (RFC 7292, appendix A) and compares the code over the contents: pin_incorrect.
func (r *reader) checkMAC(in cryptobyte.String, message []byte) error {
	var data, info, algorithm, want, salt cryptobyte.String
	var oid asn1.ObjectIdentifier
	iterations := 1
	if !in.ReadASN1(&data, casn1.SEQUENCE) || !in.Empty() || !data.ReadASN1(&info, casn1.SEQUENCE) ||
		!info.ReadASN1(&algorithm, casn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!info.ReadASN1(&want, casn1.OCTET_STRING) || !data.ReadASN1(&salt, casn1.OCTET_STRING) ||
		!data.Empty() && !data.ReadASN1Integer(&iterations) {
		return unreadable("the authentication code")
	}
	password, err := r.secret()
	if err != nil {
		return err
	}
	if oid.Equal(oidPBMAC1) {
		return r.checkPBMAC1(algorithm, want, message, password)
	}
	digest, ok := hashByDigest(oid)
	if !ok {
		return problem.New(problem.Unsupported, "a PKCS #12 file authenticated with %s", oid)
	}
	for _, encoded := range bmpPasswords(password) {
		if err := r.spend(iterations, 1); err != nil {
			return err
		}
		code := hmac.New(digest.New, derive(digest, idMAC, encoded, salt, iterations, digest.Size()))
		clear(encoded)
		code.Write(message)
		if hmac.Equal(code.Sum(nil), want) {
			return nil
		}
	}
	return errPassword
}

// checkPBMAC1 is the code of RFC 9879 (RFC 8018, 7.1).
func (r *reader) checkPBMAC1(algorithm cryptobyte.String, want, message, password []byte) error {
	var parameters, kdf, scheme cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !algorithm.ReadASN1(&parameters, casn1.SEQUENCE) || !parameters.ReadASN1(&kdf, casn1.SEQUENCE) ||
		!parameters.ReadASN1(&scheme, casn1.SEQUENCE) || !scheme.ReadASN1ObjectIdentifier(&oid) {
		return unreadable("the authentication code")
	}
	digest, ok := hashByHMAC(oid)
	k, err := readPBKDF2(kdf)
	switch {
	case err != nil:
		return err
	// RFC 9879, 4: the length is always given; shorter keys than 20 octets are to be refused.
	case !ok || k.length < 20 || k.length > 64:
		return problem.New(problem.Unsupported, "a PKCS #12 file with another authentication code than RFC 9879 allows")
	}
	if err := r.spend(k.iterations, k.rounds(k.length)); err != nil {
		return err
	}
	key, err := pbkdf2.Key(k.hash.New, string(password), k.salt, k.iterations, k.length)
	if err != nil {
		return problem.Wrap(problem.Unsupported, err, "the authentication code")
	}
	code := hmac.New(digest.New, key)
	code.Write(message)
	if !hmac.Equal(code.Sum(nil), want) {
		return errPassword
	}
	return nil
}

// bmpPasswords are the ways in which programs write a password into a derivation: as a BMPString with its two zero octets
// (RFC 7292, B.1); the empty one also as nothing; and, by old OpenSSL, each octet of UTF-8 as a character.
func bmpPasswords(password []byte) [][]byte {
	units := utf16.Encode([]rune(string(password)))
	bmp := make([]byte, 0, 2*len(units)+2)
	for _, u := range units {
		bmp = append(bmp, byte(u>>8), byte(u))
	}
	clear(units)
	all := [][]byte{append(bmp, 0, 0)}
	switch {
	case len(password) == 0:
		all = append(all, nil)
	case utf8.RuneCount(password) != len(password):
		var octets []byte
		for _, o := range password {
			octets = append(octets, 0, o)
		}
		all = append(all, append(octets, 0, 0))
	}
	return all
}
