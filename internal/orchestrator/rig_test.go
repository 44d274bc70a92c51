package orchestrator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/run"
	"integrationhub/internal/work"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

// soon is how long a test waits for a fact on a busy machine.
const soon = 30 * time.Second

// rig is a hub without a door: the test accepts events itself, and its handlers
// stand where connector, analyzer and deployer would.
type rig struct {
	t     *testing.T
	store *store.Store
	bus   *bus.Bus
	orch  *orchestrator.Orchestrator
}

func newRig(t *testing.T, cfg orchestrator.Config) *rig {
	r := &rig{t: t, store: hubtest.Store(t), bus: hubtest.NATS(t).Bus(t)}
	r.orch = r.orchestrate(cfg)
	return r
}

// orchestrate runs one more orchestrator until the test's end.
func (r *rig) orchestrate(cfg orchestrator.Config) *orchestrator.Orchestrator {
	o := orchestrator.New(cfg, r.bus, r.store, hubtest.Log(r.t))
	r.background(o.Run)
	return o
}

// background runs f until the test's end, and waits for it.
func (r *rig) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
}

func (r *rig) work(worker string, concurrency int, h work.Handler) {
	cfg := work.Config{
		Worker: worker, Name: "test/" + worker, Concurrency: concurrency, Prefetch: concurrency, Lease: 30 * time.Second,
		Drain: time.Second, Policies: work.Policies(), Log: hubtest.Log(r.t),
	}
	r.background(func(ctx context.Context) error { return work.Run(ctx, cfg, r.bus, job.NewLedger(r.store), h) })
}

// handlers that do nothing but report; each may be told to do something before.
func fetch(before func(context.Context, work.Delivery[message.FetchBody]) error) work.Handler {
	return work.On(func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if err := before(ctx, d); err != nil {
			return nil, err
		}
		return func(*store.Batch) []message.Fact {
			return d.Fact(message.SnapshotFetchedBody{Snapshot: hub.Snapshot{ID: d.Job.ID}})
		}, nil
	})
}

func analyze() work.Handler {
	return work.On(func(_ context.Context, d work.Delivery[message.AnalyzeBody]) (work.Commit, error) {
		return func(*store.Batch) []message.Fact { return d.Fact(message.AnalysisFinishedBody{}) }, nil
	})
}

func prepare(before func(work.Delivery[message.PrepareBody])) work.Handler {
	return work.On(func(_ context.Context, d work.Delivery[message.PrepareBody]) (work.Commit, error) {
		before(d)
		return func(*store.Batch) []message.Fact { return d.Fact(message.ChangesetPreparedBody{}) }, nil
	})
}

// all starts workers that do nothing.
func (r *rig) all() {
	r.work(message.Connector, 8, fetch(func(context.Context, work.Delivery[message.FetchBody]) error { return nil }))
	r.work(message.Analyzer, 8, analyze())
	r.work(message.Deployer, 8, prepare(func(work.Delivery[message.PrepareBody]) {}))
}

// ask accepts a request for a run and returns the run's id.
func (r *rig) ask(id string, t message.Target) string {
	return r.accept(id, message.AnalysisRequestedBody{Target: t}, t.Connection)
}

// push accepts a push and returns the run's id.
func (r *rig) push(id string, t message.Target) string {
	return r.accept(id, message.PushBody{Target: t}, t.Connection)
}

func (r *rig) accept(id string, b message.Body, connection string) string {
	r.t.Helper()
	e := message.Event{Key: hub.RunID("test", id), Source: "test", ID: id, Kind: b.Kind(), Connection: connection, Time: time.Now().UTC(), Body: message.Encode(b)}
	if _, err := r.orch.Accept(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
	return e.Key
}

func target(repository string) message.Target {
	return message.Target{Connection: "forge", Repository: repository, Ref: "main", Strategy: hub.DryRun, Priority: hub.Medium}
}

// ends waits until a run has a status.
func (r *rig) ends(id string, want hub.RunStatus) run.Run {
	r.t.Helper()
	var got run.Run
	hubtest.Eventually(r.t, soon, func() (err error) {
		if got, err = run.Get(r.t.Context(), r.store, id); err != nil {
			return err
		}
		if got.Status != want {
			return fmt.Errorf("run %s is %s %s, want %s", id, got.Status, got.Reason, want)
		}
		return nil
	})
	return got
}

// count waits until a query counts want.
func (r *rig) count(want int, sql string, args ...any) {
	r.t.Helper()
	hubtest.Eventually(r.t, soon, func() error {
		var n int
		if err := r.store.DB().QueryRow(r.t.Context(), sql, args...).Scan(&n); err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("%s counts %d, want %d", sql, n, want)
		}
		return nil
	})
}
