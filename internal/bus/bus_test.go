package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/streams"
)

// patience is how long a test waits for what should take a moment.
const patience = 30 * time.Second

func connect(t *testing.T, cfg bus.Config) *bus.Bus {
	t.Helper()
	cfg.Namespace, cfg.Name, cfg.Log = hubtest.Namespace, "test", hubtest.Log(t)
	b, err := bus.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// operator is the server as the nats command line tool sees it.
func operator(t *testing.T, s *hubtest.NATSServer) (jetstream.JetStream, *nats.Conn) {
	t.Helper()
	nc, err := nats.Connect(s.URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js, nc
}

func push(n int) message.Event {
	raw := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"https://ci.example.org","type":"hub.push.v1","data":{"connection":"forge","repository":"shop/web","ref":"main"}}`, n)
	e, err := message.ParseStructured([]byte(raw))
	if err != nil {
		panic(err)
	}
	return e
}

func fetch(n int) message.Job {
	run := hub.RunID("bus", fmt.Sprint(n))
	return message.Job{ID: hub.JobID(run, "fetch", 1), Run: run, Kind: message.Fetch, Priority: hub.High, Connection: "forge", Repository: "shop/web", Body: json.RawMessage(`{}`)}
}

// publish publishes one event; the error is its own.
func publish(ctx context.Context, b *bus.Bus, e message.Event) error {
	return b.PublishEvents(ctx, []message.Event{e})[0]
}

// next hands over the deliveries of a reader until the test ends.
func read(t *testing.T, from func(context.Context, int, func(bus.Delivery))) <-chan bus.Delivery {
	ch := make(chan bus.Delivery)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		from(ctx, 16, func(d bus.Delivery) {
			select {
			case ch <- d:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ch
}

func receive(t *testing.T, ch <-chan bus.Delivery) bus.Delivery {
	t.Helper()
	select {
	case d := <-ch:
		return d
	case <-time.After(patience):
		t.Fatalf("no delivery within %s", patience)
		panic("unreachable")
	}
}

func TestStreamsAreMadeFromTheFilesAndMakingThemAgainChangesNothing(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := connect(t, bus.Config{URL: s.URL, Manage: true})
	all, consumers, err := streams.Load(hubtest.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	created := map[string]time.Time{}
	for range 2 {
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range all {
			st, err := js.Stream(t.Context(), want.Name)
			if err != nil {
				t.Fatalf("%s: %v", want.Name, err)
			}
			info := st.CachedInfo()
			got := info.Config
			got.Metadata = nil // the server's own
			if got.Retention != want.Retention || got.Discard != want.Discard || got.MaxBytes != want.MaxBytes || got.MaxAge != want.MaxAge || !slices.Equal(got.Subjects, want.Subjects) || got.PersistMode != want.PersistMode {
				t.Errorf("%s is\n%+v, the file says\n%+v", want.Name, got, want)
			}
			if before, again := created[want.Name]; again && !before.Equal(info.Created) {
				t.Errorf("%s was made anew", want.Name)
			}
			created[want.Name] = info.Created
		}
		for _, want := range consumers {
			c, err := js.Consumer(t.Context(), want.Stream, want.Config.Durable)
			if err != nil {
				t.Fatalf("%s of %s: %v", want.Config.Durable, want.Stream, err)
			}
			if got := c.CachedInfo().Config; got.MaxDeliver != -1 || got.MaxAckPending != 4096 || got.AckWait != want.Config.AckWait || got.FilterSubject != want.Config.FilterSubject {
				t.Errorf("%s of %s is %+v", want.Config.Durable, want.Stream, got)
			}
		}
	}
}

func TestManyOrchestratorsMayMakeTheStreamsAtTheSameTime(t *testing.T) {
	s := hubtest.NATS(t)
	errs := make(chan error)
	const n = 5
	for range n {
		b := connect(t, bus.Config{URL: s.URL, Manage: true})
		go func() { errs <- b.Ensure(t.Context()) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestWhereStreamsAreNotManagedTheyAreOnlyChecked(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	only := connect(t, bus.Config{URL: s.URL, Manage: false})
	if err := only.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "HUB_STREAMS_MANAGE is false, so create it from streams/") {
		t.Errorf("without streams: %v", err)
	}
	if err := only.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "HUB_JOBS") {
		t.Errorf("ready without streams: %v", err)
	}
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		t.Errorf("it made %s", name)
	}
	s.Bus(t)
	if err := errors.Join(only.Ensure(t.Context()), only.Ready(t.Context())); err != nil {
		t.Errorf("with streams: %v", err)
	}
	if err := js.DeleteConsumer(t.Context(), "HUB_JOBS", "analyzer-low"); err != nil {
		t.Fatal(err)
	}
	if err := only.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "analyzer-low of HUB_JOBS") {
		t.Errorf("without a consumer: %v", err)
	}
}

func TestAnEventAndAJobAreOnTheStreamOnceHoweverOftenTheyArePublished(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := s.Bus(t)
	again := fetch(1)
	again.Fence = 1
	for range 3 {
		if err := publish(t.Context(), b, push(1)); err != nil {
			t.Fatal(err)
		}
		b.PostJobs([]message.Job{fetch(1), again})
		b.PostFacts([]message.Fact{message.NewFact(fetch(1), message.JobCancelledBody{Reason: "x"})})
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]uint64{"HUB_EVENTS": 1, "HUB_JOBS": 2, "HUB_FACTS": 1} {
		st, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.CachedInfo().State.Msgs; got != want {
			t.Errorf("%s holds %d messages, want %d", stream, got, want)
		}
	}
}

func TestWhatIsPublishedIsReadAsItWas(t *testing.T) {
	b := hubtest.NATS(t).Bus(t)
	e := push(1)
	e.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	j := fetch(1)
	j.Trace = e.Trace
	f := message.NewFact(j, message.JobFailedBody{Error: "no", Attempts: 2})
	if err := publish(t.Context(), b, e); err != nil {
		t.Fatal(err)
	}
	b.PostJobs([]message.Job{j})
	b.PostFacts([]message.Fact{f})
	got, err := receive(t, read(t, b.Events)).Event()
	if err != nil || got.Key != e.Key || string(got.Body) != string(e.Body) || got.Trace != e.Trace || got.Connection != "forge" {
		t.Errorf("event %+v, %v", got, err)
	}
	gotFact, err := receive(t, read(t, b.Facts)).Fact()
	if err != nil || gotFact.ID != f.ID || string(gotFact.Body) != string(f.Body) || gotFact.Trace != j.Trace {
		t.Errorf("fact %+v, %v", gotFact, err)
	}
	d := receive(t, read(t, func(ctx context.Context, n int, h func(bus.Delivery)) { b.Jobs(ctx, message.Connector, hub.High, n, h) }))
	gotJob, err := d.Job()
	if err != nil || gotJob.ID != j.ID || gotJob.Priority != j.Priority || gotJob.Trace != j.Trace {
		t.Errorf("job %+v, %v", gotJob, err)
	}
}

func TestADeletedStreamDirectoryIsMadeAnewAndReadersComeBack(t *testing.T) {
	s := hubtest.NATS(t)
	b := s.Bus(t)
	deliveries := read(t, b.Events)
	if err := publish(t.Context(), b, push(1)); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, deliveries).Ack(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Wipe()
	s.Restart()
	hubtest.Eventually(t, patience, func() error { return publish(t.Context(), b, push(2)) })
	e, err := receive(t, deliveries).Event()
	if err != nil || e.Key != push(2).Key {
		t.Errorf("event %+v, %v", e, err)
	}
	if err := b.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestADeletedConsumerIsMadeAnew(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := s.Bus(t)
	deliveries := read(t, b.Facts)
	b.PostFacts([]message.Fact{message.NewFact(fetch(1), message.JobCancelledBody{})})
	if err := receive(t, deliveries).Ack(); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), "HUB_FACTS", message.Orchestrator); err != nil {
		t.Fatal(err)
	}
	second := message.NewFact(fetch(2), message.JobCancelledBody{})
	b.PostFacts([]message.Fact{second})
	hubtest.Eventually(t, patience, func() error { // the first one may come again: the new consumer knows of no ack
		f, err := receive(t, deliveries).Fact()
		if err == nil && f.ID != second.ID {
			err = fmt.Errorf("fact %s", f.ID)
		}
		return err
	})
}

func TestPublicationsThatTheServerDidNotConfirmAreNamed(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := s.Bus(t)
	if err := js.DeleteStream(t.Context(), "HUB_JOBS"); err != nil {
		t.Fatal(err)
	}
	first, second := fetch(1), fetch(2)
	second.Fence = 7
	b.PostJobs([]message.Job{first, second})
	b.PostFacts([]message.Fact{message.NewFact(first, message.JobCancelledBody{})})
	var lost []string
	hubtest.Eventually(t, patience, func() error {
		lost = append(lost, b.TakeLost()...)
		if len(lost) < 2 {
			return fmt.Errorf("lost %q", lost)
		}
		return nil
	})
	slices.Sort(lost)
	want := []string{first.ID, second.ID}
	slices.Sort(want)
	if !slices.Equal(lost, want) {
		t.Errorf("lost %q, want %q", lost, want)
	}
	if again := b.TakeLost(); len(again) != 0 {
		t.Errorf("named twice: %q", again)
	}
}

func TestPublishingAnEventFailsWhileTheServerIsAway(t *testing.T) {
	s := hubtest.NATS(t)
	b := s.Bus(t)
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := publish(ctx, b, push(1)); err == nil {
		t.Error("it was confirmed by nobody")
	}
	if b.Ready(ctx) == nil {
		t.Error("ready")
	}
	s.Restart()
	hubtest.Eventually(t, patience, func() error { return b.Ready(t.Context()) })
	hubtest.Eventually(t, patience, func() error { return publish(t.Context(), b, push(1)) })
}

func TestACancelReachesEveryReplicaOfEveryWorker(t *testing.T) {
	s := hubtest.NATS(t)
	var got []chan message.Cancel
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, w := range append(slices.Clone(message.Workers), message.Analyzer) {
		ch := make(chan message.Cancel, 1)
		if err := s.Bus(t).WatchControl(ctx, w, func(c message.Control) *message.Replica {
			ch <- message.Cancel{Run: c.Run, Reason: c.Reason}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		got = append(got, ch)
	}
	want := message.Cancel{Run: "r", Reason: "not needed"}
	s.Bus(t).Cancel(want)
	for i, ch := range got {
		select {
		case c := <-ch:
			if c != want {
				t.Errorf("watcher %d got %+v", i, c)
			}
		case <-time.After(patience):
			t.Errorf("watcher %d got nothing", i)
		}
	}
}

func TestTheBacklogIsTheShareOfTheEventStreamThatIsNotFolded(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := s.Bus(t)
	if full, err := b.EventBacklog(t.Context()); err != nil || full != 0 {
		t.Errorf("an empty stream is %f full, %v", full, err)
	}
	st, err := js.Stream(t.Context(), "HUB_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.MaxBytes = 64 << 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := publish(t.Context(), b, push(i)); err != nil {
			t.Fatal(err)
		}
	}
	if full, err := b.EventBacklog(t.Context()); err != nil || full < 0.5 || full > 1 {
		t.Errorf("with 100 events of about 400 bytes it is %f full, %v", full, err)
	}
	deliveries := read(t, b.Events)
	for range 100 {
		if err := receive(t, deliveries).Ack(); err != nil {
			t.Fatal(err)
		}
	}
	hubtest.Eventually(t, patience, func() error {
		if full, err := b.EventBacklog(t.Context()); err != nil || full != 0 {
			return fmt.Errorf("%f full, %w", full, err)
		}
		return nil
	})
}
