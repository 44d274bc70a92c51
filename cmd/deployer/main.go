// Deployer prepares, backs up and proves changes. It rescans in child processes
// of itself.
package main

import (
	"context"
	"os"

	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/app"
	"integrationhub/internal/deployer"
	"integrationhub/internal/message"
	"integrationhub/internal/work"
)

func main() {
	pool.Main()
	os.Exit(app.Main("deployer", os.Args[1:], run))
}

func run(ctx context.Context, p *app.Process) error {
	scanner := pool.New(pool.Config{})
	defer scanner.Close()
	d := deployer.New(p.Store, p.Bus, scanner, p.WorkDir)
	return p.Work(ctx, message.Deployer, work.On(d.Prepare))
}
