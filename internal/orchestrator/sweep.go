package orchestrator

import (
	"context"
	"errors"
	"time"

	"integrationhub/internal/message"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/fact"
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
		err := errors.Join(o.sweepFolds(look, fold), o.sweepJobs(look))
		if n%lostEvery == 0 {
			err = errors.Join(err, o.sweepLost(look))
		}
		if n%expireEvery == 0 {
			err = errors.Join(err, o.sweepSnapshots(look))
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
