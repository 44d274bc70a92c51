package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Plan is what each contender is put through.
type Plan struct {
	Jobs        int
	PayloadSize int
	Concurrency int
	Rate        int           // paced jobs/s for the latency phase
	PacedFor    time.Duration // how long to pace
	Budget      time.Duration // longest any one phase may take
}

// Result is one contender's numbers from one run.
type Result struct {
	Name, Durability string
	EnqueueRate      float64 // Concurrency producers, one confirmed job per call
	BulkRate         float64 // one caller, the system's fastest confirmed way
	WorkRate         float64
	WorkCut          bool // the work phase ran out of budget; WorkRate is what it reached
	Rate             int  // paced rate in fact used
	P50, P99         time.Duration
	Samples          int
	Err              error
}

// payload layout: 8 bytes sequence, 8 bytes intended send time (ns), noise.
func newPayload(size, seq int) []byte {
	b := make([]byte, size)
	binary.LittleEndian.PutUint64(b, uint64(seq))
	for i := 16; i < size; i++ {
		b[i] = byte('a' + rand.IntN(26))
	}
	return b
}

func payloads(size, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = newPayload(size, i)
	}
	return out
}

func measure(ctx context.Context, c Contender, p Plan) (r Result) {
	r = Result{Name: c.Name(), Durability: c.Durability()}
	fail := func(what string, err error) Result {
		r.Err = fmt.Errorf("%s: %w", what, err)
		return r
	}
	defer c.Close()

	// Throughput, twice over: jobs enqueued singly, then in bulk; worked after each.
	if err := c.Setup(ctx); err != nil {
		return fail("setup", err)
	}
	jobs := payloads(p.PayloadSize, p.Jobs)
	done, took, err := enqueueSingly(ctx, c, jobs, p)
	if err != nil {
		return fail("enqueue", err)
	}
	r.EnqueueRate = float64(done) / took.Seconds()
	if r.WorkRate, r.WorkCut, err = drain(ctx, c, done, p); err != nil {
		return fail("work", err)
	}
	if err := c.Close(); err != nil {
		return fail("close", err)
	}

	if err := c.Setup(ctx); err != nil {
		return fail("setup", err)
	}
	n := min(p.Jobs, max(1000, int(r.EnqueueRate*p.Budget.Seconds()/4)))
	start := time.Now()
	if err := c.EnqueueBulk(ctx, jobs[:n]); err != nil {
		return fail("bulk enqueue", err)
	}
	r.BulkRate = float64(n) / time.Since(start).Seconds()
	if err := c.Close(); err != nil {
		return fail("close", err)
	}

	// Latency at a pace the system can hold: the asked rate, or 70% of the
	// slower of what it enqueued and worked.
	r.Rate = min(p.Rate, max(1, int(0.7*min(r.WorkRate, r.EnqueueRate))))
	if err := c.Setup(ctx); err != nil {
		return fail("setup", err)
	}
	lat, err := paced(ctx, c, r.Rate, p)
	if err != nil {
		return fail("paced", err)
	}
	slices.Sort(lat)
	if r.Samples = len(lat); r.Samples > 0 {
		r.P50, r.P99 = lat[r.Samples/2], lat[min(r.Samples-1, r.Samples*99/100)]
	}
	return r
}

// enqueueSingly sends jobs from Concurrency producers, each waiting for its own
// confirmation, until all are sent or the budget is gone.
func enqueueSingly(ctx context.Context, c Contender, jobs [][]byte, p Plan) (int, time.Duration, error) {
	var next, sent atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, p.Concurrency)
	start := time.Now()
	for i := range p.Concurrency {
		wg.Go(func() {
			for time.Since(start) < p.Budget {
				k := int(next.Add(1)) - 1
				if k >= len(jobs) {
					return
				}
				if errs[i] = c.Enqueue(ctx, jobs[k]); errs[i] != nil {
					return
				}
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	return int(sent.Load()), time.Since(start), nil
}

// drain works off n jobs and times it from worker start to nothing outstanding.
func drain(ctx context.Context, c Contender, n int, p Plan) (rate float64, cut bool, err error) {
	var handled atomic.Int64
	finished := make(chan struct{})
	start := time.Now()
	stop, err := c.StartWorkers(ctx, p.Concurrency, func([]byte) {
		if handled.Add(1) == int64(n) {
			close(finished)
		}
	})
	if err != nil {
		return 0, false, err
	}
	select {
	case <-finished:
		for {
			left, err := c.Outstanding(ctx)
			if err != nil {
				_ = stop()
				return 0, false, err
			}
			if left == 0 {
				break
			}
			if time.Since(start) > 2*p.Budget {
				_ = stop()
				return 0, false, fmt.Errorf("%d jobs handled but still outstanding", left)
			}
			time.Sleep(2 * time.Millisecond)
		}
		rate = float64(n) / time.Since(start).Seconds()
	case <-time.After(p.Budget):
		cut = true
		rate = float64(handled.Load()) / time.Since(start).Seconds()
	}
	return rate, cut, stop()
}

// paced sends jobs on a fixed timetable and returns, per job, the time from its
// timetable slot to its handler starting. A late send counts against the system.
func paced(ctx context.Context, c Contender, rate int, p Plan) ([]time.Duration, error) {
	n := max(20, int(float64(rate)*p.PacedFor.Seconds()))
	lat := make([]time.Duration, 0, n)
	var mu sync.Mutex
	all := make(chan struct{})
	stop, err := c.StartWorkers(ctx, p.Concurrency, func(b []byte) {
		d := time.Duration(time.Now().UnixNano() - int64(binary.LittleEndian.Uint64(b[8:])))
		mu.Lock()
		defer mu.Unlock()
		if lat = append(lat, d); len(lat) == n {
			close(all)
		}
	})
	if err != nil {
		return nil, err
	}
	time.Sleep(300 * time.Millisecond) // let the workers settle

	var wg sync.WaitGroup
	var firstErr atomic.Pointer[error]
	slots := make(chan struct{}, 4*p.Concurrency)
	jobs := payloads(p.PayloadSize, n)
	start := time.Now()
	for i, b := range jobs {
		due := start.Add(time.Duration(float64(i) / float64(rate) * float64(time.Second)))
		if d := time.Until(due); d > 0 {
			time.Sleep(d)
		}
		binary.LittleEndian.PutUint64(b[8:], uint64(due.UnixNano()))
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := c.Enqueue(ctx, b); err != nil {
				firstErr.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if e := firstErr.Load(); e != nil {
		_ = stop()
		return nil, *e
	}
	select {
	case <-all:
	case <-time.After(p.Budget):
	}
	err = stop()
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(lat), err
}
