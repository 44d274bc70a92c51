package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store/queue"
	"integrationhub/internal/work"
)

func (a *API) registerQueues(h huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"queues"}, Summary: summary, Description: description, Errors: []int{401, 403, 422, 503}}
	}
	huma.Register(h, op("list-queues", http.MethodGet, "/api/v1/queues", "Show what waits for every worker and priority", ""), a.listQueues)
	huma.Register(h, op("get-policy", http.MethodGet, "/api/v1/queues/policy", "Show how often and how soon jobs are tried again, and how priorities are weighed",
		"A delay is drawn between zero and first_ms × factor^(attempt-1), at most cap_ms."), a.policy)
	huma.Register(h, op("pause-queue", http.MethodPost, "/api/v1/queues/{worker}/pause", "Deliver no more jobs to a worker",
		"Jobs that run, and the few that a replica has read ahead, are finished. Without a priority all four are paused."), a.pause)
	huma.Register(h, op("resume-queue", http.MethodPost, "/api/v1/queues/{worker}/resume", "Deliver jobs to a worker again",
		"Takes effect within seconds. Without a priority all four are resumed."), a.resume)
}

// Queue is what waits for one worker with one priority.
type Queue struct {
	queue.Depth
	Paused      bool       `json:"paused"`
	PauseReason string     `json:"pause_reason,omitempty"`
	PausedAt    *time.Time `json:"paused_at,omitempty"`
}

// QueueList holds every worker and priority, also those without jobs.
type QueueList struct {
	Queues []Queue `json:"queues" nullable:"false"`
}

type queueList struct{ Body QueueList }

func (a *API) listQueues(ctx context.Context, _ *struct{}) (*queueList, error) {
	all, _, err := a.queues(ctx)
	if err != nil {
		return nil, a.unavailable("counting jobs", err)
	}
	return &queueList{QueueList{all}}, nil
}

// queues also returns which durables are paused.
func (a *API) queues(ctx context.Context) (all []Queue, paused map[string]bool, err error) {
	depths, err := queue.Depths(ctx, a.cfg.Store)
	if err != nil {
		return nil, nil, err
	}
	pauses, err := queue.Pauses(ctx, a.cfg.Store)
	if err != nil {
		return nil, nil, err
	}
	paused = map[string]bool{}
	for _, w := range message.Workers {
		for _, p := range hub.Priorities {
			q := Queue{Depth: queue.Depth{Worker: w, Priority: p}}
			for _, d := range depths {
				if d.Worker == w && d.Priority == p {
					q.Depth = d
				}
			}
			for _, x := range pauses {
				if x.Worker == w && x.Priority == p {
					q.Paused, q.PauseReason, q.PausedAt = true, x.Reason, &x.CreatedAt
					paused[message.Durable(w, p)] = true
				}
			}
			all = append(all, q)
		}
	}
	return all, paused, nil
}

type pauseInput struct {
	Worker string `path:"worker" enum:"connector,analyzer,deployer"`
	Body   *struct {
		Priority string `json:"priority,omitempty" doc:"CRITICAL, HIGH, MEDIUM or LOW, in any case; all four when absent"`
		Reason   string `json:"reason,omitempty" maxLength:"1000" doc:"why, for whoever finds the queue paused"`
	}
}

func (a *API) pause(ctx context.Context, in *pauseInput) (*queueList, error) {
	reason, priority := "", ""
	if in.Body != nil {
		reason, priority = hub.CleanText(in.Body.Reason), in.Body.Priority
	}
	ps, err := priorities(priority)
	if err != nil {
		return nil, err
	}
	if err := queue.SetPause(ctx, a.cfg.Store, in.Worker, reason, ps...); err != nil {
		return nil, a.unavailable("pausing the queue", err)
	}
	return a.applyPauses(ctx)
}

type resumeInput struct {
	Worker string `path:"worker" enum:"connector,analyzer,deployer"`
	Body   *struct {
		Priority string `json:"priority,omitempty" doc:"CRITICAL, HIGH, MEDIUM or LOW, in any case; all four when absent"`
	}
}

func (a *API) resume(ctx context.Context, in *resumeInput) (*queueList, error) {
	priority := ""
	if in.Body != nil {
		priority = in.Body.Priority
	}
	ps, err := priorities(priority)
	if err != nil {
		return nil, err
	}
	if err := queue.DeletePause(ctx, a.cfg.Store, in.Worker, ps...); err != nil {
		return nil, a.unavailable("resuming the queue", err)
	}
	return a.applyPauses(ctx)
}

func priorities(s string) ([]hub.Priority, error) {
	if s == "" {
		return hub.Priorities, nil
	}
	p, err := hub.ParsePriority(s)
	if err != nil {
		return nil, refused(&message.FieldError{Field: "priority", Problem: err.Error()})
	}
	return []hub.Priority{p}, nil
}

// applyPauses gives the consumers what the ledger has, without waiting for the
// sweep. Where that fails the sweep does it later, and so does another try.
func (a *API) applyPauses(ctx context.Context) (*queueList, error) {
	all, paused, err := a.queues(ctx)
	if err == nil {
		err = a.cfg.Bus.SetPauses(ctx, paused)
	}
	if err != nil {
		return nil, a.unavailable("telling the stream about the pause", err)
	}
	return &queueList{QueueList{all}}, nil
}

// Policy is how often and how soon a kind of job is tried again.
type Policy struct {
	Kind      message.Kind `json:"kind"`
	Attempts  int          `json:"attempts" doc:"at most, the first included"`
	FirstMS   int64        `json:"first_ms" doc:"longest delay before the second attempt"`
	Factor    float64      `json:"factor" doc:"of each further delay"`
	CapMS     int64        `json:"cap_ms" doc:"longest delay of all"`
	TimeoutMS int64        `json:"timeout_ms" doc:"of one attempt"`
}

// Policies are those of every kind of job, and the weights of the priorities.
type Policies struct {
	Kinds   []Policy             `json:"kinds" nullable:"false"`
	Weights map[hub.Priority]int `json:"weights" doc:"jobs taken in turn where all priorities wait; a replica may be strict instead, see /api/v1/workers"`
}

func (a *API) policy(context.Context, *struct{}) (*struct{ Body Policies }, error) {
	out := Policies{Kinds: []Policy{}, Weights: map[hub.Priority]int{}}
	policies := work.Policies()
	for _, e := range message.Catalog {
		if p, ok := policies[e.Kind]; ok {
			out.Kinds = append(out.Kinds, Policy{
				Kind: e.Kind, Attempts: p.Attempts, FirstMS: p.First.Milliseconds(), Factor: p.Factor, CapMS: p.Cap.Milliseconds(), TimeoutMS: p.Timeout.Milliseconds(),
			})
		}
	}
	for i, w := range work.Weights() {
		out.Weights[hub.Priorities[i]] = w
	}
	return &struct{ Body Policies }{out}, nil
}
