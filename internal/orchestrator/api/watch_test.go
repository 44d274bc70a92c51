package api_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/bus"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
)

// counted is a real bus that tells when a subscription for progress ends.
type counted struct {
	*bus.Bus
	released chan struct{}
}

func (c counted) WatchProgress(ctx context.Context, run string, handle func(message.Progress)) error {
	context.AfterFunc(ctx, func() { c.released <- struct{}{} })
	return c.Bus.WatchProgress(ctx, run, handle)
}

// watched opens the door on a server that cuts ordinary answers after a second.
func watched(t *testing.T) (d *door, released chan struct{}, stopping chan struct{}) {
	t.Helper()
	d = open(t, "")
	released, stopping = make(chan struct{}, 8), make(chan struct{})
	srv := httptest.NewUnstartedServer(api.New(api.Config{
		Store: d.store, Bus: counted{d.bus, released}, Acceptor: d.orch, Log: hubtest.Log(t), Stopping: stopping,
	}).Handler(nil))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = time.Second, time.Second
	srv.Start()
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d, released, stopping
}

// lines opens a stream, and hands on its lines until it ends.
func (d *door) lines(ctx context.Context, run string) <-chan string {
	d.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/api/v1/runs/"+run+"/watch", nil)
	if err != nil {
		d.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		d.Fatalf("%s %s", resp.Status, resp.Header)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out
}

// until reads lines to one that holds all of the words; it is empty where the
// stream ends before.
func (d *door) until(lines <-chan string, words ...string) string {
	d.Helper()
	timeout := time.After(patience)
	for {
		select {
		case l, more := <-lines:
			found := more
			for _, w := range words {
				found = found && strings.Contains(l, w)
			}
			if found || !more {
				return l
			}
		case <-timeout:
			d.Fatalf("no line with %q", words)
		}
	}
}

func (d *door) wait(ch <-chan struct{}, what string) {
	d.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		d.Fatalf("%s: not within %s", what, patience)
	}
}

func TestAWatchedRunIsToldToItsEndHoweverLongItTakes(t *testing.T) {
	t.Parallel()
	d, released, _ := watched(t)
	run := d.accepted("1")
	lines := d.lines(t.Context(), run)
	if d.until(lines, "data: ", `"PENDING"`) == "" {
		t.Fatal("the run is not told at first")
	}
	d.fold()
	if d.until(lines, "data: ", `"RUNNING"`) == "" {
		t.Fatal("the change of status is not told")
	}
	// The server's own time-outs are long over when the heartbeat comes.
	if d.until(lines, ": still here") == "" {
		t.Fatal("the stream was cut before its heartbeat")
	}
	d.bus.Progress(message.Progress{Run: run, Job: run + ".fetch.1", Kind: message.Fetch, Status: "PROCESSING", Note: "half of it", At: time.Now()})
	if d.until(lines, "data: ", `"half of it"`) == "" {
		t.Fatal("the progress is not told")
	}
	d.post(http.StatusAccepted, "/api/v1/runs/"+run+"/cancel", `{"reason":"seen enough"}`)
	if d.until(lines, "data: ", `"CANCELLED"`, "seen enough") == "" {
		t.Fatal("the end is not told")
	}
	if l := d.until(lines, "data:"); l != "" {
		t.Errorf("after the end came %q", l)
	}
	d.wait(released, "the subscription is released")

	// Of a run that has ended there is nothing to wait for.
	again := d.lines(t.Context(), run)
	if d.until(again, "data: ", `"CANCELLED"`) == "" || d.until(again, "data:") != "" {
		t.Error("an ended run is not told once")
	}
	d.problem(d.get("/api/v1/runs/nothing/watch"), http.StatusNotFound, "")
}

func TestAWatcherThatLeavesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d, released, stopping := watched(t)
	run := d.accepted("1")
	ctx, leave := context.WithCancel(t.Context())
	d.until(d.lines(ctx, run), "data: ")
	leave()
	d.wait(released, "the subscription of the client that left is released")

	lines := d.lines(t.Context(), run)
	d.until(lines, "data: ")
	close(stopping)
	if l := d.until(lines, "never"); l != "" {
		t.Errorf("the stream goes on with %q although the process stops", l)
	}
	d.wait(released, "the subscription is released when the process stops")
}
