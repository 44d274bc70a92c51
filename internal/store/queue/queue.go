// Package queue keeps what operators decided about the queues, and counts what
// waits in them.
package queue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/store"
)

// Pause stops one priority of one worker from being delivered.
type Pause struct {
	Worker    string       `json:"worker"`
	Priority  hub.Priority `json:"priority"`
	Reason    string       `json:"reason,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
}

// Pauses lists what is paused.
func Pauses(ctx context.Context, s *store.Store) ([]Pause, error) {
	return store.All(ctx, s.DB(), func(r pgx.CollectableRow) (Pause, error) {
		var p Pause
		return p, r.Scan(&p.Worker, &p.Priority, &p.Reason, &p.CreatedAt)
	}, `SELECT worker, priority, reason, created_at FROM queue_pause ORDER BY worker, priority`)
}

const pauseSQL = `INSERT INTO queue_pause (worker, priority, reason) SELECT $1, p, $3 FROM unnest($2::text[]) p
ON CONFLICT (worker, priority) DO UPDATE SET reason = excluded.reason`

// SetPause stores the pauses of some priorities, new or with another reason.
func SetPause(ctx context.Context, s *store.Store, worker, reason string, ps ...hub.Priority) error {
	_, err := s.DB().Exec(ctx, pauseSQL, worker, ps, reason)
	return err
}

// DeletePause ends pauses; one that is not there is no error.
func DeletePause(ctx context.Context, s *store.Store, worker string, ps ...hub.Priority) error {
	_, err := s.DB().Exec(ctx, `DELETE FROM queue_pause WHERE worker = $1 AND priority = ANY($2)`, worker, ps)
	return err
}

// Depth counts the open jobs of one worker and priority.
type Depth struct {
	Worker     string       `json:"worker"`
	Priority   hub.Priority `json:"priority"`
	Waiting    int64        `json:"waiting"`    // on their subject
	Held       int64        `json:"held"`       // until their repository, branch or connection has a free slot
	Delayed    int64        `json:"delayed"`    // until their next attempt
	Processing int64        `json:"processing"` // by a worker
	Oldest     *time.Time   `json:"oldest,omitempty"`
}

const depthSQL = `SELECT split_part(j.kind, '.', 1), j.priority,
	count(*) FILTER (WHERE o.status = 'PENDING' AND NOT o.held AND (o.next_at IS NULL OR o.next_at <= now())),
	count(*) FILTER (WHERE o.held),
	count(*) FILTER (WHERE o.status = 'PENDING' AND NOT o.held AND o.next_at > now()),
	count(*) FILTER (WHERE o.status = 'PROCESSING'),
	min(j.created_at)
FROM job_open o JOIN job j USING (id) GROUP BY 1, 2`

// Depths counts open jobs; what has none is not listed.
func Depths(ctx context.Context, s *store.Store) ([]Depth, error) {
	return store.All(ctx, s.DB(), func(r pgx.CollectableRow) (Depth, error) {
		var d Depth
		return d, r.Scan(&d.Worker, &d.Priority, &d.Waiting, &d.Held, &d.Delayed, &d.Processing, &d.Oldest)
	}, depthSQL)
}
