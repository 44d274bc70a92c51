package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

var asJSON = map[string]string{"Content-Type": "application/json"}

// post sends JSON, and wants a status.
func (d *door) post(status int, path, body string) answer {
	d.Helper()
	a := d.ask(http.MethodPost, path, body, asJSON)
	if a.status != status {
		d.Fatalf("POST %s: %d, want %d: %s", path, a.status, status, a.raw)
	}
	return a
}

// read decodes what is at a path.
func read[T any](d *door, path string) (v T) {
	d.Helper()
	a := d.get(path)
	if a.status != http.StatusOK {
		d.Fatalf("GET %s: %d %s", path, a.status, a.raw)
	}
	if err := json.Unmarshal([]byte(a.raw), &v); err != nil {
		d.Fatal(err)
	}
	return v
}

// accepted publishes an event that opens a run, and names the run.
func (d *door) accepted(id string) (run string) {
	d.Helper()
	a := d.publish(event(id))
	if a.status != http.StatusAccepted {
		d.Fatalf("event %s: %d %s", id, a.status, a.raw)
	}
	return a.body["run"].(string)
}

// is waits for a run's status.
func (d *door) is(run string, want hub.RunStatus) {
	d.Helper()
	hubtest.Eventually(d, patience, func() error {
		if r := read[api.Detail](d, "/api/v1/runs/"+run); r.Status != want {
			return fmt.Errorf("run %s is %s (%s), want %s", run, r.Status, r.Reason, want)
		}
		return nil
	})
}

// work runs a connector under a name until the test's end; told is closed when
// it has ended.
func (d *door) work(name string, fetch func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error)) (ended <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	cfg := work.Config{
		Worker: message.Connector, Name: name, Concurrency: 2, Prefetch: 2, Lease: 30 * time.Second, Drain: time.Second,
		Policies: work.Policies(), Log: hubtest.Log(d),
	}
	go func() {
		defer close(done)
		if err := work.Run(ctx, cfg, d.bus, job.NewLedger(d.store), work.On(fetch)); err != nil {
			d.Error(err)
		}
	}()
	d.Cleanup(func() { cancel(); <-done })
	return done
}

// fetched is the commit of a fetch that found something.
func fetched(d work.Delivery[message.FetchBody]) work.Commit {
	return func(*store.Batch) []message.Fact {
		return d.Fact(message.SnapshotFetchedBody{Snapshot: hub.Snapshot{ID: d.Job.ID}})
	}
}

// queue is one row of the list.
func (d *door) queue(worker string, p hub.Priority) (q api.Queue) {
	d.Helper()
	all := read[api.QueueList](d, "/api/v1/queues").Queues
	if len(all) != 12 {
		d.Errorf("%d queues are listed, want every worker and priority", len(all))
	}
	for _, q := range all {
		if q.Worker == worker && q.Priority == p {
			return q
		}
	}
	d.Fatalf("%s %s is not listed", worker, p)
	return q
}

// paused asks the server about a consumer.
func (d *door) paused(durable string) bool {
	d.Helper()
	nc, err := nats.Connect(d.nats.URL)
	if err != nil {
		d.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		d.Fatal(err)
	}
	c, err := js.Consumer(d.Context(), strings.ToUpper(hubtest.Namespace)+"_JOBS", durable)
	if err != nil {
		d.Fatal(err)
	}
	return c.CachedInfo().Paused
}

func TestAPauseHoldsJobsBackAtOnceAndAResumeLetsThemGo(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	// Nobody sweeps yet: the consumer learns of the pause from the API itself.
	d.post(http.StatusOK, "/api/v1/queues/connector/pause", `{"priority":"medium","reason":"the host is moved"}`)
	if !d.paused("connector-medium") || d.paused("connector-high") {
		t.Error("the consumers are not paused as they should be")
	}
	d.work("w", func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		return fetched(d), nil
	})
	d.fold()
	run := d.accepted("1")
	var q api.Queue
	hubtest.Eventually(t, patience, func() error {
		if q = d.queue(message.Connector, hub.Medium); q.Waiting != 1 {
			return fmt.Errorf("%+v", q)
		}
		return nil
	})
	if !q.Paused || q.PauseReason != "the host is moved" || q.PausedAt == nil || q.Oldest == nil || q.Processing+q.Held+q.Delayed != 0 {
		t.Errorf("the paused queue is %+v", q)
	}
	if other := d.queue(message.Connector, hub.High); other.Paused || other.Waiting != 0 {
		t.Errorf("the queue beside it is %+v", other)
	}

	d.post(http.StatusOK, "/api/v1/queues/connector/resume", `{}`)
	if d.paused("connector-medium") || d.queue(message.Connector, hub.Medium).Paused {
		t.Error("the queue is still paused")
	}
	hubtest.Eventually(t, patience, func() error {
		if q := d.queue(message.Analyzer, hub.Medium); q.Waiting != 1 {
			return fmt.Errorf("run %s has not reached the analyzer: %+v", run, q)
		}
		return nil
	})

	d.post(http.StatusOK, "/api/v1/queues/deployer/pause", `{}`)
	for _, p := range hub.Priorities {
		if !d.paused(message.Durable(message.Deployer, p)) {
			t.Errorf("without a priority, %s is not paused", p)
		}
	}
	d.problem(d.ask(http.MethodPost, "/api/v1/queues/connector/pause", `{"priority":"urgent"}`, asJSON), http.StatusUnprocessableEntity, "priority")
	d.problem(d.ask(http.MethodPost, "/api/v1/queues/nobody/pause", `{}`, asJSON), http.StatusUnprocessableEntity, "path.worker")
}

func TestThePolicyThatIsShownIsTheOneThatWorkGoesBy(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	got := read[api.Policies](d, "/api/v1/queues/policy")
	want := work.Policies()
	if len(got.Kinds) != len(want) {
		t.Errorf("%d kinds are shown, want %d", len(got.Kinds), len(want))
	}
	for _, p := range got.Kinds {
		w := want[p.Kind]
		if p.Attempts != w.Attempts || p.FirstMS != w.First.Milliseconds() || p.Factor != w.Factor || p.CapMS != w.Cap.Milliseconds() || p.TimeoutMS != w.Timeout.Milliseconds() {
			t.Errorf("%s is shown as %+v, and is %+v", p.Kind, p, w)
		}
	}
	for i, w := range work.Weights() {
		if got.Weights[hub.Priorities[i]] != w {
			t.Errorf("the weights are shown as %v", got.Weights)
		}
	}
}

func TestAReplicaIsListedAndDrainedByItsName(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	begun, release := make(chan struct{}), make(chan struct{})
	ended := d.work("leaving", func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		close(begun)
		select {
		case <-release:
			return fetched(d), nil
		case <-ctx.Done():
			return nil, errors.New("cut off")
		}
	})
	d.fold()
	run := d.accepted("1")
	<-begun
	want := message.Replica{Worker: message.Connector, Name: "leaving", Jobs: 1, Concurrency: 2}
	if got := read[api.WorkerList](d, "/api/v1/workers").Workers; len(got) != 1 || got[0] != want {
		t.Errorf("the replicas are %+v, want %+v", got, want)
	}
	d.problem(d.ask(http.MethodPost, "/api/v1/workers/drain", `{"name":"nobody"}`, asJSON), http.StatusNotFound, "")
	d.post(http.StatusAccepted, "/api/v1/workers/drain", `{"name":"leaving"}`)
	want.Draining = true
	if got := read[api.WorkerList](d, "/api/v1/workers").Workers; len(got) != 1 || got[0] != want {
		t.Errorf("the replicas are %+v, want %+v", got, want)
	}
	close(release)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the replica does not end")
	}
	hubtest.Eventually(t, patience, func() error {
		if q := d.queue(message.Analyzer, hub.Medium); q.Waiting != 1 {
			return fmt.Errorf("the job of run %s was not finished: %+v", run, q)
		}
		return nil
	})
	if got := read[api.WorkerList](d, "/api/v1/workers").Workers; len(got) != 0 {
		t.Errorf("the replicas are %+v, want none", got)
	}
}
