package work_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

// patience is how long a test waits for what should take a moment.
const patience = 20 * time.Second

// rig is a ledger and a stream of a test's own.
type rig struct {
	*testing.T
	nats  *hubtest.NATSServer
	bus   *bus.Bus
	store *store.Store
}

func newRig(t *testing.T) *rig {
	t.Helper()
	n := hubtest.NATS(t)
	r := &rig{T: t, nats: n, bus: n.Bus(t), store: hubtest.Store(t)}
	if _, err := r.store.DB().Exec(t.Context(), `CREATE TABLE note (job text, text text)`); err != nil {
		t.Fatal(err)
	}
	return r
}

// note queues a row of a handler.
func note(tx *store.Batch, id, text string) { tx.Queue(`INSERT INTO note VALUES ($1, $2)`, id, text) }

// fetch is a job of the connector, in a run of its own.
func fetch(n int, p hub.Priority) message.Job {
	run := hub.RunID("work", fmt.Sprint(n))
	return message.Job{
		ID: hub.JobID(run, "fetch", 1), Run: run, Kind: message.Fetch, Priority: p, Connection: "forge", Repository: "shop/web",
		Body: message.Encode(message.FetchBody{Connection: "forge", Repository: "shop/web"}),
	}
}

// enqueue puts jobs into the ledger and on the stream.
func (r *rig) enqueue(jobs ...message.Job) {
	r.Helper()
	var b store.Batch
	job.Insert(&b, jobs, nil)
	if err := b.Run(r.Context(), r.store.DB()); err != nil {
		r.Fatal(err)
	}
	r.bus.PostJobs(jobs)
	if err := r.bus.Flush(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// quick policies try again at once.
func quick(attempts int) map[message.Kind]work.Policy {
	p := work.Policy{First: time.Millisecond, Factor: 1, Cap: time.Millisecond, Attempts: attempts, Timeout: time.Minute}
	return map[message.Kind]work.Policy{message.Fetch: p, message.Analyze: p}
}

func config(t *testing.T, name string) work.Config {
	return work.Config{
		Worker: message.Connector, Name: name, Concurrency: 4, Prefetch: 4, Lease: 30 * time.Second, Drain: 10 * time.Second,
		Policies: quick(3), Log: hubtest.Log(t).With("name", name),
	}
}

// run starts a worker, which stop drains; so does the end of the test.
func (r *rig) run(cfg work.Config, handlers ...work.Handler) (stop func()) {
	r.Helper()
	return r.runOn(r.bus, cfg, handlers...)
}

func (r *rig) runOn(b *bus.Bus, cfg work.Config, handlers ...work.Handler) (stop func()) {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- work.Run(ctx, cfg, b, job.NewLedger(r.store), handlers...) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.Errorf("run %s: %v", cfg.Name, err)
		}
	}
	r.Cleanup(stop)
	return stop
}

type handler = func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error)

// done is the commit of a job that did what it should.
func done(d work.Delivery[message.FetchBody], text string) work.Commit {
	return func(tx *store.Batch) []message.Fact {
		note(tx, d.Job.ID, text)
		return d.Fact(message.SnapshotFetchedBody{Snapshot: hub.Snapshot{ID: text}})
	}
}

// state is a job with its attempts.
func (r *rig) state(j message.Job) job.State {
	r.Helper()
	s, err := r.find(j)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) find(j message.Job) (job.State, error) {
	states, err := job.OfRun(r.Context(), r.store, j.Run)
	for _, s := range states {
		if s.ID == j.ID {
			return s, err
		}
	}
	return job.State{}, errors.Join(err, fmt.Errorf("job %s is not in the ledger", j.ID))
}

// ended waits for the end of a job.
func (r *rig) ended(j message.Job, want hub.JobStatus) job.State {
	r.Helper()
	var s job.State
	hubtest.Eventually(r, patience, func() error {
		var err error
		if s, err = r.find(j); err == nil && s.Status != want {
			return fmt.Errorf("job is %s after %+v", s.Status, s.Attempts)
		}
		return err
	})
	return s
}

func (s *rig) outcomes(st job.State) []job.Outcome {
	var all []job.Outcome
	for _, a := range st.Attempts {
		all = append(all, a.Outcome)
	}
	return all
}

func (r *rig) wantOutcomes(s job.State, want ...job.Outcome) {
	r.Helper()
	if got := r.outcomes(s); !slices.Equal(got, want) {
		r.Errorf("attempts ended %v, want %v: %+v", got, want, s.Attempts)
	}
}

// texts reads one column of text.
func (r *rig) texts(sql string, args ...any) []string {
	r.Helper()
	rows, err := r.store.DB().Query(r.Context(), sql, args...)
	if err != nil {
		r.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			r.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		r.Fatal(err)
	}
	return all
}

func (r *rig) wantTexts(what string, want []string, sql string, args ...any) {
	r.Helper()
	if got := r.texts(sql, args...); !slices.Equal(got, want) {
		r.Errorf("%s: %q, want %q", what, got, want)
	}
}

// jetStream is the server as an operator sees it.
func (r *rig) jetStream() (jetstream.JetStream, *nats.Conn) {
	r.Helper()
	nc, err := nats.Connect(r.nats.URL)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		r.Fatal(err)
	}
	return js, nc
}

// messages counts what a stream holds.
func (r *rig) messages(js jetstream.JetStream, stream string) uint64 {
	r.Helper()
	s, err := js.Stream(r.Context(), stream)
	if err != nil {
		r.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// await waits in a handler, at most until the test is over.
func await(t *testing.T, ch <-chan struct{}) {
	select {
	case <-ch:
	case <-t.Context().Done():
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
		panic("unreachable")
	}
}
