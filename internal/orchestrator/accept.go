package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"integrationhub/internal/batch"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/event"
)

// ErrBusy says that events come in faster than they are folded.
var ErrBusy = errors.New("more than half of the event stream is not folded yet")

// accepting is an event on its way in.
type accepting struct {
	event message.Event
	fresh bool
}

// Accept makes an event durable: first in the ledger, then on the stream. It
// returns once both have it, and false where the event was known already.
// Events that come at the same time share their commit.
func (o *Orchestrator) Accept(ctx context.Context, e message.Event) (fresh bool, err error) {
	if o.full.Load() {
		return false, ErrBusy
	}
	a := &accepting{event: e}
	err = o.doors.Do(ctx, a)
	if errors.Is(err, batch.ErrFull) {
		return false, ErrBusy
	}
	if err != nil {
		return false, err
	}
	return a.fresh, nil
}

// accept stores events together, and one by one when Postgres refuses them.
func (o *Orchestrator) accept(in []*accepting) []error {
	ctx, cancel := context.WithTimeout(context.Background(), foldTimeout)
	defer cancel()
	events := make([]message.Event, len(in))
	for i, a := range in {
		events[i] = a.event
	}
	keys, err := event.Insert(ctx, o.store.DB(), events)
	if err != nil && len(in) > 1 && store.Rejected(err) {
		var errs []error
		for i := range in {
			errs = append(errs, o.accept(in[i:i+1])...)
		}
		return errs
	}
	if err != nil {
		return slices.Repeat([]error{fmt.Errorf("store %d events: %w", len(in), err)}, len(in))
	}
	for _, a := range in {
		if i := slices.Index(keys, a.event.Key); i >= 0 {
			a.fresh = true
			keys[i] = "" // of an event that came twice in one batch, one is new
		}
	}
	return o.bus.PublishEvents(ctx, events)
}

// findStrangers finds the events that a door would have refused. What the ledger
// has came through a door, which has looked.
func (o *Orchestrator) findStrangers(ctx context.Context, events []message.Event) (map[string]error, error) {
	slugs := make([]string, len(events))
	for i, e := range events {
		slugs[i] = e.Connection
	}
	sources, err := connection.Sources(ctx, o.store, slugs)
	if err != nil {
		return nil, err
	}
	refused := map[string]error{}
	for _, e := range events {
		if source, exists := sources[e.Connection]; !exists {
			refused[e.Key] = &message.FieldError{Field: "data.connection", Problem: fmt.Sprintf("%q does not exist; create it with PUT /api/v1/connections/%s", e.Connection, e.Connection)}
		} else if !strings.HasPrefix(e.Source, source) {
			refused[e.Key] = &message.FieldError{Field: "source", Problem: fmt.Sprintf("%q may not speak for connection %s, whose events begin with %q", e.Source, e.Connection, source)}
		}
	}
	if len(refused) == 0 {
		return nil, nil
	}
	known, err := event.Known(ctx, o.store, slices.Collect(maps.Keys(refused)))
	for _, key := range known {
		delete(refused, key)
	}
	return refused, err
}

// lookAtBacklog notes whether the doors must be closed.
func (o *Orchestrator) lookAtBacklog(ctx context.Context) error {
	full, err := o.bus.EventBacklog(ctx)
	if err != nil {
		return err
	}
	if was := o.full.Swap(full > 0.5); !was && full > 0.5 {
		o.log.Error("more than half of the event stream is not folded yet; the doors are closed until it is", "share", full)
	}
	return nil
}
