package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// client speaks to a hub's HTTP door.
type client struct {
	url   string
	token string
	http  *http.Client
}

func newClient(t testing.TB, url, token string) *client {
	c := &client{url: url, token: token, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// answer is what the door said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is the part of a problem+json document that people act on.
type problem struct {
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// problem wants the answer to be problem+json.
func (a answer) problem() (p problem, err error) {
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		return p, fmt.Errorf("%d comes as %q, not as problem+json: %.200s", a.status, got, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		return p, fmt.Errorf("%d is no problem document: %w", a.status, err)
	}
	return p, nil
}

// call sends a request with headers given as name, value, name, value...
func (c *client) call(method, path, body string, headers ...string) (a answer, err error) {
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// get decodes what is at path into out.
func (c *client) get(path string, out any) error {
	a, err := c.call(http.MethodGet, path, "")
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, a.status, a.body)
	}
	return json.Unmarshal(a.body, out)
}

// connect makes a connection of the hub.
func (c *client) connect(t testing.TB, slug string, kind hub.Platform, base, credential string) {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"kind": string(kind), "base_url": base, "credential": credential})
	a, err := c.call(http.MethodPut, "/api/v1/connections/"+slug, string(body), "Content-Type", "application/json")
	if err != nil || a.status >= 300 {
		t.Fatalf("PUT connection %s: %v, %d %s", slug, err, a.status, a.body)
	}
}

// event is a CloudEvent that asks for an analysis, as JSON.
func event(id, connection, repository string, data map[string]any) string {
	all := map[string]any{"connection": connection, "repository": repository}
	for k, v := range data {
		all[k] = v
	}
	raw, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": "e2e", "type": "hub.analysis_requested.v1", "data": all,
	})
	if err != nil {
		panic(err) // strings and maps always can be encoded
	}
	return string(raw)
}

func (c *client) post(event string) (answer, error) {
	return c.call(http.MethodPost, "/api/v1/events", event, "Content-Type", "application/cloudevents+json")
}

// publish posts an event and returns the id of its run.
func (c *client) publish(t testing.TB, event string) (run string) {
	t.Helper()
	a, err := c.post(event)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusAccepted {
		t.Fatalf("POST event: %d %s", a.status, a.body)
	}
	location := a.header.Get("Location")
	run, found := strings.CutPrefix(location, "/api/v1/runs/")
	if !found {
		t.Fatalf("the Location of the run is %q", location)
	}
	return run
}

// run is a run as the door shows it.
type run struct {
	ID         string        `json:"id"`
	Status     hub.RunStatus `json:"status"`
	Reason     string        `json:"reason"`
	Trace      string        `json:"trace"`
	Commit     string        `json:"commit"`
	Analysis   *hub.Analysis `json:"analysis"`
	Deployment *struct {
		Status  string       `json:"status"`
		Changes []hub.Change `json:"changes"`
		Diff    string       `json:"diff"`
	} `json:"deployment"`
}

// ended waits until a run is terminal.
func (c *client) ended(t testing.TB, id string) (r run) {
	t.Helper()
	hubtest.Eventually(t, runWait, func() error {
		r = run{}
		if err := c.get("/api/v1/runs/"+id, &r); err != nil {
			return err
		}
		if !r.Status.Terminal() {
			return fmt.Errorf("run %s is %s", id, r.Status)
		}
		return nil
	})
	return r
}

// completed waits until a run has ended, and well.
func (c *client) completed(t testing.TB, id string) run {
	t.Helper()
	r := c.ended(t, id)
	if r.Status != hub.RunCompleted {
		t.Fatalf("run %s is %s: %s", id, r.Status, r.Reason)
	}
	return r
}

// findings are one line for each: where, what, and its fingerprint.
func (c *client) findings(t testing.TB, id string) (lines []string) {
	t.Helper()
	for after := ""; ; {
		var page struct {
			Findings []hub.Finding `json:"findings"`
			Next     string        `json:"next"`
		}
		path := "/api/v1/runs/" + id + "/findings?limit=1000"
		if after != "" {
			path += "&after=" + after
		}
		if err := c.get(path, &page); err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Findings {
			lines = append(lines, fmt.Sprintf("%s:%d %s %s", f.File, f.Line, f.Rule, f.Fingerprint))
		}
		if after = page.Next; after == "" {
			return lines
		}
	}
}

// job is a job in a run's timeline.
type job struct {
	Kind     string        `json:"kind"`
	Status   hub.JobStatus `json:"status"`
	Worker   string        `json:"worker"`
	Attempts []struct {
		Outcome string `json:"outcome"`
		Worker  string `json:"worker"`
	} `json:"attempts"`
}

// outcomes are how the attempts of the job ended, such as "LOST COMPLETED".
func (j job) outcomes() string {
	var all []string
	for _, a := range j.Attempts {
		all = append(all, a.Outcome)
	}
	return strings.Join(all, " ")
}

// job is the last job of a kind in a run's timeline; its status is empty when
// there is none.
func (c *client) job(t testing.TB, id, kind string) (last job) {
	t.Helper()
	var timeline struct {
		Jobs []job `json:"jobs"`
	}
	if err := c.get("/api/v1/runs/"+id+"/timeline", &timeline); err != nil {
		t.Fatal(err)
	}
	for _, j := range timeline.Jobs {
		if j.Kind == kind {
			last = j
		}
	}
	return last
}
