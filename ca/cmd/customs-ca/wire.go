package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"certsign/ca"
	"certsign/ca/issuer/stepca"
	"certsign/ca/portal"
	"certsign/ca/seal"
	"certsign/ca/sqlstore"
	"certsign/ca/status"
	"certsign/internal/ades"
	"certsign/internal/ades/format"
	"certsign/internal/ades/format/xades"
	"certsign/internal/ades/validate"
	"certsign/internal/xmldsig"
)

// issuer is what the server needs of a CA backend beside minting tokens.
type issuer interface {
	ca.Issuer
	Handler() http.Handler
	Recover(ctx context.Context, age time.Duration) error
}

// books are the store and the ledger: what commands without a key work with.
type books struct {
	config *configuration
	store  *sqlstore.Store
	ledger *ca.Ledger
	log    *slog.Logger
}

func (o *options) logger() *slog.Logger {
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func (o *options) open(ctx context.Context) (*books, error) {
	config, err := loadConfiguration(o.config)
	if err != nil {
		return nil, err
	}
	codes, err := readCodes(config.dir)
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.Open(ctx, config.database())
	if err != nil {
		return nil, err
	}
	if err := store.Current(ctx); err != nil {
		return nil, errors.Join(hint(err, "run customs-ca migrate --config %s", o.config), store.Close())
	}
	b := &books{config: config, store: store, log: o.logger()}
	if b.ledger, err = ca.NewLedger(ca.LedgerConfig{Store: store, CodeKey: codes, Log: b.log}); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return b, nil
}

// with runs f over the opened books and closes them.
func (o *options) with(ctx context.Context, f func(*books) error) error {
	b, err := o.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(b), b.store.Close())
}

// house is the whole CA, ready to be served.
type house struct {
	*books
	keys   *keyring
	issuer issuer
	status *status.Status
	desk   *ca.CA
	portal http.Handler
}

func (b *books) build(ctx context.Context) (*house, error) {
	keys, err := readKeyring(b.config)
	if err != nil {
		return nil, err
	}
	h := &house{books: b, keys: keys}
	if h.status, err = b.statusService(keys); err != nil {
		return nil, err
	}
	if err := h.renewResponder(time.Now()); err != nil {
		return nil, err
	}
	h.issuer, err = issuers[b.config.Issuer](ctx, stepca.Config{
		Ledger: b.ledger, Root: keys.root, Certificate: keys.issuing, Key: keys.issuingKey, Provisioner: keys.provisioner,
		URL: b.config.CAURL, Names: b.config.CANames, StatusURL: b.config.StatusURL, Slug: issuingName, Shards: b.config.CRLShards,
		PolicyURL: b.config.PublicURL + "/docs/cp", Log: b.log,
	})
	if err != nil {
		return nil, err
	}
	codecs := format.All()
	sealing, err := seal.New(keys.sealKey, [][]byte{keys.seal.Raw}, codecs[0], nil)
	if err != nil {
		return nil, err
	}
	trust := ades.Anchors{{Certificate: keys.root.Raw, Kind: "AdES"}}
	h.desk, err = ca.New(ca.Config{
		Ledger: b.ledger, Issuer: h.issuer, CAURL: b.config.CAURL, TermsVersion: portal.TermsVersion,
		MaxCertificates: b.config.MaxCertificates, Decisions: b.config.Decision, MaxDocument: b.config.MaxDocument,
		Codecs: codecs, Validate: validate.Validate, Policy: validate.Portal(trust), Evidence: h.status,
		Canonical: canonical, SignedDraft: signedDraft, Sealer: sealing, Log: b.log,
	})
	if err != nil {
		return nil, err
	}
	paper := seal.Paper{PortalURL: b.config.PublicURL, PolicyURL: b.config.PublicURL + "/docs/cp", HelpDesk: b.config.HelpDesk, Test: b.config.Test}
	h.portal, err = portal.New(portal.Config{
		Desk: h.desk, PublicURL: b.config.PublicURL, StatusURL: b.config.StatusURL, CAURL: b.config.CAURL, PolicyOID: stepca.PolicyOID,
		Test: b.config.Test, Mailbox: b.config.Mailbox, Confirmation: paper.Confirmation, MaxDocument: b.config.MaxDocument,
		Decisions: b.config.Decision, Log: b.log,
	})
	return h, err
}

// statusService is the status service alone; crl publish needs no more.
func (b *books) statusService(keys *keyring) (*status.Status, error) {
	list, err := os.ReadFile(filepath.Join(b.config.dir, rootCRLFile))
	if err != nil {
		return nil, err
	}
	return status.New(status.Config{
		Ledger: b.ledger, Issuer: keys.issuing, Key: keys.issuingKey, Responder: keys.ocsp, ResponderKey: keys.ocspKey,
		Root: keys.root, RootCRL: list, URL: b.config.StatusURL, Slug: issuingName, Shards: b.config.CRLShards, Log: b.log,
	})
}

// renewResponder replaces the OCSP certificate when it nears its end.
func (h *house) renewResponder(now time.Time) error {
	if h.keys.ocsp.NotAfter.Sub(now) > responderRenewal {
		return nil
	}
	c, err := delegate(h.keys.issuing, h.keys.issuingKey, h.keys.ocspKey.Public(), h.keys.marker(), now)
	if err != nil {
		return err
	}
	if err := replace(certificatePath(h.config.dir, ocspName), certificatePEM(c), 0o644); err != nil {
		return err
	}
	h.keys.ocsp = c
	h.log.Info("OCSP certificate renewed", "until", c.NotAfter)
	return h.status.Delegate(c)
}

// signedDraft tells whether a signed document is the draft and one signature.
func signedDraft(draft, signed []byte) (bool, error) {
	return xades.SignedDraft(draft, signed, xmldsig.Limits{})
}

// canonical returns the canonical forms of an XML document; other documents have none.
func canonical(draft []byte) ([][]byte, error) {
	doc, err := xmldsig.Read(draft, xmldsig.Limits{})
	if err != nil {
		return nil, err
	}
	var forms [][]byte
	for _, kind := range []xmldsig.C14NKind{xmldsig.Inclusive10, xmldsig.Inclusive11, xmldsig.Exclusive10} {
		for _, comments := range []bool{false, true} {
			set := xmldsig.Subtree(doc.Node())
			if !comments {
				set = set.WithoutComments()
			}
			form, err := xmldsig.Canonicalization{Kind: kind, Comments: comments}.Bytes(set)
			if err != nil {
				return nil, fmt.Errorf("canonical form: %w", err)
			}
			forms = append(forms, form)
		}
	}
	return forms, nil
}
