package local_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"integrationhub/internal/local"
)

// holdEnv makes the test binary a hub that holds this data directory until it
// is killed.
const holdEnv = "LOCAL_TEST_HOLD"

func hold(dir string) {
	signal.Ignore(os.Interrupt)
	l, err := local.Open(context.Background(), local.Config{DataDir: dir, NATS: true, Postgres: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.NATSURL(), l.DatabaseURL())
	var never chan struct{}
	<-never
}

// held is such a hub.
type held struct {
	cmd                  *exec.Cmd
	natsURL, databaseURL string
}

func holdCommand(dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func holder(t *testing.T, dir string) held {
	t.Helper()
	cmd := holdCommand(dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	urls := strings.Fields(line)
	if err != nil || len(urls) != 2 {
		t.Fatalf("the other hub said %q, %v", line, err)
	}
	return held{cmd: cmd, natsURL: urls[0], databaseURL: urls[1]}
}

func (h held) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	h.cmd.Wait()
}

// postmaster is the process id of the Postgres of a data directory.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
