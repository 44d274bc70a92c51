package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"integrationhub/internal/app"
	"integrationhub/internal/hub"
	"integrationhub/internal/local"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
)

// runOptions are the flags of hub run, as typed.
type runOptions struct {
	ref, strategy, priority, format, output, failOn, hubURL, dataDir, nodeListen string
	only                                                                         []string
	verbose                                                                      bool

	target message.Target // what the flags say, checked
	gate   hub.Severity   // empty: no gate
}

func runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use: "run PATH|URL", Short: "Analyse code, and propose a proved change", Args: usageArgs(cobra.ExactArgs(1)),
		Long: `Analyse a directory or a git repository, and propose a proved change. The event
goes through the streams like any other: on the hub of --hub, on the one that
runs on the data directory, or on one that lives as long as this command.

A PATH is served to the hub as it lies, uncommitted changes included. A directory
that is called like one of the commands below is named by ./list and the like.`,
		Example: `  hub run .
  hub run https://git.example.org/shop/web.git --ref v1.2 --only security
  hub run . --format sarif --output report.sarif --fail-on high`,
		RunE: func(c *cobra.Command, args []string) error { return run(c, args[0], &o) },
	}
	f := c.Flags()
	f.StringVar(&o.ref, "ref", "", "branch, tag or commit (the default branch of a URL, the work tree of a PATH)")
	f.StringVar(&o.strategy, "strategy", "dry-run", "what becomes of the change: dry-run")
	f.StringSliceVar(&o.only, "only", nil, "categories, comma-separated: security, performance, quality, style, architecture, reliability")
	f.StringVar(&o.priority, "priority", "medium", "critical, high, medium or low")
	f.StringVar(&o.format, "format", "text", "text, json or sarif")
	f.StringVar(&o.output, "output", "", "write the report to a file")
	f.StringVar(&o.failOn, "fail-on", "", "exit with 3 when a finding is at least that severe: critical, high, medium, low or info")
	f.StringVar(&o.hubURL, "hub", "", "URL of a running hub (HUB_URL), with HUB_API_TOKEN")
	f.StringVar(&o.nodeListen, "node-listen", "127.0.0.1:0", "address under which the hub reaches this machine, for a PATH")
	f.StringVar(&o.dataDir, "data-dir", "", "data directory of the embedded services (HUB_DATA_DIR)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the hub's log")
	c.AddCommand(runListCommand(), runShowCommand(), runWatchCommand(), runCancelCommand(), runRetryCommand())
	return c
}

// check reads the flags; its error is a *app.UsageError.
func (o *runOptions) check() (err error) {
	usage := func(flag string, err error) error { return &app.UsageError{Err: fmt.Errorf("--%s: %w", flag, err)} }
	if err := hub.CheckRef(o.ref); err != nil {
		return usage("ref", err)
	}
	o.target.Ref = o.ref
	if hub.IsCommitID(o.ref) {
		o.target.Ref, o.target.Commit = "", o.ref
	}
	if o.target.Strategy, err = hub.ParseStrategy(o.strategy); err != nil {
		return usage("strategy", err)
	}
	if o.target.Strategy != hub.DryRun {
		return usage("strategy", fmt.Errorf("%s is not offered by this version; use dry-run", o.strategy))
	}
	if o.target.Priority, err = hub.ParsePriority(o.priority); err != nil {
		return usage("priority", err)
	}
	for _, s := range o.only {
		c, err := hub.ParseCategory(strings.TrimSpace(s))
		if err != nil {
			return usage("only", err)
		}
		o.target.Only = append(o.target.Only, c)
	}
	if o.format != "text" && o.format != "json" && o.format != "sarif" {
		return usage("format", fmt.Errorf("%q is not text, json or sarif", o.format))
	}
	if o.failOn != "" {
		if o.gate, err = hub.ParseSeverity(o.failOn); err != nil {
			return usage("fail-on", err)
		}
	}
	return nil
}

func run(c *cobra.Command, what string, o *runOptions) error {
	cfg, err := app.Load()
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	dataDir(&cfg, o.dataDir)
	src, err := newSource(c.Context(), what, o.nodeListen, cfg.GitToken)
	if err != nil {
		return err
	}
	defer src.close()
	ctx := c.Context()
	cl, stop, err := o.reach(ctx, cfg)
	if err != nil {
		return err
	}
	res, err := o.mainJob(ctx, cl, src)
	stopErr := stop()
	if err != nil {
		return err
	}
	if err := o.report(c, cfg, res); err != nil {
		return err
	}
	if err := res.verdict(o.gate); err != nil {
		return err
	}
	return stopErr
}

// reach finds the hub to work on: a named one, the one on the data directory, or
// a new one that stop ends.
func (o *runOptions) reach(ctx context.Context, cfg app.Config) (cl *client, stop func() error, err error) {
	none := func() error { return nil }
	if cl := namedHub(cfg, o.hubURL); cl != nil {
		return cl, none, nil
	}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = cfg.Logger(os.Stderr)
	}
	for {
		if running, ok := local.Running(cfg.DataDir); ok && cfg.NATSURL == "" {
			return newClient(running), none, nil
		}
		door, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, fmt.Errorf("listen on loopback: %w", err)
		}
		cfg.APIToken = newToken()
		e, err := start(ctx, cfg, door, log)
		if err == nil {
			cl := newClient(e.endpoint)
			return cl, func() error { return errors.Join(waitForOthers(ctx, cl), e.Close()) }, nil
		}
		door.Close()
		if !errors.Is(err, local.ErrInUse) {
			return nil, nil, err
		}
		select { // another hub is about to start or to stop on the same directory
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// othersTimeout bounds how long a one-shot hub stays for the runs of others.
const othersTimeout = 10 * time.Minute

// waitForOthers keeps a one-shot hub alive while other commands have runs on it.
func waitForOthers(ctx context.Context, cl *client) error {
	ctx, cancel := context.WithTimeout(ctx, othersTimeout)
	defer cancel()
	for told := false; ; {
		n, err := cl.open(ctx)
		if err != nil || n == 0 || ctx.Err() != nil {
			return nil // what is left open goes on with the next hub on this directory
		}
		if !told {
			fmt.Fprintf(os.Stderr, "hub: waiting for %d other runs on this hub\n", n)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// mainJob publishes the event and waits for its run to end.
func (o *runOptions) mainJob(ctx context.Context, cl *client, src *source) (*result, error) {
	slug, forget, err := src.connect(ctx, cl)
	if err != nil {
		return nil, err
	}
	defer forget()
	o.target.Connection, o.target.Repository = slug, src.repository
	event, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.NewString(), "source": "hub", "type": message.TypeOf(message.AnalysisRequested),
		"time": time.Now().UTC().Format(time.RFC3339Nano), "traceparent": newTrace(), "data": o.target,
	})
	if err != nil {
		return nil, err
	}
	id, err := cl.publish(ctx, event)
	if err != nil {
		return nil, err
	}
	return follow(ctx, cl, id)
}

// pollEvery is how often a run is asked for.
const pollEvery = 100 * time.Millisecond

// cancelTimeout bounds the cancelling of a run after Ctrl-C.
const cancelTimeout = 10 * time.Second

// follow waits for the end of a run and collects what came of it. When ctx ends
// first, the run is cancelled.
func follow(ctx context.Context, cl *client, id string) (*result, error) {
	show := newProgress(os.Stderr)
	defer show.done()
	for {
		d, err := cl.run(ctx, id)
		if err == nil && d.Status.Terminal() {
			return collect(ctx, cl, d)
		}
		if ctx.Err() != nil {
			return nil, &exitError{app.ExitInterrupted, cancelRun(context.WithoutCancel(ctx), cl, id)}
		}
		if err != nil {
			return nil, fmt.Errorf("follow run %s: %w", id, err)
		}
		if show.enabled {
			if jobs, err := cl.jobs(ctx, id); err == nil {
				show.jobs(jobs)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// cancelRun cancels a run and says how it ended. It waits for that end: a hub
// that stops before it has folded the cancel would drain the job instead.
func cancelRun(ctx context.Context, cl *client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	err := cl.cancel(ctx, id, "interrupted by the user")
	for err == nil {
		var d api.Detail
		if d, err = cl.run(ctx, id); err == nil && d.Status.Terminal() {
			return fmt.Errorf("interrupted; run %s is %s", id, d.Status)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
	return fmt.Errorf("interrupted; run %s may go on: %w", id, err)
}

func collect(ctx context.Context, cl *client, d api.Detail) (*result, error) {
	findings, err := cl.findings(ctx, d.ID)
	if err != nil {
		return nil, fmt.Errorf("read the findings of run %s: %w", d.ID, err)
	}
	return &result{Detail: d, findings: findings}, nil
}
