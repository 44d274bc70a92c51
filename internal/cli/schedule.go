package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"integrationhub/internal/hub"
	"integrationhub/internal/orchestrator/api"
)

func scheduleCommand() *cobra.Command {
	return group("schedule", "Ask for runs again and again", scheduleListCommand(), scheduleSetCommand(), scheduleDeleteCommand())
}

func scheduleListCommand() *cobra.Command {
	return remote("list", "List schedules", cobra.NoArgs, func(ctx context.Context, c call) error {
		all := api.ScheduleList{Schedules: []api.Schedule{}}
		for after := ""; ; {
			var page api.ScheduleList
			if err := c.call(ctx, http.MethodGet, "/api/v1/schedules?limit=500&after="+url.QueryEscape(after), "", nil, &page); err != nil {
				return err
			}
			all.Schedules = append(all.Schedules, page.Schedules...)
			if after = page.Next; after == "" {
				return c.printSchedules(all, all.Schedules)
			}
		}
	})
}

func (c call) printSchedules(v any, all []api.Schedule) error {
	return c.print(v, func(w io.Writer) {
		fmt.Fprintln(w, "SLUG\tCRON\tZONE\tMISSED\tTARGET\tNEXT\tLAST\tLAST RUN")
		for _, s := range all {
			next := when(&s.NextAt)
			if s.Paused {
				next = "paused"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s/%s\t%s\t%s\t%s\n", s.Slug, s.Cron, s.Zone, s.Missed, s.Target.Connection, s.Target.Repository, next, when(s.LastAt), dash(s.LastRun))
		}
	})
}

func scheduleSetCommand() *cobra.Command {
	var b api.ScheduleBody
	var only []string
	var priority string
	c := remote("set SLUG", "Create or change a schedule", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		if b.Cron == "" || b.Target.Connection == "" || b.Target.Repository == "" {
			return usagef("give --cron, --connection and --repository; see hub schedule set --help")
		}
		if err := checkPriority(priority); err != nil {
			return err
		}
		b.Target.Priority = hub.Priority(priority)
		for _, s := range only {
			category, err := hub.ParseCategory(strings.TrimSpace(s))
			if err != nil {
				return usagef("--only: %w", err)
			}
			b.Target.Only = append(b.Target.Only, category)
		}
		var s api.Schedule
		if err := c.call(ctx, http.MethodPut, "/api/v1/schedules/"+url.PathEscape(c.args[0]), asJSON, b, &s); err != nil {
			return err
		}
		return c.printSchedules(s, []api.Schedule{s})
	})
	c.Long = `Create a schedule, or change it as a whole. Its clock starts anew: times that
passed before are not made up for.`
	c.Example = `  hub schedule set nightly --cron '30 2 * * 1-5' --zone Europe/Berlin --connection forge --repository shop/web`
	f := c.Flags()
	f.StringVar(&b.Cron, "cron", "", "minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @every 90m")
	f.StringVar(&b.Zone, "zone", "", "IANA time zone (UTC)")
	f.StringVar(&b.Missed, "missed", "once", "times that passed while no orchestrator ran: once (one run for all of them) or skip")
	f.BoolVar(&b.Paused, "paused", false, "keep it, but do not fire")
	f.StringVar(&b.Target.Connection, "connection", "", "slug of the connection")
	f.StringVar(&b.Target.Repository, "repository", "", "path below the connection's base URL")
	f.StringVar(&b.Target.Ref, "ref", "", "branch, tag or full ref (the default branch)")
	f.StringSliceVar(&only, "only", nil, "categories, comma-separated")
	f.StringVar(&priority, "priority", "", "critical, high, medium or low (medium)")
	return c
}

func scheduleDeleteCommand() *cobra.Command {
	return remote("delete SLUG", "Delete a schedule; runs that it opened go on", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		if err := c.call(ctx, http.MethodDelete, "/api/v1/schedules/"+url.PathEscape(c.args[0]), "", nil, nil); err != nil {
			return err
		}
		return c.print(map[string]string{"deleted": c.args[0]}, func(w io.Writer) { fmt.Fprintf(w, "schedule %s is deleted\n", c.args[0]) })
	})
}
