package model

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store/job"
)

// runRow is a run as the ledger keeps it: encoded, like every row.
type runRow []byte

func (r runRow) state() flow.State {
	var s flow.State
	if err := json.Unmarshal(r, &s); err != nil {
		panic(err)
	}
	return s
}

// states decodes every run.
func (l *ledger) states() map[string]flow.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]flow.State{}
	for id, r := range l.runs {
		out[id] = r.state()
	}
	return out
}

// Accept stores an event; one of the same key stays as it is.
func (l *ledger) Accept(e message.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accept(e)
}

func (l *ledger) accept(e message.Event) {
	if l.events[e.Key] == nil {
		l.events[e.Key] = &eventRow{Event: e, accepted: l.now()}
	}
}

// Unfolded implements orchestrator.Books, like the methods below.
func (l *ledger) Unfolded(_ context.Context, age time.Duration, limit int) ([]message.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []message.Message
	before := l.now().Add(-age)
	for _, k := range slices.Sorted(maps.Keys(l.events)) {
		if e := l.events[k]; !e.folded && e.accepted.Before(before) {
			copied := e.Event
			out = append(out, &copied)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.facts)) {
		if f := l.facts[k]; f.due.Before(before) {
			out = append(out, &f.Fact)
		}
	}
	return out[:min(len(out), limit)], nil
}

func (l *ledger) HeldConnections(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := map[string]bool{}
	for id, o := range l.open {
		if o.held {
			held[l.jobs[id].Connection] = true
		}
	}
	return slices.Sorted(maps.Keys(held)), nil
}

// Fold holds the ledger for the whole transaction: f must not wait.
func (l *ledger) Fold(_ context.Context, f func(orchestrator.Page) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &page{ledger: l}
	if err := f(p); err != nil {
		return err
	}
	for _, write := range p.writes {
		write()
	}
	return nil
}

// page keeps what it is told to write until the transaction is committed.
type page struct {
	*ledger
	writes []func()
}

func (p *page) Take(_ context.Context, direct []message.Event, events, facts []string) (fresh []string, err error) {
	known := map[string]bool{}
	for _, e := range direct {
		known[e.Key] = true
		p.writes = append(p.writes, func() { p.accept(e) })
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(events))) {
		if e := p.events[k]; e == nil && known[k] || e != nil && !e.folded {
			fresh = append(fresh, k)
			p.writes = append(p.writes, func() { p.events[k].folded = true })
		}
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(facts))) {
		if _, there := p.facts[id]; there {
			fresh = append(fresh, id)
			p.writes = append(p.writes, func() { delete(p.facts, id) })
		}
	}
	return fresh, nil
}

func (p *page) Lock(_ context.Context, runs []string, branches []orchestrator.Branch) (map[string]flow.State, error) {
	out := map[string]flow.State{}
	for id, r := range p.runs {
		s := r.state()
		moved := s.FinishedAt.IsZero() && slices.Contains(branches, orchestrator.Branch{Connection: s.Connection, Repository: s.Repository, Ref: s.Ref})
		if moved || slices.Contains(runs, id) {
			out[id] = s
		}
	}
	return out, nil
}

// Admit gives out slots in order of priority and age, the held ones first.
func (p *page) Admit(_ context.Context, limits job.Limits, fresh []message.Job, ended []string) (map[string]bool, []message.Job, error) {
	conns := slices.Clone(ended)
	for _, j := range fresh {
		conns = append(conns, j.Connection)
	}
	busy := slots{limits: limits, jobs: map[string]int{}}
	var queue []message.Job
	for id, o := range p.open {
		j := p.jobs[id]
		switch {
		case !o.held:
			busy.take(j)
		case slices.Contains(conns, j.Connection):
			queue = append(queue, j)
		}
	}
	rank := func(j message.Job) int { return slices.Index(hub.Priorities, j.Priority) }
	slices.SortFunc(queue, func(x, y message.Job) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(p.open[x.ID].seq, p.open[y.ID].seq))
	})
	var release []message.Job
	for _, j := range queue {
		if !busy.full(j) {
			busy.take(j)
			o := p.open[j.ID]
			j.Fence = o.fence + 1
			release = append(release, j)
			p.writes = append(p.writes, func() { o.held, o.published, o.sent, o.fence = false, true, p.now(), o.fence+1 })
		}
	}
	hold := map[string]bool{}
	for _, j := range slices.SortedStableFunc(slices.Values(fresh), func(x, y message.Job) int { return cmp.Compare(rank(x), rank(y)) }) {
		if busy.full(j) {
			hold[j.ID] = true
			continue
		}
		busy.take(j)
	}
	return hold, release, nil
}

// slots counts the jobs that are on their subjects or running.
type slots struct {
	limits job.Limits
	jobs   map[string]int // by connection, by repository, and by branch of deployments
}

func (s slots) take(j message.Job) {
	s.jobs[j.Connection]++
	s.jobs[j.Connection+" "+j.Repository]++
	if j.Branch != "" {
		s.jobs[j.Connection+" "+j.Repository+" "+j.Branch]++
	}
}

func (s slots) full(j message.Job) bool {
	return s.limits.Connection > 0 && s.jobs[j.Connection] >= s.limits.Connection ||
		s.limits.Repository > 0 && s.jobs[j.Connection+" "+j.Repository] >= s.limits.Repository ||
		j.Branch != "" && s.jobs[j.Connection+" "+j.Repository+" "+j.Branch] > 0
}

func (p *page) Write(_ context.Context, e orchestrator.Entries) error {
	for _, j := range e.Jobs {
		if _, there := p.jobs[j.ID]; there {
			return errDuplicate("job")
		}
	}
	for _, w := range e.Wakes {
		if _, there := p.facts[w.Fact.ID]; there {
			return errDuplicate("fact")
		}
	}
	p.writes = append(p.writes, func() {
		for _, d := range e.Letters {
			p.letters[d.ID] = d
		}
		for _, c := range e.Cancels {
			p.cancelRun(c.Run, c.Reason)
		}
		for _, w := range e.Wakes {
			p.facts[w.Fact.ID] = factRow{w.Fact, w.At}
		}
		for _, s := range e.Runs {
			raw, err := json.Marshal(s)
			if err != nil {
				panic(err)
			}
			p.runs[s.ID] = raw
		}
		if err := p.insert(e.Jobs, e.Hold); err != nil {
			panic(err) // looked at above
		}
	})
	return nil
}
