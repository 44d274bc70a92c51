package job

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
)

// Limits says how many jobs may be on their subjects or running at a time, over
// all replicas; 0 is no limit. Of the deployments of one branch it is always one.
type Limits struct {
	Connection int
	Repository int
}

// place is what limits count.
type place struct{ connection, repository string }

// waiting is a job that wants a slot.
type waiting struct {
	id     string
	at     place
	branch string
	rank   int
	held   bool // it waits in the ledger already
}

const lockSQL = `SELECT pg_advisory_xact_lock(h) FROM (
	SELECT DISTINCT hashtextextended(current_schema() || ' ' || c, 0) AS h FROM unnest($1::text[]) c ORDER BY 1) x`

const busySQL = `SELECT connection, repository, branch, count(*) FROM job_open WHERE connection = ANY($1) AND NOT held GROUP BY 1, 2, 3`

// For each connection its repositories with held jobs, one index probe for each,
// and of each repository the first few.
const heldSQL = `WITH RECURSIVE r(connection, repository) AS (
	SELECT c, (SELECT min(repository) FROM job_open WHERE held AND connection = c) FROM unnest($1::text[]) c
	UNION ALL
	SELECT r.connection, (SELECT min(o.repository) FROM job_open o WHERE o.held AND o.connection = r.connection AND o.repository > r.repository)
	FROM r WHERE r.repository IS NOT NULL
)
SELECT h.id, h.connection, h.repository, h.branch, h.rank FROM r
CROSS JOIN LATERAL (SELECT * FROM job_open o WHERE o.held AND o.connection = r.connection AND o.repository = r.repository
	ORDER BY o.rank, o.seq LIMIT $2) h
WHERE r.repository IS NOT NULL LIMIT 2000`

const releaseSQL = `WITH o AS (
	UPDATE job_open SET held = false, published = true, published_at = now(), fence = fence + 1 WHERE id = ANY($1) AND held RETURNING id, fence)
SELECT ` + columns + ` FROM o JOIN job j USING (id)`

// Admit decides inside the fold's transaction which jobs may go on their
// subjects now: of the new ones, and of those held earlier on the same
// connections or on the ones that are named because a job of theirs ended.
// It returns the new jobs to hold, by id, and the held ones to publish. Urgent
// jobs come first, then those of the repository that has the fewest at work.
func Admit(ctx context.Context, tx store.DB, limits Limits, fresh []message.Job, ended []string) (hold map[string]bool, release []message.Job, err error) {
	conns := slices.Clone(ended)
	for _, j := range fresh {
		conns = append(conns, j.Connection)
	}
	slices.Sort(conns)
	conns = slices.Compact(conns)
	if len(conns) == 0 {
		return nil, nil, nil
	}
	// One fold at a time counts the slots of a connection.
	if _, err := tx.Exec(ctx, lockSQL, conns); err != nil {
		return nil, nil, err
	}
	queue, err := store.All(ctx, tx, func(r pgx.CollectableRow) (waiting, error) {
		w := waiting{held: true}
		return w, r.Scan(&w.id, &w.at.connection, &w.at.repository, &w.branch, &w.rank)
	}, heldSQL, conns, 16)
	if err != nil {
		return nil, nil, err
	}
	for _, j := range fresh {
		queue = append(queue, waiting{id: j.ID, at: place{j.Connection, j.Repository}, branch: j.Branch, rank: slices.Index(hub.Priorities, j.Priority)})
	}
	if len(queue) == 0 {
		return nil, nil, nil
	}
	b, err := countBusy(ctx, tx, limits, conns)
	if err != nil {
		return nil, nil, err
	}
	var ids []string
	hold = map[string]bool{}
	for _, w := range b.admit(queue) {
		switch {
		case !w.held && !w.admitted:
			hold[w.id] = true
		case w.held && w.admitted:
			ids = append(ids, w.id)
		}
	}
	if len(ids) > 0 {
		release, err = store.All(ctx, tx, scan, releaseSQL, ids)
	}
	return hold, release, err
}

// busy counts what is on subjects or running.
type busy struct {
	limits      Limits
	connections map[string]int
	places      map[place]int
	deploying   map[place]map[string]bool // branches
}

func countBusy(ctx context.Context, tx store.DB, limits Limits, conns []string) (*busy, error) {
	b := &busy{limits: limits, connections: map[string]int{}, places: map[place]int{}, deploying: map[place]map[string]bool{}}
	rows, err := tx.Query(ctx, busySQL, conns)
	if err != nil {
		return nil, err
	}
	var at place
	var branch string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&at.connection, &at.repository, &branch, &n}, func() error {
		b.add(at, branch, n)
		return nil
	})
	return b, err
}

func (b *busy) add(at place, branch string, n int) {
	b.connections[at.connection] += n
	b.places[at] += n
	if branch != "" {
		if b.deploying[at] == nil {
			b.deploying[at] = map[string]bool{}
		}
		b.deploying[at][branch] = true
	}
}

func (b *busy) full(w waiting) bool {
	return b.limits.Connection > 0 && b.connections[w.at.connection] >= b.limits.Connection ||
		b.limits.Repository > 0 && b.places[w.at] >= b.limits.Repository ||
		w.branch != "" && b.deploying[w.at][w.branch]
}

// take gives w a slot, or says no.
func (b *busy) take(w waiting) bool {
	if b.full(w) {
		return false
	}
	b.add(w.at, w.branch, 1)
	return true
}

type decided struct {
	waiting
	admitted bool
}

// admit gives out slots. The queue is in order within each place; what is held
// comes before what is new.
func (b *busy) admit(queue []waiting) []decided {
	out := make([]decided, 0, len(queue))
	if !queue[0].held { // nobody waits, so there is nobody to be fair to
		slices.SortStableFunc(queue, func(x, y waiting) int { return cmp.Compare(x.rank, y.rank) })
		for _, w := range queue {
			out = append(out, decided{w, b.take(w)})
		}
		return out
	}
	next := map[place][]waiting{}
	for _, w := range queue {
		next[w.at] = append(next[w.at], w)
	}
	for _, q := range next {
		slices.SortStableFunc(q, func(x, y waiting) int { return cmp.Compare(x.rank, y.rank) })
	}
	for len(next) > 0 {
		var best place
		found := false
		for at, q := range next {
			if !found || b.before(q[0], next[best][0]) {
				best, found = at, true
			}
		}
		w := next[best][0]
		out = append(out, decided{w, b.take(w)})
		if next[best] = next[best][1:]; len(next[best]) == 0 {
			delete(next, best)
		}
	}
	return out
}

func (b *busy) before(x, y waiting) bool {
	return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(b.places[x.at], b.places[y.at]), cmp.Compare(x.at.connection, y.at.connection), cmp.Compare(x.at.repository, y.at.repository)) < 0
}

const heldConnectionsSQL = `WITH RECURSIVE c(connection) AS (
	SELECT min(connection) FROM job_open WHERE held
	UNION ALL SELECT (SELECT min(o.connection) FROM job_open o WHERE o.held AND o.connection > c.connection) FROM c WHERE c.connection IS NOT NULL
) SELECT connection FROM c WHERE connection IS NOT NULL LIMIT 1000`

// HeldConnections lists the connections with jobs that wait for a slot.
func (l *Ledger) HeldConnections(ctx context.Context) ([]string, error) {
	return store.All(ctx, l.s.DB(), pgx.RowTo[string], heldConnectionsSQL)
}
