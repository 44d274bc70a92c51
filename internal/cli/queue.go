package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"integrationhub/internal/hub"
	"integrationhub/internal/orchestrator/api"
)

func queueCommand() *cobra.Command {
	return group("queue", "See what waits, pause and resume workers", queueListCommand(), queuePauseCommand(), queueResumeCommand(), queuePolicyCommand())
}

func queueListCommand() *cobra.Command {
	return remote("list", "Show what waits for every worker and priority", cobra.NoArgs, func(ctx context.Context, c call) error {
		var l api.QueueList
		if err := c.call(ctx, http.MethodGet, "/api/v1/queues", "", nil, &l); err != nil {
			return err
		}
		return c.printQueues(l)
	})
}

func (c call) printQueues(l api.QueueList) error {
	return c.print(l, func(w io.Writer) {
		fmt.Fprintln(w, "WORKER\tPRIORITY\tWAITING\tHELD\tDELAYED\tPROCESSING\tOLDEST\tPAUSED")
		for _, q := range l.Queues {
			paused := "-"
			if q.Paused {
				paused = when(q.PausedAt) + " " + brief(q.PauseReason)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", q.Worker, q.Priority, q.Waiting, q.Held, q.Delayed, q.Processing, when(q.Oldest), paused)
		}
	})
}

func queuePauseCommand() *cobra.Command {
	var priority, reason string
	c := remote("pause WORKER", "Deliver no more jobs to connector, analyzer or deployer", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		return c.setQueue(ctx, "pause", priority, map[string]string{"priority": priority, "reason": reason})
	})
	c.Long = `Deliver no more jobs to a worker. What runs, and the few jobs that a replica has
read ahead, is finished; the others wait.`
	c.Flags().StringVar(&priority, "priority", "", "critical, high, medium or low (all four)")
	c.Flags().StringVar(&reason, "reason", "", "why, for whoever finds the queue paused")
	return c
}

func queueResumeCommand() *cobra.Command {
	var priority string
	c := remote("resume WORKER", "Deliver jobs again", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		return c.setQueue(ctx, "resume", priority, map[string]string{"priority": priority})
	})
	c.Flags().StringVar(&priority, "priority", "", "critical, high, medium or low (all four)")
	return c
}

func (c call) setQueue(ctx context.Context, verb, priority string, body map[string]string) error {
	if err := checkWorker(c.args[0]); err != nil {
		return err
	}
	if err := checkPriority(priority); err != nil {
		return err
	}
	var l api.QueueList
	if err := c.call(ctx, http.MethodPost, "/api/v1/queues/"+url.PathEscape(c.args[0])+"/"+verb, asJSON, body, &l); err != nil {
		return err
	}
	return c.printQueues(l)
}

func queuePolicyCommand() *cobra.Command {
	return remote("policy", "Show how often and how soon jobs are tried again", cobra.NoArgs, func(ctx context.Context, c call) error {
		var p api.Policies
		if err := c.call(ctx, http.MethodGet, "/api/v1/queues/policy", "", nil, &p); err != nil {
			return err
		}
		return c.print(p, func(w io.Writer) {
			ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
			fmt.Fprintln(w, "KIND\tATTEMPTS\tFIRST\tFACTOR\tCAP\tTIMEOUT")
			for _, k := range p.Kinds {
				fmt.Fprintf(w, "%s\t%d\t%s\t%g\t%s\t%s\n", k.Kind, k.Attempts, ms(k.FirstMS), k.Factor, ms(k.CapMS), ms(k.TimeoutMS))
			}
			fmt.Fprintln(w, "\nPRIORITY\tWEIGHT")
			for _, x := range hub.Priorities {
				fmt.Fprintf(w, "%s\t%d\n", x, p.Weights[x])
			}
		})
	})
}
