package work_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

func TestTheRowsAndFactsOfAJobAndItsEndStandOrFallTogether(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.High)
	first := make(chan []string, 1)
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Attempt == 1 {
			return func(tx *store.Batch) []message.Fact {
				facts := done(d, "first")(tx)
				tx.Queue(`SELECT 1/0`)
				return facts
			}, nil
		}
		first <- append(r.texts(`SELECT text FROM note`), r.texts(`SELECT id FROM fact`)...)
		return done(d, "second"), nil
	}))
	r.enqueue(j)
	s := r.ended(j, hub.JobCompleted)
	r.wantOutcomes(s, job.Retry, job.Completed)
	if !strings.Contains(s.Attempts[0].Error, "division by zero") {
		t.Errorf("the first attempt's error is %q", s.Attempts[0].Error)
	}
	if left := <-first; len(left) != 0 {
		t.Errorf("the refused commit left %q", left)
	}
	r.wantTexts("rows", []string{"second"}, `SELECT text FROM note`)
	r.wantTexts("facts", []string{j.ID + ".snapshot.fetched"}, `SELECT id FROM fact`)
	r.wantTexts("open jobs", nil, `SELECT id FROM job_open`)
}

func TestAPlainErrorIsTriedAgainAndEachAttemptIsRecorded(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Last != (d.Attempt == 3) {
			t.Errorf("attempt %d of 3 is last: %t", d.Attempt, d.Last)
		}
		if !d.Last {
			return nil, fmt.Errorf("the host was away, try %d \x00\xff", d.Attempt)
		}
		return done(d, "came back"), nil
	}))
	before := time.Now()
	r.enqueue(j)
	s := r.ended(j, hub.JobCompleted)
	r.wantOutcomes(s, job.Retry, job.Retry, job.Completed)
	for i, a := range s.Attempts {
		if a.Attempt != i+1 || a.Worker != "w" && a.Outcome == job.Completed {
			t.Errorf("attempt %d: %+v", i+1, a)
		}
		if a.StartedAt == nil || a.StartedAt.Before(before.Add(-time.Minute)) || a.FinishedAt.Before(*a.StartedAt) {
			t.Errorf("attempt %d ran from %v to %v", i+1, a.StartedAt, a.FinishedAt)
		}
		if want := fmt.Sprintf("the host was away, try %d ", i+1); a.Outcome == job.Retry && !strings.HasPrefix(a.Error, want) {
			t.Errorf("attempt %d: error %q", i+1, a.Error)
		}
	}
}

func TestDropAndTheLastAttemptLeaveADeadLetterAndTheFactThatEndsTheRun(t *testing.T) {
	r := newRig(t)
	dropped, worn := fetch(1, hub.High), fetch(2, hub.Low)
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Job.ID == dropped.ID {
			return nil, fmt.Errorf("fetch: %w", work.Drop(errors.New("no such repository")))
		}
		return nil, errors.New("the host was away")
	}))
	r.enqueue(dropped, worn)
	r.wantOutcomes(r.ended(dropped, hub.JobFailed), job.Failed)
	r.wantOutcomes(r.ended(worn, hub.JobFailed), job.Retry, job.Retry, job.Failed)
	for _, c := range []struct {
		job      message.Job
		cause    string
		attempts int
	}{{dropped, "fetch: no such repository", 1}, {worn, "the host was away", 3}} {
		r.wantTexts("dead letter", []string{fmt.Sprintf("%s %s %d hub.job.connector.fetch.%s", c.job.Run, c.cause, c.attempts, c.job.Priority.Token())},
			`SELECT run || ' ' || cause || ' ' || attempts || ' ' || subject FROM dead_letter WHERE id = $1`, c.job.ID)
		r.wantTexts("fact", []string{fmt.Sprintf(`{"error":%q,"attempts":%d}`, c.cause, c.attempts)},
			`SELECT convert_from(body, 'UTF8') FROM fact WHERE id = $1`, c.job.ID+".job.failed")
	}
	r.wantTexts("the body is the way back", []string{`{"connection":"forge","repository":"shop/web"}`, `{"connection":"forge","repository":"shop/web"}`},
		`SELECT (convert_from(body, 'UTF8')::json->'body')::text FROM dead_letter`)
	js, _ := r.jetStream()
	hubtest.Eventually(t, patience, func() error {
		if dead, left := r.messages(js, "HUB_DEAD"), r.messages(js, "HUB_JOBS"); dead != 2 || left != 0 {
			return fmt.Errorf("%d copies on HUB_DEAD, %d messages left on HUB_JOBS", dead, left)
		}
		return nil
	})
}

func TestLaterCostsNoAttempt(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	var calls atomic.Int32
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Attempt != 1 {
			t.Errorf("attempt %d", d.Attempt)
		}
		if calls.Add(1) < 6 { // twice what the policy allows
			return nil, work.Later(time.Millisecond, errors.New("429"))
		}
		return done(d, "served"), nil
	}))
	r.enqueue(j)
	r.wantOutcomes(r.ended(j, hub.JobCompleted), job.Later, job.Later, job.Later, job.Later, job.Later, job.Completed)
}

func TestALongWaitIsKeptInTheLedgerAndNotOnTheStream(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	r.run(config(t, "w"), work.On(func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error) {
		return nil, work.Later(time.Hour, errors.New("come back in an hour"))
	}))
	r.enqueue(j)
	js, _ := r.jetStream()
	hubtest.Eventually(t, patience, func() error {
		s := r.state(j)
		if len(s.Attempts) != 1 || s.NextAt == nil || r.messages(js, "HUB_JOBS") != 0 {
			return fmt.Errorf("job %+v, %d messages", s, r.messages(js, "HUB_JOBS"))
		}
		if wait := time.Until(*s.NextAt); wait < 59*time.Minute || wait > time.Hour {
			t.Errorf("it waits for %s", wait)
		}
		return nil
	})
}

func TestAPanicIsAnErrorWithItsStack(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if d.Attempt == 1 {
			explode(nil)
		}
		return done(d, "survived"), nil
	}))
	r.enqueue(j)
	s := r.ended(j, hub.JobCompleted)
	r.wantOutcomes(s, job.Retry, job.Completed)
	if e := s.Attempts[0].Error; !strings.Contains(e, "panic: ") || !strings.Contains(e, "explode") {
		t.Errorf("the error does not say where: %s", e)
	}
}

func explode(m map[string]int) { m["x"] = 1 }

func TestABodyThatCannotBeDecodedIsDroppedAtOnce(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	j.Body = json.RawMessage(`{"connection":7}`)
	r.run(config(t, "w"), work.On(handler(func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error) {
		return nil, errors.New("called")
	})))
	r.enqueue(j)
	s := r.ended(j, hub.JobFailed)
	r.wantOutcomes(s, job.Failed)
	if !strings.Contains(s.Attempts[0].Error, "decode connector.fetch") {
		t.Errorf("error %q", s.Attempts[0].Error)
	}
}

func TestAJobThatTakesItsWorkersDownIsGivenUp(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	r.enqueue(j)
	ledger := job.NewLedger(r.store)
	for range 3 { // three workers claim it, and are never heard of again
		if claims, err := ledger.Claim(t.Context(), "gone", []string{j.ID}, 0); err != nil || len(claims) != 1 {
			t.Fatalf("claims %v, %v", claims, err)
		}
		again, err := ledger.Expired(t.Context())
		if err != nil || len(again) != 1 {
			t.Fatalf("expired %v, %v", again, err)
		}
		r.bus.PostJobs(again)
	}
	r.run(config(t, "w"), work.On(handler(func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error) {
		t.Error("it was run once more")
		return nil, nil
	})))
	s := r.ended(j, hub.JobFailed)
	r.wantOutcomes(s, job.Lost, job.Lost, job.Lost, job.Failed)
	if e := s.Attempts[3].Error; !strings.Contains(e, "3 workers stopped without a word") {
		t.Errorf("error %q", e)
	}
}

func TestAHandlerThatIsTooSlowIsStoppedAndTheErrorSaysSo(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	cfg := config(t, "w")
	cfg.Policies = map[message.Kind]work.Policy{message.Fetch: {First: time.Millisecond, Factor: 1, Cap: time.Millisecond, Attempts: 1, Timeout: 50 * time.Millisecond}}
	r.run(cfg, work.On(func(ctx context.Context, _ work.Delivery[message.FetchBody]) (work.Commit, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	r.enqueue(j)
	if e := r.ended(j, hub.JobFailed).Attempts[0].Error; e != "not done within 50ms: context deadline exceeded" {
		t.Errorf("error %q", e)
	}
}

func TestAMessageThatIsNoJobIsBuried(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	r.run(config(t, "w"), work.On(func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		return done(d, "fine"), nil
	}))
	js, nc := r.jetStream()
	for _, poison := range []string{"no json \x00\xff", `{"id":""}`, `{"id":"x","kind":`} {
		if err := nc.Publish("hub.job.connector.fetch.medium", []byte(poison)); err != nil {
			t.Fatal(err)
		}
	}
	r.enqueue(j)
	r.ended(j, hub.JobCompleted)
	hubtest.Eventually(t, patience, func() error {
		rows := r.texts(`SELECT cause FROM dead_letter WHERE subject = 'hub.job.connector.fetch.medium'`)
		if left, copies := r.messages(js, "HUB_JOBS"), r.messages(js, "HUB_DEAD"); len(rows) != 3 || left != 0 || copies != 3 {
			return fmt.Errorf("%d messages left, %d copies, rows %q", left, copies, rows)
		}
		return nil
	})
}

func TestAJobOfAnUnknownKindWaitsForANewerWorker(t *testing.T) {
	r := newRig(t)
	j := fetch(1, hub.Medium)
	j.Kind = "connector.teleport"
	r.run(config(t, "w"), work.On(handler(func(context.Context, work.Delivery[message.FetchBody]) (work.Commit, error) {
		t.Error("it was taken for a fetch")
		return nil, nil
	})))
	r.enqueue(j)
	js, _ := r.jetStream()
	hubtest.Eventually(t, patience, func() error {
		c, err := js.Consumer(t.Context(), "HUB_JOBS", message.Durable(message.Connector, hub.Medium))
		if err != nil {
			return err
		}
		return delivered(c.CachedInfo(), 1)
	})
	if s := r.state(j); s.Status != hub.JobPending || len(s.Attempts) != 0 {
		t.Errorf("job %+v", s)
	}
	if n := r.messages(js, "HUB_JOBS"); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func delivered(info *jetstream.ConsumerInfo, want uint64) error {
	if info.Delivered.Consumer != want {
		return fmt.Errorf("%d deliveries", info.Delivered.Consumer)
	}
	return nil
}
