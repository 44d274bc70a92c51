package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
)

func runListCommand() *cobra.Command {
	var status, connection, repository, before string
	var limit int
	c := remote("list", "List runs, newest first", cobra.NoArgs, func(ctx context.Context, c call) error {
		q := url.Values{"connection": {connection}, "repository": {repository}, "before": {before}, "limit": {strconv.Itoa(limit)}}
		if status != "" {
			q.Set("status", strings.ToUpper(status))
		}
		var l api.RunList
		if err := c.call(ctx, http.MethodGet, "/api/v1/runs?"+q.Encode(), "", nil, &l); err != nil {
			return err
		}
		return c.print(l, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tSTATUS\tPRIORITY\tREPOSITORY\tREF\tCREATED\tTOOK\tREASON")
			for _, r := range l.Runs {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s/%s\t%s\t%s\t%s\t%s\n", r.ID, r.Status, r.Priority, r.Connection, r.Repository, dash(r.Ref), when(&r.CreatedAt), took(r), dash(brief(r.Reason)))
			}
			if n := len(l.Runs); n == limit {
				fmt.Fprintf(w, "the next page: --before %s\n", l.Runs[n-1].ID)
			}
		})
	})
	f := c.Flags()
	f.StringVar(&status, "status", "", "pending, running, waiting, completed, failed or cancelled")
	f.StringVar(&connection, "connection", "", "of this connection only")
	f.StringVar(&repository, "repository", "", "of this repository only")
	f.StringVar(&before, "before", "", "the next page: id of the last run of this one")
	f.IntVar(&limit, "limit", 50, "at most that many, 1 to 500")
	return c
}

func took(r api.Run) string {
	if r.FinishedAt == nil {
		return "-"
	}
	return r.FinishedAt.Sub(r.CreatedAt).Round(time.Millisecond).String()
}

func runPath(id string) string { return "/api/v1/runs/" + url.PathEscape(id) }

func runShowCommand() *cobra.Command {
	return remote("show ID", "Show a run and its jobs", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		d, err := c.run(ctx, url.PathEscape(c.args[0]))
		if err != nil {
			return err
		}
		var t api.Timeline
		if err := c.call(ctx, http.MethodGet, runPath(d.ID)+"/timeline", "", nil, &t); err != nil {
			return err
		}
		v := struct {
			Run     api.Detail   `json:"run"`
			Jobs    []api.Job    `json:"jobs"`
			Moments []api.Moment `json:"moments"`
		}{d, t.Jobs, t.Moments}
		return c.print(v, func(w io.Writer) { showRun(w, d, t.Jobs) })
	})
}

func showRun(w io.Writer, d api.Detail, jobs []api.Job) {
	fmt.Fprintf(w, "run\t%s %s\nrepository\t%s/%s %s\npriority\t%s\ncreated\t%s\ntook\t%s\n", d.ID, d.Status, d.Connection, d.Repository, d.Ref, d.Priority, when(&d.CreatedAt), took(d.Run))
	if d.Commit != "" {
		fmt.Fprintf(w, "revision\t%s\n", d.Commit)
	}
	if d.Reason != "" {
		fmt.Fprintf(w, "reason\t%s\n", brief(d.Reason))
	}
	if d.Analysis != nil {
		fmt.Fprintf(w, "score\t%d, risk %s\n", d.Analysis.Score, d.Analysis.Risk)
	}
	if len(jobs) == 0 {
		return
	}
	fmt.Fprintln(w, "\nJOB\tATTEMPT\tSTATUS\tSTARTED\tTOOK\tWORKER\tERROR")
	for _, j := range jobs {
		for _, a := range j.Attempts {
			took := "-"
			if a.StartedAt != nil {
				took = a.FinishedAt.Sub(*a.StartedAt).Round(time.Millisecond).String()
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", jobName(d.ID, j), a.Attempt, a.Outcome, when(a.StartedAt), took, dash(a.Worker), dash(brief(a.Error)))
		}
		if !j.Status.Ended() {
			next := ""
			if j.NextAt != nil {
				next = "next attempt " + when(j.NextAt)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t-\t%s\t%s\n", jobName(d.ID, j), len(j.Attempts)+1, j.Status, when(j.StartedAt), dash(j.Worker), dash(next))
		}
	}
}

// jobName is the job's id within its run, such as fetch.1.
func jobName(run string, j api.Job) string { return strings.TrimPrefix(j.ID, run+".") }

func runCancelCommand() *cobra.Command {
	var reason string
	c := remote("cancel ID", "Cancel a run", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		if err := c.cancel(ctx, url.PathEscape(c.args[0]), reason); err != nil {
			return err
		}
		return c.printCommanded("is told to stop")
	})
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}

func runRetryCommand() *cobra.Command {
	return remote("retry ID", "Go on with a failed run from the job that failed", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		if err := c.call(ctx, http.MethodPost, runPath(c.args[0])+"/retry", "", nil, nil); err != nil {
			return err
		}
		return c.printCommanded("goes on")
	})
}

func (c call) printCommanded(what string) error {
	return c.print(map[string]string{"run": c.args[0]}, func(w io.Writer) {
		fmt.Fprintf(w, "run %s %s; see hub run watch %s\n", c.args[0], what, c.args[0])
	})
}

func runWatchCommand() *cobra.Command {
	c := remote("watch ID", "Show what a run does until it ends", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		last, err := c.watchToTheEnd(ctx, c.args[0], func(name string, data []byte) error {
			if c.json {
				_, err := fmt.Fprintf(c.out, "{\"event\":%q,\"data\":%s}\n", name, data)
				return err
			}
			line, err := watched(name, data)
			if err == nil && line != "" {
				_, err = fmt.Fprintln(c.out, line)
			}
			return err
		})
		if err != nil {
			return err
		}
		return (&result{Detail: api.Detail{Run: last}}).verdict("")
	})
	c.Long = `Show what a run does until it ends, one line for each change; as JSON one object
per line. It exits with 1 when the run failed or was cancelled.`
	return c
}

// watched is the line of one event, empty for one that this version does not know.
func watched(name string, data []byte) (string, error) {
	switch name {
	case api.WatchRun:
		r, err := decode[api.Run](data)
		return strings.TrimSpace(fmt.Sprintf("%s  %-10s %-10s %s", clock(r.CreatedAt, r.FinishedAt), "run", r.Status, brief(r.Reason))), err
	case api.WatchProgress:
		p, err := decode[message.Progress](data)
		status := p.Status
		if p.Attempt > 1 && p.Status == string(hub.JobProcessing) {
			status += fmt.Sprintf(", attempt %d", p.Attempt)
		}
		return strings.TrimSpace(fmt.Sprintf("%s  %-10s %-10s %s", clock(p.At, nil), verb(p.Kind), status, brief(p.Note))), err
	}
	return "", nil
}

// clock is the local time of a change: of the end, where there is one.
func clock(at time.Time, end *time.Time) string {
	if end != nil {
		at = *end
	}
	return at.Local().Format("15:04:05.000")
}
