package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"integrationhub/internal/batch"
	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store/job"
)

// task is one claimed job on its way through a runner.
type task struct {
	msg    bus.Delivery
	job    message.Job
	claim  job.Claim
	policy Policy
	log    *slog.Logger
	note   func(string)
	stop   context.CancelCauseFunc
	ctx    context.Context
	commit Commit
	err    error
}

// runner works for one worker in one process.
type runner struct {
	cfg      Config
	queue    Queue
	ledger   Ledger
	handlers map[message.Kind]Handler
	slots    chan struct{}
	in       [4]chan bus.Delivery // by priority
	done     *batch.Batcher[*task]
	handling sync.WaitGroup

	mu   sync.Mutex
	held map[string]*task // claimed and not yet ended, by job id
}

// finishers is how many commits of ended jobs run at the same time.
const finishers = 2

// Run works until ctx ends or the replica is told to drain: it hands back at
// once what it has not begun, and lets what runs go on, once ctx has ended for
// Config.Drain. It returns when every goroutine it started has ended.
func Run(ctx context.Context, cfg Config, q Queue, l Ledger, handlers ...Handler) error {
	r := &runner{cfg: cfg, queue: q, ledger: l, handlers: map[message.Kind]Handler{}, held: map[string]*task{}, slots: make(chan struct{}, cfg.Concurrency)}
	for _, h := range handlers {
		if _, ok := cfg.Policies[h.kind]; !ok {
			return fmt.Errorf("work: no policy for %s", h.kind)
		}
		r.handlers[h.kind] = h
	}
	for i := range r.in {
		r.in[i] = make(chan bus.Delivery, cfg.Prefetch)
	}
	// What was begun outlives ctx: only the end of the drain cuts it off.
	life, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	taking, leave := context.WithCancel(ctx)
	defer leave()
	control := func(c message.Control) *message.Replica { return r.control(taking, leave, c) }
	if err := q.WatchControl(life, cfg.Worker, control); err != nil {
		return fmt.Errorf("work: watch control of %s: %w", cfg.Worker, err)
	}
	r.done = batch.New(finishers, 500, func(ts []*task) { r.finish(life, ts) })

	var beat, readers sync.WaitGroup
	beating, stopBeat := context.WithCancel(life)
	defer stopBeat()
	beat.Go(func() { r.heartbeat(beating) })
	for i, p := range hub.Priorities {
		readers.Go(func() {
			q.Jobs(taking, cfg.Worker, p, cfg.Prefetch, func(d bus.Delivery) {
				select {
				case r.in[i] <- d:
				case <-taking.Done():
					r.nak(d, 0)
				}
			})
		})
	}
	r.dispatch(taking, life)
	readers.Wait()
	for _, in := range r.in {
		close(in)
		for d := range in {
			r.nak(d, 0)
		}
	}
	r.drain(ctx)
	giveUp := time.AfterFunc(ledgerTimeout, func() { cut(errDrained) }) // a ledger that is gone must not hold up the shutdown
	r.done.Close()
	giveUp.Stop()
	stopBeat()
	beat.Wait()
	return nil
}

// drain waits for the handlers. Once ctx has ended, those that are not done in
// time are told to stop.
func (r *runner) drain(ctx context.Context) {
	ended := make(chan struct{})
	go func() { r.handling.Wait(); close(ended) }()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	late := time.NewTimer(r.cfg.Drain)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		r.mu.Lock()
		for _, t := range r.held {
			t.stop(errDrained)
		}
		r.mu.Unlock()
		<-ended
	}
}

// dispatch claims messages as slots become free, the most urgent first.
func (r *runner) dispatch(ctx, life context.Context) {
	pick := newPicker(r.in, r.cfg.Strict)
	for {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		first, ok := pick.wait(ctx)
		if !ok {
			<-r.slots
			return
		}
		msgs := r.more(pick, []bus.Delivery{first})
		tasks := r.claim(life, msgs)
		if len(tasks) > 0 {
			r.point("after-claim")
		}
		r.begin(life, tasks)
	}
}

// more takes what else waits, as long as slots are free: one claim for many jobs.
func (r *runner) more(pick *picker, msgs []bus.Delivery) []bus.Delivery {
	for {
		select {
		case r.slots <- struct{}{}:
		default:
			return msgs
		}
		d, ok := pick.try()
		if !ok {
			<-r.slots
			return msgs
		}
		msgs = append(msgs, d)
	}
}

// unknownKind is how long a message of an unknown kind waits for a newer worker.
const unknownKind = 30 * time.Second

// ledgerTimeout bounds a claim, and what else must not hold up the dispatch.
const ledgerTimeout = 10 * time.Second

// claim returns the tasks that are ours; the slots of the others are free again.
// It goes on when the worker is told to stop: a claim of unknown outcome would
// keep its job until the lease runs out.
func (r *runner) claim(life context.Context, msgs []bus.Delivery) []*task {
	tasks := make(map[string]*task, len(msgs))
	ids := make([]string, 0, len(msgs))
	for _, m := range msgs {
		j, err := m.Job()
		switch _, known := r.handlers[j.Kind]; {
		case err != nil:
			r.bury(life, m, err)
		case !known:
			r.cfg.Log.Warn("unknown kind of job; a newer worker may take it", "kind", j.Kind, "job", j.ID)
			r.nak(m, unknownKind)
		case tasks[j.ID] != nil:
			r.ack(m) // a second copy in the same batch
		default:
			tasks[j.ID] = &task{msg: m, job: j}
			ids = append(ids, j.ID)
			continue
		}
		<-r.slots
	}
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(life, ledgerTimeout)
	defer cancel()
	claims, err := r.ledger.Claim(ctx, r.cfg.Name, ids, r.cfg.Lease)
	if err != nil {
		r.cfg.Log.Warn("claim failed", "jobs", len(ids), "err", err)
		for _, t := range tasks {
			r.nak(t.msg, time.Second)
			<-r.slots
		}
		return nil
	}
	var ours []*task
	for _, c := range claims {
		t := tasks[c.ID]
		delete(tasks, c.ID)
		t.claim = c
		ours = append(ours, t)
	}
	for _, t := range tasks { // ended, or somebody else's: Postgres sends it again if need be
		r.ack(t.msg)
		<-r.slots
	}
	return ours
}

// bury makes a dead letter of what is not a job of ours.
func (r *runner) bury(life context.Context, m bus.Delivery, cause error) {
	ctx, cancel := context.WithTimeout(life, ledgerTimeout)
	defer cancel()
	r.cfg.Log.Error("unreadable job", "subject", m.Subject, "err", cause)
	d := message.DeadLetter{ID: "unread." + hub.BlobHash(append([]byte(m.Subject+"\n"), m.Data...)), Subject: hub.CleanText(m.Subject), Cause: hub.CleanText(cause.Error()), At: time.Now().UTC(), Body: m.Data}
	if err := r.ledger.Bury(ctx, d); err != nil {
		r.cfg.Log.Warn("dead letter not stored; the message comes again", "err", err)
		r.nak(m, time.Second)
		return
	}
	r.queue.PostDead(r.cfg.Worker, d)
	r.ack(m)
}

func (r *runner) nak(m bus.Delivery, delay time.Duration) {
	if err := m.Nak(delay); err != nil {
		r.cfg.Log.Debug("nak lost; the message comes again after the ack wait", "subject", m.Subject, "err", err)
	}
}

func (r *runner) ack(m bus.Delivery) {
	if err := m.Ack(); err != nil {
		r.cfg.Log.Debug("ack lost; the ledger refuses the job when it comes again", "subject", m.Subject, "err", err)
	}
}

// begin starts the handlers of claimed tasks, one goroutine each; a slot was
// taken for each before.
func (r *runner) begin(life context.Context, tasks []*task) {
	for _, t := range tasks {
		t.policy = r.cfg.Policies[t.job.Kind]
		t.log = r.cfg.Log.With("run", t.job.Run, "job", t.job.ID, "kind", t.job.Kind, "attempt", t.claim.Attempt)
		t.note = func(text string) { r.progress(t, string(hub.JobProcessing), text) }
		t.ctx, t.stop = context.WithCancelCause(life)
		r.mu.Lock()
		if stale := r.held[t.job.ID]; stale != nil {
			stale.stop(errLost) // this worker lost the claim, and got the job again
		}
		r.held[t.job.ID] = t
		r.mu.Unlock()
		r.handling.Go(func() {
			r.handle(t)
			<-r.slots // the slot is free as soon as the handler is done; the commit does not hold it
			r.done.Add(t)
		})
	}
}

func (r *runner) handle(t *task) {
	ctx, cancel := context.WithTimeout(t.ctx, t.policy.Timeout)
	defer cancel()
	t.ctx = ctx
	defer func() {
		if p := recover(); p != nil {
			t.commit, t.err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if t.claim.Attempt > t.policy.Attempts {
		// Attempts are counted at the claim, so this job took its workers down with it.
		t.err = Drop(fmt.Errorf("given up: %d workers stopped without a word while they ran it", t.policy.Attempts))
		return
	}
	r.progress(t, string(hub.JobProcessing), "")
	t.commit, t.err = r.handlers[t.job.Kind].run(ctx, t)
}

// finish commits ended tasks together. It tries until the ledger answers: the
// fence makes a commit of unknown outcome safe to repeat.
func (r *runner) finish(life context.Context, tasks []*task) {
	ends := make([]job.End, 0, len(tasks))
	mine := make([]*task, 0, len(tasks))
	for _, t := range tasks {
		if errors.Is(context.Cause(t.ctx), errLost) && t.err != nil {
			r.release(t)
			r.nak(t.msg, time.Second) // see settle
			continue
		}
		ends = append(ends, t.end(t.ctx, t.commit, t.err))
		mine = append(mine, t)
	}
	if len(ends) == 0 {
		return
	}
	r.point("before-commit")
	got := r.write(life, ends)
	r.point("after-commit")
	for i, t := range mine {
		if got != nil && got[i].Err != nil { // its own statements were refused: that is an error of the attempt
			ends[i] = t.end(t.ctx, nil, fmt.Errorf("commit: %w", got[i].Err))
			if one := r.write(life, ends[i:i+1]); one != nil {
				got[i] = one[0]
			}
		}
		r.release(t)
		if got != nil {
			r.settle(t, ends[i], got[i])
		}
	}
}

func (r *runner) release(t *task) {
	r.mu.Lock()
	if r.held[t.job.ID] == t {
		delete(r.held, t.job.ID)
	}
	r.mu.Unlock()
	t.stop(nil)
}

// write returns nil only when life is over.
func (r *runner) write(life context.Context, ends []job.End) []job.Ended {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		ctx, cancel := context.WithTimeout(life, time.Minute)
		got, err := r.ledger.Finish(ctx, ends)
		cancel()
		if err == nil {
			return got
		}
		r.cfg.Log.Warn("ends not written; trying again", "jobs", len(ends), "err", err)
		select {
		case <-life.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// settle tells the stream and whoever watches what was committed.
func (r *runner) settle(t *task, e job.End, got job.Ended) {
	if !got.Won {
		// A Postgres that crashed may have forgotten the claim, and waits for this very
		// message; where somebody else has the job, the next claim is refused.
		t.log.Warn("not committed: the claim was lost")
		r.nak(t.msg, time.Second)
		return
	}
	r.queue.PostFacts(got.Facts)
	if e.Dead != nil {
		r.queue.PostDead(r.cfg.Worker, *e.Dead)
	}
	switch e.Outcome {
	case job.Retry, job.Later:
		t.log.Info("job waits", "outcome", e.Outcome, "delay", e.Delay, "err", e.Error)
		r.progress(t, string(hub.JobPending), e.Error)
		if e.Delay <= job.MaxNak {
			r.nak(t.msg, e.Delay)
			return
		}
	case job.Completed:
		t.log.Debug("job done")
		r.progress(t, string(hub.JobCompleted), "")
	default:
		t.log.Warn("job ended", "outcome", e.Outcome, "err", e.Error)
		r.progress(t, string(e.Outcome), e.Error)
	}
	r.ack(t.msg)
}

func (r *runner) point(name string) {
	if r.cfg.Point != nil {
		r.cfg.Point(name)
	}
}

func (r *runner) progress(t *task, status, note string) {
	r.queue.Progress(message.Progress{Run: t.job.Run, Job: t.job.ID, Kind: t.job.Kind, Status: status, Attempt: t.claim.Attempt, Note: note, At: time.Now().UTC()})
}

// control does what the replicas of this worker are told, and answers those who
// ask.
func (r *runner) control(taking context.Context, leave func(), c message.Control) *message.Replica {
	switch {
	case c.Run != "":
		r.cancelled(c.Run, c.Reason)
		return nil
	case c.Drain != "" && c.Drain == r.cfg.Name:
		r.cfg.Log.Info("told to drain: taking no more work")
		leave()
	case !c.Ping:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return &message.Replica{
		Worker: r.cfg.Worker, Name: r.cfg.Name, Jobs: len(r.held), Concurrency: r.cfg.Concurrency, Strict: r.cfg.Strict, Draining: taking.Err() != nil,
	}
}

// cancelled stops the jobs of a run that this replica holds.
func (r *runner) cancelled(run, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.held {
		if t.job.Run == run {
			t.stop(&cancelledError{reason})
		}
	}
}

// maxBeat keeps deliveries within their ack wait of 10 s, however long the lease.
const maxBeat = 3 * time.Second

// heartbeat keeps leases and deliveries alive, and learns what must stop.
func (r *runner) heartbeat(ctx context.Context) {
	tick := time.NewTicker(min(r.cfg.Lease/3, maxBeat))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		tasks := slices.Collect(maps.Values(r.held))
		r.mu.Unlock()
		if len(tasks) == 0 {
			continue
		}
		held := make([]job.Claim, len(tasks))
		for i, t := range tasks { // without the lock: a stream that is slow must not hold up a cancel
			held[i] = t.claim
			if err := t.msg.InProgress(); err != nil {
				t.log.Debug("heartbeat to the stream lost", "err", err)
			}
		}
		r.renew(ctx, held)
	}
}

func (r *runner) renew(ctx context.Context, held []job.Claim) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Lease/3)
	defer cancel()
	stop, err := r.ledger.Renew(ctx, held, r.cfg.Lease)
	if err != nil {
		r.cfg.Log.Warn("leases not renewed", "jobs", len(held), "err", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range held {
		t := r.held[c.ID]
		reason, told := stop[c.ID]
		switch {
		case !told || t == nil || t.claim != c: // goes on, or ended meanwhile
		case reason != "":
			t.stop(&cancelledError{reason})
		default:
			t.log.Warn("claim lost")
			t.stop(errLost)
			delete(r.held, c.ID) // its delivery is another worker's, too
		}
	}
}
