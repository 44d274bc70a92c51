// Package orchestrator folds events and facts into runs and jobs, and sweeps up
// what was left lying. It alone turns events and facts into work.
package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"integrationhub/internal/batch"
	"integrationhub/internal/bus"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/deployment"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/queue"
	"integrationhub/internal/store/run"
	"integrationhub/internal/store/schedule"
	"integrationhub/internal/store/snapshot"
)

// Orchestrator is one of any number that work side by side.
type Orchestrator struct {
	*Fold
	bus    *bus.Bus
	store  *store.Store
	ledger *job.Ledger
	doors  *batch.Group[*accepting]
	full   atomic.Bool // more than half of the event stream is not folded yet
}

// New makes an orchestrator of its two doors.
func New(cfg Config, b *bus.Bus, s *store.Store, log *slog.Logger) *Orchestrator {
	ledger := job.NewLedger(s)
	o := &Orchestrator{Fold: NewFold(cfg, b, NewBooks(s), log), bus: b, store: s, ledger: ledger}
	o.strangers = o.findStrangers
	o.doors = batch.NewGroup(2, foldSize, o.accept)
	return o
}

// Run folds, sweeps and keeps house until ctx ends; what is being folded then is
// finished.
func (o *Orchestrator) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { o.Fold.Run(ctx) })
	all.Go(func() { o.keepHouse(ctx) })
	all.Wait()
	return nil
}

// How often what is looked at, in ticks, and how much is kept.
const (
	pausesEvery  = 5
	expireEvery  = 600
	snapshotKept = 7 * 24 * time.Hour // after the end of their run
	deleteSize   = 500                // runs of one transaction
)

// keepHouse looks after what no run waits for. It works beside any number of
// others, like the sweep of the fold.
func (o *Orchestrator) keepHouse(ctx context.Context) {
	every(ctx, func(look context.Context, n int) {
		err := errors.Join(o.lookAtBacklog(look), o.sweepSchedules(look))
		if n%pausesEvery == 0 {
			err = errors.Join(err, o.sweepPauses(look))
		}
		if n%expireEvery == 0 {
			err = errors.Join(err, o.sweepSnapshots(look), o.sweepOld(look))
		}
		if err != nil && ctx.Err() == nil {
			o.log.Warn("house not kept", "err", err)
		}
	})
}

// sweepPauses gives the consumers the pauses of the ledger: a stream that was
// made anew has forgotten them.
func (o *Orchestrator) sweepPauses(ctx context.Context) error {
	pauses, err := queue.Pauses(ctx, o.store)
	if err != nil {
		return err
	}
	paused := map[string]bool{}
	for _, p := range pauses {
		paused[message.Durable(p.Worker, p.Priority)] = true
	}
	return o.bus.SetPauses(ctx, paused)
}

// sweepSchedules turns what is due into events. Their ids are derived from the
// time that was due, so each fires once however many sweep.
func (o *Orchestrator) sweepSchedules(ctx context.Context) error {
	events, err := schedule.Fire(ctx, o.store, time.Now())
	if err != nil {
		return err
	}
	return errors.Join(o.bus.PublishEvents(ctx, events)...) // one that is not published is folded from its row
}

// sweepOld deletes runs that ended longer ago than they are kept, in batches.
func (o *Orchestrator) sweepOld(ctx context.Context) error {
	if o.cfg.Retention == 0 {
		return nil
	}
	for {
		n, err := run.DeleteOld(ctx, o.store, o.cfg.Retention, deleteSize)
		if err != nil {
			return err
		}
		if n < deleteSize {
			return deployment.DeleteChunks(ctx, o.store, o.cfg.Retention, deleteSize)
		}
	}
}

// sweepSnapshots deletes the bytes of snapshots whose run ended long ago.
func (o *Orchestrator) sweepSnapshots(ctx context.Context) error {
	ids, err := snapshot.Sweepable(ctx, o.store, snapshotKept, 100)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := o.bus.DeleteObject(ctx, id); err != nil {
			return err
		}
		if err := snapshot.Swept(ctx, o.store, id); err != nil {
			return err
		}
	}
	return nil
}

// Recover publishes again the jobs of workers whose names begin with prefix. The
// embedded hub calls it at its start: it holds the lock of the data directory,
// so its own earlier self is gone, and nobody need wait for the leases.
func (o *Orchestrator) Recover(ctx context.Context, prefix string) error {
	jobs, err := o.ledger.Release(ctx, prefix)
	if err != nil {
		return err
	}
	o.bus.PostJobs(jobs)
	return nil
}

// Setup brings schema and streams to this program's version. Only orchestrators
// do that; workers wait for it.
func (o *Orchestrator) Setup(ctx context.Context) error {
	if err := o.store.Migrate(ctx); err != nil {
		return err
	}
	return o.bus.Ensure(ctx)
}
