package format_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/internal/ades"
	"certsign/internal/ades/format"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

// Every codec in format.All meets this contract. A new one needs documents here and nothing else.
func TestEveryFormatMeetsTheContract(t *testing.T) {
	root := testpki.Root(t)
	for _, c := range format.All() {
		t.Run(string(c.Format()), func(t *testing.T) {
			suite.Run(t, &contract{codec: c, root: root, samples: samples[c.Format()]})
		})
	}
}

type sample struct {
	fresh  []ades.Document // to be signed
	broken map[string]broken
}

type broken struct {
	document ades.Document
	code     problem.Code
}

func document(name, content string) ades.Document {
	return ades.Document{Name: name, MIME: "application/xml", Content: strings.NewReader(content)}
}

var samples = map[ades.Format]sample{
	ades.XAdES: {
		fresh: []ades.Document{
			document("declaration.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<ns1:ZC415 xmlns:ns1=\"http://www.mf.gov.pl/xsd/x\">\r\n  <Opis a=' z\tx '>Gęś &amp; żółw</Opis><!-- uwaga -->\r\n</ns1:ZC415>\r\n"),
			document("small.xml", `<a/>`),
		},
		broken: map[string]broken{
			"an empty document":               {document("e.xml", ""), problem.XMLMalformed},
			"text":                            {document("t.txt", "Zgłoszenie celne"), problem.XMLMalformed},
			"a tag that is not closed":        {document("u.xml", "<a><b></a>"), problem.XMLMalformed},
			"two roots":                       {document("r.xml", "<a/><b/>"), problem.XMLMalformed},
			"a document type declaration":     {document("d.xml", "<!DOCTYPE a><a/>"), problem.XMLDoctype},
			"a document nested beyond reason": {document("n.xml", strings.Repeat("<a>", 5000)+strings.Repeat("</a>", 5000)), problem.TooLarge},
			"a document over the limit":       {ades.Document{Name: "l.xml", Content: endless{}}, problem.TooLarge},
			"a document that cannot be read":  {ades.Document{Name: "x.xml", Content: unreadable{}}, problem.DocumentUnreadable},
		},
	},
}

type endless struct{}

func (endless) Size() int64                             { return 1 << 40 }
func (endless) ReadAt(p []byte, off int64) (int, error) { return len(p), nil }

type unreadable struct{}

func (unreadable) Size() int64                       { return 10 }
func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is gone") }

// opaque is a key that can sign and nothing else, as those of tokens are; it counts.
type opaque struct {
	key   crypto.Signer
	calls int
	err   error
}

func (o *opaque) Public() crypto.PublicKey { return o.key.Public() }

func (o *opaque) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	o.calls++
	if o.err != nil {
		return nil, o.err
	}
	return o.key.Sign(r, digest, opts)
}

type contract struct {
	suite.Suite
	codec   ades.Codec
	root    *testpki.Authority
	samples sample
}

func (s *contract) request(doc ades.Document, kind testpki.KeyKind) (ades.SignRequest, *opaque) {
	leaf := s.root.Leaf(testpki.WithKind(kind))
	key := &opaque{key: leaf.Key}
	return ades.SignRequest{
		Document: doc, Packaging: ades.Enveloped, Level: ades.LevelBB,
		Key: key, Chain: leaf.Chain(), Time: testpki.Clock,
	}, key
}

func (s *contract) sign(req ades.SignRequest) []byte {
	var out bytes.Buffer
	s.Require().NoError(s.codec.Sign(context.Background(), &out, req))
	return out.Bytes()
}

func reopened(doc ades.Document, raw []byte) ades.Document {
	doc.Content = bytes.NewReader(raw)
	return doc
}

func (s *contract) TestWhatIsSignedIsReadBackIntactWithOneUseOfTheKey() {
	for _, kind := range []testpki.KeyKind{testpki.RSA2048, testpki.P256, testpki.P384, testpki.P521} {
		for _, doc := range s.samples.fresh {
			s.Run(fmt.Sprintf("%s with %s", doc.Name, kind), func() {
				req, key := s.request(doc, kind)
				u, err := s.codec.Parse(context.Background(), reopened(doc, s.sign(req)))
				s.Require().NoError(err)
				s.Equal(1, key.calls)
				s.Require().Len(u.Signatures, 1)
				sig := u.Signatures[0]
				s.intact(sig, key.Public())
				s.Equal(s.codec.Format(), sig.Format)
				s.Equal(ades.LevelBB, sig.Level)
				s.Equal(ades.Enveloped, sig.Packaging)
				s.Equal(ades.CoversWhole, sig.Coverage)
				s.Equal(testpki.Clock, sig.ClaimedSigningTime)
				s.Equal(req.Chain, sig.Certificates)
				s.Len(sig.SigningCertificate, 1)
				h := sig.SigningCertificate[0].Hash.New()
				h.Write(req.Chain[0])
				s.Equal(h.Sum(nil), sig.SigningCertificate[0].Digest)
			})
		}
	}
}

// intact checks the digests and the value of a signature.
func (s *contract) intact(sig ades.UnverifiedSignature, public crypto.PublicKey) {
	s.Empty(sig.Defects)
	properties := 0
	for _, r := range sig.References {
		s.Empty(r.NotFound)
		s.Equal(r.Expected, r.Computed)
		if r.SignedProperties {
			properties++
		}
		h := r.Hash.New()
		h.Write(r.Data)
		s.Equal(r.Computed, h.Sum(nil))
	}
	s.Equal(1, properties)
	h := sig.Algorithm.Hash.New()
	h.Write(sig.Signed)
	switch k := public.(type) {
	case *rsa.PublicKey:
		s.Equal(ades.RSA, sig.Algorithm.Key)
		s.NoError(rsa.VerifyPKCS1v15(k, sig.Algorithm.Hash, h.Sum(nil), sig.Value))
	case *ecdsa.PublicKey:
		s.Equal(ades.ECDSA, sig.Algorithm.Key)
		if !sig.Algorithm.P1363 {
			s.True(ecdsa.VerifyASN1(k, h.Sum(nil), sig.Value))
			return
		}
		n := len(sig.Value) / 2
		s.Equal((k.Curve.Params().BitSize+7)/8, n)
		s.True(ecdsa.Verify(k, h.Sum(nil), new(big.Int).SetBytes(sig.Value[:n]), new(big.Int).SetBytes(sig.Value[n:])))
	default:
		s.Fail("a key of another kind")
	}
}

func (s *contract) TestParsingIsStable() {
	doc := s.samples.fresh[0]
	req, _ := s.request(doc, testpki.P256)
	raw := s.sign(req)
	first, err := s.codec.Parse(context.Background(), reopened(doc, raw))
	s.Require().NoError(err)
	second, err := s.codec.Parse(context.Background(), reopened(doc, raw))
	s.Require().NoError(err)
	s.Equal(first.Signatures, second.Signatures)
}

func (s *contract) TestASignedDocumentIsRecognisedAndSoIsOneToBeSigned() {
	for _, doc := range s.samples.fresh {
		s.True(s.codec.Recognise(doc))
		req, _ := s.request(doc, testpki.P256)
		s.True(s.codec.Recognise(reopened(doc, s.sign(req))))
	}
	s.False(s.codec.Recognise(document("empty", "")))
	s.False(s.codec.Recognise(ades.Document{}))
	s.False(s.codec.Recognise(ades.Document{Content: unreadable{}}))
}

func (s *contract) TestWhatIsWrongWithADocumentIsAProblem() {
	for name, b := range s.samples.broken {
		s.Run(name, func() {
			req, key := s.request(b.document, testpki.P256)
			var out bytes.Buffer
			err := s.codec.Sign(context.Background(), &out, req)
			s.Equal(b.code, problem.CodeOf(err), "%v", err)
			s.Zero(out.Len())
			s.Zero(key.calls)
			_, err = s.codec.Parse(context.Background(), b.document)
			s.Equal(b.code, problem.CodeOf(err), "%v", err)
		})
	}
}

func (s *contract) TestADocumentWithoutASignatureSaysSo() {
	_, err := s.codec.Parse(context.Background(), s.samples.fresh[0])
	s.Equal(problem.NoSignature, problem.CodeOf(err))
}

func (s *contract) TestAKeyThatCannotSignLeavesNothingBehind() {
	req, key := s.request(s.samples.fresh[0], testpki.P256)
	key.err = problem.New(problem.PINLocked, "")
	var out bytes.Buffer
	err := s.codec.Sign(context.Background(), &out, req)
	s.Equal(problem.PINLocked, problem.CodeOf(err), "the store's own problem is kept")
	s.Zero(out.Len())
	s.Equal(1, key.calls)
}

func (s *contract) TestAKeyThatSignsWronglyLeavesNothingBehind() {
	req, key := s.request(s.samples.fresh[0], testpki.P256)
	other := s.root.Leaf(testpki.WithKind(testpki.P256), testpki.Named("another"))
	key.key = liar{key.key, other.Key}
	var out bytes.Buffer
	s.Error(s.codec.Sign(context.Background(), &out, req))
	s.Zero(out.Len())
}

// liar claims one key and signs with another.
type liar struct{ claimed, real crypto.Signer }

func (l liar) Public() crypto.PublicKey { return l.claimed.Public() }
func (l liar) Sign(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
	return l.real.Sign(r, d, o)
}

func (s *contract) TestACertificateForAnotherKeyIsRefusedBeforeTheKeyIsUsed() {
	req, key := s.request(s.samples.fresh[0], testpki.P256)
	req.Chain = s.root.Leaf(testpki.WithKind(testpki.P384)).Chain()
	s.Equal(problem.CertificateMismatch, problem.CodeOf(s.codec.Sign(context.Background(), io.Discard, req)))
	req.Chain = nil
	s.Equal(problem.NoCertificate, problem.CodeOf(s.codec.Sign(context.Background(), io.Discard, req)))
	s.Zero(key.calls)
}

func (s *contract) TestAWeakKeyIsRefused() {
	req, key := s.request(s.samples.fresh[0], testpki.RSA1024)
	s.Equal(problem.KeyWeak, problem.CodeOf(s.codec.Sign(context.Background(), io.Discard, req)))
	s.Zero(key.calls)
}

func (s *contract) TestACancelledContextStopsTheWork() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req, key := s.request(s.samples.fresh[0], testpki.P256)
	var out bytes.Buffer
	s.ErrorIs(s.codec.Sign(ctx, &out, req), context.Canceled)
	s.Zero(out.Len())
	s.Zero(key.calls)
	signed := s.sign(req)
	_, err := s.codec.Parse(ctx, reopened(s.samples.fresh[0], signed))
	s.ErrorIs(err, context.Canceled)
}

func (s *contract) TestAnyFlippedBitIsSeenOrHarmless() {
	doc := s.samples.fresh[0]
	req, key := s.request(doc, testpki.P256)
	raw := s.sign(req)
	whole, err := s.codec.Parse(context.Background(), reopened(doc, raw))
	s.Require().NoError(err)
	data := whole.Signatures[0].References[0].Data
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1 << (i % 7)
		u, err := s.codec.Parse(context.Background(), reopened(doc, changed))
		if err != nil || len(u.Signatures) != 1 || !s.holds(u.Signatures[0], key.Public()) {
			continue
		}
		// What still holds must be a change outside what is signed: the data is the same, octet by octet.
		s.Equal(data, u.Signatures[0].References[0].Data, "octet %d", i)
	}
}

func (s *contract) holds(sig ades.UnverifiedSignature, public crypto.PublicKey) bool {
	if len(sig.Defects) > 0 || len(sig.References) == 0 || sig.Coverage != ades.CoversWhole {
		return false
	}
	for _, r := range sig.References {
		if len(r.Expected) == 0 || !bytes.Equal(r.Expected, r.Computed) {
			return false
		}
	}
	k, ok := public.(*ecdsa.PublicKey)
	if !ok || sig.Algorithm.Key != ades.ECDSA || !sig.Algorithm.Hash.Available() {
		return false
	}
	h := sig.Algorithm.Hash.New()
	h.Write(sig.Signed)
	n := len(sig.Value) / 2
	return ecdsa.Verify(k, h.Sum(nil), new(big.Int).SetBytes(sig.Value[:n]), new(big.Int).SetBytes(sig.Value[n:]))
}

func TestAFormatIsFoundByNameInAnyCase(t *testing.T) {
	for _, name := range []string{"xades", "XAdES", "XADES", ""} {
		c, err := format.ByName(name)
		require.NoError(t, err)
		assert.Equal(t, ades.XAdES, c.Format())
	}
	_, err := format.ByName("pgp")
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
}

func TestADocumentOfNoFormatIsAProblem(t *testing.T) {
	_, err := format.Recognise(document("x.bin", "\x00\x01\x02"))
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	c, err := format.Recognise(document("x.xml", "<a/>"))
	require.NoError(t, err)
	assert.Equal(t, ades.XAdES, c.Format())
}
