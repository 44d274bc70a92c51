package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/analyzer"
	"integrationhub/internal/app"
	"integrationhub/internal/connector"
	"integrationhub/internal/deployer"
	"integrationhub/internal/local"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/orchestrator/api"
	"integrationhub/internal/platform/all"
	"integrationhub/internal/vault"
	"integrationhub/internal/work"
)

// embedded is a whole hub in this process.
type embedded struct {
	endpoint local.Endpoint
	local    *local.Local // nil where NATS and Postgres are somebody else's
	process  *app.Process
	pool     *pool.Pool
	stop     context.CancelFunc
	done     chan error
}

// startTimeout bounds the start of a hub: the first one makes its database.
const startTimeout = 3 * time.Minute

// start brings up a hub that answers on door. It returns when the hub is ready.
// The servers of the data directory live until Close, whatever becomes of ctx.
func start(ctx context.Context, cfg app.Config, door net.Listener, log *slog.Logger) (*embedded, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	e := &embedded{done: make(chan error, 1), endpoint: local.Endpoint{URL: "http://" + door.Addr().String(), Token: cfg.APIToken}}
	sealer, err := e.open(ctx, &cfg, log)
	if err != nil {
		return nil, errors.Join(err, e.release())
	}
	o := orchestrator.New(orchestrator.Config{
		LimitConnection: cfg.LimitConn, LimitRepository: cfg.LimitRepo, Supersede: cfg.Supersede, Retention: cfg.Retention,
	}, e.process.Bus, e.process.Store, log)
	if err := o.Setup(ctx); err != nil {
		return nil, errors.Join(err, e.release())
	}
	if e.local != nil {
		// The data directory is locked: an earlier hub on it is gone.
		if err := o.Recover(ctx, "hub/"); err != nil {
			return nil, errors.Join(err, e.release())
		}
	}
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	handler := api.New(api.Config{
		Store: e.process.Store, Bus: e.process.Bus, Acceptor: o, Sealer: sealer, Token: cfg.APIToken, Log: log, Stopping: live.Done(),
	}).Handler(app.NewHealth(e.process.Ready).Register)
	p, c := e.process, connector.New(e.process.Store, e.process.Bus, sealer, all.Sources())
	a := analyzer.New(p.Bus, e.pool, cfg.WorkDir)
	d := deployer.New(p.Store, p.Bus, e.pool, cfg.WorkDir)
	go func() {
		g, live := errgroup.WithContext(live)
		g.Go(func() error { return o.Run(live) })
		for worker, h := range map[string]work.Handler{message.Connector: work.On(c.Fetch), message.Analyzer: work.On(a.Analyze), message.Deployer: work.On(d.Prepare)} {
			g.Go(func() error {
				defer stop() // a hub that is told to drain ends as a whole
				return p.Work(live, worker, h)
			})
		}
		g.Go(func() error { return app.ServeHTTP(live, door, handler) })
		e.done <- g.Wait()
	}()
	if e.local != nil {
		if err := e.local.Publish(e.endpoint); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// open starts what is embedded and opens the doors.
func (e *embedded) open(ctx context.Context, cfg *app.Config, log *slog.Logger) (*vault.Sealer, error) {
	var err error
	if cfg.NATSURL == "" {
		if e.local, err = local.Open(ctx, local.Config{DataDir: cfg.DataDir, PostgresBin: cfg.PostgresBin, Log: log, NATS: true, Postgres: true}); err != nil {
			return nil, err
		}
		cfg.NATSURL, cfg.DatabaseURL = e.local.NATSURL(), e.local.DatabaseURL()
		if cfg.SecretKey == "" {
			if cfg.SecretKey, err = vault.LoadOrCreateKey(filepath.Join(cfg.DataDir, "secret.key")); err != nil {
				return nil, err
			}
		}
	}
	sealer, err := vault.NewSealer(cfg.SecretKey)
	if err != nil {
		return nil, &app.UsageError{Err: err}
	}
	if e.process, err = app.Open(ctx, "hub", *cfg, log); err != nil {
		return nil, err
	}
	e.pool = pool.New(pool.Config{})
	return sealer, nil
}

// Close drains the workers and stops everything, the servers last.
func (e *embedded) Close() error {
	e.stop()
	err := <-e.done
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, e.release())
}

// closeTimeout bounds the orderly end of the embedded servers.
const closeTimeout = 30 * time.Second

func (e *embedded) release() error {
	if e.pool != nil {
		_ = e.pool.Close() // its children end with this process in any case
	}
	if e.process != nil {
		e.process.Close()
	}
	if e.local == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := e.local.Close(ctx); err != nil {
		return fmt.Errorf("stop the embedded services: %w", err)
	}
	return nil
}

func dataDir(cfg *app.Config, flag string) {
	if flag != "" {
		cfg.DataDir = flag
	}
	if cfg.DataDir == "" {
		cfg.DataDir = local.DefaultDataDir()
	}
}

// newToken makes a bearer token: 26 random characters.
func newToken() string { return rand.Text() }
