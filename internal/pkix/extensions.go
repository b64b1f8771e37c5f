package pkix

import (
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The extensions that are understood (RFC 5280, 4.2; RFC 6960, 4.2.2.2.1; RFC 3739, 3.2.6).
const (
	idSubjectKeyID      = "2.5.29.14"
	idKeyUsage          = "2.5.29.15"
	idSubjectAltName    = "2.5.29.17"
	idIssuerAltName     = "2.5.29.18"
	idBasicConstraints  = "2.5.29.19"
	idNameConstraints   = "2.5.29.30"
	idCRLDistribution   = "2.5.29.31"
	idPolicies          = "2.5.29.32"
	idPolicyMappings    = "2.5.29.33"
	idAuthorityKeyID    = "2.5.29.35"
	idPolicyConstraints = "2.5.29.36"
	idExtendedKeyUsage  = "2.5.29.37"
	idFreshestCRL       = "2.5.29.46"
	idInhibitAnyPolicy  = "2.5.29.54"
	idAuthorityAccess   = "1.3.6.1.5.5.7.1.1"
	idSubjectAccess     = "1.3.6.1.5.5.7.1.11"
	idQCStatements      = "1.3.6.1.5.5.7.1.3"
	idOCSPNoCheck       = "1.3.6.1.5.5.7.48.1.5"

	anyPolicy = "2.5.29.32.0"
	// UsageOCSPSigning is id-kp-OCSPSigning (RFC 6960, 4.2.2.2).
	UsageOCSPSigning = "1.3.6.1.5.5.7.3.9"
	accessOCSP       = "1.3.6.1.5.5.7.48.1"
	accessIssuers    = "1.3.6.1.5.5.7.48.2"
)

// extensions is what the known extensions of a certificate say.
type extensions struct {
	usage              *KeyUsage
	extendedUsages     []string
	isCA               bool
	hasConstraints     bool
	pathLen            int // -1: none
	subjectKeyID       []byte
	authorityKeyID     []byte
	altNames           []generalName
	permitted          []subtree
	excluded           []subtree
	policies           []string // anyPolicy included
	hasPolicies        bool
	mappings           []mapping
	explicitPolicy     int // requireExplicitPolicy; -1: none
	inhibitMapping     int // -1: none
	inhibitAny         int // -1: none
	distributionPoints []distributionPoint
	ocspURLs           []string
	issuerURLs         []string
	noCheck            bool

	fault string // the first known extension that cannot be read, or that occurs twice
	alien string // the first critical extension that is not understood
}

type mapping struct{ issuer, subject string }

// distributionPoint is RFC 5280, 4.2.1.13.
type distributionPoint struct {
	names    []generalName
	relative string // key of the RDN in nameRelativeToCRLIssuer
	reasons  uint32 // 0: all
	issuers  []generalName
}

func (c *Certificate) understand() {
	c.pathLen, c.explicitPolicy, c.inhibitMapping, c.inhibitAny = -1, -1, -1, -1
	seen := make(map[string]bool, len(c.Extensions))
	for _, e := range c.Extensions {
		if seen[e.ID] && c.fault == "" { // RFC 5280, 4.2: not more than one instance
			c.fault = e.ID
		}
		seen[e.ID] = true
		known, ok := c.readExtension(e)
		switch {
		case known && !ok && c.fault == "":
			c.fault = e.ID
		case !known && e.Critical && c.alien == "":
			c.alien = e.ID
		}
	}
}

func (c *Certificate) readExtension(e Extension) (known, ok bool) {
	value := cryptobyte.String(e.Value)
	var inner cryptobyte.String
	inSequence := func() bool { return value.ReadASN1(&inner, cbasn1.SEQUENCE) && value.Empty() }
	switch e.ID {
	case idKeyUsage:
		bits, ok := readBits(&value, cbasn1.BIT_STRING)
		usage := KeyUsage(flags(bits))
		c.usage = &usage
		return true, ok && value.Empty()
	case idExtendedKeyUsage:
		ok = inSequence()
		c.extendedUsages, ok = readOIDs(inner, ok)
		return true, ok && len(c.extendedUsages) > 0
	case idBasicConstraints:
		return true, inSequence() && c.readBasicConstraints(inner)
	case idSubjectKeyID:
		var id cryptobyte.String
		ok = value.ReadASN1(&id, cbasn1.OCTET_STRING)
		c.subjectKeyID = id
		return true, ok
	case idAuthorityKeyID:
		if !inSequence() {
			return true, false
		}
		c.authorityKeyID = readKeyIdentifier(inner)
		return true, true
	case idSubjectAltName:
		if !inSequence() {
			return true, false
		}
		c.altNames, ok = readGeneralNames(inner)
		return true, ok
	case idNameConstraints:
		return true, inSequence() && c.readNameConstraints(inner)
	case idPolicies:
		c.hasPolicies = true
		return true, inSequence() && c.readPolicies(inner)
	case idPolicyMappings:
		return true, inSequence() && c.readMappings(inner)
	case idPolicyConstraints:
		return true, inSequence() && c.readPolicyConstraints(inner)
	case idInhibitAnyPolicy:
		c.inhibitAny, ok = readSmall(&value, cbasn1.INTEGER)
		return true, ok
	case idCRLDistribution:
		if !inSequence() {
			return true, false
		}
		c.distributionPoints, ok = readDistributionPoints(inner)
		return true, ok
	case idAuthorityAccess:
		// Only addresses come from it, so an unreadable one hinders nothing.
		return true, !inSequence() || c.readAccess(inner)
	case idOCSPNoCheck:
		c.noCheck = true
		return true, true
	case idIssuerAltName, idFreshestCRL, idSubjectAccess, idQCStatements:
		return true, true // read by whoever needs them; they constrain no path
	}
	return false, false
}

func readOIDs(s cryptobyte.String, ok bool) ([]string, bool) {
	var out []string
	for ok && !s.Empty() {
		var oid string
		if oid, ok = readOID(&s); len(out) == maxNames {
			return nil, false
		}
		out = append(out, oid)
	}
	return out, ok
}

func (c *Certificate) readBasicConstraints(s cryptobyte.String) bool {
	c.hasConstraints = true
	ok := true
	if s.PeekASN1Tag(cbasn1.BOOLEAN) {
		if c.isCA, ok = readBoolean(&s, cbasn1.BOOLEAN); !ok {
			return false
		}
	}
	if s.PeekASN1Tag(cbasn1.INTEGER) {
		if c.pathLen, ok = readSmall(&s, cbasn1.INTEGER); !ok {
			return false
		}
	}
	return s.Empty()
}

func readKeyIdentifier(s cryptobyte.String) []byte {
	var id cryptobyte.String
	if s.PeekASN1Tag(context0) && s.ReadASN1(&id, context0) {
		return id
	}
	return nil
}

func (c *Certificate) readNameConstraints(s cryptobyte.String) bool {
	for _, part := range []struct {
		tag cbasn1.Tag
		to  *[]subtree
	}{{context0, &c.permitted}, {context1, &c.excluded}} {
		var list cryptobyte.String
		if !s.PeekASN1Tag(part.tag.Constructed()) {
			continue
		}
		if !s.ReadASN1(&list, part.tag.Constructed()) {
			return false
		}
		var ok bool
		if *part.to, ok = readSubtrees(list); !ok {
			return false
		}
	}
	return s.Empty() && len(c.permitted)+len(c.excluded) > 0
}

func (c *Certificate) readPolicies(s cryptobyte.String) bool {
	seen := make(map[string]bool)
	for !s.Empty() {
		var one cryptobyte.String
		if !s.ReadASN1(&one, cbasn1.SEQUENCE) {
			return false
		}
		oid, ok := readOID(&one) // qualifiers, which follow, change nothing in a path
		if !ok || seen[oid] || len(c.policies) == maxNames {
			return false // RFC 5280, 4.2.1.4: not more than once
		}
		seen[oid] = true
		c.policies = append(c.policies, oid)
	}
	return len(c.policies) > 0
}

func (c *Certificate) readMappings(s cryptobyte.String) bool {
	for !s.Empty() {
		var one cryptobyte.String
		if !s.ReadASN1(&one, cbasn1.SEQUENCE) {
			return false
		}
		issuer, ok1 := readOID(&one)
		subject, ok2 := readOID(&one)
		if !ok1 || !ok2 || !one.Empty() || len(c.mappings) == maxNames {
			return false
		}
		c.mappings = append(c.mappings, mapping{issuer, subject})
	}
	return len(c.mappings) > 0
}

func (c *Certificate) readPolicyConstraints(s cryptobyte.String) bool {
	ok := !s.Empty()
	if s.PeekASN1Tag(context0) {
		if c.explicitPolicy, ok = readSmall(&s, context0); !ok {
			return false
		}
	}
	if s.PeekASN1Tag(context1) {
		if c.inhibitMapping, ok = readSmall(&s, context1); !ok {
			return false
		}
	}
	return ok && s.Empty()
}

func (c *Certificate) readAccess(s cryptobyte.String) bool {
	for !s.Empty() {
		var one cryptobyte.String
		if !s.ReadASN1(&one, cbasn1.SEQUENCE) {
			return true
		}
		method, ok := readOID(&one)
		if !ok {
			return true
		}
		at, ok := readGeneralName(&one)
		if !ok || at.kind != uriName {
			continue
		}
		switch {
		case method == accessOCSP && len(c.ocspURLs) < 16:
			c.ocspURLs = append(c.ocspURLs, string(at.value))
		case method == accessIssuers && len(c.issuerURLs) < 16:
			c.issuerURLs = append(c.issuerURLs, string(at.value))
		}
	}
	return true
}

func readDistributionPoints(s cryptobyte.String) ([]distributionPoint, bool) {
	var out []distributionPoint
	for !s.Empty() {
		var one cryptobyte.String
		if !s.ReadASN1(&one, cbasn1.SEQUENCE) || len(out) == 64 {
			return nil, false
		}
		p, ok := distributionPoint{}, true
		if one.PeekASN1Tag(context0.Constructed()) {
			if p.names, p.relative, ok = readPointName(&one); !ok {
				return nil, false
			}
		}
		if one.PeekASN1Tag(context1) {
			bits, ok := readBits(&one, context1)
			if !ok {
				return nil, false
			}
			p.reasons = flags(bits)
		}
		if one.PeekASN1Tag(context2.Constructed()) {
			var list cryptobyte.String
			if !one.ReadASN1(&list, context2.Constructed()) {
				return nil, false
			}
			if p.issuers, ok = readGeneralNames(list); !ok {
				return nil, false
			}
		}
		if !one.Empty() {
			return nil, false
		}
		out = append(out, p)
	}
	return out, len(out) > 0
}

// readPointName reads [0] DistributionPointName: fullName [0] or nameRelativeToCRLIssuer [1].
func readPointName(s *cryptobyte.String) (names []generalName, relative string, ok bool) {
	var choice, list cryptobyte.String
	if !s.ReadASN1(&choice, context0.Constructed()) {
		return nil, "", false
	}
	if choice.PeekASN1Tag(context0.Constructed()) {
		if !choice.ReadASN1(&list, context0.Constructed()) || !choice.Empty() {
			return nil, "", false
		}
		names, ok = readGeneralNames(list)
		return names, "", ok
	}
	_, relative, ok = readRDN(&choice, context1.Constructed())
	return nil, relative, ok && choice.Empty()
}
