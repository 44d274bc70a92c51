package work_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/work"
)

func many(from, n int, p hub.Priority) []message.Job {
	jobs := make([]message.Job, n)
	for i := range jobs {
		jobs[i] = fetch(from+i, p)
	}
	return jobs
}

func TestACriticalJobOvertakesAThousandThatWait(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	var order []hub.Priority
	begun, release := make(chan int, 1), make(chan struct{})
	cfg := config(t, "w")
	cfg.Concurrency, cfg.Prefetch = 1, 1
	r.enqueue(many(0, 1000, hub.Low)...)
	stop := r.run(cfg, work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		mu.Lock()
		order = append(order, d.Job.Priority)
		n := len(order)
		mu.Unlock()
		if n == 1 {
			begun <- n
			await(t, release)
		}
		return done(d, "x"), nil
	}))
	receive(t, begun, "the first job begins")
	urgent := fetch(5000, hub.Critical)
	r.enqueue(urgent)
	close(release)
	r.ended(urgent, hub.JobCompleted)
	stop()
	at := slices.Index(order, hub.Critical)
	if at > 20 {
		t.Errorf("%d jobs were run before it", at)
	}
	t.Logf("%d of 1,000 were run before it", at)
}

func TestLowJobsMoveUnderEndlessCriticalOnes(t *testing.T) {
	r := newRig(t)
	critical, low := many(0, 300, hub.Critical), many(1000, 5, hub.Low)
	r.enqueue(append(critical, low...)...)
	var mu sync.Mutex
	lows, after := 0, 0
	cfg := config(t, "w")
	cfg.Concurrency, cfg.Prefetch = 1, 1
	next := 2000
	stop := r.run(cfg, work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		mu.Lock()
		defer mu.Unlock()
		if d.Job.Priority == hub.Low {
			lows++
			return done(d, "low"), nil
		}
		if after++; after < 3000 { // each critical job brings another one
			next++
			r.enqueue(fetch(next, hub.Critical))
		}
		return done(d, "critical"), nil
	}))
	for _, j := range low {
		r.ended(j, hub.JobCompleted)
	}
	stop()
	if after >= 3000 {
		t.Errorf("the low ones came only after %d critical ones", after)
	}
	t.Logf("%d low jobs among %d critical ones", lows, after)
}

func TestAWorkerThatStopsHandsBackWhatItHasNotBegunAndFinishesWhatRuns(t *testing.T) {
	r := newRig(t)
	js, _ := r.jetStream()
	const running, waiting = 2, 60
	begun, release := make(chan string, 100), make(chan struct{})
	cfg := config(t, "first")
	cfg.Concurrency, cfg.Prefetch = running, 20
	jobs := many(0, running+waiting, hub.Medium)
	r.enqueue(jobs...)
	stop := r.run(cfg, work.On(func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		begun <- d.Job.ID
		await(t, release)
		return done(d, "first"), ctx.Err()
	}))
	for range running {
		receive(t, begun, "begins")
	}
	hubtest.Eventually(t, patience, func() error { // it holds more than its channel: the reader has some, too
		c, err := js.Consumer(t.Context(), "HUB_JOBS", message.Durable(message.Connector, hub.Medium))
		if err != nil {
			return err
		}
		if n := c.CachedInfo().NumAckPending; n < running+30 {
			return fmt.Errorf("%d are held", n)
		}
		return nil
	})
	stopped := make(chan time.Time, 1)
	told := time.Now()
	go func() { stop(); stopped <- time.Now() }()
	// All others are another worker's at once, though the first still runs.
	second := config(t, "second")
	second.Concurrency = 20
	r.run(second, work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		return done(d, "second"), nil
	}))
	hubtest.Eventually(t, patience, func() error {
		if n := len(r.texts(`SELECT job FROM note WHERE text = 'second'`)); n != waiting {
			return fmt.Errorf("%d of %d were handed over", n, waiting)
		}
		return nil
	})
	if took := time.Since(told); took > 10*time.Second {
		t.Errorf("it took %s until all others were another worker's", took)
	}
	close(release)
	receive(t, stopped, "the first worker stops")
	r.wantTexts("finished by the first", []string{fmt.Sprint(running)}, `SELECT count(*)::text FROM note WHERE text = 'first'`)
}

func TestAHandlerThatOutlivesTheDrainIsStoppedAndItsJobCostsNoAttempt(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	begun := make(chan int, 1)
	cfg := config(t, "first")
	cfg.Drain = 50 * time.Millisecond
	stop := r.run(cfg, work.On(func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		begun <- d.Attempt
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	r.enqueue(j)
	receive(t, begun, "begins")
	stop()
	if s := r.state(j); s.Status != hub.JobPending || len(s.Attempts) != 1 || s.Attempts[0].Outcome != "LATER" || s.Attempts[0].Error != "the worker is shutting down" {
		t.Errorf("job %+v", s)
	}
	r.run(config(t, "second"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Attempt != 1 {
			t.Errorf("attempt %d", d.Attempt)
		}
		return done(d, "second"), nil
	}))
	r.ended(j, hub.JobCompleted)
}

func TestDelaysAreSpreadFromZeroToTheirBound(t *testing.T) {
	p := work.Policy{First: time.Second, Factor: 2, Cap: 10 * time.Second}
	for n, bound := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 30: 10 * time.Second} {
		var least, most, sum time.Duration = time.Hour, 0, 0
		const tries = 2000
		for range tries {
			d := p.Delay(n)
			if d < 0 || d > bound {
				t.Fatalf("after attempt %d: %s is out of 0 to %s", n, d, bound)
			}
			least, most, sum = min(least, d), max(most, d), sum+d
		}
		mean := sum / tries
		if least > bound/20 || most < bound*19/20 || mean < bound*4/10 || mean > bound*6/10 {
			t.Errorf("after attempt %d: %s to %s, %s in the mean, is not spread over 0 to %s", n, least, most, mean, bound)
		}
	}
}

func TestEveryKindOfJobHasAPolicy(t *testing.T) {
	policies := work.Policies()
	for _, e := range message.Catalog {
		if e.Stream != message.Jobs {
			continue
		}
		p, ok := policies[e.Kind]
		if !ok || p.Attempts < 1 || p.Timeout <= 0 || p.First <= 0 || p.Factor < 1 || p.Cap < p.First {
			t.Errorf("%s: %+v", e.Kind, p)
		}
	}
}
