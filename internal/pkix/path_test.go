package pkix_test

import (
	"crypto"
	"crypto/x509"
	gopkix "crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"certsign/internal/pkix"
	"certsign/internal/testpki"
)

func verifier(t *testing.T, root *testpki.Authority, others ...[]byte) *pkix.Verifier {
	t.Helper()
	v := pkix.NewVerifier([]*pkix.Certificate{parse(t, root.DER)})
	for _, der := range others {
		v.AddCertificate(parse(t, der))
	}
	return v
}

func paths(t *testing.T, v *pkix.Verifier, leaf []byte) []pkix.Path {
	t.Helper()
	return slices.Collect(v.Paths(parse(t, leaf)))
}

func TestPathsAreFound(t *testing.T) {
	root := testpki.Root(t)
	ca := root.Intermediate()
	leaf := ca.Leaf()

	t.Run("through intermediates in any order", func(t *testing.T) {
		found := paths(t, verifier(t, root, leaf.DER, ca.DER, root.DER), leaf.DER)
		require.Len(t, found, 1)
		assert.Equal(t, [][]byte{leaf.DER, ca.DER, root.DER}, found[0].DER())
	})
	t.Run("not without the intermediate", func(t *testing.T) {
		assert.Empty(t, paths(t, verifier(t, root), leaf.DER))
	})
	t.Run("not through a namesake with another key", func(t *testing.T) {
		namesake := root.Intermediate(testpki.WithKey(testpki.Key("a namesake", testpki.P256)))
		assert.Empty(t, paths(t, verifier(t, root, namesake.DER), leaf.DER))
	})
	t.Run("not to a root that is merely offered", func(t *testing.T) {
		other := testpki.Root(t, testpki.Named("TEST other root"))
		assert.Empty(t, paths(t, verifier(t, other, root.DER, ca.DER), leaf.DER))
	})
	t.Run("to an anchor that is an end certificate itself", func(t *testing.T) {
		v := pkix.NewVerifier([]*pkix.Certificate{parse(t, leaf.DER)})
		found := paths(t, v, leaf.DER)
		require.Len(t, found, 1)
		_, err := v.Check(found[0], pkix.Input{At: testpki.Clock})
		require.NoError(t, err)
		_, err = v.Check(found[0], pkix.Input{At: testpki.Clock.AddDate(3, 0, 0)})
		require.Error(t, err)
	})
	t.Run("to an intermediate that is an anchor", func(t *testing.T) {
		assert.Len(t, paths(t, verifier(t, ca), leaf.DER), 1)
	})
	t.Run("through each of two certificates of one CA", func(t *testing.T) {
		other := testpki.Root(t, testpki.Named("TEST other root"))
		cross := ca.Reissue(other)
		v := pkix.NewVerifier([]*pkix.Certificate{parse(t, root.DER), parse(t, other.DER)})
		v.AddCertificate(parse(t, ca.DER))
		v.AddCertificate(parse(t, cross.DER))
		assert.Len(t, paths(t, v, leaf.DER), 2)
	})
	t.Run("and a circle of CAs ends", func(t *testing.T) {
		a := testpki.Root(t, testpki.Named("TEST A"))
		b := testpki.Root(t, testpki.Named("TEST B"))
		assert.Empty(t, paths(t, verifier(t, root, a.Reissue(b).DER, b.Reissue(a).DER), a.Leaf().DER))
	})
	t.Run("and a thicket of cross-certificates costs no more than the budget", func(t *testing.T) {
		var cas []*testpki.Authority
		for i := range 12 {
			cas = append(cas, testpki.Root(t, testpki.Named(fmt.Sprintf("TEST %d", i))))
		}
		v := verifier(t, root)
		for _, a := range cas {
			for _, b := range cas {
				if a != b {
					v.AddCertificate(parse(t, a.Reissue(b).DER))
				}
			}
		}
		begin := time.Now()
		assert.Empty(t, paths(t, v, cas[0].Leaf().DER))
		assert.Less(t, time.Since(begin), 20*time.Second)
	})
}

func TestPathsAreJudged(t *testing.T) {
	uri := func(raw string) *url.URL {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		return u
	}
	permit := func(edit func(*x509.Certificate)) testpki.Option {
		return testpki.Edit(func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = true; edit(c) })
	}
	for _, test := range []struct {
		name     string
		ca, leaf []testpki.Option
		input    pkix.Input
		kind     pkix.FailureKind // "": the path is valid
	}{
		{"a plain path is valid", nil, nil, pkix.Input{}, ""},
		{"an expired CA", []testpki.Option{testpki.Expired()}, nil, pkix.Input{}, pkix.FailedValidity},
		{"an expired leaf", nil, []testpki.Option{testpki.Expired()}, pkix.Input{}, pkix.FailedValidity},
		{"an expired leaf whose validity the caller judges", nil, []testpki.Option{testpki.Expired()}, pkix.Input{AnyTimeForLeaf: true}, ""},
		{"a leaf that is not valid yet", nil, []testpki.Option{testpki.NotYetValid()}, pkix.Input{}, pkix.FailedValidity},
		{"a CA that is none", []testpki.Option{testpki.NotCA()}, nil, pkix.Input{}, pkix.FailedConstraints},
		{"a CA that may not sign certificates", []testpki.Option{testpki.Usage(x509.KeyUsageCRLSign)}, nil, pkix.Input{}, pkix.FailedConstraints},
		{"an unknown critical extension of the CA", []testpki.Option{testpki.Extension(asn1.ObjectIdentifier{1, 2, 3}, true, asn1.NullBytes)}, nil, pkix.Input{}, pkix.FailedExtension},
		{"an unknown critical extension of the leaf", nil, []testpki.Option{testpki.Extension(asn1.ObjectIdentifier{1, 2, 3}, true, asn1.NullBytes)}, pkix.Input{}, pkix.FailedExtension},
		{"an unknown extension that is not critical", nil, []testpki.Option{testpki.Extension(asn1.ObjectIdentifier{1, 2, 3}, false, asn1.NullBytes)}, pkix.Input{}, ""},
		{"a DNS name that is permitted", []testpki.Option{permit(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"mf.test"} })},
			[]testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.DNSNames = []string{"a.MF.test"} })}, pkix.Input{}, ""},
		{"a DNS name that merely ends alike", []testpki.Option{permit(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"mf.test"} })},
			[]testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.DNSNames = []string{"evilmf.test"} })}, pkix.Input{}, pkix.FailedConstraints},
		{"an excluded DNS name", []testpki.Option{permit(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"mf.test"} })},
			[]testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.DNSNames = []string{"x.mf.test"} })}, pkix.Input{}, pkix.FailedConstraints},
		{"an e-mail address outside", []testpki.Option{permit(func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"mf.test"} })},
			[]testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.EmailAddresses = []string{"jan@a.mf.test"} })}, pkix.Input{}, pkix.FailedConstraints},
		{"an IP address outside", []testpki.Option{permit(func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}}
		})}, []testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.IPAddresses = []net.IP{{11, 0, 0, 1}} })}, pkix.Input{}, pkix.FailedConstraints},
		{"an IP address inside", []testpki.Option{permit(func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}}
		})}, []testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.IPAddresses = []net.IP{{10, 9, 9, 9}} })}, pkix.Input{}, ""},
		{"a URI without a host where hosts are excluded", []testpki.Option{permit(func(c *x509.Certificate) { c.ExcludedURIDomains = []string{"mf.test"} })},
			[]testpki.Option{testpki.Edit(func(c *x509.Certificate) { c.URIs = []*url.URL{uri("urn:a:b")} })}, pkix.Input{}, pkix.FailedConstraints},
		{"a policy that is asked for and there", []testpki.Option{testpki.Policies("1.2.3")}, []testpki.Option{testpki.Policies("1.2.3")},
			pkix.Input{Policies: []string{"1.2.3"}, ExplicitPolicy: true}, ""},
		{"a policy that is asked for and not there", []testpki.Option{testpki.Policies("1.2.3")}, []testpki.Option{testpki.Policies("1.2.3")},
			pkix.Input{Policies: []string{"1.2.4"}, ExplicitPolicy: true}, pkix.FailedPolicy},
		{"a policy under a CA of any", []testpki.Option{testpki.Policies("2.5.29.32.0")}, []testpki.Option{testpki.Policies("1.2.3")},
			pkix.Input{Policies: []string{"1.2.3"}, ExplicitPolicy: true}, ""},
		{"a policy that the CA does not have", []testpki.Option{testpki.Policies("1.2.4")}, []testpki.Option{testpki.Policies("1.2.3")},
			pkix.Input{ExplicitPolicy: true}, pkix.FailedPolicy},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := testpki.Root(t)
			ca := root.Intermediate(test.ca...)
			leaf := ca.Leaf(test.leaf...)
			v := verifier(t, root, ca.DER)
			found := paths(t, v, leaf.DER)
			require.Len(t, found, 1)
			test.input.At = testpki.Clock
			_, err := v.Check(found[0], test.input)
			if test.kind == "" {
				require.NoError(t, err)
				return
			}
			var failure *pkix.Failure
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, test.kind, failure.Kind, failure)
		})
	}
}

func TestStatusIsFoundOut(t *testing.T) {
	const shard = "http://crl.test/1.crl"
	root := testpki.Root(t)
	ca := root.Intermediate()
	leaf := ca.Leaf(testpki.CRLAt(shard), testpki.WithKind(testpki.P384))
	serial := leaf.Certificate.SerialNumber
	stranger := testpki.Root(t, testpki.Named("TEST stranger"))
	later := func(d time.Duration) time.Time { return testpki.Clock.Add(d) }

	onlyCA := []byte{0x30, 0x03, 0x82, 0x01, 0xff}
	onlySome := []byte{0x30, 0x04, 0x83, 0x02, 0x06, 0x40} // keyCompromise alone
	critical := gopkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: asn1.NullBytes}
	delta := func(base byte) gopkix.Extension {
		return gopkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, base}}
	}
	revoked := func(reason int) []testpki.Revocation { return []testpki.Revocation{{Serial: serial, Reason: reason}} }

	for _, test := range []struct {
		name   string
		crls   []testpki.CRL
		ocsps  [][]byte
		others [][]byte
		state  pkix.State
		reason int
	}{
		{name: "nothing is known without evidence", state: pkix.Unclear},
		{name: "an empty list says good", crls: []testpki.CRL{{Shard: shard}}, state: pkix.Good},
		{name: "a list for every point says good", crls: []testpki.CRL{{}}, state: pkix.Good},
		{name: "a list for another point says nothing", crls: []testpki.CRL{{Shard: "http://crl.test/2.crl"}}, state: pkix.Unclear},
		{name: "a list of CAs only says nothing", crls: []testpki.CRL{{IDP: onlyCA}}, state: pkix.Unclear},
		{name: "a list for some reasons only does not say good", crls: []testpki.CRL{{IDP: onlySome}}, state: pkix.Unclear},
		{name: "a list for some reasons only says revoked", crls: []testpki.CRL{{IDP: onlySome, Revoked: revoked(1)}}, state: pkix.Revoked, reason: 1},
		{name: "a list with a critical extension that is not understood says nothing",
			crls: []testpki.CRL{{Extensions: []gopkix.Extension{critical}}}, state: pkix.Unclear},
		{name: "a list that somebody else signed says nothing", crls: []testpki.CRL{{Signer: stranger.Key}}, state: pkix.Unclear},
		{name: "an old list does not say good", crls: []testpki.CRL{{ThisUpdate: later(-48 * time.Hour)}}, state: pkix.Unclear},
		{name: "an old list says revoked", crls: []testpki.CRL{{ThisUpdate: later(-48 * time.Hour), Revoked: []testpki.Revocation{{Serial: serial, Reason: 4, At: later(-50 * time.Hour)}}}},
			state: pkix.Revoked, reason: 4},
		{name: "an old list does not say on hold", crls: []testpki.CRL{{ThisUpdate: later(-48 * time.Hour), Revoked: []testpki.Revocation{{Serial: serial, Reason: 6, At: later(-50 * time.Hour)}}}},
			state: pkix.Unclear},
		{name: "hold is revoked with reason 6", crls: []testpki.CRL{{Revoked: revoked(6)}}, state: pkix.Revoked, reason: 6},
		{name: "a later list releases from hold", crls: []testpki.CRL{{Revoked: revoked(6)}, {Number: 2, ThisUpdate: later(time.Second)}}, state: pkix.Good},
		{name: "a later list does not release from revocation", crls: []testpki.CRL{{Revoked: revoked(5)}, {Number: 2, ThisUpdate: later(time.Second)}}, state: pkix.Revoked, reason: 5},
		{name: "a revocation in the future has not happened", crls: []testpki.CRL{{Revoked: []testpki.Revocation{{Serial: serial, Reason: 1, At: later(time.Hour)}}}}, state: pkix.Good},
		{name: "a delta alone says nothing", crls: []testpki.CRL{{Number: 2, Extensions: []gopkix.Extension{delta(1)}}}, state: pkix.Unclear},
		{name: "a delta adds a revocation", crls: []testpki.CRL{{}, {Number: 2, Extensions: []gopkix.Extension{delta(1)}, Revoked: revoked(1)}}, state: pkix.Revoked, reason: 1},
		{name: "a delta releases from hold", crls: []testpki.CRL{{Revoked: revoked(6)}, {Number: 2, Extensions: []gopkix.Extension{delta(1)}, Revoked: revoked(8)}}, state: pkix.Good},
		{name: "a delta does not release from revocation", crls: []testpki.CRL{{Revoked: revoked(1)}, {Number: 2, Extensions: []gopkix.Extension{delta(1)}, Revoked: revoked(8)}}, state: pkix.Revoked, reason: 1},
		{name: "a delta for a later base says nothing", crls: []testpki.CRL{{}, {Number: 4, Extensions: []gopkix.Extension{delta(3)}, Revoked: revoked(1)}}, state: pkix.Good},
		{name: "the issuer's response says good", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{})}, state: pkix.Good},
		{name: "a response with a SHA-256 CertID says good", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Hash: crypto.SHA256})}, state: pkix.Good},
		{name: "a delegated responder's response says good", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Responder: ca.Responder()})}, state: pkix.Good},
		{name: "a response on hold is revoked with reason 6", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Status: ocsp.Revoked, Reason: 6})}, state: pkix.Revoked, reason: 6},
		{name: "a response that does not know says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Status: ocsp.Unknown})}, state: pkix.Unclear},
		{name: "a replayed old response says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{ThisUpdate: later(-72 * time.Hour)})}, state: pkix.Unclear},
		{name: "a response with a broken signature says nothing", ocsps: [][]byte{testpki.Wrong(ca.OCSP(serial, testpki.Response{}))}, state: pkix.Unclear},
		{name: "a responder without OCSPSigning says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Responder: ca.Responder(testpki.ExtendedUsage())})}, state: pkix.Unclear},
		{name: "another subscriber as responder says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Responder: ca.Leaf(testpki.Named("TEST thief"))})}, state: pkix.Unclear},
		{name: "a responder of the CA above says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Responder: root.Responder()})}, state: pkix.Unclear},
		{name: "a responder of a stranger says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Responder: stranger.Responder()})}, others: [][]byte{stranger.DER}, state: pkix.Unclear},
		{name: "an expired responder says nothing", ocsps: [][]byte{ca.OCSP(serial, testpki.Response{Responder: ca.Responder(testpki.Expired())})}, state: pkix.Unclear},
		{name: "a response of a namesake CA says nothing", ocsps: [][]byte{root.Intermediate(testpki.WithKey(testpki.Key("namesake", testpki.P256))).OCSP(serial, testpki.Response{})}, state: pkix.Unclear},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := verifier(t, root, append(test.others, ca.DER)...)
			for _, c := range test.crls {
				l, err := pkix.ParseCRL(ca.CRL(c))
				require.NoError(t, err)
				v.AddCRL(l)
			}
			for _, der := range test.ocsps {
				r, err := pkix.ParseOCSP(der)
				require.NoError(t, err)
				v.AddOCSP(r)
			}
			found := paths(t, v, leaf.DER)
			require.NotEmpty(t, found)
			_, err := v.Check(found[0], pkix.Input{At: later(time.Minute)})
			require.NoError(t, err)
			status := v.Status(found[0], 0, later(time.Minute), 0)
			assert.Equal(t, test.state, status.State, status.Why)
			assert.Equal(t, test.reason, status.Reason)
			if test.state == pkix.Unclear && len(test.crls)+len(test.ocsps) > 0 && status.Why == "" {
				assert.Contains(t, []string{"a list of CAs only says nothing", "a delta alone says nothing", "a response of a namesake CA says nothing"}, test.name, "a reason is missing")
			}
		})
	}
}

func TestARequestIsAnsweredByItsOwnCertID(t *testing.T) {
	root := testpki.Root(t)
	leaf := root.Leaf()
	der, err := pkix.OCSPRequest(parse(t, leaf.DER), parse(t, root.DER))
	require.NoError(t, err)
	want, err := ocsp.CreateRequest(leaf.Certificate, root.Certificate, nil)
	require.NoError(t, err)
	assert.Equal(t, want, der)
}
