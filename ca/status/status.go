// Package status answers for the certificates that this CA issued: OCSP (RFC 6960, with the nonce of RFC 9654) and full
// CRLs in shards (RFC 5280, 5: each certificate names its shard's address, each CRL names the address that it is complete
// for), and the CA's own certificates for download. Both speak from the ledger's rows, so they never disagree: a
// suspension is revoked with certificateHold, a resumption is good again, a revocation that followed a suspension keeps
// the suspension's date.
//
// A CRL is made anew at each change of its shard, and daily. It makes no delta CRLs and keeps no archive. Requests come
// from anybody: sizes and counts are bounded, signatures on OCSP requests are ignored.
package status

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/ca"
	"certsign/internal/ades"
)

// Config is what the status services work with. All fields but Now, Log and Shards are required.
type Config struct {
	Ledger *ca.Ledger
	// Issuer is the issuing CA's certificate and Key its key: it signs the CRLs.
	Issuer *x509.Certificate
	Key    crypto.Signer
	// Responder is the delegated OCSP certificate and ResponderKey its key.
	Responder    *x509.Certificate
	ResponderKey crypto.Signer
	// Root and RootCRL are published as they are: the root's key is not on this computer.
	Root    *x509.Certificate
	RootCRL []byte
	// URL is the base of the addresses in the certificates, Slug the issuer's name in them, Shards the number of its CRLs;
	// they must be those that certificates were issued with.
	URL    string
	Slug   string
	Shards int
	Now    func() time.Time
	Log    *slog.Logger
}

// How long answers are good. EN 319 411-1, 6.3.9: a change shows within 24 hours; here it shows at once, and the times
// are what a relying party may rest on when it cannot ask again.
const (
	crlLife    = 25 * time.Hour
	crlRenewal = 23 * time.Hour
	ocspLife   = 10 * time.Minute
)

// RootSlug is the root's name in addresses.
const RootSlug = "root"

// Status is the status service. It is safe for concurrent use.
type Status struct {
	c        Config
	issuerID string
	ids      map[crypto.Hash]issuerHash

	mu        sync.RWMutex
	responder responder
}

// New returns the service and has the ledger tell it about changes.
func New(c Config) (*Status, error) {
	if c.Ledger == nil || c.Issuer == nil || c.Key == nil || c.Responder == nil || c.ResponderKey == nil || c.Root == nil {
		return nil, errors.New("status: ledger, certificates and keys are required")
	}
	if c.URL == "" || c.Slug == "" || c.Slug == RootSlug {
		return nil, errors.New("status: URL and slug are required")
	}
	if c.Shards <= 0 {
		c.Shards = 8
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if _, err := x509.ParseRevocationList(c.RootCRL); err != nil {
		return nil, fmt.Errorf("status: the root's CRL: %w", err)
	}
	s := &Status{c: c, issuerID: ca.IssuerID(c.Issuer)}
	var err error
	if s.ids, err = issuerHashes(c.Issuer); err != nil {
		return nil, err
	}
	if err := s.Delegate(c.Responder); err != nil {
		return nil, err
	}
	c.Ledger.OnChange(func(shard int) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := s.CRL(ctx, shard); err != nil {
			c.Log.Error("crl", "shard", shard, "error", err)
		}
	})
	return s, nil
}

// Delegate replaces the OCSP responder's certificate, for the same key.
func (s *Status) Delegate(certificate *x509.Certificate) error {
	if err := certificate.CheckSignatureFrom(s.c.Issuer); err != nil {
		return fmt.Errorf("status: the OCSP certificate is not the issuer's: %w", err)
	}
	// RFC 6960, 4.2.2.2: delegation is by id-kp-OCSPSigning, from the issuer itself.
	if len(certificate.ExtKeyUsage) != 1 || certificate.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning {
		return errors.New("status: the OCSP certificate is not for OCSP signing alone")
	}
	public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(s.c.ResponderKey.Public()) {
		return errors.New("status: the OCSP certificate is for another key")
	}
	r, err := newResponder(certificate, s.c.ResponderKey)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.responder = r
	s.mu.Unlock()
	return nil
}

// Publish makes every CRL that is due.
func (s *Status) Publish(ctx context.Context) error {
	var errs []error
	for shard := range s.c.Shards {
		if _, err := s.CRL(ctx, shard); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// CRL returns the current CRL of a shard, making it when the shard changed since the last one or that one is a day old.
func (s *Status) CRL(ctx context.Context, shard int) (*ca.CRLRow, error) {
	if shard < 0 || shard >= s.c.Shards {
		return nil, fmt.Errorf("crl: no shard %d", shard)
	}
	var row ca.CRLRow
	var changes int64
	err := s.c.Ledger.View(ctx, func(tx ca.Tx) (err error) {
		if changes, err = tx.Changes(shard); err != nil {
			return err
		}
		row, err = tx.CRL(s.issuerID, shard)
		if errors.Is(err, ca.ErrNoRow) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("crl %d: %w", shard, err)
	}
	if row.DER != nil && row.Changes == changes && s.c.Now().Sub(row.ThisUpdate) < crlRenewal {
		return &row, nil
	}
	made, err := s.c.Ledger.PutCRL(ctx, s.issuerID, shard, func(entries []ca.Listing, number int64) (*ca.CRLRow, error) {
		return s.makeCRL(shard, entries, number)
	})
	if err != nil {
		return nil, fmt.Errorf("crl %d: %w", shard, err)
	}
	s.c.Log.Info("crl made", "shard", shard, "number", made.Number)
	return made, nil
}

func (s *Status) crlURL(shard int) string {
	return fmt.Sprintf("%s/crl/%s-%d.crl", s.c.URL, s.c.Slug, shard)
}

func (s *Status) makeCRL(shard int, entries []ca.Listing, number int64) (*ca.CRLRow, error) {
	now := s.c.Now().UTC().Truncate(time.Second)
	list, err := CRL(s.c.Issuer, s.c.Key, entries, number, now, now.Add(crlLife), s.crlURL(shard))
	if err != nil {
		return nil, err
	}
	return &ca.CRLRow{ThisUpdate: now, NextUpdate: now.Add(crlLife), DER: list}, nil
}

// CRL makes a full CRL. With a url it is complete for the end-entity certificates that name that distribution point;
// without one, for everything that the issuer issued.
func CRL(issuer *x509.Certificate, key crypto.Signer, entries []ca.Listing, number int64, thisUpdate, nextUpdate time.Time, url string) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: thisUpdate, NextUpdate: nextUpdate}
	if url != "" {
		idp, err := distributionPoint(url)
		if err != nil {
			return nil, err
		}
		list.ExtraExtensions = []pkix.Extension{idp}
	}
	for _, e := range entries {
		serial, err := serialNumber(e.Serial)
		if err != nil {
			return nil, err
		}
		// RFC 5280, 5.3.1: unspecified is left out, which is what x509 does with 0.
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: e.RevokedAt.UTC().Truncate(time.Second), ReasonCode: int(e.Reason),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer, key)
	if err != nil {
		return nil, fmt.Errorf("sign crl: %w", err)
	}
	return der, nil
}

// distributionPoint writes the critical IssuingDistributionPoint (RFC 5280, 5.2.5).
func distributionPoint(url string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { // distributionPoint
			b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { // fullName
				b.AddASN1(casn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
		b.AddASN1(casn1.Tag(1).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddUint8(0xff) }) // onlyContainsUserCerts
	})
	value, err := b.Bytes()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("issuing distribution point: %w", err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}, nil
}

// Evidence implements ca.EvidenceSource: the chain, the root's CRL, and for each serial number of this issuer a fresh OCSP
// answer and its shard's CRL.
func (s *Status) Evidence(ctx context.Context, at time.Time, serials ...string) (ades.Evidence, error) {
	e := ades.Evidence{At: at, Certificates: [][]byte{s.c.Issuer.Raw, s.c.Root.Raw}, CRLs: [][]byte{s.c.RootCRL}}
	shards := map[int]bool{}
	for _, serial := range serials {
		row, known, err := s.row(ctx, serial)
		if err != nil {
			return e, err
		}
		if !known {
			continue
		}
		answer, err := s.answerFor(ctx, serial)
		if err != nil {
			return e, err
		}
		e.OCSPs = append(e.OCSPs, answer)
		if !shards[row.Shard] {
			shards[row.Shard] = true
			list, err := s.CRL(ctx, row.Shard)
			if err != nil {
				return e, err
			}
			e.CRLs = append(e.CRLs, list.DER)
		}
	}
	return e, nil
}

func (s *Status) row(ctx context.Context, serial string) (ca.CertificateRow, bool, error) {
	var row ca.CertificateRow
	known := false
	err := s.c.Ledger.View(ctx, func(tx ca.Tx) error {
		var err error
		row, err = tx.CertificateBySerial(serial)
		if errors.Is(err, ca.ErrNoRow) {
			return nil
		}
		known = err == nil && row.IssuerID == s.issuerID
		return err
	})
	return row, known, err
}

var _ ca.EvidenceSource = (*Status)(nil)

// signatureOf returns the algorithm identifier and hash for a key.
func signatureOf(public crypto.PublicKey) (pkix.AlgorithmIdentifier, crypto.Hash, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize > 256 {
			return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}, crypto.SHA384, nil
		}
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, crypto.SHA256, nil
	case *rsa.PublicKey:
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}, crypto.SHA256, nil
	default:
		return pkix.AlgorithmIdentifier{}, 0, fmt.Errorf("status: a key of type %T is not supported", public)
	}
}
