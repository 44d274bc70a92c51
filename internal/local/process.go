package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killWait bounds how long a process may take to end once it was told to end
// without tidying up.
const killWait = 5 * time.Second

// process is a child of this process.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; read after exited
}

func start(cmd *exec.Cmd) (*process, error) {
	cmd.WaitDelay = killWait // for grandchildren that keep its output open
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop asks Postgres for a fast shutdown: sessions end, everything is flushed.
// When ctx ends first it is told to quit, which is as safe as a power cut.
func (p *process) stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
	}
	if err := p.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(killWait):
		return p.kill()
	}
}

func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to process %d: %w", s, p.cmd.Process.Pid, err)
	}
	return nil
}

func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited // the kernel leaves it no choice, and WaitDelay bounds the rest
	return nil
}

// errBusy says that something still holds the data directory.
var errBusy = errors.New("another process holds the data directory")

// launchWhenFree starts Postgres, after stopping one that a killed hub left
// behind.
func (p *postgres) launchWhenFree(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for giveUp := time.Now().Add(busyWait); ; {
		if err := p.stopOrphan(ctx); err != nil {
			return nil, err
		}
		run, err := p.launch(ctx)
		if !errors.Is(err, errBusy) || time.Now().After(giveUp) {
			return run, err
		}
		if err := wait(ctx, 10*pollPause); err != nil {
			return nil, err
		}
	}
}

// launch starts Postgres and waits until it takes connections.
func (p *postgres) launch(ctx context.Context) (*process, error) {
	p.serverLog.Forget()
	// fsync and synchronous_commit are on by default.
	cmd := p.command("postgres", "-D", p.data,
		"-c", "listen_addresses=",
		"-c", "port="+strconv.Itoa(pgPort),
		"-c", `unix_socket_directories="`+strings.ReplaceAll(p.sockets, `"`, `""`)+`"`,
		"-c", "unix_socket_permissions=0700",
		"-c", "shared_buffers=128MB",
		"-c", "max_connections=100",
		"-c", "logging_collector=off",
		"-c", "log_destination=stderr",
	)
	cmd.Stderr = p.serverLog
	run, err := start(cmd)
	if err != nil {
		return nil, err
	}
	for {
		pf, err := p.readPidFile()
		if err == nil && pf.pid == run.cmd.Process.Pid && pf.ready {
			return run, nil
		}
		select {
		case <-run.exited:
			return nil, p.whyNot(run)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("it is not ready: %w: %s", context.Cause(ctx), p.serverLog), run.kill())
		case <-time.After(pollPause):
		}
	}
}

// whyNot turns what Postgres said before it gave up into an error.
func (p *postgres) whyNot(run *process) error {
	said := p.serverLog.String()
	if strings.Contains(said, `lock file "postmaster.pid" already exists`) || strings.Contains(said, "shared memory block") {
		return fmt.Errorf("%w: %s: if the process that it names is not a Postgres, remove %s", errBusy, said, filepath.Join(p.data, "postmaster.pid"))
	}
	return fmt.Errorf("%w: %s", run.err, said)
}

// makeSocketDir chooses where the socket is: in the data directory, or in a
// temporary directory where that path is too long for a socket, or holds a
// comma, which Postgres's clients take for the end of a host.
func (p *postgres) makeSocketDir() (string, error) {
	dir := filepath.Join(p.dir, "run")
	if len(socketPath(dir, pgPort)) <= maxSocket && !strings.Contains(dir, ",") {
		return dir, p.account.mkdir(dir)
	}
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		if len(socketPath(filepath.Join(parent, "hub-1234567890"), pgPort)) > maxSocket || p.account.checkReach(parent) != nil {
			continue
		}
		dir, err := os.MkdirTemp(parent, "hub-") // mode 0700
		if err != nil {
			return "", err
		}
		return dir, p.account.own(dir)
	}
	return "", fmt.Errorf("%s is too long for a unix socket: choose a shorter data directory", dir)
}

func socketPath(dir string, port int) string {
	return filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
}

// pidFile is what postmaster.pid says. Postgres alone writes and removes it.
type pidFile struct {
	pid     int
	port    int
	sockets string
	ready   bool
}

// readPidFile reads postmaster.pid, whose lines are, in order: process id, data
// directory, start time, port, socket directory, listen address, shared memory
// key, status. A starting Postgres adds them bit by bit.
func (p *postgres) readPidFile() (pidFile, error) {
	path := filepath.Join(p.data, "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 {
		return pidFile{}, fmt.Errorf("%s is not complete", path)
	}
	pid, pidErr := strconv.Atoi(lines[0])
	port, portErr := strconv.Atoi(lines[3])
	return pidFile{
		pid: pid, port: port, sockets: lines[4],
		ready: strings.TrimSpace(lines[7]) == "ready",
	}, errors.Join(pidErr, portErr)
}

// stopOrphan stops the Postgres that a killed hub left running. That it runs is
// taken from its socket, in a directory that only its user can enter: the
// process id alone may long be somebody else's. A dead one's pid file is
// Postgres's own business.
func (p *postgres) stopOrphan(ctx context.Context) error {
	pf, err := p.readPidFile()
	if err != nil || p.account.checkPrivate(pf.sockets) != nil {
		return nil
	}
	conn, err := net.DialTimeout("unix", socketPath(pf.sockets, pf.port), time.Second)
	if err != nil {
		return nil
	}
	conn.Close()
	p.log.Info("stopping the Postgres that an earlier hub left running", "pid", pf.pid)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pf.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop process %d: %w", pf.pid, err)
		}
		if p.gone(ctx, pf.pid) {
			if pf.sockets != filepath.Join(p.dir, "run") {
				os.Remove(pf.sockets) // a temporary one, empty by now
			}
			return nil
		}
	}
	return fmt.Errorf("process %d, the Postgres of an earlier hub, does not end: end it and start again", pf.pid)
}

// gone waits until Postgres has removed its pid file, its last act, or is no
// process any more.
func (p *postgres) gone(ctx context.Context, pid int) bool {
	ctx, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	for {
		pf, err := p.readPidFile()
		if errors.Is(err, fs.ErrNotExist) || err == nil && pf.pid != pid || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return true
		}
		if wait(ctx, pollPause) != nil {
			return false
		}
	}
}
