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

// PutObject streams r into the snapshot bucket under name, replacing what was there.
func (b *Bus) PutObject(ctx context.Context, name string, r io.Reader) error {
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		return fmt.Errorf("open bucket: %w", err)
	}
	meta := jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize - 4096}} // room for the headers
	if _, err := s.Put(ctx, meta, whole{r}); err != nil {
		return fmt.Errorf("put object %s: %w", name, err)
	}
	return nil
}

// whole fills what it is given: each Read of an object's source becomes a message,
// and a compressor writes in small pieces.
type whole struct{ r io.Reader }

func (w whole) Read(p []byte) (n int, err error) {
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
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	r, err := s.Get(glances{ctx}, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("get object %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get object %s: %w", name, err)
	}
	return reading{r, ctx}, nil
}

// standstill is how long an object that is being read may let its reader wait.
const standstill = 2 * requestTimeout

// reading is an object on its way. The library alone would wait until the
// deadline of its context where the stream is lost meanwhile, cancelled or not.
type reading struct {
	jetstream.ObjectResult
	ctx context.Context
}

func (r reading) Read(p []byte) (int, error) {
	for began := time.Now(); ; {
		n, err := r.ObjectResult.Read(p)
		switch {
		case n > 0 || err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case r.ctx.Err() != nil:
			return 0, context.Cause(r.ctx)
		case time.Since(began) > standstill:
			return 0, fmt.Errorf("nothing of the object came for %s", standstill)
		}
	}
}

// glances has a deadline that is always near: at it, a read of the library
// returns with nothing.
type glances struct{ context.Context }

func (glances) Deadline() (time.Time, bool) { return time.Now().Add(time.Second), true }

// DeleteObject removes an object; one that is not there is no error.
func (b *Bus) DeleteObject(ctx context.Context, name string) error {
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		return fmt.Errorf("open bucket: %w", err)
	}
	if err := s.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}
