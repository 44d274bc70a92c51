package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"integrationhub/internal/hubtest"
)

// How long things may take on a busy machine.
const (
	startWait = 2 * time.Minute // until a hub is up; the first one makes its database
	runWait   = 2 * time.Minute // until a run has ended
	stopWait  = time.Minute     // until a process that was asked to stop has ended
)

// process is one of our programs, running.
type process struct {
	cmd    *exec.Cmd
	stdout text
	stderr text
	exited chan struct{}
}

// text keeps what a process prints.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(b)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

// environment is what a child process gets: nothing of whoever runs the tests
// but where programs are. What a killed one leaves behind is below home.
func environment(home string, more ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C", "HUB_LOG_FORMAT=json"}
	if bin := os.Getenv("HUB_PG_BIN"); bin != "" {
		env = append(env, "HUB_PG_BIN="+bin)
	}
	return append(env, more...)
}

// start runs a program. It is killed when the test ends, and what it said is
// shown when the test failed.
func start(t testing.TB, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary(t, name), args...), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, &p.stdout, &p.stderr
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // ProcessState tells how it ended
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %s said\n%s%s", name, strings.Join(args, " "), &p.stdout, &p.stderr)
		}
	})
	return p
}

// kill is kill -9. A process that has ended stays as it is.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

func (p *process) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %s: %v", s, err)
	}
}

// exitCode waits until the process has ended by itself.
func (p *process) exitCode(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		t.Fatalf("%s has not ended after %s", p.cmd, within)
		return -1
	}
}

// stop asks the process to end, and wants it to end well.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.exitCode(t, stopWait); code != 0 {
		t.Errorf("%s ended with %d after SIGTERM", p.cmd, code)
	}
}

// up runs `hub up` on a data directory until the test ends. environ is added to
// its environment.
func up(t testing.TB, dataDir string, environ ...string) *server {
	t.Helper()
	// Registered first, so that it runs after the hub is gone: what a hub that
	// was killed leaves behind must not outlive the test.
	t.Cleanup(func() { stopPostgres(t, dataDir) })
	env := environment(t.TempDir(), append(environ, "HUB_DATA_DIR="+dataDir)...)
	h := &server{process: start(t, env, "hub", "up", "--listen", "127.0.0.1:0"), client: newClient(t, "", "")}
	hubtest.Eventually(t, startWait, func() error {
		select {
		case <-h.exited:
			return errors.New("hub up has ended")
		default:
		}
		_, after, found := strings.Cut(h.stdout.String(), "hub is up at ")
		if !found {
			return errors.New("hub up has not said where it is")
		}
		h.url, _, _ = strings.Cut(after, " ")
		return nil
	})
	return h
}

// server is a running `hub up`.
type server struct {
	*process
	*client
}

// stopPostgres ends the Postgres of a data directory that has lost its hub.
func stopPostgres(t testing.TB, dataDir string) {
	hubtest.Eventually(t, stopWait, func() error {
		raw, err := os.ReadFile(filepath.Join(dataDir, "postgres", "postmaster.pid"))
		if err != nil {
			return nil // it ended in good order
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		pid, err := strconv.Atoi(line)
		if err != nil {
			return fmt.Errorf("postmaster.pid says %q", line)
		}
		if syscall.Kill(pid, syscall.SIGQUIT) != nil {
			return nil // it was killed as well
		}
		return fmt.Errorf("Postgres still runs as process %d", pid)
	})
}

// signalChildren sends a signal to the scanning processes of a process, and
// returns their ids.
func (p *process) signalChildren(t testing.TB, signal syscall.Signal) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("there is no /proc to find the scanning processes in")
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state parent …; the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if fields[1] != strconv.Itoa(p.cmd.Process.Pid) || !strings.HasPrefix(string(args), "hub-scan-child") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil {
			err = syscall.Kill(pid, signal)
		}
		if err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
