package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
)

// plan is a history before it is played: what is asked of the hub, what its
// handlers do, and everything that goes wrong.
type plan struct {
	Replicas    int // of every kind of process
	Concurrency int // of every worker
	Limit       int // jobs at a time of a connection and of a repository; 0 is none
	Runs        []runPlan
	Acts        []actPlan
	Faults      []faultPlan
	Weather     []weatherPlan
}

type runPlan struct {
	At       time.Duration
	Push     bool // otherwise an analysis is asked for
	Priority hub.Priority
	Repo     string
	Start    time.Duration // starts that much later
	Direct   bool          // comes straight over NATS
	Cancel   time.Duration // after it was sent; 0 is never
	Retry    time.Duration // after that
}

// act is what a handler does instead of its work.
type act string

const (
	fails     act = "fails"
	waits     act = "asks for 5 s"
	waitsLong act = "asks for 3 m"
	drops     act = "gives up"
	panics    act = "panics"
	lasts     act = "lasts longer than a lease"
	deaf      act = "lasts longer than a lease, whatever its context says"
	loses     act = "finds the snapshot lost"
	refused   act = "queues a statement that is refused"
)

var acts = []act{fails, waits, waitsLong, drops, panics, lasts, deaf, loses, refused}

type actPlan struct {
	Run  int
	Kind message.Kind
	N    int // the how manieth attempt of that kind
	Act  act
}

type faultPlan struct {
	Role, Call string
	N          int // the how manieth such call
	Fault      fault
}

// What happens to the servers.
const (
	wipe   = "the streams are deleted"
	forget = "acknowledgements are forgotten"
	repeat = "the newest messages are published once more"
	jump   = "the ledger's clock jumps past the leases"
)

type weatherPlan struct {
	At   time.Duration
	What string
}

const (
	connection = "forge"
	door       = "door"
)

// event opens the run.
func (r runPlan) event(i int) message.Event {
	t := message.Target{Connection: connection, Repository: r.Repo, Ref: "main", Strategy: hub.DryRun, Priority: r.Priority}
	if r.Start > 0 {
		t.At = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(r.At + r.Start) // where the bubble's clock begins
	}
	if r.Push {
		return sentBy(fmt.Sprint("push-", i), message.PushBody{Target: t})
	}
	return sentBy(fmt.Sprint("ask-", i), message.AnalysisRequestedBody{Target: t})
}

// address makes an event about the run.
func (r runPlan) address(i int, b message.Body) message.Event {
	return sentBy(fmt.Sprint(b.Kind(), "-", i), b)
}

func sentBy(id string, b message.Body) message.Event {
	const source = "https://forge.example.org"
	return message.Event{Key: hub.RunID(source, id), Source: source, ID: id, Kind: b.Kind(), Connection: connection, Body: message.Encode(b)}
}

// rolesOf says which processes make a call.
func rolesOf(call string) []string {
	switch call {
	case "claim", "renew", "finish", "fact":
		return message.Workers
	case "fold", "sweep", "job", "cancel":
		return []string{message.Orchestrator}
	case "accept", "event", "publish":
		return []string{door}
	}
	return append(slices.Clone(message.Workers), message.Orchestrator)
}

func seconds(t *rapid.T, most int, label string) time.Duration {
	return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Second
}

func drawPlan(t *rapid.T) plan {
	p := plan{
		Replicas:    rapid.IntRange(1, 2).Draw(t, "replicas"),
		Concurrency: rapid.IntRange(1, 3).Draw(t, "concurrency"),
		Limit:       rapid.IntRange(0, 2).Draw(t, "limit"),
	}
	for range rapid.IntRange(1, 4).Draw(t, "runs") {
		p.Runs = append(p.Runs, drawRun(t))
	}
	kinds := []message.Kind{message.Fetch, message.Analyze, message.Prepare}
	for range rapid.IntRange(0, 4).Draw(t, "acts") {
		p.Acts = append(p.Acts, actPlan{
			rapid.IntRange(0, len(p.Runs)-1).Draw(t, "run"), rapid.SampledFrom(kinds).Draw(t, "kind"),
			rapid.IntRange(0, 3).Draw(t, "attempt"), rapid.SampledFrom(acts).Draw(t, "act"),
		})
	}
	names := slices.Sorted(maps.Keys(calls))
	for range rapid.IntRange(0, 10).Draw(t, "faults") {
		call := rapid.SampledFrom(names).Draw(t, "call")
		p.Faults = append(p.Faults, faultPlan{
			rapid.SampledFrom(rolesOf(call)).Draw(t, "role"), call,
			rapid.IntRange(0, 7).Draw(t, "nth"), rapid.SampledFrom(calls[call]).Draw(t, "fault"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "weather") {
		p.Weather = append(p.Weather, weatherPlan{
			seconds(t, 60, "when") + time.Duration(rapid.IntRange(0, 999).Draw(t, "ms"))*time.Millisecond,
			rapid.SampledFrom([]string{wipe, forget, repeat, jump}).Draw(t, "what"),
		})
	}
	return p
}

func drawRun(t *rapid.T) runPlan {
	r := runPlan{
		At: seconds(t, 10, "at"), Push: rapid.Bool().Draw(t, "push"), Priority: rapid.SampledFrom(hub.Priorities).Draw(t, "priority"),
		Repo: rapid.SampledFrom([]string{"shop/web", "shop/till"}).Draw(t, "repository"), Direct: rapid.Bool().Draw(t, "direct"),
	}
	switch rapid.IntRange(0, 7).Draw(t, "then") {
	case 1:
		r.Cancel = time.Second + seconds(t, 60, "cancel")
	case 2:
		r.Retry = time.Second + seconds(t, 200, "retry")
	case 3:
		r.Start = time.Second + seconds(t, 60, "start")
	}
	return r
}

// mayLose reports whether something in the plan may part a worker from its job.
func (p plan) mayLose() bool {
	return slices.ContainsFunc(p.Faults, func(f faultPlan) bool {
		return f.Call == "claim" || f.Call == "renew" || slices.Contains([]fault{crashBefore, crashAfter, pause, stop}, f.Fault)
	}) || slices.ContainsFunc(p.Weather, func(e weatherPlan) bool { return e.What == jump }) ||
		slices.ContainsFunc(p.Acts, func(a actPlan) bool { return a.Act == deaf })
}

// String is the plan as a person reads it.
func (p plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "replicas %d, concurrency %d, limit %d\n", p.Replicas, p.Concurrency, p.Limit)
	for i, r := range p.Runs {
		fmt.Fprintf(&b, "run %d %s: %+v\n", i, r.event(i).Key, r)
	}
	for _, a := range p.Acts {
		fmt.Fprintf(&b, "run %d, attempt %d of %s %s\n", a.Run, a.N, a.Kind, a.Act)
	}
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "%s, call %d of %s: %s\n", f.Role, f.N, f.Call, f.Fault)
	}
	for _, w := range p.Weather {
		fmt.Fprintf(&b, "after %s %s\n", w.At, w.What)
	}
	return b.String()
}

// TestEveryHistoryEndsRight plays drawn histories, as many as -rapid.checks says
// on each of two cores.
func TestEveryHistoryEndsRight(t *testing.T) {
	seen := &tally{fired: map[string]int{}, ends: map[hub.RunStatus]int{}}
	t.Cleanup(func() { seen.report(t) })
	for n := range 2 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				p := drawPlan(rt)
				if n, bad := play(t, p, seen); len(bad) > 0 {
					rt.Fatalf("history %d:\n%s\n%s", n, p, strings.Join(bad, "\n"))
				}
			})
		})
	}
}

func play(t *testing.T, p plan, seen *tally) (n int, bad []string) {
	w := newWorld(p)
	synctest.Test(t, func(*testing.T) { bad = w.play() })
	return seen.add(w), bad
}

// tally counts what the histories came through.
type tally struct {
	mu        sync.Mutex
	histories int
	fired     map[string]int
	ends      map[hub.RunStatus]int
}

func (y *tally) add(w *world) (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.histories++
	for what, n := range w.fired {
		y.fired[what] += n
	}
	for _, s := range w.ledger.states() {
		y.ends[s.Status]++
	}
	return y.histories
}

// report fails the test when something that may go wrong never did: then the
// histories prove less than they say.
func (y *tally) report(t *testing.T) {
	total := 0
	for _, n := range y.fired {
		total += n
	}
	t.Logf("%d histories with %d faults; runs ended %v", y.histories, total, y.ends)
	if t.Failed() || y.histories < 5000 {
		return
	}
	want := []string{wipe, forget, repeat, jump}
	for _, a := range acts {
		want = append(want, "a handler "+string(a))
	}
	for call, faults := range calls {
		for _, f := range faults {
			want = append(want, call+" "+string(f))
		}
	}
	for _, what := range want {
		if y.fired[what] == 0 {
			t.Errorf("in no history: %s", what)
		}
	}
}
