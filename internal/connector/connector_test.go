package connector_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/bus"
	"integrationhub/internal/connector"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/all"
	"integrationhub/internal/platform/sidenode"
	"integrationhub/internal/snapshot"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/job"
	snapshots "integrationhub/internal/store/snapshot"
	"integrationhub/internal/vault"
	"integrationhub/internal/work"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

const patience = 30 * time.Second

// key seals the credentials of tests.
const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// rig is a connector at work on real servers.
type rig struct {
	*testing.T
	nats   *hubtest.NATSServer
	bus    *bus.Bus
	store  *store.Store
	sealer *vault.Sealer
	jobs   int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	sealer, err := vault.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	n := hubtest.NATS(t)
	return &rig{T: t, nats: n, bus: n.Bus(t), store: hubtest.Store(t), sealer: sealer}
}

// connect makes a connection.
func (r *rig) connect(slug string, kind hub.Platform, base, token string) {
	r.Helper()
	c := connection.Connection{Slug: slug, Kind: kind, BaseURL: base}
	if token != "" {
		sealed, err := r.sealer.Seal(token, slug)
		if err != nil {
			r.Fatal(err)
		}
		c.Sealed = []byte(sealed)
	}
	if err := connection.Save(r.Context(), r.store, c); err != nil {
		r.Fatal(err)
	}
}

// start runs the connector until the test's end.
func (r *rig) start(objects connector.Objects, sources ...platform.Source) {
	r.Helper()
	c := connector.New(r.store, objects, r.sealer, sources)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	policy := work.Policy{First: time.Millisecond, Factor: 1, Cap: time.Millisecond, Attempts: 2, Timeout: time.Minute}
	cfg := work.Config{
		Worker: message.Connector, Name: "test", Concurrency: 2, Prefetch: 2, Lease: 30 * time.Second, Drain: time.Second,
		Policies: map[message.Kind]work.Policy{message.Fetch: policy}, Log: hubtest.Log(r),
	}
	go func() { done <- work.Run(ctx, cfg, r.bus, job.NewLedger(r.store), work.On(c.Fetch)) }()
	r.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
}

// fetch has the connector fetch, and waits for the end of the job.
func (r *rig) fetch(b message.FetchBody) (message.Job, job.State) {
	r.Helper()
	j := r.enqueue(b)
	var s job.State
	hubtest.Eventually(r, patience, func() error {
		all, err := job.OfRun(r.Context(), r.store, j.Run)
		if err != nil || len(all) != 1 || !all[0].Status.Ended() {
			return fmt.Errorf("jobs %+v, %w", all, err)
		}
		s = all[0]
		return nil
	})
	return j, s
}

func (r *rig) enqueue(b message.FetchBody) message.Job {
	r.Helper()
	r.jobs++
	run := hub.RunID("connector", fmt.Sprint(r.jobs))
	j := message.Job{ID: hub.JobID(run, "fetch", 1), Run: run, Kind: message.Fetch, Priority: hub.Medium, Connection: b.Connection, Repository: b.Repository, Body: message.Encode(b)}
	var batch store.Batch
	job.Insert(&batch, []message.Job{j}, nil)
	if err := batch.Run(r.Context(), r.store.DB()); err != nil {
		r.Fatal(err)
	}
	r.bus.PostJobs([]message.Job{j})
	return j
}

// snapshot reads back what was stored: the row, and the tree that is unpacked.
func (r *rig) snapshot(j message.Job) (hub.Snapshot, []hub.Entry, *snapshot.Tree) {
	r.Helper()
	id := j.ID + ".1"
	snap, manifest, err := snapshots.Get(r.Context(), r.store, id)
	if err != nil {
		r.Fatal(err)
	}
	entries, err := snapshot.Decode(manifest)
	if err != nil {
		r.Fatal(err)
	}
	tree, err := snapshot.Checkout(r.Context(), r.bus, id, r.TempDir())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { tree.Close() })
	return snap, entries, tree
}

func (r *rig) wantFailure(b message.FetchBody, attempts int, text string) {
	r.Helper()
	_, s := r.fetch(b)
	last := s.Attempts[len(s.Attempts)-1]
	if s.Status != hub.JobFailed || len(s.Attempts) != attempts || !strings.Contains(last.Error, text) {
		r.Errorf("%+v: %s after %d attempts: %q, want %d and %q", b, s.Status, len(s.Attempts), last.Error, attempts, text)
	}
}

func TestARepositoryBecomesASnapshotWithItsModesAndLinks(t *testing.T) {
	r := newRig(t)
	server := hubtest.Git(t)
	repo := server.Repository("shop")
	if err := os.WriteFile(filepath.Join(repo.Dir, "run.sh"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../etc/passwd", filepath.Join(repo.Dir, "way-out")); err != nil {
		t.Fatal(err)
	}
	commit := repo.Commit("first", map[string]string{"cmd/main.go": "package main\n"})
	r.connect("forge", hub.Git, server.URL, "")
	r.start(r.bus, all.Sources()...)
	j, s := r.fetch(message.FetchBody{Connection: "forge", Repository: "shop"})
	if s.Status != hub.JobCompleted {
		t.Fatalf("%+v", s)
	}
	snap, entries, tree := r.snapshot(j)
	if snap.Commit != commit || snap.Ref != "refs/heads/main" || snap.Files != 3 || snap.Bytes != int64(len("package main\n")+len("#!/bin/sh\n")+len("../../etc/passwd")) {
		t.Errorf("snapshot %+v", snap)
	}
	want := []hub.Entry{
		{Path: "cmd/main.go", Mode: hub.ModeFile, Hash: hub.BlobHash([]byte("package main\n")), Size: 13},
		{Path: "run.sh", Mode: hub.ModeExec, Hash: hub.BlobHash([]byte("#!/bin/sh\n")), Size: 10},
		{Path: "way-out", Mode: hub.ModeLink, Hash: hub.BlobHash([]byte("../../etc/passwd")), Size: 16},
	}
	if !slices.Equal(entries, want) || !slices.Equal(tree.Entries, want) {
		t.Errorf("manifest %+v\ntree %+v\nwant %+v", entries, tree.Entries, want)
	}
	if _, err := tree.Root.Lstat("way-out"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is on disk: %v", err)
	}
}

func TestAPinnedCommitIsFetchedThoughTheBranchMoved(t *testing.T) {
	r := newRig(t)
	server := hubtest.Git(t)
	repo := server.Repository("shop")
	repo.Run("config", "uploadpack.allowAnySHA1InWant", "true")
	first := repo.Commit("first", map[string]string{"a.go": "package a\n"})
	repo.Commit("second", map[string]string{"b.go": "package b\n"})
	r.connect("forge", hub.Git, server.URL, "")
	r.start(r.bus, all.Sources()...)
	j, s := r.fetch(message.FetchBody{Connection: "forge", Repository: "shop", Ref: "main", Commit: first})
	if s.Status != hub.JobCompleted {
		t.Fatalf("%+v", s)
	}
	if snap, entries, _ := r.snapshot(j); snap.Commit != first || len(entries) != 1 {
		t.Errorf("snapshot %+v of %+v", snap, entries)
	}
}

func TestAFolderOnASideNodeBecomesASnapshotAndItsTokenStaysSecret(t *testing.T) {
	r := newRig(t)
	const token = "a-token-of-32-characters-1234567"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.py"), []byte("print(1)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	node, err := sidenode.NewNode(t.Context(), sidenode.Config{Dir: dir, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	server := httptest.NewServer(node)
	t.Cleanup(server.Close)
	r.connect("laptop", hub.SideNode, server.URL, token)
	r.connect("stranger", hub.SideNode, server.URL, "another-token-of-32-characters-12")
	r.start(r.bus, all.Sources()...)
	j, s := r.fetch(message.FetchBody{Connection: "laptop", Repository: node.Repository()})
	if s.Status != hub.JobCompleted {
		t.Fatalf("%+v", s)
	}
	if _, entries, _ := r.snapshot(j); len(entries) != 1 || entries[0].Path != "a.py" {
		t.Errorf("entries %+v", entries)
	}
	r.wantFailure(message.FetchBody{Connection: "stranger", Repository: node.Repository()}, 1, "")
	var n int
	if err := r.store.DB().QueryRow(t.Context(), `SELECT count(*) FROM job_attempt WHERE error LIKE '%token-of%'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d attempts tell a token, %v", n, err)
	}
}

func TestWhatWillNotGetBetterIsGivenUpAtOnce(t *testing.T) {
	r := newRig(t)
	server := hubtest.Git(t)
	server.Repository("empty")
	server.Repository("shop").Commit("first", map[string]string{"a.go": "package a\n"})
	r.connect("forge", hub.Git, server.URL, "")
	r.connect("other", hub.GitLab, server.URL, "")
	r.connect("sealed", hub.Git, server.URL, "secret")
	if _, err := r.store.DB().Exec(t.Context(), `UPDATE connection SET credential = (SELECT credential FROM connection WHERE slug = 'sealed'), slug = 'moved' WHERE slug = 'sealed'`); err != nil {
		t.Fatal(err)
	}
	r.start(r.bus, all.Sources()...)
	r.wantFailure(message.FetchBody{Connection: "nobody", Repository: "shop"}, 1, `connection "nobody" does not exist; create it with PUT`)
	r.wantFailure(message.FetchBody{Connection: "other", Repository: "shop"}, 1, "kind gitlab, which this version cannot fetch from")
	r.wantFailure(message.FetchBody{Connection: "moved", Repository: "shop"}, 1, "open the credential of connection moved")
	r.wantFailure(message.FetchBody{Connection: "forge", Repository: "shop", Ref: "no-such-branch"}, 1, "no-such-branch")
	r.wantFailure(message.FetchBody{Connection: "forge", Repository: "empty"}, 1, "")
	r.wantFailure(message.FetchBody{Connection: "forge", Repository: "../shop"}, 1, "")
}

func TestAHostThatIsAwayIsTriedAgain(t *testing.T) {
	r := newRig(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r.connect("forge", hub.Git, gone.URL, "")
	r.start(r.bus, all.Sources()...)
	r.wantFailure(message.FetchBody{Connection: "forge", Repository: "shop"}, 2, "")
}

// source gives files, then err.
type source struct {
	bytes int64
	err   error
	ended chan error // the context's, when the source was told to stop; nil: it does not wait for that
}

func (s source) Kind() hub.Platform                           { return hub.Git }
func (s source) Check(context.Context, platform.Target) error { return nil }
func (s source) Fetch(ctx context.Context, _ platform.Target, w *snapshot.Writer) (platform.Revision, error) {
	if s.bytes > 0 {
		if err := w.Add("big.bin", hub.ModeFile, s.bytes, io.LimitReader(noise{}, s.bytes)); err != nil {
			return platform.Revision{}, err
		}
	}
	if s.ended != nil {
		<-ctx.Done()
		s.ended <- ctx.Err()
		return platform.Revision{}, ctx.Err()
	}
	return platform.Revision{Commit: "c", Ref: "main"}, s.err
}

// noise does not compress.
type noise struct{}

func (noise) Read(p []byte) (int, error) {
	x := uint32(len(p))*2654435761 + 1
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	return len(p), nil
}

func TestAHostThatAsksForPatienceCostsNoAttempt(t *testing.T) {
	r := newRig(t)
	r.connect("forge", hub.Git, "https://git.example.org", "")
	r.start(r.bus, source{err: &platform.RetryAfter{After: time.Hour, Text: "429"}})
	j := r.enqueue(message.FetchBody{Connection: "forge", Repository: "shop"})
	hubtest.Eventually(t, patience, func() error {
		all, err := job.OfRun(t.Context(), r.store, j.Run)
		if err != nil || len(all) != 1 || len(all[0].Attempts) != 1 || all[0].Attempts[0].Outcome != job.Later || time.Until(*all[0].NextAt) < 50*time.Minute {
			return fmt.Errorf("jobs %+v, %w", all, err)
		}
		return nil
	})
}

func TestASourceThatFailsHalfWayLeavesNothingBehind(t *testing.T) {
	r := newRig(t)
	r.connect("forge", hub.Git, "https://git.example.org", "")
	r.start(r.bus, source{bytes: 3 << 20, err: errors.New("the host hung up")})
	r.wantFailure(message.FetchBody{Connection: "forge", Repository: "shop"}, 2, "the host hung up")
	nc, err := nats.Connect(r.nats.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, patience, func() error {
		s, err := js.Stream(t.Context(), "OBJ_HUB_SNAPSHOTS")
		if err == nil && s.CachedInfo().State.Msgs != 0 {
			err = fmt.Errorf("%d messages are left over", s.CachedInfo().State.Msgs)
		}
		return err
	})
}

type full struct{}

func (full) PutObject(context.Context, string, io.Reader) error {
	return errors.New("the bucket is full")
}

func TestWhereTheObjectStoreTakesNothingTheSourceIsToldToStop(t *testing.T) {
	r := newRig(t)
	r.connect("forge", hub.Git, "https://git.example.org", "")
	src := source{ended: make(chan error, 2)}
	r.start(full{}, src)
	r.wantFailure(message.FetchBody{Connection: "forge", Repository: "shop"}, 2, "the bucket is full")
	if err := <-src.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
