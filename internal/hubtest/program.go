package hubtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Build makes the hub's programs, with the given build tags, in a new directory
// that the caller removes. top is the top of the module, seen from the test.
func Build(top, tags string) (dir string, err error) {
	// go test may only reuse an old result while the programs are the same. It
	// cannot see what go build reads, but it takes note of every directory that
	// this process lists.
	for _, sources := range []string{"cmd", "internal", "streams"} {
		if err := filepath.WalkDir(filepath.Join(top, sources), func(_ string, _ os.DirEntry, err error) error { return err }); err != nil {
			return "", err
		}
	}
	if dir, err = os.MkdirTemp("", "hubtest-bin-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", tags, "-o", dir, "./cmd/...")
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return dir, nil
}

// Environment is what a program gets: nothing of whoever runs the tests but
// where other programs are.
func Environment(home string, more ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "LC_ALL=C", "HUB_LOG_FORMAT=json"}
	if bin := os.Getenv("HUB_PG_BIN"); bin != "" {
		env = append(env, "HUB_PG_BIN="+bin)
	}
	return append(env, more...)
}

// Program is one of the hub's programs, running.
type Program struct {
	Cmd    *exec.Cmd
	Exited chan struct{} // closed when it has ended; Cmd.ProcessState tells how
}

// Start runs a command. It is killed when the test ends.
func Start(t testing.TB, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{Cmd: cmd, Exited: make(chan struct{})}
	cmd.WaitDelay = 10 * time.Second // for grandchildren that keep its output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(p.Exited)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill is kill -9. A program that has ended stays as it is.
func (p *Program) Kill() {
	p.Cmd.Process.Kill()
	<-p.Exited
}

// Signal sends a signal to a program that runs.
func (p *Program) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %s to %s: %v", s, p.Cmd, err)
	}
}

// ExitCode waits until the program has ended by itself; it is -1 when a signal
// ended it.
func (p *Program) ExitCode(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.Exited:
		return p.Cmd.ProcessState.ExitCode()
	case <-time.After(within):
		t.Fatalf("%s has not ended after %s", p.Cmd, within)
		return -1
	}
}

// Stop asks the program to end, and wants it to end well.
func (p *Program) Stop(t testing.TB, within time.Duration) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	if code := p.ExitCode(t, within); code != 0 {
		t.Errorf("%s ended with %d after SIGTERM", p.Cmd, code)
	}
}
