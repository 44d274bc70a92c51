// Package event keeps the events that the hub accepted.
package event

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

const insertSQL = `INSERT INTO event (key, source, id, kind, connection, happened_at, trace, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::jsonb[]) ON CONFLICT (key) DO NOTHING RETURNING key`

func arguments(events []message.Event) []any {
	n := len(events)
	key, source, id, kind, conn := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	at, trace, body := make([]*time.Time, n), make([]string, n), make([]string, n)
	for i, e := range events {
		key[i], source[i], id[i], kind[i], conn[i] = e.Key, e.Source, e.ID, string(e.Kind), e.Connection
		at[i], trace[i], body[i] = when(e.Time), e.Trace, string(store.CleanJSON(bytes.Clone(e.Body)))
	}
	return []any{key, source, id, kind, conn, at, trace, body}
}

// Insert stores events. It returns the keys of the new ones; an event of the same
// source and id that is there already stays as it is.
func Insert(ctx context.Context, db store.DB, events []message.Event) ([]string, error) {
	return store.All(ctx, db, pgx.RowTo[string], insertSQL, arguments(events)...)
}

// Queue is Insert as part of a batch.
func Queue(b *store.Batch, events []message.Event) {
	if len(events) > 0 {
		b.Queue(insertSQL, arguments(events)...)
	}
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Take marks events as folded, and returns the keys of those that were not.
// That is the fold's dedupe.
func Take(ctx context.Context, db store.DB, keys []string) ([]string, error) {
	return store.All(ctx, db, pgx.RowTo[string], `UPDATE event SET folded_at = now() WHERE key = ANY($1) AND folded_at IS NULL RETURNING key`, keys)
}

// Refold has the sweep bring an event to the fold once more; it returns false
// where there is none of that key.
func Refold(ctx context.Context, tx store.DB, key string) (bool, error) {
	tag, err := tx.Exec(ctx, `UPDATE event SET folded_at = NULL WHERE key = $1`, key)
	return tag.RowsAffected() == 1, err
}

const columns = `key, source, id, kind, connection, happened_at, trace, body`

func scan(r pgx.CollectableRow) (message.Event, error) {
	var e message.Event
	var at *time.Time
	err := r.Scan(&e.Key, &e.Source, &e.ID, &e.Kind, &e.Connection, &at, &e.Trace, &e.Body)
	if at != nil {
		e.Time = at.UTC()
	}
	return e, err
}

// Get returns one event; the error is store.ErrNotFound where there is none.
func Get(ctx context.Context, s *store.Store, key string) (message.Event, error) {
	return store.One(ctx, s.DB(), scan, `SELECT `+columns+` FROM event WHERE key = $1`, key)
}

const staleSQL = `SELECT ` + columns + ` FROM event WHERE folded_at IS NULL AND accepted_at < now() - $1::interval ORDER BY accepted_at LIMIT $2`

// Stale returns events that were not folded within age, oldest first.
func Stale(ctx context.Context, s *store.Store, age time.Duration, limit int) ([]message.Event, error) {
	return store.All(ctx, s.DB(), scan, staleSQL, age, limit)
}

// Known returns those of the keys whose events were accepted.
func Known(ctx context.Context, s *store.Store, keys []string) ([]string, error) {
	return store.All(ctx, s.DB(), pgx.RowTo[string], `SELECT key FROM event WHERE key = ANY($1)`, keys)
}

// AcceptedAt is when the event of a key was accepted; the error is
// store.ErrNotFound where there is none.
func AcceptedAt(ctx context.Context, s *store.Store, key string) (time.Time, error) {
	return store.One(ctx, s.DB(), pgx.RowTo[time.Time], `SELECT accepted_at FROM event WHERE key = $1`, key)
}
