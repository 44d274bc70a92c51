package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"integrationhub/internal/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryValueIsFlushedOnceInBatchesOfBoundedSize(t *testing.T) {
	const n, most = 10_000, 64
	var mu sync.Mutex
	seen := map[int]int{}
	flushes := 0
	b := batch.New(3, most, func(vs []int) {
		mu.Lock()
		defer mu.Unlock()
		flushes++
		if len(vs) < 1 || len(vs) > most {
			t.Errorf("a batch of %d", len(vs))
		}
		for _, v := range vs {
			seen[v]++
		}
	})
	var callers sync.WaitGroup
	for c := range 10 {
		callers.Go(func() {
			for i := range n / 10 {
				b.Add(c*n/10 + i)
			}
		})
	}
	callers.Wait()
	b.Close()
	if len(seen) != n {
		t.Errorf("%d of %d values were flushed", len(seen), n)
	}
	for v, times := range seen {
		if times != 1 {
			t.Errorf("%d was flushed %d times", v, times)
		}
	}
	t.Logf("%d flushes for %d values", flushes, n)
}

func TestWhatComesWhileAFlushRunsSharesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := batch.New(1, 100, func(vs []int) {
			time.Sleep(time.Second)
			sizes = append(sizes, len(vs))
		})
		b.Add(0)
		synctest.Wait()
		for i := range 50 {
			b.Add(i)
		}
		b.Close()
		if len(sizes) != 2 || sizes[0] != 1 || sizes[1] != 50 {
			t.Errorf("batches of %v", sizes)
		}
	})
}

func TestAFlushThatIsSlowHoldsUpItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		b := batch.New(1, 4, func([]int) { <-release })
		var added atomic.Int32
		var caller sync.WaitGroup
		caller.Go(func() {
			for i := range 100 {
				b.Add(i)
				added.Add(1)
			}
		})
		synctest.Wait()
		if n := added.Load(); n > 2*4+1 {
			t.Errorf("%d values are held", n)
		}
		close(release)
		caller.Wait()
		b.Close()
	})
}

func TestEveryCallerOfAGroupGetsItsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flushes atomic.Int32
		g := batch.NewGroup(2, 100, func(vs []int) []error {
			flushes.Add(1)
			time.Sleep(time.Second)
			errs := make([]error, len(vs))
			for i, v := range vs {
				if v%10 == 0 {
					errs[i] = fmt.Errorf("no %d", v)
				}
			}
			return errs
		})
		var callers sync.WaitGroup
		for v := range 1000 {
			callers.Go(func() {
				err := g.Do(t.Context(), v)
				if v%10 == 0 && (err == nil || err.Error() != fmt.Sprint("no ", v)) || v%10 != 0 && err != nil {
					t.Errorf("%d: %v", v, err)
				}
			})
		}
		callers.Wait()
		if n := flushes.Load(); n > 20 {
			t.Errorf("%d flushes for 1,000 calls", n)
		}
	})
}

func TestACallerOfAGroupNeedNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := batch.NewGroup(1, 1, func([]int) []error { time.Sleep(time.Minute); return []error{nil} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Do(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.Sleep(time.Minute) // of the bubble's clock: the flush ends, though nobody waits for it
	})
}
