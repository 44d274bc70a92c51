package job

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/fact"
)

// End is the end of one attempt, to be written if its claim still holds.
type End struct {
	Claim
	Outcome Outcome
	Error   string                            // of every outcome but Completed
	Delay   time.Duration                     // of Retry and Later
	Commit  func(*store.Batch) []message.Fact // queues the handler's rows, returns its facts; may be called twice
	Dead    *message.DeadLetter               // of a job that is given up
}

// Ended says what became of an End.
type Ended struct {
	Won   bool           // false: the claim was lost, nothing was written
	Facts []message.Fact // committed with it, still to be relayed
	Err   error          // its statements failed, nothing was written
}

// A cancelled job does not come back: what would be tried again ends.
const finishSQL = `WITH e AS (
	SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::interval[]) e(id, fence, outcome, error, delay)
), gone AS (
	DELETE FROM job_open j USING e WHERE j.id = e.id AND j.fence = e.fence AND j.status = 'PROCESSING'
		AND (e.outcome IN ('COMPLETED', 'FAILED', 'CANCELLED') OR j.cancel IS NOT NULL)
	RETURNING j.id, j.attempt, j.fence, j.worker, j.started_at, CASE WHEN e.outcome IN ('RETRY', 'LATER') THEN 'CANCELLED' ELSE e.outcome END, e.error
), back AS (
	UPDATE job_open j SET status = 'PENDING', lease_until = NULL, next_at = now() + e.delay, published = e.delay <= $6::interval,
		attempt = j.attempt - CASE e.outcome WHEN 'LATER' THEN 1 ELSE 0 END
	FROM e WHERE j.id = e.id AND j.fence = e.fence AND j.status = 'PROCESSING' AND j.cancel IS NULL AND e.outcome IN ('RETRY', 'LATER')
	RETURNING j.id, j.attempt + CASE e.outcome WHEN 'LATER' THEN 1 ELSE 0 END, j.fence, j.worker, j.started_at, e.outcome, e.error
)
INSERT INTO job_attempt (job, attempt, fence, worker, started_at, outcome, error, finished_at)
SELECT w.*, clock_timestamp() FROM (SELECT * FROM gone UNION ALL SELECT * FROM back) w RETURNING job, attempt, fence`

// Finish writes the ends of many attempts in one transaction: the fenced end of
// the job, the handler's rows and its facts stand or fall together. Where a
// statement of one of them fails, each is written again alone, so that one bad
// job does not hold up the others. An error means that nothing is known to be
// written; calling again is safe.
func (l *Ledger) Finish(ctx context.Context, ends []End) ([]Ended, error) {
	order := make([]int, len(ends))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(ends[a].ID, ends[b].ID) })
	sorted := make([]End, len(ends))
	for i, n := range order {
		sorted[i] = ends[n]
	}
	got, err := l.finish(ctx, sorted)
	if err != nil && len(ends) > 1 && store.Rejected(err) {
		got = make([]Ended, len(sorted))
		for i := range sorted {
			one, err := l.finish(ctx, sorted[i:i+1])
			switch {
			case store.Rejected(err):
				got[i] = Ended{Err: err}
			case err != nil:
				return nil, err
			default:
				got[i] = one[0]
			}
		}
		err = nil
	}
	if err != nil && store.Rejected(err) {
		got, err = []Ended{{Err: err}}, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]Ended, len(ends))
	for i, n := range order {
		out[n] = got[i]
	}
	return out, nil
}

func (l *Ledger) finish(ctx context.Context, ends []End) ([]Ended, error) {
	n := len(ends)
	ids, fences, outcomes, texts, delays := make([]string, n), make([]int64, n), make([]string, n), make([]string, n), make([]time.Duration, n)
	for i, e := range ends {
		ids[i], fences[i], outcomes[i], texts[i], delays[i] = e.ID, e.Fence, string(e.Outcome), e.Error, e.Delay
	}
	out := make([]Ended, n)
	err := l.s.InTx(ctx, func(tx store.DB) error {
		won, err := store.All(ctx, tx, pgx.RowToStructByPos[Claim], finishSQL, ids, fences, outcomes, texts, delays, MaxNak)
		if err != nil {
			return err
		}
		var b store.Batch
		var facts []message.Fact
		for i, e := range ends {
			out[i] = Ended{Won: slices.ContainsFunc(won, func(c Claim) bool { return c.ID == e.ID && c.Fence == e.Fence })}
			if !out[i].Won {
				continue
			}
			if e.Commit != nil {
				out[i].Facts = e.Commit(&b)
			}
			if e.Dead != nil {
				dead.Insert(&b, *e.Dead)
			}
			facts = append(facts, out[i].Facts...)
		}
		fact.Insert(&b, facts)
		return b.Run(ctx, tx)
	})
	return out, err
}

// Bury keeps a message that is no job.
func (l *Ledger) Bury(ctx context.Context, d message.DeadLetter) error {
	var b store.Batch
	dead.Insert(&b, d)
	return b.Run(ctx, l.s.DB())
}
