package batch

import (
	"context"
	"errors"
	"sync"
)

// ErrFull says that more calls wait than a Group takes.
var ErrFull = errors.New("too many calls wait")

// maxWaiting caps the calls that wait in a Group.
const maxWaiting = 16384

// Group makes one flush of calls that come at the same time. It has no goroutine
// while nobody calls.
type Group[T any] struct {
	leaders, max int
	flush        func([]T) []error

	mu      sync.Mutex
	waiting []call[T]
	leading int
}

type call[T any] struct {
	value T
	done  chan error
}

// NewGroup makes a group that flushes 1 to max values at a time, by at most
// leaders goroutines. flush returns one error for each value.
func NewGroup[T any](leaders, max int, flush func([]T) []error) *Group[T] {
	return &Group[T]{leaders: leaders, max: max, flush: flush}
}

// Do returns what flush says about v. When ctx ends first, the outcome is unknown.
func (g *Group[T]) Do(ctx context.Context, v T) error {
	c := call[T]{v, make(chan error, 1)}
	g.mu.Lock()
	if len(g.waiting) >= maxWaiting {
		g.mu.Unlock()
		return ErrFull
	}
	g.waiting = append(g.waiting, c)
	lead := g.leading < g.leaders
	if lead {
		g.leading++
	}
	g.mu.Unlock()
	if lead {
		go g.lead()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lead flushes until nothing waits.
func (g *Group[T]) lead() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), g.max)
		if n == 0 {
			g.leading--
			g.mu.Unlock()
			return
		}
		calls := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		g.mu.Unlock()
		values := make([]T, n)
		for i, c := range calls {
			values[i] = c.value
		}
		for i, err := range g.flush(values) {
			calls[i].done <- err
		}
	}
}
