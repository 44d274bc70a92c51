package work_test

import (
	"context"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

func TestAReplicaThatIsToldToDrainFinishesWhatItHasAndLeavesTheRestToOthers(t *testing.T) {
	r := newRig(t)
	first, second := fetch(1, hub.High), fetch(2, hub.High)
	begun, release := make(chan string, 2), make(chan struct{})
	slow := work.On(func(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		begun <- d.Job.ID
		await(t, release)
		return done(d, "finished"), ctx.Err()
	})
	cfg := config(t, "leaving")
	cfg.Drain = time.Millisecond // is for the end of the process only: nothing runs out here
	ended := make(chan error, 1)
	go func() { ended <- work.Run(t.Context(), cfg, r.bus, job.NewLedger(r.store), slow) }()
	r.enqueue(first)
	receive(t, begun, "the first job begins")

	if found := r.ask("an unknown name", r.bus.Drain, "nobody"); len(found) != 0 {
		t.Errorf("a name that no replica has was answered by %+v", found)
	}
	want := message.Replica{Worker: message.Connector, Name: "leaving", Jobs: 1, Concurrency: cfg.Concurrency}
	if found := r.ask("all replicas", r.replicas, ""); len(found) != 1 || found[0] != want {
		t.Errorf("the replicas are %+v, want %+v", found, want)
	}
	want.Draining = true
	if found := r.ask("drain", r.bus.Drain, "leaving"); len(found) != 1 || found[0] != want {
		t.Errorf("the replicas that drain are %+v, want %+v", found, want)
	}
	if found := r.ask("all replicas", r.replicas, ""); len(found) != 1 || found[0] != want {
		t.Errorf("the replicas are %+v, want one that drains", found)
	}

	r.enqueue(second)
	stop := r.run(config(t, "staying"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		return done(d, "by another"), nil
	}))
	if s := r.ended(second, hub.JobCompleted); s.Attempts[0].Worker != "staying" {
		t.Errorf("the second job was done by %s", s.Attempts[0].Worker)
	}
	close(release)
	if err := receive(t, ended, "the replica ends"); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if s := r.ended(first, hub.JobCompleted); s.Attempts[0].Worker != "leaving" {
		t.Errorf("the first job was done by %s", s.Attempts[0].Worker)
	}
	stop()
	if found := r.ask("all replicas", r.replicas, ""); len(found) != 0 {
		t.Errorf("replicas that have ended answer: %+v", found)
	}
}

func (r *rig) replicas(ctx context.Context, _ string) ([]message.Replica, error) {
	return r.bus.Replicas(ctx)
}

func (r *rig) ask(what string, f func(context.Context, string) ([]message.Replica, error), name string) []message.Replica {
	r.Helper()
	found, err := f(r.Context(), name)
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
	return found
}
