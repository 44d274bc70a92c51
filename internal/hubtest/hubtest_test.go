package hubtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hubtest"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	first, second := connect(t, hubtest.Postgres(t)), connect(t, hubtest.Postgres(t))
	ctx := t.Context()
	if _, err := first.Exec(ctx, "CREATE TABLE mine ()"); err != nil {
		t.Fatal(err)
	}
	var mine *string
	if err := second.QueryRow(ctx, "SELECT to_regclass('mine')::text").Scan(&mine); err != nil || mine != nil {
		t.Errorf("the second database sees the first one's table: %v, %v", mine, err)
	}
	var tables int
	if err := second.QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = $1", hubtest.Namespace).Scan(&tables); err != nil || tables == 0 {
		t.Errorf("the schema %s holds %d tables, %v", hubtest.Namespace, tables, err)
	}
}

func TestDatabasesAreMadeAtTheSameTime(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			connect(t, hubtest.Postgres(t))
		})
	}
}

func TestAcknowledgedMessagesSurviveAKill(t *testing.T) {
	s := hubtest.NATS(t)
	nc, err := nats.Connect(s.URL, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Restart()
	hubtest.Eventually(t, 10*time.Second, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, "S")
		if err != nil {
			return err
		}
		msg, err := stream.GetMsg(ctx, 1)
		if err == nil && string(msg.Data) != "kept" {
			return fmt.Errorf("the message is %q", msg.Data)
		}
		return err
	})
	s.Kill()
	s.Wipe()
	s.Restart()
	hubtest.Eventually(t, 10*time.Second, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := js.Stream(ctx, "S"); !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("the wiped server's answer: %v", err)
		}
		return nil
	})
}

func TestARepositoryIsClonedAndPushedOverHTTP(t *testing.T) {
	repo := hubtest.Git(t).Repository("shop")
	commit := repo.Commit("first", map[string]string{"cmd/main.go": "package main\n"})
	clone := filepath.Join(t.TempDir(), "clone")
	for _, command := range []string{
		"git clone --quiet " + repo.URL + " " + clone,
		"git -C " + clone + " checkout --quiet -b fix",
		"git -C " + clone + " push --quiet origin fix",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	if content, err := os.ReadFile(filepath.Join(clone, "cmd/main.go")); err != nil || string(content) != "package main\n" {
		t.Errorf("the clone holds %q, %v", content, err)
	}
	if pushed := repo.Run("rev-parse", "fix"); pushed != commit {
		t.Errorf("the pushed branch is at %s, want %s", pushed, commit)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}
