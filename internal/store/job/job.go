// Package job keeps jobs, their claims and their attempts: the SQL behind work.
package job

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

// Outcome is how an attempt ended.
type Outcome string

// The outcomes. The first three end the job; RETRY and LATER want it again,
// LATER without counting the attempt; LOST is an attempt whose lease ran out.
const (
	Completed Outcome = "COMPLETED"
	Failed    Outcome = "FAILED"
	Cancelled Outcome = "CANCELLED"
	Retry     Outcome = "RETRY"
	Later     Outcome = "LATER"
	Lost      Outcome = "LOST"
)

// MaxNak is the longest delay that the stream is asked to keep; longer ones
// wait in the ledger.
const MaxNak = 2 * time.Minute

// Claim is the right to commit one attempt: it holds while no later fence exists.
type Claim struct {
	ID      string
	Attempt int
	Fence   int64
}

const insertSQL = `WITH o AS (
	INSERT INTO job_open (id, connection, repository, branch, rank, held)
	SELECT * FROM unnest($1::text[], $5::text[], $6::text[], $7::text[], $11::int2[], $12::boolean[]))
INSERT INTO job (id, run, kind, priority, connection, repository, branch, origin, trace, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[])`

// Insert queues new jobs, open: those that held names wait to be admitted, the
// others are published.
func Insert(b *store.Batch, jobs []message.Job, held map[string]bool) {
	if len(jobs) == 0 {
		return
	}
	n := len(jobs)
	id, run, kind, prio := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	conn, repo, branch, origin := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	trace, body, rank, hold := make([]string, n), make([][]byte, n), make([]int16, n), make([]bool, n)
	for i, j := range jobs {
		id[i], run[i], kind[i], prio[i] = j.ID, j.Run, string(j.Kind), string(j.Priority)
		conn[i], repo[i], branch[i], origin[i] = j.Connection, j.Repository, j.Branch, j.Origin
		trace[i], body[i], rank[i], hold[i] = j.Trace, j.Body, int16(slices.Index(hub.Priorities, j.Priority)), held[j.ID]
	}
	b.Queue(insertSQL, id, run, kind, prio, conn, repo, branch, origin, trace, body, rank, hold)
}

// Ledger is the part of the ledger that work needs.
type Ledger struct{ s *store.Store }

// NewLedger works on s.
func NewLedger(s *store.Store) *Ledger { return &Ledger{s: s} }

// A delayed message may come a moment early, because two clocks are involved.
const claimSQL = `UPDATE job_open j SET status = 'PROCESSING', attempt = j.attempt + 1, fence = j.fence + 1, worker = $2,
	started_at = clock_timestamp(), lease_until = now() + $3::interval, next_at = NULL
FROM unnest($1::text[]) c(id)
WHERE j.id = c.id AND j.status = 'PENDING' AND NOT j.held AND (j.next_at IS NULL OR j.next_at < now() + interval '2 s')
RETURNING j.id, j.attempt, j.fence`

// Claim takes those of the jobs that are waiting; the others are somebody
// else's, ended, or not due. It does not wait for the disk: a claim lost in a
// crash is a lease less, and the fence keeps a late commit out.
func (l *Ledger) Claim(ctx context.Context, worker string, ids []string, lease time.Duration) ([]Claim, error) {
	slices.Sort(ids) // every batch locks in the same order
	return store.All(ctx, l.s.Fast(), func(r pgx.CollectableRow) (Claim, error) {
		var c Claim
		return c, r.Scan(&c.ID, &c.Attempt, &c.Fence)
	}, claimSQL, ids, worker, lease)
}

const renewSQL = `UPDATE job_open j SET lease_until = now() + $3::interval
FROM unnest($1::text[], $2::bigint[]) c(id, fence)
WHERE j.id = c.id AND j.fence = c.fence AND j.status = 'PROCESSING' RETURNING j.id, coalesce(j.cancel, '')`

// Renew extends the leases. It returns what must stop, by job id: with the
// reason of a cancel, or with an empty one where the claim is lost.
func (l *Ledger) Renew(ctx context.Context, held []Claim, lease time.Duration) (map[string]string, error) {
	held = slices.SortedFunc(slices.Values(held), func(a, b Claim) int { return strings.Compare(a.ID, b.ID) })
	stop := make(map[string]string, len(held))
	ids, fences := make([]string, len(held)), make([]int64, len(held))
	for i, c := range held {
		ids[i], fences[i], stop[c.ID] = c.ID, c.Fence, ""
	}
	rows, err := l.s.Fast().Query(ctx, renewSQL, ids, fences, lease)
	if err != nil {
		return nil, err
	}
	var id, cancel string
	_, err = pgx.ForEachRow(rows, []any{&id, &cancel}, func() error {
		if stop[id] = cancel; cancel == "" {
			delete(stop, id)
		}
		return nil
	})
	return stop, err
}

const cancelWaitingSQL = `WITH gone AS (
	DELETE FROM job_open o USING job j WHERE j.run = $1 AND o.id = j.id AND o.status = 'PENDING' RETURNING o.*)
INSERT INTO job_attempt (job, attempt, fence, outcome, error) SELECT id, attempt, fence, 'CANCELLED', $2 FROM gone`

const cancelRunningSQL = `UPDATE job_open o SET cancel = $2 FROM job j WHERE j.run = $1 AND o.id = j.id AND o.status = 'PROCESSING'`

// CancelRun queues the end of a run's open jobs: waiting ones end at once,
// running ones are told at their next heartbeat.
func CancelRun(b *store.Batch, run, reason string) {
	b.Queue(cancelWaitingSQL, run, reason)
	b.Queue(cancelRunningSQL, run, reason)
}

// Attempt is one attempt of a job.
type Attempt struct {
	Attempt    int        `json:"attempt"`
	Outcome    Outcome    `json:"outcome"`
	Worker     string     `json:"worker,omitempty"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt time.Time  `json:"finished_at"`
	Error      string     `json:"error,omitempty"`
}

// State is a job as readers see it.
type State struct {
	ID        string        `json:"id"`
	Kind      message.Kind  `json:"kind"`
	Priority  hub.Priority  `json:"priority"`
	Status    hub.JobStatus `json:"status"`
	Attempt   int           `json:"attempt,omitempty"` // that runs or comes next, while the job is open
	CreatedAt time.Time     `json:"created_at"`
	NextAt    *time.Time    `json:"next_at,omitempty"`
	Worker    string        `json:"worker,omitempty"`
	StartedAt *time.Time    `json:"started_at,omitempty"`
	Attempts  []Attempt     `json:"attempts"`
}

const ofRunSQL = `SELECT j.id, j.kind, j.priority, j.created_at, coalesce(o.status, ''), coalesce(CASE o.status WHEN 'PROCESSING' THEN o.attempt ELSE o.attempt + 1 END, 0), CASE o.status WHEN 'PROCESSING' THEN o.worker ELSE '' END, o.started_at, o.next_at
FROM job j LEFT JOIN job_open o USING (id) WHERE j.run = $1 ORDER BY j.created_at, j.id`

const attemptsSQL = `SELECT a.job, a.attempt, a.outcome, a.worker, a.started_at, a.finished_at, a.error
FROM job_attempt a JOIN job j ON j.id = a.job WHERE j.run = $1 ORDER BY a.finished_at, a.fence`

// OfRun lists the jobs of a run with their attempts, oldest first.
func OfRun(ctx context.Context, s *store.Store, run string) ([]State, error) {
	jobs, err := store.All(ctx, s.DB(), func(r pgx.CollectableRow) (State, error) {
		var j State
		err := r.Scan(&j.ID, &j.Kind, &j.Priority, &j.CreatedAt, &j.Status, &j.Attempt, &j.Worker, &j.StartedAt, &j.NextAt)
		j.Attempts = []Attempt{}
		return j, err
	}, ofRunSQL, run)
	if err != nil {
		return nil, err
	}
	at, open := make(map[string]*State, len(jobs)), make(map[string]bool, len(jobs))
	for i, j := range jobs {
		at[j.ID], open[j.ID] = &jobs[i], j.Status != ""
	}
	rows, err := s.DB().Query(ctx, attemptsSQL, run)
	if err != nil {
		return nil, err
	}
	var id string
	var a Attempt
	_, err = pgx.ForEachRow(rows, []any{&id, &a.Attempt, &a.Outcome, &a.Worker, &a.StartedAt, &a.FinishedAt, &a.Error}, func() error {
		if j := at[id]; j != nil {
			j.Attempts = append(j.Attempts, a)
			if !open[id] {
				j.Status = hub.JobStatus(a.Outcome) // the last attempt says how it ended
			}
		}
		return nil
	})
	return jobs, err
}
