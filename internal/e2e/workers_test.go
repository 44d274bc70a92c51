package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// cluster is the four programs as processes of their own, on one NATS and one
// Postgres. Its namespace is its own, so nothing is migrated before the
// orchestrator starts.
type cluster struct {
	t    *testing.T
	nats string
	env  []string
}

func newCluster(t *testing.T) *cluster {
	key := make([]byte, 32)
	rand.Read(key)
	c := &cluster{t: t, nats: hubtest.NATS(t).URL}
	c.env = environment(t.TempDir(), "HUB_NATS_URL="+c.nats, "HUB_DATABASE_URL="+hubtest.Postgres(t), "HUB_NAMESPACE=e2e",
		"HUB_SECRET_KEY="+base64.StdEncoding.EncodeToString(key), "HUB_API_TOKEN=the-token-of-the-cluster", "HUB_WORKER_LEASE=3s")
	return c
}

// program is a process of the cluster that tells its health.
type program struct {
	*process
	name   string
	env    []string
	health *client
}

func (c *cluster) start(name string, environ ...string) *program {
	c.t.Helper()
	address := freeAddress(c.t)
	env := append(append(c.env[:len(c.env):len(c.env)], "HUB_HEALTH_ADDR="+address), environ...)
	return &program{process: start(c.t, env, name), name: name, env: env, health: newClient(c.t, "http://"+address, "")}
}

// freeAddress is a port that a process may listen on. It is not one of those that
// the kernel gives to whoever connects somewhere meanwhile.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20000+mathrand.IntN(10000)))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// healthcheck is what a container's health check runs: its exit code.
func (p *program) healthcheck(t *testing.T) int {
	t.Helper()
	return start(t, p.env, p.name, "healthcheck").exitCode(t, stopWait)
}

// ready waits until the process can work.
func (p *program) ready(t *testing.T) {
	t.Helper()
	hubtest.Eventually(t, startWait, func() error {
		a, err := p.health.call(http.MethodGet, "/readyz", "")
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%s is not ready: %s", p.name, a.body)
		}
		return err
	})
}

func TestFourProgramsWorkTogether(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	git := hubtest.Git(t)
	git.Repository("code").Commit("first", faulty())

	// Workers wait for the schema and the streams, which only an orchestrator makes.
	one := []string{"HUB_WORKER_CONCURRENCY=1", "HUB_WORKER_PREFETCH=1"}
	connector, deployer, first := c.start("connector"), c.start("deployer"), c.start("analyzer", one...)
	for _, p := range []*program{connector, deployer, first} {
		waits(t, p)
	}
	if code := connector.healthcheck(t); code != 1 {
		t.Errorf("the healthcheck of a connector that is not ready ended with %d, want 1", code)
	}
	orchestrator := c.start("orchestrator", "HUB_LISTEN=127.0.0.1:0")
	for _, p := range []*program{orchestrator, connector, deployer, first} {
		p.ready(t)
	}
	if code := connector.healthcheck(t); code != 0 {
		t.Errorf("the healthcheck of a connector that is ready ended with %d, want 0", code)
	}
	door := newClient(t, listening(t, orchestrator), "the-token-of-the-cluster")
	door.connect(t, "code", hub.Git, git.URL, "")

	guarded(t, door)
	fourWays(t, c.nats, door)
	second := c.start("analyzer", one...)
	second.ready(t)
	share(t, door, first, second)
	survivor := killOne(t, door, first, second)
	drain(t, c.nats, door, survivor)
	for _, p := range []*program{connector, deployer, orchestrator} {
		p.stop(t)
	}
	if code := connector.healthcheck(t); code != 1 {
		t.Errorf("the healthcheck of a connector that is gone ended with %d, want 1", code)
	}
}

// waits wants a worker to live, not to be ready, and to say what for.
func waits(t *testing.T, p *program) {
	t.Helper()
	hubtest.Eventually(t, startWait, func() error {
		live, err := p.health.call(http.MethodGet, "/healthz", "")
		if err != nil {
			return err
		}
		ready, err := p.health.call(http.MethodGet, "/readyz", "")
		if err != nil {
			return err
		}
		if live.status != http.StatusOK || ready.status != http.StatusServiceUnavailable || !strings.Contains(p.stderr.String(), `"for":"schema and streams"`) {
			return fmt.Errorf("%s: live %d, ready %d", p.name, live.status, ready.status)
		}
		return nil
	})
}

// listening is where the orchestrator's door is, as its log says.
func listening(t *testing.T, p *program) (url string) {
	t.Helper()
	hubtest.Eventually(t, startWait, func() error {
		for line := range strings.Lines(p.stderr.String()) {
			var entry struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
				url = "http://" + entry.Addr
				return nil
			}
		}
		return fmt.Errorf("the orchestrator does not say where it listens")
	})
	return url
}

// fourWays publishes an event in each way that is taken: over HTTP and over NATS,
// structured and binary.
func fourWays(t *testing.T, natsURL string, door *client) {
	t.Helper()
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	const kind, data = "hub.analysis_requested.v1", `{"connection":"code","repository":"code"}`
	door.publish(t, event("http-structured", "code", "code", nil))
	a, err := door.call(http.MethodPost, "/api/v1/events", data, "Content-Type", "application/json",
		"ce-specversion", "1.0", "ce-id", "http-binary", "ce-source", "e2e", "ce-type", kind, "traceparent", trace)
	if err != nil || a.status != http.StatusAccepted {
		t.Fatalf("POST an event in binary mode: %v, %d %s", err, a.status, a.body)
	}

	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	publish := func(connection string, m nats.Msg) {
		m.Subject = "e2e.event." + connection + ".analysis_requested"
		if _, err := js.PublishMsg(ctx, &m); err != nil {
			t.Fatalf("publish on %s: %v", m.Subject, err)
		}
	}
	publish("code", nats.Msg{Data: []byte(event("nats-structured", "code", "code", nil))})
	publish("code", nats.Msg{Data: []byte(data), Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"nats%2Dbinary"}, "ce-source": {"e2e"}, "ce-type": {kind}, "ce-traceparent": {trace}, "content-type": {"application/json"},
	}})
	publish("nobody", nats.Msg{Data: []byte(event("nats-nobody", "nobody", "code", nil))})

	for id, want := range map[string]string{"http-structured": "", "http-binary": trace, "nats-structured": "", "nats-binary": trace} {
		r := appeared(t, door, id)
		if r = door.completed(t, r.ID); r.Trace != want {
			t.Errorf("%s: the trace is %q, want %q", id, r.Trace, want)
		}
	}
	hubtest.Eventually(t, runWait, func() error { // refused like at the HTTP door, and kept
		var list struct {
			Letters []struct {
				Subject string `json:"subject"`
				Cause   string `json:"cause"`
			} `json:"dead_letters"`
		}
		if err := door.get("/api/v1/dead-letters", &list); err != nil {
			return err
		}
		for _, l := range list.Letters {
			if l.Subject == "e2e.event.nobody.analysis_requested" && strings.Contains(l.Cause, `"nobody" does not exist`) {
				return nil
			}
		}
		return fmt.Errorf("no dead letter for the event of an unknown connection: %+v", list)
	})
}

// appeared waits for the run of an event: one that came over NATS is known once
// it is folded.
func appeared(t *testing.T, door *client, event string) (r run) {
	t.Helper()
	hubtest.Eventually(t, runWait, func() error { return door.get("/api/v1/runs/"+hub.RunID("e2e", event), &r) })
	return r
}

// worked reports whether the last attempt of a run's analysis was p's.
func (p *program) worked(j job) bool {
	worker := j.Worker
	if worker == "" && len(j.Attempts) > 0 {
		worker = j.Attempts[len(j.Attempts)-1].Worker
	}
	return strings.Contains(worker, fmt.Sprintf("/%d/", p.cmd.Process.Pid))
}

// share wants two analyzers to take their parts of a pile of work.
func share(t *testing.T, door *client, first, second *program) {
	t.Helper()
	var runs []string
	for i := range 12 {
		runs = append(runs, door.publish(t, event(fmt.Sprint("share-", i), "code", "code", nil)))
	}
	took := map[*program]int{}
	for _, id := range runs {
		door.completed(t, id)
		for _, p := range []*program{first, second} {
			if p.worked(door.job(t, id, "analyzer.analyze")) {
				took[p]++
			}
		}
	}
	if took[first] == 0 || took[second] == 0 || took[first]+took[second] != len(runs) {
		t.Errorf("of %d analyses the first analyzer did %d, the second %d", len(runs), took[first], took[second])
	}
}

// killOne kills the analyzer that works on a run, and wants the other one, which
// it returns, to end the run.
func killOne(t *testing.T, door *client, first, second *program) (survivor *program) {
	t.Helper()
	id := door.publish(t, event("kill", "code", "code", nil))
	freeze(t, func() error { return door.isProcessing(t, id, "analyzer.analyze") }, first.process, second.process)
	victim, survivor := first, second
	if second.worked(door.job(t, id, "analyzer.analyze")) {
		victim, survivor = second, first
	}
	victim.kill()
	survivor.signalChildren(t, syscall.SIGCONT)
	door.completed(t, id)
	if j := door.job(t, id, "analyzer.analyze"); j.outcomes() != "LOST COMPLETED" || !survivor.worked(j) {
		t.Errorf("the attempts of the analysis ended %s, the last one by %s", j.outcomes(), j.Attempts[len(j.Attempts)-1].Worker)
	}
	return survivor
}

// drain tells the last analyzer to stop while it works: it takes nothing new,
// and ends what it has begun.
func drain(t *testing.T, natsURL string, door *client, last *program) {
	t.Helper()
	id := door.publish(t, event("drain", "code", "code", nil))
	freeze(t, func() error { return door.isProcessing(t, id, "analyzer.analyze") }, last.process)
	last.signal(t, syscall.SIGTERM)
	noPull(t, natsURL)
	last.signalChildren(t, syscall.SIGCONT)
	if code := last.exitCode(t, stopWait); code != 0 {
		t.Errorf("the analyzer ended with %d after SIGTERM", code)
	}
	r := door.completed(t, id)
	if j := door.job(t, id, "analyzer.analyze"); j.outcomes() != "COMPLETED" || len(r.Analysis.Skipped) != 1 {
		t.Errorf("the attempts of the analysis ended %s, and %v was skipped", j.outcomes(), r.Analysis.Skipped)
	}
}

// noPull waits until no analyzer asks the stream for work.
func noPull(t *testing.T, natsURL string) {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, runWait, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		consumer, err := js.Consumer(ctx, "E2E_JOBS", "analyzer-medium")
		if err != nil {
			return err
		}
		if n := consumer.CachedInfo().NumWaiting; n > 0 {
			return fmt.Errorf("%d requests wait for analyses", n)
		}
		return nil
	})
}
