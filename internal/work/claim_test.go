package work_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

// takeAway lets the lease of a job run out, as the sweep finds it.
func (r *rig) takeAway(j message.Job) {
	r.Helper()
	if _, err := r.store.DB().Exec(r.Context(), `UPDATE job_open SET lease_until = now() - interval '1 s' WHERE id = $1`, j.ID); err != nil {
		r.Fatal(err)
	}
	again, err := job.NewLedger(r.store).Expired(r.Context())
	if err != nil || len(again) != 1 {
		r.Fatalf("expired %v, %v", again, err)
	}
	r.bus.PostJobs(again)
}

func TestAWorkerThatLostItsLeaseCannotCommit(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.High)
	begun, release := make(chan int, 2), make(chan struct{})
	stale := config(t, "stale")
	stale.Lease = time.Hour
	link := hubtest.NewLink(t, "tcp", strings.TrimPrefix(r.nats.URL, "nats://"))
	stop := r.runOn(hubtest.OpenBus(t, "nats://"+link.Addr), stale, work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		begun <- d.Attempt
		await(t, release)
		return done(d, "stale"), nil
	}))
	r.enqueue(j)
	receive(t, begun, "the stale worker begins")
	link.Cut() // it lives on, but nobody hears of it
	refused := make(chan struct{})
	r.run(config(t, "fresh"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		begun <- d.Attempt
		await(t, refused)
		return done(d, "fresh"), nil
	}))
	r.takeAway(j)
	receive(t, begun, "the fresh worker begins")
	close(release)
	stop() // waits for the stale worker's commit
	if s := r.state(j); s.Status != hub.JobProcessing || s.Worker != "fresh" {
		t.Errorf("after the stale commit: %+v", s)
	}
	close(refused)
	r.wantOutcomes(r.ended(j, hub.JobCompleted), job.Lost, job.Completed)
	r.wantTexts("rows", []string{"fresh"}, `SELECT text FROM note`)
	r.wantTexts("facts", []string{j.ID + ".snapshot.fetched"}, `SELECT id FROM fact`)
}

func TestAWorkerThatGetsItsOwnLostJobAgainStopsTheFirstAttempt(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.High)
	begun, stopped, release := make(chan int, 2), make(chan error, 1), make(chan struct{})
	cfg := config(t, "w")
	cfg.Lease = 3 * time.Second
	r.run(cfg, work.On(func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		begun <- d.Attempt
		if d.Attempt == 1 {
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return done(d, "first"), nil // what it made is refused
		}
		await(t, release)
		return done(d, "second"), ctx.Err()
	}))
	r.enqueue(j)
	receive(t, begun, "the first attempt begins")
	r.takeAway(j)
	if err := receive(t, stopped, "the first attempt is stopped"); !strings.Contains(err.Error(), "lost") {
		t.Errorf("it was stopped because of %v", err)
	}
	receive(t, begun, "the second attempt begins")
	// The end of the first must not end the heartbeat of the second: only a
	// heartbeat moves the end of the lease.
	var first, now time.Time
	lease := func(into *time.Time) error {
		return r.store.DB().QueryRow(t.Context(), `SELECT lease_until FROM job_open WHERE id = $1`, j.ID).Scan(into)
	}
	if err := lease(&first); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, patience, func() error {
		if err := lease(&now); err != nil {
			return err
		}
		if !now.After(first) {
			return errors.New("the lease was not renewed")
		}
		return nil
	})
	close(release)
	r.wantOutcomes(r.ended(j, hub.JobCompleted), job.Lost, job.Completed)
	r.wantTexts("rows", []string{"second"}, `SELECT text FROM note`)
}

func TestTheHandlerOfACancelledRunIsStopped(t *testing.T) {
	for name, tell := range map[string]func(r *rig, j message.Job){
		"by the control message": func(r *rig, j message.Job) { r.bus.Cancel(message.Cancel{Run: j.Run, Reason: "not needed"}) },
		"by the heartbeat": func(r *rig, j message.Job) {
			var b store.Batch
			job.CancelRun(&b, j.Run, "not needed")
			if err := b.Run(r.Context(), r.store.DB()); err != nil {
				r.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			j, other := fetch(1, hub.High), fetch(2, hub.High)
			begun, stopped := make(chan string, 2), make(chan string, 1)
			release := make(chan struct{})
			cfg := config(t, "w")
			cfg.Lease = 3 * time.Second
			r.run(cfg, work.On(func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
				begun <- d.Job.ID
				if d.Job.ID == other.ID {
					await(t, release)
					return done(d, "other"), ctx.Err()
				}
				<-ctx.Done()
				stopped <- d.Job.ID
				return nil, ctx.Err()
			}))
			r.enqueue(j, other)
			receive(t, begun, "begins")
			receive(t, begun, "begins")
			told := time.Now()
			tell(r, j)
			receive(t, stopped, "the handler's context ends")
			if took := time.Since(told); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
			s := r.ended(j, hub.JobCancelled)
			if s.Attempts[0].Error != "not needed" {
				t.Errorf("reason %q", s.Attempts[0].Error)
			}
			r.wantTexts("fact", []string{`{"reason":"not needed"}`}, `SELECT convert_from(body, 'UTF8') FROM fact WHERE id = $1`, j.ID+".job.cancelled")
			close(release)
			r.ended(other, hub.JobCompleted)
		})
	}
}

func TestACancelledJobIsNotTriedAgain(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.High)
	cfg := config(t, "w")
	cfg.Lease = time.Hour // no heartbeat tells it
	r.run(cfg, work.On(func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error) {
		var b store.Batch
		job.CancelRun(&b, j.Run, "not needed")
		if err := b.Run(t.Context(), r.store.DB()); err != nil {
			t.Error(err)
		}
		return nil, errors.New("the host was away")
	}))
	r.enqueue(j)
	r.wantOutcomes(r.ended(j, hub.JobCancelled), job.Cancelled)
}

func TestAFailingCommitDoesNotHoldUpTheOthers(t *testing.T) {
	r := newRig(t)
	const n = 40
	jobs := make([]message.Job, n)
	for i := range jobs {
		jobs[i] = fetch(i, hub.High)
	}
	cfg := config(t, "w")
	cfg.Concurrency, cfg.Prefetch = n, n
	var begun sync.WaitGroup // so that all of them end at the same time
	begun.Add(n)
	r.run(cfg, work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Attempt == 1 {
			begun.Done()
			begun.Wait()
		}
		return func(tx *store.Batch) []message.Fact {
			if d.Job.ID == jobs[7].ID {
				tx.Queue(`INSERT INTO finding (run, n) VALUES ($1, 1)`, d.Job.Run)
			}
			return done(d, d.Job.ID)(tx)
		}, nil
	}))
	r.enqueue(jobs...)
	for i, j := range jobs {
		if i != 7 {
			r.wantOutcomes(r.ended(j, hub.JobCompleted), job.Completed)
		}
	}
	r.wantOutcomes(r.ended(jobs[7], hub.JobFailed), job.Retry, job.Retry, job.Failed)
	r.wantTexts("rows", []string{fmt.Sprint(n - 1)}, `SELECT count(*)::text FROM note`)
	r.wantTexts("rows twice", nil, `SELECT job FROM note GROUP BY job HAVING count(*) > 1`)
}

func TestADuplicateMessageIsAcknowledgedAndNotRun(t *testing.T) {
	r := newRig(t)
	js, _ := r.jetStream()
	j := fetch(1, hub.High)
	var calls atomic.Int32
	begun, release := make(chan int, 9), make(chan struct{})
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		calls.Add(1)
		begun <- d.Attempt
		await(t, release)
		return done(d, "once"), nil
	}))
	r.enqueue(j)
	receive(t, begun, "begins")
	copies := func(from, to int64) {
		for fence := from; fence < to; fence++ { // another id each, so that the stream takes them
			j.Fence = fence
			r.bus.PostJobs([]message.Job{j})
		}
	}
	copies(100, 110) // while it runs
	hubtest.Eventually(t, patience, func() error {
		if n := r.messages(js, "HUB_JOBS"); n != 1 {
			return fmt.Errorf("%d messages, the first one must be left", n)
		}
		return nil
	})
	close(release)
	r.ended(j, hub.JobCompleted)
	copies(200, 210) // and after its end
	hubtest.Eventually(t, patience, func() error {
		if n := r.messages(js, "HUB_JOBS"); n != 0 {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
	if calls.Load() != 1 {
		t.Errorf("run %d times", calls.Load())
	}
	r.wantTexts("rows", []string{"once"}, `SELECT text FROM note`)
}

func TestWhatIsDoneWhileTheLedgerIsAwayIsCommittedWhenItIsBack(t *testing.T) {
	r := newRig(t)
	url, link := hubtest.PostgresLink(t)
	r.store = hubtest.OpenStore(t, url)
	if _, err := r.store.DB().Exec(t.Context(), `CREATE TABLE note (job text, text text)`); err != nil {
		t.Fatal(err)
	}
	j := fetch(1, hub.High)
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		link.Cut()
		return done(d, "once"), nil
	}))
	r.enqueue(j)
	hubtest.Eventually(t, patience, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r.store.Ready(ctx) == nil {
			return errors.New("the ledger still answers")
		}
		return nil
	})
	link.Mend()
	r.wantOutcomes(r.ended(j, hub.JobCompleted), job.Completed)
	r.wantTexts("rows", []string{"once"}, `SELECT text FROM note`)
}
