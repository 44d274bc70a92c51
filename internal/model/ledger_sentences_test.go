package model

import (
	"context"
	"errors"
	"slices"
	"time"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
)

// ledgerContract is what a ledger owes to work and to the fold.
var ledgerContract = []struct {
	sentence string
	prove    func(*books)
}{
	{"a job that waits is claimed by one worker", func(b *books) {
		j, k := newJob(1), newJob(2)
		b.insert(j, k)
		if c := b.claim(j); c[0] != (job.Claim{ID: j.ID, Attempt: 1, Fence: 1}) {
			b.Errorf("claim %+v", c[0])
		}
		b.claimOf([]message.Job{j, k, newJob(3)}, []message.Job{k})
		b.refuseClaim(j, k)
	}},
	{"the same job cannot be there twice", func(b *books) {
		b.insert(newJob(1))
		err := b.fold.Fold(b.Context(), func(p orchestrator.Page) error {
			return p.Write(b.Context(), orchestrator.Entries{Jobs: []message.Job{newJob(2), newJob(1)}})
		})
		if !store.Rejected(err) {
			b.Errorf("error %v", err)
		}
		b.refuseClaim(newJob(2))
	}},
	{"the end of a job, its rows and its facts are one, and happen once", func(b *books) {
		j := newJob(1)
		b.insert(j)
		c := b.claim(j)[0]
		got := b.finish(b.done(c, j))[0]
		if !got.Won || got.Err != nil || len(got.Facts) != 1 || got.Facts[0].ID != factID(j) {
			b.Errorf("ended %+v", got)
		}
		if again := b.finish(b.done(c, j))[0]; again.Won || again.Err != nil {
			b.Errorf("ended again: %+v", again)
		}
		if n := b.rows(j.ID); n != 1 {
			b.Errorf("%d rows", n)
		}
		b.want("facts", b.take(nil, nil, []string{factID(j), "none"}), []string{factID(j)})
		b.want("facts folded again", b.take(nil, nil, []string{factID(j)}), nil)
		b.refuseClaim(j)
	}},
	{"a stale fence writes nothing", func(b *books) {
		j := newJob(1)
		b.insert(j)
		old := b.claim(j)[0]
		b.again("expired within the lease", b.fold.Expired)
		b.advance(31 * time.Second)
		sent := b.again("expired", b.fold.Expired, j)
		c := b.claim(j)[0]
		if !(old.Fence < sent[0].Fence && sent[0].Fence < c.Fence) || c.Attempt != 2 {
			b.Errorf("first %+v, sent again with %d, then %+v", old, sent[0].Fence, c)
		}
		if late := b.finish(b.done(old, j))[0]; late.Won || b.rows(j.ID) != 0 {
			b.Errorf("the old claim wrote: %+v, %d rows", late, b.rows(j.ID))
		}
		if got := b.finish(b.done(c, j))[0]; !got.Won || b.rows(j.ID) != 1 {
			b.Errorf("the new claim: %+v, %d rows", got, b.rows(j.ID))
		}
	}},
	{"a refused statement leaves nothing, and does not hold up the others", func(b *books) {
		j, k := newJob(1), newJob(2)
		b.insert(j, k)
		c := b.claim(j, k)
		bad := b.done(c[0], j)
		bad.Commit = func(tx *store.Batch) []message.Fact {
			b.row(tx, j.ID)
			b.refused(tx)
			return []message.Fact{message.NewFact(j, message.SnapshotFetchedBody{})}
		}
		got := b.finish(bad, b.done(c[1], k))
		if got[0].Won || got[0].Err == nil || !got[1].Won {
			b.Errorf("ended %+v", got)
		}
		b.want("facts", b.take(nil, nil, []string{factID(j), factID(k)}), []string{factID(k)})
		if b.rows(j.ID) != 0 || b.rows(k.ID) != 1 {
			b.Errorf("%d and %d rows", b.rows(j.ID), b.rows(k.ID))
		}
		if got := b.finish(b.done(c[0], j))[0]; !got.Won {
			b.Error("the claim was lost with the refusal")
		}
	}},
	{"a retry waits for its time and counts, a later does not count", func(b *books) {
		j := newJob(1)
		b.insert(j)
		b.finish(job.End{Claim: b.claim(j)[0], Outcome: job.Later, Delay: time.Minute})
		b.refuseClaim(j)
		b.advance(59 * time.Second) // two clocks: a moment early is in time
		c := b.claim(j)[0]
		if c.Attempt != 1 || c.Fence != 2 {
			b.Errorf("after a later: %+v", c)
		}
		b.finish(job.End{Claim: c, Outcome: job.Retry, Delay: 0})
		if c = b.claim(j)[0]; c.Attempt != 2 || c.Fence != 3 {
			b.Errorf("after a retry: %+v", c)
		}
	}},
	{"a long wait is sent again when it is over, a short one when it is overdue", func(b *books) {
		long, short := newJob(1), newJob(2)
		b.insert(long, short)
		c := b.claim(long, short)
		b.finish(job.End{Claim: c[0], Outcome: job.Retry, Delay: job.MaxNak + time.Second}, job.End{Claim: c[1], Outcome: job.Retry, Delay: job.MaxNak})
		b.again("due at once", b.fold.Due)
		b.advance(job.MaxNak + 2*time.Second)
		b.again("due", b.fold.Due, long)
		b.advance(10 * time.Second)
		b.again("overdue", b.fold.Due, short)
		b.again("due once more", b.fold.Due)
		b.claim(long, short)
	}},
	{"a lease is renewed while the claim holds, and a worker hears what must stop", func(b *books) {
		j, k := newJob(1), newJob(2)
		b.insert(j, k)
		c := b.claim(j, k)
		b.advance(20 * time.Second)
		lost := c[1]
		lost.Fence--
		stop, err := b.work.Renew(b.Context(), []job.Claim{c[0], lost}, 30*time.Second)
		if reason, told := stop[k.ID]; err != nil || len(stop) != 1 || !told || reason != "" {
			b.Errorf("stop %v, %v", stop, err)
		}
		b.advance(11 * time.Second)
		b.again("expired", b.fold.Expired, k)
		b.write(orchestrator.Entries{Cancels: []flow.CancelJobs{{Run: j.Run, Reason: "enough"}}})
		if stop, err := b.work.Renew(b.Context(), c[:1], 30*time.Second); err != nil || stop[j.ID] != "enough" {
			b.Errorf("stop %v, %v", stop, err)
		}
	}},
	{"a cancel ends what waits, and keeps what runs from coming back", func(b *books) {
		waits, runs, dies, other := newJob(1), newJob(2), newJob(3), newJob(4)
		runs.Run, dies.Run = waits.Run, waits.Run
		b.insert(waits, runs, dies, other)
		c := b.claim(runs, dies)
		b.write(orchestrator.Entries{Cancels: []flow.CancelJobs{{Run: waits.Run, Reason: "enough"}}})
		b.refuseClaim(waits)
		if got := b.finish(job.End{Claim: c[0], Outcome: job.Retry})[0]; !got.Won {
			b.Errorf("ended %+v", got)
		}
		b.advance(31 * time.Second)
		b.again("expired", b.fold.Expired)
		b.claimOf([]message.Job{waits, runs, dies, other}, []message.Job{other})
	}},
	{"a job that was not confirmed is sent again at once", func(b *books) {
		j, k := newJob(1), newJob(2)
		b.insert(j, k)
		b.claim(k)
		if err := b.fold.Unpublished(b.Context(), ids([]message.Job{j, k})); err != nil {
			b.Fatal(err)
		}
		b.again("due", b.fold.Due, j)
		b.again("due once more", b.fold.Due)
	}},
	{"jobs that wait on the stream are counted, and sent again when it has lost them", func(b *books) {
		j, k, busy := newJob(1), newJob(2), newJob(3)
		k.Priority = hub.Low
		b.insert(j, k, busy)
		b.claim(busy)
		nobody := newJob(4)
		nobody.Kind = message.Prepare
		b.insert(nobody)
		b.claim(nobody)
		missing := func(ctx context.Context) ([]message.Job, error) {
			return b.fold.Missing(ctx, "connector-high", 5*time.Second)
		}
		b.again("missing at once", missing)
		b.advance(6 * time.Second)
		n, err := b.fold.Waiting(b.Context(), 5*time.Second)
		if err != nil || len(n) != 2 || n["connector-high"] != 2 || n["connector-low"] != 1 {
			b.Errorf("waiting %v, %v", n, err)
		}
		if sent := b.again("missing", missing, j); sent[0].Fence != 1 {
			b.Errorf("sent again with fence %d", sent[0].Fence)
		}
	}},
	{"an event is folded once, whichever way it came", func(b *books) {
		e, f := event(1), event(2)
		keys := []string{e.Key, f.Key}
		b.want("unknown events", b.take(nil, keys, nil), nil)
		b.want("one of them direct", b.take([]message.Event{e}, keys, nil), []string{e.Key})
		b.want("again", b.take([]message.Event{e}, keys, nil), nil)
	}},
	{"a fold that fails has not happened", func(b *books) {
		j, e := newJob(1), event(1)
		b.insert(j)
		b.finish(b.done(b.claim(j)[0], j))
		failed := errors.New("failed")
		err := b.fold.Fold(b.Context(), func(p orchestrator.Page) error {
			if _, err := p.Take(b.Context(), []message.Event{e}, []string{e.Key}, []string{factID(j)}); err != nil {
				return err
			}
			if err := p.Write(b.Context(), orchestrator.Entries{Jobs: []message.Job{newJob(2)}, Runs: []flow.State{state(j, "main")}}); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			b.Errorf("error %v", err)
		}
		b.refuseClaim(newJob(2))
		b.want("events and facts", b.take([]message.Event{e}, []string{e.Key}, []string{factID(j)}), slices.Sorted(slices.Values([]string{e.Key, factID(j)})))
	}},
	{"what was not folded in time is found, a wake at its time", func(b *books) {
		j, k := newJob(1), newJob(2)
		b.insert(j)
		b.finish(b.done(b.claim(j)[0], j))
		wake := message.NewFact(k, message.TimeReachedBody{})
		b.write(orchestrator.Entries{Wakes: []flow.Wake{{At: time.Now().Add(time.Hour), Fact: wake}}})
		unfolded := func() []string {
			all, err := b.fold.Unfolded(b.Context(), 2*time.Second, 100)
			if err != nil {
				b.Fatal(err)
			}
			var keys []string
			for _, m := range all {
				keys = append(keys, m.(*message.Fact).ID)
			}
			return keys
		}
		b.want("at once", unfolded(), nil)
		b.advance(3 * time.Second)
		b.want("after 3 s", unfolded(), []string{factID(j)})
		b.take(nil, nil, []string{factID(j)})
		b.advance(time.Hour)
		b.want("after an hour", unfolded(), []string{wake.ID})
	}},
	{"runs are read by id and by branch, ended ones only by id", func(b *books) {
		j, k, other := newJob(1), newJob(2), newJob(3)
		ended := state(k, "main")
		ended.Status, ended.FinishedAt = hub.RunCompleted, time.Now().UTC()
		b.write(orchestrator.Entries{Runs: []flow.State{state(j, "main"), ended, state(other, "side")}})
		if err := b.fold.Fold(b.Context(), func(p orchestrator.Page) error {
			main := orchestrator.Branch{Connection: connection, Repository: j.Repository, Ref: "main"}
			b.want("by branch", b.states(p, nil, main), []string{j.Run})
			b.want("by id", b.states(p, []string{k.Run, "none"}), []string{k.Run})
			got, err := p.Lock(b.Context(), []string{j.Run}, nil)
			if got[j.Run].Ref != "main" || got[j.Run].Status != hub.RunRunning {
				b.Errorf("state %+v", got[j.Run])
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}},
	{"jobs wait for a slot, and get it when one is free", func(b *books) {
		j, k, urgent, deploys, later := newJob(1), newJob(2), newJob(3), newJob(4), newJob(5)
		urgent.Priority = hub.Critical
		deploys.Branch, later.Branch, later.Repository, deploys.Repository = "main", "main", "shop/till", "shop/till"
		one := job.Limits{Repository: 1}
		hold, _ := b.admit(one, []message.Job{j})
		b.want("held while there is room", hold, nil)
		hold, _ = b.admit(one, []message.Job{k})
		b.want("held", hold, ids([]message.Job{k}))
		hold, _ = b.admit(one, []message.Job{urgent})
		b.want("held", hold, ids([]message.Job{urgent}))
		b.refuseClaim(k, urgent)
		b.again("due", b.fold.Due)
		if conns, err := b.fold.HeldConnections(b.Context()); err != nil || !slices.Equal(conns, []string{connection}) {
			b.Errorf("connections with held jobs: %v, %v", conns, err)
		}
		b.finish(b.done(b.claim(j)[0], j))
		_, release := b.admit(one, nil, connection)
		b.want("released, the urgent one first", ids(release), ids([]message.Job{urgent}))
		if release[0].Fence != 1 {
			b.Errorf("released with fence %d", release[0].Fence)
		}
		b.claim(urgent)
		hold, _ = b.admit(job.Limits{}, []message.Job{deploys})
		b.want("held without limits", hold, nil)
		hold, _ = b.admit(job.Limits{}, []message.Job{later})
		b.want("second deployment of a branch", hold, ids([]message.Job{later}))
	}},
}
