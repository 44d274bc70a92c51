package local_test

import (
	"context"
	"errors"
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
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/hubtest"
	"integrationhub/internal/local"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		hold(dir)
	}
	hubtest.Main(m)
}

func TestDataIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(hubtest.DataDir(t), `Application "Support"`)
	first := open(t, dir)
	remember(t, first.DatabaseURL(), "kept")
	publish(t, first.NATSURL(), "kept")
	database := first.DatabaseURL()
	shut(t, first)
	if conn, err := pgx.Connect(t.Context(), database); err == nil {
		conn.Close(t.Context())
		t.Error("Postgres answers after Close")
	}

	began := time.Now()
	second := open(t, dir)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the second start took %s", took)
	}
	wantRemembered(t, second.DatabaseURL(), "kept")
	if got := lastMessage(t, second.NATSURL()); got != "kept" {
		t.Errorf("the stream's last message is %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "run")); err != nil {
		t.Errorf("the socket is not in the data directory, so its odd name proves nothing: %v", err)
	}
	shut(t, second)
}

func TestOnlyWhatIsAskedForIsStarted(t *testing.T) {
	l, err := local.Open(t.Context(), local.Config{DataDir: hubtest.DataDir(t), NATS: true})
	if err != nil {
		t.Fatal(err)
	}
	if l.DatabaseURL() != "" || l.NATSURL() == "" {
		t.Errorf("database %q, NATS %q", l.DatabaseURL(), l.NATSURL())
	}
	shut(t, l)
}

func TestServersAreSafeAndPrivate(t *testing.T) {
	dir := hubtest.DataDir(t)
	l := open(t, dir)
	defer shut(t, l)
	conn := connect(t, l.DatabaseURL())
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "listen_addresses": "", "server_encoding": "UTF8",
		"max_connections": "100", "shared_buffers": "128MB",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", setting, got, err, want)
		}
	}
	for _, secret := range []string{"nats.url", "postgres.url", "postgres.password"} {
		info, err := os.Stat(filepath.Join(dir, secret))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
	bad, err := pgx.ParseConfig(l.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	bad.Password = "guess"
	if _, err := pgx.ConnectConfig(t.Context(), bad); err == nil {
		t.Error("Postgres takes any password")
	}
	_, address, _ := strings.Cut(l.NATSURL(), "@")
	if _, err := nats.Connect("nats://" + address); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("NATS without a password: %v", err)
	}
	if host, _, _ := net.SplitHostPort(address); host != "127.0.0.1" {
		t.Errorf("NATS listens on %s", host)
	}
}

func TestAKilledHubLosesNothing(t *testing.T) {
	dir := hubtest.DataDir(t)
	hub := holder(t, dir)
	remember(t, hub.databaseURL, "kept")
	publish(t, hub.natsURL, "kept")
	orphan := postmaster(t, dir)
	hub.kill(t)
	if err := syscall.Kill(orphan, 0); err != nil {
		t.Fatalf("Postgres ended with the hub, so this test proves nothing: %v", err)
	}

	l := open(t, dir)
	wantRemembered(t, l.DatabaseURL(), "kept")
	if got := lastMessage(t, l.NATSURL()); got != "kept" {
		t.Errorf("the stream's last message is %q", got)
	}
	if now := postmaster(t, dir); now == orphan {
		t.Error("the new hub is not the parent of its Postgres")
	}
	shut(t, l)
	if _, err := os.Stat(filepath.Join(dir, "postgres", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a Postgres runs on: %v", err)
	}
}

func TestAHubKilledWhileItMakesItsDatabaseStartsTheNextTime(t *testing.T) {
	dir := hubtest.DataDir(t)
	cmd := holdCommand(dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 30*time.Second, func() error {
		if found, _ := filepath.Glob(filepath.Join(dir, "postgres.new-*", "base")); len(found) == 0 {
			return errors.New("initdb has not begun")
		}
		return nil
	})
	cmd.Process.Kill()
	cmd.Wait()
	l := open(t, dir)
	remember(t, l.DatabaseURL(), "works")
	shut(t, l)
}

func TestAKilledPostgresIsStartedAgain(t *testing.T) {
	dir := hubtest.DataDir(t)
	l := open(t, dir)
	remember(t, l.DatabaseURL(), "kept")
	killed := postmaster(t, dir)
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 30*time.Second, func() error {
		conn, err := pgx.Connect(t.Context(), l.DatabaseURL())
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
	if now := postmaster(t, dir); now == killed {
		t.Fatal("the killed Postgres answers")
	}
	wantRemembered(t, l.DatabaseURL(), "kept")
	shut(t, l)
}

func TestAStrangerWithTheProcessIdOfADeadPostgresIsLeftAlone(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("Postgres sees through this when the stranger is root's")
	}
	dir := hubtest.DataDir(t)
	shut(t, open(t, dir))
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	pidFile := filepath.Join(dir, "postgres", "postmaster.pid")
	lines := fmt.Sprintf("%d\n%s\n1\n5432\n%s\n\n\nready\n", stranger.Process.Pid, filepath.Dir(pidFile), filepath.Join(dir, "run"))
	if err := os.WriteFile(pidFile, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := local.Open(t.Context(), local.Config{DataDir: dir, Postgres: true})
	if err == nil || !strings.Contains(err.Error(), "remove "+pidFile) {
		t.Errorf("the error is %v", err)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger was ended: %v", err)
	}
}

func TestCtrlCReachesTheHubAndNotItsPostgres(t *testing.T) {
	dir := hubtest.DataDir(t)
	hub := holder(t, dir) // leads a process group of its own, and ignores SIGINT
	if err := syscall.Kill(-hub.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	remember(t, hub.databaseURL, "still there")
	hub.kill(t)
	shut(t, open(t, dir))
}

func TestASecondHubIsToldWhereTheFirstAnswers(t *testing.T) {
	dir := hubtest.DataDir(t)
	if e, ok := local.Running(dir); ok {
		t.Errorf("nobody runs, and there is %v", e)
	}
	l, err := local.Open(t.Context(), local.Config{DataDir: dir, NATS: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(t.Context(), local.Config{DataDir: dir, NATS: true}); !errors.Is(err, local.ErrInUse) {
		t.Errorf("the second hub gets %v", err)
	}
	if e, ok := local.Running(dir); ok {
		t.Errorf("nothing is published, and there is %v", e)
	}
	want := local.Endpoint{URL: "http://127.0.0.1:8080", Token: "secret"}
	if err := l.Publish(want); err != nil {
		t.Fatal(err)
	}
	if got, ok := local.Running(dir); !ok || got != want {
		t.Errorf("the running hub is %v, %t", got, ok)
	}
	published, err := os.ReadFile(filepath.Join(dir, "hub.json"))
	if err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	// As if the hub had been killed:
	if err := os.WriteFile(filepath.Join(dir, "hub.json"), published, 0o600); err != nil {
		t.Fatal(err)
	}
	if e, ok := local.Running(dir); ok {
		t.Errorf("the hub is dead, and there is %v", e)
	}
}

func TestADirectoryThatNoSocketFitsInHasItElsewhere(t *testing.T) {
	for _, name := range []string{strings.Repeat("d", 100), "a,b"} {
		dir := filepath.Join(hubtest.DataDir(t), name)
		l := open(t, dir)
		remember(t, l.DatabaseURL(), "works")
		cfg, err := pgx.ParseConfig(l.DatabaseURL())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(cfg.Host, dir) {
			t.Fatalf("the socket is in %s, so this test proves nothing", cfg.Host)
		}
		shut(t, l)
		if _, err := os.Stat(cfg.Host); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over: %v", cfg.Host, err)
		}
	}
}

func TestTheEnvironmentOfTheHubIsNotPostgress(t *testing.T) {
	for _, name := range []string{"PGDATA", "PGPORT", "PGHOST", "PGUSER", "LC_ALL"} {
		t.Setenv(name, "nonsense")
	}
	l := open(t, hubtest.DataDir(t))
	for _, name := range []string{"PGDATA", "PGPORT", "PGHOST", "PGUSER"} {
		os.Unsetenv(name) // pgx reads them too
	}
	remember(t, l.DatabaseURL(), "works")
	shut(t, l)
}

func TestWhatCannotStartSaysWhatToDo(t *testing.T) {
	empty := t.TempDir()
	old := hubtest.DataDir(t)
	if err := os.MkdirAll(filepath.Join(old, "postgres"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "postgres", "PG_VERSION"), []byte("9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(filepath.Join(old, "postgres"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	taken := hubtest.DataDir(t)
	if err := os.WriteFile(filepath.Join(taken, "nats"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  local.Config
		want []string
	}{
		"no directory":     {local.Config{}, []string{"HUB_DATA_DIR", "--data-dir"}},
		"a file":           {local.Config{DataDir: file}, []string{file}},
		"no place":         {local.Config{DataDir: taken, NATS: true}, []string{"start NATS in " + taken, "not a directory"}},
		"no binaries":      {local.Config{DataDir: hubtest.DataDir(t), PostgresBin: empty, Postgres: true}, []string{"HUB_PG_BIN", empty}},
		"another Postgres": {local.Config{DataDir: old, Postgres: true}, []string{"made by Postgres 9", "HUB_PG_BIN", "pg_upgrade"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := local.Open(t.Context(), c.cfg)
			if err == nil {
				shut(t, l)
				t.Fatal("it started")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestRootIsToldOfADirectoryThatPostgresCannotReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs Postgres as another user")
	}
	closed := filepath.Join(hubtest.DataDir(t), "home")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := local.Open(t.Context(), local.Config{DataDir: filepath.Join(closed, "data"), Postgres: true})
	if err == nil || !strings.Contains(err.Error(), "cannot pass "+closed) || !strings.Contains(err.Error(), "/var/lib/integration-hub") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnOrdinaryUserGetsTheSame(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	const nobody = 65534
	dir := hubtest.DataDir(t)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "local.test")
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("no copy of this program for another user: %v", err)
	}
	if err := os.WriteFile(exe, program, 0o755); err != nil {
		t.Fatal(err)
	}
	// Those where it matters who Postgres runs as.
	cmd := exec.CommandContext(t.Context(), exe, "-test.v", "-test.timeout=5m",
		"-test.run=Restart|Private|Killed|Stranger|Second|Elsewhere|Default")
	cmd.Dir = "/"
	cmd.Env = []string{"TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as user nobody: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestAKilledHubLosesNothing") {
		t.Errorf("as user nobody the tests did not run:\n%s", out)
	}
}

func open(t *testing.T, dir string) *local.Local {
	t.Helper()
	l, err := local.Open(t.Context(), local.Config{DataDir: dir, NATS: true, Postgres: true})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func shut(t *testing.T, l *local.Local) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
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

func remember(t *testing.T, url, what string) {
	t.Helper()
	conn := connect(t, url)
	for _, sql := range []string{"CREATE TABLE IF NOT EXISTS memory (what text)", fmt.Sprintf("INSERT INTO memory VALUES ('%s')", what)} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRemembered(t *testing.T, url, want string) {
	t.Helper()
	var got string
	if err := connect(t, url).QueryRow(t.Context(), "SELECT what FROM memory").Scan(&got); err != nil || got != want {
		t.Errorf("the database remembers %q (%v), want %q", got, err, want)
	}
}

func stream(t *testing.T, url string) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 20 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return js, s
}

func publish(t *testing.T, url, body string) {
	t.Helper()
	js, _ := stream(t, url)
	if _, err := js.Publish(t.Context(), "s", []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func lastMessage(t *testing.T, url string) string {
	t.Helper()
	_, s := stream(t, url)
	msg, err := s.GetLastMsgForSubject(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	return string(msg.Data)
}
