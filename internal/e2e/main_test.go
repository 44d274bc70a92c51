// Package e2e proves the whole product as its users meet it: real binaries, as
// processes, with real NATS, Postgres and git.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"integrationhub/internal/hubtest"
)

func TestMain(m *testing.M) {
	hubtest.Main(m, goleak.Cleanup(func(code int) {
		if dir, err := binaries(); err == nil {
			os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}

// top is the top of the module.
const top = "../.."

// binaries builds the five programs, once per test run, and is the directory
// that holds them.
var binaries = sync.OnceValues(func() (string, error) {
	// go test may only reuse an old result while the programs are the same. It
	// cannot see what go build reads, but it takes note of every directory that
	// this process lists.
	for _, dir := range []string{"cmd", "internal", "streams"} {
		if err := filepath.WalkDir(filepath.Join(top, dir), func(_ string, _ os.DirEntry, err error) error { return err }); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp("", "e2e-bin-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "./cmd/...")
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return dir, nil
})

// binary is the path of one of the programs.
func binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
