package agent_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/stretchr/testify/assert"

	"certsign/agent"
	"certsign/internal/testpki"
)

func TestANameIsWrittenWithTheAttributesThatPeopleKnow(t *testing.T) {
	leaf := testpki.Root(t).Leaf(testpki.Subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "TEST Grażyna Łoś"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 42}, Value: "Grażyna"},
		{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "PL123"},
	}}))
	assert.Equal(t, "UID=PL123,givenName=Grażyna,CN=TEST Grażyna Łoś", agent.DistinguishedName(leaf.Certificate.RawSubject))
	assert.Equal(t, "#3101", agent.DistinguishedName([]byte{0x31, 0x01}), "what is no name is shown as it is")
}
