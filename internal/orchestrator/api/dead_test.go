package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/work"
)

const deadLetters = "/api/v1/dead-letters"

// broken is a connector whose fetches fail for good until it is mended.
func (d *door) broken() (mended *atomic.Bool) {
	mended = &atomic.Bool{}
	d.work("w", func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		if !mended.Load() {
			return nil, work.Drop(errors.New("the door of the host is closed"))
		}
		return fetched(d), nil
	})
	d.fold()
	return mended
}

// moved waits until the analysis of a run is queued.
func (d *door) moved(run string) {
	d.Helper()
	hubtest.Eventually(d, patience, func() error {
		t := read[api.Timeline](d, "/api/v1/runs/"+run+"/timeline")
		for _, j := range t.Jobs {
			if j.Kind == message.Analyze {
				return nil
			}
		}
		return fmt.Errorf("run %s is %s and has %d jobs", run, t.Run.Status, len(t.Jobs))
	})
}

func TestARequeuedDeadLetterIsMadeGoodByAJobThatNamesIt(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	mended := d.broken()
	run := d.accepted("1")
	d.is(run, hub.RunFailed)

	list := read[api.DeadList](d, deadLetters)
	if len(list.Letters) != 1 || list.Total != 1 {
		t.Fatalf("the dead letters are %+v", list)
	}
	letter := list.Letters[0]
	if letter.Run != run || letter.Kind != message.Fetch || letter.Attempts != 1 || !strings.Contains(letter.Cause, "door of the host") || letter.Resolution != "" {
		t.Errorf("the letter is %+v", letter)
	}
	detail := read[api.LetterDetail](d, deadLetters+"/"+letter.ID)
	if detail.Encoding != "json" || !strings.Contains(detail.Body, `"repository":"shop/web"`) || detail.ID != letter.ID {
		t.Errorf("the letter in full is %+v", detail)
	}

	mended.Store(true)
	d.post(http.StatusAccepted, deadLetters+"/"+letter.ID+"/requeue", "")
	d.moved(run)
	if now := read[api.LetterDetail](d, deadLetters+"/"+letter.ID); now.Resolution != "REQUEUED" || now.ResolvedAt == nil || now.RequeuedAs != run+".fetch.2" {
		t.Errorf("the letter is now %+v", now.Letter)
	}
	if open := read[api.DeadList](d, deadLetters); open.Total != 0 || len(open.Letters) != 0 {
		t.Errorf("still open: %+v", open)
	}
	if all := read[api.DeadList](d, deadLetters+"?all=true"); all.Total != 1 {
		t.Errorf("of all there are %d", all.Total)
	}
	d.problem(d.ask(http.MethodPost, deadLetters+"/"+letter.ID+"/requeue", "", nil), http.StatusConflict, "")
	d.problem(d.ask(http.MethodPost, deadLetters+"/nothing/requeue", "", nil), http.StatusNotFound, "")
}

func TestManyDeadLettersAreRequeuedOnlyIfThereAreAsManyAsExpected(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	mended := d.broken()
	first, second := d.accepted("1"), d.accepted("2")
	d.is(first, hub.RunFailed)
	d.is(second, hub.RunFailed)
	mended.Store(true)

	a := d.ask(http.MethodPost, deadLetters+"/requeue", `{"cause":"door of the host","expected":3}`, asJSON)
	d.problem(a, http.StatusConflict, "")
	if detail := fmt.Sprint(a.body["detail"]); !strings.Contains(detail, "2 open dead letters match, not 3") {
		t.Errorf("the refusal says %q", detail)
	}
	if open := read[api.DeadList](d, deadLetters); open.Total != 2 {
		t.Errorf("%d letters are open after the refusal", open.Total)
	}
	// One of the letters is of no use.
	unreadable := message.DeadLetter{ID: "unread.1", Subject: "hub.job.connector.fetch.low", Cause: "the door of the host, in nobody's words", Body: []byte{0xff, 0}}
	var b store.Batch
	dead.Insert(&b, unreadable)
	if err := b.Run(t.Context(), d.store.DB()); err != nil {
		t.Fatal(err)
	}
	a = d.post(http.StatusAccepted, deadLetters+"/requeue", `{"cause":"door of the host","expected":3}`)
	if a.body["requeued"] != 2.0 || !strings.Contains(a.raw, "would be refused again") {
		t.Errorf("the answer is %s", a.raw)
	}
	d.moved(first)
	d.moved(second)
	if open := read[api.DeadList](d, deadLetters); open.Total != 1 || open.Letters[0].ID != "unread.1" {
		t.Errorf("open are %+v", open)
	}
	d.problem(d.ask(http.MethodPost, deadLetters+"/requeue", `{}`, asJSON), http.StatusUnprocessableEntity, "body")
}

func TestAnUnreadableDeadLetterIsShownAsItCameAndDiscardedWithAReason(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	letter := message.DeadLetter{ID: "unread.1", Subject: "hub.job.connector.fetch.low", Cause: "no JSON", Body: []byte("\xff\x00")}
	var b store.Batch
	dead.Insert(&b, letter)
	if err := b.Run(t.Context(), d.store.DB()); err != nil {
		t.Fatal(err)
	}
	path := deadLetters + "/unread.1"
	if got := read[api.LetterDetail](d, path); got.Encoding != "base64" || got.Body != base64.StdEncoding.EncodeToString(letter.Body) {
		t.Errorf("the letter is %+v", got)
	}
	d.problem(d.ask(http.MethodPost, path+"/requeue", "", nil), http.StatusConflict, "")
	d.problem(d.ask(http.MethodPost, path+"/discard", `{"reason":""}`, asJSON), http.StatusUnprocessableEntity, "body.reason")
	d.post(http.StatusOK, path+"/discard", `{"reason":"somebody's experiment"}`)
	if got := read[api.LetterDetail](d, path); got.Resolution != "DISCARDED" || got.Reason != "somebody's experiment" || got.ResolvedAt == nil {
		t.Errorf("the discarded letter is %+v", got.Letter)
	}
	d.problem(d.ask(http.MethodPost, path+"/discard", `{"reason":"again"}`, asJSON), http.StatusConflict, "")
	d.problem(d.ask(http.MethodPost, path+"/requeue", "", nil), http.StatusConflict, "")
}

func TestARefusedEventIsPublishedAgainOnceItsConnectionExists(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	d.fold()
	letter := message.DeadLetter{
		ID: "unread.1", Subject: "hub.event.later.push", Cause: "the connection does not exist",
		Body: []byte(strings.Replace(event("1"), "forge", "later", 1)),
	}
	var b store.Batch
	dead.Insert(&b, letter)
	if err := b.Run(t.Context(), d.store.DB()); err != nil {
		t.Fatal(err)
	}
	path := deadLetters + "/unread.1"
	a := d.ask(http.MethodPost, path+"/requeue", "", nil)
	d.problem(a, http.StatusConflict, "")
	if !strings.Contains(a.raw, "PUT /api/v1/connections/later") {
		t.Errorf("the refusal does not say what to do: %s", a.raw)
	}
	if err := connection.Save(t.Context(), d.store, connection.Connection{Slug: "later", Kind: hub.Git, BaseURL: "https://git.example.org"}); err != nil {
		t.Fatal(err)
	}
	d.post(http.StatusAccepted, path+"/requeue", "")
	d.is(hub.RunID("https://ci.example.org", "1"), hub.RunRunning)
	if l := read[api.LetterDetail](d, path); l.Resolution != "REQUEUED" {
		t.Errorf("the letter is %+v", l.Letter)
	}
}

func TestAnEventThatCouldNotBeFoldedIsFoldedAgain(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	run := hub.RunID("https://ci.example.org", "1")
	// What an older version cannot read: the row stands for the event of a newer one.
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := d.store.DB().Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO event (key, source, id, kind, connection, body) VALUES ($1, 'https://ci.example.org', '1', 'push', 'forge', '{"connection": 5}')`, run)
	d.fold()
	path := deadLetters + "/fold." + run
	hubtest.Eventually(t, patience, func() error {
		if a := d.get(path); a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.raw)
		}
		return nil
	})
	d.post(http.StatusAccepted, path+"/requeue", "")
	hubtest.Eventually(t, patience, func() error { // it still cannot be read
		if l := read[api.LetterDetail](d, path); l.Resolution != "" {
			return fmt.Errorf("%+v", l.Letter)
		}
		return nil
	})
	exec(`UPDATE event SET body = '{"connection": "forge", "repository": "shop/web", "ref": "refs/heads/main", "strategy": "DRY_RUN", "priority": "LOW"}' WHERE key = $1`, run)
	d.post(http.StatusAccepted, path+"/requeue", "")
	d.is(run, hub.RunRunning)
	if l := read[api.LetterDetail](d, path); l.Resolution != "REQUEUED" {
		t.Errorf("the letter is %+v", l.Letter)
	}
}

func TestAFactThatCouldNotBeFoldedIsFoldedAgain(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	d.fold()
	run := d.accepted("1")
	d.is(run, hub.RunRunning)
	id := run + ".fetch.1.snapshot.fetched"
	// The fact of a newer worker, as this version sees it.
	if _, err := d.store.DB().Exec(t.Context(), `INSERT INTO fact (id, run, job, kind, body) VALUES ($1, $2, $3, 'snapshot.fetched', '{"snapshot": 5}')`, id, run, run+".fetch.1"); err != nil {
		t.Fatal(err)
	}
	path := deadLetters + "/fold." + id
	hubtest.Eventually(t, patience, func() error {
		if a := d.get(path); a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.raw)
		}
		return nil
	})
	first := read[api.LetterDetail](d, path)
	d.post(http.StatusAccepted, path+"/requeue", "")
	hubtest.Eventually(t, patience, func() error {
		if l := read[api.LetterDetail](d, path); l.Resolution != "" || !l.At.After(first.At) {
			return fmt.Errorf("it was not folded again: %+v", l.Letter)
		}
		return nil
	})
}

func TestOnlyAFailedRunIsRetriedAndItsDeadLetterIsMadeGood(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	mended := d.broken()
	run := d.accepted("1")
	d.is(run, hub.RunFailed)
	mended.Store(true)
	a := d.post(http.StatusAccepted, "/api/v1/runs/"+run+"/retry", "")
	if a.header.Get("Location") != "/api/v1/runs/"+run {
		t.Errorf("the location is %q", a.header.Get("Location"))
	}
	d.moved(run)
	if l := read[api.LetterDetail](d, deadLetters+"/"+run+".fetch.1"); l.Resolution != "REQUEUED" || l.RequeuedAs != run+".fetch.2" {
		t.Errorf("the letter is %+v", l.Letter)
	}
	d.problem(d.ask(http.MethodPost, "/api/v1/runs/"+run+"/retry", "", nil), http.StatusConflict, "")
	d.problem(d.ask(http.MethodPost, "/api/v1/runs/nothing/retry", "", nil), http.StatusNotFound, "")
}
