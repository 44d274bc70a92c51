package message

import (
	"fmt"
	"strings"

	"integrationhub/internal/hub"
)

// The four streams, without their namespace.
const (
	Events = "EVENTS"
	Jobs   = "JOBS"
	Facts  = "FACTS"
	Dead   = "DEAD"
)

// The workers that jobs are for.
const (
	Connector = "connector"
	Analyzer  = "analyzer"
	Deployer  = "deployer"
)

// Orchestrator is not a worker, but it has durables and a dead-letter subject.
const Orchestrator = "orchestrator"

// Workers lists every worker.
var Workers = []string{Connector, Analyzer, Deployer}

// Entry describes one kind of message.
type Entry struct {
	Kind   Kind
	Stream string // Events, Jobs or Facts
	Type   string // CloudEvents type, of events only
	New    func() Body
}

// Catalog lists every message that crosses a process on a stream.
var Catalog = []Entry{
	{Push, Events, "hub.push.v1", func() Body { return &PushBody{} }},
	{AnalysisRequested, Events, "hub.analysis_requested.v1", func() Body { return &AnalysisRequestedBody{} }},
	{CancelRequested, Events, "hub.cancel_requested.v1", func() Body { return &CancelRequestedBody{} }},
	{RetryRequested, Events, "hub.retry_requested.v1", func() Body { return &RetryRequestedBody{} }},

	{Fetch, Jobs, "", func() Body { return &FetchBody{} }},
	{Analyze, Jobs, "", func() Body { return &AnalyzeBody{} }},
	{Prepare, Jobs, "", func() Body { return &PrepareBody{} }},

	{SnapshotFetched, Facts, "", func() Body { return &SnapshotFetchedBody{} }},
	{SnapshotLost, Facts, "", func() Body { return &SnapshotLostBody{} }},
	{AnalysisFinished, Facts, "", func() Body { return &AnalysisFinishedBody{} }},
	{ChangesetPrepared, Facts, "", func() Body { return &ChangesetPreparedBody{} }},
	{JobFailed, Facts, "", func() Body { return &JobFailedBody{} }},
	{JobCancelled, Facts, "", func() Body { return &JobCancelledBody{} }},
	{TimeReached, Facts, "", func() Body { return &TimeReachedBody{} }},
}

// TypeOf is the CloudEvents type of an event kind, empty for an unknown one.
func TypeOf(k Kind) string {
	for _, e := range Catalog {
		if e.Kind == k {
			return e.Type
		}
	}
	return ""
}

// KindOf finds the event kind of a CloudEvents type.
func KindOf(ceType string) (Kind, bool) {
	for _, e := range Catalog {
		if e.Stream == Events && e.Type == ceType {
			return e.Kind, true
		}
	}
	return "", false
}

// EventTypes lists the CloudEvents types that the doors take.
func EventTypes() []string {
	var all []string
	for _, e := range Catalog {
		if e.Stream == Events {
			all = append(all, e.Type)
		}
	}
	return all
}

// Worker is the worker that a job kind is for.
func (k Kind) Worker() string { w, _, _ := strings.Cut(string(k), "."); return w }

// EventSubject is <ns>.event.<connection>.<kind>.
func EventSubject(ns, connection string, k Kind) string {
	return fmt.Sprintf("%s.event.%s.%s", ns, connection, k)
}

// JobSubject is <ns>.job.<worker>.<verb>.<priority>.
func JobSubject(ns string, k Kind, p hub.Priority) string {
	return fmt.Sprintf("%s.job.%s.%s", ns, k, p.Token())
}

// FactSubject is <ns>.fact.<noun>.<past>.
func FactSubject(ns string, k Kind) string { return fmt.Sprintf("%s.fact.%s", ns, k) }

// DeadSubject is <ns>.dead.<worker>.
func DeadSubject(ns, worker string) string { return fmt.Sprintf("%s.dead.%s", ns, worker) }

// ProgressSubject is <ns>.progress.<run>, on core NATS: it may be lost.
func ProgressSubject(ns, run string) string { return fmt.Sprintf("%s.progress.%s", ns, run) }

// ControlSubject is <ns>.control.<worker>, on core NATS: it may be lost, because
// the lease heartbeat returns the same flags.
func ControlSubject(ns, worker string) string { return fmt.Sprintf("%s.control.%s", ns, worker) }

// Durable is the name of the consumer of one worker and priority. Work-queue
// retention allows one consumer per subject, so there is one for each pair.
func Durable(worker string, p hub.Priority) string { return worker + "-" + p.Token() }
