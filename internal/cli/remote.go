package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"integrationhub/internal/app"
	"integrationhub/internal/hub"
	"integrationhub/internal/local"
	"integrationhub/internal/message"
)

// call is one command to a hub that runs.
type call struct {
	*client
	args []string
	out  io.Writer
	json bool
}

// group is a noun with its verbs.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: usageArgs(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(verbs...)
	return c
}

// remote makes a command that speaks to a hub that runs, with the flags that all
// of them have.
func remote(use, short string, args cobra.PositionalArgs, do func(context.Context, call) error) *cobra.Command {
	var hubURL, data, format string
	c := &cobra.Command{Use: use, Short: short, Args: usageArgs(args)}
	c.Flags().StringVar(&hubURL, "hub", "", "URL of a running hub (HUB_URL), with HUB_API_TOKEN")
	c.Flags().StringVar(&data, "data-dir", "", "data directory that a hub runs on (HUB_DATA_DIR)")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "text" && format != "json" {
			return usagef("--format: %q is not text or json", format)
		}
		cfg, err := app.Load()
		if err != nil {
			return err
		}
		cl, err := runningHub(cfg, hubURL, data)
		if err != nil {
			return err
		}
		err = do(c.Context(), call{client: cl, args: args, out: c.OutOrStdout(), json: format == "json"})
		var no *apiError
		if errors.As(err, &no) && no.status == http.StatusUnprocessableEntity { // what was typed is wrong
			return &app.UsageError{Err: err}
		}
		return err
	}
	return c
}

func usagef(format string, args ...any) error {
	return &app.UsageError{Err: fmt.Errorf(format, args...)}
}

// runningHub finds the hub that is named, or the one on the data directory.
func runningHub(cfg app.Config, hubURL, data string) (*client, error) {
	if cl := namedHub(cfg, hubURL); cl != nil {
		return cl, nil
	}
	dataDir(&cfg, data)
	running, ok := local.Running(cfg.DataDir)
	if !ok {
		return nil, fmt.Errorf("no hub runs on data directory %s; start one with `hub up`, or name one with --hub URL or HUB_URL", cfg.DataDir)
	}
	return newClient(running), nil
}

// namedHub is the hub of --hub or HUB_URL, nil where neither is given.
func namedHub(cfg app.Config, hubURL string) *client {
	if hubURL == "" {
		hubURL = cfg.URL
	}
	if hubURL == "" {
		return nil
	}
	return newClient(local.Endpoint{URL: strings.TrimSuffix(hubURL, "/"), Token: cfg.APIToken})
}

// print writes v as JSON, or as the text that f writes: columns are separated by
// tabs, and aligned.
func (c call) print(v any, f func(w io.Writer)) error {
	if c.json {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	f(w)
	return w.Flush()
}

// relative tells a time as people do, seen from now.
func relative(t, now time.Time) string {
	d, format := now.Sub(t), "%s ago"
	if d < 0 {
		d, format = -d, "in %s"
	}
	switch {
	case d < time.Second:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf(format, d.Truncate(time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf(format, fmt.Sprintf("%dm", int(d.Minutes())))
	case d < 48*time.Hour:
		return fmt.Sprintf(format, fmt.Sprintf("%dh", int(d.Hours())))
	}
	return fmt.Sprintf(format, fmt.Sprintf("%dd", int(d.Hours())/24))
}

// when is relative to now, and a dash where there is no time.
func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return relative(*t, time.Now())
}

// brief is the first line of a text, at most 80 characters of it.
func brief(s string) string {
	s = strings.ReplaceAll(firstLine(s), "\t", " ")
	if r := []rune(s); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// checkWorker and checkPriority catch what was mistyped before a hub is asked.
func checkWorker(s string) error {
	for _, w := range message.Workers {
		if w == s {
			return nil
		}
	}
	return usagef("worker %q is not one of %s", s, strings.Join(message.Workers, ", "))
}

func checkPriority(s string) error {
	if _, err := hub.ParsePriority(s); err != nil {
		return usagef("--priority: %w", err)
	}
	return nil
}

// words names what an answer says no to: problem+json's detail, and the fields
// where it only says that something is wrong.
func words(status string, raw []byte) string {
	var p struct {
		Detail string `json:"detail"`
		Errors []struct {
			Location string `json:"location"`
			Message  string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Detail == "" {
		return "the hub answered " + status
	}
	said := p.Detail
	for _, e := range p.Errors {
		if !strings.Contains(p.Detail, e.Message) {
			said += "; " + e.Location + ": " + e.Message
		}
	}
	return said
}
