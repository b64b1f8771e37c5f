package csp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
	"certsign/internal/testpki"
)

// trial names a certificate as an authority that is no test would.
func trial(commonName string) testpki.Option {
	return testpki.Subject(pkix.Name{Country: []string{"PL"}, Organization: []string{"CertSign trials"}, CommonName: commonName})
}

// trialRoot makes a root that may be trusted, as far as its file tells.
func trialRoot(t testing.TB, options ...testpki.Option) *testpki.Authority {
	return testpki.Root(t, append([]testpki.Option{testpki.At(time.Now()), trial("Trial root of CertSign")}, options...)...)
}

func trialIssuer(root *testpki.Authority, options ...testpki.Option) *testpki.Authority {
	return root.Intermediate(append([]testpki.Option{trial("Trial issuing CA of CertSign")}, options...)...)
}

func asPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestAnAuthorityIsReadWithItsIssuersAndTheRootLast(t *testing.T) {
	root := trialRoot(t)
	first, second := trialIssuer(root), trialIssuer(root, trial("Second issuing CA"))
	text := append([]byte("Certificate:\r\n"), asPEM("CERTIFICATE", root.DER)...)
	for _, file := range [][]byte{root.DER, text} {
		a, err := ReadAuthority(file, [][]byte{first.DER, asPEM("CERTIFICATE", second.DER), first.DER}, time.Now())
		require.NoError(t, err)
		var got []string
		for _, p := range a.places() {
			got = append(got, p.Store+" "+p.Subject.CommonName)
		}
		assert.Equal(t, []string{"CA Trial issuing CA of CertSign", "CA Second issuing CA", "Root Trial root of CertSign"}, got)
	}
}

func TestOnlyAnAuthorityThatMayBeTrustedIsRead(t *testing.T) {
	now := time.Now()
	root := trialRoot(t)
	issuer := trialIssuer(root)
	test := func(name pkix.Name) testpki.Option { return testpki.Subject(name) }
	forged := slices.Clone(root.DER)
	forged[len(forged)-1] ^= 1
	// another root with the same name
	twin := trialRoot(t, testpki.WithKey(testpki.Key("twin", testpki.P256)))
	for name, bad := range map[string]struct {
		root    []byte
		issuers [][]byte
		code    problem.Code
		why     Refusal
	}{
		"no file":                               {nil, nil, problem.DocumentUnreadable, NotReadable},
		"no certificate":                        {[]byte("certificate"), nil, problem.DocumentUnreadable, NotReadable},
		"two certificates":                      {slices.Concat(asPEM("CERTIFICATE", root.DER), asPEM("CERTIFICATE", issuer.DER)), nil, problem.DocumentUnreadable, NotReadable},
		"a certificate and a key":               {slices.Concat(asPEM("CERTIFICATE", root.DER), asPEM("PRIVATE KEY", root.DER)), nil, problem.DocumentUnreadable, NotReadable},
		"a PEM block of another kind":           {asPEM("CERTIFICATE REQUEST", root.DER), nil, problem.DocumentUnreadable, NotReadable},
		"more after the DER":                    {append(slices.Clone(root.DER), 0), nil, problem.DocumentUnreadable, NotReadable},
		"a file that is too long":               {bytes.Repeat([]byte("x"), 2*maxCertificate+1), nil, problem.TooLarge, ""},
		"too many issuers":                      {root.DER, make([][]byte, maxChain), problem.TooLarge, ""},
		"a root with TEST in its name":          {trialRoot(t, test(pkix.Name{CommonName: "TEST Główne Centrum Certyfikacji"})).DER, nil, problem.Forbidden, OfATest},
		"test in small letters":                 {trialRoot(t, test(pkix.Name{CommonName: "Centrum (test)"})).DER, nil, problem.Forbidden, OfATest},
		"TEST in the organisation alone":        {trialRoot(t, test(pkix.Name{Organization: []string{"TEST"}, CommonName: "Centrum"})).DER, nil, problem.Forbidden, OfATest},
		"an issuer with TEST in its name":       {root.DER, [][]byte{trialIssuer(root, trial("CA TEST")).DER}, problem.Forbidden, OfATest},
		"an issuer below a test root":           {root.DER, [][]byte{trialIssuer(testpki.Root(t, testpki.At(now))).DER}, problem.Forbidden, OfATest},
		"an end certificate":                    {root.Leaf(trial("Jan Łoś")).DER, nil, problem.BadRequest, NoAuthority},
		"a root that says that it is no CA":     {trialRoot(t, testpki.NotCA()).DER, nil, problem.BadRequest, NoAuthority},
		"a root that may not sign certificates": {trialRoot(t, testpki.Usage(x509.KeyUsageCRLSign)).DER, nil, problem.BadRequest, NoAuthority},
		"a root without key usages":             {trialRoot(t, testpki.Usage(0)).DER, nil, problem.BadRequest, NoAuthority},
		"an end certificate as an issuer":       {root.DER, [][]byte{root.Leaf(trial("Jan Łoś")).DER}, problem.BadRequest, NoAuthority},
		"an expired root":                       {trialRoot(t, testpki.Expired()).DER, nil, problem.CertificateExpired, NotValidNow},
		"a root that is not valid yet":          {trialRoot(t, testpki.NotYetValid()).DER, nil, problem.CertificateExpired, NotValidNow},
		"an expired issuer":                     {root.DER, [][]byte{trialIssuer(root, testpki.Expired()).DER}, problem.CertificateExpired, NotValidNow},
		"a root with a short key":               {trialRoot(t, testpki.WithKind(testpki.RSA1024)).DER, nil, problem.KeyWeak, Weak},
		"an issuer as a root":                   {issuer.DER, nil, problem.CAMismatch, NoRoot},
		"a root whose signature is forged":      {forged, nil, problem.CAMismatch, NoRoot},
		"a root signed by another of its name":  {root.Reissue(twin).DER, nil, problem.CAMismatch, NoRoot},
		"the root as an issuer":                 {root.DER, [][]byte{root.DER}, problem.CAMismatch, NotOfTheRoot},
		"another root's issuer":                 {root.DER, [][]byte{trialIssuer(trialRoot(t, trial("Another root"))).DER}, problem.CAMismatch, NotOfTheRoot},
		"an issuer of a root of the same name":  {root.DER, [][]byte{trialIssuer(twin).DER}, problem.CAMismatch, NotOfTheRoot},
		"an issuer below an issuer":             {root.DER, [][]byte{issuer.DER, trialIssuer(issuer, trial("Third level")).DER}, problem.CAMismatch, NotOfTheRoot},
		"an issuer of a root that allows none":  {trialRoot(t, testpki.PathLength(0)).DER, [][]byte{issuer.DER}, problem.CAMismatch, NotOfTheRoot},
		"an issuer with a critical extension that nobody knows": {root.DER, [][]byte{trialIssuer(root,
			testpki.Extension(asn1.ObjectIdentifier{2, 25, 7}, true, asn1.NullBytes)).DER}, problem.CAMismatch, NotOfTheRoot},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := ReadAuthority(bad.root, bad.issuers, now)
			require.Error(t, err)
			assert.Equal(t, bad.code, problem.CodeOf(err), "%v", err)
			if bad.why != "" {
				assert.ErrorIs(t, err, bad.why)
				assert.NotEmpty(t, problem.DetailOf(err), "it says of which certificate")
			}
			assert.Zero(t, a)
		})
	}
}

func TestAWordThatOnlyBeginsLikeTheMarkIsNoTest(t *testing.T) {
	_, err := ReadAuthority(trialRoot(t, trial("Urząd Testów i Atestów, Contest")).DER, nil, time.Now())
	assert.NoError(t, err)
}

func TestTheComputerTrustsTheAuthorityForDocumentsAndTheirStateOnly(t *testing.T) {
	for _, id := range purposes {
		assert.Contains(t, []string{"1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.9"}, id.String())
	}
	server, anything := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}, asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	for name, p := range map[string]struct {
		of   []asn1.ObjectIdentifier
		want bool
	}{
		"as Trust writes them": {purposes, true},
		"fewer":                {purposes[:1], true},
		"none":                 {[]asn1.ObjectIdentifier{}, true},
		"no limit":             {nil, false},
		"servers too":          {append(slices.Clone(purposes), server), false},
		"servers":              {[]asn1.ObjectIdentifier{server}, false},
		"anything":             {[]asn1.ObjectIdentifier{anything}, false},
	} {
		assert.Equal(t, p.want, Placed{Purposes: p.of}.Limited(), name)
	}
}

func TestPurposesThatCannotBeReadAreNoLimit(t *testing.T) {
	good, err := asn1.Marshal(purposes)
	require.NoError(t, err)
	ids, ok := decodePurposes(good)
	assert.True(t, ok)
	assert.Equal(t, purposes, ids)
	for _, bad := range [][]byte{nil, {}, {5, 0}, good[:len(good)-1], append(slices.Clone(good), 0)} {
		_, ok := decodePurposes(bad)
		assert.False(t, ok, "%x", bad)
	}
}

func TestAMarkNamesOneCertificateOnly(t *testing.T) {
	root := trialRoot(t)
	assert.Equal(t, mark(root.DER), mark(slices.Clone(root.DER)))
	assert.NotEqual(t, mark(root.DER), mark(trialIssuer(root).DER))
}

func TestStoresOfTheComputerAreForAdministrators(t *testing.T) {
	for _, code := range []uint32{errAccessDenied, eAccessDenied} {
		err := explain(&failure{call: "CertOpenStore", code: code})
		assert.Equal(t, problem.Forbidden, problem.CodeOf(err))
		assert.ErrorIs(t, err, NotAdministrator)
	}
	err := explain(&failure{call: "CertOpenStore", code: nteNotSupported})
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	assert.NotErrorIs(t, err, NotAdministrator)
	assert.NoError(t, explain(nil))
}

func FuzzAuthority(f *testing.F) {
	root := trialRoot(f)
	f.Add(root.DER, trialIssuer(root).DER)
	f.Add(asPEM("CERTIFICATE", root.DER), []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, root, issuer []byte) {
		now := time.Now()
		a, err := ReadAuthority(root, [][]byte{issuer}, now)
		if err != nil {
			if problem.CodeOf(err) == problem.Internal {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		for _, p := range a.places() {
			if !p.IsCA || now.After(p.NotAfter) || p.CheckSignatureFrom(a.root) != nil {
				t.Fatalf("%s is no certificate of that root", p.Subject)
			}
		}
	})
}
