package bus

import (
	"context"
	"errors"
	"fmt"
	"io"

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

// GetObject streams an object; the reader reports a wrong digest at its end. The
// error is ErrNotFound where it is not in the bucket.
func (b *Bus) GetObject(ctx context.Context, name string) (io.ReadCloser, error) {
	s, err := b.js.ObjectStore(ctx, streams.Bucket(b.cfg.Namespace))
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	r, err := s.Get(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("get object %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get object %s: %w", name, err)
	}
	return r, nil
}

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
