package message

import (
	"time"

	"integrationhub/internal/hub"
)

// Target is what a run is about and how far it goes. It is shared by the events
// that open a run. Zero values mean the default.
type Target struct {
	Connection string         `json:"connection"`
	Repository string         `json:"repository"`         // path below the connection's base URL, never a path of a machine
	Ref        string         `json:"ref,omitempty"`      // branch, tag or full ref; the default branch when empty
	Commit     string         `json:"commit,omitempty"`   // pins an exact commit
	Strategy   hub.Strategy   `json:"strategy,omitempty"` // DRY_RUN when empty
	Only       []hub.Category `json:"only,omitempty"`     // every category when empty
	Priority   hub.Priority   `json:"priority,omitempty"` // MEDIUM when empty
	At         time.Time      `json:"at,omitzero"`        // do not start before
}

// PushBody says that a branch moved. CloudEvents type hub.push.v1.
// History: v1 2026-11.
type PushBody struct {
	Target
	Before string `json:"before,omitempty"` // commit the branch pointed at
}

// AnalysisRequestedBody asks for a run. CloudEvents type hub.analysis_requested.v1.
// History: v1 2026-11.
type AnalysisRequestedBody struct {
	Target
}

// CancelRequestedBody asks to end a run. CloudEvents type hub.cancel_requested.v1.
// History: v1 2026-11.
type CancelRequestedBody struct {
	Connection string `json:"connection"` // of the run
	Run        string `json:"run"`
	Reason     string `json:"reason,omitempty"`
}

// RetryRequestedBody asks to go on with a failed run from the job that failed.
// CloudEvents type hub.retry_requested.v1.
// History: v1 2026-11.
type RetryRequestedBody struct {
	Connection string `json:"connection"` // of the run
	Run        string `json:"run"`
	DeadLetter string `json:"dead_letter,omitempty"` // the one that is made good by it
}

// FetchBody asks the connector for a snapshot.
type FetchBody struct {
	Connection string `json:"connection"`
	Repository string `json:"repository"`
	Ref        string `json:"ref,omitempty"`
	Commit     string `json:"commit,omitempty"`
}

// AnalyzeBody asks the analyzer for findings.
type AnalyzeBody struct {
	Snapshot string         `json:"snapshot"`
	Only     []hub.Category `json:"only,omitempty"`
}

// PrepareBody asks the deployer for a proved change set.
type PrepareBody struct {
	Snapshot   string       `json:"snapshot"`
	Commit     string       `json:"commit"`
	Deployment string       `json:"deployment"`
	Strategy   hub.Strategy `json:"strategy"`
}

// SnapshotFetchedBody reports a stored snapshot.
type SnapshotFetchedBody struct {
	Snapshot hub.Snapshot `json:"snapshot"`
}

// SnapshotLostBody reports that a snapshot's bytes are gone from the bucket, or
// cannot be read; the same commit must be fetched again.
type SnapshotLostBody struct {
	Snapshot string `json:"snapshot"`
	Error    string `json:"error"`
}

// AnalysisFinishedBody reports a stored analysis.
type AnalysisFinishedBody struct {
	Score    int                  `json:"score"` // 0 to 100; -1 when no code was read
	Risk     hub.Risk             `json:"risk"`
	Findings map[hub.Severity]int `json:"findings"`
	Fixable  int                  `json:"fixable"` // findings that carry a fix
}

// ChangesetPreparedBody reports a proved change set.
type ChangesetPreparedBody struct {
	Deployment string `json:"deployment"`
	Changes    int    `json:"changes"` // paths touched; 0 when there was nothing to change
	Fixed      int    `json:"fixed"`   // findings that the change removes
	Dropped    int    `json:"dropped"` // fixes that failed their proof or overlapped
}

// JobFailedBody reports a job that will not be tried again.
type JobFailedBody struct {
	Error    string `json:"error"`
	Attempts int    `json:"attempts"`
}

// JobCancelledBody reports a job that was stopped before it committed.
type JobCancelledBody struct {
	Reason string `json:"reason"`
}

// TimeReachedBody reports that the time has come that a run was waiting for.
type TimeReachedBody struct {
	At time.Time `json:"at"`
}

// Kind implements Body.
func (PushBody) Kind() Kind              { return Push }
func (AnalysisRequestedBody) Kind() Kind { return AnalysisRequested }
func (CancelRequestedBody) Kind() Kind   { return CancelRequested }
func (RetryRequestedBody) Kind() Kind    { return RetryRequested }
func (TimeReachedBody) Kind() Kind       { return TimeReached }
func (FetchBody) Kind() Kind             { return Fetch }
func (AnalyzeBody) Kind() Kind           { return Analyze }
func (PrepareBody) Kind() Kind           { return Prepare }
func (SnapshotFetchedBody) Kind() Kind   { return SnapshotFetched }
func (SnapshotLostBody) Kind() Kind      { return SnapshotLost }
func (AnalysisFinishedBody) Kind() Kind  { return AnalysisFinished }
func (ChangesetPreparedBody) Kind() Kind { return ChangesetPrepared }
func (JobFailedBody) Kind() Kind         { return JobFailed }
func (JobCancelledBody) Kind() Kind      { return JobCancelled }
