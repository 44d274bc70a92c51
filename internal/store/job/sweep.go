package job

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

// sweepLimit caps the rows of one sweep, so that each stays a short transaction.
const sweepLimit = 1000

const columns = `j.id, j.run, j.kind, j.priority, j.connection, j.repository, j.branch, j.origin, j.trace, j.body, o.fence`

func scan(r pgx.CollectableRow) (message.Job, error) {
	var j message.Job
	err := r.Scan(&j.ID, &j.Run, &j.Kind, &j.Priority, &j.Connection, &j.Repository, &j.Branch, &j.Origin, &j.Trace, &j.Body, &j.Fence)
	return j, err
}

const expiredSQL = `WITH out AS (
	SELECT id, worker, started_at, cancel FROM job_open WHERE status = 'PROCESSING' AND (lease_until < now() OR ($2 <> '' AND starts_with(worker, $2)))
	ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
), lost AS (
	INSERT INTO job_attempt (job, attempt, fence, worker, started_at, outcome, error)
	SELECT o.id, o.attempt, o.fence, out.worker, out.started_at, CASE WHEN out.cancel IS NULL THEN 'LOST' ELSE 'CANCELLED' END,
		coalesce(out.cancel, 'the worker stopped without a word') FROM out JOIN job_open o USING (id)
), ended AS (
	DELETE FROM job_open o USING out WHERE o.id = out.id AND out.cancel IS NOT NULL
), o AS (
	UPDATE job_open o SET status = 'PENDING', fence = o.fence + 1, worker = '', lease_until = NULL, next_at = NULL, published = true, published_at = now()
	FROM out WHERE o.id = out.id AND out.cancel IS NULL RETURNING o.id, o.fence
)
SELECT ` + columns + ` FROM o JOIN job j USING (id)`

// Expired takes the jobs whose lease ran out away from their workers, and
// returns them for publication. Their attempts are recorded as LOST; those of
// cancelled runs end.
func (l *Ledger) Expired(ctx context.Context) ([]message.Job, error) {
	return store.All(ctx, l.s.DB(), scan, expiredSQL, sweepLimit, "")
}

// Release does the same for the jobs of the workers whose names begin with
// prefix, lease or not: the caller knows that these workers are gone.
func (l *Ledger) Release(ctx context.Context, prefix string) ([]message.Job, error) {
	return store.All(ctx, l.s.DB(), scan, expiredSQL, sweepLimit, prefix)
}

// A retry that the stream should have delivered 10 s ago is overdue.
const dueSQL = `WITH due AS (
	SELECT id FROM job_open WHERE status = 'PENDING' AND NOT held AND ((NOT published AND (next_at IS NULL OR next_at <= now())) OR next_at < now() - interval '10 s')
	ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
), o AS (
	UPDATE job_open o SET published = true, published_at = now(), fence = o.fence + 1, next_at = NULL FROM due WHERE o.id = due.id RETURNING o.id, o.fence
)
SELECT ` + columns + ` FROM o JOIN job j USING (id)`

// Due returns the jobs for publication that are not on the stream and whose time
// has come.
func (l *Ledger) Due(ctx context.Context) ([]message.Job, error) {
	return store.All(ctx, l.s.DB(), scan, dueSQL, sweepLimit)
}

const unpublishedSQL = `UPDATE job_open SET published = false WHERE id = ANY($1) AND status = 'PENDING'`

// Unpublished notes that the stream did not confirm these jobs.
func (l *Ledger) Unpublished(ctx context.Context, ids []string) error {
	_, err := l.s.DB().Exec(ctx, unpublishedSQL, ids)
	return err
}

// Jobs that are worked on have a message on the stream as well: without them, the
// messages of a busy worker would hide that another job's is missing.
const waitingSQL = `SELECT split_part(j.kind, '.', 1) || '-' || lower(j.priority), count(*)
FROM job_open o JOIN job j USING (id) WHERE NOT o.held AND o.published
GROUP BY 1 HAVING bool_or(o.status = 'PENDING' AND o.next_at IS NULL AND o.published_at < now() - $1::interval)`

// Waiting counts the jobs that should have a message on the stream, by
// <worker>-<priority>, where some have waited longer than age.
func (l *Ledger) Waiting(ctx context.Context, age time.Duration) (map[string]int64, error) {
	rows, err := l.s.DB().Query(ctx, waitingSQL, age)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	var key string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&key, &n}, func() error { out[key] = n; return nil })
	return out, err
}

const missingSQL = `WITH gone AS (
	SELECT o.id FROM job_open o JOIN job j USING (id)
	WHERE o.status = 'PENDING' AND NOT o.held AND o.published AND o.next_at IS NULL AND o.published_at < now() - $2::interval
		AND split_part(j.kind, '.', 1) || '-' || lower(j.priority) = $3
	ORDER BY o.id LIMIT $1 FOR UPDATE OF o SKIP LOCKED
), o AS (
	UPDATE job_open o SET published_at = now(), fence = o.fence + 1 FROM gone WHERE o.id = gone.id RETURNING o.id, o.fence
)
SELECT ` + columns + ` FROM o JOIN job j USING (id)`

// Missing returns for publication the jobs under key that have waited longer than
// age. The caller knows that the stream holds fewer messages than Waiting
// counted; a copy too many is refused at the claim.
func (l *Ledger) Missing(ctx context.Context, key string, age time.Duration) ([]message.Job, error) {
	return store.All(ctx, l.s.DB(), scan, missingSQL, sweepLimit, age, key)
}
