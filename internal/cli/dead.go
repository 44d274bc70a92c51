package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"integrationhub/internal/orchestrator/api"
)

func deadCommand() *cobra.Command {
	return group("dead", "See what was given up, and make it good", deadListCommand(), deadShowCommand(), deadRequeueCommand(), deadDiscardCommand())
}

func deadFlags(f *pflag.FlagSet, d *api.DeadFilter) {
	f.StringVar(&d.Kind, "kind", "", "of this kind only, such as connector.fetch")
	f.StringVar(&d.Run, "run", "", "of this run only")
	f.StringVar(&d.Cause, "cause", "", "whose cause holds this text only")
}

func deadListCommand() *cobra.Command {
	var f api.DeadFilter
	var all bool
	var before string
	var limit int
	c := remote("list", "List dead letters, newest first", cobra.NoArgs, func(ctx context.Context, c call) error {
		q := url.Values{"kind": {f.Kind}, "run": {f.Run}, "cause": {f.Cause}, "before": {before}, "limit": {strconv.Itoa(limit)}, "all": {strconv.FormatBool(all)}}
		var l api.DeadList
		if err := c.call(ctx, http.MethodGet, "/api/v1/dead-letters?"+q.Encode(), "", nil, &l); err != nil {
			return err
		}
		return c.print(l, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tKIND\tATTEMPTS\tAT\tSTATE\tCAUSE")
			for _, d := range l.Letters {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", d.ID, dash(string(d.Kind)), d.Attempts, when(&d.At), state(d), brief(d.Cause))
			}
			if n := len(l.Letters); n > 0 && n < l.Total {
				fmt.Fprintf(w, "%d of %d; the next page: --before %s\n", n, l.Total, l.Letters[n-1].ID)
			}
		})
	})
	deadFlags(c.Flags(), &f)
	c.Flags().BoolVar(&all, "all", false, "also those that are requeued or discarded")
	c.Flags().StringVar(&before, "before", "", "the next page: id of the last letter of this one")
	c.Flags().IntVar(&limit, "limit", 50, "at most that many, 1 to 500")
	return c
}

func state(d api.Letter) string {
	if d.Resolution == "" {
		return "OPEN"
	}
	return d.Resolution
}

func deadShowCommand() *cobra.Command {
	return remote("show ID", "Show a dead letter with its message", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		var d api.LetterDetail
		if err := c.call(ctx, http.MethodGet, deadPath(c.args[0]), "", nil, &d); err != nil {
			return err
		}
		return c.print(d, func(w io.Writer) {
			fmt.Fprintf(w, "id\t%s\nstate\t%s\nkind\t%s\nrun\t%s\nsubject\t%s\nattempts\t%d\nat\t%s\n", d.ID, state(d.Letter), dash(string(d.Kind)), dash(d.Run), dash(d.Subject), d.Attempts, when(&d.At))
			if d.ResolvedAt != nil {
				fmt.Fprintf(w, "resolved\t%s %s\n", when(d.ResolvedAt), d.Reason)
			}
			if d.RequeuedAs != "" {
				fmt.Fprintf(w, "made good by\t%s\n", d.RequeuedAs)
			}
			fmt.Fprintf(w, "\ncause\n%s\n\nmessage (%s)\n%s\n", d.Cause, d.Encoding, d.Body)
		})
	})
}

func deadPath(id string) string { return "/api/v1/dead-letters/" + url.PathEscape(id) }

func deadRequeueCommand() *cobra.Command {
	var f api.DeadFilter
	var expected int
	c := remote("requeue [ID]", "Try a dead letter again, or all that a filter matches", cobra.MaximumNArgs(1), func(ctx context.Context, c call) error {
		if len(c.args) == 1 {
			if f != (api.DeadFilter{}) || expected != 0 {
				return usagef("an ID and a filter do not go together; give one of them")
			}
			return c.requeueOne(ctx, c.args[0])
		}
		if expected < 1 {
			return usagef("give an ID; or a filter with --expected, the number of open letters that it matches, as hub dead list shows them")
		}
		return c.requeueAll(ctx, f, expected)
	})
	c.Long = `Try a dead letter again: the run of a job goes on with a new job that names the
letter as its origin; an event or a fact that could not be folded is folded
again; a refused event is published again.

Without an ID every open letter that the filter matches is tried again, but only
if there are as many as expected.`
	c.Example = `  hub dead requeue 4cyxg5mnvs7fm7rjxwaacmn2qu.fetch.1
  hub dead requeue --cause 'connection refused' --expected 12`
	deadFlags(c.Flags(), &f)
	c.Flags().IntVar(&expected, "expected", 0, "how many letters the filter matches, at most 500")
	return c
}

func (c call) requeueOne(ctx context.Context, id string) error {
	var d api.Letter
	if err := c.call(ctx, http.MethodPost, deadPath(id)+"/requeue", asJSON, nil, &d); err != nil {
		return err
	}
	return c.print(d, func(w io.Writer) {
		if d.Run == "" {
			fmt.Fprintf(w, "dead letter %s is published again\n", d.ID)
			return
		}
		fmt.Fprintf(w, "run %s goes on; see hub run watch %s\n", d.Run, d.Run)
	})
}

func (c call) requeueAll(ctx context.Context, f api.DeadFilter, expected int) error {
	body := struct {
		api.DeadFilter
		Expected int `json:"expected"`
	}{f, expected}
	var r api.Requeued
	if err := c.call(ctx, http.MethodPost, "/api/v1/dead-letters/requeue", asJSON, body, &r); err != nil {
		return err
	}
	err := c.print(r, func(w io.Writer) {
		fmt.Fprintf(w, "%d requeued, %d refused\n", r.Requeued, len(r.Refused))
		for _, x := range r.Refused {
			fmt.Fprintf(w, "%s\t%s\n", x.ID, x.Why)
		}
	})
	if err == nil && len(r.Refused) > 0 {
		err = fmt.Errorf("%d of %d dead letters could not be requeued", len(r.Refused), expected)
	}
	return err
}

func deadDiscardCommand() *cobra.Command {
	var reason string
	c := remote("discard ID", "Give a dead letter up, with a reason", cobra.ExactArgs(1), func(ctx context.Context, c call) error {
		if reason == "" {
			return usagef("--reason: say why it need not be made good")
		}
		var d api.Letter
		if err := c.call(ctx, http.MethodPost, deadPath(c.args[0])+"/discard", asJSON, map[string]string{"reason": reason}, &d); err != nil {
			return err
		}
		return c.print(d, func(w io.Writer) { fmt.Fprintf(w, "dead letter %s is discarded\n", d.ID) })
	})
	c.Flags().StringVar(&reason, "reason", "", "why it need not be made good")
	return c
}
