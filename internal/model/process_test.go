package model

import (
	"context"
	"errors"
	"sync"
	"time"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store/job"
)

// How a call goes wrong.
type fault string

const (
	failBefore  fault = "fails before it takes effect"
	failAfter   fault = "fails after it took effect"
	crashBefore fault = "the process is killed before it"
	crashAfter  fault = "the process is killed after it"
	pause       fault = "the process stands still, past its leases"
	slow        fault = "the answer comes late"
	lose        fault = "is lost without a word"
	twice       fault = "happens twice"
	late        fault = "takes effect late"
	stop        fault = "the process is told to stop"
)

// The calls that can go wrong, and how.
var calls = map[string][]fault{
	"claim":    {failBefore, failAfter, crashBefore, crashAfter, pause, slow, stop},
	"renew":    {failBefore, failAfter, crashBefore, crashAfter, pause, slow, stop},
	"finish":   {failBefore, failAfter, crashBefore, crashAfter, pause, slow, stop},
	"fold":     {failBefore, failAfter, crashBefore, crashAfter, pause, slow, stop},
	"sweep":    {failBefore, failAfter, crashBefore, crashAfter, pause, slow, stop},
	"accept":   {failBefore, failAfter, crashBefore, crashAfter, pause, slow, stop},
	"ack":      {failBefore, failAfter, crashBefore, crashAfter, pause, lose},
	"nak":      {failBefore, failAfter, crashBefore, crashAfter, pause, lose},
	"deliver":  {crashBefore, crashAfter, pause, lose, twice},
	"job":      {failBefore, failAfter, crashBefore, crashAfter, pause, lose, twice, late},
	"fact":     {failBefore, failAfter, crashBefore, crashAfter, pause, lose, twice, late},
	"event":    {failBefore, failAfter, crashBefore, crashAfter, pause, lose, twice, late},
	"publish":  {failBefore, failAfter, crashBefore, crashAfter, twice},
	"progress": {crashBefore, lose, pause},
	"cancel":   {crashBefore, lose, pause, late},
}

var (
	errFault   = errors.New("fault of the history")
	errCrashed = errors.New("the process was killed")
)

// How long things take when they go wrong.
const (
	stillFor = lease + 15*time.Second
	lateBy   = 7 * time.Second
)

// process is one process of the hub: everything it does to the world goes
// through call, so a history can end it, or make it wait, anywhere.
type process struct {
	w    *world
	role string
	name string
	quit context.CancelFunc

	mu    sync.Mutex
	dead  bool
	until time.Time       // it stands still
	lost  map[string]bool // ids of jobs whose publication was not confirmed
}

// enter waits while the process stands still, and says whether it lives.
func (p *process) enter() error {
	for {
		p.mu.Lock()
		dead, wait := p.dead, time.Until(p.until)
		p.mu.Unlock()
		if dead {
			return errCrashed
		}
		if wait <= 0 {
			return nil
		}
		time.Sleep(wait)
	}
}

// crash ends the process: nothing it still does reaches the world.
func (p *process) crash() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.quit()
}

func (p *process) call(ctx context.Context, op string, effect func() error) error {
	if err := p.enter(); err != nil {
		return err
	}
	f := p.w.fault(p.role, op)
	switch f {
	case failBefore:
		return errFault
	case crashBefore:
		p.crash()
		return errCrashed
	case pause:
		p.mu.Lock()
		p.until = time.Now().Add(stillFor)
		p.mu.Unlock()
		if err := p.enter(); err != nil {
			return err
		}
	case lose:
		return nil
	case late:
		after(&p.w.late, lateBy, func() { _ = effect() })
		return nil
	case twice:
		_ = effect()
	case stop:
		p.quit()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := effect()
	switch f {
	case failAfter:
		return errFault
	case crashAfter:
		p.crash()
		return errCrashed
	case slow:
		select {
		case <-time.After(lateBy):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// get is call for what returns a value.
func get[T any](ctx context.Context, p *process, op string, effect func() (T, error)) (T, error) {
	var out T
	err := p.call(ctx, op, func() (err error) { out, err = effect(); return err })
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// Claim implements work.Ledger, like the methods below.
func (p *process) Claim(ctx context.Context, worker string, ids []string, lease time.Duration) ([]job.Claim, error) {
	return get(ctx, p, "claim", func() ([]job.Claim, error) { return p.w.ledger.Claim(ctx, worker, ids, lease) })
}

func (p *process) Renew(ctx context.Context, held []job.Claim, lease time.Duration) (map[string]string, error) {
	return get(ctx, p, "renew", func() (map[string]string, error) { return p.w.ledger.Renew(ctx, held, lease) })
}

func (p *process) Finish(ctx context.Context, ends []job.End) ([]job.Ended, error) {
	return get(ctx, p, "finish", func() ([]job.Ended, error) { return p.w.ledger.Finish(ctx, ends) })
}

func (p *process) Bury(ctx context.Context, d message.DeadLetter) error {
	return p.call(ctx, "finish", func() error { return p.w.ledger.Bury(ctx, d) })
}

// Jobs implements work.Queue, like the methods below.
func (p *process) Jobs(ctx context.Context, worker string, prio hub.Priority, _ int, handle func(bus.Delivery)) {
	p.read(ctx, message.Durable(worker, prio), handle)
}

func (p *process) read(ctx context.Context, name string, handle func(bus.Delivery)) {
	s := p.w.streams
	s.read(ctx, name, func(m *stored) {
		// A process that is gone keeps the message until the ack wait is over.
		_ = p.call(ctx, "deliver", func() error {
			handle(bus.NewDelivery(m.subject, m.data, nil, delivery{p, name, m}))
			return nil
		})
	})
}

// delivery answers for a message.
type delivery struct {
	p    *process
	name string
	m    *stored
}

func (d delivery) Ack() error {
	return d.p.call(context.Background(), "ack", func() error { d.p.w.streams.ack(d.name, d.m); return nil })
}

func (d delivery) NakWithDelay(delay time.Duration) error {
	return d.p.call(context.Background(), "nak", func() error { d.p.w.streams.delay(d.name, d.m, delay); return nil })
}

func (d delivery) InProgress() error {
	return d.p.call(context.Background(), "nak", func() error { d.p.w.streams.delay(d.name, d.m, d.p.w.streams.ackWait[d.name]); return nil })
}

func (p *process) WatchControl(ctx context.Context, worker string, handle func(message.Control) *message.Replica) error {
	p.w.streams.watch(ctx, worker, handle)
	return nil
}

func (p *process) PostFacts(facts []message.Fact) {
	for _, f := range facts {
		_ = p.call(context.Background(), "fact", func() error { p.w.streams.postFact(f); return nil })
	}
}

func (p *process) PostDead(_ string, d message.DeadLetter) {
	_ = p.call(context.Background(), "fact", func() error { p.w.streams.putDead(d); return nil })
}

func (p *process) Progress(message.Progress) {
	_ = p.call(context.Background(), "progress", func() error { return nil })
}

// PostJobs is the orchestrator's, like the methods below.
func (p *process) PostJobs(jobs []message.Job) {
	for _, j := range jobs {
		err := p.call(context.Background(), "job", func() error { p.w.streams.postJob(j); return nil })
		if errors.Is(err, errFault) {
			p.mu.Lock()
			p.lost[j.ID] = true
			p.mu.Unlock()
		}
	}
}

func (p *process) TakeLost() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for id := range p.lost {
		ids = append(ids, id)
	}
	clear(p.lost)
	return ids
}

func (p *process) Cancel(c message.Cancel) {
	_ = p.call(context.Background(), "cancel", func() error { p.w.streams.cancel(c); return nil })
}

func (p *process) Events(ctx context.Context, _ int, handle func(bus.Delivery)) {
	p.read(ctx, message.Events, handle)
}

func (p *process) Facts(ctx context.Context, _ int, handle func(bus.Delivery)) {
	p.read(ctx, message.Facts, handle)
}

func (p *process) Outstanding(ctx context.Context) (map[string]int64, error) {
	return get(ctx, p, "sweep", func() (map[string]int64, error) { return p.w.streams.left(), nil })
}

// Fold implements orchestrator.Books, like the methods below.
func (p *process) Fold(ctx context.Context, f func(orchestrator.Page) error) error {
	return p.call(ctx, "fold", func() error { return p.w.ledger.Fold(ctx, f) })
}

func (p *process) Unfolded(ctx context.Context, age time.Duration, limit int) ([]message.Message, error) {
	return get(ctx, p, "sweep", func() ([]message.Message, error) { return p.w.ledger.Unfolded(ctx, age, limit) })
}

func (p *process) Expired(ctx context.Context) ([]message.Job, error) {
	return get(ctx, p, "sweep", func() ([]message.Job, error) { return p.w.ledger.Expired(ctx) })
}

func (p *process) Due(ctx context.Context) ([]message.Job, error) {
	return get(ctx, p, "sweep", func() ([]message.Job, error) { return p.w.ledger.Due(ctx) })
}

func (p *process) Unpublished(ctx context.Context, ids []string) error {
	return p.call(ctx, "sweep", func() error { return p.w.ledger.Unpublished(ctx, ids) })
}

func (p *process) Waiting(ctx context.Context, age time.Duration) (map[string]int64, error) {
	return get(ctx, p, "sweep", func() (map[string]int64, error) { return p.w.ledger.Waiting(ctx, age) })
}

func (p *process) Missing(ctx context.Context, key string, age time.Duration) ([]message.Job, error) {
	return get(ctx, p, "sweep", func() ([]message.Job, error) { return p.w.ledger.Missing(ctx, key, age) })
}

func (p *process) HeldConnections(ctx context.Context) ([]string, error) {
	return get(ctx, p, "sweep", func() ([]string, error) { return p.w.ledger.HeldConnections(ctx) })
}
