package cli

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"integrationhub/internal/app"
	"integrationhub/internal/platform/sidenode"
)

func nodeCommand() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Offer code to a hub as a SIDE node", Args: usageArgs(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(nodeServeCommand())
	return c
}

func nodeServeCommand() *cobra.Command {
	var listen, token, name string
	c := &cobra.Command{
		Use: "serve DIR", Short: "Serve a git work tree or a folder as it lies", Args: usageArgs(cobra.ExactArgs(1)),
		Long: `Serve a directory by the SIDE node protocol (docs/sidenode.openapi.yaml): a git
work tree with its uncommitted changes, less what .gitignore names, or a plain
folder. A hub reaches it through a connection of kind sidenode.`,
		Example: `  hub node serve . --listen 127.0.0.1:8090 --token "$(openssl rand -hex 16)"`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := app.Load()
			if err != nil {
				return err
			}
			door, err := net.Listen("tcp", listen)
			if err != nil {
				return &app.UsageError{Err: fmt.Errorf("listen: %w; choose another address with --listen", err)}
			}
			if token == "" {
				token = cfg.NodeToken
			}
			if token == "" {
				token = newToken()
				fmt.Fprintf(c.OutOrStdout(), "token: %s\n", token)
			}
			node, err := newNode(c.Context(), args[0], name, token)
			if err != nil {
				door.Close()
				return err
			}
			defer node.Close()
			fmt.Fprintf(c.OutOrStdout(), "serving %s as repository %q at http://%s; Ctrl-C stops it\n", args[0], node.Repository(), door.Addr())
			return node.Serve(c.Context(), door)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "address")
	c.Flags().StringVar(&token, "token", "", "bearer token that hubs must send (HUB_NODE_TOKEN; made up and printed when empty)")
	c.Flags().StringVar(&name, "name", "", "name of the repository (the directory's)")
	return c
}

// newNode serves one directory, by default under its own name.
func newNode(ctx context.Context, dir, name, token string) (*sidenode.Node, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("%s does not exist or cannot be read; give a directory, or a URL with its scheme", dir)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory; give the directory that holds the code", dir)
	}
	return sidenode.NewNode(ctx, sidenode.Config{Dir: dir, Name: name, Token: token})
}
