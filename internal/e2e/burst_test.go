package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// The burst: distinct events, repetitions of some of them, and bad ones, by that
// many senders at a time.
const (
	distinct = 890
	repeated = 100
	senders  = 8
)

// malformed are events that no run can be made of, each bad in its own way, and
// what the answer must name.
var malformed = []struct {
	name, field, contentType, body string
	status                         int
}{
	{"no JSON", "body", structured, `{"specversion": "1.0", "id"`, http.StatusBadRequest},
	{"no specversion", "specversion", structured, strings.Replace(good, `"specversion":"1.0",`, "", 1), http.StatusUnprocessableEntity},
	{"no id", "id", structured, strings.Replace(good, `"id":"good"`, `"id":""`, 1), http.StatusUnprocessableEntity},
	{"an unknown type", "type", structured, strings.Replace(good, "analysis_requested", "wish", 1), http.StatusUnprocessableEntity},
	{"a time that is none", "time", structured, strings.Replace(good, `"id":`, `"time":"noon","id":`, 1), http.StatusUnprocessableEntity},
	{"a path for a repository", "data.repository", structured, strings.Replace(good, `"small"`, `"/etc"`, 1), http.StatusUnprocessableEntity},
	{"a repository that is a number", "data.repository", structured, strings.Replace(good, `"small"`, `7`, 1), http.StatusUnprocessableEntity},
	{"a connection that does not exist", "data.connection", structured, strings.Replace(good, `"code"`, `"other"`, 1), http.StatusUnprocessableEntity},
	{"a repeated key", "data.repository", structured, strings.Replace(good, `"repository":"small"`, `"repository":"small","repository":"large"`, 1), http.StatusUnprocessableEntity},
	{"binary mode without its headers", "specversion", "application/json", `{"connection":"code","repository":"small"}`, http.StatusUnprocessableEntity},
}

const (
	structured = "application/cloudevents+json"
	good       = `{"specversion":"1.0","id":"good","source":"e2e","type":"hub.analysis_requested.v1","data":{"connection":"code","repository":"small"}}`
)

func TestABurstOfEventsBecomesOneRunForEach(t *testing.T) {
	dir := hubtest.DataDir(t)
	h := up(t, dir)
	repo := hubtest.Git(t).Repository("small")
	repo.Commit("first", map[string]string{"load.py": "import yaml\n\n\ndef load(text):\n    return yaml.load(text)\n"})
	h.connect(t, "code", hub.SideNode, serveNode(t, repo.Dir, "small", "the-token-of-the-burst"), "the-token-of-the-burst")

	var posts []func() error
	for i := range distinct {
		posts = append(posts, func() error { return h.accepts(i) })
	}
	for i := range repeated {
		posts = append(posts, func() error { return h.accepts(i * distinct / repeated) })
	}
	for i := range malformed {
		posts = append(posts, func() error { return h.refuses(i) })
	}
	began := time.Now()
	atOnce(t, posts)
	accepted := time.Since(began)
	hubtest.Eventually(t, 5*time.Minute, func() error {
		for _, open := range []hub.RunStatus{hub.RunPending, hub.RunRunning} {
			var page struct{ Runs []run }
			if err := h.get("/api/v1/runs?limit=1&status="+string(open), &page); err != nil {
				return err
			}
			if len(page.Runs) > 0 {
				return fmt.Errorf("run %s is %s", page.Runs[0].ID, open)
			}
		}
		return nil
	})
	ended := time.Since(began)
	t.Logf("%d posts by %d senders took %s; all runs had ended after %s, %.0f a second",
		len(posts), senders, accepted.Round(time.Millisecond), ended.Round(time.Millisecond), distinct/ended.Seconds())

	all := h.runs(t)
	for i := range distinct {
		id := hub.RunID("e2e", fmt.Sprint(i))
		if r := all[id]; r.Status != hub.RunCompleted {
			t.Errorf("event %d: run %s is %q: %s", i, id, r.Status, r.Reason)
		}
		delete(all, id)
	}
	if len(all) > 0 {
		t.Errorf("runs of no event: %v", all)
	}
	counted(t, dir, map[string]int{"run": distinct, "event": distinct, "analysis": distinct, "dead_letter": 0})
	h.stop(t)
}

// accepts posts an event, perhaps not for the first time.
func (c *client) accepts(i int) error {
	a, err := c.post(event(fmt.Sprint(i), "code", "small", nil))
	if err != nil {
		return err
	}
	if want := "/api/v1/runs/" + hub.RunID("e2e", fmt.Sprint(i)); a.status != http.StatusAccepted || a.header.Get("Location") != want {
		return fmt.Errorf("event %d: %d at %q, want 202 at %q: %s", i, a.status, a.header.Get("Location"), want, a.body)
	}
	return nil
}

// refuses posts a malformed event.
func (c *client) refuses(i int) error {
	bad := malformed[i]
	a, err := c.call(http.MethodPost, "/api/v1/events", bad.body, "Content-Type", bad.contentType)
	if err != nil {
		return err
	}
	p, err := a.problem()
	if err != nil {
		return fmt.Errorf("%s: %w", bad.name, err)
	}
	if a.status != bad.status || len(p.Errors) != 1 || p.Errors[0].Location != bad.field || !strings.HasPrefix(p.Detail, bad.field+": ") {
		return fmt.Errorf("%s: %d %s; want %d and the field %s", bad.name, a.status, a.body, bad.status, bad.field)
	}
	return nil
}

// atOnce makes all posts, several at a time, in an order that mixes them.
func atOnce(t *testing.T, posts []func() error) {
	t.Helper()
	next := make(chan func() error)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for post := range next {
				if err := post(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	// A stride without a common factor visits each post once.
	for i := range posts {
		next <- posts[i*333%len(posts)]
	}
	close(next)
	wg.Wait()
}

// runs are all runs of a hub, by id.
func (c *client) runs(t *testing.T) map[string]run {
	t.Helper()
	all := map[string]run{}
	for before := ""; ; {
		var page struct{ Runs []run }
		if err := c.get("/api/v1/runs?limit=500&before="+before, &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Runs) == 0 {
			return all
		}
		for _, r := range page.Runs {
			if _, twice := all[r.ID]; twice {
				t.Fatalf("run %s is listed twice", r.ID)
			}
			all[r.ID], before = r, r.ID
		}
	}
}
