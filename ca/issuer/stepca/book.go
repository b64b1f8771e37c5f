package stepca

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"

	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"

	"certsign/ca"
	"certsign/internal/problem"
)

// book is the authority's database: the ledger, as step-ca asks for it. Serial numbers are decimal on that side.
type book struct{ *Issuer }

var _ db.AuthDB = (*book)(nil)

func (b *book) find(serial string) (*ca.Certificate, error) {
	n, ok := new(big.Int).SetString(serial, 10)
	if !ok || n.Sign() <= 0 {
		return nil, problem.New(problem.NotFound, "no such serial number")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.c.Ledger.Find(ctx, ca.SerialHex(n))
}

// IsRevoked implements db.AuthDB. A suspended certificate is good for nothing here either.
func (b *book) IsRevoked(serial string) (bool, error) {
	c, err := b.find(serial)
	if problem.CodeOf(err) == problem.NotFound {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return c.State != ca.Active, nil
}

// Revoke implements db.AuthDB for permanent reasons. It is reached through /1.0/revoke only, behind a token.
func (b *book) Revoke(r *db.RevokedCertificateInfo) error {
	if r.MTLS || r.ACME {
		return &refusal{problem.New(problem.Forbidden, "a revocation needs a token"), http.StatusForbidden}
	}
	n, ok := new(big.Int).SetString(r.Serial, 10)
	if !ok {
		return &refusal{problem.New(problem.BadRequest, "malformed serial number"), http.StatusBadRequest}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := b.c.Ledger.RevokeFor(ctx, "token "+r.TokenID, ca.SerialHex(n), ca.Reason(r.ReasonCode))
	return asRefusal(err)
}

// GetCertificate implements db.AuthDB.
func (b *book) GetCertificate(serial string) (*x509.Certificate, error) {
	c, err := b.find(serial)
	if err != nil {
		return nil, err
	}
	return c.X509, nil
}

// UseToken implements db.AuthDB: the ledger spends a token once.
func (b *book) UseToken(id, _ string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fresh, err := b.c.Ledger.SpendToken(ctx, id)
	if err != nil {
		return false, err
	}
	if !fresh {
		return false, &refusal{problem.New(problem.TokenSpent, "the token was used already"), http.StatusUnauthorized}
	}
	return true, nil
}

// StoreCertificateChain is how step-ca hands over what was issued.
func (b *book) StoreCertificateChain(_ provisioner.Interface, chain ...*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("no certificate to store")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := b.c.Ledger.Record(ctx, chain[0].Raw); err != nil {
		return err
	}
	b.step("recorded")
	return nil
}

// StoreRenewedCertificate refuses: there are no renewals.
func (b *book) StoreRenewedCertificate(*x509.Certificate, ...*x509.Certificate) error {
	return errors.New("customs certificates are not renewed")
}

// The rest of db.AuthDB is about SSH, which this CA does not do.

// IsSSHRevoked implements db.AuthDB.
func (b *book) IsSSHRevoked(string) (bool, error) { return true, db.ErrNotImplemented }

// RevokeSSH implements db.AuthDB.
func (b *book) RevokeSSH(*db.RevokedCertificateInfo) error { return db.ErrNotImplemented }

// IsSSHHost implements db.AuthDB.
func (b *book) IsSSHHost(string) (bool, error) { return false, db.ErrNotImplemented }

// GetSSHHostPrincipals implements db.AuthDB.
func (b *book) GetSSHHostPrincipals() ([]string, error) { return nil, db.ErrNotImplemented }

// Shutdown implements db.AuthDB; the store belongs to whoever opened it.
func (b *book) Shutdown() error { return nil }
