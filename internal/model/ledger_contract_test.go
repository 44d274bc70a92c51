package model

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", histories); err != nil {
			panic(err)
		}
	}
	hubtest.Main(m)
}

// books is a ledger under contract, Postgres or the model.
type books struct {
	*testing.T
	work    work.Ledger
	fold    orchestrator.Books
	advance func(time.Duration)        // lets time pass in the ledger
	row     func(*store.Batch, string) // queues a row of a handler
	refused func(*store.Batch)         // queues what the ledger refuses
	rows    func(id string) int        // of handlers
}

func TestTheModelLedgerAndPostgresKeepOneContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *books{"postgres": postgres, "model": modelBooks} {
		t.Run(name, func(t *testing.T) {
			for _, c := range ledgerContract {
				t.Run(c.sentence, func(t *testing.T) { c.prove(open(t)) })
			}
		})
	}
}

func modelBooks(t *testing.T) *books {
	l := newLedger()
	return &books{
		T: t, work: l, fold: l, advance: l.advance, refused: l.refuse,
		row:  func(b *store.Batch, id string) { b.Queue("a row", id) },
		rows: func(id string) int { return l.rows[id] },
	}
}

// The columns of time, each moved into the past.
var pasts = []string{
	`UPDATE job_open SET lease_until = lease_until - $1::interval, next_at = next_at - $1::interval, published_at = published_at - $1::interval`,
	`UPDATE fact SET due_at = due_at - $1::interval`,
	`UPDATE event SET accepted_at = accepted_at - $1::interval`,
}

func postgres(t *testing.T) *books {
	s := hubtest.Store(t)
	exec := func(sql string, args ...any) {
		if _, err := s.DB().Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE note (job text)`)
	return &books{
		T: t, work: job.NewLedger(s), fold: orchestrator.NewBooks(s),
		advance: func(d time.Duration) {
			for _, sql := range pasts {
				exec(sql, d)
			}
		},
		row:     func(b *store.Batch, id string) { b.Queue(`INSERT INTO note VALUES ($1)`, id) },
		refused: func(b *store.Batch) { b.Queue(`SELECT 1/0`) },
		rows: func(id string) (n int) {
			if err := s.DB().QueryRow(t.Context(), `SELECT count(*) FROM note WHERE job = $1`, id).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		},
	}
}

// newJob is the n-th job, in a run of its own.
func newJob(n int) message.Job {
	run := hub.RunID("contract", fmt.Sprint(n))
	return message.Job{
		ID: hub.JobID(run, "fetch", 1), Run: run, Kind: message.Fetch, Priority: hub.High, Connection: connection, Repository: "shop/web",
		Body: message.Encode(message.FetchBody{Connection: connection, Repository: "shop/web"}),
	}
}

func (b *books) write(e orchestrator.Entries) {
	b.Helper()
	if err := b.fold.Fold(b.Context(), func(p orchestrator.Page) error { return p.Write(b.Context(), e) }); err != nil {
		b.Fatal(err)
	}
}

func (b *books) insert(jobs ...message.Job) {
	b.Helper()
	b.write(orchestrator.Entries{Jobs: jobs})
}

// claim takes jobs, of which only those at the places want are to be had.
func (b *books) claim(want ...message.Job) []job.Claim {
	b.Helper()
	return b.claimOf(want, want)
}

func (b *books) claimOf(asked, want []message.Job) []job.Claim {
	b.Helper()
	claims, err := b.work.Claim(b.Context(), "w", ids(asked), 30*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	slices.SortFunc(claims, func(x, y job.Claim) int { return slices.Index(ids(want), x.ID) - slices.Index(ids(want), y.ID) })
	var got []string
	for _, c := range claims {
		got = append(got, c.ID)
	}
	if !slices.Equal(got, ids(want)) {
		b.Fatalf("claimed %v, want %v", got, ids(want))
	}
	return claims
}

func (b *books) refuseClaim(jobs ...message.Job) { b.Helper(); b.claimOf(jobs, nil) }

func ids(jobs []message.Job) []string {
	var out []string
	for _, j := range jobs {
		out = append(out, j.ID)
	}
	return out
}

func (b *books) finish(ends ...job.End) []job.Ended {
	b.Helper()
	got, err := b.work.Finish(b.Context(), ends)
	if err != nil || len(got) != len(ends) {
		b.Fatalf("%d of %d ended: %v", len(got), len(ends), err)
	}
	return got
}

// done ends an attempt with a row and a fact.
func (b *books) done(c job.Claim, j message.Job) job.End {
	return job.End{Claim: c, Outcome: job.Completed, Commit: func(tx *store.Batch) []message.Fact {
		b.row(tx, j.ID)
		return []message.Fact{message.NewFact(j, message.SnapshotFetchedBody{})}
	}}
}

func factID(j message.Job) string { return j.ID + ".snapshot.fetched" }

// take folds what is named, and returns what was fresh.
func (b *books) take(direct []message.Event, events, facts []string) []string {
	b.Helper()
	var fresh []string
	if err := b.fold.Fold(b.Context(), func(p orchestrator.Page) (err error) {
		fresh, err = p.Take(b.Context(), direct, events, facts)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	slices.Sort(fresh)
	return fresh
}

func (b *books) want(what string, got, want []string) {
	b.Helper()
	if !slices.Equal(got, want) {
		b.Errorf("%s: %v, want %v", what, got, want)
	}
}

// again calls one of the methods that return jobs for publication.
func (b *books) again(what string, f func(context.Context) ([]message.Job, error), want ...message.Job) []message.Job {
	b.Helper()
	got, err := f(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	slices.SortFunc(got, func(x, y message.Job) int { return slices.Index(ids(want), x.ID) - slices.Index(ids(want), y.ID) })
	b.want(what, ids(got), ids(want))
	return got
}

func (b *books) admit(l job.Limits, fresh []message.Job, ended ...string) (hold []string, release []message.Job) {
	b.Helper()
	if err := b.fold.Fold(b.Context(), func(p orchestrator.Page) error {
		h, r, err := p.Admit(b.Context(), l, fresh, ended)
		if err != nil {
			return err
		}
		hold, release = slices.Sorted(maps.Keys(h)), r
		return p.Write(b.Context(), orchestrator.Entries{Jobs: fresh, Hold: h})
	}); err != nil {
		b.Fatal(err)
	}
	return hold, release
}

func state(j message.Job, ref string) flow.State {
	return flow.State{ID: j.Run, Connection: j.Connection, Repository: j.Repository, Ref: ref, Strategy: hub.DryRun, Priority: j.Priority, Status: hub.RunRunning, CreatedAt: time.Now().UTC()}
}

func (b *books) states(p orchestrator.Page, runs []string, branches ...orchestrator.Branch) []string {
	b.Helper()
	got, err := p.Lock(b.Context(), runs, branches)
	if err != nil {
		b.Fatal(err)
	}
	return slices.Sorted(maps.Keys(got))
}

func event(n int) message.Event {
	return sentBy(fmt.Sprint("contract-", n), message.CancelRequestedBody{Connection: connection, Run: hub.RunID("contract", "run")})
}
