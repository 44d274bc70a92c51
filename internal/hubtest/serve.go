package hubtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	serveEnv = "HUB_TEST_SERVE" // which server a child process is
	dirEnv   = "HUB_TEST_SERVE_DIR"
	addrEnv  = "HUB_TEST_SERVE_ADDR"

	nameEnv    = "HUB_TEST_SERVE_NAME" // of a server in a cluster
	clusterEnv = "HUB_TEST_SERVE_CLUSTER"
	routesEnv  = "HUB_TEST_SERVE_ROUTES"

	serveWait = 2 * time.Minute
)

// child is a server in a process of its own. It ends when its standard input
// does, which the kernel sees to when this process ends.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// startChild runs this test binary again, as a server, and waits for its URL.
func startChild(name string, env ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// A package that forgot TestMain runs no test twice and says no URL.
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), append(env, serveEnv+"="+name)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin}
	stdout.(*os.File).SetReadDeadline(time.Now().Add(serveWait))
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if c.url = strings.TrimSpace(line); err != nil || !strings.Contains(c.url, "://") {
		c.kill()
		return nil, fmt.Errorf("the %s child said %q (%v); does the package have a TestMain that calls hubtest.Main?", name, line, err)
	}
	return c, nil
}

// stop ends the server in its own time.
func (c *child) stop() error {
	return errors.Join(c.stdin.Close(), c.cmd.Wait())
}

// kill is kill -9.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.stdin.Close()
	c.cmd.Wait()
}

// serve is what a child process does: it starts a server, says its URL on
// standard output, and stops it when standard input ends.
func serve(name string) (exitCode int) {
	start := map[string]func(context.Context) (string, func() error, error){
		"postgres": StartPostgres,
		"nats":     startNATS,
	}[name]
	if start == nil {
		fmt.Println("no such server")
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), serveWait)
	defer cancel()
	url, stop, err := start(ctx)
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	fmt.Println(url)
	io.Copy(io.Discard, os.Stdin)
	if err := stop(); err != nil {
		return 1
	}
	return 0
}
