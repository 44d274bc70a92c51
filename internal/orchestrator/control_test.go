package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/queue"
	"integrationhub/internal/store/run"
	"integrationhub/internal/store/schedule"
	"integrationhub/internal/work"
)

// gauge counts what is at work at the same time, by key.
type gauge struct {
	mu   sync.Mutex
	now  map[string]int
	most map[string]int
}

func newGauge() *gauge { return &gauge{now: map[string]int{}, most: map[string]int{}} }

func (g *gauge) in(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[key]++
	g.most[key] = max(g.most[key], g.now[key])
}

func (g *gauge) out(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[key]--
}

const busyOf = `SELECT count(*) FROM job_open WHERE repository = $1 AND NOT held`

func TestManyEventsOfOneRepositoryDoNotHoldUpAnothersFirst(t *testing.T) {
	r := newRig(t, orchestrator.Config{LimitRepository: 3, LimitConnection: 10})
	for i := range 40 {
		r.ask(fmt.Sprint("many", i), target("many"))
	}
	r.count(3, busyOf, "many") // nobody works, so they stay
	r.count(37, `SELECT count(*) FROM job_open WHERE repository = 'many' AND held`)
	few := r.ask("few", target("few"))
	r.count(1, busyOf, "few")

	g := newGauge()
	r.work(message.Connector, 16, fetch(func(_ context.Context, d work.Delivery[message.FetchBody]) error {
		g.in(d.Job.Repository)
		defer g.out(d.Job.Repository)
		return nil
	}))
	r.work(message.Analyzer, 16, analyze())
	r.work(message.Deployer, 16, prepare(func(work.Delivery[message.PrepareBody]) {}))
	r.ends(few, hub.RunCompleted)
	r.count(41, `SELECT count(*) FROM run WHERE status = 'COMPLETED'`)
	if g.most["many"] > 3 {
		t.Errorf("%d jobs of one repository at a time, want at most 3", g.most["many"])
	}
}

func TestAFullConnectionAdmitsFirstWhoHasTheFewestAtWork(t *testing.T) {
	r := newRig(t, orchestrator.Config{LimitConnection: 4})
	for i := range 8 {
		r.ask(fmt.Sprint("many", i), target("many"))
	}
	r.count(4, busyOf, "many")
	few := r.ask("few", target("few"))
	r.count(5, `SELECT count(*) FROM job_open WHERE held`)

	// The first slot that is free goes to the other repository.
	gate := make(chan struct{})
	order := make(chan string, 100)
	r.work(message.Connector, 1, fetch(func(ctx context.Context, d work.Delivery[message.FetchBody]) error {
		order <- d.Job.Repository
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return work.Drop(errors.New("enough"))
	}))
	gate <- struct{}{}
	r.ends(first(t, r, "many"), hub.RunFailed)
	r.count(1, busyOf, "few")
	close(gate)
	r.ends(few, hub.RunFailed)
	r.count(9, `SELECT count(*) FROM run WHERE status = 'FAILED'`)
}

// first waits for a run of a repository that has ended.
func first(t *testing.T, r *rig, repository string) (id string) {
	t.Helper()
	hubtest.Eventually(t, soon, func() error {
		return r.store.DB().QueryRow(t.Context(), `SELECT id FROM run WHERE repository = $1 AND finished_at IS NOT NULL LIMIT 1`, repository).Scan(&id)
	})
	return id
}

func TestOneDeploymentOfABranchAtATime(t *testing.T) {
	r := newRig(t, orchestrator.Config{})
	g := newGauge()
	r.work(message.Connector, 8, fetch(func(context.Context, work.Delivery[message.FetchBody]) error { return nil }))
	r.work(message.Analyzer, 8, analyze())
	r.work(message.Deployer, 8, prepare(func(d work.Delivery[message.PrepareBody]) {
		g.in(d.Job.Branch)
		defer g.out(d.Job.Branch)
	}))
	for i := range 30 {
		tg := target("shop")
		tg.Ref = []string{"main", "next"}[i%2]
		r.ask(fmt.Sprint(i), tg)
	}
	r.count(30, `SELECT count(*) FROM run WHERE status = 'COMPLETED'`)
	if g.most["main"] != 1 || g.most["next"] != 1 {
		t.Errorf("deployments of one branch at a time: %v", g.most)
	}
}

func TestANewerPushSupersedesTheOlderRunAndLeavesRequestsAlone(t *testing.T) {
	r := newRig(t, orchestrator.Config{Supersede: true})
	older := r.push("1", target("shop"))
	asked := r.ask("2", target("shop"))
	elsewhere := r.push("3", target("other"))
	r.ends(older, hub.RunRunning)
	newer := r.push("4", target("shop"))
	if got := r.ends(older, hub.RunCancelled); got.Reason != "superseded by run "+newer {
		t.Errorf("reason %q", got.Reason)
	}
	r.all()
	for _, id := range []string{asked, elsewhere, newer} {
		r.ends(id, hub.RunCompleted)
	}
}

func TestAFailedRunGoesOnFromItsJobAndItsDeadLetterIsMadeGood(t *testing.T) {
	r := newRig(t, orchestrator.Config{})
	broken := true
	var mu sync.Mutex
	r.work(message.Connector, 1, fetch(func(context.Context, work.Delivery[message.FetchBody]) error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return work.Drop(errors.New("the host is being moved"))
		}
		return nil
	}))
	r.work(message.Analyzer, 1, analyze())
	r.work(message.Deployer, 1, prepare(func(work.Delivery[message.PrepareBody]) {}))
	id := r.ask("1", target("shop"))
	if got := r.ends(id, hub.RunFailed); got.Reason != "the host is being moved" {
		t.Errorf("reason %q", got.Reason)
	}
	letter := hub.JobID(id, "fetch", 1)
	mu.Lock()
	broken = false
	mu.Unlock()
	r.accept("again", message.RetryRequestedBody{Connection: "forge", Run: id, DeadLetter: letter}, "forge")
	r.ends(id, hub.RunCompleted)
	got, err := dead.Get(t.Context(), r.store, letter)
	if err != nil {
		t.Fatal(err)
	}
	if got.Resolution != "REQUEUED" || got.RequeuedAs != hub.JobID(id, "fetch", 2) || got.Cause != "the host is being moved" {
		t.Errorf("letter %+v", got)
	}
}

func TestARunThatStartsAtATimeWaitsForIt(t *testing.T) {
	r := newRig(t, orchestrator.Config{})
	r.all()
	tg := target("shop")
	tg.At = time.Now().Add(3 * time.Second)
	id := r.ask("1", tg)
	r.ends(id, hub.RunWaiting)
	got := r.ends(id, hub.RunCompleted)
	if got.FinishedAt.Before(tg.At) {
		t.Errorf("ended at %s, was to start at %s", got.FinishedAt, tg.At)
	}
}

func TestAScheduleFiresOnceHoweverManySweepAndHoweverLate(t *testing.T) {
	r := newRig(t, orchestrator.Config{})
	r.orchestrate(orchestrator.Config{})
	r.orchestrate(orchestrator.Config{})
	r.all()
	now := time.Now()
	for slug, missed := range map[string]string{"nightly": schedule.Once, "skipped": schedule.Skip} {
		tg := target(slug)
		if err := schedule.Save(t.Context(), r.store, schedule.Schedule{Slug: slug, Cron: "0 3 * * *", Zone: "Europe/Berlin", Missed: missed, Target: tg}, now); err != nil {
			t.Fatal(err)
		}
		// As if every orchestrator had been down for the last three days.
		if _, err := r.store.DB().Exec(t.Context(), `UPDATE schedule SET next_at = next_at - interval '4 days' WHERE slug = $1`, slug); err != nil {
			t.Fatal(err)
		}
	}
	r.count(2, `SELECT count(*) FROM schedule WHERE next_at > now()`)
	r.count(1, `SELECT count(*) FROM run WHERE repository = 'nightly' AND status = 'COMPLETED'`)
	got, err := schedule.Get(t.Context(), r.store, "nightly")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Get(t.Context(), r.store, got.LastRun); err != nil {
		t.Errorf("last run %q: %v", got.LastRun, err)
	}
	r.count(1, `SELECT count(*) FROM run`) // nothing for the one that skips
}

func TestAPausedQueueStaysPausedUntilItIsResumed(t *testing.T) {
	r := newRig(t, orchestrator.Config{})
	if err := queue.SetPause(t.Context(), r.store, message.Connector, "maintenance", hub.Medium); err != nil {
		t.Fatal(err)
	}
	if err := r.bus.SetPauses(t.Context(), map[string]bool{message.Durable(message.Connector, hub.Medium): true}); err != nil {
		t.Fatal(err)
	}
	r.all()
	waits := r.ask("1", target("shop"))
	urgent := target("urgent")
	urgent.Priority = hub.High
	r.ends(r.ask("2", urgent), hub.RunCompleted) // other priorities go on
	r.ends(waits, hub.RunRunning)
	r.count(1, `SELECT count(*) FROM job_open WHERE status = 'PENDING'`)
	if err := queue.DeletePause(t.Context(), r.store, message.Connector, hub.Medium); err != nil {
		t.Fatal(err)
	}
	r.ends(waits, hub.RunCompleted) // the sweep resumes the consumer
}

func TestOldRunsGoWithAllThatBelongsToThem(t *testing.T) {
	r := newRig(t, orchestrator.Config{})
	r.all()
	old, young := r.ask("old", target("shop")), r.ask("young", target("shop"))
	r.ends(old, hub.RunCompleted)
	r.ends(young, hub.RunCompleted)
	r.count(0, `SELECT count(*) FROM fact`)
	if _, err := r.store.DB().Exec(t.Context(), `UPDATE run SET finished_at = now() - interval '40 days' WHERE id = $1`, old); err != nil {
		t.Fatal(err)
	}
	n, err := run.DeleteOld(t.Context(), r.store, 30*24*time.Hour, 100)
	if err != nil || n != 1 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	for _, table := range []string{"run WHERE id", "event WHERE key", "job WHERE run"} {
		r.count(0, `SELECT count(*) FROM `+table+` = $1`, old)
	}
	r.count(0, `SELECT count(*) FROM job_attempt WHERE starts_with(job, $1)`, old)
	r.count(3, `SELECT count(*) FROM job_attempt WHERE starts_with(job, $1)`, young)
}
