// Orchestrator folds events and facts into runs, and answers on the HTTP door.
package main

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"

	"integrationhub/internal/app"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/orchestrator/api"
	"integrationhub/internal/vault"
)

func main() { os.Exit(app.Main("orchestrator", os.Args[1:], run)) }

func run(ctx context.Context, p *app.Process) error {
	sealer, err := vault.NewSealer(p.SecretKey)
	if err != nil {
		return &app.UsageError{Err: err}
	}
	door, err := p.Door()
	if err != nil {
		return err
	}
	o := orchestrator.New(orchestrator.Config{
		LimitConnection: p.LimitConn, LimitRepository: p.LimitRepo, Supersede: p.Supersede, Retention: p.Retention,
	}, p.Bus, p.Store, p.Log)
	o.Point = p.Point
	if err := p.Retry(ctx, "schema and streams", o.Setup); err != nil {
		return err
	}
	handler := api.New(api.Config{
		Store: p.Store, Bus: p.Bus, Acceptor: o, Sealer: sealer, Token: p.APIToken, Log: p.Log, Stopping: ctx.Done(),
	}).Handler(app.NewHealth(p.Ready).Register)
	p.Log.Info("listening", "addr", door.Addr().String())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return o.Run(ctx) })
	g.Go(func() error { return app.ServeHTTP(ctx, door, handler) })
	return g.Wait()
}
