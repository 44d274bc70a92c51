// Package fact keeps the facts that are not folded yet.
package fact

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

const insertSQL = `INSERT INTO fact (id, run, job, kind, trace, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])`

// Insert queues new facts.
func Insert(b *store.Batch, facts []message.Fact) {
	if len(facts) == 0 {
		return
	}
	n := len(facts)
	id, run, job, kind, trace, body := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([][]byte, n)
	for i, f := range facts {
		id[i], run[i], job[i], kind[i], trace[i], body[i] = f.ID, f.Run, f.Job, string(f.Kind), f.Trace, f.Body
	}
	b.Queue(insertSQL, id, run, job, kind, trace, body)
}

// InsertAt queues a fact that is folded at a time, and not before: the sweep
// brings it.
func InsertAt(b *store.Batch, f message.Fact, at time.Time) {
	b.Queue(`INSERT INTO fact (id, run, job, kind, trace, body, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`, f.ID, f.Run, f.Job, string(f.Kind), f.Trace, []byte(f.Body), at)
}

// Take deletes the rows of facts, and returns the ids that were there. That is
// the fold's dedupe: a fact seen again has no row.
func Take(ctx context.Context, db store.DB, ids []string) ([]string, error) {
	return store.All(ctx, db, pgx.RowTo[string], `DELETE FROM fact WHERE id = ANY($1) RETURNING id`, ids)
}

const staleSQL = `SELECT id, run, job, kind, trace, body FROM fact WHERE due_at < now() - $1::interval ORDER BY due_at LIMIT $2`

// Stale returns facts that were not folded within age, oldest first.
func Stale(ctx context.Context, s *store.Store, age time.Duration, limit int) ([]message.Fact, error) {
	return store.All(ctx, s.DB(), func(r pgx.CollectableRow) (message.Fact, error) {
		var f message.Fact
		return f, r.Scan(&f.ID, &f.Run, &f.Job, &f.Kind, &f.Trace, &f.Body)
	}, staleSQL, age, limit)
}
