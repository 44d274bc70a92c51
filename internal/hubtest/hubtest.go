// Package hubtest gives tests real servers: Postgres, NATS, and git over HTTP.
// Only tests import it. A package that uses it has in one of its test files
//
//	func TestMain(m *testing.M) { hubtest.Main(m) }
//
// because the servers are child processes of the test binary itself: so they
// can be killed like real ones, and they end when the test process ends in
// whatever way.
package hubtest

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and fails them when a goroutine is left
// over. In a child process it is the server that the test asked for.
func Main(m *testing.M, ignore ...goleak.Option) {
	if name := os.Getenv(serveEnv); name != "" {
		os.Exit(serve(name))
	}
	goleak.VerifyTestMain(m, ignore...)
}

// Eventually waits until f returns nil, asking ever less often, and fails the
// test with f's last error when that takes longer than within.
func Eventually(t testing.TB, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		time.Sleep(pause)
	}
}

// DataDir is an empty directory for one test. Unlike t.TempDir it can be
// reached by the unprivileged user that Postgres runs as when root runs tests.
func DataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hubtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}
