package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/deployment"
	"integrationhub/internal/store/finding"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/run"
)

// write runs a batch that must succeed.
func (d *door) write(queue func(*store.Batch)) {
	d.Helper()
	var b store.Batch
	queue(&b)
	if err := b.Run(d.Context(), d.store.DB()); err != nil {
		d.Fatal(err)
	}
}

func (d *door) run(r run.Run) run.Run {
	d.Helper()
	if r.ID == "" {
		r.ID = hub.RunID("test", "1")
	}
	r.Connection, r.Strategy, r.Priority = "forge", hub.DryRun, hub.Medium
	if r.Status == "" {
		r.Status = hub.RunRunning
	}
	if r.CreatedAt.IsZero() {
		r.CreatedAt = time.Now().UTC()
	}
	d.write(func(b *store.Batch) { run.Save(b, r, json.RawMessage(`{}`)) })
	return r
}

// list reads every page of a list and tells the given field of each entry.
func (d *door) list(path, list, field string, next func(page answer, last string) string) []string {
	d.Helper()
	var all []string
	for pages := 0; pages < 20; pages++ {
		a := d.get(path)
		if a.status != http.StatusOK {
			d.Fatalf("GET %s: %d %s", path, a.status, a.raw)
		}
		entries, _ := a.body[list].([]any)
		if entries == nil {
			d.Errorf("GET %s: %s is not a list: %s", path, list, a.raw)
		}
		for _, e := range entries {
			all = append(all, fmt.Sprint(e.(map[string]any)[field]))
		}
		if len(entries) == 0 {
			return all
		}
		if path = next(a, all[len(all)-1]); path == "" {
			return all
		}
	}
	d.Fatalf("GET %s: the pages do not end", path)
	return nil
}

func TestRunsAreListedNewestFirstInPages(t *testing.T) {
	d := open(t, "")
	if a := d.get("/api/v1/runs"); a.status != http.StatusOK || a.raw[:11] != `{"runs":[]}` {
		t.Errorf("without runs: %d %s", a.status, a.raw)
	}
	var want []string
	for i := range 7 {
		r := d.run(run.Run{ID: hub.RunID("test", fmt.Sprint(i)), Repository: fmt.Sprint("shop/", i%2), CreatedAt: time.Now().Add(time.Duration(i) * time.Second)})
		want = append([]string{r.ID}, want...)
	}
	got := d.list("/api/v1/runs?limit=3", "runs", "id", func(_ answer, last string) string { return "/api/v1/runs?limit=3&before=" + last })
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if a := d.get("/api/v1/runs?status=RUNNING&connection=forge&repository=" + url.QueryEscape("shop/1")); len(a.body["runs"].([]any)) != 3 {
		t.Errorf("filtered: %s", a.raw)
	}
	for query, field := range map[string]string{"status=SLEEPING": "query.status", "limit=0": "query.limit", "limit=501": "query.limit", "limit=many": "query.limit"} {
		d.problem(d.get("/api/v1/runs?"+query), http.StatusUnprocessableEntity, field)
	}
}

func TestARunIsShownWithWhatCameOfIt(t *testing.T) {
	d := open(t, "")
	r := d.run(run.Run{Repository: "shop/web"})
	if a := d.get("/api/v1/runs/" + r.ID); a.status != http.StatusOK || a.body["analysis"] != nil || a.body["deployment"] != nil || a.body["repository"] != "shop/web" {
		t.Errorf("at first: %d %s", a.status, a.raw)
	}
	var findings []hub.Finding
	for i := range 5 {
		findings = append(findings, hub.Finding{Rule: fmt.Sprint("rule-", i), Severity: hub.Severities[i], Category: hub.Security, File: "a.go"})
	}
	d.write(func(b *store.Batch) {
		finding.Replace(b, r.ID, "snap", hub.Analysis{Score: 71, Risk: hub.RiskMedium}, findings)
		deployment.Replace(b, deployment.Deployment{ID: r.ID, Run: r.ID, Strategy: hub.DryRun, Status: deployment.Empty, Proof: json.RawMessage(`{}`)})
	})
	a := d.get("/api/v1/runs/" + r.ID)
	if score := a.body["analysis"].(map[string]any)["score"]; score != 71.0 {
		t.Errorf("score %v", score)
	}
	if status := a.body["deployment"].(map[string]any)["status"]; status != "EMPTY" {
		t.Errorf("deployment %v", status)
	}
	path := "/api/v1/runs/" + r.ID + "/findings"
	for _, limit := range []int{1, 2, 5, 100} {
		pages := 0
		got := d.list(fmt.Sprint(path, "?limit=", limit), "findings", "rule", func(page answer, _ string) string {
			pages++
			if page.body["next"] == nil {
				return ""
			}
			return fmt.Sprint(path, "?limit=", limit, "&after=", page.body["next"])
		})
		if want := []string{"rule-0", "rule-1", "rule-2", "rule-3", "rule-4"}; !slices.Equal(got, want) || pages != (5+limit-1)/limit {
			t.Errorf("limit %d: %q on %d pages", limit, got, pages)
		}
	}
	if a := d.get(path + "?severity=HIGH"); len(a.body["findings"].([]any)) != 1 {
		t.Errorf("filtered: %s", a.raw)
	}
	d.problem(d.get(path+"?severity=AWFUL"), http.StatusUnprocessableEntity, "query.severity")
	d.problem(d.get(path+"?after=first"), http.StatusUnprocessableEntity, "query.after")
}

func TestATimelineTellsWhatHappenedInOrder(t *testing.T) {
	d := open(t, "")
	if a := d.publish(event("1")); a.status != http.StatusAccepted {
		t.Fatal(a.raw)
	}
	id := hub.RunID("https://ci.example.org", "1")
	r := d.run(run.Run{ID: id})
	j := message.Job{ID: hub.JobID(id, "fetch", 1), Run: id, Kind: message.Fetch, Priority: hub.Medium, Connection: "forge", Body: json.RawMessage(`{}`)}
	d.write(func(b *store.Batch) { job.Insert(b, []message.Job{j}, nil) })
	ledger := job.NewLedger(d.store)
	attempt := func(outcome job.Outcome, text string) {
		claims, err := ledger.Claim(t.Context(), "w", []string{j.ID}, time.Minute)
		if err != nil || len(claims) != 1 {
			t.Fatalf("%v, %v", claims, err)
		}
		if outcome == "" {
			return
		}
		if _, err := ledger.Finish(t.Context(), []job.End{{Claim: claims[0], Outcome: outcome, Error: text}}); err != nil {
			t.Fatal(err)
		}
	}
	what := func() []string {
		a := d.get("/api/v1/runs/" + id + "/timeline")
		var all []string
		last := -1.0
		moments, _ := a.body["moments"].([]any)
		for _, m := range moments {
			m := m.(map[string]any)
			if after := m["after_ms"].(float64); after < last {
				t.Errorf("%v comes after %f ms", m, last)
			} else {
				last = after
			}
			text := fmt.Sprint(m["what"])
			for _, k := range []string{"attempt", "status", "error", "worker"} {
				if m[k] != nil {
					text += fmt.Sprint(" ", m[k])
				}
			}
			all = append(all, text)
		}
		return all
	}
	attempt(job.Later, "429")
	attempt(job.Retry, "the host was away")
	attempt("", "")
	want := []string{
		"event.accepted", "run.opened", "job.queued", "attempt.started 1 w", "attempt.ended 1 LATER 429 w",
		"attempt.started 1 w", "attempt.ended 1 RETRY the host was away w", "attempt.started 2 w",
	}
	if got := what(); !slices.Equal(got, want) {
		t.Errorf("while it runs:\n%q, want\n%q", got, want)
	}
	claimed := job.Claim{ID: j.ID, Attempt: 2, Fence: 3}
	if got, err := ledger.Finish(t.Context(), []job.End{{Claim: claimed, Outcome: job.Completed}}); err != nil || !got[0].Won {
		t.Fatalf("%+v, %v", got, err)
	}
	end := time.Now().UTC()
	r.Status, r.FinishedAt = hub.RunCompleted, &end
	d.run(r)
	want = append(want, "attempt.ended 2 COMPLETED w", "run.ended COMPLETED")
	if got := what(); !slices.Equal(got, want) {
		t.Errorf("at the end:\n%q, want\n%q", got, want)
	}
}

func TestACancelGoesTheRoadOfAnEventAndEndsTheRun(t *testing.T) {
	d := open(t, "")
	if a := d.publish(event("1")); a.status != http.StatusAccepted {
		t.Fatal(a.raw)
	}
	id := hub.RunID("https://ci.example.org", "1")
	asJSON := map[string]string{"Content-Type": "application/json"}
	if a := d.ask(http.MethodPost, "/api/v1/runs/"+id+"/cancel", `{"reason":"not needed"}`, asJSON); a.status != http.StatusAccepted || a.body["run"] != id {
		t.Fatalf("%d %s", a.status, a.raw) // though nobody has folded its event
	}
	d.fold()
	d.eventually(id, "CANCELLED", "not needed")
	if n := d.count(`SELECT count(*) FROM job_open`); n != 0 {
		t.Errorf("%d jobs are open", n)
	}
	if a := d.ask(http.MethodPost, "/api/v1/runs/"+id+"/cancel", `{"reason":"again"}`, asJSON); a.status != http.StatusAccepted {
		t.Errorf("again: %d %s", a.status, a.raw)
	}
	d.eventually(id, "CANCELLED", "not needed")
}

// eventually waits for the state of a run.
func (d *door) eventually(id, status, reason string) {
	d.Helper()
	hubtest.Eventually(d, patience, func() error {
		if a := d.get("/api/v1/runs/" + id); a.body["status"] != status || fmt.Sprint(a.body["reason"]) != reason {
			return fmt.Errorf("%d %s", a.status, a.raw)
		}
		return nil
	})
}
