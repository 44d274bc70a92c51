package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"integrationhub/internal/message"
)

func (a *API) registerWorkers(h huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"workers"}, Summary: summary, Description: description, Errors: []int{401, 403, 404, 422, 503}}
	}
	huma.Register(h, op("list-workers", http.MethodGet, "/api/v1/workers", "List the replicas of workers that answer",
		"Replicas are asked, and have about a second to answer; at most 1,000 are listed."), a.listWorkers)
	drain := op("drain-worker", http.MethodPost, "/api/v1/workers/drain", "Take a replica out",
		"The replica takes no more work, finishes what it has, and its process ends with exit code 0. A hub that holds all workers in one process ends as a whole.")
	drain.DefaultStatus = http.StatusAccepted
	huma.Register(h, drain, a.drainWorker)
}

// WorkerList holds the replicas that answered.
type WorkerList struct {
	Workers []message.Replica `json:"workers" nullable:"false"`
}

type workerList struct{ Body WorkerList }

func (a *API) listWorkers(ctx context.Context, _ *struct{}) (*workerList, error) {
	all, err := a.cfg.Bus.Replicas(ctx)
	if err != nil {
		return nil, a.unavailable("asking the replicas", err)
	}
	slices.SortFunc(all, func(x, y message.Replica) int {
		return cmp.Or(cmp.Compare(x.Worker, y.Worker), cmp.Compare(x.Name, y.Name))
	})
	return &workerList{WorkerList{all}}, nil
}

type drainInput struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"300" doc:"of the replica, as it is listed"`
	}
}

func (a *API) drainWorker(ctx context.Context, in *drainInput) (*workerList, error) {
	all, err := a.cfg.Bus.Drain(ctx, in.Body.Name)
	if err != nil {
		return nil, a.unavailable("telling the replica", err)
	}
	if len(all) == 0 {
		return nil, huma.Error404NotFound("no replica is called " + in.Body.Name + "; GET /api/v1/workers lists those that answer")
	}
	return &workerList{WorkerList{all}}, nil
}
