// Command peers puts job systems side by side on one machine: how fast they
// take jobs in, how fast they work them off, and how long a job waits at a
// moderate pace.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	var p Plan
	var cfg Config
	flag.IntVar(&p.Jobs, "n", 20000, "jobs per throughput phase")
	flag.IntVar(&p.PayloadSize, "size", 256, "payload bytes")
	flag.IntVar(&p.Concurrency, "c", 64, "producers, and worker concurrency")
	flag.IntVar(&p.Rate, "rate", 500, "paced jobs/s for latency")
	flag.DurationVar(&p.PacedFor, "paced", 6*time.Second, "length of the latency phase")
	flag.DurationVar(&p.Budget, "budget", 20*time.Second, "longest any one phase may take")
	runs := flag.Int("runs", 3, "runs; medians are printed")
	only := flag.String("only", "", "comma-separated parts of contender names to run")
	flag.StringVar(&cfg.PGURL, "pg", "postgres://postgres@127.0.0.1:55432/postgres?sslmode=disable", "Postgres URL")
	flag.StringVar(&cfg.RedisBin, "redis", "/usr/bin/redis-server", "redis-server binary")
	flag.IntVar(&cfg.RedisPrt, "redis-port", 56379, "port for redis-server")
	flag.StringVar(&cfg.WorkDir, "dir", os.TempDir(), "scratch folder, on the disk to measure")
	road := flag.Int("road", 0, "measure the hub's whole road with that many runs, instead of the contenders")
	profile := flag.String("cpuprofile", "", "write a CPU profile of this process, the embedded NATS included")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	if err := os.MkdirAll(cfg.WorkDir, 0o755); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	if *road > 0 {
		if err := measureChain(ctx, cfg, *runs, *road, p.Concurrency); err != nil {
			log.Fatal(err)
		}
		return
	}
	picked := slices.DeleteFunc(contenders(cfg), func(c Contender) bool { return !matches(c.Name(), *only) })
	results := make([][]Result, len(picked))
	for run := range *runs {
		for i, c := range picked {
			runtime.GC()
			r := measure(ctx, c, p)
			results[i] = append(results[i], r)
			log.Printf("run %d load %s | %s", run+1, loadAverage(), row(r))
		}
	}

	fmt.Printf("\nmedians of %d runs; n=%d, payload %d B, concurrency %d, GOMAXPROCS %d, %s\n\n",
		*runs, p.Jobs, p.PayloadSize, p.Concurrency, runtime.GOMAXPROCS(0), runtime.Version())
	fmt.Println("| system | durable when confirmed? | enqueue/s (64 producers) | enqueue/s (bulk, 1 caller) | work/s | paced at | p50 ms | p99 ms |")
	fmt.Println("|---|---|--:|--:|--:|--:|--:|--:|")
	for _, rs := range results {
		fmt.Println(row(median(rs)))
	}
}

func matches(name, only string) bool {
	if only == "" {
		return true
	}
	for part := range strings.SplitSeq(only, ",") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func row(r Result) string {
	if r.Err != nil {
		return fmt.Sprintf("| %s | %s | failed: %v |", r.Name, r.Durability, r.Err)
	}
	cut := ""
	if r.WorkCut {
		cut = "*"
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("| %s | %s | %.0f | %.0f | %.0f%s | %d/s | %.1f | %.1f |",
		r.Name, r.Durability, r.EnqueueRate, r.BulkRate, r.WorkRate, cut, r.Rate, ms(r.P50), ms(r.P99))
}

// median takes each column's median by itself over the runs that succeeded.
func median(rs []Result) Result {
	ok := slices.DeleteFunc(slices.Clone(rs), func(r Result) bool { return r.Err != nil })
	if len(ok) == 0 {
		return rs[0]
	}
	m := ok[0]
	m.EnqueueRate = middle(ok, func(r Result) float64 { return r.EnqueueRate })
	m.BulkRate = middle(ok, func(r Result) float64 { return r.BulkRate })
	m.WorkRate = middle(ok, func(r Result) float64 { return r.WorkRate })
	m.Rate = middle(ok, func(r Result) int { return r.Rate })
	m.P50 = middle(ok, func(r Result) time.Duration { return r.P50 })
	m.P99 = middle(ok, func(r Result) time.Duration { return r.P99 })
	return m
}

func middle[T int | float64 | time.Duration](rs []Result, get func(Result) T) T {
	vs := make([]T, len(rs))
	for i, r := range rs {
		vs[i] = get(r)
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(b))[0]
}
