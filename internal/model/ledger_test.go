package model

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
)

// ledger is the model of Postgres: the tables that work and the fold write, with
// the meaning of the SQL in store. Every method is one transaction.
type ledger struct {
	mu       sync.Mutex
	ahead    time.Duration // how far its clock has jumped
	seq      int
	jobs     map[string]message.Job
	open     map[string]*openRow
	attempts []attemptRow
	facts    map[string]factRow
	events   map[string]*eventRow
	runs     map[string]runRow
	letters  map[string]message.DeadLetter

	rows    map[string]int // statements of handlers that were committed, by job
	refused map[*store.Batch]bool
	ghosts  []string // jobs that were claimed after the end of their run
}

type openRow struct {
	seq        int
	processing bool
	attempt    int
	fence      int64
	published  bool
	sent       time.Time // when it was published
	held       bool
	worker     string
	lease      time.Time
	next       time.Time
	cancel     string
}

type attemptRow struct {
	job     string
	attempt int
	fence   int64
	outcome job.Outcome
	worker  string
	by      int64 // the fence under which its end was written; 0 where no worker wrote it
}

type factRow struct {
	message.Fact
	due time.Time
}

type eventRow struct {
	message.Event
	accepted time.Time
	folded   bool
}

func newLedger() *ledger {
	return &ledger{
		jobs: map[string]message.Job{}, open: map[string]*openRow{}, facts: map[string]factRow{}, events: map[string]*eventRow{},
		runs: map[string]runRow{}, letters: map[string]message.DeadLetter{}, rows: map[string]int{}, refused: map[*store.Batch]bool{},
	}
}

func (l *ledger) now() time.Time { return time.Now().Add(l.ahead) }

// advance lets the ledger's clock jump.
func (l *ledger) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead += d
}

// refuse has the ledger refuse a batch, as Postgres refuses a bad statement.
func (l *ledger) refuse(b *store.Batch) {
	// Called by a commit, so within finish: the lock is held.
	l.refused[b] = true
}

// errDuplicate is what Postgres says of a second row with the same key.
func errDuplicate(table string) error {
	return &pgconn.PgError{Code: "23505", Message: "duplicate key", TableName: table}
}

var errRefused = &pgconn.PgError{Code: "22012", Message: "refused by the model"}

func (l *ledger) insert(jobs []message.Job, held map[string]bool) error {
	for _, j := range jobs {
		if _, there := l.jobs[j.ID]; there {
			return errDuplicate("job")
		}
	}
	for _, j := range jobs {
		l.seq++
		l.jobs[j.ID] = j
		l.open[j.ID] = &openRow{seq: l.seq, published: true, sent: l.now(), held: held[j.ID]}
	}
	return nil
}

// Claim implements work.Ledger.
func (l *ledger) Claim(_ context.Context, worker string, ids []string, lease time.Duration) ([]job.Claim, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []job.Claim
	for _, id := range slices.Sorted(slices.Values(ids)) {
		o := l.open[id]
		if o == nil || o.processing || o.held || !o.next.IsZero() && !o.next.Before(l.now().Add(2*time.Second)) {
			continue
		}
		o.processing, o.worker, o.lease, o.next = true, worker, l.now().Add(lease), time.Time{}
		o.attempt++
		o.fence++
		out = append(out, job.Claim{ID: id, Attempt: o.attempt, Fence: o.fence})
		if r, ok := l.runs[l.jobs[id].Run]; ok && r.state().Status.Terminal() {
			l.ghosts = append(l.ghosts, id)
		}
	}
	return out, nil
}

// Renew implements work.Ledger.
func (l *ledger) Renew(_ context.Context, held []job.Claim, lease time.Duration) (map[string]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stop := map[string]string{}
	for _, c := range held {
		o := l.open[c.ID]
		if o == nil || o.fence != c.Fence || !o.processing {
			stop[c.ID] = ""
			continue
		}
		o.lease = l.now().Add(lease)
		if o.cancel != "" {
			stop[c.ID] = o.cancel
		}
	}
	return stop, nil
}

// Finish implements work.Ledger.
func (l *ledger) Finish(_ context.Context, ends []job.End) ([]job.Ended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, err := l.finish(ends)
	if err == nil {
		return out, nil
	}
	out = make([]job.Ended, len(ends))
	for i := range ends {
		one, err := l.finish(ends[i : i+1])
		if err != nil {
			out[i] = job.Ended{Err: err}
			continue
		}
		out[i] = one[0]
	}
	return out, nil
}

// finish looks first and writes then, so that an error leaves nothing.
func (l *ledger) finish(ends []job.End) ([]job.Ended, error) {
	out := make([]job.Ended, len(ends))
	won := map[string]bool{}
	var facts []message.Fact
	rows := map[string]int{}
	for i, e := range ends {
		o := l.open[e.ID]
		if o == nil || o.fence != e.Fence || !o.processing || won[e.ID] {
			continue
		}
		won[e.ID], out[i].Won = true, true
		if e.Commit == nil {
			continue
		}
		var b store.Batch
		out[i].Facts = e.Commit(&b)
		if l.refused[&b] {
			delete(l.refused, &b)
			return nil, errRefused
		}
		rows[e.ID] += b.Len()
		facts = append(facts, out[i].Facts...)
	}
	for _, f := range facts {
		if _, there := l.facts[f.ID]; there {
			return nil, errDuplicate("fact")
		}
	}
	for _, f := range facts {
		l.facts[f.ID] = factRow{f, l.now()}
	}
	for id, n := range rows {
		l.rows[id] += n
	}
	for i, e := range ends {
		if out[i].Won {
			l.end(e)
		}
	}
	return out, nil
}

func (l *ledger) end(e job.End) {
	o := l.open[e.ID]
	outcome := e.Outcome
	again := outcome == job.Retry || outcome == job.Later
	if again && o.cancel != "" {
		again, outcome = false, job.Cancelled
	}
	l.attempts = append(l.attempts, attemptRow{e.ID, o.attempt, o.fence, outcome, o.worker, e.Fence})
	if e.Dead != nil {
		l.letters[e.Dead.ID] = *e.Dead
	}
	if !again {
		delete(l.open, e.ID)
		return
	}
	o.processing, o.lease, o.next, o.published = false, time.Time{}, l.now().Add(e.Delay), e.Delay <= job.MaxNak
	if outcome == job.Later {
		o.attempt--
	}
}

// Bury implements work.Ledger.
func (l *ledger) Bury(_ context.Context, d message.DeadLetter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letters[d.ID] = d
	return nil
}

// again raises the fence of the open jobs that f picks, and returns them for
// publication, in the order of their ids.
func (l *ledger) again(f func(id string, o *openRow) bool) []message.Job {
	var out []message.Job
	for _, id := range slices.Sorted(maps.Keys(l.open)) {
		o := l.open[id]
		if !f(id, o) {
			continue
		}
		o.fence++
		j := l.jobs[id]
		j.Fence = o.fence
		out = append(out, j)
	}
	return out
}

// Expired takes away the jobs whose lease ran out.
func (l *ledger) Expired(context.Context) ([]message.Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again(func(id string, o *openRow) bool {
		if !o.processing || !o.lease.Before(l.now()) {
			return false
		}
		if o.cancel != "" {
			l.attempts = append(l.attempts, attemptRow{id, o.attempt, o.fence, job.Cancelled, o.worker, 0})
			delete(l.open, id)
			return false
		}
		l.attempts = append(l.attempts, attemptRow{id, o.attempt, o.fence, job.Lost, o.worker, 0})
		o.processing, o.worker, o.lease, o.next, o.published, o.sent = false, "", time.Time{}, time.Time{}, true, l.now()
		return true
	}), nil
}

// Due returns the jobs that are not on the stream and whose time has come.
func (l *ledger) Due(context.Context) ([]message.Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.again(func(_ string, o *openRow) bool {
		late := !o.next.IsZero() && o.next.Before(now.Add(-10*time.Second))
		if o.processing || o.held || !late && (o.published || o.next.After(now)) {
			return false
		}
		o.published, o.sent, o.next = true, now, time.Time{}
		return true
	}), nil
}

// Unpublished notes that the stream did not confirm these jobs.
func (l *ledger) Unpublished(_ context.Context, ids []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if o := l.open[id]; o != nil && !o.processing {
			o.published = false
		}
	}
	return nil
}

func (l *ledger) waits(o *openRow, age time.Duration) bool {
	return !o.processing && !o.held && o.published && o.next.IsZero() && o.sent.Before(l.now().Add(-age))
}

func queueOf(j message.Job) string { return j.Kind.Worker() + "-" + j.Priority.Token() }

// Waiting counts the published jobs of the queues where some have waited longer
// than age.
func (l *ledger) Waiting(_ context.Context, age time.Duration) (map[string]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, waits := map[string]int64{}, map[string]bool{}
	for id, o := range l.open {
		key := queueOf(l.jobs[id])
		waits[key] = waits[key] || l.waits(o, age)
		if o.published && !o.held {
			n[key]++
		}
	}
	maps.DeleteFunc(n, func(key string, _ int64) bool { return !waits[key] })
	return n, nil
}

// Missing returns for publication the jobs under key that have waited longer.
func (l *ledger) Missing(_ context.Context, key string, age time.Duration) ([]message.Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again(func(id string, o *openRow) bool {
		if !l.waits(o, age) || queueOf(l.jobs[id]) != key {
			return false
		}
		o.sent = l.now()
		return true
	}), nil
}

func (l *ledger) cancelRun(run, reason string) {
	for id, o := range l.open {
		switch {
		case l.jobs[id].Run != run:
		case o.processing:
			o.cancel = cmp.Or(reason, "cancelled")
		default:
			l.attempts = append(l.attempts, attemptRow{id, o.attempt, o.fence, job.Cancelled, "", 0})
			delete(l.open, id)
		}
	}
}
