// Package cli is the people's command: hub. It speaks HTTP to a hub, its own or a
// running one.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"integrationhub/internal/app"
)

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code: 0 done, 1 failed, 2
// usage, 3 gate failed, 130 interrupted.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit *exitError
	if errors.As(err, &exit) {
		fmt.Fprintf(os.Stderr, "hub: %v\n", exit.err)
		return exit.code
	}
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "hub: interrupted")
		return app.ExitInterrupted
	}
	return app.Report("hub", err)
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "hub",
		Short: "From an event about a repository to findings, a score and a proved change",
		Long: `hub runs Integration Hub on this machine, or speaks to one that runs.

Exit codes: 0 done, 1 failed, 2 usage, 3 gate failed, 130 interrupted.

Environment:
` + app.Environ(),
		SilenceErrors: true, SilenceUsage: true, Version: version(), Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &app.UsageError{Err: fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(runCommand(), upCommand(), nodeCommand(), queueCommand(), deadCommand(), scheduleCommand(), workerCommand())
	return root
}

// usageArgs makes a mistake in the arguments exit with 2.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return &app.UsageError{Err: fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
		}
		return nil
	}
}

// version is the commit that the program was built from, where git told it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "devel"
}
