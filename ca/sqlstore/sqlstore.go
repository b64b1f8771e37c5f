// Package sqlstore keeps the CA's rows in SQL: one schema and one set of statements for SQLite (a single file, the default)
// and PostgreSQL (several instances of the CA on one database). Migrations are embedded.
//
// Writers come one at a time on both: SQLite by its nature, PostgreSQL by an advisory lock, so that sequences and the audit
// chain have no gaps and a decision cannot race another. Readers see one consistent state.
//
// It decides nothing and encrypts nothing. What the database holds is believed; protect the file, or the account on the
// server, as one protects the CA.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"certsign/ca"
)

//go:embed migration/*.sql
var migrations embed.FS

// writerLock is the key of PostgreSQL's advisory lock; any fixed number that no other program on that database uses.
const writerLock = 0x637573746f6d73 // "customs"

// Store is a ca.Store.
type Store struct {
	write, read *sql.DB
	postgres    bool
}

var _ ca.Store = (*Store)(nil)

// Open opens a database: "sqlite:///var/lib/customs-ca/ca.db", "sqlite://ca.db" for a relative path, or
// "postgres://user@host/name". A missing SQLite file is made, readable by its owner alone. Call Migrate before use.
func Open(ctx context.Context, address string) (*Store, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, fmt.Errorf("database address %q: want sqlite://… or postgres://…", scheme)
	}
	var s *Store
	var err error
	switch scheme {
	case "sqlite":
		s, err = openSQLite(rest)
	case "postgres", "postgresql":
		s, err = openPostgres(address)
	default:
		return nil, fmt.Errorf("database address: %q is neither sqlite nor postgres", scheme)
	}
	if err != nil {
		return nil, err
	}
	if err := s.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.Close())
	}
	return s, nil
}

func openSQLite(path string) (*Store, error) {
	if path == "" {
		return nil, errors.New("database address: no path")
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		return nil, errors.New("database address: a path without parameters is expected")
	}
	path = filepath.FromSlash(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	dsn := func(more ...string) string {
		q := url.Values{"_pragma": append([]string{
			"busy_timeout(15000)", "foreign_keys(ON)", "journal_mode(WAL)", "synchronous(FULL)", "trusted_schema(OFF)",
		}, more...)}
		if len(more) == 0 {
			q.Set("_txlock", "immediate") // a writer waits for its turn when it begins, not in the middle
		}
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	}
	write, err := sql.Open("sqlite", dsn())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn("query_only(ON)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), write.Close())
	}
	read.SetMaxOpenConns(8)
	return &Store{write: write, read: read}, nil
}

func openPostgres(address string) (*Store, error) {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return nil, errors.New("open database: malformed PostgreSQL address") // the address may hold a password
	}
	db.SetMaxOpenConns(16)
	return &Store{write: db, read: db, postgres: true}, nil
}

// Close closes the database.
func (s *Store) Close() error {
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(s.read.Close(), err)
	}
	return err
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.read.PingContext(ctx) }

// Migrate brings the schema to the newest version and returns the versions applied. A schema newer than this program is an
// error.
func (s *Store) Migrate(ctx context.Context) ([]int64, error) {
	p, err := s.migrator()
	if err != nil {
		return nil, err
	}
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; current > newest {
		return nil, fmt.Errorf("migrate: the database has schema %d, this program knows %d: use a newer customs-ca", current, newest)
	}
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	var applied []int64
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	return applied, nil
}

// Current returns an error unless the schema is the one that this program expects.
func (s *Store) Current(ctx context.Context) error {
	p, err := s.migrator()
	if err != nil {
		return err
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if pending {
		return errors.New("schema: migrations are pending")
	}
	return nil
}

func (s *Store) migrator() (*goose.Provider, error) {
	dialect := goose.DialectSQLite3
	if s.postgres {
		dialect = goose.DialectPostgres
	}
	files, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(dialect, s.write, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}

// Update implements ca.Store.
func (s *Store) Update(ctx context.Context, f func(ca.Tx) error) error {
	t, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = t.Rollback() }() // after Commit it does nothing
	if s.postgres {
		if _, err := t.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(writerLock)); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
	}
	if err := f(&tx{ctx: ctx, t: t}); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// View implements ca.Store.
func (s *Store) View(ctx context.Context, f func(ca.Tx) error) error {
	var o *sql.TxOptions
	if s.postgres {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	t, err := s.read.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = t.Rollback() }()
	return f(&tx{ctx: ctx, t: t})
}

// translate turns the drivers' ways to say "a row with that key exists" and "no such row" into the domain's.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ca.ErrNoRow
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) && (lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
		return fmt.Errorf("%w: %w", ca.ErrConflict, err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" { // unique_violation
		return fmt.Errorf("%w: %w", ca.ErrConflict, err)
	}
	return err
}
