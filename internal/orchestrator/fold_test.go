package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/run"
	"integrationhub/internal/work"
)

// upstream publishes straight to NATS, like a system that has a permission to.
func upstream(t *testing.T, s *hubtest.NATSServer) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// newRigOn is a rig whose NATS the test has in its hands.
func newRigOn(t *testing.T) (*rig, *hubtest.NATSServer) {
	n := hubtest.NATS(t)
	r := &rig{t: t, store: hubtest.Store(t), bus: n.Bus(t)}
	r.orch = r.orchestrate(orchestrator.Config{})
	if err := connection.Save(t.Context(), r.store, connection.Connection{Slug: "forge", Kind: hub.Git, BaseURL: "https://git.example.org", Source: "https://ci."}); err != nil {
		t.Fatal(err)
	}
	return r, n
}

func envelope(source, id, connection, repository string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":"hub.push.v1","data":{"connection":%q,"repository":%q,"ref":"main"}}`, id, source, connection, repository)
}

func TestTheSameEventAndFactManyTimesGiveOneRunWithOneJobForEachStep(t *testing.T) {
	r, n := newRigOn(t)
	nc, js := upstream(t, n)
	r.orchestrate(orchestrator.Config{}) // a second one folds, too
	r.all()
	for range 20 {
		if err := nc.Publish("hub.event.forge.push", []byte(envelope("https://ci.example.org", "1", "forge", "shop/web"))); err != nil {
			t.Fatal(err)
		}
	}
	id := hub.RunID("https://ci.example.org", "1")
	r.ends(id, hub.RunCompleted)
	facts, err := js.Stream(t.Context(), "HUB_FACTS")
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= facts.CachedInfo().State.LastSeq; seq++ {
		m, err := facts.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := nc.Publish(m.Subject, m.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	hubtest.Eventually(t, soon, func() error { // all of them were read
		c, err := facts.Consumer(t.Context(), message.Orchestrator)
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.NumPending+uint64(i.NumAckPending) > 0 || i.Delivered.Stream < 18 {
			return fmt.Errorf("%d wait, %d are delivered", i.NumPending, i.Delivered.Stream)
		}
		return nil
	})
	r.count(1, `SELECT count(*) FROM run`)
	r.count(3, `SELECT count(*) FROM job`)
	r.count(3, `SELECT count(*) FROM job_attempt WHERE outcome = 'COMPLETED'`)
	r.count(0, `SELECT (SELECT count(*) FROM fact) + (SELECT count(*) FROM job_open)`)
}

func TestWhatTheLedgerHasIsFoldedThoughItsMessageIsLost(t *testing.T) {
	r, _ := newRigOn(t)
	raw := envelope("https://ci.example.org", "1", "forge", "shop/web")
	e, err := message.ParseStructured([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.Insert(t.Context(), r.store.DB(), []message.Event{e}); err != nil { // and nothing on the stream
		t.Fatal(err)
	}
	r.count(1, `SELECT count(*) FROM job_open`)
	ledger := job.NewLedger(r.store)
	j := message.Job{ID: hub.JobID(e.Key, "fetch", 1), Run: e.Key}
	claims, err := ledger.Claim(t.Context(), "w", []string{j.ID}, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%v, %v", claims, err)
	}
	got, err := ledger.Finish(t.Context(), []job.End{{Claim: claims[0], Outcome: job.Failed, Commit: func(*store.Batch) []message.Fact {
		return []message.Fact{message.NewFact(j, message.JobFailedBody{Error: "no such host", Attempts: 1})}
	}}})
	if err != nil || !got[0].Won { // and the worker died before it published the fact
		t.Fatalf("%+v, %v", got, err)
	}
	if got := r.ends(e.Key, hub.RunFailed); got.Reason != "no such host" {
		t.Errorf("reason %q", got.Reason)
	}
}

func TestJobsThatTheStreamHasLostArePublishedAgain(t *testing.T) {
	r, n := newRigOn(t)
	_, js := upstream(t, n)
	var ids []string
	for i := range 30 {
		ids = append(ids, r.ask(fmt.Sprint(i), target(fmt.Sprint("shop/", i))))
	}
	r.count(30, `SELECT count(*) FROM job_open`)
	jobs, err := js.Stream(t.Context(), "HUB_JOBS")
	if err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, soon, func() error {
		if info, err := jobs.Info(t.Context()); err != nil || info.State.Msgs != 30 {
			return fmt.Errorf("%d messages, %w", info.State.Msgs, err)
		}
		return nil
	})
	if err := jobs.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.all()
	for _, id := range ids {
		r.ends(id, hub.RunCompleted)
	}
	r.count(90, `SELECT count(*) FROM job_attempt`)
}

func TestALostJobIsFoundThoughOthersOfItsQueueAreAtWork(t *testing.T) {
	r, _ := newRigOn(t)
	busy := make(chan string, 10)
	const working = 4
	r.work(message.Connector, 8, fetch(func(ctx context.Context, d work.Delivery[message.FetchBody]) error {
		if !strings.HasPrefix(d.Body.Repository, "slow/") {
			return nil
		}
		busy <- d.Job.ID
		<-ctx.Done() // until the test is over
		return ctx.Err()
	}))
	r.work(message.Analyzer, 2, analyze())
	r.work(message.Deployer, 2, prepare(func(work.Delivery[message.PrepareBody]) {}))
	for i := range working {
		r.ask(fmt.Sprint("slow", i), target(fmt.Sprint("slow/", i)))
	}
	for range working {
		select {
		case <-busy:
		case <-time.After(soon):
			t.Fatal("they do not begin")
		}
	}
	r.ends(r.die("lost", target("shop/web")), hub.RunCompleted)
}

// die leaves what an orchestrator leaves that dies between its commit and its
// publications: a run with a job that no stream has.
func (r *rig) die(id string, t message.Target) string {
	r.t.Helper()
	e := message.Event{Key: hub.RunID("test", id), Source: "test", ID: id, Kind: message.AnalysisRequested, Connection: t.Connection, Body: message.Encode(message.AnalysisRequestedBody{Target: t})}
	state, effects, err := flow.Next(flow.State{}, &e, time.Now().UTC())
	if err != nil {
		r.t.Fatal(err)
	}
	raw, err := json.Marshal(state)
	if err != nil {
		r.t.Fatal(err)
	}
	var b store.Batch
	run.Save(&b, run.Run{ID: state.ID, Connection: t.Connection, Repository: t.Repository, Strategy: t.Strategy, Priority: t.Priority, Status: state.Status, CreatedAt: state.CreatedAt}, raw)
	for _, effect := range effects {
		if enqueue, ok := effect.(flow.Enqueue); ok {
			job.Insert(&b, []message.Job{enqueue.Job}, nil)
		}
	}
	if err := r.store.InTx(r.t.Context(), func(tx store.DB) error { return b.Run(r.t.Context(), tx) }); err != nil {
		r.t.Fatal(err)
	}
	return e.Key
}

func TestAJobThatTheStreamDidNotConfirmIsPublishedAgain(t *testing.T) {
	r, n := newRigOn(t)
	n.Kill()
	e, err := message.ParseStructured([]byte(envelope("https://ci.example.org", "1", "forge", "shop/web")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.Insert(t.Context(), r.store.DB(), []message.Event{e}); err != nil {
		t.Fatal(err)
	}
	r.count(1, `SELECT count(*) FROM job_open`) // folded from its row while NATS is away
	n.Wipe()
	n.Restart()
	r.all()
	r.ends(e.Key, hub.RunCompleted)
}

func TestAJobIsTakenFromAWorkerWhoseLeaseRanOut(t *testing.T) {
	r, _ := newRigOn(t)
	id := r.ask("1", target("shop/web"))
	r.count(1, `SELECT count(*) FROM job_open`)
	claims, err := job.NewLedger(r.store).Claim(t.Context(), "gone", []string{hub.JobID(id, "fetch", 1)}, time.Second)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%v, %v", claims, err)
	}
	r.all()
	r.ends(id, hub.RunCompleted)
	r.count(1, `SELECT count(*) FROM job_attempt WHERE outcome = 'LOST' AND worker = 'gone'`)
}

func TestAMessageThatPostgresRefusesIsBuriedAndTheOthersOfItsBatchAreFolded(t *testing.T) {
	r, _ := newRigOn(t)
	// The id of its first job is taken, so this event cannot be folded.
	bad := hub.RunID("https://ci.example.org", "bad")
	if _, err := r.store.DB().Exec(t.Context(), `INSERT INTO job (id, run, kind, priority, connection, repository, body) VALUES ($1, 'x', 'x', 'LOW', 'x', 'x', '')`, hub.JobID(bad, "fetch", 1)); err != nil {
		t.Fatal(err)
	}
	var events []message.Event
	for _, id := range []string{"1", "bad", "2", "3"} {
		e, err := message.ParseStructured([]byte(envelope("https://ci.example.org", id, "forge", "shop/"+id)))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if _, err := event.Insert(t.Context(), r.store.DB(), events); err != nil { // the sweep brings them together
		t.Fatal(err)
	}
	r.all()
	for _, id := range []string{"1", "2", "3"} {
		r.ends(hub.RunID("https://ci.example.org", id), hub.RunCompleted)
	}
	r.count(1, `SELECT count(*) FROM dead_letter WHERE id = $1 AND cause LIKE '%duplicate key%'`, "fold."+bad)
	r.count(0, `SELECT count(*) FROM event WHERE folded_at IS NULL`) // it does not come again for ever
	r.count(0, `SELECT count(*) FROM run WHERE id = $1`, bad)
}

func TestAnEventOverNATSFromWhoMayNotSpeakIsADeadLetter(t *testing.T) {
	r, n := newRigOn(t)
	nc, js := upstream(t, n)
	r.all()
	for _, c := range []struct{ subject, data string }{
		{"hub.event.forge.push", "no event"},
		{"hub.event.other.push", envelope("https://ci.example.org", "1", "forge", "shop/web")},
		{"hub.event.nobody.push", envelope("https://ci.example.org", "1", "nobody", "shop/web")},
		{"hub.event.forge.push", envelope("https://evil.example.org", "1", "forge", "shop/web")},
		{"hub.event.forge.push", envelope("hub", "1", "forge", "shop/web")},
		{"hub.event.\xff.push", envelope("https://ci.example.org", "1", "forge", "shop/web")},
	} {
		if err := nc.Publish(c.subject, []byte(c.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Publish("hub.fact.job.failed", []byte(`{"id":"a\u0000b","run":"r"}`)); err != nil {
		t.Fatal(err)
	}
	r.count(7, `SELECT count(*) FROM dead_letter`)
	r.count(0, `SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM run)`)
	hubtest.Eventually(t, soon, func() error {
		s, err := js.Stream(t.Context(), "HUB_DEAD")
		if err != nil {
			return err
		}
		if got := s.CachedInfo().State.Msgs; got != 7 {
			return fmt.Errorf("%d copies", got)
		}
		c, err := js.Consumer(t.Context(), "HUB_EVENTS", message.Orchestrator)
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.NumAckPending+int(i.NumPending) != 0 {
			return errors.New("they are not acknowledged")
		}
		return nil
	})
	// What was refused has not taken the place of the real event.
	if err := nc.Publish("hub.event.forge.push", []byte(envelope("https://ci.example.org", "1", "forge", "shop/web"))); err != nil {
		t.Fatal(err)
	}
	r.ends(hub.RunID("https://ci.example.org", "1"), hub.RunCompleted)
}

func TestTwoOrchestratorsFoldEachEventOnce(t *testing.T) {
	r, _ := newRigOn(t)
	r.orchestrate(orchestrator.Config{})
	r.orchestrate(orchestrator.Config{})
	r.all()
	var events []message.Event
	for i := range 200 {
		e, err := message.ParseStructured([]byte(envelope("https://ci.example.org", fmt.Sprint(i), "forge", fmt.Sprint("shop/", i%7))))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if _, err := event.Insert(t.Context(), r.store.DB(), events); err != nil { // every sweep finds all of them
		t.Fatal(err)
	}
	r.count(200, `SELECT count(*) FROM run WHERE status = 'COMPLETED'`)
	r.count(600, `SELECT count(*) FROM job`)
	r.count(600, `SELECT count(*) FROM job_attempt WHERE outcome = 'COMPLETED'`)
}

func TestAnEventIsOnlyAcceptedWhenBothDoorsAreOpen(t *testing.T) {
	databaseURL, link := hubtest.PostgresLink(t)
	n := hubtest.NATS(t)
	s := hubtest.OpenStore(t, databaseURL)
	o := orchestrator.New(orchestrator.Config{}, n.Bus(t), s, hubtest.Log(t))
	accept := func(id string) (bool, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return o.Accept(ctx, message.Event{Key: hub.RunID("s", id), Source: "s", ID: id, Kind: message.Push, Connection: "forge", Body: json.RawMessage(`{}`)})
	}
	if fresh, err := accept("1"); err != nil || !fresh {
		t.Fatalf("%t, %v", fresh, err)
	}
	link.Cut()
	if _, err := accept("2"); err == nil {
		t.Error("accepted without the ledger")
	}
	link.Mend()
	n.Kill()
	if _, err := accept("3"); err == nil {
		t.Error("accepted without the stream")
	}
	n.Restart()
	for _, id := range []string{"2", "3"} {
		hubtest.Eventually(t, soon, func() error { _, err := accept(id); return err })
	}
	if fresh, err := accept("1"); err != nil || fresh {
		t.Errorf("again: %t, %v", fresh, err)
	}
}
