package validate_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"certsign/internal/ades"
	"certsign/internal/ades/validate"
	"certsign/internal/testpki"
)

const (
	typeSP   = "http://uri.etsi.org/01903#SignedProperties"
	shard    = "http://status.test/crl/1-0.crl"
	ownOID   = "2.25.329800735698586629295641978511506172918"
	document = "<deklaracja>żółć</deklaracja>"
)

// hierarchy is a root, an issuing CA and a signer, with fresh status for all of them.
type hierarchy struct {
	t        *testing.T
	root, ca *testpki.Authority
	leaf     *testpki.Leaf
	evidence ades.Evidence
}

func newHierarchy(t *testing.T, kind testpki.KeyKind, leaf ...testpki.Option) *hierarchy {
	t.Helper()
	h := &hierarchy{t: t}
	h.root = testpki.Root(t)
	h.ca = h.root.Intermediate(testpki.PathLength(0))
	h.leaf = h.ca.Leaf(append([]testpki.Option{testpki.WithKind(kind), testpki.CRLAt(shard), testpki.Policies(ownOID)}, leaf...)...)
	h.evidence = ades.Evidence{At: testpki.Clock.Add(time.Hour)}
	h.status(testpki.CRL{Shard: shard})
	return h
}

// status replaces the CRLs: an empty one of the root, and the given one of the issuing CA.
func (h *hierarchy) status(crl testpki.CRL) {
	h.evidence.CRLs = [][]byte{h.root.CRL(testpki.CRL{}), h.ca.CRL(crl)}
}

func (h *hierarchy) revoke(reason int) {
	h.status(testpki.CRL{Shard: shard, Revoked: []testpki.Revocation{{Serial: h.leaf.Certificate.SerialNumber, Reason: reason}}})
}

func (h *hierarchy) trust() ades.Trust { return ades.Anchors{{Certificate: h.root.DER}} }

// sign makes a real signature as an XML codec would hand it over.
func (h *hierarchy) sign() *ades.UnverifiedSignature {
	h.t.Helper()
	signedInfo := []byte("<SignedInfo>" + document + "</SignedInfo>")
	certDigest, docDigest, spDigest := sha256.Sum256(h.leaf.DER), sha256.Sum256([]byte(document)), sha256.Sum256([]byte("<SignedProperties/>"))
	s := &ades.UnverifiedSignature{
		ID: "sig-1", Format: ades.XAdES, Packaging: ades.Enveloped, Level: ades.LevelBB,
		Signed: signedInfo,
		References: []ades.Reference{
			{ID: "r1", Hash: crypto.SHA256, Expected: docDigest[:], Computed: bytes.Clone(docDigest[:]), Data: []byte(document)},
			{ID: "r2", URI: "#sp", Type: typeSP, Hash: crypto.SHA256, Expected: spDigest[:], Computed: bytes.Clone(spDigest[:]), SignedProperties: true},
		},
		SigningCertificate: []ades.CertificateReference{{Hash: crypto.SHA256, Digest: certDigest[:], Version: 2}},
		Certificates:       [][]byte{h.ca.DER, h.leaf.DER},
		ClaimedSigningTime: testpki.Clock,
		Coverage:           ades.CoversWhole,
	}
	h.value(s, crypto.SHA256)
	return s
}

// value signs s.Signed with the leaf's key.
func (h *hierarchy) value(s *ades.UnverifiedSignature, hash crypto.Hash) {
	h.t.Helper()
	d := hash.New()
	d.Write(s.Signed)
	value, err := h.leaf.Key.Sign(nil, d.Sum(nil), hash)
	require.NoError(h.t, err)
	s.Algorithm = ades.Algorithm{Name: "http://test/rsa", Key: ades.RSA, Hash: hash}
	if key, ok := h.leaf.Key.(*ecdsa.PrivateKey); ok {
		s.Algorithm = ades.Algorithm{Name: "http://test/ecdsa", Key: ades.ECDSA, Hash: hash, P1363: true}
		var rs struct{ R, S *big.Int }
		_, err := asn1.Unmarshal(value, &rs)
		require.NoError(h.t, err)
		size := (key.Params().BitSize + 7) / 8
		value = append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
	}
	s.Value = value
}

func (h *hierarchy) validate(s *ades.UnverifiedSignature, policy ades.Policy) ades.SignatureReport {
	h.t.Helper()
	u := &ades.Unverified{Document: ades.Document{Name: "d.xml"}, Signatures: []ades.UnverifiedSignature{*s}}
	report, err := validate.Validate(u, h.evidence, policy)
	require.NoError(h.t, err)
	require.Len(h.t, report.Signatures, 1)
	out := report.Signatures[0]
	if out.Indication != ades.TotalPassed {
		require.NotEmpty(h.t, out.Reasons)
		require.NotEmpty(h.t, out.SubIndication)
	} else {
		require.Empty(h.t, out.Reasons)
		require.Empty(h.t, out.SubIndication)
	}
	for _, reason := range out.Reasons {
		assert.True(h.t, strings.HasSuffix(reason, "."), reason)
	}
	return out
}

// verdict is what a table expects; an empty sub-indication is TOTAL-PASSED.
type verdict struct {
	indication ades.Indication
	sub        ades.SubIndication
}

var passed = verdict{ades.TotalPassed, ""}

func failed(sub ades.SubIndication) verdict { return verdict{ades.TotalFailed, sub} }
func open(sub ades.SubIndication) verdict   { return verdict{ades.Indeterminate, sub} }

func TestAGoodSignaturePasses(t *testing.T) {
	for _, kind := range []testpki.KeyKind{testpki.RSA2048, testpki.P256, testpki.P384, testpki.P521} {
		t.Run(string(kind), func(t *testing.T) {
			h := newHierarchy(t, kind)
			for _, policy := range []ades.Policy{validate.ETSI(h.trust()), validate.Portal(h.trust())} {
				report := h.validate(h.sign(), policy)
				assert.Equal(t, ades.TotalPassed, report.Indication, report.Reasons)
				assert.Equal(t, [][]byte{h.leaf.DER, h.ca.DER, h.root.DER}, report.Chain)
				assert.Equal(t, "CN=TEST Jan Łoś,O=TEST,C=PL", report.Signer.Subject)
				assert.Equal(t, "AdES", report.Kind)
				assert.Equal(t, h.evidence.At, report.BestSignatureTime)
				assert.Equal(t, testpki.Clock, *report.SignedAt)
			}
		})
	}
	t.Run("by OCSP in place of a CRL", func(t *testing.T) {
		h := newHierarchy(t, testpki.P256)
		h.evidence.CRLs = h.evidence.CRLs[:1]
		h.evidence.OCSPs = [][]byte{h.ca.OCSP(h.leaf.Certificate.SerialNumber, testpki.Response{Responder: h.ca.Responder()})}
		assert.Equal(t, ades.TotalPassed, h.validate(h.sign(), validate.ETSI(h.trust())).Indication)
	})
	t.Run("when its own certificate is the anchor", func(t *testing.T) {
		h := newHierarchy(t, testpki.P256)
		h.evidence.CRLs = nil
		report := h.validate(h.sign(), validate.ETSI(ades.Anchors{{Certificate: h.leaf.DER, Kind: "QES"}}))
		assert.Equal(t, ades.TotalPassed, report.Indication)
		assert.Equal(t, "QES", report.Kind)
	})
	t.Run("and no more than B-B is reported, whatever the structure claims", func(t *testing.T) {
		h := newHierarchy(t, testpki.P256)
		s := h.sign()
		s.Level = ades.LevelBLTA
		assert.Equal(t, ades.LevelBB, h.validate(s, validate.ETSI(h.trust())).Level)
	})
}

func TestASignatureThatIsChangedOrOfAnotherMaking(t *testing.T) {
	type change func(*hierarchy, *ades.UnverifiedSignature, *ades.Policy)
	for _, test := range []struct {
		name   string
		change change
		want   verdict
	}{
		{"a changed document is HASH_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[0].Computed[0] ^= 1
		}, failed(ades.HashFailure)},
		{"changed signed properties are HASH_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[1].Computed[0] ^= 1
		}, failed(ades.HashFailure)},
		{"a digest cut short is HASH_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[0].Computed, s.References[0].Expected = s.References[0].Computed[:8], s.References[0].Expected[:8]
		}, failed(ades.HashFailure)},
		{"a document that is not there is SIGNED_DATA_NOT_FOUND", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[0].Computed = nil
		}, open(ades.SignedDataNotFound)},
		{"a missing document beside a changed one is HASH_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References = append([]ades.Reference{{URI: "a", Hash: crypto.SHA256}}, s.References...)
			s.References[1].Computed[0] ^= 1
		}, failed(ades.HashFailure)},
		{"a changed SignedInfo is SIG_CRYPTO_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Signed = append(s.Signed, ' ')
		}, failed(ades.SigCryptoFailure)},
		{"a value of another length is SIG_CRYPTO_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Value = append([]byte{0}, s.Value...)
		}, failed(ades.SigCryptoFailure)},
		{"an algorithm for another kind of key is SIG_CRYPTO_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Algorithm.Key = ades.RSA
		}, failed(ades.SigCryptoFailure)},
		{"an unknown algorithm is never passed", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Algorithm = ades.Algorithm{Name: "http://test/unknown"}
		}, open(ades.CryptoConstraintsFailureNoPOE)},
		{"an unknown digest of a reference is never passed", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[0].Hash = 0
		}, open(ades.CryptoConstraintsFailureNoPOE)},
		{"a signature with the issuer's certificate alone is NO_SIGNING_CERTIFICATE_FOUND", func(h *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Certificates = [][]byte{h.ca.DER}
		}, open(ades.NoSigningCertificateFound)},
		{"a certificate of the same key put in its place is NO_SIGNING_CERTIFICATE_FOUND", func(h *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Certificates = [][]byte{h.ca.Leaf(testpki.Named("TEST Ktoś Inny"), testpki.WithKey(h.leaf.Key)).DER}
		}, open(ades.NoSigningCertificateFound)},
		{"no certificate at all is NO_SIGNING_CERTIFICATE_FOUND", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Certificates = [][]byte{[]byte("nothing")}
		}, open(ades.NoSigningCertificateFound)},
		{"no signed reference to the certificate is SIG_CONSTRAINTS_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.SigningCertificate = nil
		}, open(ades.SigConstraintsFailure)},
		{"no signed reference to the certificate passes where no AdES is asked for", func(_ *hierarchy, s *ades.UnverifiedSignature, p *ades.Policy) {
			s.SigningCertificate, s.References, p.RequireSignedCertificate = nil, s.References[:1], false
		}, passed},
		{"another serial number in the reference is SIG_CONSTRAINTS_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.SigningCertificate[0].SerialNumber = "1"
		}, open(ades.SigConstraintsFailure)},
		{"properties that no reference covers are SIG_CONSTRAINTS_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References = s.References[:1]
		}, open(ades.SigConstraintsFailure)},
		{"a typed reference that covers other properties is FORMAT_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[1].SignedProperties = false
		}, failed(ades.FormatFailure)},
		{"a reference to the properties without its type is SIG_CONSTRAINTS_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References[1].Type = ""
		}, open(ades.SigConstraintsFailure)},
		{"a signature over its own properties alone is FORMAT_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.References = s.References[1:]
		}, failed(ades.FormatFailure)},
		{"a defect of the format is FORMAT_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Defects = []ades.Defect{{SubIndication: ades.FormatFailure, Text: "the Id is there twice"}}
		}, failed(ades.FormatFailure)},
		{"a defect of the properties is SIG_CONSTRAINTS_FAILURE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			s.Defects = []ades.Defect{{SubIndication: ades.SigConstraintsFailure, Text: "no data object format"}}
		}, open(ades.SigConstraintsFailure)},
		{"a signature over a part is SIG_CONSTRAINTS_FAILURE where the whole is asked for", func(_ *hierarchy, s *ades.UnverifiedSignature, p *ades.Policy) {
			s.Coverage, p.RequireWhole = ades.CoversPart, true
		}, open(ades.SigConstraintsFailure)},
		{"no signing time is SIG_CONSTRAINTS_FAILURE where one is asked for", func(_ *hierarchy, s *ades.UnverifiedSignature, p *ades.Policy) {
			s.ClaimedSigningTime, p.RequireSigningTime = time.Time{}, true
		}, open(ades.SigConstraintsFailure)},
		{"SHA-1 under the signature is CRYPTO_CONSTRAINTS_FAILURE_NO_POE", func(h *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			h.value(s, crypto.SHA1)
		}, open(ades.CryptoConstraintsFailureNoPOE)},
		{"SHA-1 over the document is CRYPTO_CONSTRAINTS_FAILURE_NO_POE", func(_ *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			d := sha1.Sum([]byte(document))
			s.References[0].Hash, s.References[0].Expected, s.References[0].Computed = crypto.SHA1, d[:], d[:]
		}, open(ades.CryptoConstraintsFailureNoPOE)},
		{"SHA-1 in the reference to the certificate is CRYPTO_CONSTRAINTS_FAILURE_NO_POE", func(h *hierarchy, s *ades.UnverifiedSignature, _ *ades.Policy) {
			d := sha1.Sum(h.leaf.DER)
			s.SigningCertificate[0] = ades.CertificateReference{Hash: crypto.SHA1, Digest: d[:], Version: 1}
		}, open(ades.CryptoConstraintsFailureNoPOE)},
		{"a digest that counted until yesterday is CRYPTO_CONSTRAINTS_FAILURE_NO_POE", func(_ *hierarchy, _ *ades.UnverifiedSignature, p *ades.Policy) {
			p.Hashes[crypto.SHA256] = testpki.Clock.AddDate(0, 0, -1)
		}, open(ades.CryptoConstraintsFailureNoPOE)},
		{"another certificate policy is CHAIN_CONSTRAINTS_FAILURE", func(_ *hierarchy, _ *ades.UnverifiedSignature, p *ades.Policy) {
			p.PolicyOIDs = []string{"1.2.3"}
		}, open(ades.ChainConstraintsFailure)},
		{"the right certificate policy passes", func(_ *hierarchy, _ *ades.UnverifiedSignature, p *ades.Policy) {
			p.PolicyOIDs = []string{"1.2.3", ownOID}
		}, passed},
		{"an anchor that did not issue the chain is NO_CERTIFICATE_CHAIN_FOUND", func(h *hierarchy, _ *ades.UnverifiedSignature, p *ades.Policy) {
			p.Trust = ades.Anchors{{Certificate: testpki.Root(h.t, testpki.Named("TEST root"), testpki.WithKind(testpki.P384)).DER}}
		}, open(ades.NoCertificateChainFound)},
		{"an embedded root is no anchor", func(h *hierarchy, s *ades.UnverifiedSignature, p *ades.Policy) {
			s.Certificates = append(s.Certificates, h.root.DER)
			p.Trust = ades.Anchors{}
		}, open(ades.NoCertificateChainFound)},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHierarchy(t, testpki.P256)
			s, policy := h.sign(), validate.ETSI(h.trust())
			test.change(h, s, &policy)
			report := h.validate(s, policy)
			assert.Equal(t, test.want, verdict{report.Indication, report.SubIndication}, report.Reasons)
		})
	}
}

func TestTheSignersCertificateAndItsStatus(t *testing.T) {
	afterwards := func(h *hierarchy) { h.evidence.At = h.leaf.Certificate.NotAfter.Add(time.Hour) }
	for _, test := range []struct {
		name         string
		leaf         []testpki.Option
		change       func(*hierarchy)
		etsi, portal verdict
	}{
		{"revoked", nil, func(h *hierarchy) { h.revoke(testpki.KeyCompromise) }, open(ades.RevokedNoPOE), failed(ades.Revoked)},
		{"revoked without a reason", nil, func(h *hierarchy) { h.revoke(0) }, open(ades.RevokedNoPOE), failed(ades.Revoked)},
		{"on hold", nil, func(h *hierarchy) { h.revoke(testpki.CertificateHold) }, open(ades.TryLater), failed(ades.Revoked)},
		{"resumed: a later list no longer has it", nil, func(h *hierarchy) {
			h.revoke(testpki.CertificateHold)
			h.evidence.CRLs = append(h.evidence.CRLs, h.ca.CRL(testpki.CRL{Number: 2, Shard: shard, ThisUpdate: testpki.Clock.Add(time.Minute)}))
		}, passed, passed},
		{"on hold by the later list", nil, func(h *hierarchy) {
			h.evidence.CRLs = append(h.evidence.CRLs, h.ca.CRL(testpki.CRL{
				Number: 2, Shard: shard, ThisUpdate: testpki.Clock.Add(time.Minute),
				Revoked: []testpki.Revocation{{Serial: h.leaf.Certificate.SerialNumber, Reason: testpki.CertificateHold}},
			}))
		}, open(ades.TryLater), failed(ades.Revoked)},
		{"revoked by an older list, good by a later response", nil, func(h *hierarchy) {
			h.revoke(testpki.CessationOfOperation)
			h.evidence.OCSPs = [][]byte{h.ca.OCSP(h.leaf.Certificate.SerialNumber, testpki.Response{ThisUpdate: testpki.Clock.Add(time.Minute)})}
		}, open(ades.RevokedNoPOE), failed(ades.Revoked)},
		{"revoked by OCSP", nil, func(h *hierarchy) {
			h.evidence.OCSPs = [][]byte{h.ca.OCSP(h.leaf.Certificate.SerialNumber, testpki.Response{Status: ocsp.Revoked, Reason: testpki.KeyCompromise})}
		}, open(ades.RevokedNoPOE), failed(ades.Revoked)},
		{"revoked after the moment of validation", nil, func(h *hierarchy) {
			h.status(testpki.CRL{Shard: shard, ThisUpdate: testpki.Clock.AddDate(0, 0, 2), Revoked: []testpki.Revocation{
				{Serial: h.leaf.Certificate.SerialNumber, Reason: testpki.KeyCompromise, At: testpki.Clock.AddDate(0, 0, 1)},
			}})
		}, passed, passed},
		{"no evidence", nil, func(h *hierarchy) { h.evidence.CRLs = nil }, open(ades.TryLater), open(ades.TryLater)},
		{"no evidence about the CA", nil, func(h *hierarchy) { h.evidence.CRLs = h.evidence.CRLs[1:] }, open(ades.TryLater), open(ades.TryLater)},
		{"a list of another shard", nil, func(h *hierarchy) { h.status(testpki.CRL{Shard: "http://status.test/crl/1-1.crl"}) }, open(ades.TryLater), open(ades.TryLater)},
		{"a list out of date", nil, func(h *hierarchy) {
			h.status(testpki.CRL{Shard: shard, ThisUpdate: testpki.Clock.AddDate(0, 0, -3)})
		}, open(ades.TryLater), open(ades.TryLater)},
		{"a list that another key signed", nil, func(h *hierarchy) {
			h.status(testpki.CRL{Shard: shard, Signer: testpki.Key("a thief", testpki.P256)})
		}, open(ades.TryLater), open(ades.TryLater)},
		{"a response for another certificate", nil, func(h *hierarchy) {
			h.evidence.CRLs = h.evidence.CRLs[:1]
			h.evidence.OCSPs = [][]byte{h.ca.OCSP(big.NewInt(1), testpki.Response{})}
		}, open(ades.TryLater), open(ades.TryLater)},
		{"an unknown status", nil, func(h *hierarchy) {
			h.evidence.CRLs = h.evidence.CRLs[:1]
			h.evidence.OCSPs = [][]byte{h.ca.OCSP(h.leaf.Certificate.SerialNumber, testpki.Response{Status: ocsp.Unknown})}
		}, open(ades.TryLater), open(ades.TryLater)},
		{"a revoked CA", nil, func(h *hierarchy) {
			h.evidence.CRLs[0] = h.root.CRL(testpki.CRL{Revoked: []testpki.Revocation{{Serial: h.ca.Certificate.SerialNumber, Reason: 2}}})
		}, open(ades.RevokedCANoPOE), open(ades.RevokedCANoPOE)},
		{"expired, its list gone with it", nil, func(h *hierarchy) {
			afterwards(h)
			h.evidence.CRLs = [][]byte{h.root.CRL(testpki.CRL{ThisUpdate: h.evidence.At}), h.ca.CRL(testpki.CRL{Shard: shard, ThisUpdate: h.evidence.At})}
		}, open(ades.OutOfBoundsNoPOE), failed(ades.Expired)},
		{"expired, and known not to have been revoked", nil, func(h *hierarchy) {
			afterwards(h)
			h.evidence.CRLs = [][]byte{h.root.CRL(testpki.CRL{ThisUpdate: h.evidence.At}), h.ca.CRL(testpki.CRL{Shard: shard, ThisUpdate: h.leaf.Certificate.NotAfter.Add(-time.Hour)})}
		}, open(ades.OutOfBoundsNotRevoked), failed(ades.Expired)},
		{"not valid yet", nil, func(h *hierarchy) { h.evidence.At = h.leaf.Certificate.NotBefore.Add(-time.Minute) }, open(ades.OutOfBoundsNoPOE), failed(ades.NotYetValid)},
		{"for TLS only", []testpki.Option{testpki.Usage(x509.KeyUsageKeyEncipherment)}, nil, open(ades.ChainConstraintsFailure), open(ades.ChainConstraintsFailure)},
		{"with a short RSA key", []testpki.Option{testpki.WithKind(testpki.RSA1024)}, nil, open(ades.CryptoConstraintsFailureNoPOE), open(ades.CryptoConstraintsFailureNoPOE)},
		{"with a short elliptic curve", []testpki.Option{testpki.WithKind(testpki.P224)}, nil, open(ades.CryptoConstraintsFailureNoPOE), open(ades.CryptoConstraintsFailureNoPOE)},
		{"with a critical extension that nobody knows", []testpki.Option{testpki.Extension(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0})}, nil,
			open(ades.CertificateChainGeneralFail), open(ades.CertificateChainGeneralFail)},
		{"under a CA that is none", nil, func(h *hierarchy) {
			h.ca = h.root.Intermediate(testpki.Named("TEST no CA"), testpki.NotCA())
			h.leaf = h.ca.Leaf(testpki.CRLAt(shard))
			h.status(testpki.CRL{Shard: shard})
		}, open(ades.CertificateChainGeneralFail), open(ades.CertificateChainGeneralFail)},
		{"under a CA below the last that may be", nil, func(h *hierarchy) {
			h.evidence.Certificates = [][]byte{h.ca.DER}
			h.ca = h.ca.Intermediate(testpki.Named("TEST one too many"))
			h.leaf = h.ca.Leaf(testpki.CRLAt(shard))
			h.status(testpki.CRL{Shard: shard})
		}, open(ades.CertificateChainGeneralFail), open(ades.CertificateChainGeneralFail)},
		{"under an expired CA", nil, func(h *hierarchy) {
			h.ca = h.root.Intermediate(testpki.Expired())
			h.leaf = h.ca.Leaf(testpki.CRLAt(shard))
			h.status(testpki.CRL{Shard: shard})
		}, open(ades.OutOfBoundsNoPOE), open(ades.OutOfBoundsNoPOE)},
	} {
		t.Run("a signer's certificate "+test.name, func(t *testing.T) {
			h := newHierarchy(t, testpki.P256, test.leaf...)
			if test.change != nil {
				test.change(h)
			}
			s := h.sign()
			for _, by := range []struct {
				policy ades.Policy
				want   verdict
			}{{validate.ETSI(h.trust()), test.etsi}, {validate.Portal(h.trust()), test.portal}} {
				report := h.validate(s, by.policy)
				assert.Equal(t, by.want, verdict{report.Indication, report.SubIndication}, "%s: %v", by.policy.Name, report.Reasons)
			}
		})
	}
	t.Run("the reason and the moment of a revocation are reported", func(t *testing.T) {
		h := newHierarchy(t, testpki.P256)
		h.revoke(testpki.CertificateHold)
		report := h.validate(h.sign(), validate.Portal(h.trust()))
		assert.Equal(t, 6, report.RevocationReason)
		require.NotNil(t, report.RevokedAt)
		assert.Equal(t, testpki.Clock, *report.RevokedAt)
	})
	t.Run("status is not asked for where the caller has it from the CA itself", func(t *testing.T) {
		h := newHierarchy(t, testpki.P256)
		h.evidence.CRLs = nil
		policy := validate.Portal(h.trust())
		policy.Revocation = ades.RevocationIgnored
		assert.Equal(t, ades.TotalPassed, h.validate(h.sign(), policy).Indication)
		afterwards(h)
		assert.Equal(t, ades.Expired, h.validate(h.sign(), policy).SubIndication)
	})
}

func TestTheCallerMustGiveEnough(t *testing.T) {
	h := newHierarchy(t, testpki.P256)
	u := &ades.Unverified{Signatures: []ades.UnverifiedSignature{*h.sign()}}
	for name, call := range map[string]func() (*ades.Report, error){
		"no document": func() (*ades.Report, error) { return validate.Validate(nil, h.evidence, validate.ETSI(h.trust())) },
		"no moment":   func() (*ades.Report, error) { return validate.Validate(u, ades.Evidence{}, validate.ETSI(h.trust())) },
		"no trust":    func() (*ades.Report, error) { return validate.Validate(u, h.evidence, validate.ETSI(nil)) },
		"an anchor that is no certificate": func() (*ades.Report, error) {
			return validate.Validate(u, h.evidence, validate.ETSI(ades.Anchors{{Certificate: []byte("x")}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := call()
			require.Error(t, err)
		})
	}
}

func TestPSSVerifies(t *testing.T) {
	key := testpki.Key("pss", testpki.RSA2048)
	digest := sha256.Sum256([]byte(document))
	value, err := rsa.SignPSS(testRandom{}, key.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
	require.NoError(t, err)
	algorithm := ades.Algorithm{Name: "pss", Key: ades.RSA, Hash: crypto.SHA256, PSS: true, Salt: 32}
	require.NoError(t, validate.VerifyValue(algorithm, key.Public(), []byte(document), value))
	algorithm.Salt = 20
	require.ErrorIs(t, validate.VerifyValue(algorithm, key.Public(), []byte(document), value), validate.ErrValue)
	algorithm.PSS = false
	require.ErrorIs(t, validate.VerifyValue(algorithm, key.Public(), []byte(document), value), validate.ErrValue)
}

type testRandom struct{}

func (testRandom) Read(p []byte) (int, error) { return len(p), nil }
