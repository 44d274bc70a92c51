package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"integrationhub/internal/flow"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/deployment"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/finding"
	"integrationhub/internal/store/job"
	"integrationhub/internal/store/run"
)

func (a *API) registerRuns(h huma.API) {
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"runs"}, Summary: summary, Errors: []int{401, 403, 404, 422, 503}}
	}
	huma.Register(h, get("list-runs", "/api/v1/runs", "List runs, newest first"), a.listRuns)
	huma.Register(h, get("get-run", "/api/v1/runs/{id}", "Show a run with its analysis and deployment"), a.getRun)
	huma.Register(h, get("list-findings", "/api/v1/runs/{id}/findings", "List the findings of a run, worst first"), a.listFindings)
	huma.Register(h, get("get-timeline", "/api/v1/runs/{id}/timeline", "Tell what happened to a run, to the millisecond"), a.timeline)
	huma.Register(h, huma.Operation{
		OperationID: "cancel-run", Method: http.MethodPost, Path: "/api/v1/runs/{id}/cancel", Tags: []string{"runs"}, Summary: "Cancel a run",
		Description: "Waiting jobs end at once, running ones are stopped. A run that has ended stays as it is.", DefaultStatus: http.StatusAccepted, Errors: []int{401, 403, 404, 422, 503},
	}, a.cancel)
	huma.Register(h, huma.Operation{
		OperationID: "retry-run", Method: http.MethodPost, Path: "/api/v1/runs/{id}/retry", Tags: []string{"runs"}, Summary: "Go on with a failed run from the job that failed",
		Description: "The new job makes the open dead letter of the run good, if there is one. A run that is not FAILED is refused with 409.", DefaultStatus: http.StatusAccepted, Errors: []int{401, 403, 404, 409, 422, 503},
	}, a.retry)
}

type runPath struct {
	ID string `path:"id" doc:"id of the run" maxLength:"40"`
}

type listRunsInput struct {
	Status     string `query:"status" enum:"PENDING,RUNNING,WAITING,COMPLETED,FAILED,CANCELLED"`
	Connection string `query:"connection" maxLength:"40"`
	Repository string `query:"repository" maxLength:"512"`
	Before     string `query:"before" doc:"the next page: id of the last run of this one" maxLength:"40"`
	Limit      int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

// RunList is a page of runs.
type RunList struct {
	Runs []Run `json:"runs" nullable:"false"`
}

func (a *API) listRuns(ctx context.Context, in *listRunsInput) (*struct{ Body RunList }, error) {
	runs, err := run.List(ctx, a.cfg.Store, run.Filter{Status: hub.RunStatus(in.Status), Connection: in.Connection, Repository: in.Repository, Before: in.Before, Limit: in.Limit})
	if err != nil {
		return nil, a.unavailable("listing runs", err)
	}
	return &struct{ Body RunList }{RunList{Runs: list(runs)}}, nil
}

// What the answers hold, for clients that need not know the ledger.
type (
	Run        = run.Run
	Deployment = deployment.Deployment
	Job        = job.State
)

// Detail is a run with what came of it so far.
type Detail struct {
	run.Run
	Analysis   *hub.Analysis          `json:"analysis,omitempty"`
	Deployment *deployment.Deployment `json:"deployment,omitempty"`
}

type runDetail struct{ Body Detail }

func (a *API) getRun(ctx context.Context, in *runPath) (*runDetail, error) {
	r, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &runDetail{Body: Detail{Run: r}}
	an, err := finding.Get(ctx, a.cfg.Store, r.ID)
	if err == nil {
		out.Body.Analysis = &an
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, a.unavailable("reading the analysis", err)
	}
	dep, err := deployment.OfRun(ctx, a.cfg.Store, r.ID)
	if err == nil {
		out.Body.Deployment = &dep
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, a.unavailable("reading the deployment", err)
	}
	return out, nil
}

// find returns a run, or a pending one where its event is accepted but not
// folded yet: what a door has named must be found.
func (a *API) find(ctx context.Context, id string) (run.Run, error) {
	r, err := run.Get(ctx, a.cfg.Store, id)
	if err == nil {
		return r, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return r, a.unavailable("reading the run", err)
	}
	e, err := event.Get(ctx, a.cfg.Store, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return r, a.unavailable("reading the run", err)
	}
	var t message.Target
	if err != nil || !flow.Opens(e.Kind) || json.Unmarshal(e.Body, &t) != nil {
		return r, huma.Error404NotFound("run " + id + " does not exist")
	}
	at, err := event.AcceptedAt(ctx, a.cfg.Store, id)
	if err != nil {
		return r, a.unavailable("reading the run", err)
	}
	return run.Run{ID: id, Connection: t.Connection, Repository: t.Repository, Ref: t.Ref, Commit: t.Commit, Strategy: t.Strategy, Priority: t.Priority, Status: hub.RunPending, Trace: e.Trace, CreatedAt: at}, nil
}

type cancelInput struct {
	ID   string `path:"id" doc:"id of the run" maxLength:"40"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"1000"`
	}
}

func (a *API) cancel(ctx context.Context, in *cancelInput) (*accepted, error) {
	r, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	b := message.CancelRequestedBody{Connection: r.Connection, Run: r.ID}
	if in.Body != nil {
		b.Reason = in.Body.Reason
	}
	return commanded(r, a.command(ctx, "cancelling the run", b))
}

func (a *API) retry(ctx context.Context, in *runPath) (*accepted, error) {
	r, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if r.Status != hub.RunFailed {
		return nil, huma.Error409Conflict(fmt.Sprintf("run %s is %s; only a FAILED run goes on", r.ID, r.Status))
	}
	b := message.RetryRequestedBody{Connection: r.Connection, Run: r.ID}
	letters, err := dead.List(ctx, a.cfg.Store, dead.Filter{Run: r.ID, Limit: maxRequeue})
	if err != nil {
		return nil, a.unavailable("looking for dead letters of the run", err)
	}
	for _, d := range slices.Backward(letters) { // the newest is first
		if strings.HasPrefix(d.ID, r.ID+".") { // of a job
			b.DeadLetter = d.ID
		}
	}
	return commanded(r, a.command(ctx, "retrying the run", b))
}

func commanded(r run.Run, err error) (*accepted, error) {
	if err != nil {
		return nil, err
	}
	out := &accepted{Location: "/api/v1/runs/" + r.ID}
	out.Body.Run, out.Body.Fresh = r.ID, true
	return out, nil
}

type findingsInput struct {
	ID       string `path:"id" doc:"id of the run" maxLength:"40"`
	Severity string `query:"severity" enum:"CRITICAL,HIGH,MEDIUM,LOW,INFO"`
	Category string `query:"category" enum:"SECURITY,PERFORMANCE,QUALITY,STYLE,ARCHITECTURE,RELIABILITY"`
	After    string `query:"after" doc:"the next page: the value of next of this one" pattern:"^[0-9]{1,9}$"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type findingList struct {
	Body struct {
		Findings []hub.Finding `json:"findings" nullable:"false"`
		Next     string        `json:"next,omitempty" doc:"the next page begins after it; absent on the last page"`
	}
}

func (a *API) listFindings(ctx context.Context, in *findingsInput) (*findingList, error) {
	if _, err := a.find(ctx, in.ID); err != nil {
		return nil, err
	}
	after := -1
	if in.After != "" {
		after, _ = strconv.Atoi(in.After) // digits, by its pattern
	}
	found, last, err := finding.List(ctx, a.cfg.Store, in.ID, finding.Page{Severity: hub.Severity(in.Severity), Category: hub.Category(in.Category), After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, a.unavailable("listing findings", err)
	}
	out := &findingList{}
	if len(found) > in.Limit { // one more than asked for: there is a next page
		found, out.Body.Next = found[:in.Limit], strconv.Itoa(last-1)
	}
	out.Body.Findings = list(found)
	return out, nil
}

// Moment is one line of a timeline.
type Moment struct {
	At      time.Time    `json:"at"`
	AfterMS float64      `json:"after_ms" doc:"milliseconds since the event was accepted"`
	What    string       `json:"what" enum:"event.accepted,run.opened,job.queued,attempt.started,attempt.ended,run.ended"`
	Job     string       `json:"job,omitempty"`
	Kind    message.Kind `json:"kind,omitempty"`
	Attempt int          `json:"attempt,omitempty"`
	Worker  string       `json:"worker,omitempty"`
	Status  string       `json:"status,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// Timeline tells what happened to a run.
type Timeline struct {
	Run     Run      `json:"run"`
	Jobs    []Job    `json:"jobs" nullable:"false"`
	Moments []Moment `json:"moments" nullable:"false"`
}

func (a *API) timeline(ctx context.Context, in *runPath) (*struct{ Body Timeline }, error) {
	r, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	jobs, err := job.OfRun(ctx, a.cfg.Store, r.ID)
	if err != nil {
		return nil, a.unavailable("reading the jobs", err)
	}
	acceptedAt, err := event.AcceptedAt(ctx, a.cfg.Store, r.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, a.unavailable("reading the event", err)
	}
	return &struct{ Body Timeline }{Timeline{Run: r, Jobs: list(jobs), Moments: moments(r, jobs, acceptedAt)}}, nil
}

func moments(r run.Run, jobs []job.State, acceptedAt time.Time) []Moment {
	all := []Moment{}
	if !acceptedAt.IsZero() {
		all = append(all, Moment{At: acceptedAt, What: "event.accepted"})
	}
	if r.Status != hub.RunPending {
		all = append(all, Moment{At: r.CreatedAt, What: "run.opened"})
	}
	for _, j := range jobs {
		all = append(all, Moment{At: j.CreatedAt, What: "job.queued", Job: j.ID, Kind: j.Kind})
		for _, t := range j.Attempts {
			if t.StartedAt != nil {
				all = append(all, Moment{At: *t.StartedAt, What: "attempt.started", Job: j.ID, Kind: j.Kind, Attempt: t.Attempt, Worker: t.Worker})
			}
			all = append(all, Moment{At: t.FinishedAt, What: "attempt.ended", Job: j.ID, Kind: j.Kind, Attempt: t.Attempt, Worker: t.Worker, Status: string(t.Outcome), Error: t.Error})
		}
		if j.Status == hub.JobProcessing && j.StartedAt != nil {
			all = append(all, Moment{At: *j.StartedAt, What: "attempt.started", Job: j.ID, Kind: j.Kind, Attempt: j.Attempt, Worker: j.Worker})
		}
	}
	if r.FinishedAt != nil {
		all = append(all, Moment{At: *r.FinishedAt, What: "run.ended", Status: string(r.Status), Error: r.Reason})
	}
	slices.SortStableFunc(all, func(x, y Moment) int { return x.At.Compare(y.At) })
	for i := range all {
		all[i].AfterMS = float64(all[i].At.Sub(all[0].At).Microseconds()) / 1000
	}
	return all
}
