package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/batch"
	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/job"
	"integrationhub/internal/work"
)

// hubEngine is this project's engine, made of the same parts as the product: the
// ledger's rows, the relay to the stream, claims with a fence, and for each job
// its recorded attempt and one fact.
type hubEngine struct {
	cfg   Config
	nats  *natsServer
	store *store.Store
	bus   *bus.Bus
	in    *batch.Batcher[enqueue]
	seq   atomic.Int64
	run   string
}

type enqueue struct {
	job  message.Job
	done chan error
}

func newHub(c Config) *hubEngine { return &hubEngine{cfg: c} }

func (h *hubEngine) Name() string       { return "hub" }
func (h *hubEngine) Durability() string { return "fsync before confirm" }

const benchNamespace = "bench"

func (h *hubEngine) Setup(ctx context.Context) error {
	h.run = fmt.Sprintf("r%d", time.Now().UnixNano())
	var err error
	if h.nats, err = startNATS(h.cfg.WorkDir, true); err != nil {
		return err
	}
	if err := dropSchema(ctx, h.cfg.PGURL); err != nil {
		return err
	}
	if h.store, err = store.Open(ctx, store.Config{URL: h.cfg.PGURL, Namespace: benchNamespace}); err != nil {
		return err
	}
	if err := h.store.Migrate(ctx); err != nil {
		return err
	}
	if h.bus, err = bus.Connect(ctx, bus.Config{URL: h.nats.srv.ClientURL(), Namespace: benchNamespace, Name: "bench", Manage: true, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return err
	}
	if err := h.bus.Ensure(ctx); err != nil {
		return err
	}
	h.in = batch.New(2, 1000, func(es []enqueue) {
		jobs := make([]message.Job, len(es))
		for i, e := range es {
			jobs[i] = e.job
		}
		err := h.insert(ctx, jobs)
		for _, e := range es {
			e.done <- err
		}
		if err == nil {
			h.bus.PostJobs(jobs)
		}
	})
	return nil
}

func dropSchema(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+benchNamespace+" CASCADE")
	return err
}

func (h *hubEngine) insert(ctx context.Context, jobs []message.Job) error {
	return h.store.InTx(ctx, func(tx store.DB) error {
		var b store.Batch
		job.Insert(&b, jobs, nil)
		return b.Run(ctx, tx)
	})
}

// newJob carries the payload in a body of the product's own type.
func (h *hubEngine) newJob(payload []byte) message.Job {
	return message.Job{
		ID: hub.JobID(h.run, "fetch", int(h.seq.Add(1))), Run: h.run, Kind: message.Fetch, Priority: hub.Medium, Connection: "bench", Repository: "bench",
		Body: message.Encode(message.FetchBody{Connection: "bench", Repository: base64.StdEncoding.EncodeToString(payload)}),
	}
}

func (h *hubEngine) Enqueue(_ context.Context, payload []byte) error {
	e := enqueue{h.newJob(payload), make(chan error, 1)}
	h.in.Add(e)
	return <-e.done
}

const bulk = 2000

func (h *hubEngine) EnqueueBulk(ctx context.Context, payloads [][]byte) error {
	for len(payloads) > 0 {
		n := min(bulk, len(payloads))
		jobs := make([]message.Job, n)
		for i, p := range payloads[:n] {
			jobs[i] = h.newJob(p)
		}
		if err := h.insert(ctx, jobs); err != nil {
			return err
		}
		h.bus.PostJobs(jobs)
		payloads = payloads[n:]
	}
	return nil
}

func (h *hubEngine) StartWorkers(ctx context.Context, concurrency int, fn Handler) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	noop := func(_ context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
		payload, err := base64.StdEncoding.DecodeString(d.Body.Repository)
		if err != nil {
			return nil, err
		}
		fn(payload)
		return func(*store.Batch) []message.Fact { return d.Fact(message.SnapshotFetchedBody{}) }, nil
	}
	cfg := work.Config{
		Worker: message.Connector, Name: "bench", Concurrency: concurrency, Prefetch: 4 * concurrency, Lease: 30 * time.Second,
		Drain: 10 * time.Second, Policies: work.Policies(), Log: slog.New(slog.DiscardHandler),
	}
	go func() { done <- work.Run(ctx, cfg, h.bus, job.NewLedger(h.store), work.On(noop)) }()
	return func() error { cancel(); return <-done }, nil
}

func (h *hubEngine) Outstanding(ctx context.Context) (int64, error) {
	var n int64
	if err := h.store.DB().QueryRow(ctx, `SELECT count(*) FROM job_open`).Scan(&n); err != nil || n > 0 {
		return n, err
	}
	there, err := h.bus.Outstanding(ctx)
	for _, c := range there {
		n += c
	}
	return n, err
}

func (h *hubEngine) Close() error {
	if h.in != nil {
		h.in.Close()
		h.in = nil
	}
	if h.bus != nil {
		h.bus.Close()
		h.bus = nil
	}
	if h.store != nil {
		h.store.Close()
		h.store = nil
	}
	if h.nats != nil {
		h.nats.close()
		h.nats = nil
	}
	return nil
}
