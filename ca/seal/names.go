package seal

import (
	"crypto/x509/pkix"
	"fmt"
	"strings"
)

// attributes are the names by which people know the parts of a distinguished name.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.10": "O", "2.5.4.11": "OU",
	"2.5.4.42": "givenName", "2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.1": "UID",
}

// nameOf writes a distinguished name in the order of the certificate.
func nameOf(n pkix.Name) string { return written(n, func(_, value string) string { return value }) }

// personOf writes a person's distinguished name with the identification number masked.
func personOf(n pkix.Name) string {
	return written(n, func(kind, value string) string {
		if kind == "serialNumber" {
			return maskedNumber(value)
		}
		return value
	})
}

func written(n pkix.Name, value func(kind, value string) string) string {
	parts := make([]string, 0, len(n.Names))
	for _, a := range n.Names {
		kind := a.Type.String()
		if known, ok := attributes[kind]; ok {
			kind = known
		}
		parts = append(parts, kind+"="+value(kind, fmt.Sprint(a.Value)))
	}
	return strings.Join(parts, ", ")
}

// masked writes a person's identity so that its owner knows it and a finder of the paper does not.
func masked(identity string) string {
	m := maskedNumber(identity)
	if number, ok := strings.CutPrefix(m, "PNOPL-"); ok {
		return "PESEL " + number
	}
	return m
}

// maskedNumber keeps the type and country (EN 319 412-1, 5.1.3) and the last four characters.
func maskedNumber(identity string) string {
	kind, number, found := strings.Cut(identity, "-")
	if !found {
		kind, number = "", identity
	} else {
		kind += "-"
	}
	runes := []rune(number)
	for i := range runes {
		if i < len(runes)-4 {
			runes[i] = '*'
		}
	}
	return kind + string(runes)
}
