package job_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

type ledger struct {
	*testing.T
	*job.Ledger
	store *store.Store
}

func newLedger(t *testing.T) ledger {
	s := hubtest.Store(t)
	return ledger{t, job.NewLedger(s), s}
}

func fetch(n int) message.Job {
	run := hub.RunID("ledger", fmt.Sprint(n))
	return message.Job{ID: hub.JobID(run, "fetch", 1), Run: run, Kind: message.Fetch, Priority: hub.High, Connection: "forge", Repository: "shop/web", Trace: "t", Body: []byte(`{"connection":"forge"}`)}
}

func (l ledger) insert(jobs ...message.Job) {
	l.Helper()
	l.write(func(b *store.Batch) { job.Insert(b, jobs, nil) })
}

func (l ledger) write(queue func(*store.Batch)) {
	l.Helper()
	var b store.Batch
	queue(&b)
	if err := l.store.InTx(l.Context(), func(tx store.DB) error { return b.Run(l.Context(), tx) }); err != nil {
		l.Fatal(err)
	}
}

func (l ledger) exec(sql string, args ...any) {
	l.Helper()
	if _, err := l.store.DB().Exec(l.Context(), sql, args...); err != nil {
		l.Fatal(err)
	}
}

// claim claims one job, which must be free.
func (l ledger) claim(j message.Job) job.Claim {
	l.Helper()
	got, err := l.Claim(l.Context(), "w", []string{j.ID}, time.Minute)
	if err != nil || len(got) != 1 {
		l.Fatalf("claims %+v, %v", got, err)
	}
	return got[0]
}

func (l ledger) refused(j message.Job) {
	l.Helper()
	if got, err := l.Claim(l.Context(), "other", []string{j.ID}, time.Minute); err != nil || len(got) != 0 {
		l.Errorf("claims %+v, %v", got, err)
	}
}

// finish ends one attempt, which must not fail.
func (l ledger) finish(e job.End) job.Ended {
	l.Helper()
	got, err := l.Finish(l.Context(), []job.End{e})
	if err != nil || got[0].Err != nil {
		l.Fatalf("%v, %v", got, err)
	}
	return got[0]
}

func (l ledger) state(j message.Job) job.State {
	l.Helper()
	all, err := job.OfRun(l.Context(), l.store, j.Run)
	if err != nil || len(all) != 1 {
		l.Fatalf("%d jobs, %v", len(all), err)
	}
	return all[0]
}

func ids(jobs []message.Job) []string {
	var all []string
	for _, j := range jobs {
		all = append(all, j.ID)
	}
	slices.Sort(all)
	return all
}

func TestAJobIsClaimedByOneHoweverManyTry(t *testing.T) {
	l := newLedger(t)
	var jobs []message.Job
	for n := range 50 {
		jobs = append(jobs, fetch(n))
	}
	l.insert(jobs...)
	var mu sync.Mutex
	taken := map[string]int{}
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			mine := ids(jobs)
			if w%2 == 0 {
				slices.Reverse(mine)
			}
			got, err := l.Claim(t.Context(), fmt.Sprint("w", w), mine, time.Minute)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, c := range got {
				taken[c.ID]++
				if c.Attempt != 1 || c.Fence != 1 {
					t.Errorf("claim %+v", c)
				}
			}
		})
	}
	workers.Wait()
	if len(taken) != len(jobs) {
		t.Errorf("%d of %d claimed", len(taken), len(jobs))
	}
	for id, n := range taken {
		if n != 1 {
			t.Errorf("%s claimed %d times", id, n)
		}
	}
	if got, err := l.Claim(t.Context(), "w", []string{"no such job"}, time.Minute); err != nil || len(got) != 0 {
		t.Errorf("claims %+v, %v", got, err)
	}
}

func TestEachOutcomeLeavesTheJobAsItShould(t *testing.T) {
	for _, c := range []struct {
		outcome   job.Outcome
		delay     time.Duration
		status    hub.JobStatus
		again     bool // may be claimed at once
		attempt   int  // of the next claim
		published bool
	}{
		{job.Completed, 0, hub.JobCompleted, false, 0, false},
		{job.Failed, 0, hub.JobFailed, false, 0, false},
		{job.Cancelled, 0, hub.JobCancelled, false, 0, false},
		{job.Retry, 0, hub.JobPending, true, 2, true},
		{job.Later, 0, hub.JobPending, true, 1, true},
		{job.Retry, time.Minute, hub.JobPending, false, 2, true},
		{job.Later, job.MaxNak, hub.JobPending, false, 1, true},
		{job.Retry, job.MaxNak + time.Millisecond, hub.JobPending, false, 2, false},
		{job.Later, 365 * 24 * time.Hour, hub.JobPending, false, 1, false},
	} {
		t.Run(fmt.Sprint(c.outcome, " in ", c.delay), func(t *testing.T) {
			l := newLedger(t)
			j := fetch(1)
			l.insert(j)
			if got := l.finish(job.End{Claim: l.claim(j), Outcome: c.outcome, Error: "why", Delay: c.delay}); !got.Won {
				t.Error("not won")
			}
			s := l.state(j)
			if s.Status != c.status || len(s.Attempts) != 1 || s.Attempts[0].Outcome != c.outcome || s.Attempts[0].Error != "why" || s.Attempts[0].Worker != "w" || s.Attempts[0].Attempt != 1 {
				t.Errorf("state %+v", s)
			}
			if c.status.Ended() {
				l.refused(j)
				return
			}
			var published bool
			if err := l.store.DB().QueryRow(t.Context(), `SELECT published FROM job_open`).Scan(&published); err != nil || published != c.published {
				t.Errorf("published %t, %v", published, err)
			}
			if !c.again {
				l.refused(j)
				l.exec(`UPDATE job_open SET next_at = now()`)
			}
			if next := l.claim(j); next.Attempt != c.attempt || next.Fence != 2 {
				t.Errorf("next claim %+v, want attempt %d", next, c.attempt)
			}
		})
	}
}

func TestManyDelaysAreWrittenTogetherEachItsOwn(t *testing.T) {
	l := newLedger(t)
	delays := []time.Duration{0, time.Millisecond, time.Second, time.Hour, 400 * 24 * time.Hour}
	var ends []job.End
	for n, d := range delays {
		j := fetch(n)
		l.insert(j)
		ends = append(ends, job.End{Claim: l.claim(j), Outcome: job.Retry, Delay: d})
	}
	if got, err := l.Finish(t.Context(), ends); err != nil || slices.ContainsFunc(got, func(e job.Ended) bool { return !e.Won }) {
		t.Fatalf("%+v, %v", got, err)
	}
	for n, d := range delays {
		if next := l.state(fetch(n)).NextAt; next == nil || time.Until(next.Add(-d)).Abs() > time.Minute {
			t.Errorf("delay %s became %v", d, next)
		}
	}
}

func TestAStaleClaimEndsNothing(t *testing.T) {
	l := newLedger(t)
	j := fetch(1)
	l.insert(j)
	stale := l.claim(j)
	l.exec(`UPDATE job_open SET lease_until = now() - interval '1 s'`)
	if again, err := l.Expired(t.Context()); err != nil || len(again) != 1 || again[0].Fence != 2 || again[0].ID != j.ID || again[0].Trace != "t" || string(again[0].Body) != string(j.Body) {
		t.Fatalf("expired %+v, %v", again, err)
	}
	fresh := l.claim(j)
	called := func(who string) func(*store.Batch) []message.Fact {
		return func(b *store.Batch) []message.Fact {
			b.Queue(`INSERT INTO chunk (hash, bytes) VALUES ($1, '')`, who)
			return []message.Fact{message.NewFact(j, message.JobCancelledBody{Reason: who})}
		}
	}
	for _, outcome := range []job.Outcome{job.Completed, job.Failed, job.Retry, job.Later} {
		if got := l.finish(job.End{Claim: stale, Outcome: outcome, Commit: called("stale")}); got.Won {
			t.Errorf("%s of a stale claim was written", outcome)
		}
	}
	if s := l.state(j); s.Status != hub.JobProcessing || s.Attempt != 2 {
		t.Errorf("state %+v", s)
	}
	// In one batch, too, the stale one must write nothing. It has no fact whose
	// key would give it away.
	got, err := l.Finish(t.Context(), []job.End{
		{Claim: stale, Outcome: job.Completed, Commit: func(b *store.Batch) []message.Fact { called("stale")(b); return nil }},
		{Claim: fresh, Outcome: job.Completed, Commit: called("fresh")},
	})
	if err != nil || got[0].Won || !got[1].Won || len(got[0].Facts) != 0 || len(got[1].Facts) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	var chunks, facts string
	if err := l.store.DB().QueryRow(t.Context(), `SELECT (SELECT string_agg(hash, ' ') FROM chunk), (SELECT string_agg(convert_from(body, 'UTF8'), ' ') FROM fact)`).Scan(&chunks, &facts); err != nil || chunks != "fresh" || facts != `{"reason":"fresh"}` {
		t.Errorf("chunks %q, facts %q, %v", chunks, facts, err)
	}
	if got := l.finish(job.End{Claim: fresh, Outcome: job.Completed, Commit: called("fresh")}); got.Won {
		t.Error("it ended twice")
	}
	if s := l.state(j); s.Status != hub.JobCompleted || len(s.Attempts) != 2 || s.Attempts[0].Outcome != job.Lost || s.Attempts[0].Worker != "w" {
		t.Errorf("state %+v", s)
	}
}

func TestALeaseIsRenewedForWhoHoldsTheClaim(t *testing.T) {
	l := newLedger(t)
	held, cancelled, lost, ended := fetch(1), fetch(2), fetch(3), fetch(4)
	l.insert(held, cancelled, lost, ended)
	claims := []job.Claim{l.claim(held), l.claim(cancelled), l.claim(lost), l.claim(ended)}
	l.write(func(b *store.Batch) { job.CancelRun(b, cancelled.Run, "not needed") })
	l.exec(`UPDATE job_open SET fence = fence + 1 WHERE id = $1`, lost.ID)
	l.finish(job.End{Claim: claims[3], Outcome: job.Completed})
	stop, err := l.Renew(t.Context(), claims, time.Hour)
	if err != nil || len(stop) != 3 || stop[cancelled.ID] != "not needed" || stop[lost.ID] != "" || stop[ended.ID] != "" {
		t.Errorf("stop %q, %v", stop, err)
	}
	if _, told := stop[held.ID]; told {
		t.Error("the held one must stop")
	}
	var left time.Duration
	if err := l.store.DB().QueryRow(t.Context(), `SELECT lease_until - now() FROM job_open WHERE id = $1`, held.ID).Scan(&left); err != nil || left < 59*time.Minute {
		t.Errorf("lease for %s, %v", left, err)
	}
	if again, err := l.Expired(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("expired %+v, %v", again, err)
	}
}

func TestTheJobsOfACancelledRunEndAsSoonAsTheyCan(t *testing.T) {
	l := newLedger(t)
	waiting, running, retrying, lost, other := fetch(1), fetch(2), fetch(3), fetch(4), fetch(5)
	l.insert(waiting, running, retrying, lost, other)
	claims := map[string]job.Claim{}
	for _, j := range []message.Job{running, retrying, lost, other} {
		claims[j.ID] = l.claim(j)
	}
	l.write(func(b *store.Batch) {
		for _, j := range []message.Job{waiting, running, retrying, lost} {
			job.CancelRun(b, j.Run, "not needed")
		}
	})
	if s := l.state(waiting); s.Status != hub.JobCancelled || s.Attempts[0].Error != "not needed" {
		t.Errorf("the waiting one: %+v", s)
	}
	l.refused(waiting)
	if s := l.state(running); s.Status != hub.JobProcessing || s.Worker != "w" {
		t.Errorf("the running one: %+v", s)
	}
	l.finish(job.End{Claim: claims[retrying.ID], Outcome: job.Retry, Error: "the host was away"})
	if s := l.state(retrying); s.Status != hub.JobCancelled {
		t.Errorf("the one that failed meanwhile: %+v", s)
	}
	l.exec(`UPDATE job_open SET lease_until = now() - interval '1 s' WHERE id = $1`, lost.ID)
	if again, err := l.Expired(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("published again: %q, %v", ids(again), err)
	}
	if s := l.state(lost); s.Status != hub.JobCancelled {
		t.Errorf("the one whose worker is gone: %+v", s)
	}
	if s := l.state(other); s.Status != hub.JobProcessing {
		t.Errorf("another run's: %+v", s)
	}
}

func TestWhatTheStreamShallHoldIsFoundAgain(t *testing.T) {
	l := newLedger(t)
	young, old, low, unconfirmed, longWait, overdue, processing := fetch(1), fetch(2), fetch(3), fetch(4), fetch(5), fetch(6), fetch(7)
	low.Priority = hub.Low
	l.insert(young, old, low, unconfirmed, longWait, overdue, processing)
	l.claim(processing)
	l.finish(job.End{Claim: l.claim(longWait), Outcome: job.Later, Delay: time.Hour})
	l.finish(job.End{Claim: l.claim(overdue), Outcome: job.Retry, Delay: time.Second})
	l.exec(`UPDATE job_open SET published_at = now() - interval '1 h' WHERE id <> $1`, young.ID)
	if err := l.Unpublished(t.Context(), []string{unconfirmed.ID, processing.ID}); err != nil {
		t.Fatal(err)
	}
	due := func(want ...message.Job) {
		t.Helper()
		got, err := l.Due(t.Context())
		if err != nil || !slices.Equal(ids(got), ids(want)) {
			t.Errorf("due are %q, want %q, %v", ids(got), ids(want), err)
		}
	}
	due(unconfirmed)
	due()
	l.exec(`UPDATE job_open SET next_at = now() - interval '11 s' WHERE id = $1`, overdue.ID)
	due(overdue) // the stream should have brought it
	l.exec(`UPDATE job_open SET next_at = now() WHERE id = $1`, longWait.ID)
	due(longWait)
	due()
	waiting, err := l.Waiting(t.Context(), time.Minute)
	if err != nil || len(waiting) != 2 || waiting["connector-high"] != 6 || waiting["connector-low"] != 1 {
		t.Errorf("waiting %v, %v", waiting, err)
	}
	missing, err := l.Missing(t.Context(), "connector-high", time.Minute)
	if err != nil || !slices.Equal(ids(missing), []string{old.ID}) || missing[0].Fence != 1 {
		t.Errorf("missing %+v, %v", missing, err)
	}
	if waiting, err := l.Waiting(t.Context(), time.Minute); err != nil || len(waiting) != 1 {
		t.Errorf("waiting %v, %v, although what was old has just been published again", waiting, err)
	}
}

func TestManySweepsTakeAnExpiredJobOnce(t *testing.T) {
	l := newLedger(t)
	var all []message.Job
	for n := range 30 {
		j := fetch(n)
		l.insert(j)
		l.claim(j)
		all = append(all, j)
	}
	l.exec(`UPDATE job_open SET lease_until = now() - interval '1 s'`)
	var mu sync.Mutex
	var found []message.Job
	var sweeps sync.WaitGroup
	for range 6 {
		sweeps.Go(func() {
			got, err := l.Expired(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, got...)
		})
	}
	sweeps.Wait()
	if !slices.Equal(ids(found), ids(all)) {
		t.Errorf("%d found, want %d once each", len(found), len(all))
	}
	for _, j := range all {
		if s := l.state(j); len(s.Attempts) != 1 {
			t.Errorf("attempts %+v", s.Attempts)
		}
	}
}

func TestTheJobsOfAWorkerThatIsGoneAreReleasedBeforeTheirLease(t *testing.T) {
	l := newLedger(t)
	mine, others := fetch(1), fetch(2)
	l.insert(mine, others)
	if _, err := l.Claim(t.Context(), "hub/host/1", []string{mine.ID}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Claim(t.Context(), "connector/host/1", []string{others.ID}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Release(t.Context(), "hub/"); err != nil || !slices.Equal(ids(got), []string{mine.ID}) {
		t.Errorf("released %q, %v", ids(got), err)
	}
}

func TestOneRefusedEndDoesNotKeepTheOthersFromBeingWritten(t *testing.T) {
	l := newLedger(t)
	var ends []job.End
	for n := range 20 {
		j := fetch(n)
		l.insert(j)
		e := job.End{Claim: l.claim(j), Outcome: job.Completed, Commit: func(b *store.Batch) []message.Fact {
			if n == 7 {
				b.Queue(`SELECT 1/0`)
			}
			return []message.Fact{message.NewFact(j, message.JobCancelledBody{})}
		}}
		ends = append(ends, e)
	}
	got, err := l.Finish(t.Context(), ends)
	if err != nil {
		t.Fatal(err)
	}
	for n, e := range got {
		if bad := n == 7; bad != (e.Err != nil) || bad == e.Won {
			t.Errorf("end %d: %+v", n, e)
		}
	}
	if s := l.state(fetch(7)); s.Status != hub.JobProcessing {
		t.Errorf("the refused one: %+v", s)
	}
	if e := got[7].Err; e == nil || !strings.Contains(e.Error(), "division by zero") {
		t.Errorf("error %v", e)
	}
}

func TestAnEndWhoseOutcomeIsUnknownMayBeWrittenAgain(t *testing.T) {
	databaseURL, link := hubtest.PostgresLink(t)
	s := hubtest.OpenStore(t, databaseURL)
	l := ledger{t, job.NewLedger(s), s}
	j := fetch(1)
	l.insert(j)
	end := job.End{Claim: l.claim(j), Outcome: job.Completed, Commit: func(*store.Batch) []message.Fact {
		return []message.Fact{message.NewFact(j, message.JobCancelledBody{})}
	}}
	link.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Finish(ctx, []job.End{end}); err == nil {
		t.Fatal("written over a cut link")
	}
	link.Mend()
	hubtest.Eventually(t, 20*time.Second, func() error {
		got, err := l.Finish(t.Context(), []job.End{end})
		if err == nil && !got[0].Won {
			err = errors.New("not won")
		}
		return err
	})
}
