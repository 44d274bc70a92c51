package deployer_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/analyzer"
	"integrationhub/internal/bus"
	"integrationhub/internal/deployer"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/deployment"
	"integrationhub/internal/work"
)

// The test binary is also the executable of the scanning processes.
func TestMain(m *testing.M) {
	pool.Main()
	hubtest.Main(m)
}

// rig analyses and prepares on real servers.
type rig struct {
	*testing.T
	bus   *bus.Bus
	store *store.Store
	pool  *pool.Pool
	dir   string // where snapshots are unpacked
}

func newRig(t *testing.T) *rig {
	p := pool.New(pool.Config{Size: 2})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{T: t, bus: hubtest.NATS(t).Bus(t), store: hubtest.Store(t), pool: p, dir: t.TempDir()}
}

func (r *rig) write(c work.Commit) message.Fact {
	r.Helper()
	var b store.Batch
	facts := c(&b)
	if err := r.store.InTx(r.Context(), func(tx store.DB) error { return b.Run(r.Context(), tx) }); err != nil {
		r.Fatal(err)
	}
	if len(facts) != 1 {
		r.Fatalf("facts %+v", facts)
	}
	return facts[0]
}

// analyze keeps the findings of a snapshot.
func (r *rig) analyze(snapshot string) {
	r.Helper()
	c, err := analyzer.New(r.bus, r.pool, r.dir).Analyze(r.Context(), work.Delivery[message.AnalyzeBody]{
		Job: message.Job{ID: "run.analyze.1", Run: "run"}, Body: message.AnalyzeBody{Snapshot: snapshot}, Note: func(string) {}, Log: hubtest.Log(r),
	})
	if err != nil {
		r.Fatal(err)
	}
	r.write(c)
}

// prepare runs the preparation, without its commit.
func (r *rig) prepare(snapshot string) (work.Commit, error) {
	c, err := deployer.New(r.store, r.bus, r.pool, r.dir).Prepare(r.Context(), work.Delivery[message.PrepareBody]{
		Job:  message.Job{ID: "run.prepare.1", Run: "run"},
		Body: message.PrepareBody{Snapshot: snapshot, Commit: "c0ffee", Deployment: "run", Strategy: hub.DryRun},
		Note: func(string) {}, Log: hubtest.Log(r),
	})
	left, dirErr := os.ReadDir(r.dir)
	if dirErr != nil || len(left) != 0 {
		r.Errorf("%v is left behind, %v", left, dirErr)
	}
	return c, err
}

func (r *rig) prepared(snapshot string) (message.ChangesetPreparedBody, deployment.Deployment) {
	r.Helper()
	c, err := r.prepare(snapshot)
	if err != nil {
		r.Fatal(err)
	}
	f := r.write(c)
	report, err := message.Decode[message.ChangesetPreparedBody](f.Kind, f.Body)
	if err != nil {
		r.Fatal(err)
	}
	d, err := deployment.OfRun(r.Context(), r.store, "run")
	if err != nil {
		r.Fatal(err)
	}
	return report, d
}

const (
	slow = "package a\n\nimport \"time\"\n\nfunc f(t time.Time) { _ = time.Now().Sub(t) }\n"
	yaml = "#!/usr/bin/env python3\nimport yaml\n\n\ndef read(text):\n    return yaml.load(text)\n"
	good = "package good\n"
)

func TestFixesBecomeAProvedChangeSetWithABackup(t *testing.T) {
	r := newRig(t)
	hubtest.PutSnapshot(t, r.bus, "snap",
		hubtest.File{Path: "a.go", Content: slow}, hubtest.File{Path: "bin/read.py", Mode: hub.ModeExec, Content: yaml},
		hubtest.File{Path: "good.go", Content: good}, hubtest.File{Path: "way-out.go", Mode: hub.ModeLink, Content: "../../outside.go"},
	)
	r.analyze("snap")
	report, d := r.prepared("snap")
	if report.Deployment != "run" || report.Changes != 2 || report.Fixed < 2 {
		t.Errorf("report %+v", report)
	}
	if d.Status != deployment.Prepared || d.Strategy != hub.DryRun || d.Base != "c0ffee" || len(d.Changes) != 2 {
		t.Errorf("deployment %+v", d)
	}
	var proof deployer.Proof
	if err := json.Unmarshal(d.Proof, &proof); err != nil || len(proof.Fixed) != report.Fixed || len(proof.Left) != report.Dropped {
		t.Errorf("proof %s, %v", d.Proof, err)
	}
	r.wantFiles(deployment.Backup, map[string][2]string{"a.go": {hub.ModeFile, slow}, "bin/read.py": {hub.ModeExec, yaml}})
	after := map[string][2]string{
		"a.go":        {hub.ModeFile, strings.Replace(slow, "time.Now().Sub(t)", "time.Since(t)", 1)},
		"bin/read.py": {hub.ModeExec, strings.Replace(yaml, "yaml.load(text)", "yaml.safe_load(text)", 1)},
	}
	r.wantFiles(deployment.Change, after)
	for _, c := range d.Changes {
		if want := after[c.Path]; c.Op != hub.OpUpdate || c.Mode != want[0] || c.After != hub.BlobHash([]byte(want[1])) {
			t.Errorf("change %+v", c)
		}
	}
	r.wantDiffApplies(d.Diff, map[string]string{"a.go": slow, "bin/read.py": yaml}, after)
}

func (r *rig) wantFiles(side deployment.Side, want map[string][2]string) {
	r.Helper()
	got, err := deployment.Files(r.Context(), r.store, "run", side)
	if err != nil || len(got) != len(want) {
		r.Fatalf("%s: %d files, %v", side, len(got), err)
	}
	for _, f := range got {
		if w := want[f.Path]; f.Mode != w[0] || string(f.Content) != w[1] {
			r.Errorf("%s of %s is %s\n%s\nwant %s\n%s", side, f.Path, f.Mode, f.Content, w[0], w[1])
		}
	}
}

// wantDiffApplies has git apply the diff.
func (r *rig) wantDiffApplies(diff string, before map[string]string, after map[string][2]string) {
	r.Helper()
	dir := r.TempDir()
	for name, content := range before {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			r.Fatal(err)
		}
	}
	cmd := exec.CommandContext(r.Context(), "git", "apply", "-")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("git apply: %v\n%s\n%s", err, out, diff)
	}
	for name, want := range after {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want[1] {
			r.Errorf("%s after git apply:\n%s, %v", name, got, err)
		}
	}
}

func TestWithoutAnythingToMendTheDeploymentIsEmpty(t *testing.T) {
	r := newRig(t)
	hubtest.PutSnapshot(t, r.bus, "snap", hubtest.File{Path: "good.go", Content: good})
	r.analyze("snap")
	report, d := r.prepared("snap")
	if report.Changes != 0 || report.Fixed != 0 || report.Dropped != 0 || d.Status != deployment.Empty || len(d.Changes) != 0 || d.Diff != "" {
		t.Errorf("report %+v, deployment %+v", report, d)
	}
	if string(d.Proof) != `{"left": [], "fixed": []}` {
		t.Errorf("proof %s", d.Proof)
	}
	r.wantFiles(deployment.Backup, nil)
	r.wantFiles(deployment.Change, nil)
}

func TestAPreparationMadeAgainIsTheSame(t *testing.T) {
	r := newRig(t)
	hubtest.PutSnapshot(t, r.bus, "snap", hubtest.File{Path: "a.go", Content: slow})
	r.analyze("snap")
	_, first := r.prepared("snap")
	_, second := r.prepared("snap")
	if first.Diff != second.Diff || string(first.Proof) != string(second.Proof) {
		t.Errorf("first %+v, second %+v", first, second)
	}
	var n int
	if err := r.store.DB().QueryRow(t.Context(), `SELECT count(*) FROM deployment`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d deployments, %v", n, err)
	}
}

func TestALostSnapshotIsReportedAndNothingIsPrepared(t *testing.T) {
	r := newRig(t)
	hubtest.PutSnapshot(t, r.bus, "snap", hubtest.File{Path: "a.go", Content: slow})
	r.analyze("snap")
	if err := r.bus.DeleteObject(t.Context(), "snap"); err != nil {
		t.Fatal(err)
	}
	c, err := r.prepare("snap")
	if err != nil {
		t.Fatal(err)
	}
	f := r.write(c)
	if lost, err := message.Decode[message.SnapshotLostBody](f.Kind, f.Body); err != nil || lost.Snapshot != "snap" {
		t.Errorf("fact %s %s, %v", f.Kind, f.Body, err)
	}
	if _, err := deployment.OfRun(t.Context(), r.store, "run"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deployment was kept: %v", err)
	}
}

func TestFindingsThatDoNotFitTheSnapshotChangeNothing(t *testing.T) {
	r := newRig(t)
	hubtest.PutSnapshot(t, r.bus, "snap", hubtest.File{Path: "a.go", Content: slow})
	r.analyze("snap")
	hubtest.PutSnapshot(t, r.bus, "other", hubtest.File{Path: "a.go", Content: good})
	c, err := r.prepare("other")
	if err != nil {
		return // refused: nothing to commit
	}
	f := r.write(c)
	if report, err := message.Decode[message.ChangesetPreparedBody](f.Kind, f.Body); err != nil || report.Changes != 0 || report.Fixed != 0 {
		t.Errorf("fact %s, %v", f.Body, err)
	}
}
