package chaos

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"integrationhub/internal/hubtest"
)

const (
	lease    = 3 * time.Second  // of a job
	recovery = 35 * time.Second // the longest that a fault may hold up the work
	patience = 2 * time.Minute  // for what has no promise, on a busy machine
)

// house is the whole hub as processes, with its servers and its only source of code.
type house struct {
	t     *testing.T
	nats  *hubtest.NATSServer
	pg    *hubtest.PostgresServer
	db    *pgxpool.Pool
	git   *hubtest.GitServer
	bin   string // directory of the programs, built with their kill points
	env   []string
	logs  string
	slots map[string][]*slot
}

// slot is the place of one replica; process after process runs in it.
type slot struct {
	worker string
	listen string // of an orchestrator
	log    string
	*hubtest.Program
}

// newHouse starts everything and waits until the doors are open.
func newHouse(t *testing.T) *house {
	h := &house{t: t, nats: hubtest.NATS(t), pg: hubtest.PrivatePostgres(t), git: hubtest.Git(t), logs: t.ArtifactDir(), slots: map[string][]*slot{}}
	var err error
	if h.bin, err = hubtest.Build("../..", "chaos"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(h.bin) })
	if h.db, err = pgxpool.New(t.Context(), h.pg.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.db.Close)
	tmp := t.TempDir()
	key := make([]byte, 32)
	rand.Read(key)
	h.env = hubtest.Environment(tmp, "TMPDIR="+tmp, "HUB_WORK_DIR="+tmp, "HUB_NATS_URL="+h.nats.URL, "HUB_DATABASE_URL="+h.pg.URL,
		"HUB_SECRET_KEY="+base64.StdEncoding.EncodeToString(key), "HUB_WORKER_LEASE="+lease.String(), "HUB_WORKER_DRAIN=5s")
	for _, worker := range append([]string{"orchestrator"}, workers...) {
		for i := range replicas {
			s := &slot{worker: worker, log: filepath.Join(h.logs, fmt.Sprintf("%s-%d.log", worker, i))}
			if worker == "orchestrator" {
				s.listen = freeAddr(t)
			}
			h.slots[worker] = append(h.slots[worker], s)
			h.start(s)
		}
	}
	for _, d := range h.doors() {
		hubtest.Eventually(t, patience, func() error { return get(t.Context(), d+"/readyz") })
	}
	return h
}

// start runs the program of a slot.
func (h *house) start(s *slot, environ ...string) {
	h.t.Helper()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close() // the process has its own
	cmd := exec.Command(filepath.Join(h.bin, s.worker))
	cmd.Env, cmd.Stdout, cmd.Stderr = append(append(h.env[:len(h.env):len(h.env)], environ...), "HUB_LISTEN="+s.listen), out, out
	s.Program = hubtest.Start(h.t, cmd)
}

// doors are the URLs of the orchestrators.
func (h *house) doors() (urls []string) {
	for _, s := range h.slots["orchestrator"] {
		urls = append(urls, "http://"+s.listen)
	}
	return urls
}

// freeAddr is an address that nobody listens on, which a program can have again
// after each restart.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// do makes a fault happen, and returns when what was taken away is back.
func (h *house) do(f fault, w *wire) {
	h.t.Helper()
	switch f.kind {
	case killProcess:
		h.killAt(f)
	case killNATS, wipeNATS:
		h.nats.Kill()
		if f.noticed {
			hubtest.Eventually(h.t, patience, h.nobodyReady)
		}
		if f.kind == wipeNATS {
			h.nats.Wipe()
		}
		h.nats.Restart()
	case killPostgres:
		h.pg.Kill()
	case pause:
		h.pause(f)
	case repeat:
		w.repeat(f.seed)
	default:
		h.t.Fatalf("there is no fault %q", f.kind)
	}
}

// killAt replaces a process by one that kills itself at a point, and that one
// by an ordinary one.
func (h *house) killAt(f fault) {
	h.t.Helper()
	s := h.slots[f.worker][f.replica]
	s.Stop(h.t, patience)
	h.start(s, fmt.Sprintf("HUB_CHAOS_POINT=%s:%g:%d", f.point, f.chance, f.seed))
	if code := s.ExitCode(h.t, patience); code != -1 || s.Cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		h.t.Fatalf("%s was to be killed at %s; it ended by itself: %s", f.worker, f.point, s.Cmd.ProcessState)
	}
	h.start(s)
}

// nobodyReady is nil when every door says that NATS is missing.
func (h *house) nobodyReady() error {
	for _, d := range h.doors() {
		if err := get(h.t.Context(), d+"/readyz"); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "nats") {
			return fmt.Errorf("without NATS, %s says: %v", d, err)
		}
	}
	return nil
}

const heldSQL = `SELECT count(*) FROM hub.job_open WHERE status = 'PROCESSING' AND worker LIKE $1`

// pause stops a worker in the middle of a job until the job was taken from it.
func (h *house) pause(f fault) {
	h.t.Helper()
	s := h.slots[f.worker][f.replica]
	host, err := os.Hostname()
	if err != nil {
		h.t.Fatal(err)
	}
	name := fmt.Sprintf("%s/%s/%d/%%", f.worker, host, s.Cmd.Process.Pid)
	held := func() (n int, err error) {
		ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
		defer cancel()
		return n, h.db.QueryRow(ctx, heldSQL, name).Scan(&n)
	}
	hubtest.Eventually(h.t, patience, func() error {
		if n, err := held(); err != nil || n == 0 {
			return fmt.Errorf("%s holds %d jobs, %v", name, n, err)
		}
		s.Signal(h.t, syscall.SIGSTOP)
		n, err := held()
		if err != nil || n == 0 { // it has just ended
			s.Signal(h.t, syscall.SIGCONT)
			return fmt.Errorf("%s held a job and ended it, %v", name, err)
		}
		return nil
	})
	hubtest.Eventually(h.t, patience, func() error {
		if n, err := held(); err != nil || n > 0 {
			return fmt.Errorf("the stopped %s holds %d jobs, %v", name, n, err)
		}
		return nil
	})
	s.Signal(h.t, syscall.SIGCONT)
}

// ended counts the jobs that ended well; the time-out makes waiting for a
// Postgres that is away bearable.
func (h *house) ended() (n int, err error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	return n, h.db.QueryRow(ctx, `SELECT count(*) FROM hub.job_attempt WHERE outcome = 'COMPLETED'`).Scan(&n)
}

// said counts the lines of all logs that hold a text.
func (h *house) said(text string) (n int) {
	for _, slots := range h.slots {
		for _, s := range slots {
			raw, err := os.ReadFile(s.log)
			if err != nil {
				h.t.Fatal(err)
			}
			n += bytes.Count(raw, []byte(text))
		}
	}
	return n
}

// times reads a column of times.
func (h *house) times(sql string) []time.Time {
	h.t.Helper()
	rows, err := h.db.Query(h.t.Context(), sql)
	if err != nil {
		h.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}
