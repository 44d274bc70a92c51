package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

// cluster is a whole hub on three NATS servers: an orchestrator and two replicas
// of every worker, whose handlers do nothing but leave a row.
type cluster struct {
	*testing.T
	nats  *hubtest.NATSCluster
	js    jetstream.JetStream
	store *store.Store
	orch  *orchestrator.Orchestrator
}

const jobStream = "HUB_JOBS"

func TestALostLeaderOfAClusterLosesNothing(t *testing.T) {
	c := newCluster(t)
	c.wantReplicas()

	const events = 240
	const each = 5 * time.Millisecond
	accepted := make(chan error, 1)
	reached := make(chan struct{})
	go func() { accepted <- c.accept(events, each, reached) }()
	<-reached // a third of them
	leader := c.leader()
	killed := time.Now()
	c.nats.Servers[leader].Kill()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	c.wantEveryRunOnce(events)
	gap, after := c.longestGap()
	t.Logf("%d runs, %d jobs; %s, the leader of %s, was killed; the longest time without a finished job was %s, and began %s after that",
		events, 3*events, leader, jobStream, gap.Round(time.Millisecond), after.Sub(killed).Round(time.Millisecond))
	if now := c.leader(); now == leader {
		t.Errorf("%s still leads", now)
	}
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{T: t, nats: hubtest.StartNATSCluster(t), store: hubtest.Store(t)}
	if _, err := c.store.DB().Exec(t.Context(), `CREATE TABLE note (job text)`); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.nats.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if c.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	b := c.connect("orchestrator")
	hubtest.Eventually(t, time.Minute, func() error { return b.Ensure(t.Context()) }) // until a leader is elected
	c.orch = orchestrator.New(orchestrator.Config{}, b, c.store, quiet())
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { stop(); all.Wait() })
	all.Go(func() { c.report(c.orch.Run(ctx)) })
	for _, worker := range message.Workers {
		for n := range 2 {
			name := fmt.Sprintf("%s-%d", worker, n)
			b := c.connect(name)
			all.Go(func() { c.report(c.work(ctx, worker, name, b)) })
		}
	}
	return c
}

// quiet leaves out what a lost leader makes everybody say.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (c *cluster) connect(name string) *bus.Bus {
	c.Helper()
	b, err := bus.Connect(c.Context(), bus.Config{URL: c.nats.URL, Namespace: hubtest.Namespace, Name: name, Manage: true, Log: quiet()})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(b.Close)
	return b
}

func (c *cluster) report(err error) {
	if err != nil {
		c.Error(err)
	}
}

func (c *cluster) work(ctx context.Context, worker, name string, b *bus.Bus) error {
	cfg := work.Config{
		Worker: worker, Name: name, Concurrency: 8, Prefetch: 8, Lease: 30 * time.Second, Drain: 5 * time.Second,
		Policies: work.Policies(), Log: quiet(),
	}
	return work.Run(ctx, cfg, b, job.NewLedger(c.store),
		leave[message.FetchBody](message.SnapshotFetchedBody{Snapshot: hub.Snapshot{ID: "s", Commit: "c"}}),
		leave[message.AnalyzeBody](message.AnalysisFinishedBody{Score: 100, Risk: hub.RiskNone}),
		leave[message.PrepareBody](message.ChangesetPreparedBody{}))
}

// leave makes a handler that leaves a row and reports b.
func leave[T message.Body](b message.Body) work.Handler {
	return work.On(func(_ context.Context, d work.Delivery[T]) (work.Commit, error) {
		return func(tx *store.Batch) []message.Fact {
			tx.Queue(`INSERT INTO note VALUES ($1)`, d.Job.ID)
			return d.Fact(b)
		}, nil
	})
}

func (c *cluster) wantReplicas() {
	c.Helper()
	names := c.js.StreamNames(c.Context())
	n := 0
	for name := range names.Name() {
		n++
		s, err := c.js.Stream(c.Context(), name)
		if err != nil {
			c.Fatal(err)
		}
		if cfg := s.CachedInfo().Config; cfg.Replicas != hubtest.ClusterSize || cfg.PersistMode != jetstream.DefaultPersistMode {
			c.Errorf("stream %s has %d replicas and persist mode %v", name, cfg.Replicas, cfg.PersistMode)
		}
	}
	if err := names.Err(); err != nil || n != 5 {
		c.Errorf("%d streams (%v), want 5", n, err)
	}
}

// accept sends events at a steady pace through the door, each until it is taken,
// and closes reached after a third of them.
func (c *cluster) accept(events int, each time.Duration, reached chan<- struct{}) error {
	pace := time.NewTicker(each)
	defer pace.Stop()
	var longest time.Duration
	for n := range events {
		<-pace.C
		if n == events/3 {
			close(reached)
		}
		began := time.Now()
		for {
			_, err := c.orch.Accept(c.Context(), event(n))
			if err == nil {
				break
			}
			if time.Since(began) > time.Minute {
				return fmt.Errorf("event %d is not accepted: %w", n, err)
			}
			<-pace.C
		}
		longest = max(longest, time.Since(began))
	}
	c.Logf("the longest wait for an event to be accepted was %s", longest.Round(time.Millisecond))
	return nil
}

func event(n int) message.Event {
	const source = "https://forge.example.org"
	id := fmt.Sprint("cluster-", n)
	repository := fmt.Sprint("shop/web-", n)
	return message.Event{
		Key: hub.RunID(source, id), Source: source, ID: id, Kind: message.AnalysisRequested, Connection: "forge", Time: time.Now().UTC(),
		Body: message.Encode(message.AnalysisRequestedBody{Target: message.Target{
			Connection: "forge", Repository: repository, Strategy: hub.DryRun, Priority: hub.Priorities[n%4],
		}}),
	}
}

// leader is the server that leads the job stream.
func (c *cluster) leader() string {
	c.Helper()
	var leader string
	hubtest.Eventually(c, 30*time.Second, func() error {
		s, err := c.js.Stream(c.Context(), jobStream)
		if err != nil {
			return err
		}
		if leader = s.CachedInfo().Cluster.Leader; leader == "" {
			return errors.New("no leader")
		}
		return nil
	})
	return leader
}

// wantEveryRunOnce waits until every run is completed, and counts then.
func (c *cluster) wantEveryRunOnce(runs int) {
	c.Helper()
	hubtest.Eventually(c, time.Minute, func() error {
		if got := c.count(`SELECT count(*) FROM run WHERE status = 'COMPLETED'`); got != runs {
			return fmt.Errorf("%d of %d runs are completed", got, runs)
		}
		return nil
	})
	for _, q := range []struct {
		what, sql string
		want      int
	}{
		{"runs", `SELECT count(*) FROM run`, runs},
		{"jobs", `SELECT count(*) FROM job`, 3 * runs},
		{"jobs that were committed", `SELECT count(DISTINCT job) FROM job_attempt WHERE outcome = 'COMPLETED'`, 3 * runs},
		{"commits", `SELECT count(*) FROM job_attempt WHERE outcome IN ('COMPLETED', 'FAILED', 'CANCELLED')`, 3 * runs},
		{"rows of handlers", `SELECT count(*) FROM note`, 3 * runs},
		{"open jobs", `SELECT count(*) FROM job_open`, 0},
		{"facts that are not folded", `SELECT count(*) FROM fact`, 0},
		{"dead letters", `SELECT count(*) FROM dead_letter`, 0},
	} {
		if got := c.count(q.sql); got != q.want {
			c.Errorf("%d %s, want %d", got, q.what, q.want)
		}
	}
}

func (c *cluster) count(sql string) int {
	c.Helper()
	var n int
	if err := c.store.DB().QueryRow(c.Context(), sql).Scan(&n); err != nil {
		c.Fatal(err)
	}
	return n
}

// longestGap is the longest time between two commits of jobs, and its begin.
func (c *cluster) longestGap() (gap time.Duration, begin time.Time) {
	c.Helper()
	var raw []byte
	if err := c.store.DB().QueryRow(c.Context(), `SELECT json_agg(finished_at ORDER BY finished_at) FROM job_attempt`).Scan(&raw); err != nil {
		c.Fatal(err)
	}
	var at []time.Time
	if err := json.Unmarshal(raw, &at); err != nil {
		c.Fatal(err)
	}
	if !slices.IsSortedFunc(at, time.Time.Compare) || len(at) < 2 {
		c.Fatalf("%d attempts, not in order", len(at))
	}
	for i := range at[1:] {
		if d := at[i+1].Sub(at[i]); d > gap {
			gap, begin = d, at[i]
		}
	}
	return gap, begin
}
