package orchestrator

import (
	"context"
	"errors"
	"time"

	"integrationhub/internal/message"
)

// How often the sweep looks, and at what.
const (
	tick         = time.Second
	unfolded     = 2 * time.Second  // a fact or event that the stream should have brought by then
	lostEvery    = 5                // ticks between comparisons of the ledger with the stream
	lostAge      = 5 * time.Second  // jobs younger than that may still be on their way to the stream
	sweepTimeout = 20 * time.Second // of one look
)

// every calls look at each tick until ctx ends, with the number of the tick.
func every(ctx context.Context, look func(ctx context.Context, n int)) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		bounded, cancel := context.WithTimeout(ctx, sweepTimeout)
		look(bounded, n)
		cancel()
	}
}

// sweep finds what was left lying: it works beside any number of others, without
// a leader, because rows are taken with SKIP LOCKED or deduplicated by the fold.
func (o *Fold) sweep(ctx context.Context, fold func(input)) {
	every(ctx, func(look context.Context, n int) {
		err := errors.Join(o.sweepFolds(look, fold), o.sweepJobs(look))
		if n%lostEvery == 0 {
			err = errors.Join(err, o.sweepLost(look), o.sweepHeld(look))
		}
		if err != nil && ctx.Err() == nil {
			o.log.Warn("sweep incomplete", "err", err)
		}
	})
}

// sweepFolds folds from their rows the facts and events that no stream brought.
func (o *Fold) sweepFolds(ctx context.Context, fold func(input)) error {
	msgs, err := o.books.Unfolded(ctx, unfolded, foldSize)
	for _, m := range msgs {
		fold(input{msg: m})
	}
	return err
}

// sweepJobs publishes the jobs whose worker is gone, whose time has come, or that
// never reached the stream.
func (o *Fold) sweepJobs(ctx context.Context) error {
	if ids := o.streams.TakeLost(); len(ids) > 0 {
		if err := o.books.Unpublished(ctx, ids); err != nil {
			return err // found again by sweepLost
		}
	}
	for _, find := range []func(context.Context) ([]message.Job, error){o.books.Expired, o.books.Due} {
		jobs, err := find(ctx)
		if err != nil {
			return err
		}
		o.streams.PostJobs(jobs)
		if len(jobs) > 0 {
			o.log.Info("jobs published again", "jobs", len(jobs))
		}
	}
	return nil
}

// sweepLost compares, for every worker and priority, the published jobs of the
// ledger with the messages on the stream. Fewer messages mean that the stream
// lost some, or is another one.
func (o *Fold) sweepLost(ctx context.Context) error {
	waiting, err := o.books.Waiting(ctx, lostAge)
	if err != nil || len(waiting) == 0 {
		return err
	}
	there, err := o.streams.Outstanding(ctx)
	if err != nil {
		return err
	}
	for key, n := range waiting {
		if there[key] >= n {
			continue
		}
		jobs, err := o.books.Missing(ctx, key, lostAge)
		if err != nil {
			return err
		}
		o.log.Warn("the stream has lost jobs; published again", "queue", key, "published", n, "on_stream", there[key], "jobs", len(jobs))
		o.streams.PostJobs(jobs)
	}
	return nil
}

// sweepHeld admits what the folds left waiting: a slot that a cancel freed, or a
// limit that was raised.
func (o *Fold) sweepHeld(ctx context.Context) error {
	conns, err := o.books.HeldConnections(ctx)
	if err != nil || len(conns) == 0 {
		return err
	}
	var release []message.Job
	if err := o.books.Fold(ctx, func(p Page) (err error) {
		_, release, err = p.Admit(ctx, o.cfg.limits(), nil, conns)
		return err
	}); err != nil {
		return err
	}
	o.streams.PostJobs(release)
	return nil
}
