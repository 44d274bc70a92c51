// Package store is the only door to Postgres: pool, transactions, migrations.
// The SQL stands in the packages below it, one for each noun.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound says that no row has that key.
var ErrNotFound = errors.New("not found")

// Store is a ledger: one schema of one database.
type Store struct {
	cfg  Config
	pool *pgxpool.Pool
	fast *pgxpool.Pool
}

// Config says which database to use.
type Config struct {
	URL       string // postgres://…
	Namespace string // the schema
	Conns     int    // at most that many connections; 0 means 16
}

// statementTimeout bounds every statement: no query of the hub may take longer.
const statementTimeout = 30 * time.Second

// Open connects to a database; it does not migrate. The caller closes the store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("HUB_DATABASE_URL: %w", err)
	}
	if cfg.Conns == 0 {
		cfg.Conns = 16
	}
	pc.MaxConns = int32(cfg.Conns)
	pc.MinIdleConns = 2 // a connection opened under load costs the tail of the latency
	pc.ConnConfig.ConnectTimeout = 5 * time.Second
	params := pc.ConnConfig.RuntimeParams
	params["search_path"] = pgx.Identifier{cfg.Namespace}.Sanitize()
	params["statement_timeout"] = fmt.Sprint(statementTimeout.Milliseconds())
	params["idle_in_transaction_session_timeout"] = fmt.Sprint(statementTimeout.Milliseconds())
	params["application_name"] = "integration-hub"
	s := &Store{cfg: cfg}
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	fc := pc.Copy()
	fc.MaxConns, fc.MinIdleConns = 4, 1
	fc.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	if s.fast, err = pgxpool.NewWithConfig(ctx, fc); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	if err := s.pool.Ping(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	return s, nil
}

// Close waits for the connections in use and closes them.
func (s *Store) Close() {
	s.pool.Close()
	s.fast.Close()
}

// Migrate brings the schema to this program's version.
func (s *Store) Migrate(ctx context.Context) error { return Migrate(ctx, s.cfg.URL, s.cfg.Namespace) }

// Ready reports why the store cannot be used now, or nil.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got, err := version(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if want := latest(); got != want {
		return fmt.Errorf("postgres: schema %s has version %d, this program needs %d; run the orchestrator of the same version", s.cfg.Namespace, got, want)
	}
	return nil
}

// DB is what statements run on: the store itself or a transaction.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// DB runs statements outside any transaction, each durable when it returns.
func (s *Store) DB() DB { return s.pool }

// Fast runs statements whose loss in a crash is harmless: it does not wait for
// the disk. Claims go there, because a claim that is lost is only a lease less.
func (s *Store) Fast() DB { return s.fast }

// InTx runs f in one transaction: committed when f returns nil.
func (s *Store) InTx(ctx context.Context, f func(DB) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return f(tx) })
}

// Batch queues statements that run together later, in one transaction and one
// round trip. It runs nothing itself, so it may be filled twice.
type Batch struct{ b pgx.Batch }

// Queue adds a statement.
func (b *Batch) Queue(sql string, args ...any) { b.b.Queue(sql, args...) }

// Len is the number of statements.
func (b *Batch) Len() int { return b.b.Len() }

// Run sends what was queued.
func (b *Batch) Run(ctx context.Context, db DB) error {
	if b.b.Len() == 0 {
		return nil
	}
	return db.SendBatch(ctx, &b.b).Close()
}

// One reads a single row into T by scan; no row is ErrNotFound.
func One[T any](ctx context.Context, db DB, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) (T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

// All reads every row by scan.
func All[T any](ctx context.Context, db DB, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// Unfit reports whether Postgres refused a value itself, so that writing the same
// is no use however often it is tried.
func Unfit(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return false
	}
	switch pe.Code[:2] {
	case "22", "23", "54": // data exception, integrity constraint, program limit
		return true
	}
	return false
}

// Rejected reports whether Postgres answered and refused the statement itself
// (a constraint, a value), so that trying the same again as part of the same
// batch is no use. A lost connection, a server that is starting, or a deadlock
// with another transaction is not a rejection.
func Rejected(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return false
	}
	switch pe.Code[:2] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, operator intervention, system
		return false
	}
	return true
}
