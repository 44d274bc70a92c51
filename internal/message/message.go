// Package message holds every message that crosses a process: events, jobs,
// facts and control. One catalog names them all, and each has one golden JSON
// in testdata. Fields are only ever added; a breaking change is a new type.
package message

import (
	"encoding/json"
	"fmt"
	"time"

	"integrationhub/internal/hub"
)

// Kind is the stable name of a message; once published it never changes.
type Kind string

// Event kinds, as the last token of an event's subject.
const (
	Push              Kind = "push"
	AnalysisRequested Kind = "analysis_requested"
	CancelRequested   Kind = "cancel_requested"
	RetryRequested    Kind = "retry_requested"
)

// Job kinds are <worker>.<verb>.
const (
	Fetch   Kind = "connector.fetch"
	Analyze Kind = "analyzer.analyze"
	Prepare Kind = "deployer.prepare"
)

// Fact kinds are <noun>.<past>.
const (
	SnapshotFetched   Kind = "snapshot.fetched"
	SnapshotLost      Kind = "snapshot.lost"
	AnalysisFinished  Kind = "analysis.finished"
	ChangesetPrepared Kind = "changeset.prepared"
	JobFailed         Kind = "job.failed"
	JobCancelled      Kind = "job.cancelled"
	TimeReached       Kind = "time.reached"
)

// Message is what flow folds: an *Event or a *Fact.
type Message interface{ message() }

// Event is a CloudEvent 1.0 after it was checked: what an upstream system or a
// person tells us. Key is hub.RunID(Source, ID): of an event that opens a run
// it is the run's id.
type Event struct {
	Key        string          `json:"key"`
	Source     string          `json:"source"`
	ID         string          `json:"id"`
	Kind       Kind            `json:"kind"`
	Connection string          `json:"connection"` // slug, the token in the subject
	Time       time.Time       `json:"time"`
	Trace      string          `json:"trace,omitempty"` // W3C traceparent
	Body       json.RawMessage `json:"body"`
}

// Job is one unit of work for one worker, as it stands on its subject and in
// the ledger.
type Job struct {
	ID         string          `json:"id"`
	Run        string          `json:"run"`
	Kind       Kind            `json:"kind"`
	Priority   hub.Priority    `json:"priority"`
	Connection string          `json:"connection"`
	Repository string          `json:"repository"`
	Branch     string          `json:"branch,omitempty"` // of a deployment: one at a time for each
	Origin     string          `json:"origin,omitempty"` // the dead letter that this job makes good
	Trace      string          `json:"trace,omitempty"`  // W3C traceparent
	Body       json.RawMessage `json:"body"`
	Fence      int64           `json:"-"` // of the publication; part of Nats-Msg-Id
}

// Fact is what a worker reports; it is written in the commit that ends its job.
type Fact struct {
	ID    string          `json:"id"` // <job>.<kind>
	Run   string          `json:"run"`
	Job   string          `json:"job"`
	Kind  Kind            `json:"kind"`
	Trace string          `json:"trace,omitempty"` // W3C traceparent
	Body  json.RawMessage `json:"body"`
}

func (*Event) message() {}
func (*Fact) message()  {}

// Body is the typed content of a message.
type Body interface{ Kind() Kind }

// Encode marshals a body. The bodies of this package always can be.
func Encode(b Body) json.RawMessage {
	raw, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("encode %s: %v", b.Kind(), err))
	}
	return raw
}

// Decode reads the body of a message of kind T's.
func Decode[T Body](kind Kind, raw json.RawMessage) (T, error) {
	var b T
	if want := b.Kind(); kind != want {
		return b, fmt.Errorf("decode %s: the message is a %s", want, kind)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("decode %s: %w", kind, err)
	}
	return b, nil
}

// NewFact reports b as the outcome of job j.
func NewFact(j Job, b Body) Fact {
	return Fact{ID: j.ID + "." + string(b.Kind()), Run: j.Run, Job: j.ID, Kind: b.Kind(), Trace: j.Trace, Body: Encode(b)}
}
