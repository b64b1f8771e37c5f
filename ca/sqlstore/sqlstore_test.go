package sqlstore_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/ca"
	"certsign/ca/sqlstore"
	"certsign/internal/keyorigin"
)

// StoreSuite is the contract of ca.Store. It runs over every database.
type StoreSuite struct {
	suite.Suite
	fresh   func() (address, driver, source string) // of a new, empty database, for us and for database/sql
	store   *sqlstore.Store
	applied []int64
	ctx     context.Context

	driver, source string
}

func (s *StoreSuite) SetupTest() {
	s.ctx = context.Background()
	var address string
	address, s.driver, s.source = s.fresh()
	var err error
	s.store, err = sqlstore.Open(s.ctx, address)
	s.Require().NoError(err)
	s.applied, err = s.store.Migrate(s.ctx)
	s.Require().NoError(err)
}

// tamper changes the database past the store, and returns how many rows that concerned.
func (s *StoreSuite) tamper(statement string) int64 {
	db, err := sql.Open(s.driver, s.source)
	s.Require().NoError(err)
	defer db.Close()
	result, err := db.Exec(statement)
	s.Require().NoError(err)
	n, err := result.RowsAffected()
	s.Require().NoError(err)
	return n
}

func (s *StoreSuite) TearDownTest() { s.NoError(s.store.Close()) }

func TestSQLite(t *testing.T) {
	suite.Run(t, &StoreSuite{fresh: func() (address, driver, source string) {
		path := filepath.Join(t.TempDir(), "ca.db")
		return "sqlite://" + path, "sqlite", path
	}})
}

func TestPostgreSQL(t *testing.T) {
	server := startPostgres(t)
	n := 0
	suite.Run(t, &StoreSuite{fresh: func() (address, driver, source string) {
		n++
		address = server.database(t, fmt.Sprintf("ca%d", n))
		return address, "pgx", address
	}})
}

func (s *StoreSuite) update(f func(ca.Tx) error) { s.Require().NoError(s.store.Update(s.ctx, f)) }

func (s *StoreSuite) TestMigratingTwiceChangesNothing() {
	applied, err := s.store.Migrate(s.ctx)
	s.Require().NoError(err)
	s.Empty(applied)
	s.NoError(s.store.Current(s.ctx))
}

func (s *StoreSuite) TestAFailedUpdateLeavesNothing() {
	stop := errors.New("stop")
	err := s.store.Update(s.ctx, func(tx ca.Tx) error {
		_, err := tx.InsertPerson(ca.Person{GivenName: "A", Surname: "B", Country: "PL", Identity: "TINPL-1"})
		s.NoError(err)
		return stop
	})
	s.ErrorIs(err, stop)
	s.NoError(s.store.View(s.ctx, func(tx ca.Tx) error {
		_, err := tx.PersonByIdentity("TINPL-1")
		s.ErrorIs(err, ca.ErrNoRow)
		return nil
	}))
}

func (s *StoreSuite) TestAViewCannotWrite() {
	s.Error(s.store.View(s.ctx, func(tx ca.Tx) error { return tx.Touch(1) }))
}

func (s *StoreSuite) TestASecondRowWithAKeyIsAConflict() {
	err := s.store.Update(s.ctx, func(tx ca.Tx) error {
		for range 2 {
			if _, err := tx.InsertPerson(ca.Person{GivenName: "A", Surname: "B", Country: "PL", Identity: "TINPL-1"}); err != nil {
				return err
			}
		}
		return nil
	})
	s.ErrorIs(err, ca.ErrConflict)
}

func (s *StoreSuite) TestSequencesHaveNoGapsAndAreSharedByWriters() {
	const writers, each = 8, 10
	var wg sync.WaitGroup
	seen := make(chan int64, writers*each)
	for range writers {
		wg.Go(func() {
			for range each {
				s.NoError(s.store.Update(s.ctx, func(tx ca.Tx) error {
					n, err := tx.Next("x")
					seen <- n
					return err
				}))
			}
		})
	}
	wg.Wait()
	close(seen)
	all := map[int64]bool{}
	for n := range seen {
		all[n] = true
	}
	s.Len(all, writers*each)
	s.True(all[writers*each])
}

func (s *StoreSuite) TestATokenIsSpentOnce() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			s.NoError(s.store.Update(s.ctx, func(tx ca.Tx) error {
				fresh, err := tx.SpendToken("t", time.Now())
				if fresh {
					mu.Lock()
					won++
					mu.Unlock()
				}
				return err
			}))
		})
	}
	wg.Wait()
	s.Equal(1, won)
}

func (s *StoreSuite) TestTimesAreKeptToTheMicrosecond() {
	at := time.Date(2026, 11, 22, 1, 2, 3, 456789000, time.UTC)
	s.update(func(tx ca.Tx) error {
		return tx.InsertMail(ca.Mail{ID: 1, To: "a@example.test", Subject: "Żółć", Text: "x", Created: at})
	})
	s.NoError(s.store.View(s.ctx, func(tx ca.Tx) error {
		all, err := tx.UnsentMail(10)
		s.Require().Len(all, 1)
		s.Equal(at, all[0].Created)
		s.Zero(all[0].Sent)
		s.Equal("Żółć", all[0].Subject)
		return err
	}))
	s.update(func(tx ca.Tx) error { return tx.MarkSent(1, at) })
	s.ErrorIs(s.store.Update(s.ctx, func(tx ca.Tx) error { return tx.MarkSent(2, at) }), ca.ErrNoRow)
}

// tokens mints tokens that are nothing but their id.
type tokens struct{}

func (tokens) Token(_ context.Context, g ca.Grant) (string, error) { return "token " + g.TokenID, nil }

// TestTheLedgerWorksOverIt walks an enrolment, a request and a document through the domain.
func (s *StoreSuite) TestTheLedgerWorksOverIt() {
	t := s.T()
	ctx := s.ctx
	ledger, err := ca.NewLedger(ca.LedgerConfig{Store: s.store, CodeKey: bytes.Repeat([]byte{1}, 32)})
	require.NoError(t, err)
	desk, err := ca.New(ca.Config{Ledger: ledger, Issuer: tokens{}, TermsVersion: "1"})
	require.NoError(t, err)
	person, err := ledger.AddPerson(ctx, ca.Person{GivenName: "Anna", Surname: "Żółć", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"})
	require.NoError(t, err)
	anna, err := ledger.AddAccount(ctx, ca.NewAccount{Email: "anna@example.test", Password: "Haslo-do-testow-1", Kind: ca.Extended, Role: ca.RoleUser, Language: "en", PersonID: person.ID})
	require.NoError(t, err)
	_, err = desk.Login(ctx, "anna@example.test", "Haslo-do-testow-1", "")
	require.NoError(t, err)
	require.NoError(t, desk.AcceptTerms(ctx, anna.ID, "1"))

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	origin := keyorigin.Statement{Store: "pkcs11", Hardware: true, By: "Zakład Kart EP-2", Local: "yes"}
	csr, err := keyorigin.NewRequest(key, origin)
	require.NoError(t, err)
	e, err := desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)
	granted, err := ledger.Granted(ctx, csr)
	require.NoError(t, err)

	id := e.Token[len("token "):]
	fresh, err := ledger.SpendToken(ctx, id)
	require.NoError(t, err)
	assert.True(t, fresh)
	n, err := ledger.ReleaseTokens(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 1, n, "spent, but nothing was intended")
	fresh, err = ledger.SpendToken(ctx, id)
	require.NoError(t, err)
	assert.True(t, fresh)

	issuerKey, issuer := authority(t)
	leaf := issue(t, issuer, issuerKey, key.Public(), granted.Subject)
	intent, err := ledger.Intend(ctx, granted.ID, leaf, issuer, 3)
	require.NoError(t, err)
	assert.Equal(t, ca.IntentOpen, intent.State)
	_, err = ledger.Intend(ctx, granted.ID, issue(t, issuer, issuerKey, key.Public(), granted.Subject), issuer, 3)
	require.Error(t, err, "one intent for a key")
	n, err = ledger.ReleaseTokens(ctx)
	require.NoError(t, err)
	assert.Zero(t, n)

	r, err := ledger.Recover(ctx, ca.IssuerID(issuer), 0, func(i ca.Intent) ([]byte, error) {
		assert.Equal(t, leaf.RawTBSCertificate, i.TBS)
		return leaf.Raw, nil
	})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Completed)
	c, err := ledger.Record(ctx, leaf.Raw)
	require.NoError(t, err, "recording again changes nothing")
	assert.Equal(t, ca.Active, c.State)
	assert.Equal(t, [][]byte{issuer.Raw}, c.Chain)
	assert.Equal(t, &origin, c.KeyOrigin)
	found, err := ledger.Find(ctx, c.Serial)
	require.NoError(t, err)
	assert.Equal(t, &origin, found.KeyOrigin, "as the agent stated it")

	code, err := desk.VerificationCode(ctx, anna.ID, c.Serial)
	require.NoError(t, err)
	request, err := desk.Wish(ctx, anna.ID, c.Serial, ca.Suspend, ca.OnRequest, code)
	require.NoError(t, err)
	assert.Equal(t, ca.Resolved, request.State)
	require.NoError(t, s.store.View(ctx, func(tx ca.Tx) error {
		listed, err := tx.Listed(ca.IssuerID(issuer), 3, time.Now())
		require.Len(t, listed, 1)
		assert.Equal(t, ca.CertificateHold, listed[0].Reason)
		changes, err2 := tx.Changes(3)
		assert.EqualValues(t, 1, changes)
		states, err3 := tx.CountStates(time.Now())
		assert.Equal(t, map[ca.State]int64{ca.Suspended: 1}, states)
		return errors.Join(err, err2, err3)
	}))
	for number := int64(1); number <= 2; number++ {
		row, err := ledger.PutCRL(ctx, ca.IssuerID(issuer), 3, func(entries []ca.Listing, n int64) (*ca.CRLRow, error) {
			assert.Len(t, entries, 1)
			assert.Equal(t, number, n)
			return &ca.CRLRow{DER: []byte{1}, ThisUpdate: time.Now(), NextUpdate: time.Now()}, nil
		})
		require.NoError(t, err)
		assert.EqualValues(t, 1, row.Changes)
	}
	d, err := desk.AddDocument(ctx, anna.ID, "a.xml", "application/xml", []byte("<a/>"))
	require.NoError(t, err)
	list, err := desk.Documents(ctx, anna.ID)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, d.ID, list[0].ID)
	whole, err := desk.Document(ctx, anna.ID, d.ID)
	require.NoError(t, err)
	assert.Equal(t, []byte("<a/>"), whole.Content)
	assert.Nil(t, whole.Signed)

	head, err := ledger.VerifyAudit(ctx)
	require.NoError(t, err)
	assert.Greater(t, head.Sequence, int64(8))
}

func (s *StoreSuite) ledger() *ca.Ledger {
	ledger, err := ca.NewLedger(ca.LedgerConfig{Store: s.store, CodeKey: bytes.Repeat([]byte{1}, 32)})
	s.Require().NoError(err)
	return ledger
}

func (s *StoreSuite) TestAChangedAuditLogIsNoticed() {
	ledger := s.ledger()
	for i := range 4 {
		_, err := ledger.AddPerson(s.ctx, ca.Person{GivenName: "A", Surname: "B", Country: "PL", Identity: fmt.Sprintf("TINPL-%d", i)})
		s.Require().NoError(err)
	}
	_, err := ledger.VerifyAudit(s.ctx)
	s.Require().NoError(err)
	var broken *ca.AuditBroken
	s.EqualValues(1, s.tamper(`UPDATE audit SET actor = 'nobody' WHERE sequence = 2`))
	_, err = ledger.VerifyAudit(s.ctx)
	s.Require().ErrorAs(err, &broken)
	s.EqualValues(2, broken.Sequence)
	s.EqualValues(1, s.tamper(`UPDATE audit SET actor = 'operator' WHERE sequence = 2`))
	_, err = ledger.VerifyAudit(s.ctx)
	s.Require().NoError(err, "as it was")
	s.EqualValues(1, s.tamper(`DELETE FROM audit WHERE sequence = 3`))
	_, err = ledger.VerifyAudit(s.ctx)
	s.Require().ErrorAs(err, &broken)
	s.EqualValues(3, broken.Sequence)
}

func (s *StoreSuite) TestAnOlderDatabaseIsMigratedWithWhatIsInIt() {
	s.Require().Equal([]int64{1, 2}, s.applied)
	ledger := s.ledger()
	serial := issuedIn(s.T(), ledger)

	s.tamper(`ALTER TABLE certificates DROP COLUMN key_origin`)
	s.EqualValues(1, s.tamper(`DELETE FROM goose_db_version WHERE version_id = 2`))
	s.Require().Error(s.store.Current(s.ctx))
	applied, err := s.store.Migrate(s.ctx)
	s.Require().NoError(err)
	s.Equal([]int64{2}, applied)
	s.Require().NoError(s.store.Current(s.ctx))
	c, err := ledger.Find(s.ctx, serial)
	s.Require().NoError(err)
	s.Nil(c.KeyOrigin, "nothing was recorded of it then")
	_, err = ledger.VerifyAudit(s.ctx)
	s.NoError(err, "what was there is there")
}

// issuedIn enrols a person and records a certificate whose request states how the key came to be.
func issuedIn(t *testing.T, ledger *ca.Ledger) string {
	t.Helper()
	ctx := context.Background()
	desk, err := ca.New(ca.Config{Ledger: ledger, Issuer: tokens{}, TermsVersion: "1"})
	require.NoError(t, err)
	person, err := ledger.AddPerson(ctx, ca.Person{GivenName: "Anna", Surname: "Żółć", Country: "PL", Identity: "PNOPL-44051401458", IDSISC: "PL526000001400017"})
	require.NoError(t, err)
	anna, err := ledger.AddAccount(ctx, ca.NewAccount{Email: "anna@example.test", Password: "Haslo-do-testow-1", Kind: ca.Extended, Role: ca.RoleUser, Language: "en", PersonID: person.ID})
	require.NoError(t, err)
	require.NoError(t, desk.AcceptTerms(ctx, anna.ID, "1"))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	csr, err := keyorigin.NewRequest(key, keyorigin.Statement{Store: "keyfile", Local: "yes", NeverExtractable: "no"})
	require.NoError(t, err)
	_, err = desk.Enroll(ctx, anna.ID, csr)
	require.NoError(t, err)
	granted, err := ledger.Granted(ctx, csr)
	require.NoError(t, err)
	issuerKey, issuer := authority(t)
	leaf := issue(t, issuer, issuerKey, key.Public(), granted.Subject)
	_, err = ledger.Intend(ctx, granted.ID, leaf, issuer, 3)
	require.NoError(t, err)
	c, err := ledger.Record(ctx, leaf.Raw)
	require.NoError(t, err)
	require.NotNil(t, c.KeyOrigin)
	return c.Serial
}

func TestAddressesAndFilesThatCannotBeOpened(t *testing.T) {
	for name, address := range map[string]string{
		"no scheme":         "ca.db",
		"an unknown scheme": "mysql://x",
		"no path":           "sqlite://",
		"parameters":        "sqlite://ca.db?mode=memory",
		"a missing folder":  "sqlite://" + filepath.Join(t.TempDir(), "none", "ca.db"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlstore.Open(context.Background(), address)
			require.Error(t, err)
		})
	}
	t.Run("a password does not appear in an error", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := sqlstore.Open(ctx, "postgres://ca:geheim@127.0.0.1:1/ca")
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "geheim")
	})
	t.Run("a new file is the owner's alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.db")
		store, err := sqlstore.Open(context.Background(), "sqlite://"+path)
		require.NoError(t, err)
		require.NoError(t, store.Close())
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	})
}
