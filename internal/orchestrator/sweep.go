package orchestrator

import (
	"context"
	"errors"
	"time"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/deployment"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/fact"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/queue"
	"integrationhub/internal/store/run"
	"integrationhub/internal/store/schedule"
	"integrationhub/internal/store/snapshot"
)

// How often the sweep looks, and at what.
const (
	tick         = time.Second
	unfolded     = 2 * time.Second    // a fact or event that the stream should have brought by then
	lostEvery    = 5                  // ticks between comparisons of the ledger with the stream
	lostAge      = 5 * time.Second    // jobs younger than that may still be on their way to the stream
	expireEvery  = 600                // ticks between sweeps of old snapshots
	snapshotKept = 7 * 24 * time.Hour // after the end of their run
	deleteSize   = 500                // runs of one transaction
	sweepTimeout = 20 * time.Second   // of one look
)

// sweep finds what was left lying: it works beside any number of others, without
// a leader, because rows are taken with SKIP LOCKED or deduplicated by the fold.
func (o *Orchestrator) sweep(ctx context.Context, fold func(input)) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		look, cancel := context.WithTimeout(ctx, sweepTimeout)
		err := errors.Join(o.lookAtBacklog(look), o.sweepFolds(look, fold), o.sweepJobs(look), o.sweepSchedules(look))
		if n%lostEvery == 0 {
			err = errors.Join(err, o.sweepLost(look), o.sweepHeld(look), o.sweepPauses(look))
		}
		if n%expireEvery == 0 {
			err = errors.Join(err, o.sweepSnapshots(look), o.sweepOld(look))
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			o.log.Warn("sweep incomplete", "err", err)
		}
	}
}

// sweepFolds folds from their rows the facts and events that no stream brought.
func (o *Orchestrator) sweepFolds(ctx context.Context, fold func(input)) error {
	events, err := event.Stale(ctx, o.store, unfolded, foldSize)
	if err != nil {
		return err
	}
	for i := range events {
		fold(input{msg: &events[i]})
	}
	facts, err := fact.Stale(ctx, o.store, unfolded, foldSize)
	if err != nil {
		return err
	}
	for i := range facts {
		fold(input{msg: &facts[i]})
	}
	return nil
}

// sweepJobs publishes the jobs whose worker is gone, whose time has come, or that
// never reached the stream.
func (o *Orchestrator) sweepJobs(ctx context.Context) error {
	if ids := o.bus.TakeLost(); len(ids) > 0 {
		if err := o.ledger.Unpublished(ctx, ids); err != nil {
			return err // found again by sweepLost
		}
	}
	for _, find := range []func(context.Context) ([]message.Job, error){o.ledger.Expired, o.ledger.Due} {
		jobs, err := find(ctx)
		if err != nil {
			return err
		}
		o.bus.PostJobs(jobs)
		if len(jobs) > 0 {
			o.log.Info("jobs published again", "jobs", len(jobs))
		}
	}
	return nil
}

// sweepLost compares, for every worker and priority, the jobs that wait in the
// ledger with the messages on the stream. Fewer messages mean that the stream
// lost some, or is another one.
func (o *Orchestrator) sweepLost(ctx context.Context) error {
	waiting, err := o.ledger.Waiting(ctx, lostAge)
	if err != nil || len(waiting) == 0 {
		return err
	}
	there, err := o.bus.Outstanding(ctx)
	if err != nil {
		return err
	}
	for key, n := range waiting {
		if there[key] >= n {
			continue
		}
		jobs, err := o.ledger.Missing(ctx, key, lostAge)
		if err != nil {
			return err
		}
		o.log.Warn("the stream has lost jobs; published again", "queue", key, "waiting", n, "on_stream", there[key], "jobs", len(jobs))
		o.bus.PostJobs(jobs)
	}
	return nil
}

// sweepHeld admits what the folds left waiting: a slot that a cancel freed, or a
// limit that was raised.
func (o *Orchestrator) sweepHeld(ctx context.Context) error {
	conns, err := o.ledger.HeldConnections(ctx)
	if err != nil || len(conns) == 0 {
		return err
	}
	var release []message.Job
	err = o.store.InTx(ctx, func(tx store.DB) (err error) {
		_, release, err = job.Admit(ctx, tx, o.cfg.limits(), nil, conns)
		return err
	})
	o.bus.PostJobs(release)
	return err
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
