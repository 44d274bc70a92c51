package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

// chain measures the whole road with stages that do nothing: an event is
// accepted, folded, fetched, analysed and prepared, with every row, fact, status
// and publication of the product, and default limits.
type chain struct {
	*hubEngine
	orchestrator *orchestrator.Orchestrator
	finished     func(run string)
}

// spread is how many connections and repositories the events are about.
const (
	chainConnections  = 8
	chainRepositories = 100
)

func (c *chain) start(ctx context.Context, concurrency int) (stop func() error, err error) {
	for i := range chainConnections {
		if err := connection.Save(ctx, c.store, connection.Connection{Slug: fmt.Sprintf("c%d", i), Kind: hub.Git, BaseURL: "https://code.example.org"}); err != nil {
			return nil, err
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	c.orchestrator = orchestrator.New(orchestrator.Config{LimitConnection: 64, LimitRepository: 8, Supersede: true}, c.bus, c.store, quiet)
	ctx, cancel := context.WithCancel(ctx)
	if err := c.bus.WatchProgress(ctx, "*", func(p message.Progress) {
		if p.Job == "" && hub.RunStatus(p.Status).Terminal() {
			c.finished(p.Run)
		}
	}); err != nil {
		cancel()
		return nil, err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	run := func(f func() error) { wg.Go(func() { errs <- f() }) }
	run(func() error { return c.orchestrator.Run(ctx) })
	for _, w := range []struct {
		worker string
		does   work.Handler
	}{
		{message.Connector, work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
			return func(*store.Batch) []message.Fact {
				return d.Fact(message.SnapshotFetchedBody{Snapshot: hub.Snapshot{ID: d.Job.ID}})
			}, nil
		})},
		{message.Analyzer, work.On(func(_ context.Context, d work.Delivery[message.AnalyzeBody]) (work.Commit, error) {
			return func(*store.Batch) []message.Fact { return d.Fact(message.AnalysisFinishedBody{}) }, nil
		})},
		{message.Deployer, work.On(func(_ context.Context, d work.Delivery[message.PrepareBody]) (work.Commit, error) {
			return func(*store.Batch) []message.Fact { return d.Fact(message.ChangesetPreparedBody{}) }, nil
		})},
	} {
		cfg := work.Config{Worker: w.worker, Name: "bench/" + w.worker, Concurrency: concurrency, Prefetch: 4 * concurrency, Lease: 30 * time.Second, Drain: 10 * time.Second, Policies: work.Policies(), Log: quiet}
		run(func() error { return work.Run(ctx, cfg, c.bus, job.NewLedger(c.store), w.does) })
	}
	return func() error {
		cancel()
		wg.Wait()
		for range 4 {
			if err := <-errs; err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func chainEvent(n int) message.Event {
	conn, id := fmt.Sprintf("c%d", n%chainConnections), fmt.Sprint(n)
	body := message.AnalysisRequestedBody{Target: message.Target{Connection: conn, Repository: fmt.Sprintf("team/r%d", n%chainRepositories), Ref: "b" + id, Strategy: hub.DryRun, Priority: hub.Medium}}
	return message.Event{Key: hub.RunID("bench", id), Source: "bench", ID: id, Kind: message.AnalysisRequested, Connection: conn, Time: time.Now().UTC(), Body: message.Encode(body)}
}

// chainResult is one measurement of the chain.
type chainResult struct {
	rate     float64
	p50, p99 time.Duration
}

// runChain accepts n events, from concurrency callers as fast as they can, or at a
// rate, and waits for their runs to end.
func runChain(ctx context.Context, cfg Config, n, concurrency, rate int) (r chainResult, err error) {
	due := make([]time.Time, n)
	lat := make([]time.Duration, n)
	index := make(map[string]int, n)
	for i := range n {
		index[hub.RunID("bench", fmt.Sprint(i))] = i
	}
	var mu sync.Mutex
	left := n
	all := make(chan struct{})
	c := &chain{hubEngine: newHub(cfg), finished: func(run string) {
		i, ok := index[run]
		mu.Lock()
		defer mu.Unlock()
		if !ok || lat[i] != 0 {
			return
		}
		lat[i] = time.Since(due[i])
		if left--; left == 0 {
			close(all)
		}
	}}
	if err := c.Setup(ctx); err != nil {
		return r, err
	}
	defer c.Close()
	stop, err := c.start(ctx, concurrency)
	if err != nil {
		return r, err
	}
	time.Sleep(300 * time.Millisecond) // let the workers settle
	began := time.Now()
	if err := c.accept(ctx, n, concurrency, rate, began, func(i int, at time.Time) {
		mu.Lock()
		due[i] = at
		mu.Unlock()
	}); err != nil {
		return r, err
	}
	select {
	case <-all:
	case <-time.After(time.Minute):
		return r, fmt.Errorf("%d runs have not ended after a minute", left)
	}
	r.rate = float64(n) / time.Since(began).Seconds()
	if err := stop(); err != nil {
		return r, err
	}
	slices.Sort(lat)
	r.p50, r.p99 = lat[n/2], lat[n*99/100]
	return r, nil
}

func (c *chain) accept(ctx context.Context, n, concurrency, rate int, began time.Time, note func(int, time.Time)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	one := func(i int, at time.Time) {
		note(i, at)
		if _, err := c.orchestrator.Accept(ctx, chainEvent(i)); err != nil {
			first.CompareAndSwap(nil, &err)
		}
	}
	if rate == 0 {
		for range concurrency {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					one(i, time.Now())
				}
			})
		}
	} else {
		for i := range n {
			at := began.Add(time.Duration(float64(i) / float64(rate) * float64(time.Second)))
			time.Sleep(time.Until(at))
			wg.Go(func() { one(i, at) })
		}
	}
	wg.Wait()
	if e := first.Load(); e != nil {
		return *e
	}
	return nil
}

// measureChain prints the chain's own table: medians of runs.
func measureChain(ctx context.Context, cfg Config, runs, n, concurrency int) error {
	var fast, paced []chainResult
	for range runs {
		f, err := runChain(ctx, cfg, n, concurrency, 0)
		if err != nil {
			return err
		}
		p, err := runChain(ctx, cfg, 300, concurrency, 50)
		if err != nil {
			return err
		}
		fast, paced = append(fast, f), append(paced, p)
	}
	slices.SortFunc(fast, func(a, b chainResult) int { return int(a.rate - b.rate) })
	slices.SortFunc(paced, func(a, b chainResult) int { return int(a.p99 - b.p99) })
	f, p := fast[len(fast)/2], paced[len(paced)/2]
	fmt.Printf("\n| whole road, no-op stages | runs/s | p50 ms at 50/s | p99 ms at 50/s |\n|---|--:|--:|--:|\n| hub | %.0f | %.1f | %.1f |\n",
		f.rate, float64(p.p50.Microseconds())/1000, float64(p.p99.Microseconds())/1000)
	return nil
}
