package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// Whoever presses Ctrl-C wants the prompt back, and wants nothing to go on.
func TestAnInterruptedRunIsCancelled(t *testing.T) {
	t.Parallel()
	git := hubtest.Git(t)
	git.Repository("code").Commit("first", map[string]string{"main.go": "package main\n"})
	g, dir := newGate(t, git), hubtest.DataDir(t)

	p := start(t, environment(t.TempDir(), "HUB_DATA_DIR="+dir), "hub", "run", "--verbose", g.URL+"/code")
	g.held(t)
	p.signal(t, os.Interrupt)
	// Shorter than HUB_WORKER_DRAIN: a cancelled fetch is not waited for.
	if code := p.exitCode(t, 20*time.Second); code != 130 {
		t.Errorf("hub run ended with %d, want 130", code)
	}
	said := p.stderr.String()
	_, after, _ := strings.Cut(said, "interrupted; run ")
	id, _, found := strings.Cut(after, " is CANCELLED")
	if !found || strings.Contains(said, "goroutine ") {
		t.Fatalf("hub run said %q", said)
	}

	h := up(t, dir) // on the same directory, to look at what is left
	if r := h.ended(t, id); r.Status != hub.RunCancelled || r.Reason != "interrupted by the user" {
		t.Errorf("the run is %s: %s", r.Status, r.Reason)
	}
	if j := h.job(t, id, "connector.fetch"); j.Status != hub.JobCancelled {
		t.Errorf("the fetch is %s after %s", j.Status, j.outcomes())
	}
	h.stop(t)
}
