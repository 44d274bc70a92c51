package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/message"
)

// traceHeader carries the W3C traceparent.
const traceHeader = "traceparent"

// PublishEvents puts events on the event stream and returns once the server has
// them on disk, with one error for each. A repeated event is dropped by its id.
func (b *Bus) PublishEvents(ctx context.Context, events []message.Event) []error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	errs := make([]error, len(events))
	acks := make([]jetstream.PubAckFuture, len(events))
	for i, e := range events {
		m := msg(message.EventSubject(b.cfg.Namespace, e.Connection, e.Kind), e.Key, e.Trace, e.CloudEvent())
		m.Header.Set("Content-Type", "application/cloudevents+json")
		acks[i], errs[i] = b.js.PublishMsgAsync(m, jetstream.WithStallWait(requestTimeout))
	}
	for i, ack := range acks {
		if errs[i] == nil {
			select {
			case <-ack.Ok():
			case errs[i] = <-ack.Err():
			case <-ctx.Done():
				errs[i] = ctx.Err()
			}
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("publish event %s: %w", events[i].Key, errs[i])
		}
	}
	return errs
}

// PostJobs publishes jobs without waiting; TakeLost names those that the server
// did not confirm.
func (b *Bus) PostJobs(jobs []message.Job) {
	for _, j := range jobs {
		b.post(msg(message.JobSubject(b.cfg.Namespace, j.Kind, j.Priority), fmt.Sprintf("%s.%d", j.ID, j.Fence), j.Trace, encode(j)))
	}
}

// PostFacts publishes facts without waiting. One that is lost is folded from
// its row by the sweep.
func (b *Bus) PostFacts(facts []message.Fact) {
	for _, f := range facts {
		b.post(msg(message.FactSubject(b.cfg.Namespace, f.Kind), f.ID, f.Trace, encode(f)))
	}
}

// PostDead publishes the copy of a dead letter without waiting.
func (b *Bus) PostDead(worker string, d message.DeadLetter) {
	b.post(msg(message.DeadSubject(b.cfg.Namespace, worker), d.ID, "", encode(d)))
}

// posting is a publication on its way to the relay, or, without a message, a
// mark whose channel is closed when everything before it was sent.
type posting struct {
	msg  *nats.Msg
	mark chan struct{}
}

// maxPosted caps the publications that wait for the relay.
const maxPosted = 8192

// post hands m to the relay, so that whoever committed need not wait for the
// server; it waits only while the relay is full.
func (b *Bus) post(m *nats.Msg) {
	select {
	case b.posted <- posting{msg: m}:
		return
	default:
	}
	full := time.NewTimer(requestTimeout)
	defer full.Stop()
	select {
	case b.posted <- posting{msg: m}:
	case <-b.closing:
		b.notConfirmed(m, nats.ErrConnectionClosed)
	case <-full.C:
		b.notConfirmed(m, errRelayFull)
	}
}

var errRelayFull = errors.New("the relay is full; the server does not keep up")

// relay publishes what was posted, in order, until the bus is closed; what was
// posted before that is still sent.
func (b *Bus) relay() {
	for {
		select {
		case p := <-b.posted:
			b.send(p)
		case <-b.closing:
			for {
				select {
				case p := <-b.posted:
					b.send(p)
				default:
					return
				}
			}
		}
	}
}

func (b *Bus) send(p posting) {
	if p.mark != nil {
		close(p.mark)
		return
	}
	if _, err := b.js.PublishMsgAsync(p.msg, jetstream.WithStallWait(requestTimeout)); err != nil {
		b.notConfirmed(p.msg, err)
	}
}

// Progress tells whoever watches; it may be lost.
func (b *Bus) Progress(p message.Progress) {
	if err := b.out.Publish(message.ProgressSubject(b.cfg.Namespace, p.Run), encode(p)); err != nil {
		b.log.Debug("progress not sent", "run", p.Run, "err", err)
	}
}

// WatchProgress calls handle for every progress message of a run until ctx ends.
func (b *Bus) WatchProgress(ctx context.Context, run string, handle func(message.Progress)) error {
	return watch(ctx, b, message.ProgressSubject(b.cfg.Namespace, run), func(_ *nats.Msg, p message.Progress) { handle(p) })
}

func watch[T any](ctx context.Context, b *Bus, subject string, handle func(*nats.Msg, T)) error {
	sub, err := b.in.Subscribe(subject, func(m *nats.Msg) {
		var v T
		if err := json.Unmarshal(m.Data, &v); err != nil {
			b.log.Warn("unreadable message", "subject", m.Subject, "err", err)
			return
		}
		handle(m, v)
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return b.in.FlushTimeout(requestTimeout)
}

func msg(subject, id, trace string, body []byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{}}
	m.Header.Set(jetstream.MsgIDHeader, id)
	if trace != "" {
		m.Header[traceHeader] = []string{trace}
	}
	return m
}

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // message types always can be
	}
	return raw
}

// Flush waits until every publication so far is confirmed or given up.
func (b *Bus) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	sent := make(chan struct{})
	select {
	case b.posted <- posting{mark: sent}:
	case <-ctx.Done():
		return fmt.Errorf("flush publications: %w", ctx.Err())
	}
	select {
	case <-sent:
	case <-ctx.Done():
		return fmt.Errorf("flush publications: %w", ctx.Err())
	}
	select {
	case <-b.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush publications: %w", ctx.Err())
	}
}
