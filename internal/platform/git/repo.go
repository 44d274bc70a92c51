// Package git fetches code with the git command line, from any host that git can reach.
package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxOutput caps what is read of a command that answers in a few lines.
const maxOutput = 1 << 20

// Repo is a local repository, in which git runs as if on a machine of its own:
// with no environment, no configuration of system or user, no hooks, no prompts.
type Repo struct {
	Dir  string // a work tree, or a directory in one; with gitDir a bare repository
	bare bool
	env  []string    // in addition, "KEY=value"
	conf [][2]string // configuration in addition
}

// Failure is git's own complaint.
type Failure struct {
	Command string // "fetch"
	Stderr  string // at most 16 KiB
	Err     error
}

func (f *Failure) Error() string {
	line := f.Err.Error()
	for l := range strings.Lines(f.Stderr) {
		if l = strings.TrimSpace(l); l != "" {
			line = l
		}
		if strings.HasPrefix(l, "fatal: ") {
			break
		}
	}
	return fmt.Sprintf("git %s: %s", f.Command, strings.TrimPrefix(line, "fatal: "))
}

func (f *Failure) Unwrap() error { return f.Err }

// read runs git and hands what it prints to use, which must read to the end
// unless it fails; then git is killed.
func (r Repo) read(ctx context.Context, stdin io.Reader, use func(*bufio.Reader) error, args ...string) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, err := r.command(inner, args...)
	if err != nil {
		return err
	}
	stderr := &tail{max: 16 << 10}
	cmd.Stdin, cmd.Stderr = stdin, stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start git: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start git: %w", err)
	}
	useErr := use(bufio.NewReaderSize(stdout, 64<<10))
	if useErr != nil {
		cancel()
	}
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("git %s: %w", args[0], context.Cause(ctx))
	case useErr != nil && !errors.Is(useErr, io.EOF) && !errors.Is(useErr, io.ErrUnexpectedEOF):
		return useErr
	case waitErr != nil:
		return &Failure{Command: args[0], Stderr: stderr.String(), Err: waitErr}
	}
	return useErr
}

// output runs git and returns what it prints.
func (r Repo) output(ctx context.Context, args ...string) (string, error) {
	var out []byte
	err := r.read(ctx, nil, func(stdout *bufio.Reader) (err error) {
		out, err = io.ReadAll(io.LimitReader(stdout, maxOutput+1))
		if err == nil && len(out) > maxOutput {
			err = fmt.Errorf("git %s printed more than %d bytes", args[0], maxOutput)
		}
		return err
	}, args...)
	return string(out), err
}

func (r Repo) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("git is not installed; install the package git: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.Dir
	cmd.Env = append(environment(filepath.Dir(program), r.conf), r.env...)
	if r.bare {
		cmd.Env = append(cmd.Env, "GIT_DIR="+r.Dir)
	}
	// Transports and index-pack are children of git: they die with their group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd, nil
}

// environment is all that git gets to see. ssh looks for keys and known hosts in
// the account's own directory, whatever HOME says.
func environment(programs string, more [][2]string) []string {
	conf := append([][2]string{
		{"core.hooksPath", os.DevNull},
		{"core.fsmonitor", "false"},
		{"core.attributesFile", os.DevNull},
		{"core.excludesFile", os.DevNull},
		{"credential.helper", ""},
		{"fetch.recurseSubmodules", "false"},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"protocol.version", "2"},
		// Whoever named the directory may read it, whoever owns it.
		{"safe.directory", "*"},
	}, more...)
	env := []string{
		"PATH=" + programs + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + os.DevNull,
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_ALLOW_PROTOCOL=https:http:ssh",
		"GIT_SSH_COMMAND=ssh -F none -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oServerAliveCountMax=4",
		"GIT_SSH_VARIANT=ssh",
		// A hostile pack can announce an object of any size; git asks for memory first.
		"GIT_ALLOC_LIMIT=512m",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(conf)),
	}
	for i, kv := range conf {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// tail keeps the last max bytes that were written to it.
type tail struct {
	max int
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - t.max; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.buf.String() }
