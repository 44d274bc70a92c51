// Package dead keeps dead letters: jobs and events that will not be tried again.
package dead

import (
	"context"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

const insertSQL = `INSERT INTO dead_letter (id, run, kind, subject, cause, attempts, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET cause = excluded.cause, attempts = excluded.attempts, created_at = excluded.created_at`

// Insert queues a dead letter. One of the same message replaces the earlier one.
func Insert(b *store.Batch, d message.DeadLetter) {
	b.Queue(insertSQL, d.ID, d.Run, string(d.Kind), d.Subject, d.Cause, d.Attempts, d.Body, d.At)
}

const listSQL = `SELECT id, run, kind, subject, cause, attempts, body, created_at FROM dead_letter ORDER BY created_at DESC, id LIMIT $1`

// List returns the newest dead letters.
func List(ctx context.Context, s *store.Store, limit int) ([]message.DeadLetter, error) {
	return store.All(ctx, s.DB(), func(r pgx.CollectableRow) (message.DeadLetter, error) {
		var d message.DeadLetter
		return d, r.Scan(&d.ID, &d.Run, &d.Kind, &d.Subject, &d.Cause, &d.Attempts, &d.Body, &d.At)
	}, listSQL, limit)
}
