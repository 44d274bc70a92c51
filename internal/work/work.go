// Package work runs jobs: it claims them in the ledger, keeps their leases
// alive, commits each once, retries, and gives up with a dead letter. Handlers
// do the slow part outside any transaction and return what to commit.
package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
)

// Commit queues the statements of a job's result and returns its facts. They are
// written together with the end of the job, or not at all. It runs nothing
// itself, and it may be called twice.
type Commit func(tx *store.Batch) []message.Fact

// Delivery is a claimed job with its decoded body.
type Delivery[T message.Body] struct {
	Job     message.Job
	Body    T
	Attempt int               // from 1
	Last    bool              // the policy allows no further attempt
	Note    func(text string) // tells whoever watches the run; it may be lost
	Log     *slog.Logger
}

// Fact reports b as the outcome of the job.
func (d Delivery[T]) Fact(b message.Body) []message.Fact {
	return []message.Fact{message.NewFact(d.Job, b)}
}

// Handler runs the jobs of one kind.
type Handler struct {
	kind message.Kind
	run  func(context.Context, *task) (Commit, error)
}

// On makes a handler of a function. The function must end soon after its context
// does. A plain error is tried again after the policy's backoff.
func On[T message.Body](f func(context.Context, Delivery[T]) (Commit, error)) Handler {
	var zero T
	return Handler{kind: zero.Kind(), run: func(ctx context.Context, t *task) (Commit, error) {
		body, err := message.Decode[T](t.job.Kind, t.job.Body)
		if err != nil {
			return nil, Drop(err)
		}
		return f(ctx, Delivery[T]{Job: t.job, Body: body, Attempt: t.claim.Attempt, Last: t.claim.Attempt >= t.policy.Attempts, Note: t.note, Log: t.log})
	}}
}

type laterError struct {
	after time.Duration
	err   error
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

// Later makes an error that has the job tried again after a time, without
// counting the attempt: a host asked to be left alone that long.
func Later(after time.Duration, err error) error { return &laterError{after: after, err: err} }

type dropError struct{ err error }

func (e *dropError) Error() string { return e.err.Error() }
func (e *dropError) Unwrap() error { return e.err }

// Drop makes an error that gives the job up now: trying again is no use.
func Drop(err error) error { return &dropError{err: err} }

// Policy says how often and how soon a kind of job is tried again.
type Policy struct {
	First    time.Duration // longest delay before the second attempt
	Factor   float64       // of each further delay
	Cap      time.Duration // longest delay of all
	Attempts int           // at most, the first included
	Timeout  time.Duration // of one attempt
}

// Delay before the attempt that follows attempt n: uniform from zero to
// First × Factor^(n-1), at most Cap ("full jitter": many failures at once do not
// come back at once).
func (p Policy) Delay(n int) time.Duration {
	// The library draws from interval ± interval × factor; half the interval and a
	// factor of 1 make that zero to the whole interval.
	b := backoff.ExponentialBackOff{InitialInterval: p.First / 2, RandomizationFactor: 1, Multiplier: p.Factor, MaxInterval: p.Cap / 2, Clock: backoff.SystemClock}
	b.Reset()
	for range n - 1 {
		b.NextBackOff()
	}
	return b.NextBackOff()
}

// Policies of every kind of job.
func Policies() map[message.Kind]Policy {
	return map[message.Kind]Policy{
		message.Fetch:   {First: time.Second, Factor: 2, Cap: time.Minute, Attempts: 4, Timeout: 15 * time.Minute},
		message.Analyze: {First: time.Second, Factor: 2, Cap: time.Minute, Attempts: 3, Timeout: time.Hour},
		message.Prepare: {First: time.Second, Factor: 2, Cap: time.Minute, Attempts: 3, Timeout: 30 * time.Minute},
	}
}

// Queue is what work needs of the bus.
type Queue interface {
	Jobs(ctx context.Context, worker string, p hub.Priority, prefetch int, handle func(bus.Delivery))
	WatchControl(ctx context.Context, worker string, handle func(message.Control) *message.Replica) error
	PostFacts([]message.Fact)
	PostDead(worker string, d message.DeadLetter)
	Progress(message.Progress)
}

// Ledger is what work needs of the store.
type Ledger interface {
	Claim(ctx context.Context, worker string, ids []string, lease time.Duration) ([]job.Claim, error)
	Renew(ctx context.Context, held []job.Claim, lease time.Duration) (stop map[string]string, err error)
	Finish(ctx context.Context, ends []job.End) ([]job.Ended, error)
	Bury(ctx context.Context, d message.DeadLetter) error
}

// Config of a runner.
type Config struct {
	Worker      string // connector, analyzer or deployer
	Name        string // of this replica, unique: it stands beside every attempt
	Concurrency int    // jobs at a time
	Prefetch    int    // messages of each priority held ahead; they are not available to other replicas
	Strict      bool   // a priority is taken only when no higher one waits; otherwise 8/4/2/1
	Lease       time.Duration
	Drain       time.Duration // how long running jobs may go on after the end of the context; a replica that is told to drain has no such limit
	Policies    map[message.Kind]Policy
	Log         *slog.Logger
	Point       func(name string) // called at after-claim, before-commit and after-commit, where tests end the process; may be nil
}

// Why a handler's context ended.
var (
	errDrained = errors.New("the worker is shutting down")
	errLost    = errors.New("the claim was lost to another worker")
)

type cancelledError struct{ reason string }

func (e *cancelledError) Error() string { return e.reason }

// end classifies how an attempt ended. Its claim and commit are filled in.
func (t *task) end(ctx context.Context, commit Commit, err error) job.End {
	e := job.End{Claim: t.claim, Outcome: job.Completed, Commit: commit}
	if err == nil {
		return e
	}
	e.Commit = nil
	var cancelled *cancelledError
	var later *laterError
	var drop *dropError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &cancelled):
		e.Outcome, e.Error = job.Cancelled, hub.CleanText(cancelled.reason)
		e.Commit = t.report(message.JobCancelledBody{Reason: e.Error})
	case errors.Is(cause, errDrained):
		e.Outcome, e.Error = job.Later, errDrained.Error()
	case errors.As(err, &later):
		e.Outcome, e.Error, e.Delay = job.Later, hub.CleanText(err.Error()), max(later.after, 0)
	case errors.As(err, &drop):
		return t.giveUp(err)
	default:
		if errors.Is(cause, context.DeadlineExceeded) {
			err = fmt.Errorf("not done within %s: %w", t.policy.Timeout, err)
		}
		if t.claim.Attempt >= t.policy.Attempts {
			return t.giveUp(err)
		}
		e.Outcome, e.Error, e.Delay = job.Retry, hub.CleanText(err.Error()), t.policy.Delay(t.claim.Attempt)
	}
	return e
}

// giveUp ends the job for good, with a dead letter and the fact that ends its run.
func (t *task) giveUp(err error) job.End {
	text := hub.CleanText(err.Error())
	return job.End{
		Claim: t.claim, Outcome: job.Failed, Error: text,
		Commit: t.report(message.JobFailedBody{Error: text, Attempts: t.claim.Attempt}),
		Dead: &message.DeadLetter{
			ID: t.job.ID, Run: t.job.Run, Kind: t.job.Kind, Subject: t.msg.Subject, Cause: text,
			Attempts: t.claim.Attempt, At: time.Now().UTC(), Body: t.msg.Data,
		},
	}
}

func (t *task) report(b message.Body) Commit {
	return func(*store.Batch) []message.Fact { return []message.Fact{message.NewFact(t.job, b)} }
}
