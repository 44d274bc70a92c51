package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

const (
	lease   = 30 * time.Second
	restart = 300 * time.Millisecond // between the end of a process and the next
	// settle is how long the world may take after the last thing that happens to
	// it from outside: three attempts that each lose their lease, with room.
	settle = 15 * time.Minute
)

// world is one history under way: the model ledger, the model streams, and the
// processes that share them.
type world struct {
	plan    plan
	ledger  *ledger
	streams *streams
	running sync.WaitGroup // processes
	outside sync.WaitGroup // what happens to the world from outside
	late    sync.WaitGroup // effects that are late

	mu     sync.Mutex
	calls  map[string]int
	faults map[string]fault // by role, call and number
	fired  map[string]int   // by call and fault
	acted  map[string]int
	ran    map[string]int  // handlers, by job
	sent   []message.Event // and accepted
	bad    []string
}

func newWorld(p plan) *world {
	w := &world{plan: p, ledger: newLedger(), streams: newStreams(), calls: map[string]int{}, faults: map[string]fault{}, fired: map[string]int{}, acted: map[string]int{}, ran: map[string]int{}}
	for _, f := range p.Faults {
		w.faults[fmt.Sprintf("%s %s %d", f.Role, f.Call, f.N)] = f.Fault
	}
	return w
}

// fault is what goes wrong with this call of a role, if anything; each happens once.
func (w *world) fault(role, call string) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := role + " " + call
	n := w.calls[name]
	w.calls[name]++
	f := w.faults[fmt.Sprintf("%s %d", name, n)]
	if f != "" {
		w.fired[call+" "+string(f)]++
	}
	return f
}

func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = append(w.bad, fmt.Sprintf(format, args...))
}

// after does something to the world, in a goroutine of its own.
func after(all *sync.WaitGroup, d time.Duration, f func()) {
	all.Go(func() {
		time.Sleep(d)
		f()
	})
}

// play runs the history, and returns what is wrong with its end.
func (w *world) play() []string {
	ctx, quit := context.WithCancel(context.Background())
	for range w.plan.Replicas {
		w.keep(ctx, message.Orchestrator, func(ctx context.Context, p *process) {
			cfg := orchestrator.Config{LimitConnection: w.plan.Limit, LimitRepository: w.plan.Limit, Supersede: true}
			orchestrator.NewFold(cfg, p, p, quiet()).Run(ctx)
		})
		for _, worker := range message.Workers {
			w.keep(ctx, worker, w.work)
		}
	}
	for i, r := range w.plan.Runs {
		after(&w.outside, r.At, func() { w.upstream(i, r) })
	}
	for _, e := range w.plan.Weather {
		after(&w.outside, e.At, func() { w.weather(e.What) })
	}
	w.outside.Wait()
	began := time.Now()
	for w.unsettled() != "" && time.Since(began) < settle {
		time.Sleep(time.Second)
	}
	left := w.unsettled()
	quit()
	w.running.Wait()
	w.late.Wait()
	if left != "" {
		return []string{fmt.Sprintf("after %s there is still %s", settle, left)}
	}
	return w.wrong()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// keep runs one process after the other until ctx ends.
func (w *world) keep(ctx context.Context, role string, run func(context.Context, *process)) {
	w.running.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			life, quit := context.WithCancel(ctx)
			run(life, &process{w: w, role: role, name: fmt.Sprintf("%s-%p-%d", role, life, n), quit: quit, lost: map[string]bool{}})
			quit()
			time.Sleep(restart)
		}
	})
}

func (w *world) work(ctx context.Context, p *process) {
	cfg := work.Config{
		Worker: p.role, Name: p.name, Concurrency: w.plan.Concurrency, Prefetch: 2, Lease: lease, Drain: 10 * time.Second,
		Policies: policies(), Log: quiet(),
	}
	err := work.Run(ctx, cfg, p, p,
		handle[message.FetchBody](w, message.SnapshotFetchedBody{Snapshot: hub.Snapshot{ID: "snapshot", Commit: strings.Repeat("a", 40)}}),
		handle[message.AnalyzeBody](w, message.AnalysisFinishedBody{Score: 100, Risk: hub.RiskNone}),
		handle[message.PrepareBody](w, message.ChangesetPreparedBody{Changes: 1}))
	if err != nil {
		panic(err)
	}
}

const attempts = 3

func policies() map[message.Kind]work.Policy {
	p := work.Policy{First: time.Second, Factor: 2, Cap: 10 * time.Second, Attempts: attempts, Timeout: 2 * time.Minute}
	return map[message.Kind]work.Policy{message.Fetch: p, message.Analyze: p, message.Prepare: p}
}

// handle makes a handler that does what the plan says, and else reports b at once.
func handle[T message.Body](w *world, b message.Body) work.Handler {
	return work.On(func(ctx context.Context, d work.Delivery[T]) (work.Commit, error) {
		done := func(b message.Body) work.Commit {
			return func(tx *store.Batch) []message.Fact {
				tx.Queue("a row of the handler's")
				return d.Fact(b)
			}
		}
		if d.Attempt > attempts {
			w.complain("job %s was run a %dth time", d.Job.ID, d.Attempt)
		}
		switch w.act(d.Job) {
		case fails:
			return nil, errors.New("fails")
		case waits:
			return nil, work.Later(5*time.Second, errors.New("waits"))
		case waitsLong:
			return nil, work.Later(3*time.Minute, errors.New("waits long"))
		case drops:
			return nil, work.Drop(errors.New("drops"))
		case panics:
			panic("panics")
		case lasts:
			select {
			case <-time.After(lease + lease/2):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case deaf:
			time.Sleep(lease + lease/2)
		case loses:
			return done(message.SnapshotLostBody{Snapshot: "snapshot"}), nil
		case refused:
			return func(tx *store.Batch) []message.Fact { w.ledger.refuse(tx); return d.Fact(b) }, nil
		}
		return done(b), nil
	})
}

// act is what the plan has a handler do with this attempt of a job.
func (w *world) act(j message.Job) act {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ran[j.ID]++
	for i, r := range w.plan.Runs {
		if r.event(i).Key != j.Run {
			continue
		}
		name := fmt.Sprintf("%d %s", i, j.Kind)
		n := w.acted[name]
		w.acted[name]++
		for _, a := range w.plan.Acts {
			if a.Run == i && a.Kind == j.Kind && a.N == n {
				w.fired["a handler "+string(a.Act)]++
				return a.Act
			}
		}
	}
	return ""
}

// weather is what happens to the servers themselves.
func (w *world) weather(what string) {
	w.mu.Lock()
	w.fired[what]++
	w.mu.Unlock()
	switch what {
	case wipe:
		for w.unfolded() != "" { // the one window that is documented
			time.Sleep(time.Second)
		}
		w.streams.wipe()
	case forget:
		w.streams.forget()
	case repeat:
		w.streams.repeat()
	case jump:
		w.ledger.advance(lease + time.Second)
	}
}

// upstream sends the events of a run, each until it is accepted.
func (w *world) upstream(i int, r runPlan) {
	w.send(r.event(i), r.Direct)
	if r.Cancel > 0 {
		time.Sleep(r.Cancel)
		w.send(r.address(i, message.CancelRequestedBody{Connection: connection, Run: r.event(i).Key}), false)
	}
	if r.Retry > 0 {
		time.Sleep(r.Retry)
		w.send(r.address(i, message.RetryRequestedBody{Connection: connection, Run: r.event(i).Key}), r.Direct)
	}
}

func (w *world) send(e message.Event, direct bool) {
	for w.try(e, direct) != nil {
		time.Sleep(time.Second)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, e)
}

// try is a door, in a process that is new for every request.
func (w *world) try(e message.Event, direct bool) error {
	ctx, quit := context.WithCancel(context.Background())
	defer quit()
	p := &process{w: w, role: door, quit: quit}
	publish := func() error { w.streams.postEvent(e); return nil }
	if direct {
		return p.call(ctx, "publish", publish)
	}
	if err := p.call(ctx, "accept", func() error { w.ledger.Accept(e); return nil }); err != nil {
		return err
	}
	return p.call(ctx, "event", publish)
}

// unfolded names an accepted event that is not folded.
func (w *world) unfolded() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for _, e := range w.sent {
		if row := w.ledger.events[e.Key]; row == nil || !row.folded {
			return "event " + e.Key
		}
	}
	return ""
}

// unsettled says what is still under way, or nothing.
func (w *world) unsettled() string {
	if e := w.unfolded(); e != "" {
		return e
	}
	for id, s := range w.ledger.states() {
		if !s.Status.Terminal() {
			return fmt.Sprintf("run %s, %s, with job %s", id, s.Status, s.Job)
		}
	}
	l := w.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, o := range l.open {
		return fmt.Sprintf("job %s, %+v", id, *o)
	}
	for id := range l.facts {
		return "fact " + id
	}
	if n := w.streams.left(); len(n) > 0 {
		return fmt.Sprintf("messages %v", n)
	}
	return ""
}

// wrong checks what every history must have come to.
func (w *world) wrong() []string {
	states := w.ledger.states()
	for _, e := range w.sent {
		if _, ok := states[e.Key]; flow.Opens(e.Kind) && !ok {
			w.complain("accepted event %s has no run", e.Key)
		}
	}
	w.checkJobs()
	for id, s := range states {
		w.checkRun(id, s)
	}
	return w.bad
}

func (w *world) checkJobs() {
	l := w.ledger
	ends, recorded, fences := map[string]int{}, map[string]int{}, map[string]int64{}
	for _, a := range l.attempts {
		if a.worker != "" {
			recorded[a.job]++
		}
		if a.by > 0 && a.by != a.fence {
			w.complain("job %s: an end with fence %d was accepted, the claim had %d", a.job, a.by, a.fence)
		}
		// A cancel ends a job that waits without a claim of its own.
		if claimed := a.worker != ""; a.fence < fences[a.job] || claimed && a.fence == fences[a.job] {
			w.complain("attempt with fence %d of job %s was recorded after one with %d", a.fence, a.job, fences[a.job])
		}
		fences[a.job] = a.fence
		if ends[a.job] > 0 {
			w.complain("job %s has an attempt after its end: %+v", a.job, a)
		}
		if hub.JobStatus(a.outcome).Ended() {
			ends[a.job]++
		}
		if a.outcome == job.Lost && !w.plan.mayLose() {
			w.complain("job %s lost its worker, and nothing had happened to it", a.job)
		}
		if done := a.outcome == "COMPLETED"; done && l.rows[a.job] != 1 || !done && hub.JobStatus(a.outcome).Ended() && l.rows[a.job] != 0 {
			w.complain("job %s ended %s with %d rows of its handler", a.job, a.outcome, l.rows[a.job])
		}
	}
	for _, id := range l.ghosts {
		w.complain("job %s was begun after the end of its run", id)
	}
	for id := range l.jobs {
		if ends[id] != 1 {
			w.complain("job %s has %d ends", id, ends[id])
		}
		if w.ran[id] > recorded[id] {
			w.complain("the handler of job %s ran %d times, and %d attempts are recorded", id, w.ran[id], recorded[id])
		}
	}
}

func (w *world) checkRun(id string, s flow.State) {
	last := map[string]string{}
	for _, a := range w.ledger.attempts {
		if w.ledger.jobs[a.job].Run == id {
			last["outcome"] = string(a.outcome)
		}
	}
	switch s.Status {
	case hub.RunCompleted:
		if last["outcome"] != "COMPLETED" {
			w.complain("run %s is completed, but its last job ended %s", id, last["outcome"])
		}
		for _, step := range []string{"fetch", "analyze", "prepare"} {
			if s.Tries[step] == 0 {
				w.complain("run %s is completed without %s", id, step)
			}
		}
	case hub.RunFailed:
		if !strings.HasPrefix(s.Reason, "the snapshot was lost") && !w.hasLetter(id) {
			w.complain("run %s failed (%s), and no dead letter says why", id, s.Reason)
		}
	case hub.RunCancelled:
		if !strings.HasPrefix(s.Reason, "superseded") && !w.cancelled(id) {
			w.complain("run %s was cancelled (%s), and nobody asked for it", id, s.Reason)
		}
	}
}

func (w *world) hasLetter(run string) bool {
	for _, d := range w.ledger.letters {
		if d.Run == run && d.Cause != "" && len(d.Body) > 0 {
			return true
		}
	}
	return false
}

func (w *world) cancelled(run string) bool {
	for i, r := range w.plan.Runs {
		if r.event(i).Key == run && r.Cancel > 0 {
			return true
		}
	}
	return false
}
