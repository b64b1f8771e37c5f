package pkix_test

import (
	"testing"
	"time"

	"certsign/internal/pkix"
	"certsign/internal/testpki"
)

func FuzzParseCertificate(f *testing.F) {
	root := testpki.Root(f)
	f.Add(root.DER)
	f.Add(root.Leaf(testpki.CRLAt("http://a.test/"), testpki.OCSPAt("http://b.test/"), testpki.Policies("2.25.1")).DER)
	f.Add(root.Leaf(testpki.WithKind(testpki.RSA1024)).DER)
	anchor, err := pkix.ParseCertificate(root.DER)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, der []byte) {
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			return
		}
		_, _, _ = c.Subject.String(), c.CRLURLs(), pkix.KeyBits(c.PublicKey)
		v := pkix.NewVerifier([]*pkix.Certificate{anchor})
		v.AddCertificate(c)
		for p := range v.Paths(c) {
			_, _ = v.Check(p, pkix.Input{At: testpki.Clock, ExplicitPolicy: true})
		}
		// A certificate put straight into a path, so that the judging code sees it whatever its signature is.
		_, _ = v.Check(pkix.Path{c, c, anchor}, pkix.Input{At: testpki.Clock})
	})
}

func FuzzParseCRL(f *testing.F) {
	root := testpki.Root(f)
	leaf := root.Leaf(testpki.CRLAt("http://a.test/"))
	f.Add(root.CRL(testpki.CRL{Shard: "http://a.test/", Revoked: []testpki.Revocation{{Serial: leaf.Certificate.SerialNumber, Reason: 6}}}))
	p := fuzzPath(f, leaf.DER, root.DER)
	f.Fuzz(func(_ *testing.T, der []byte) {
		l, err := pkix.ParseCRL(der)
		if err != nil {
			return
		}
		v := pkix.NewVerifier(p[1:])
		v.AddCRL(l)
		_ = v.Status(p, 0, testpki.Clock.Add(time.Minute), 0)
	})
}

func FuzzParseOCSP(f *testing.F) {
	root := testpki.Root(f)
	leaf := root.Leaf()
	f.Add(root.OCSP(leaf.Certificate.SerialNumber, testpki.Response{}))
	f.Add(root.OCSP(leaf.Certificate.SerialNumber, testpki.Response{Status: 1, Reason: 6, Responder: root.Responder()}))
	p := fuzzPath(f, leaf.DER, root.DER)
	f.Fuzz(func(_ *testing.T, der []byte) {
		r, err := pkix.ParseOCSP(der)
		if err != nil {
			return
		}
		v := pkix.NewVerifier(p[1:])
		v.AddOCSP(r)
		_ = v.Status(p, 0, testpki.Clock.Add(time.Minute), 0)
	})
}

func fuzzPath(f *testing.F, chain ...[]byte) pkix.Path {
	f.Helper()
	var p pkix.Path
	for _, der := range chain {
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			f.Fatal(err)
		}
		p = append(p, c)
	}
	return p
}
