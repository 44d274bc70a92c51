package flow_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
)

// A story is a txtar file: its comment says what is told; "messages" has one
// message a line, <kind> [job=<step>.<n>] [JSON body]; "effects" has what must
// come of each, indented below the message's number; "end" is the final state.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { tell(t, path) })
	}
}

func tell(t *testing.T, path string) {
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{}
	for _, f := range ar.Files {
		part[f.Name] = string(f.Data)
	}
	var s flow.State
	var got strings.Builder
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for i, line := range strings.Split(strings.TrimSpace(part["messages"]), "\n") {
		now = now.Add(time.Second)
		next, effects, err := flow.Next(s, parse(t, line), now)
		if err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
		fmt.Fprintf(&got, "%d", i+1)
		if len(effects) == 0 {
			got.WriteString(" nothing")
		}
		for _, e := range effects {
			got.WriteString(" " + show(e))
		}
		got.WriteString("\n")
		s = next
	}
	if got.String() != part["effects"] {
		t.Errorf("effects:\n%s\nwant:\n%s", got.String(), part["effects"])
	}
	end := strings.TrimSpace(fmt.Sprintf("%s %s", s.Status, s.Reason)) + "\n"
	if end != part["end"] {
		t.Errorf("end: %s want: %s", end, part["end"])
	}
	if s.Status.Terminal() == s.FinishedAt.IsZero() {
		t.Errorf("status %s, finished at %v", s.Status, s.FinishedAt)
	}
}

const run = "run"

func parse(t *testing.T, line string) message.Message {
	kind, rest, _ := strings.Cut(line, " ")
	job := ""
	if j, after, ok := strings.Cut(rest, " "); ok && strings.HasPrefix(j, "job=") {
		job, rest = run+"."+strings.TrimPrefix(j, "job="), after
	}
	for _, e := range message.Catalog {
		if string(e.Kind) != kind {
			continue
		}
		if !json.Valid([]byte(rest)) {
			t.Fatalf("%q: body is not JSON", line)
		}
		if e.Stream == message.Events {
			return &message.Event{Key: run, Kind: e.Kind, Connection: "forge", Body: json.RawMessage(rest)}
		}
		return &message.Fact{ID: job + "." + kind, Run: run, Job: job, Kind: e.Kind, Body: json.RawMessage(rest)}
	}
	t.Fatalf("%q: unknown kind", line)
	return nil
}

func show(e flow.Effect) string {
	switch e := e.(type) {
	case flow.Enqueue:
		text := fmt.Sprintf("enqueue %s %s %s %s", e.Job.ID, e.Job.Kind, e.Job.Priority, e.Job.Body)
		if e.Job.Origin != "" {
			text += " for " + e.Job.Origin
		}
		return text
	case flow.Wake:
		return fmt.Sprintf("wake %s at %s", e.Fact.Job, e.At.Format(time.RFC3339))
	case flow.CancelJobs:
		return fmt.Sprintf("cancel jobs of %s: %s", e.Run, e.Reason)
	}
	return fmt.Sprintf("%T", e)
}

func TestAMessageOfAnUnknownKindIsAnErrorAndChangesNothing(t *testing.T) {
	before := flow.State{ID: run, Status: hub.RunRunning, Job: "run.fetch.1"}
	for _, m := range []message.Message{
		&message.Event{Key: run, Kind: "moon_phase"},
		&message.Fact{Run: run, Job: "run.fetch.1", Kind: "moon.waned"},
	} {
		after, effects, err := flow.Next(before, m, time.Now())
		if err == nil || len(effects) > 0 || after.Job != before.Job {
			t.Errorf("%T: err %v, effects %v", m, err, effects)
		}
	}
}

func TestANewerPushSupersedesWhatAPushOpenedAndHasNotEnded(t *testing.T) {
	for _, c := range []struct {
		name string
		was  flow.State
		want hub.RunStatus
	}{
		{"a running push", flow.State{ID: "old", Opened: message.Push, Status: hub.RunRunning}, hub.RunCancelled},
		{"one that was asked for", flow.State{ID: "old", Opened: message.AnalysisRequested, Status: hub.RunRunning}, hub.RunRunning},
		{"one that has ended", flow.State{ID: "old", Opened: message.Push, Status: hub.RunCompleted}, hub.RunCompleted},
		{"the newer one itself", flow.State{ID: "new", Opened: message.Push, Status: hub.RunRunning}, hub.RunRunning},
	} {
		after, effects := flow.Supersede(c.was, "new", time.Now())
		if after.Status != c.want || (len(effects) == 1) != (c.want == hub.RunCancelled) {
			t.Errorf("%s: status %s, effects %v", c.name, after.Status, effects)
		}
	}
}

func TestNextLeavesTheStateItWasGivenAlone(t *testing.T) {
	push := parse(t, `push {"connection":"forge","repository":"shop","ref":"main","strategy":"DRY_RUN","priority":"LOW"}`)
	one, _, err := flow.Next(flow.State{}, push, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	before, _ := json.Marshal(one)
	fetched := parse(t, `snapshot.fetched job=fetch.1 {"snapshot":{"id":"s"}}`)
	if _, _, err := flow.Next(one, fetched, time.Now()); err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(one); string(after) != string(before) {
		t.Errorf("was %s, is %s", before, after)
	}
}
