package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"integrationhub/internal/orchestrator/api"
)

func workerCommand() *cobra.Command {
	return group("worker", "See the replicas of workers, and take one out", workerListCommand(), workerDrainCommand())
}

func workerListCommand() *cobra.Command {
	return remote("list", "List the replicas that answer", cobra.NoArgs, func(ctx context.Context, c call) error {
		var l api.WorkerList
		if err := c.call(ctx, http.MethodGet, "/api/v1/workers", "", nil, &l); err != nil {
			return err
		}
		return c.printWorkers(l)
	})
}

func workerDrainCommand() *cobra.Command {
	c := remote("drain NAME", "Have a replica finish what it has, and end", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		var l api.WorkerList
		if err := c.call(ctx, http.MethodPost, "/api/v1/workers/drain", asJSON, map[string]string{"name": c.args[0]}, &l); err != nil {
			return err
		}
		return c.printWorkers(l)
	})
	c.Long = `Have a replica take no more work, finish what it has, and end its process with
exit code 0. A hub that holds all workers in one process (hub up) ends as a whole.`
	return c
}

func (c call) printWorkers(l api.WorkerList) error {
	return c.print(l, func(w io.Writer) {
		fmt.Fprintln(w, "WORKER\tNAME\tJOBS\tAT A TIME\tORDER\tSTATE")
		for _, r := range l.Workers {
			order, state := "weighted", "working"
			if r.Strict {
				order = "strict"
			}
			if r.Draining {
				state = "draining"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", r.Worker, r.Name, r.Jobs, r.Concurrency, order, state)
		}
	})
}
