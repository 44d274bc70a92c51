package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"integrationhub/internal/bus"
	"integrationhub/internal/flow"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/fact"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/run"
)

// Streams is what the fold needs of the bus.
type Streams interface {
	Events(ctx context.Context, prefetch int, handle func(bus.Delivery))
	Facts(ctx context.Context, prefetch int, handle func(bus.Delivery))
	PostJobs(jobs []message.Job)
	PostDead(worker string, d message.DeadLetter)
	Cancel(c message.Cancel)
	Progress(p message.Progress)
	TakeLost() []string
	Outstanding(ctx context.Context) (map[string]int64, error)
}

// Books is what the fold needs of the ledger.
type Books interface {
	// Fold runs f in one transaction, which is committed when f returns nil.
	Fold(ctx context.Context, f func(Page) error) error
	// Unfolded returns events and facts that were due for a fold longer ago than age.
	Unfolded(ctx context.Context, age time.Duration, limit int) ([]message.Message, error)
	Bury(ctx context.Context, d message.DeadLetter) error
	Jobs
}

// Jobs finds the open jobs that must be published again; job.Ledger says more of
// each method.
type Jobs interface {
	Expired(ctx context.Context) ([]message.Job, error)
	Due(ctx context.Context) ([]message.Job, error)
	Unpublished(ctx context.Context, ids []string) error
	Waiting(ctx context.Context, age time.Duration) (map[string]int64, error)
	Missing(ctx context.Context, key string, age time.Duration) ([]message.Job, error)
	HeldConnections(ctx context.Context) ([]string, error)
}

// Page is the ledger within one transaction of the fold.
type Page interface {
	// Take marks events and facts as folded, and returns the keys of those that
	// were not. Direct events came straight over NATS: they get their rows first.
	Take(ctx context.Context, direct []message.Event, events, facts []string) (fresh []string, err error)
	// Lock reads runs, by id, and the open ones of branches, and holds them until
	// the transaction ends.
	Lock(ctx context.Context, runs []string, branches []Branch) (map[string]flow.State, error)
	// Admit decides which jobs may go on their subjects; job.Admit says how.
	Admit(ctx context.Context, l job.Limits, fresh []message.Job, ended []string) (hold map[string]bool, release []message.Job, err error)
	Write(ctx context.Context, e Entries) error
}

// Branch is where a push superseded what came before it.
type Branch struct{ Connection, Repository, Ref string }

// Entries are what a fold writes, in this order.
type Entries struct {
	Letters  []message.DeadLetter // what cannot be folded
	Requeued []string             // dead letters that a new job makes good
	Cancels  []flow.CancelJobs
	Wakes    []flow.Wake
	Runs     []flow.State
	Jobs     []message.Job
	Hold     map[string]bool // of Jobs, those that wait for a slot
}

// books are Postgres's.
type books struct {
	store *store.Store
	*job.Ledger
}

// NewBooks makes the books of a store.
func NewBooks(s *store.Store) Books { return books{s, job.NewLedger(s)} }

func (b books) Fold(ctx context.Context, f func(Page) error) error {
	return b.store.InTx(ctx, func(tx store.DB) error { return f(page{tx}) })
}

func (b books) Unfolded(ctx context.Context, age time.Duration, limit int) ([]message.Message, error) {
	events, err := event.Stale(ctx, b.store, age, limit)
	if err != nil {
		return nil, err
	}
	facts, err := fact.Stale(ctx, b.store, age, limit)
	if err != nil {
		return nil, err
	}
	all := make([]message.Message, 0, len(events)+len(facts))
	for i := range events {
		all = append(all, &events[i])
	}
	for i := range facts {
		all = append(all, &facts[i])
	}
	return all, nil
}

type page struct{ tx store.DB }

func (p page) Take(ctx context.Context, direct []message.Event, events, facts []string) (fresh []string, err error) {
	if len(direct) > 0 {
		if _, err := event.Insert(ctx, p.tx, direct); err != nil {
			return nil, err
		}
	}
	if len(events) > 0 {
		if fresh, err = event.Take(ctx, p.tx, events); err != nil {
			return nil, err
		}
	}
	if len(facts) > 0 {
		ids, err := fact.Take(ctx, p.tx, facts)
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, ids...)
	}
	return fresh, nil
}

func (p page) Lock(ctx context.Context, runs []string, branches []Branch) (map[string]flow.State, error) {
	if len(branches) > 0 {
		var connections, repositories, refs []string
		for _, b := range branches {
			connections, repositories, refs = append(connections, b.Connection), append(repositories, b.Repository), append(refs, b.Ref)
		}
		older, err := run.Open(ctx, p.tx, connections, repositories, refs)
		if err != nil {
			return nil, fmt.Errorf("look for older runs: %w", err)
		}
		runs = append(slices.Clone(runs), older...)
	}
	slices.Sort(runs)
	raw, err := run.Lock(ctx, p.tx, slices.Compact(runs))
	if err != nil {
		return nil, err
	}
	states := make(map[string]flow.State, len(raw))
	for id, r := range raw {
		var s flow.State
		if err := json.Unmarshal(r, &s); err != nil {
			return nil, fmt.Errorf("decode state of run %s: %w", id, err)
		}
		states[id] = s
	}
	return states, nil
}

func (p page) Admit(ctx context.Context, l job.Limits, fresh []message.Job, ended []string) (map[string]bool, []message.Job, error) {
	return job.Admit(ctx, p.tx, l, fresh, ended)
}

func (p page) Write(ctx context.Context, e Entries) error {
	var b store.Batch
	for _, d := range e.Letters {
		dead.Insert(&b, d)
	}
	for _, id := range e.Requeued {
		dead.Requeued(&b, id)
	}
	for _, c := range e.Cancels {
		job.CancelRun(&b, c.Run, c.Reason)
	}
	for _, w := range e.Wakes {
		fact.InsertAt(&b, w.Fact, w.At)
	}
	for _, s := range e.Runs {
		save(&b, s)
	}
	job.Insert(&b, e.Jobs, e.Hold)
	return b.Run(ctx, p.tx)
}

func save(b *store.Batch, s flow.State) {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("encode state of run %s: %v", s.ID, err)) // a flow.State always can be
	}
	r := run.Run{
		ID: s.ID, Connection: s.Connection, Repository: s.Repository, Ref: s.Ref, Commit: s.Commit, Strategy: s.Strategy,
		Priority: s.Priority, Status: s.Status, Reason: s.Reason, Trace: s.Trace, CreatedAt: s.CreatedAt,
	}
	if !s.FinishedAt.IsZero() {
		r.FinishedAt = &s.FinishedAt
	}
	run.Save(b, r, raw)
}
