package e2e

import (
	"encoding/json"
	"os/exec"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// An operator takes one of two connectors out: it finishes what it has and ends
// well, and the other one goes on.
func TestADrainedProcessEndsWellAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	git := hubtest.Git(t)
	git.Repository("code").Commit("first", faulty())
	orchestrator := c.start("orchestrator", "HUB_LISTEN=127.0.0.1:0")
	first, second := c.start("connector"), c.start("connector")
	for _, p := range []*program{orchestrator, first, second, c.start("analyzer"), c.start("deployer")} {
		p.ready(t)
	}
	url := listening(t, orchestrator)
	door := newClient(t, url, "the-token-of-the-cluster")
	door.connect(t, "code", hub.Git, git.URL, "")
	command := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary(t, "hub"), args...)
		cmd.Env = append(c.env[:len(c.env):len(c.env)], "HUB_URL="+url)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		return out
	}

	var list struct {
		Workers []struct{ Worker, Name string }
	}
	if err := json.Unmarshal(command("worker", "list", "--format", "json"), &list); err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, w := range list.Workers {
		names[w.Worker] = append(names[w.Worker], w.Name)
	}
	if len(names["connector"]) != 2 || len(names["analyzer"]) != 1 || len(names["deployer"]) != 1 {
		t.Fatalf("the replicas are %v", names)
	}
	command("worker", "drain", names["connector"][0])
	leaving, staying := first, second
	select {
	case <-first.exited:
	case <-second.exited:
		leaving, staying = second, first
	case <-t.Context().Done():
	}
	if code := leaving.exitCode(t, stopWait); code != 0 {
		t.Errorf("the drained connector ended with %d", code)
	}
	run := door.completed(t, door.publish(t, event("after", "code", "code", nil)))
	if j := door.job(t, run.ID, "connector.fetch"); !staying.worked(j) {
		t.Errorf("the fetch was done by %v", j.Attempts)
	}
}
