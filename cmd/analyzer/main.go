// Analyzer finds problems in snapshots. It scans in child processes of itself.
package main

import (
	"context"
	"os"

	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/analyzer"
	"integrationhub/internal/app"
	"integrationhub/internal/message"
	"integrationhub/internal/work"
)

func main() {
	pool.Main()
	os.Exit(app.Main("analyzer", os.Args[1:], run))
}

func run(ctx context.Context, p *app.Process) error {
	scanner := pool.New(pool.Config{})
	defer scanner.Close()
	a := analyzer.New(p.Bus, scanner, p.WorkDir)
	return p.Work(ctx, message.Analyzer, work.On(a.Analyze))
}
