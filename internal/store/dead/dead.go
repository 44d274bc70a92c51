// Package dead keeps dead letters: jobs and events that will not be tried again.
package dead

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

const insertSQL = `INSERT INTO dead_letter (id, run, kind, subject, cause, attempts, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET cause = excluded.cause, attempts = excluded.attempts, created_at = excluded.created_at,
	resolution = NULL, resolved_at = NULL, reason = ''`

// Insert queues a dead letter. One of the same message replaces the earlier one,
// and is open again.
func Insert(b *store.Batch, d message.DeadLetter) {
	b.Queue(insertSQL, d.ID, d.Run, string(d.Kind), d.Subject, d.Cause, d.Attempts, d.Body, d.At)
}

// Letter is a dead letter as readers see it.
type Letter struct {
	message.DeadLetter
	Resolution string     `json:"resolution,omitempty"` // REQUEUED or DISCARDED; empty while it is open
	ResolvedAt *time.Time `json:"resolved_at,omitempty"`
	Reason     string     `json:"reason,omitempty"`      // of a discard
	RequeuedAs string     `json:"requeued_as,omitempty"` // the job that makes it good
}

// Filter narrows a list; zero values do not.
type Filter struct {
	Kind   message.Kind
	Run    string
	Cause  string // a part of the cause
	All    bool   // resolved ones too
	Before string // id of the last letter of the page before
	Limit  int
}

const columns = `d.id, d.run, d.kind, d.subject, d.cause, d.attempts, d.created_at, coalesce(d.resolution, ''), d.resolved_at, d.reason,
	coalesce((SELECT j.id FROM job j WHERE j.run = d.run AND j.origin = d.id ORDER BY j.created_at DESC LIMIT 1), '')`

func scan(r pgx.CollectableRow) (Letter, error) {
	var d Letter
	err := r.Scan(&d.ID, &d.Run, &d.Kind, &d.Subject, &d.Cause, &d.Attempts, &d.At, &d.Resolution, &d.ResolvedAt, &d.Reason, &d.RequeuedAs, &d.Body)
	return d, err
}

const filterSQL = `($1 = '' OR d.kind = $1) AND ($2 = '' OR d.run = $2) AND ($3 = '' OR strpos(d.cause, $3) > 0) AND ($4 OR d.resolution IS NULL)`

const listSQL = `SELECT ` + columns + `, ''::bytea FROM dead_letter d
WHERE ` + filterSQL + ` AND ($5 = '' OR (d.created_at, d.id) < (SELECT created_at, id FROM dead_letter WHERE id = $5))
ORDER BY d.created_at DESC, d.id DESC LIMIT $6`

// List returns dead letters without their bodies, newest first.
func List(ctx context.Context, s *store.Store, f Filter) ([]Letter, error) {
	return store.All(ctx, s.DB(), scan, listSQL, string(f.Kind), f.Run, f.Cause, f.All, f.Before, f.Limit)
}

// Count counts what List would return without a page and a limit.
func Count(ctx context.Context, s *store.Store, f Filter) (int, error) {
	return store.One(ctx, s.DB(), pgx.RowTo[int], `SELECT count(*) FROM dead_letter d WHERE `+filterSQL, string(f.Kind), f.Run, f.Cause, f.All)
}

// Get returns one; the error is store.ErrNotFound where there is none.
func Get(ctx context.Context, s *store.Store, id string) (Letter, error) {
	return store.One(ctx, s.DB(), scan, `SELECT `+columns+`, d.body FROM dead_letter d WHERE d.id = $1`, id)
}

const requeuedSQL = `UPDATE dead_letter SET resolution = 'REQUEUED', resolved_at = now() WHERE id = $1 AND resolution IS NULL`

// Requeued queues the end of an open letter that a new job makes good.
func Requeued(b *store.Batch, id string) { b.Queue(requeuedSQL, id) }

// Refolded ends an open letter whose message is folded again; it returns false
// where it is not open.
func Refolded(ctx context.Context, tx store.DB, id string) (bool, error) {
	tag, err := tx.Exec(ctx, requeuedSQL, id)
	return tag.RowsAffected() == 1, err
}

// Discard ends an open letter; it returns false where it is not open.
func Discard(ctx context.Context, s *store.Store, id, reason string) (bool, error) {
	tag, err := s.DB().Exec(ctx, `UPDATE dead_letter SET resolution = 'DISCARDED', resolved_at = now(), reason = $2 WHERE id = $1 AND resolution IS NULL`, id, reason)
	return tag.RowsAffected() == 1, err
}
