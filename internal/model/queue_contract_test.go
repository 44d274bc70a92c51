package model

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/work"
)

// queue is a stream under contract, NATS or the model.
type queue struct {
	*testing.T
	work    work.Queue
	fold    orchestrator.Streams
	publish func(message.Event)
	wait    time.Duration // the ack wait
}

// patience is how long a test waits for what should take a moment.
const patience = 20 * time.Second

func TestTheModelStreamsAndNATSKeepOneContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *queue{"nats": realQueue, "model": modelQueue} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range queueContract {
				t.Run(c.sentence, func(t *testing.T) { c.prove(open(t)) })
			}
		})
	}
}

// shortWait is an ack wait that a test can sit out.
const shortWait = time.Second

func modelQueue(t *testing.T) *queue {
	w := newWorld(plan{})
	w.streams.ackWait = maps.Clone(w.streams.ackWait)
	w.streams.ackWait[message.Durable(message.Connector, hub.High)] = shortWait
	p := &process{w: w, role: "any", quit: func() {}, lost: map[string]bool{}}
	return &queue{T: t, work: p, fold: p, publish: w.streams.postEvent, wait: shortWait}
}

func realQueue(t *testing.T) *queue {
	n := hubtest.NATS(t)
	b := n.Bus(t)
	nc, err := nats.Connect(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cons, err := js.Consumer(t.Context(), "HUB_JOBS", message.Durable(message.Connector, hub.High))
	if err != nil {
		t.Fatal(err)
	}
	cfg := cons.CachedInfo().Config
	cfg.AckWait = shortWait
	if _, err := js.UpdateConsumer(t.Context(), "HUB_JOBS", cfg); err != nil {
		t.Fatal(err)
	}
	publish := func(e message.Event) {
		for _, err := range b.PublishEvents(t.Context(), []message.Event{e}) {
			if err != nil {
				t.Error(err)
			}
		}
	}
	return &queue{T: t, work: b, fold: b, publish: publish, wait: shortWait}
}

// reader reads one durable until the test's end.
type reader struct {
	q    *queue
	got  chan bus.Delivery
	stop func()
}

func (q *queue) read(read func(context.Context, func(bus.Delivery))) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{q: q, got: make(chan bus.Delivery, 1000)}
	var done sync.WaitGroup
	done.Go(func() { read(ctx, func(d bus.Delivery) { r.got <- d }) })
	r.stop = func() { cancel(); done.Wait() }
	q.Cleanup(r.stop)
	return r
}

func (q *queue) jobs(p hub.Priority) *reader {
	return q.read(func(ctx context.Context, handle func(bus.Delivery)) {
		q.work.Jobs(ctx, message.Connector, p, 8, handle)
	})
}

// next waits for a delivery of the job id.
func (r *reader) next(id string) bus.Delivery {
	r.q.Helper()
	select {
	case d := <-r.got:
		if j, err := d.Job(); err != nil || j.ID != id {
			r.q.Fatalf("delivered %s on %s (%v), want %s", j.ID, d.Subject, err, id)
		}
		return d
	case <-time.After(patience):
		r.q.Fatalf("no delivery within %s", patience)
		panic("unreachable")
	}
}

func (q *queue) ok(err error) {
	q.Helper()
	if err != nil {
		q.Error(err)
	}
}

// fenced is the n-th job as it is published with a fence.
func fenced(n int, fence int64) message.Job {
	j := newJob(n)
	j.Fence = fence
	return j
}

func (q *queue) outstanding(want int64) {
	q.Helper()
	hubtest.Eventually(q, patience, func() error {
		n, err := q.fold.Outstanding(q.Context())
		if err == nil && n["connector-high"] != want {
			err = fmt.Errorf("%d messages of connector-high, want %d: %v", n["connector-high"], want, n)
		}
		return err
	})
}

// queueContract is what the streams owe to work and to the fold.
var queueContract = []struct {
	sentence string
	prove    func(*queue)
}{
	{"a job is delivered to one of its readers, and is gone when it is acknowledged", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 0)})
		q.outstanding(1)
		r := q.jobs(hub.High)
		low := q.jobs(hub.Low)
		q.ok(r.next(newJob(1).ID).Ack())
		q.outstanding(0)
		q.fold.PostJobs([]message.Job{fenced(2, 0)})
		q.ok(r.next(newJob(2).ID).Ack())
		if len(low.got) != 0 {
			q.Error("the reader of another priority got a job")
		}
	}},
	{"a publication is stored once, and again with a higher fence", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 3)})
		r := q.jobs(hub.High)
		q.ok(r.next(newJob(1).ID).Ack())
		q.outstanding(0)
		q.fold.PostJobs([]message.Job{fenced(1, 3), fenced(2, 0), fenced(1, 4)})
		q.ok(r.next(newJob(2).ID).Ack())
		q.ok(r.next(newJob(1).ID).Ack())
		q.outstanding(0)
	}},
	{"a job that is handed back comes again after its delay", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 0)})
		r := q.jobs(hub.High)
		began := time.Now()
		q.ok(r.next(newJob(1).ID).Nak(300 * time.Millisecond))
		d := r.next(newJob(1).ID)
		if took := time.Since(began); took < 300*time.Millisecond {
			q.Errorf("after %s", took)
		}
		q.outstanding(1) // delivered, and still there
		q.ok(d.Nak(0))
		q.ok(r.next(newJob(1).ID).Ack())
		q.outstanding(0)
	}},
	{"a job that nobody answers for comes again, to whoever reads then", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 0)})
		first := q.jobs(hub.High)
		first.next(newJob(1).ID)
		first.stop()
		q.ok(q.jobs(hub.High).next(newJob(1).ID).Ack())
	}},
	{"a job that is in progress stays with its reader", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 0)})
		r := q.jobs(hub.High)
		d := r.next(newJob(1).ID)
		for end := time.Now().Add(2 * q.wait); time.Now().Before(end); <-time.After(q.wait / 5) {
			q.ok(d.InProgress())
		}
		if len(r.got) != 0 {
			q.Error("it was delivered again")
		}
		q.ok(d.Ack())
		q.outstanding(0)
	}},
	{"an acknowledgement that comes late still counts", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 0)})
		r := q.jobs(hub.High)
		old := r.next(newJob(1).ID)
		r.next(newJob(1).ID) // after the ack wait
		q.ok(old.Ack())
		q.outstanding(0)
	}},
	{"facts and events reach the fold once", func(q *queue) {
		facts := q.read(func(ctx context.Context, handle func(bus.Delivery)) { q.fold.Facts(ctx, 8, handle) })
		events := q.read(func(ctx context.Context, handle func(bus.Delivery)) { q.fold.Events(ctx, 8, handle) })
		f, g := message.NewFact(newJob(1), message.SnapshotFetchedBody{}), message.NewFact(newJob(2), message.SnapshotFetchedBody{})
		q.work.PostFacts([]message.Fact{f, f, g})
		for _, want := range []message.Fact{f, g} {
			d := <-facts.got
			if got, err := d.Fact(); err != nil || got.ID != want.ID {
				q.Errorf("fact %s, %v, want %s", got.ID, err, want.ID)
			}
			q.ok(d.Ack())
		}
		for _, e := range []message.Event{event(1), event(1), event(2)} {
			q.publish(e)
		}
		for _, want := range []message.Event{event(1), event(2)} {
			d := <-events.got
			if got, err := d.Event(); err != nil || got.Key != want.Key || got.Kind != want.Kind {
				q.Errorf("event %s, %v, want %s", got.Key, err, want.Key)
			}
			q.ok(d.Ack())
		}
	}},
	{"a cancel reaches every worker", func(q *queue) {
		got := make(chan message.Control, 8)
		for _, w := range message.Workers {
			q.ok(q.work.WatchControl(q.Context(), w, func(c message.Control) *message.Replica { got <- c; return nil }))
		}
		q.fold.Cancel(message.Cancel{Run: "r", Reason: "enough"})
		for range message.Workers {
			select {
			case c := <-got:
				if c.Run != "r" || c.Reason != "enough" {
					q.Errorf("told %+v", c)
				}
			case <-time.After(patience):
				q.Fatal("not told")
			}
		}
	}},
	{"what was confirmed is not named as lost", func(q *queue) {
		q.fold.PostJobs([]message.Job{fenced(1, 0)})
		q.outstanding(1)
		if lost := q.fold.TakeLost(); len(lost) != 0 {
			q.Errorf("lost %v", lost)
		}
	}},
}
