// Package batch turns concurrent calls into few flushes, so that a commit is
// paid once for many. There is no added wait: a flush takes what is there.
package batch

import (
	"runtime"
	"sync"
)

// Batcher hands what is added to its flushers, in batches.
type Batcher[T any] struct {
	ch chan T
	wg sync.WaitGroup
}

// New starts flushers goroutines that call flush with 1 to max values at a time;
// the slice is theirs only during the call. Close ends them.
func New[T any](flushers, max int, flush func([]T)) *Batcher[T] {
	b := &Batcher[T]{ch: make(chan T, max)}
	for range flushers {
		b.wg.Go(func() { b.loop(max, flush) })
	}
	return b
}

func (b *Batcher[T]) loop(max int, flush func([]T)) {
	batch := make([]T, 0, max)
	for first := range b.ch {
		batch = append(batch[:0], first)
		runtime.Gosched() // lets callers that are about to add do so
		for more := true; more && len(batch) < max; {
			select {
			case v, open := <-b.ch:
				if more = open; open {
					batch = append(batch, v)
				}
			default:
				more = false
			}
		}
		flush(batch)
		clear(batch) // do not keep alive what was flushed
	}
}

// Add queues a value; it waits while max values are queued. It must not be
// called after Close.
func (b *Batcher[T]) Add(v T) { b.ch <- v }

// Close flushes what is queued and waits for the flushers to end.
func (b *Batcher[T]) Close() {
	close(b.ch)
	b.wg.Wait()
}
