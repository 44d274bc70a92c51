package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/fact"
	"integrationhub/internal/store/finding"
	"integrationhub/internal/store/run"
	"integrationhub/internal/store/snapshot"
)

// write runs a batch that must succeed.
func write(t *testing.T, s *store.Store, queue func(*store.Batch)) {
	t.Helper()
	var b store.Batch
	queue(&b)
	if err := s.InTx(t.Context(), func(tx store.DB) error { return b.Run(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func push(id string) message.Event {
	return message.Event{
		Key: hub.RunID("s", id), Source: "s", ID: id, Kind: message.Push, Connection: "forge",
		Body: message.Encode(message.PushBody{Target: message.Target{Connection: "forge", Repository: "shop/web", Ref: "main"}}),
	}
}

func keys(events []message.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Key)
	}
	return all
}

func TestAnEventIsKeptOnceAndFoldedOnce(t *testing.T) {
	s := hubtest.Store(t)
	one, two := push("1"), push("2")
	two.Time, two.Trace = time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if got, err := event.Insert(t.Context(), s.DB(), []message.Event{one, two, one}); err != nil || len(got) != 2 {
		t.Errorf("new are %q, %v", got, err)
	}
	other := one
	other.Connection = "elsewhere"
	if got, err := event.Insert(t.Context(), s.DB(), []message.Event{other}); err != nil || len(got) != 0 {
		t.Errorf("new are %q, %v", got, err)
	}
	for _, want := range []message.Event{one, two} {
		if got, err := event.Get(t.Context(), s, want.Key); err != nil || !sameEvent(got, want) {
			t.Errorf("kept %+v, want %+v, %v", got, want, err)
		}
	}
	if stale, err := event.Stale(t.Context(), s, time.Hour, 10); err != nil || len(stale) != 0 {
		t.Errorf("stale after an hour: %v, %v", stale, err)
	}
	if stale, err := event.Stale(t.Context(), s, -time.Second, 10); err != nil || len(stale) != 2 {
		t.Errorf("stale at once: %v, %v", stale, err)
	}
	// Many folds take the same events; each event is one fold's.
	var mu sync.Mutex
	var taken []string
	var folds sync.WaitGroup
	for range 4 {
		folds.Go(func() {
			got, err := event.Take(t.Context(), s.DB(), keys([]message.Event{one, two}))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, got...)
		})
	}
	folds.Wait()
	slices.Sort(taken)
	want := keys([]message.Event{one, two})
	slices.Sort(want)
	if !slices.Equal(taken, want) {
		t.Errorf("taken %q", taken)
	}
	if stale, err := event.Stale(t.Context(), s, -time.Second, 10); err != nil || len(stale) != 0 {
		t.Errorf("stale after the fold: %v, %v", stale, err)
	}
	if _, err := event.Get(t.Context(), s, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("missing event: %v", err)
	}
}

func sameEvent(a, b message.Event) bool {
	var x, y any
	if json.Unmarshal(a.Body, &x) != nil || json.Unmarshal(b.Body, &y) != nil || !reflect.DeepEqual(x, y) || !a.Time.Equal(b.Time) {
		return false
	}
	a.Body, b.Body, a.Time, b.Time = nil, nil, time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

func TestAFactIsFoldedOnce(t *testing.T) {
	s := hubtest.Store(t)
	j := message.Job{ID: "r.fetch.1", Run: "r", Trace: "t"}
	f := message.NewFact(j, message.JobFailedBody{Error: "no \x00 way", Attempts: 3})
	write(t, s, func(b *store.Batch) { fact.Insert(b, []message.Fact{f}) })
	stale, err := fact.Stale(t.Context(), s, -time.Second, 10)
	if err != nil || len(stale) != 1 || !reflect.DeepEqual(stale[0], f) {
		t.Errorf("stale %+v, %v", stale, err)
	}
	for _, want := range []int{1, 0} {
		if got, err := fact.Take(t.Context(), s.DB(), []string{f.ID, "other"}); err != nil || len(got) != want {
			t.Errorf("taken %q, %v", got, err)
		}
	}
}

// hostile texts are what a repository, a program's output or a host may hold.
var hostile = []string{"\x00", "a\x00b", "\xff\xfe", "\\u0000", "\\\x00", "\u2028\U0010ffff", "\xed\xa0\x80", strings.Repeat("é", 100)}

func TestNoTextCanKeepAnAnalysisFromBeingCommitted(t *testing.T) {
	s := hubtest.Store(t)
	var findings []hub.Finding
	for i, text := range hostile {
		findings = append(findings, hub.Finding{
			Rule: "r", Severity: hub.SeverityHigh, Category: hub.Security, File: "main.go", Line: i + 1, Message: text, Fingerprint: "f",
			Frame: []hub.Line{{Number: 1, Text: text}}, Fix: &hub.Fix{Class: hub.FixSafe, Edits: []hub.Edit{{New: text}}},
		})
	}
	a := hub.Analysis{Score: 50, Risk: hub.RiskHigh, Skipped: map[string]int{}, Languages: map[string]int{"Go": 1}, Functions: []hub.Function{{Name: "f\x00"}}}
	write(t, s, func(b *store.Batch) { finding.Replace(b, "run", "snap", a, findings) })
	got, last, err := finding.List(t.Context(), s, "run", finding.Page{After: -1, Limit: 100})
	if err != nil || len(got) != len(hostile) || last != len(hostile)-1 {
		t.Fatalf("%d findings, last %d, %v", len(got), last, err)
	}
	for i, text := range hostile {
		if want := strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd"); !similar(got[i].Message, want) {
			t.Errorf("%q came back as %q, want %q", text, got[i].Message, want)
		}
	}
}

// similar: how many U+FFFD stand for a run of bytes that are not UTF-8 is nobody's
// business.
func similar(a, b string) bool {
	trim := func(s string) string { return strings.ReplaceAll(s, "\ufffd", "") }
	return trim(a) == trim(b) && strings.Contains(a, "\ufffd") == strings.Contains(b, "\ufffd")
}

func TestFindingsArePagedFilteredAndReplaced(t *testing.T) {
	s := hubtest.Store(t)
	const n = 2500 // more than one statement takes
	all := make([]hub.Finding, n)
	for i := range all {
		all[i] = hub.Finding{Rule: fmt.Sprint("r", i), Severity: hub.SeverityLow, Category: hub.Quality, File: fmt.Sprintf("f%d.go", i%10), Line: i}
		if i < 3 {
			all[i].Severity, all[i].Category, all[i].Fix = hub.SeverityHigh, hub.Security, &hub.Fix{Class: hub.FixSafe}
		}
	}
	write(t, s, func(b *store.Batch) {
		finding.Replace(b, "run", "snap", hub.Analysis{Score: 1, Risk: hub.RiskLow}, all)
	})
	seen, after := 0, -1
	for {
		page, last, err := finding.List(t.Context(), s, "run", finding.Page{After: after, Limit: 600})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			if f.Rule != all[seen].Rule {
				t.Fatalf("finding %d is %s", seen, f.Rule)
			}
			seen++
		}
		after = last
	}
	if seen != n {
		t.Errorf("%d findings", seen)
	}
	for name, p := range map[string]finding.Page{"severity": {Severity: hub.SeverityHigh}, "category": {Category: hub.Security}} {
		p.After, p.Limit = -1, 100
		if got, _, err := finding.List(t.Context(), s, "run", p); err != nil || len(got) != 3 {
			t.Errorf("%s: %d findings, %v", name, len(got), err)
		}
	}
	if got, err := finding.Fixable(t.Context(), s, "run"); err != nil || len(got) != 3 || got[0].Rule != "r0" {
		t.Errorf("fixable %d, %v", len(got), err)
	}
	write(t, s, func(b *store.Batch) {
		finding.Replace(b, "run", "snap2", hub.Analysis{Score: 99, Risk: hub.RiskNone}, all[:1])
	})
	if got, _, err := finding.List(t.Context(), s, "run", finding.Page{After: -1, Limit: 100}); err != nil || len(got) != 1 {
		t.Errorf("after a second analysis: %d findings, %v", len(got), err)
	}
	if a, err := finding.Get(t.Context(), s, "run"); err != nil || a.Score != 99 {
		t.Errorf("analysis %+v, %v", a, err)
	}
	if _, err := finding.Get(t.Context(), s, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("missing analysis: %v", err)
	}
}

func TestRunsAreListedNewestFirstPageByPage(t *testing.T) {
	s := hubtest.Store(t)
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	var want []string
	for i := range 25 {
		r := run.Run{
			ID: fmt.Sprintf("run%02d", i), Connection: "forge", Repository: fmt.Sprint("shop/", i%2), Strategy: hub.DryRun, Priority: hub.Medium,
			Status: hub.RunRunning, CreatedAt: at.Add(time.Duration(i/5) * time.Second), // five at the same time
			Reason: "why \x00\xff",
		}
		write(t, s, func(b *store.Batch) { run.Save(b, r, json.RawMessage(`{"text":"\u0000"}`)) })
		want = append([]string{r.ID}, want...)
	}
	var got []string
	for before := ""; ; {
		page, err := run.List(t.Context(), s, run.Filter{Before: before, Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			got = append(got, r.ID)
		}
		before = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q", got)
	}
	if some, err := run.List(t.Context(), s, run.Filter{Repository: "shop/1", Status: hub.RunRunning, Connection: "forge", Limit: 100}); err != nil || len(some) != 12 {
		t.Errorf("%d of one repository, %v", len(some), err)
	}
	if none, err := run.List(t.Context(), s, run.Filter{Status: hub.RunFailed, Limit: 100}); err != nil || len(none) != 0 {
		t.Errorf("%d failed, %v", len(none), err)
	}
	done := at.Add(time.Hour)
	write(t, s, func(b *store.Batch) {
		run.Save(b, run.Run{ID: "run00", Strategy: hub.DryRun, Priority: hub.Medium, Status: hub.RunCompleted, CreatedAt: at, FinishedAt: &done, Commit: "c"}, json.RawMessage(`{}`))
	})
	if r, err := run.Get(t.Context(), s, "run00"); err != nil || r.Status != hub.RunCompleted || r.FinishedAt == nil || !r.FinishedAt.Equal(done) || r.Connection != "forge" || r.Commit != "c" {
		t.Errorf("run %+v, %v", r, err)
	}
}

func TestTwoFoldsThatLockTheSameRunsDoNotWaitForEachOther(t *testing.T) {
	s := hubtest.Store(t)
	ids := []string{"a", "b", "c", "d"}
	for _, id := range ids {
		write(t, s, func(b *store.Batch) {
			run.Save(b, run.Run{ID: id, Strategy: hub.DryRun, Priority: hub.Medium, Status: hub.RunRunning, CreatedAt: time.Now()}, json.RawMessage(`{"n":0}`))
		})
	}
	var folds sync.WaitGroup
	for fold := range 4 {
		folds.Go(func() {
			mine := slices.Clone(ids)
			if fold%2 == 0 {
				slices.Reverse(mine)
			}
			for range 20 {
				if err := s.InTx(t.Context(), func(tx store.DB) error { return increment(t, tx, mine) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	folds.Wait()
	states, err := run.Lock(t.Context(), s.DB(), ids)
	if err != nil || len(states) != 4 || string(states["a"]) != `{"n": 80}` {
		t.Errorf("states %s, %v", states, err)
	}
}

func increment(t *testing.T, tx store.DB, ids []string) error {
	states, err := run.Lock(t.Context(), tx, ids)
	if err != nil {
		return err
	}
	for id, raw := range states {
		var v struct {
			N int `json:"n"`
		}
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `UPDATE run SET state = $2 WHERE id = $1`, id, fmt.Appendf(nil, `{"n":%d}`, v.N+1)); err != nil {
			return err
		}
	}
	return nil
}

func TestTheBytesOfASnapshotAreSweptAfterItsRun(t *testing.T) {
	s := hubtest.Store(t)
	snap := hub.Snapshot{ID: "run.fetch.1.1", Commit: "c", Ref: "refs/heads/main", Files: 2, Bytes: 3}
	save := func(finished *time.Time) {
		write(t, s, func(b *store.Batch) {
			run.Save(b, run.Run{ID: "run", Strategy: hub.DryRun, Priority: hub.Medium, Status: hub.RunRunning, CreatedAt: time.Now(), FinishedAt: finished}, json.RawMessage(`{}`))
		})
	}
	save(nil)
	write(t, s, func(b *store.Batch) { snapshot.Insert(b, "run", snap, []byte{1, 0, 255}) })
	if got, manifest, err := snapshot.Get(t.Context(), s, snap.ID); err != nil || !reflect.DeepEqual(got, snap) || !slices.Equal(manifest, []byte{1, 0, 255}) {
		t.Errorf("snapshot %+v with %v, %v", got, manifest, err)
	}
	sweepable := func() int {
		ids, err := snapshot.Sweepable(t.Context(), s, time.Hour, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	if sweepable() != 0 {
		t.Error("sweepable while its run goes on")
	}
	now, old := time.Now(), time.Now().Add(-2*time.Hour)
	if save(&now); sweepable() != 0 {
		t.Error("sweepable at once")
	}
	if save(&old); sweepable() != 1 {
		t.Error("not sweepable after its time")
	}
	if err := snapshot.Swept(t.Context(), s, snap.ID); err != nil || sweepable() != 0 {
		t.Errorf("swept again, %v", err)
	}
}

func TestAConnectionIsKeptChangedAndDeleted(t *testing.T) {
	s := hubtest.Store(t)
	c := connection.Connection{Slug: "forge", Kind: hub.Git, BaseURL: "https://git.example.org", Source: "https://ci", Sealed: []byte("sealed")}
	for range 2 {
		if err := connection.Save(t.Context(), s, c); err != nil {
			t.Fatal(err)
		}
		got, err := connection.Get(t.Context(), s, "forge")
		got.UpdatedAt = time.Time{}
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("connection %+v, %v", got, err)
		}
		c.BaseURL, c.Sealed = "https://other.example.org", nil
	}
	for _, want := range []error{nil, store.ErrNotFound} {
		if err := connection.Delete(t.Context(), s, "forge"); !errors.Is(err, want) {
			t.Errorf("delete: %v, want %v", err, want)
		}
	}
	if _, err := connection.Get(t.Context(), s, "forge"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted connection: %v", err)
	}
}

func TestADeadLetterKeepsTheBytesThatCame(t *testing.T) {
	s := hubtest.Store(t)
	d := message.DeadLetter{ID: "x", Run: "r", Kind: message.Fetch, Subject: "hub.job.connector.fetch.low", Cause: "no", Attempts: 1, At: time.Now().UTC().Truncate(time.Microsecond), Body: []byte("\x00\xff{")}
	for _, cause := range []string{"no", "still no"} {
		d.Cause = cause
		write(t, s, func(b *store.Batch) { dead.Insert(b, d) })
	}
	got, err := dead.Get(t.Context(), s, "x")
	if got.At = got.At.UTC(); err != nil || !reflect.DeepEqual(got.DeadLetter, d) {
		t.Errorf("letter %+v, want %+v, %v", got.DeadLetter, d, err)
	}
	if all, err := dead.List(t.Context(), s, dead.Filter{Limit: 10}); err != nil || len(all) != 1 {
		t.Errorf("%d letters, %v", len(all), err)
	}
}
