package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"integrationhub/internal/bus"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

// Process is a hub process with its two doors open.
type Process struct {
	Config
	Log   *slog.Logger
	Bus   *bus.Bus
	Store *store.Store
	Point func(name string) // nil in ordinary builds; see the build tag chaos
	name  string
}

// Exit codes of every program of the hub.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitGate        = 3
	ExitInterrupted = 130
)

// Main runs the body of a worker's program: it reads the environment, waits for
// NATS and Postgres, serves health where asked to, and runs f until SIGINT or
// SIGTERM. It returns the exit code.
func Main(name string, args []string, f func(ctx context.Context, p *Process) error) int {
	cfg, err := Load()
	if err == nil && (cfg.NATSURL == "") {
		err = &UsageError{fmt.Errorf("HUB_NATS_URL and HUB_DATABASE_URL are not set: %s needs both; `hub up` runs everything in one process without them", name)}
	}
	if err == nil && len(args) == 1 && args[0] == "healthcheck" {
		return checkHealth(cfg)
	}
	if err == nil && len(args) > 0 {
		err = &UsageError{fmt.Errorf("%s takes no arguments but healthcheck; it is configured by its environment:\n%s", name, Environ())}
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = serve(ctx, name, cfg, f)
	}
	return Report(name, err)
}

// Report prints an error as one line and returns its exit code.
func Report(name string, err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return ExitUsage
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return ExitFailed
}

func serve(ctx context.Context, name string, cfg Config, f func(ctx context.Context, p *Process) error) error {
	log := cfg.Logger(os.Stderr).With("worker", name)
	health := NewHealth(nil)
	if cfg.HealthAddr != "" {
		stop, err := health.Serve(cfg.HealthAddr)
		if err != nil {
			return err
		}
		defer stop()
	}
	err := open(ctx, name, cfg, log, health, f)
	if ctx.Err() != nil {
		log.Info("stopped")
		if errors.Is(err, context.Canceled) {
			err = nil // told to stop, also while it waited for what was not there yet
		}
	}
	return err
}

func open(ctx context.Context, name string, cfg Config, log *slog.Logger, health *Health, f func(ctx context.Context, p *Process) error) error {
	p, err := Open(ctx, name, cfg, log)
	if err != nil {
		return err
	}
	defer p.Close()
	health.Set(p.Ready)
	log.Info("started", "name", p.name)
	return f(ctx, p)
}

// Open connects to NATS and Postgres; it waits for them with backoff until ctx
// ends.
func Open(ctx context.Context, name string, cfg Config, log *slog.Logger) (*Process, error) {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	p := &Process{Config: cfg, Log: log, name: fmt.Sprintf("%s/%s/%d/%s", name, host, os.Getpid(), hex.EncodeToString(id[:]))}
	if p.Point, err = killPoint(); err != nil {
		return nil, err
	}
	err = retry(ctx, log, "postgres", func() (err error) {
		p.Store, err = store.Open(ctx, store.Config{URL: cfg.DatabaseURL, Namespace: cfg.Namespace})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = retry(ctx, log, "nats", func() (err error) {
		p.Bus, err = bus.Connect(ctx, bus.Config{URL: cfg.NATSURL, Namespace: cfg.Namespace, Name: name, Manage: cfg.StreamsManage, Log: log})
		return err
	})
	if err != nil {
		p.Store.Close()
		return nil, err
	}
	return p, nil
}

// Close lets publications finish and closes both doors.
func (p *Process) Close() {
	p.Bus.Close()
	p.Store.Close()
}

// Ready reports which dependency is missing, or nil.
func (p *Process) Ready(ctx context.Context) error {
	return errors.Join(p.Store.Ready(ctx), p.Bus.Ready(ctx))
}

// WaitReady waits until an orchestrator has made schema and streams.
func (p *Process) WaitReady(ctx context.Context) error {
	return p.Retry(ctx, "schema and streams", p.Ready)
}

// Work runs the handlers of one worker until ctx ends, then drains.
func (p *Process) Work(ctx context.Context, worker string, handlers ...work.Handler) error {
	if err := p.WaitReady(ctx); err != nil {
		return err
	}
	jobs := defaultJobs(worker)
	if p.Concurrency > 0 {
		jobs = p.Concurrency
	}
	ahead := jobs
	if p.Prefetch > 0 {
		ahead = p.Prefetch
	}
	return work.Run(ctx, work.Config{
		Worker: worker, Name: p.name, Concurrency: jobs, Prefetch: ahead, Strict: p.Strict, Lease: p.Lease, Drain: p.Drain,
		Policies: work.Policies(), Log: p.Log, Point: p.Point,
	}, p.Bus, job.NewLedger(p.Store), handlers...)
}

// defaultJobs is how many jobs a worker runs at a time where the environment does
// not say: fetches wait for the network, analyses use the cores by themselves,
// preparations read and write a little.
func defaultJobs(worker string) int {
	switch worker {
	case message.Connector:
		return 8
	case message.Deployer:
		return 4
	}
	return 2
}

// Retry calls f with backoff until it succeeds or ctx ends: what it waits for may
// be starting.
func (p *Process) Retry(ctx context.Context, what string, f func(context.Context) error) error {
	return retry(ctx, p.Log, what, func() error { return f(ctx) })
}

func retry(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			log.Warn("waiting", "for", what, "err", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}
