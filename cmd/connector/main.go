// Connector fetches code from code hosts into snapshots.
package main

import (
	"context"
	"os"

	"integrationhub/internal/app"
	"integrationhub/internal/connector"
	"integrationhub/internal/message"
	"integrationhub/internal/platform/all"
	"integrationhub/internal/vault"
	"integrationhub/internal/work"
)

func main() { os.Exit(app.Main("connector", os.Args[1:], run)) }

func run(ctx context.Context, p *app.Process) error {
	sealer, err := vault.NewSealer(p.SecretKey)
	if err != nil {
		return &app.UsageError{Err: err}
	}
	c := connector.New(p.Store, p.Bus, sealer, all.Sources())
	return p.Work(ctx, message.Connector, work.On(c.Fetch))
}
