// Package flow decides what happens next. It never does I/O: the same messages
// in the same order always give the same runs and the same jobs.
package flow

import (
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
)

// maxTries is how often one step of a run may be started anew because the
// snapshot was lost. A loss that repeats is not an accident.
const maxTries = 3

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

	Status     hub.RunStatus  `json:"status"`
	Reason     string         `json:"reason,omitempty"`
	Job        string         `json:"job,omitempty"` // the current one; facts of others are ignored
	Tries      map[string]int `json:"tries,omitempty"`
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

func (Enqueue) effect()    {}
func (CancelJobs) effect() {}

// RunOf names the run that a message opens or addresses.
func RunOf(m message.Message) string {
	switch m := m.(type) {
	case *message.Fact:
		return m.Run
	case *message.Event:
		if m.Kind == message.CancelRequested {
			if b, err := message.Decode[message.CancelRequestedBody](m.Kind, m.Body); err == nil {
				return b.Run
			}
		}
		return m.Key
	}
	return ""
}

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
	}
	return s, nil, fmt.Errorf("fold event %s: kind %q is not known", e.Key, e.Kind)
}

func open(e *message.Event, t message.Target, now time.Time) (State, []Effect) {
	s := State{
		ID: e.Key, Connection: t.Connection, Repository: t.Repository, Ref: t.Ref, Commit: t.Commit, Strategy: t.Strategy,
		Only: t.Only, Priority: t.Priority, Trace: e.Trace, Status: hub.RunRunning, CreatedAt: now,
	}
	return s.start(stepFetch, message.FetchBody{Connection: t.Connection, Repository: t.Repository, Ref: t.Ref, Commit: t.Commit}, now)
}

func (s State) fact(f *message.Fact, now time.Time) (State, []Effect, error) {
	switch f.Kind {
	case message.SnapshotFetched:
		b, err := message.Decode[message.SnapshotFetchedBody](f.Kind, f.Body)
		if err != nil {
			return s, nil, err
		}
		s.Snapshot, s.Commit = b.Snapshot.ID, b.Snapshot.Commit
		s, effects := s.start(stepAnalyze, message.AnalyzeBody{Snapshot: s.Snapshot, Only: s.Only}, now)
		return s, effects, nil
	case message.AnalysisFinished:
		s, effects := s.start(stepPrepare, message.PrepareBody{Snapshot: s.Snapshot, Commit: s.Commit, Deployment: s.ID, Strategy: s.Strategy}, now)
		return s, effects, nil
	case message.ChangesetPrepared:
		return s.end(hub.RunCompleted, "", now), nil, nil
	case message.SnapshotLost:
		return s.refetch(now)
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

// refetch fetches the pinned commit again. A source without commits pins
// nothing: what it holds now is fetched.
func (s State) refetch(now time.Time) (State, []Effect, error) {
	b := message.FetchBody{Connection: s.Connection, Repository: s.Repository, Ref: s.Ref}
	if hub.IsCommitID(s.Commit) {
		b.Commit = s.Commit
	}
	s, effects := s.start(stepFetch, b, now)
	return s, effects, nil
}

// start begins a step with a job of its own id, or fails the run when the step
// was started too often.
func (s State) start(step string, b message.Body, now time.Time) (State, []Effect) {
	tries := map[string]int{step: 0}
	for k, v := range s.Tries { // copied: the caller keeps its state
		tries[k] = v
	}
	tries[step]++
	s.Tries = tries
	if tries[step] > maxTries {
		return s.end(hub.RunFailed, fmt.Sprintf("the snapshot was lost %d times; look at the Object Store", maxTries), now), nil
	}
	s.Job = hub.JobID(s.ID, step, tries[step])
	return s, []Effect{Enqueue{message.Job{
		ID: s.Job, Run: s.ID, Kind: b.Kind(), Priority: s.Priority, Connection: s.Connection, Repository: s.Repository,
		Trace: s.Trace, Body: message.Encode(b),
	}}}
}

func (s State) end(status hub.RunStatus, reason string, now time.Time) State {
	s.Status, s.Reason, s.Job, s.FinishedAt = status, reason, "", now
	return s
}
