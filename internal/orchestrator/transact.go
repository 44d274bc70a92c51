package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/fact"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/run"
)

// folding is one transaction of the fold under way.
type folding struct {
	o       *Orchestrator
	now     time.Time
	batch   store.Batch
	states  map[string]flow.State
	changed map[string]bool
	jobs    []message.Job // new ones
	touched []string      // connections on which jobs ended
	res     result
}

// transact folds what nobody folded yet. It locks in one order: runs by id, then
// connections.
func (o *Orchestrator) transact(ctx context.Context, tx store.DB, ins []input) (result, error) {
	fresh, err := o.take(ctx, tx, ins)
	if err != nil {
		return result{}, err
	}
	f := &folding{o: o, now: time.Now().UTC(), changed: map[string]bool{}}
	if f.states, err = o.lock(ctx, tx, ins, fresh); err != nil {
		return result{}, err
	}
	for _, in := range ins {
		if fresh[in.key()] {
			delete(fresh, in.key()) // the same message twice in one batch
			f.fold(in)
		}
	}
	hold, release, err := job.Admit(ctx, tx, o.cfg.limits(), f.jobs, f.touched)
	if err != nil {
		return result{}, fmt.Errorf("admit %d jobs: %w", len(f.jobs), err)
	}
	for _, id := range slices.Sorted(maps.Keys(f.changed)) {
		save(&f.batch, f.states[id])
	}
	job.Insert(&f.batch, f.jobs, hold)
	f.res.publish = release
	for _, j := range f.jobs {
		if !hold[j.ID] {
			f.res.publish = append(f.res.publish, j)
		}
	}
	return f.res, f.batch.Run(ctx, tx)
}

func (f *folding) fold(in input) {
	id := flow.RunOf(in.msg)
	was := f.states[id]
	next, effects, err := flow.Next(was, in.msg, f.now)
	if err != nil {
		f.o.log.Error("message cannot be folded", "message", in.key(), "err", err)
		dead.Insert(&f.batch, letter(in, err))
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
			f.jobs = append(f.jobs, e.Job)
			if e.Job.Origin != "" {
				dead.Requeued(&f.batch, e.Job.Origin)
			}
		case flow.CancelJobs:
			f.cancel(e)
		case flow.Wake:
			fact.InsertAt(&f.batch, e.Fact, e.At.Add(-unfolded)) // the sweep looks that long behind
		}
	}
}

func (f *folding) cancel(e flow.CancelJobs) {
	f.jobs = slices.DeleteFunc(f.jobs, func(j message.Job) bool { return j.Run == e.Run }) // made in this very fold
	f.touched = append(f.touched, f.states[e.Run].Connection)
	job.CancelRun(&f.batch, e.Run, e.Reason)
	f.res.cancels = append(f.res.cancels, message.Cancel{Run: e.Run, Reason: e.Reason})
}

// take returns the keys of the messages that nobody folded yet, and makes them
// folded. Events that came straight over NATS get their row here.
func (o *Orchestrator) take(ctx context.Context, tx store.DB, ins []input) (map[string]bool, error) {
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
	fresh := map[string]bool{}
	if len(direct) > 0 {
		if _, err := event.Insert(ctx, tx, direct); err != nil {
			return nil, err
		}
	}
	if len(events) > 0 {
		keys, err := event.Take(ctx, tx, events)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			fresh[k] = true
		}
	}
	if len(facts) > 0 {
		ids, err := fact.Take(ctx, tx, facts)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			fresh[id] = true
		}
	}
	return fresh, nil
}

// lock reads the runs that the fresh messages are about, and those that a push
// among them may supersede.
func (o *Orchestrator) lock(ctx context.Context, tx store.DB, ins []input, fresh map[string]bool) (map[string]flow.State, error) {
	var ids, connections, repositories, refs []string
	for _, in := range ins {
		if !fresh[in.key()] {
			continue
		}
		ids = append(ids, flow.RunOf(in.msg))
		if e, ok := in.msg.(*message.Event); ok && e.Kind == message.Push && o.cfg.Supersede {
			if b, err := message.Decode[message.PushBody](e.Kind, e.Body); err == nil {
				connections, repositories, refs = append(connections, b.Connection), append(repositories, b.Repository), append(refs, b.Ref)
			}
		}
	}
	if len(refs) > 0 {
		older, err := run.Open(ctx, tx, connections, repositories, refs)
		if err != nil {
			return nil, fmt.Errorf("look for older runs: %w", err)
		}
		ids = append(ids, older...)
	}
	slices.Sort(ids)
	raw, err := run.Lock(ctx, tx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	states := make(map[string]flow.State, len(raw))
	for id, r := range raw {
		var s flow.State
		if err := json.Unmarshal(r, &s); err != nil {
			return nil, fmt.Errorf("decode state of run %s: %w", id, err)
		}
		states[id] = s
	}
	return states, nil
}

func save(b *store.Batch, s flow.State) {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("encode state of run %s: %v", s.ID, err)) // a flow.State always can be
	}
	r := run.Run{
		ID: s.ID, Connection: s.Connection, Repository: s.Repository, Ref: s.Ref, Commit: s.Commit, Strategy: s.Strategy,
		Priority: s.Priority, Status: s.Status, Reason: s.Reason, Trace: s.Trace, CreatedAt: s.CreatedAt,
	}
	if !s.FinishedAt.IsZero() {
		r.FinishedAt = &s.FinishedAt
	}
	run.Save(b, r, raw)
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
		d.Subject = in.delivery.Subject
	}
	return d
}
