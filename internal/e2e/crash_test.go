package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// gate stands before a git server, and holds its requests while it is shut.
type gate struct {
	URL     string
	knocked chan struct{} // gets a value for every request that is held
	open    chan struct{}
}

func newGate(t testing.TB, git *hubtest.GitServer) *gate {
	t.Helper()
	to, err := url.Parse(git.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{knocked: make(chan struct{}, 100), open: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-g.open:
		default:
			g.knocked <- struct{}{}
			select {
			case <-g.open:
			case <-r.Context().Done(): // the client is gone
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections() // git outlives a hub that is killed
		s.Close()
	})
	g.URL = s.URL
	return g
}

// held waits until somebody stands before the shut gate.
func (g *gate) held(t testing.TB) {
	t.Helper()
	select {
	case <-g.knocked:
	case <-time.After(runWait):
		t.Fatal("nobody fetches")
	}
}

// faulty is a small repository with findings, some of which can be mended.
func faulty() map[string]string {
	files := map[string]string{"README.md": "# Faults\n"}
	for i := range 40 {
		files[fmt.Sprintf("lib/part%02d.py", i)] = fmt.Sprintf("import yaml\n\n\ndef load_%d(text):\n    if text == None:\n        return None\n    return yaml.load(text)\n", i)
	}
	return files
}

func TestAHubKilledInTheMiddleOfARunEndsTheRunOnceAfterItsRestart(t *testing.T) {
	t.Parallel()
	git := hubtest.Git(t)
	git.Repository("faults").Commit("first", faulty())
	for _, c := range []struct {
		name, kind string
		pause      func(t *testing.T, h *server, g *gate, run string) // until the run is in the middle of kind
	}{
		{"fetch", "connector.fetch", func(t *testing.T, h *server, g *gate, run string) {
			g.held(t)
			hubtest.Eventually(t, runWait, func() error { return h.isProcessing(t, run, "connector.fetch") })
		}},
		{"analysis", "analyzer.analyze", func(t *testing.T, h *server, g *gate, run string) {
			close(g.open)
			freeze(t, func() error { return h.isProcessing(t, run, "analyzer.analyze") }, h.process)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, dir := newGate(t, git), hubtest.DataDir(t)
			h := up(t, dir)
			h.connect(t, "code", hub.Git, g.URL, "")
			run := h.publish(t, event("cut", "code", "faults", nil))
			c.pause(t, h, g, run)
			h.kill()

			if c.kind == "connector.fetch" {
				close(g.open)
			}
			h = up(t, dir)
			cut := h.completed(t, run)
			if got := h.job(t, run, c.kind).outcomes(); got != "LOST COMPLETED" {
				t.Errorf("the attempts of %s ended %s", c.kind, got)
			}
			whole := h.publish(t, event("whole", "code", "faults", nil))
			undisturbed := h.completed(t, whole)
			want, got := h.findings(t, whole), h.findings(t, run)
			if len(want) == 0 || !slices.Equal(want, got) {
				t.Errorf("the findings are\n%s\nof an undisturbed run\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if cut.Deployment == nil || undisturbed.Deployment == nil || cut.Deployment.Diff != undisturbed.Deployment.Diff || cut.Deployment.Diff == "" {
				t.Errorf("the proposed change is\n%+v\nof an undisturbed run\n%+v", cut.Deployment, undisturbed.Deployment)
			}
			storedOnce(t, dir, run, len(want))
			h.stop(t)
		})
	}
}

// storedOnce wants the ledger to hold everything of a run once.
func storedOnce(t *testing.T, dataDir, run string, findings int) {
	t.Helper()
	counted(t, dataDir, map[string]int{
		"run WHERE status = 'COMPLETED' AND id = $1":           1,
		"event WHERE key = $1":                                 1,
		"analysis WHERE run = $1":                              1,
		"finding WHERE run = $1":                               findings,
		"deployment WHERE run = $1":                            1,
		"job WHERE run = $1":                                   3,
		"job_attempt WHERE outcome = 'COMPLETED' AND job ~ $1": 3,
		"job_open WHERE id ~ $1":                               0,
		"fact WHERE run = $1":                                  0,
		"dead_letter WHERE run = $1":                           0,
	}, run)
}

// counted counts rows in the Postgres of a running hub.
func counted(t *testing.T, dataDir string, rows map[string]int, args ...any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dataDir, "postgres.url"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for what, want := range rows {
		var got int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM hub."+what, args...).Scan(&got); err != nil || got != want {
			t.Errorf("%d rows of %s, want %d, %v", got, what, want, err)
		}
	}
}

// freeze stops the scanning processes of some processes, new ones too, until f is
// content: so an analysis stays in the middle. It is fast enough to catch a new
// one before that has its rules compiled.
func freeze(t *testing.T, f func() error, ps ...*process) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(runWait); ; <-tick.C {
		frozen := 0
		for _, p := range ps {
			frozen += len(p.signalChildren(t, syscall.SIGSTOP))
		}
		err := errors.New("nothing scans")
		if frozen > 0 {
			err = f()
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", runWait, err)
		}
	}
}

// isProcessing is nil while the last job of a kind is being worked on.
func (c *client) isProcessing(t testing.TB, id, kind string) error {
	t.Helper()
	if j := c.job(t, id, kind); j.Status != hub.JobProcessing {
		return fmt.Errorf("%s of run %s is %q", kind, id, j.Status)
	}
	return nil
}
