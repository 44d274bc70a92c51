// Package bus is the only door to JetStream and its Object Store.
package bus

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/streams"
)

// Config says which NATS to use and under which name.
type Config struct {
	URL       string // may hold user and password, and several servers, comma-separated
	Namespace string // prefixes every subject, stream and bucket
	Name      string // of this process, as operators see it in the server's connection list
	Manage    bool   // create and update streams; otherwise they are only checked
	Log       *slog.Logger
}

// Bus is a connection to NATS. Reading has a connection of its own, so that a
// flood of deliveries does not hold up publishing.
type Bus struct {
	cfg     Config
	out, in *nats.Conn
	js, rd  jetstream.JetStream
	log     *slog.Logger

	posted  chan posting
	closing chan struct{}
	relayed sync.WaitGroup

	mu   sync.Mutex
	lost map[string]bool // ids of jobs whose publication was not confirmed
}

// How long a single request to the server may take.
const requestTimeout = 5 * time.Second

// maxPending caps the publications that await their confirmation.
const maxPending = 4096

// Connect opens the connections. It fails when no server answers; later losses
// are repaired in the background, for ever.
func Connect(ctx context.Context, cfg Config) (*Bus, error) {
	b := &Bus{cfg: cfg, log: cfg.Log, lost: map[string]bool{}, posted: make(chan posting, maxPosted), closing: make(chan struct{})}
	var err error
	if b.out, err = b.dial("out"); err != nil {
		return nil, err
	}
	if b.in, err = b.dial("in"); err != nil {
		b.out.Close()
		return nil, err
	}
	lost := func(_ jetstream.JetStream, m *nats.Msg, err error) { b.notConfirmed(m, err) }
	b.js, err = jetstream.New(b.out, jetstream.WithDefaultTimeout(requestTimeout), jetstream.WithPublishAsyncMaxPending(maxPending),
		jetstream.WithPublishAsyncTimeout(2*requestTimeout), jetstream.WithPublishAsyncErrHandler(lost))
	if err == nil {
		b.rd, err = jetstream.New(b.in, jetstream.WithDefaultTimeout(requestTimeout))
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	b.relayed.Go(b.relay)
	return b, nil
}

func (b *Bus) notConfirmed(m *nats.Msg, err error) {
	b.log.Warn("publication not confirmed", "subject", m.Subject, "err", err)
	if !strings.HasPrefix(m.Subject, b.cfg.Namespace+".job.") {
		return // facts are folded from their rows, dead letters have theirs
	}
	id := m.Header.Get(jetstream.MsgIDHeader)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost[id[:max(strings.LastIndexByte(id, '.'), 0)]] = true // without the fence
}

// TakeLost returns the ids of the jobs whose publication was not confirmed since
// the last call.
func (b *Bus) TakeLost() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := slices.Collect(maps.Keys(b.lost))
	clear(b.lost)
	return ids
}

func (b *Bus) dial(role string) (*nats.Conn, error) {
	nc, err := nats.Connect(b.cfg.URL, nats.Name("hub "+b.cfg.Name+" "+role), nats.MaxReconnects(-1), nats.Timeout(requestTimeout),
		nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		// Denied publishes look like time-outs; only here they have their own name.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.log.Error("nats", "role", role, "err", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("nats connection lost", "role", role, "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { b.log.Info("nats connection restored", "role", role) }))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}

// Close lets publications that are under way finish, at most for the request
// time-out, and closes the connections.
func (b *Bus) Close() {
	close(b.closing)
	b.relayed.Wait()
	if b.js != nil {
		select {
		case <-b.js.PublishAsyncComplete():
		case <-time.After(requestTimeout):
		}
	}
	b.in.Close()
	b.out.Close()
}

// Ready reports why the bus cannot be used now, or nil.
func (b *Bus) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := b.js.Stream(ctx, b.stream(message.Jobs)); err != nil {
		return fmt.Errorf("nats: stream %s: %w", b.stream(message.Jobs), err)
	}
	return nil
}

func (b *Bus) stream(s string) string { return streams.Name(b.cfg.Namespace, s) }

// Ensure creates or updates the streams, consumers and the bucket, or, where the
// configuration says so, only checks that they exist.
func (b *Bus) Ensure(ctx context.Context) error {
	all, consumers, err := streams.Load(b.cfg.Namespace)
	if err != nil {
		return err
	}
	clustered := b.out.ConnectedClusterName() != ""
	for _, s := range all {
		if clustered {
			s.Replicas = 3
			s.PersistMode = jetstream.DefaultPersistMode // asynchronous writing is for one replica only
		}
		if err := b.ensureStream(ctx, s); err != nil {
			return err
		}
	}
	for _, c := range consumers {
		if err := b.ensureConsumer(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) ensureStream(ctx context.Context, s jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	if !b.cfg.Manage {
		if _, err := b.js.Stream(ctx, s.Name); err != nil {
			return fmt.Errorf("stream %s (HUB_STREAMS_MANAGE is false, so create it from streams/): %w", s.Name, err)
		}
		return nil
	}
	if _, err := b.js.CreateOrUpdateStream(ctx, s); err != nil {
		return fmt.Errorf("create stream %s: %w", s.Name, err)
	}
	return nil
}

func (b *Bus) ensureConsumer(ctx context.Context, c streams.Consumer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	if !b.cfg.Manage {
		if _, err := b.js.Consumer(ctx, c.Stream, c.Config.Durable); err != nil {
			return fmt.Errorf("consumer %s of %s (HUB_STREAMS_MANAGE is false, so create it from streams/): %w", c.Config.Durable, c.Stream, err)
		}
		return nil
	}
	if _, err := b.js.CreateOrUpdateConsumer(ctx, c.Stream, c.Config); err != nil {
		return fmt.Errorf("create consumer %s of %s: %w", c.Config.Durable, c.Stream, err)
	}
	return nil
}

// Outstanding counts the messages on the job stream by <worker>-<priority>:
// what waits, and what is delivered but not yet acknowledged.
func (b *Bus) Outstanding(ctx context.Context) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := b.js.Stream(ctx, b.stream(message.Jobs))
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", b.stream(message.Jobs), err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(b.cfg.Namespace+".job.>"))
	if err != nil {
		return nil, fmt.Errorf("count jobs on %s: %w", b.stream(message.Jobs), err)
	}
	n := map[string]int64{}
	for subject, count := range info.State.Subjects {
		if t := strings.Split(subject, "."); len(t) == 5 { // <ns>.job.<worker>.<verb>.<priority>
			n[t[2]+"-"+t[4]] += int64(count)
		}
	}
	return n, nil
}

// EventBacklog is how much of the event stream is not folded yet, from 0 to 1:
// its messages that the fold has not acknowledged over its share of the limit.
func (b *Bus) EventBacklog(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := b.js.Stream(ctx, b.stream(message.Events))
	if err != nil {
		return 0, fmt.Errorf("look up stream %s: %w", b.stream(message.Events), err)
	}
	c, err := s.Consumer(ctx, message.Orchestrator)
	if err != nil {
		return 0, fmt.Errorf("look up the fold's consumer: %w", err)
	}
	info, state := s.CachedInfo(), c.CachedInfo()
	if info.State.Msgs == 0 || info.Config.MaxBytes <= 0 {
		return 0, nil
	}
	perMessage := float64(info.State.Bytes) / float64(info.State.Msgs)
	return perMessage * float64(state.NumPending+uint64(state.NumAckPending)) / float64(info.Config.MaxBytes), nil
}

// ErrNotFound says that an object is not in the bucket.
var ErrNotFound = fmt.Errorf("not in the Object Store: %w", fs.ErrNotExist)

// pausedFor is how long a pause lasts on the server; the sweep renews it.
const pausedFor = 24 * 365 * time.Hour

// SetPauses pauses the job consumers that are named, and resumes the others.
func (b *Bus) SetPauses(ctx context.Context, paused map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, w := range message.Workers {
		for _, p := range hub.Priorities {
			name := message.Durable(w, p)
			if err := b.setPause(ctx, name, paused[name]); err != nil {
				return fmt.Errorf("pause or resume %s: %w", name, err)
			}
		}
	}
	return nil
}

func (b *Bus) setPause(ctx context.Context, durable string, want bool) error {
	c, err := b.js.Consumer(ctx, b.stream(message.Jobs), durable)
	if err != nil {
		return err
	}
	switch is := c.CachedInfo().Paused; {
	case want && !is:
		_, err = b.js.PauseConsumer(ctx, b.stream(message.Jobs), durable, time.Now().Add(pausedFor))
	case !want && is:
		_, err = b.js.ResumeConsumer(ctx, b.stream(message.Jobs), durable)
	}
	return err
}
