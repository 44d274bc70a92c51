package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/streams"
)

// chunkSize of objects. 1 MiB keeps the number of messages low; larger ones
// would pass the payload limit of a default server.
const chunkSize = 1 << 20

// standstill is how long the server may leave an object that comes or goes
// without any progress. The library alone would wait until the deadline of its
// context when an answer is lost with the server, cancelled or not.
const standstill = 2 * requestTimeout

// watched is ctx until stop is called or watch was not reset for standstill.
func watched(ctx context.Context) (_ context.Context, watch *time.Timer, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch = time.AfterFunc(standstill, func() { cancel(fmt.Errorf("nothing moved for %s", standstill)) })
	return ctx, watch, func() { watch.Stop(); cancel(nil) }
}

// why prefers the reason of a context that has ended to what became of it.
func why(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// PutObject streams r into the snapshot bucket under name, replacing what was
// there. It fails when the server takes nothing for 10 s; r may take its time.
func (b *Bus) PutObject(ctx context.Context, name string, r io.Reader) error {
	ctx, watch, stop := watched(ctx)
	defer stop()
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		return fmt.Errorf("open bucket: %w", why(ctx, err))
	}
	meta := jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize - 4096}} // room for the headers
	if _, err := s.Put(ctx, meta, whole{r, watch}); err != nil {
		return fmt.Errorf("put object %s: %w", name, why(ctx, err))
	}
	return nil
}

// whole fills what it is given: each Read of an object's source becomes a message,
// and a compressor writes in small pieces.
type whole struct {
	r     io.Reader
	watch *time.Timer // runs while the server has the word
}

func (w whole) Read(p []byte) (n int, err error) {
	w.watch.Stop()
	defer w.watch.Reset(standstill)
	for n < len(p) && err == nil {
		var more int
		more, err = w.r.Read(p[n:])
		n += more
	}
	return n, err
}

// GetObject streams an object; the reader reports a wrong digest at its end, and
// fails when ctx ends or nothing comes for 10 s. The error is ErrNotFound where
// it is not in the bucket.
func (b *Bus) GetObject(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, watch, stop := watched(ctx)
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		defer stop()
		return nil, fmt.Errorf("open bucket: %w", why(ctx, err))
	}
	r, err := s.Get(glances{ctx}, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		stop()
		return nil, fmt.Errorf("get object %s: %w", name, ErrNotFound)
	}
	if err != nil {
		defer stop()
		return nil, fmt.Errorf("get object %s: %w", name, why(ctx, err))
	}
	watch.Stop()
	return reading{r, ctx, watch, stop}, nil
}

// reading is an object on its way; watch runs while the server has the word.
type reading struct {
	jetstream.ObjectResult
	ctx   context.Context
	watch *time.Timer
	stop  func()
}

func (r reading) Read(p []byte) (int, error) {
	r.watch.Reset(standstill)
	defer r.watch.Stop()
	for {
		n, err := r.ObjectResult.Read(p)
		if err != nil && r.ctx.Err() != nil {
			return n, context.Cause(r.ctx)
		}
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

func (r reading) Close() error {
	defer r.stop()
	return r.ObjectResult.Close()
}

// glances has a deadline that is always near: at it, a read of the library
// returns with nothing.
type glances struct{ context.Context }

func (glances) Deadline() (time.Time, bool) { return time.Now().Add(time.Second), true }

// DeleteObject removes an object; one that is not there is no error.
func (b *Bus) DeleteObject(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		return fmt.Errorf("open bucket: %w", err)
	}
	if err := s.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}
