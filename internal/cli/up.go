package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"integrationhub/internal/app"
	"integrationhub/internal/local"
)

func upCommand() *cobra.Command {
	var listen, data string
	c := &cobra.Command{
		Use: "up", Short: "Run everything in one process until Ctrl-C", Args: usageArgs(cobra.NoArgs),
		Long: `Run orchestrator, connector, analyzer and deployer in one process, with a private
NATS and Postgres in the data directory, or with those of HUB_NATS_URL and
HUB_DATABASE_URL. It answers on /healthz, /readyz, /openapi.json and /api/v1.`,
		Example: `  hub up
  hub up --listen 127.0.0.1:9000 --data-dir ./state
  HUB_API_TOKEN=... hub up --listen 0.0.0.0:8080`,
		RunE: func(c *cobra.Command, _ []string) error { return up(c, listen, data) },
	}
	c.Flags().StringVar(&listen, "listen", "", "address of the HTTP door (HUB_LISTEN, 127.0.0.1:8080); off loopback it needs HUB_API_TOKEN")
	c.Flags().StringVar(&data, "data-dir", "", "data directory of the embedded services (HUB_DATA_DIR)")
	return c
}

func up(c *cobra.Command, listen, data string) error {
	cfg, err := app.Load()
	if err != nil {
		return err
	}
	if listen != "" {
		cfg.Listen = listen
	}
	dataDir(&cfg, data)
	door, err := cfg.Door()
	if err != nil {
		return err
	}
	defer door.Close()
	ctx, log := c.Context(), cfg.Logger(os.Stderr)
	e, err := start(ctx, cfg, door, log)
	if errors.Is(err, local.ErrInUse) {
		if running, ok := local.Running(cfg.DataDir); ok {
			return fmt.Errorf("a hub runs on data directory %s already, at %s", cfg.DataDir, running.URL)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "hub is up at %s (data in %s); Ctrl-C stops it\n", e.endpoint.URL, cfg.DataDir)
	select {
	case <-ctx.Done():
		return e.Close()
	case err := <-e.done:
		e.done <- nil
		return errors.Join(err, e.Close())
	}
}
