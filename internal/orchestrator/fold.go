package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"integrationhub/internal/batch"
	"integrationhub/internal/bus"
	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
)

// Config is what operators decide.
type Config struct {
	LimitConnection int           // jobs at a time of one connection, over all replicas; 0 is no limit
	LimitRepository int           // the same of one repository
	Supersede       bool          // a newer push to a branch cancels the older one's run
	Retention       time.Duration // of ended runs and what belongs to them; 0 keeps them for ever
}

func (c Config) limits() job.Limits {
	return job.Limits{Connection: c.LimitConnection, Repository: c.LimitRepository}
}

// Fold folds events and facts into runs and jobs, and sends again what a stream
// has lost: the part of an orchestrator on which everything else relies.
type Fold struct {
	cfg     Config
	streams Streams
	books   Books
	log     *slog.Logger

	// strangers names the events, by key, that may not speak for their connection,
	// and why. It may be nil.
	strangers func(context.Context, []message.Event) (map[string]error, error)

	// Point is called at before-fold-commit and after-fold-commit, where tests end
	// the process. It may be nil.
	Point func(name string)
}

// NewFold makes a fold of what it needs of bus and ledger.
func NewFold(cfg Config, s Streams, b Books, log *slog.Logger) *Fold {
	return &Fold{cfg: cfg, streams: s, books: b, log: log}
}

// How many messages one fold takes at most, and how many are read ahead.
const (
	foldSize = 500
	prefetch = 512
)

// Run folds and sweeps until ctx ends; what is being folded then is finished.
func (o *Fold) Run(ctx context.Context) {
	life := context.WithoutCancel(ctx)
	folds := batch.New(1, foldSize, func(in []input) { o.fold(life, o.screen(life, in)) })
	var readers sync.WaitGroup
	readers.Go(func() {
		o.streams.Events(ctx, prefetch, func(d bus.Delivery) {
			e, err := d.Event()
			if err != nil {
				o.bury(life, d, err)
				return
			}
			folds.Add(input{msg: &e, delivery: &d})
		})
	})
	readers.Go(func() {
		o.streams.Facts(ctx, prefetch, func(d bus.Delivery) {
			f, err := d.Fact()
			if err != nil {
				o.bury(life, d, err)
				return
			}
			folds.Add(input{msg: &f, delivery: &d})
		})
	})
	readers.Go(func() { o.sweep(ctx, folds.Add) })
	readers.Wait()
	folds.Close()
}

// input is a message to fold; delivery is nil where it came from its row.
type input struct {
	msg      message.Message
	delivery *bus.Delivery
}

func (in input) key() string {
	switch m := in.msg.(type) {
	case *message.Event:
		return m.Key
	case *message.Fact:
		return m.ID
	}
	return ""
}

// foldTimeout bounds one transaction of the fold.
const foldTimeout = 30 * time.Second

// screen buries the events that came straight over NATS from who may not speak
// for their connection, and returns the others.
func (o *Fold) screen(ctx context.Context, ins []input) []input {
	var direct []message.Event
	for _, in := range ins {
		if e, ok := in.msg.(*message.Event); ok && in.delivery != nil {
			direct = append(direct, *e)
		}
	}
	if len(direct) == 0 || o.strangers == nil {
		return ins
	}
	look, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	refused, err := o.strangers(look, direct)
	if err != nil {
		o.putBack(ins, err)
		return nil
	}
	return slices.DeleteFunc(ins, func(in input) bool {
		why := refused[in.key()]
		if why == nil || in.delivery == nil {
			return false
		}
		o.bury(ctx, *in.delivery, why)
		return true
	})
}

// fold folds a batch, and message by message when Postgres refuses the batch.
func (o *Fold) fold(ctx context.Context, ins []input) {
	if len(ins) == 0 {
		return
	}
	err := o.commit(ctx, ins)
	if err == nil {
		o.ack(ins)
		return
	}
	if len(ins) > 1 && store.Rejected(err) {
		for i := range ins {
			o.fold(ctx, ins[i:i+1])
		}
		return
	}
	if store.Unfit(err) {
		if err = o.giveUp(ctx, ins[0], err); err == nil {
			o.ack(ins)
			return
		}
	}
	o.putBack(ins, err)
}

// giveUp makes a dead letter of a message that Postgres would refuse for ever.
func (o *Fold) giveUp(ctx context.Context, in input, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	o.log.Error("message cannot be folded", "message", in.key(), "err", cause)
	return o.books.Fold(ctx, func(p Page) error {
		if _, err := take(ctx, p, []input{in}); err != nil {
			return err
		}
		return p.Write(ctx, Entries{Letters: []message.DeadLetter{letter(in, cause)}})
	})
}

func (o *Fold) putBack(ins []input, cause error) {
	o.log.Warn("fold failed; its messages come again", "messages", len(ins), "err", cause)
	for _, in := range ins {
		if in.delivery == nil {
			continue
		}
		if err := in.delivery.Nak(time.Second); err != nil {
			o.log.Debug("nak", "message", in.key(), "err", err)
		}
	}
}

func (o *Fold) ack(ins []input) {
	for _, in := range ins {
		if in.delivery == nil {
			continue
		}
		if err := in.delivery.Ack(); err != nil {
			o.log.Debug("ack lost; the message finds no row when it comes again", "message", in.key(), "err", err)
		}
	}
}

// result is what a fold leaves to be done after its commit.
type result struct {
	publish []message.Job
	cancels []message.Cancel
	ended   []flow.State
}

// commit folds messages in one transaction, and then relays what came of it.
func (o *Fold) commit(ctx context.Context, ins []input) error {
	ctx, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	var res result
	if err := o.books.Fold(ctx, func(p Page) (err error) {
		if res, err = o.transact(ctx, p, ins); err != nil {
			return err
		}
		o.point("before-fold-commit")
		return nil
	}); err != nil {
		return fmt.Errorf("fold %d messages: %w", len(ins), err)
	}
	o.point("after-fold-commit")
	o.streams.PostJobs(res.publish)
	for _, j := range res.publish {
		o.streams.Progress(message.Progress{Run: j.Run, Job: j.ID, Kind: j.Kind, Status: string(hub.JobPending), At: time.Now().UTC()})
	}
	for _, c := range res.cancels {
		o.streams.Cancel(c)
	}
	for _, s := range res.ended {
		o.log.Info("run ended", "run", s.ID, "status", s.Status, "reason", s.Reason, "repo", s.Repository)
		o.streams.Progress(message.Progress{Run: s.ID, Status: string(s.Status), Note: s.Reason, At: s.FinishedAt})
	}
	return nil
}

// bury gives up a delivery that is not an event or a fact of ours.
func (o *Fold) bury(ctx context.Context, d bus.Delivery, cause error) {
	ctx, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	l := message.DeadLetter{ID: "unread." + hub.BlobHash(append([]byte(d.Subject+"\n"), d.Data...)), Subject: hub.CleanText(d.Subject), Cause: hub.CleanText(cause.Error()), At: time.Now().UTC(), Body: d.Data}
	o.log.Warn("message refused", "subject", d.Subject, "err", cause)
	if err := o.books.Bury(ctx, l); err != nil {
		o.log.Warn("dead letter not stored; the message comes again", "err", err)
		if err := d.Nak(time.Second); err != nil {
			o.log.Debug("nak", "err", err)
		}
		return
	}
	o.streams.PostDead(message.Orchestrator, l)
	if err := d.Ack(); err != nil {
		o.log.Debug("ack", "err", err)
	}
}

func (o *Fold) point(name string) {
	if o.Point != nil {
		o.Point(name)
	}
}
