package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v4"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
)

// Delivery is one message of a durable. It is acknowledged once, in one of the
// four ways, unless it shall be delivered again after the ack wait: 10 s of jobs, 30 s of events and
// facts.
type Delivery struct {
	Subject string
	Data    []byte
	header  map[string][]string
	msg     Acker
}

// Acker is what a delivery needs of a JetStream message.
type Acker interface {
	Ack() error
	NakWithDelay(time.Duration) error
	InProgress() error
}

// NewDelivery makes a delivery of a message with its headers, which may be nil.
func NewDelivery(subject string, data []byte, header map[string][]string, m Acker) Delivery {
	return Delivery{Subject: subject, Data: data, header: header, msg: m}
}

// Ack says that the message was dealt with.
func (d Delivery) Ack() error { return d.msg.Ack() }

// Nak wants the message again after delay; it holds one of the consumer's 4096
// places meanwhile, so delay is at most two minutes.
func (d Delivery) Nak(delay time.Duration) error { return d.msg.NakWithDelay(delay) }

// InProgress starts the ack wait anew.
func (d Delivery) InProgress() error { return d.msg.InProgress() }

// pullExpiry is short, because a waiting pull is not woken when a paused
// consumer is resumed.
const pullExpiry = 5 * time.Second

// Jobs reads the durable of a worker and priority, at most prefetch messages
// ahead, and calls handle for each, one after the other, until ctx ends; what was
// read ahead then is handed back. Where the server or the consumer is gone it
// waits and tries again.
func (b *Bus) Jobs(ctx context.Context, worker string, p hub.Priority, prefetch int, handle func(Delivery)) {
	b.consume(ctx, message.Jobs, message.Durable(worker, p), prefetch, handle)
}

// Facts reads the fold's durable on the fact stream, like Jobs.
func (b *Bus) Facts(ctx context.Context, prefetch int, handle func(Delivery)) {
	b.consume(ctx, message.Facts, message.Orchestrator, prefetch, handle)
}

// Events reads the fold's durable on the event stream, like Jobs.
func (b *Bus) Events(ctx context.Context, prefetch int, handle func(Delivery)) {
	b.consume(ctx, message.Events, message.Orchestrator, prefetch, handle)
}

func (b *Bus) consume(ctx context.Context, stream, durable string, prefetch int, handle func(Delivery)) {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		err := b.read(ctx, stream, durable, prefetch, func(d Delivery) { wait.Reset(); handle(d) })
		if ctx.Err() != nil {
			return
		}
		b.log.Warn("consumer interrupted", "stream", b.stream(stream), "durable", durable, "err", err)
		if b.cfg.Manage && (errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted)) {
			if err := b.Ensure(ctx); err != nil {
				b.log.Warn("streams not restored", "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// read returns only with an error, or when ctx ends.
func (b *Bus) read(ctx context.Context, stream, durable string, prefetch int, handle func(Delivery)) error {
	look, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cons, err := b.rd.Consumer(look, b.stream(stream), durable)
	if err != nil {
		return fmt.Errorf("look up consumer %s: %w", durable, err)
	}
	msgs, err := cons.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullExpiry/4))
	if err != nil {
		return fmt.Errorf("read consumer %s: %w", durable, err)
	}
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			b.handBack(msgs)
			return fmt.Errorf("next message of %s: %w", durable, err)
		}
		handle(NewDelivery(m.Subject(), m.Data(), m.Headers(), m))
	}
}

// handBack ends a reading. What was read ahead would otherwise be nobody's until
// the ack wait is over. Nothing is handed back before the end of the
// subscription, to which the server would deliver it again.
func (b *Bus) handBack(msgs jetstream.MessagesContext) {
	msgs.Drain()
	var ahead []jetstream.Msg
	for {
		m, err := msgs.Next(jetstream.NextMaxWait(requestTimeout))
		if err != nil {
			break
		}
		ahead = append(ahead, m)
	}
	msgs.Stop()
	for _, m := range ahead {
		if err := m.Nak(); err != nil {
			b.log.Debug("message not handed back; it comes again after the ack wait", "subject", m.Subject(), "err", err)
		}
	}
}

// Job decodes a delivery of the job stream.
func (d Delivery) Job() (message.Job, error) {
	var j message.Job
	if err := json.Unmarshal(d.Data, &j); err != nil {
		return j, fmt.Errorf("decode job on %s: %w", d.Subject, err)
	}
	if !isName(j.ID) || !isName(string(j.Kind)) {
		return j, fmt.Errorf("decode job on %s: id or kind is missing or no name", d.Subject)
	}
	return j, nil
}

// Fact decodes a delivery of the fact stream.
func (d Delivery) Fact() (message.Fact, error) {
	var f message.Fact
	if err := json.Unmarshal(d.Data, &f); err != nil {
		return f, fmt.Errorf("decode fact on %s: %w", d.Subject, err)
	}
	if !isName(f.ID) || !isName(f.Run) {
		return f, fmt.Errorf("decode fact on %s: id or run is missing or no name", d.Subject)
	}
	return f, nil
}

// isName refuses what no row can have as its key: one such message would fail
// every statement that it shares with others.
func isName(s string) bool { return s != "" && !strings.ContainsFunc(s, unicode.IsControl) }

// Event decodes a delivery of the event stream, structured or binary. The
// subject's connection is the one that NATS permissions guard, so data that
// names another one is refused.
func (d Delivery) Event() (message.Event, error) {
	e, err := d.cloudEvent()
	if err != nil {
		return e, err
	}
	t := strings.Split(d.Subject, ".")
	if len(t) != 4 || t[2] != e.Connection || t[3] != string(e.Kind) {
		return e, &message.FieldError{Field: "subject", Problem: fmt.Sprintf("%s does not carry a %s of connection %s; publish on <namespace>.event.%s.%s", d.Subject, e.Kind, e.Connection, e.Connection, e.Kind)}
	}
	if e.Trace == "" {
		e.Trace = message.CheckTrace(first(d.header, traceHeader))
	}
	return e, nil
}

// cePrefix begins the names of the attribute headers in binary mode (NATS
// protocol binding for CloudEvents 1.0, section 3.1.3).
const cePrefix = "ce-"

func (d Delivery) cloudEvent() (message.Event, error) {
	attributes := map[string]string{}
	for name, values := range d.header {
		attr, ok := strings.CutPrefix(strings.ToLower(name), cePrefix)
		if !ok {
			continue
		}
		if _, twice := attributes[attr]; twice || len(values) != 1 {
			return message.Event{}, &message.FieldError{Field: attr, Problem: "appears twice; send it once"}
		}
		v, err := url.PathUnescape(values[0]) // values are percent-encoded, section 3.1.3.2
		if err != nil {
			return message.Event{}, &message.FieldError{Field: attr, Problem: fmt.Sprintf("is not percent-encoded: %v", err)}
		}
		attributes[attr] = v
	}
	if len(attributes) == 0 {
		return message.ParseStructured(d.Data)
	}
	if len(d.Data) > message.MaxEvent {
		return message.Event{}, &message.FieldError{Field: "data", Problem: fmt.Sprintf("has %d bytes; at most %d are taken", len(d.Data), message.MaxEvent)}
	}
	ce := event.New(event.CloudEventsVersionV1)
	if attributes["specversion"] != event.CloudEventsVersionV1 {
		return message.Event{}, &message.FieldError{Field: "specversion", Problem: `is not "1.0"`}
	}
	ce.SetID(attributes["id"])
	ce.SetSource(attributes["source"])
	ce.SetType(attributes["type"])
	if t := attributes["time"]; t != "" {
		at, err := time.Parse(time.RFC3339Nano, t)
		if err != nil {
			return message.Event{}, &message.FieldError{Field: "time", Problem: fmt.Sprintf("%q is not RFC 3339", t)}
		}
		ce.SetTime(at)
	}
	if tp := attributes["traceparent"]; tp != "" {
		ce.SetExtension("traceparent", tp)
	}
	ce.DataEncoded = d.Data
	if t := first(d.header, "Content-Type"); t != "" {
		ce.SetDataContentType(t)
	}
	return message.FromCloudEvent(ce)
}

// first finds a header whatever its case: NATS keeps the case that was sent.
func first(h map[string][]string, name string) string {
	for k, v := range h {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return v[0]
		}
	}
	return ""
}
