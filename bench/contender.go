package main

import (
	"context"
	"time"
)

// Handler is called once per delivery with the job's payload. It does nothing
// but note the time; a nil return means the contender must acknowledge the job.
type Handler func(payload []byte)

// Contender is one job system under measurement.
//
// The rules each implementation keeps:
//   - Setup starts from empty storage, so runs do not see each other's jobs.
//   - Enqueue returns only after the system has confirmed that one job.
//   - EnqueueBulk hands over many jobs the fastest confirmed way the system has.
//   - every job is acknowledged on its own (no batch acks by the harness).
//   - Outstanding counts jobs not yet finished in the system's own storage; the
//     harness stops the clock only when it reaches zero, so a system that
//     completes jobs in the background is timed until it has really done so.
type Contender interface {
	Name() string
	// Durability says in a few words when an enqueued job is on disk.
	Durability() string
	Setup(ctx context.Context) error
	Enqueue(ctx context.Context, payload []byte) error
	EnqueueBulk(ctx context.Context, payloads [][]byte) error
	StartWorkers(ctx context.Context, concurrency int, h Handler) (stop func() error, err error)
	Outstanding(ctx context.Context) (int64, error)
	Close() error
}

// Config is what the command line says about where services and files live.
type Config struct {
	WorkDir  string // scratch space for embedded servers
	PGURL    string // Postgres the River and SKIP LOCKED contenders use
	RedisBin string // redis-server to start for asynq
	RedisPrt int
}

// contenders lists every system the harness knows, in table order. To measure
// another one, implement Contender in its own file and add it here.
func contenders(c Config) []Contender {
	return []Contender{
		newHub(c),
		newJetStream(c, jsOptions{}),
		newJetStream(c, jsOptions{doubleAck: true}),
		newJetStream(c, jsOptions{syncAlways: true}),
		newJetStream(c, jsOptions{syncAlways: true, doubleAck: true}),
		newWatermill(c),
		newAsyncJobs(c),
		newRiver(c, riverOptions{label: "defaults", fetchCooldown: 100 * time.Millisecond, fetchPoll: time.Second}),
		newRiver(c, riverOptions{label: "cooldown 2ms", fetchCooldown: 2 * time.Millisecond, fetchPoll: 20 * time.Millisecond}),
		newAsynq(c, asynqOptions{fsync: "everysec", checkInterval: time.Second}),
		newAsynq(c, asynqOptions{fsync: "everysec", checkInterval: 10 * time.Millisecond}),
		newAsynq(c, asynqOptions{fsync: "always", checkInterval: 10 * time.Millisecond}),
		newSkipLocked(c, skipLockedOptions{label: "1 poller every 2s", pollers: 1, limit: 10, wait: 2 * time.Second}),
		newSkipLocked(c, skipLockedOptions{label: "tight: 1 poller", pollers: 1, limit: 10, idle: 2 * time.Millisecond}),
		newSkipLocked(c, skipLockedOptions{label: "tight: 6 pollers", pollers: 6, limit: 10, idle: 2 * time.Millisecond}),
	}
}
