// Hub is the people's command: everything in one process, the main job in one
// shot, and tools for operators and engineers.
package main

import (
	"os"

	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/cli"
)

func main() {
	pool.Main()
	os.Exit(cli.Main(os.Args[1:]))
}
