package model

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"integrationhub/internal/message"
	native "integrationhub/streams"
)

// duplicateWindow is what the files of the streams say.
const duplicateWindow = 2 * time.Minute

// ackWaits are what the files of the consumers say, by durable of the job stream
// or by stream.
var ackWaits = sync.OnceValue(func() map[string]time.Duration {
	_, consumers, err := native.Load(native.Default)
	if err != nil {
		panic(err)
	}
	waits := map[string]time.Duration{}
	for _, c := range consumers {
		name := c.Config.Durable
		if name == message.Orchestrator {
			name = strings.TrimPrefix(c.Stream, native.Name(native.Default, ""))
		}
		waits[name] = c.Config.AckWait
	}
	return waits
})

// streams is the model of JetStream: a work queue of jobs, and events and facts
// under limits retention, each read through durables that clients share.
type streams struct {
	ackWait map[string]time.Duration

	mu      sync.Mutex
	durable map[string]*durable
	seen    map[string]time.Time // ids of publications, for the duplicate window
	control map[*watcher]bool
	dead    []message.DeadLetter
}

// durable is a consumer with the messages that it has still to see acknowledged.
type durable struct {
	msgs    []*stored
	done    []*stored // acknowledged, on a stream that keeps them
	changed chan struct{}
}

type stored struct {
	subject string
	data    []byte
	at      time.Time // not delivered before
	gone    bool
}

type watcher struct {
	worker string
	handle func(message.Control) *message.Replica
}

func newStreams() *streams {
	return &streams{ackWait: ackWaits(), durable: map[string]*durable{}, seen: map[string]time.Time{}, control: map[*watcher]bool{}}
}

func (s *streams) of(name string) *durable {
	d := s.durable[name]
	if d == nil {
		d = &durable{changed: make(chan struct{})}
		s.durable[name] = d
	}
	return d
}

// wake tells every reader of a durable to look again; the lock is held.
func (d *durable) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// publish stores a message once within the duplicate window of its stream.
func (s *streams) publish(name, stream, subject, id string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id = stream + " " + id
	if at, ok := s.seen[id]; ok && time.Since(at) < duplicateWindow {
		return
	}
	s.seen[id] = time.Now()
	d := s.of(name)
	d.msgs = append(d.msgs, &stored{subject: subject, data: data})
	d.wake()
}

func (s *streams) postJob(j message.Job) {
	s.publish(message.Durable(j.Kind.Worker(), j.Priority), message.Jobs, message.JobSubject("hub", j.Kind, j.Priority), fmt.Sprintf("%s.%d", j.ID, j.Fence), j)
}

func (s *streams) postFact(f message.Fact) {
	s.publish(message.Facts, message.Facts, message.FactSubject("hub", f.Kind), f.ID, f)
}

func (s *streams) postEvent(e message.Event) {
	s.publish(message.Events, message.Events, message.EventSubject("hub", e.Connection, e.Kind), e.Key, json.RawMessage(e.CloudEvent()))
}

// repeat puts a second copy of the newest message of every durable on it, past
// the duplicate window: what a publisher that tries again late does.
func (s *streams) repeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.durable {
		all := append(slices.Clone(d.done), d.msgs...)
		if len(all) == 0 {
			continue
		}
		last := all[len(all)-1]
		d.msgs = append(d.msgs, &stored{subject: last.subject, data: last.data})
		d.wake()
	}
}

// forget undoes the acknowledgements of the streams under limits retention, as a
// killed server may.
func (s *streams) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.durable {
		for _, m := range d.done {
			d.msgs = append(d.msgs, &stored{subject: m.subject, data: m.data})
		}
		d.done = nil
		d.wake()
	}
}

// wipe loses everything, as a deleted directory does.
func (s *streams) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.seen)
	for _, d := range s.durable {
		for _, m := range d.msgs {
			m.gone = true
		}
		d.msgs, d.done = nil, nil
		d.wake()
	}
}

// left counts the messages that nobody acknowledged, by durable.
func (s *streams) left() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int64{}
	for name, d := range s.durable {
		if len(d.msgs) > 0 {
			n[name] = int64(len(d.msgs))
		}
	}
	return n
}

// next takes a message for delivery, or says what to wait for.
func (s *streams) next(name string) (m *stored, changed <-chan struct{}, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, now := s.of(name), time.Now()
	wait = time.Hour
	for _, m := range d.msgs {
		if m.at.After(now) {
			wait = min(wait, m.at.Sub(now))
			continue
		}
		m.at = now.Add(s.ackWait[name])
		return m, nil, 0
	}
	return nil, d.changed, wait
}

// read delivers the messages of a durable one after the other until ctx ends.
func (s *streams) read(ctx context.Context, name string, deliver func(*stored)) {
	for ctx.Err() == nil {
		m, changed, wait := s.next(name)
		if m != nil {
			deliver(m)
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

func (s *streams) ack(name string, m *stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.gone {
		return
	}
	m.gone = true
	d := s.of(name)
	d.msgs = slices.DeleteFunc(d.msgs, func(o *stored) bool { return o == m })
	if name == message.Events || name == message.Facts {
		d.done = append(d.done, m)
	}
}

func (s *streams) delay(name string, m *stored, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.gone {
		m.at = time.Now().Add(d)
		s.of(name).wake()
	}
}

func (s *streams) cancel(c message.Cancel) {
	s.mu.Lock()
	var all []*watcher
	for w := range s.control {
		all = append(all, w)
	}
	s.mu.Unlock()
	for _, w := range all {
		w.handle(message.Control{Run: c.Run, Reason: c.Reason})
	}
}

func (s *streams) watch(ctx context.Context, worker string, handle func(message.Control) *message.Replica) {
	w := &watcher{worker, handle}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.control[w] = true
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.control, w)
	})
}

func (s *streams) putDead(d message.DeadLetter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = append(s.dead, d)
}
