package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"integrationhub/internal/analysis"
	"integrationhub/internal/hub"
)

const (
	defaultTimeout = 10 * time.Second
	batchSize      = 16 // files that a child is asked for at once
	maxTries       = 2  // a child may also die of something that is not the file's fault
)

// ErrClosed is the error of Scan after Close.
var ErrClosed = errors.New("the pool of scanning processes is closed")

// Config says how a pool runs its children. The zero value is the default.
type Config struct {
	Size       int           // children at most; 0 means one per CPU
	Executable string        // which calls Main first; empty means this one
	Timeout    time.Duration // after which a child that works on one file is killed; 0 means 10 s
}

// Pool scans files in child processes, which are started when they are needed,
// kept, and replaced when they die.
type Pool struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan *child // holds Size children, started or not, less those at work
	close  sync.Once
	err    error
}

// New returns a pool. No child runs before the first Scan.
func New(cfg Config) *Pool {
	if cfg.Size <= 0 {
		cfg.Size = runtime.NumCPU()
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	p := &Pool{cfg: cfg, slots: make(chan *child, cfg.Size)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for range cfg.Size {
		p.slots <- &child{}
	}
	return p
}

// Close ends the children, also in the middle of a Scan, and waits for them.
func (p *Pool) Close() error {
	p.close.Do(func() {
		p.cancel()
		for range p.cfg.Size {
			if err := (<-p.slots).stop(); err != nil && p.err == nil {
				p.err = err
			}
		}
	})
	return p.err
}

// Scan scans the files at the given slash-separated paths under root with the
// built-in rules of the given categories, none meaning all. The results come in
// the order of paths. A file that kills its child is skipped as crashed, one that
// keeps it busy for too long as timeout; an error means that nothing can be
// scanned, or that ctx ended.
func (p *Pool) Scan(ctx context.Context, root *os.Root, paths []string, only []hub.Category) ([]analysis.FileResult, error) {
	if p.ctx.Err() != nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(ErrClosed) })()

	s := &sweep{pool: p, dir: root.Name(), paths: paths, only: only, results: make([]analysis.FileResult, len(paths))}
	var wg sync.WaitGroup
	for range min(p.cfg.Size, (len(paths)+batchSize-1)/batchSize) {
		wg.Go(func() {
			if err := s.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("scan %d files of %s: %w", len(paths), s.dir, err)
	}
	return s.results, nil
}

// sweep is one call of Scan.
type sweep struct {
	pool    *Pool
	dir     string
	paths   []string
	only    []hub.Category
	next    atomic.Int64 // the first path that nobody has taken
	results []analysis.FileResult
}

// work takes batches until none is left, with one child.
func (s *sweep) work(ctx context.Context) error {
	var c *child
	select {
	case c = <-s.pool.slots:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.pool.slots <- c }()
	for {
		from := int(s.next.Add(batchSize)) - batchSize
		if from >= len(s.paths) {
			return nil
		}
		if err := s.batch(ctx, c, from, min(from+batchSize, len(s.paths))); err != nil {
			return err
		}
	}
}

// batch scans the paths [from, to). The child works in order, so the file that
// it died of is the first one without a result.
func (s *sweep) batch(ctx context.Context, c *child, from, to int) error {
	tries := 0
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.start(ctx, &s.pool.cfg); err != nil {
			return err
		}
		done, hung, err := c.ask(ctx, s.pool.cfg.Timeout, &request{Dir: s.dir, Paths: s.paths[from:to], Only: s.only}, s.results[from:to])
		if err == nil {
			return nil
		}
		var refused *refusedError
		if errors.As(c.stop(), &refused) && ctx.Err() == nil {
			return refused
		}
		if done > 0 {
			tries = 0
		}
		from += done
		if tries++; ctx.Err() != nil || !hung && tries < maxTries {
			continue
		}
		reason := analysis.SkipCrashed
		if hung {
			reason = analysis.SkipTimeout
		}
		s.results[from] = analysis.FileResult{Path: s.paths[from], Skipped: reason}
		from, tries = from+1, 0
	}
	return nil
}
