package analyzer_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/analysis"
	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/analyzer"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/finding"
	"integrationhub/internal/work"
)

// The test binary is also the executable of the scanning processes.
func TestMain(m *testing.M) {
	pool.Main()
	hubtest.Main(m)
}

// slow is code with one finding that has a fix.
const slow = "package a\n\nimport \"time\"\n\nfunc f(t time.Time) { _ = time.Now().Sub(t) }\n"

func scanner(t *testing.T) *pool.Pool {
	p := pool.New(pool.Config{Size: 2})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func delivery(t *testing.T, snapshot string, only ...hub.Category) work.Delivery[message.AnalyzeBody] {
	j := message.Job{ID: "run.analyze.1", Run: "run", Kind: message.Analyze}
	return work.Delivery[message.AnalyzeBody]{Job: j, Body: message.AnalyzeBody{Snapshot: snapshot, Only: only}, Attempt: 1, Note: func(string) {}, Log: hubtest.Log(t)}
}

// commit writes what a handler returned, and tells its fact.
func commit(t *testing.T, s *store.Store, c work.Commit) message.Fact {
	t.Helper()
	var b store.Batch
	facts := c(&b)
	if err := s.InTx(t.Context(), func(tx store.DB) error { return b.Run(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
	if len(facts) != 1 {
		t.Fatalf("facts %+v", facts)
	}
	return facts[0]
}

// empty checks that nothing was left behind in a directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

func TestASnapshotBecomesFindingsAndASummary(t *testing.T) {
	b, s, dir := hubtest.NATS(t).Bus(t), hubtest.Store(t), t.TempDir()
	hubtest.PutSnapshot(t, b, "snap",
		hubtest.File{Path: "a.go", Content: slow},
		hubtest.File{Path: "b/web.ts", Content: "export const ok = (n: number) => (n > 1 ? true : false)\n"},
		hubtest.File{Path: "c.py", Content: "import yaml\n\n\ndef read(text):\n    return yaml.load(text)\n"},
		hubtest.File{Path: "image.png", Content: "\x89PNG\x00"},
		hubtest.File{Path: "link.go", Mode: hub.ModeLink, Content: "/etc/passwd"},
		hubtest.File{Path: "node_modules/x/index.js", Content: "debugger\n"},
		hubtest.File{Path: "nul.go", Content: "package a\n\n" + strings.Repeat("// x\n", 2000) + "\nvar s = \"\x00\"\n\nfunc g(t time.Time) { _ = time.Now().Sub(t) } // \x00\n"},
	)
	a := analyzer.New(b, scanner(t), dir)
	c, err := a.Analyze(t.Context(), delivery(t, "snap"))
	if err != nil {
		t.Fatal(err)
	}
	empty(t, dir)
	for range 2 { // a commit may be queued twice
		f := commit(t, s, c)
		report, err := message.Decode[message.AnalysisFinishedBody](f.Kind, f.Body)
		if err != nil || report.Fixable < 3 {
			t.Errorf("fact %s %s, %v", f.Kind, f.Body, err)
		}
		found, _, err := finding.List(t.Context(), s, "run", finding.Page{After: -1, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		rules := map[string]bool{}
		rank := 9
		for _, f := range found {
			rules[f.Rule+" "+f.File] = true
			if f.Severity.Rank() > rank {
				t.Errorf("%s comes after a lesser one", f.Rule)
			}
			rank = f.Severity.Rank()
		}
		for _, want := range []string{"go.style.since a.go", "javascript.style.boolean-ternary b/web.ts", "python.security.yaml-load c.py"} {
			if !rules[want] {
				t.Errorf("%s was not found: %v", want, rules)
			}
		}
		sum, err := finding.Get(t.Context(), s, "run")
		if err != nil || sum.Score != report.Score || sum.Risk != report.Risk || sum.Languages["go"] != 2 || sum.Languages["python"] != 1 || sum.Languages["typescript"] != 1 {
			t.Errorf("summary %+v, %v", sum, err)
		}
		if sum.Skipped[analysis.SkipVendored] != 1 || sum.Skipped[analysis.SkipBinary]+sum.Skipped[analysis.SkipUnsupported] < 1 {
			t.Errorf("skipped %v", sum.Skipped)
		}
	}
}

func TestOnlyTheCategoriesThatWereAskedForAreReported(t *testing.T) {
	b, s := hubtest.NATS(t).Bus(t), hubtest.Store(t)
	hubtest.PutSnapshot(t, b, "snap", hubtest.File{Path: "a.go", Content: slow}, hubtest.File{Path: "c.py", Content: "import yaml\nyaml.load(x)\n"})
	c, err := analyzer.New(b, scanner(t), "").Analyze(t.Context(), delivery(t, "snap", hub.Security))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, c)
	found, _, err := finding.List(t.Context(), s, "run", finding.Page{After: -1, Limit: 100})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d findings, %v", len(found), err)
	}
	for _, f := range found {
		if f.Category != hub.Security {
			t.Errorf("%s is %s", f.Rule, f.Category)
		}
	}
}

func TestCodeWithoutAnythingToReadIsNotRated(t *testing.T) {
	b, s := hubtest.NATS(t).Bus(t), hubtest.Store(t)
	hubtest.PutSnapshot(t, b, "snap", hubtest.File{Path: "README", Content: "hello\n"}, hubtest.File{Path: "link.go", Mode: hub.ModeLink, Content: "README"})
	c, err := analyzer.New(b, scanner(t), "").Analyze(t.Context(), delivery(t, "snap"))
	if err != nil {
		t.Fatal(err)
	}
	f := commit(t, s, c)
	if report, err := message.Decode[message.AnalysisFinishedBody](f.Kind, f.Body); err != nil || report.Score != -1 || len(report.Findings) != 0 {
		t.Errorf("fact %s, %v", f.Body, err)
	}
	if sum, err := finding.Get(t.Context(), s, "run"); err != nil || sum.Files != 0 || sum.Score != -1 {
		t.Errorf("summary %+v, %v", sum, err)
	}
}

func TestALostOrDamagedSnapshotIsReportedAsLost(t *testing.T) {
	b, s, dir := hubtest.NATS(t).Bus(t), hubtest.Store(t), t.TempDir()
	if err := b.PutObject(t.Context(), "damaged", strings.NewReader("this is no archive")); err != nil {
		t.Fatal(err)
	}
	a := analyzer.New(b, scanner(t), dir)
	for _, id := range []string{"never", "damaged"} {
		c, err := a.Analyze(t.Context(), delivery(t, id))
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		f := commit(t, s, c)
		if lost, err := message.Decode[message.SnapshotLostBody](f.Kind, f.Body); err != nil || lost.Snapshot != id || lost.Error == "" {
			t.Errorf("%s: fact %s %s, %v", id, f.Kind, f.Body, err)
		}
	}
	empty(t, dir)
	if _, err := finding.Get(t.Context(), s, "run"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an analysis was kept: %v", err)
	}
}

func TestABucketThatDoesNotAnswerIsTriedAgain(t *testing.T) {
	n := hubtest.NATS(t)
	b := n.Bus(t)
	n.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c, err := analyzer.New(b, scanner(t), t.TempDir()).Analyze(ctx, delivery(t, "snap")); err == nil || c != nil {
		t.Errorf("commit %t, %v", c != nil, err)
	}
}

// broken is a scanner that fails, and stopped one that hangs until it is told to stop.
type (
	broken  struct{}
	stopped struct{ begun chan struct{} }
)

func (broken) Scan(context.Context, *os.Root, []string, []hub.Category) ([]analysis.FileResult, error) {
	return nil, errors.New("no process can be started")
}

func (s stopped) Scan(ctx context.Context, _ *os.Root, _ []string, _ []hub.Category) ([]analysis.FileResult, error) {
	close(s.begun)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNothingIsLeftBehindByAnAnalysisThatFailsOrIsStopped(t *testing.T) {
	b, dir := hubtest.NATS(t).Bus(t), t.TempDir()
	hubtest.PutSnapshot(t, b, "snap", hubtest.File{Path: "a.go", Content: slow})
	if _, err := analyzer.New(b, broken{}, dir).Analyze(t.Context(), delivery(t, "snap")); err == nil || !strings.Contains(err.Error(), "no process can be started") {
		t.Errorf("error %v", err)
	}
	empty(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	s := stopped{make(chan struct{})}
	go func() { <-s.begun; cancel() }()
	if _, err := analyzer.New(b, s, dir).Analyze(ctx, delivery(t, "snap")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	empty(t, dir)
}

func TestTheSameCodeGivesTheSameFindings(t *testing.T) {
	b, s := hubtest.NATS(t).Bus(t), hubtest.Store(t)
	hubtest.PutSnapshot(t, b, "snap", hubtest.File{Path: "a.go", Content: slow}, hubtest.File{Path: "b.go", Content: slow})
	a := analyzer.New(b, scanner(t), "")
	var first []hub.Finding
	for i := range 2 {
		c, err := a.Analyze(t.Context(), delivery(t, "snap"))
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, c)
		found, _, err := finding.List(t.Context(), s, "run", finding.Page{After: -1, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = found
		} else if !reflect.DeepEqual(found, first) {
			x, _ := json.Marshal(found)
			y, _ := json.Marshal(first)
			t.Errorf("%s\nis not\n%s", x, y)
		}
	}
}
