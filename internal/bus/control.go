package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"integrationhub/internal/message"
)

// Cancel asks every replica of every worker to stop the jobs of a run; it may be
// lost, and the lease heartbeat says the same.
func (b *Bus) Cancel(c message.Cancel) {
	for _, w := range message.Workers {
		if err := b.out.Publish(message.ControlSubject(b.cfg.Namespace, w), encode(c)); err != nil {
			b.log.Debug("cancel not sent", "run", c.Run, "err", err)
		}
	}
}

// WatchControl calls handle for all that the replicas of a worker are told until
// ctx ends. What handle returns is the answer; nil is none.
func (b *Bus) WatchControl(ctx context.Context, worker string, handle func(message.Control) *message.Replica) error {
	return watch(ctx, b, message.ControlSubject(b.cfg.Namespace, worker), func(m *nats.Msg, c message.Control) {
		answer := handle(c)
		if answer == nil || m.Reply == "" {
			return
		}
		if err := m.Respond(encode(answer)); err != nil {
			b.log.Debug("control not answered", "worker", worker, "err", err)
		}
	})
}

// Nobody knows how many replicas there are, so an answer is waited for as long
// as answerWait, a further one as long as furtherWait, and more than maxReplicas
// are not listened to.
const (
	answerWait  = time.Second
	furtherWait = 500 * time.Millisecond
	maxReplicas = 1000
)

// Replicas lists the replicas that answer within a second or so; one that does
// not is not there, or too busy to say.
func (b *Bus) Replicas(ctx context.Context) ([]message.Replica, error) {
	return b.ask(ctx, message.Control{Ping: true})
}

// Drain tells a replica to take no more work, to finish what it has, and to end
// its process. It returns the workers of that name that answered: several where
// one process holds them, none where there is no such replica.
func (b *Bus) Drain(ctx context.Context, name string) ([]message.Replica, error) {
	return b.ask(ctx, message.Control{Drain: name})
}

func (b *Bus) ask(ctx context.Context, c message.Control) ([]message.Replica, error) {
	// One connection carries the subscription and the question, in that order.
	inbox := b.in.NewInbox()
	sub, err := b.in.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("listen for answers of replicas: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed
	for _, w := range message.Workers {
		if err := b.in.PublishRequest(message.ControlSubject(b.cfg.Namespace, w), inbox, encode(c)); err != nil {
			return nil, fmt.Errorf("ask replicas of %s: %w", w, err)
		}
	}
	if err := b.in.FlushTimeout(requestTimeout); err != nil {
		return nil, fmt.Errorf("ask replicas: %w", err)
	}
	all := []message.Replica{}
	for wait := answerWait; len(all) < maxReplicas; {
		m, err := nextWithin(ctx, sub, wait)
		switch {
		case errors.Is(err, nats.ErrNoResponders): // of one of the workers
			continue
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("listen for answers of replicas: %w", err)
		}
		var r message.Replica
		if err := json.Unmarshal(m.Data, &r); err != nil {
			b.log.Warn("unreadable answer of a replica", "err", err)
			continue
		}
		all, wait = append(all, r), furtherWait
	}
	return all, nil
}

func nextWithin(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}
