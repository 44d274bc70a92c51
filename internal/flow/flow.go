// Package flow decides what happens next. It never does I/O: the same messages
// in the same order always give the same runs and the same jobs.
package flow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
)

// The steps of a run, in order; they are part of job ids.
const (
	stepFetch   = "fetch"
	stepAnalyze = "analyze"
	stepPrepare = "prepare"

	stepWait = "wait" // for a time; no worker does it
)

// maxLosses is how often a run may find its snapshot lost. A loss that repeats
// is not an accident.
const maxLosses = 3

// State is a run as flow knows it; the zero State is a run that does not exist.
// It is stored as JSON: fields are only added.
type State struct {
	ID         string         `json:"id"`
	Connection string         `json:"connection"`
	Repository string         `json:"repository"`
	Ref        string         `json:"ref,omitempty"`
	Commit     string         `json:"commit,omitempty"`
	Strategy   hub.Strategy   `json:"strategy"`
	Only       []hub.Category `json:"only,omitempty"`
	Priority   hub.Priority   `json:"priority"`
	Trace      string         `json:"trace,omitempty"`
	Opened     message.Kind   `json:"opened"` // the kind of event that opened the run

	Status     hub.RunStatus  `json:"status"`
	Reason     string         `json:"reason,omitempty"`
	Step       string         `json:"step,omitempty"` // the current one, or the last
	Job        string         `json:"job,omitempty"`  // the current one; facts of others are ignored
	Tries      map[string]int `json:"tries,omitempty"`
	Losses     int            `json:"losses,omitempty"` // of snapshots
	Snapshot   string         `json:"snapshot,omitempty"`
	CreatedAt  time.Time      `json:"created_at"`
	FinishedAt time.Time      `json:"finished_at,omitzero"`
}

// Effect is what must be done, in the transaction that stores the state.
type Effect interface{ effect() }

// Enqueue puts a job on its subject.
type Enqueue struct{ Job message.Job }

// CancelJobs ends the open jobs of a run, running ones included.
type CancelJobs struct{ Run, Reason string }

// Wake folds a fact at a time, and not before.
type Wake struct {
	At   time.Time
	Fact message.Fact
}

func (Enqueue) effect()    {}
func (CancelJobs) effect() {}
func (Wake) effect()       {}

// RunOf names the run that a message opens or addresses.
func RunOf(m message.Message) string {
	switch m := m.(type) {
	case *message.Fact:
		return m.Run
	case *message.Event:
		var addressed struct {
			Run string `json:"run"`
		}
		if Opens(m.Kind) || json.Unmarshal(m.Body, &addressed) != nil {
			return m.Key
		}
		return addressed.Run
	}
	return ""
}

// Opens reports whether an event of this kind opens a run; the others address one.
func Opens(k message.Kind) bool { return k == message.Push || k == message.AnalysisRequested }

// Next folds one message into a run. A message that does not fit the state (a
// repeated one, one of a job that is not current, any after the end) changes
// nothing. An error means that the message itself cannot be read.
func Next(s State, m message.Message, now time.Time) (State, []Effect, error) {
	switch m := m.(type) {
	case *message.Event:
		return s.event(m, now)
	case *message.Fact:
		if s.Status.Terminal() || m.Job != s.Job {
			return s, nil, nil
		}
		return s.fact(m, now)
	}
	return s, nil, fmt.Errorf("fold %T: not an event or a fact", m)
}

func (s State) event(e *message.Event, now time.Time) (State, []Effect, error) {
	switch e.Kind {
	case message.Push:
		b, err := message.Decode[message.PushBody](e.Kind, e.Body)
		if err != nil || s.ID != "" {
			return s, nil, err
		}
		s, effects := open(e, b.Target, now)
		return s, effects, nil
	case message.AnalysisRequested:
		b, err := message.Decode[message.AnalysisRequestedBody](e.Kind, e.Body)
		if err != nil || s.ID != "" {
			return s, nil, err
		}
		s, effects := open(e, b.Target, now)
		return s, effects, nil
	case message.CancelRequested:
		b, err := message.Decode[message.CancelRequestedBody](e.Kind, e.Body)
		if err != nil || s.ID == "" || s.Status.Terminal() || s.Connection != e.Connection {
			return s, nil, err
		}
		if b.Reason == "" {
			b.Reason = "cancelled on request"
		}
		return s.end(hub.RunCancelled, b.Reason, now), []Effect{CancelJobs{Run: s.ID, Reason: b.Reason}}, nil
	case message.RetryRequested:
		b, err := message.Decode[message.RetryRequestedBody](e.Kind, e.Body)
		if err != nil || s.Status != hub.RunFailed || s.Connection != e.Connection {
			return s, nil, err
		}
		s, effects := s.again(b.DeadLetter)
		return s, effects, nil
	}
	return s, nil, fmt.Errorf("fold event %s: kind %q is not known", e.Key, e.Kind)
}

func open(e *message.Event, t message.Target, now time.Time) (State, []Effect) {
	s := State{
		ID: e.Key, Connection: t.Connection, Repository: t.Repository, Ref: t.Ref, Commit: t.Commit, Strategy: t.Strategy,
		Only: t.Only, Priority: t.Priority, Trace: e.Trace, Opened: e.Kind, Status: hub.RunRunning, CreatedAt: now,
	}
	if !t.At.After(now) {
		return s.fetch()
	}
	s.Status, s.Reason, s.Step, s.Job = hub.RunWaiting, "starts at "+t.At.UTC().Format(time.RFC3339), stepWait, hub.JobID(s.ID, stepWait, 1)
	fact := message.NewFact(message.Job{ID: s.Job, Run: s.ID, Trace: s.Trace}, message.TimeReachedBody{At: t.At})
	return s, []Effect{Wake{At: t.At, Fact: fact}}
}

// again goes on with a failed run from its last step. What was lost before is
// not counted against it any more: somebody has looked.
func (s State) again(deadLetter string) (State, []Effect) {
	s.Status, s.Reason, s.FinishedAt, s.Losses = hub.RunRunning, "", time.Time{}, 0
	var effects []Effect
	switch {
	case s.Snapshot == "":
		s, effects = s.fetch()
	case s.Step == stepPrepare:
		s, effects = s.prepare()
	default:
		s, effects = s.analyze()
	}
	for i, e := range effects {
		if q, ok := e.(Enqueue); ok {
			q.Job.Origin = deadLetter
			effects[i] = q
		}
	}
	return s, effects
}

// Supersede cancels a run of a push because a newer push to the same branch
// opened the run by. A run that was asked for, or has ended, stays as it is.
func Supersede(s State, by string, now time.Time) (State, []Effect) {
	if s.Opened != message.Push || s.Status.Terminal() || s.ID == by {
		return s, nil
	}
	reason := "superseded by run " + by
	return s.end(hub.RunCancelled, reason, now), []Effect{CancelJobs{Run: s.ID, Reason: reason}}
}

func (s State) fact(f *message.Fact, now time.Time) (State, []Effect, error) {
	switch f.Kind {
	case message.SnapshotFetched:
		b, err := message.Decode[message.SnapshotFetchedBody](f.Kind, f.Body)
		if err != nil {
			return s, nil, err
		}
		s.Snapshot, s.Commit = b.Snapshot.ID, b.Snapshot.Commit
		s, effects := s.analyze()
		return s, effects, nil
	case message.AnalysisFinished:
		s, effects := s.prepare()
		return s, effects, nil
	case message.TimeReached:
		s.Status, s.Reason = hub.RunRunning, ""
		s, effects := s.fetch()
		return s, effects, nil
	case message.ChangesetPrepared:
		return s.end(hub.RunCompleted, "", now), nil, nil
	case message.SnapshotLost:
		if s.Losses++; s.Losses >= maxLosses {
			return s.end(hub.RunFailed, fmt.Sprintf("the snapshot was lost %d times; look at the Object Store", maxLosses), now), nil, nil
		}
		s, effects := s.fetch()
		return s, effects, nil
	case message.JobFailed:
		b, err := message.Decode[message.JobFailedBody](f.Kind, f.Body)
		if err != nil {
			return s, nil, err
		}
		return s.end(hub.RunFailed, b.Error, now), nil, nil
	case message.JobCancelled:
		b, err := message.Decode[message.JobCancelledBody](f.Kind, f.Body)
		if err != nil {
			return s, nil, err
		}
		return s.end(hub.RunCancelled, b.Reason, now), nil, nil
	}
	return s, nil, fmt.Errorf("fold fact %s: kind %q is not known", f.ID, f.Kind)
}

// fetch asks for the code: again, at the commit that the first fetch found. A
// source without commits pins nothing, and what it holds now is fetched.
func (s State) fetch() (State, []Effect) {
	b := message.FetchBody{Connection: s.Connection, Repository: s.Repository, Ref: s.Ref}
	if hub.IsCommitID(s.Commit) {
		b.Commit = s.Commit
	}
	return s.start(stepFetch, b)
}

func (s State) analyze() (State, []Effect) {
	return s.start(stepAnalyze, message.AnalyzeBody{Snapshot: s.Snapshot, Only: s.Only})
}

func (s State) prepare() (State, []Effect) {
	return s.start(stepPrepare, message.PrepareBody{Snapshot: s.Snapshot, Commit: s.Commit, Deployment: s.ID, Strategy: s.Strategy})
}

// start begins a step with a job of its own id.
func (s State) start(step string, b message.Body) (State, []Effect) {
	tries := map[string]int{}
	for k, v := range s.Tries { // copied: the caller keeps its state
		tries[k] = v
	}
	tries[step]++
	s.Tries, s.Step, s.Job = tries, step, hub.JobID(s.ID, step, tries[step])
	j := message.Job{
		ID: s.Job, Run: s.ID, Kind: b.Kind(), Priority: s.Priority, Connection: s.Connection, Repository: s.Repository,
		Trace: s.Trace, Body: message.Encode(b),
	}
	if step == stepPrepare {
		j.Branch = cmp.Or(s.Ref, "HEAD")
	}
	return s, []Effect{Enqueue{j}}
}

func (s State) end(status hub.RunStatus, reason string, now time.Time) State {
	s.Status, s.Reason, s.Job, s.FinishedAt = status, reason, "", now
	return s
}
