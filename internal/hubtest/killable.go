package hubtest

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is a Postgres server of one test, which may be killed.
type PostgresServer struct {
	URL string // of an empty database; stays the same over Kill

	t testing.TB
}

// PrivatePostgres starts a server for one test. It starts again by itself when
// it was killed.
func PrivatePostgres(t testing.TB) *PostgresServer {
	t.Helper()
	run, err := startChild("postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.stop(); err != nil {
			t.Errorf("stop Postgres: %v", err)
		}
	})
	return &PostgresServer{URL: run.url, t: t}
}

const processesSQL = `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int, array_agg(pid) FROM pg_stat_activity`

// Kill ends the postmaster and all its children at once, as kill -9 does, and
// returns when a new server takes connections. What was not written to the log
// yet is lost.
func (s *PostgresServer) Kill() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		s.t.Fatalf("connect to the Postgres that is to be killed: %v", err)
	}
	defer conn.Close(ctx)
	var postmaster int
	var children []int
	if err := conn.QueryRow(ctx, processesSQL).Scan(&postmaster, &children); err != nil {
		s.t.Fatalf("list the processes of Postgres: %v", err)
	}
	for _, pid := range append([]int{postmaster}, children...) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.t.Fatalf("kill process %d of Postgres: %v", pid, err)
		}
	}
	Eventually(s.t, time.Minute, func() error {
		again, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		defer again.Close(ctx)
		var now int
		var its []int
		if err := again.QueryRow(ctx, processesSQL).Scan(&now, &its); err != nil {
			return err
		}
		if now == postmaster {
			return fmt.Errorf("process %d still answers", postmaster)
		}
		return nil
	})
}
