package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"integrationhub/internal/analysis"
)

const (
	startTimeout = 30 * time.Second // until a child has its rules compiled
	stopGrace    = time.Second      // for a child that has nothing to do to see its input end
)

// child is one scanning process, or the place for one. One goroutine at a time
// uses it.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.ReadCloser
	said tail
	name string // what the process is called; empty means childName
}

// start makes sure that the process runs and is ready.
func (c *child) start(ctx context.Context, cfg *Config) error {
	if c.cmd != nil {
		return nil
	}
	if err := c.launch(cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	cmd := c.cmd
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	if err := receive(c.out, &ready{}); err != nil {
		if stopped := c.stop(); stopped != nil {
			err = stopped
		}
		return fmt.Errorf("start scanning process: %w", err)
	}
	return nil
}

func (c *child) launch(cfg *Config) error {
	c.said = tail{}
	if c.name == "" {
		c.name = childName
	}
	name := cfg.Executable
	if name == "" {
		var err error
		if name, err = os.Executable(); err != nil {
			return fmt.Errorf("start scanning process: %w", err)
		}
	}
	cmd := exec.Command(name)
	cmd.Args = []string{c.name}
	cmd.Env = []string{} // a parser needs no credentials
	cmd.Stderr = &c.said
	cmd.SysProcAttr = attributes()
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start scanning process: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start scanning process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start scanning process: %w", err)
	}
	c.cmd, c.in, c.out = cmd, in, out
	return nil
}

// ask sends a request and stores the results as they come; done counts them. The
// process is killed when ctx ends and when one file takes longer than limit; the
// latter is hung.
func (c *child) ask(ctx context.Context, limit time.Duration, q *request, results []analysis.FileResult) (done int, hung bool, err error) {
	var late atomic.Bool
	kill := func() { _ = c.cmd.Process.Kill() }
	timer := time.AfterFunc(limit, func() { late.Store(true); kill() })
	defer timer.Stop()
	defer context.AfterFunc(ctx, kill)()

	if err := send(c.in, q); err != nil {
		return 0, late.Load(), err
	}
	for done < len(results) {
		if err := receive(c.out, &results[done]); err != nil {
			return done, late.Load(), err
		}
		done++
		if !timer.Reset(limit) && late.Load() {
			return done, false, context.DeadlineExceeded
		}
	}
	return done, false, nil
}

// stop ends the process and waits for it. One that does not end by itself is killed.
func (c *child) stop() error {
	if c.cmd == nil {
		return nil
	}
	cmd := c.cmd
	c.cmd = nil
	_ = c.in.Close()
	timer := time.AfterFunc(stopGrace, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == exitRefused:
		return &refusedError{strings.TrimSpace(string(c.said))}
	case err != nil:
		return fmt.Errorf("stop scanning process: %w", err)
	}
	return nil
}

// refusedError is what a child said that cannot scan at all, whatever the file.
type refusedError struct{ said string }

func (e *refusedError) Error() string { return e.said }

// tail keeps the last bytes that a child wrote to its standard error.
type tail []byte

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b[max(0, len(b)-tailSize):]...)
	*t = (*t)[max(0, len(*t)-tailSize):]
	return len(b), nil
}
