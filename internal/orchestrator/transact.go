package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
)

// folding is one transaction of the fold under way.
type folding struct {
	o       *Fold
	now     time.Time
	states  map[string]flow.State
	changed map[string]bool
	touched []string // connections on which jobs ended
	entries Entries
	res     result
}

// transact folds what nobody folded yet. It locks in one order: runs by id, then
// connections.
func (o *Fold) transact(ctx context.Context, p Page, ins []input) (result, error) {
	fresh, err := take(ctx, p, ins)
	if err != nil {
		return result{}, err
	}
	f := &folding{o: o, now: time.Now().UTC(), changed: map[string]bool{}}
	if f.states, err = o.lock(ctx, p, ins, fresh); err != nil {
		return result{}, err
	}
	for _, in := range ins {
		if fresh[in.key()] {
			delete(fresh, in.key()) // the same message twice in one batch
			f.fold(in)
		}
	}
	e := &f.entries
	if e.Hold, f.res.publish, err = p.Admit(ctx, o.cfg.limits(), e.Jobs, f.touched); err != nil {
		return result{}, fmt.Errorf("admit %d jobs: %w", len(e.Jobs), err)
	}
	for _, id := range slices.Sorted(maps.Keys(f.changed)) {
		e.Runs = append(e.Runs, f.states[id])
	}
	for _, j := range e.Jobs {
		if !e.Hold[j.ID] {
			f.res.publish = append(f.res.publish, j)
		}
	}
	return f.res, p.Write(ctx, *e)
}

func (f *folding) fold(in input) {
	id := flow.RunOf(in.msg)
	was := f.states[id]
	next, effects, err := flow.Next(was, in.msg, f.now)
	if err != nil {
		f.o.log.Error("message cannot be folded", "message", in.key(), "err", err)
		f.entries.Letters = append(f.entries.Letters, letter(in, err))
		return
	}
	if next.ID == "" {
		return // it addresses a run that does not exist
	}
	if _, isFact := in.msg.(*message.Fact); isFact {
		f.touched = append(f.touched, next.Connection)
	}
	f.put(was, next, effects)
	if e, ok := in.msg.(*message.Event); ok && e.Kind == message.Push && was.ID == "" && f.o.cfg.Supersede {
		f.supersede(next)
	}
}

// supersede cancels the older runs of the branch that a push has moved.
func (f *folding) supersede(by flow.State) {
	for id, was := range f.states {
		if was.Connection == by.Connection && was.Repository == by.Repository && was.Ref == by.Ref {
			if next, effects := flow.Supersede(was, by.ID, f.now); len(effects) > 0 {
				f.put(f.states[id], next, effects)
			}
		}
	}
}

func (f *folding) put(was, next flow.State, effects []flow.Effect) {
	f.states[next.ID], f.changed[next.ID] = next, true
	if next.Status.Terminal() && !was.Status.Terminal() {
		f.res.ended = append(f.res.ended, next)
	}
	for _, e := range effects {
		switch e := e.(type) {
		case flow.Enqueue:
			f.entries.Jobs = append(f.entries.Jobs, e.Job)
			if e.Job.Origin != "" {
				f.entries.Requeued = append(f.entries.Requeued, e.Job.Origin)
			}
		case flow.CancelJobs:
			f.cancel(e)
		case flow.Wake:
			e.At = e.At.Add(-unfolded) // the sweep looks that long behind
			f.entries.Wakes = append(f.entries.Wakes, e)
		}
	}
}

func (f *folding) cancel(e flow.CancelJobs) {
	f.entries.Jobs = slices.DeleteFunc(f.entries.Jobs, func(j message.Job) bool { return j.Run == e.Run }) // made in this very fold
	f.touched = append(f.touched, f.states[e.Run].Connection)
	f.entries.Cancels = append(f.entries.Cancels, e)
	f.res.cancels = append(f.res.cancels, message.Cancel{Run: e.Run, Reason: e.Reason})
}

// take returns the keys of the messages that nobody folded yet, and makes them
// folded.
func take(ctx context.Context, p Page, ins []input) (map[string]bool, error) {
	var direct []message.Event
	var events, facts []string
	for _, in := range ins {
		switch m := in.msg.(type) {
		case *message.Event:
			events = append(events, m.Key)
			if in.delivery != nil {
				direct = append(direct, *m)
			}
		case *message.Fact:
			facts = append(facts, m.ID)
		}
	}
	keys, err := p.Take(ctx, direct, events, facts)
	fresh := make(map[string]bool, len(keys))
	for _, k := range keys {
		fresh[k] = true
	}
	return fresh, err
}

// lock reads the runs that the fresh messages are about, and those that a push
// among them may supersede.
func (o *Fold) lock(ctx context.Context, p Page, ins []input, fresh map[string]bool) (map[string]flow.State, error) {
	var ids []string
	var moved []Branch
	for _, in := range ins {
		if !fresh[in.key()] {
			continue
		}
		ids = append(ids, flow.RunOf(in.msg))
		if e, ok := in.msg.(*message.Event); ok && e.Kind == message.Push && o.cfg.Supersede {
			if b, err := message.Decode[message.PushBody](e.Kind, e.Body); err == nil {
				moved = append(moved, Branch{b.Connection, b.Repository, b.Ref})
			}
		}
	}
	return p.Lock(ctx, ids, moved)
}

func letter(in input, err error) message.DeadLetter {
	d := message.DeadLetter{ID: "fold." + in.key(), Run: flow.RunOf(in.msg), Cause: hub.CleanText(err.Error()), At: time.Now().UTC()}
	switch m := in.msg.(type) {
	case *message.Event:
		d.Kind, d.Body = m.Kind, m.CloudEvent()
	case *message.Fact:
		d.Kind, d.Body = m.Kind, m.Body
	}
	if in.delivery != nil {
		d.Subject = hub.CleanText(in.delivery.Subject)
	}
	return d
}
