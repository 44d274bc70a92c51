package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

const patience = 30 * time.Second

// clean empties the environment of hub's variables for a test.
func clean(t *testing.T, pairs ...string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "HUB_") && !strings.HasPrefix(name, "HUB_TEST_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv(pairs[i], pairs[i+1])
	}
}

func TestTheEmptyEnvironmentIsTheDefault(t *testing.T) {
	clean(t)
	c, err := Load()
	if err != nil || c.Namespace != "hub" || c.Listen != "127.0.0.1:8080" || !c.StreamsManage || c.Lease != 30*time.Second || c.NATSURL != "" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAWrongVariableIsNamedAndItsSecretIsNot(t *testing.T) {
	const secret = "tops3cret"
	for _, pairs := range [][]string{
		{"HUB_NAMESPACE", "Hub.x"},
		{"HUB_WORKER_CONCURRENCY", "-1"},
		{"HUB_WORKER_CONCURRENCY", "many"},
		{"HUB_WORKER_PREFETCH", "5000"},
		{"HUB_WORKER_LEASE", "soon"},
		{"HUB_WORKER_LEASE", "1s"},
		{"HUB_WORKER_DRAIN", "-1s"},
		{"HUB_STREAMS_MANAGE", "perhaps"},
		{"HUB_LOG_LEVEL", "LOUD"},
		{"HUB_LOG_FORMAT", "xml"},
		{"HUB_NATS_URL", "nats://localhost"},
		{"HUB_DATABASE_URL", "postgres://localhost/hub"},
		{"HUB_NATS_URL", "nats://hub:" + secret + "@host:port", "HUB_DATABASE_URL", "postgres://localhost/hub"},
		{"HUB_NATS_URL", "http://hub:" + secret + "@localhost", "HUB_DATABASE_URL", "postgres://localhost/hub"},
		{"HUB_DATABASE_URL", "postgres://hub:" + secret + "@host:port/hub", "HUB_NATS_URL", "nats://localhost"},
		{"HUB_DATABASE_URL", "mysql://hub:" + secret + "@localhost/hub", "HUB_NATS_URL", "nats://localhost"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(pairs[:2], "="), "/", ""), func(t *testing.T) {
			clean(t, pairs...)
			_, err := Load()
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), pairs[0]) || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v", err)
			}
		})
	}
	clean(t, "HUB_NATS_URL", "nats://a:4222, tls://b:4222", "HUB_DATABASE_URL", "postgresql:///hub?host=/run/postgresql")
	if _, err := Load(); err != nil {
		t.Errorf("several servers, and a socket: %v", err)
	}
}

func TestOffLoopbackTheDoorNeedsAToken(t *testing.T) {
	for listen, token := range map[string]string{"127.0.0.1:0": "", "localhost:0": "", "[::1]:0": "", "0.0.0.0:0": "t", ":0": "t"} {
		l, err := Config{Listen: listen, APIToken: token}.Door()
		if err != nil {
			if strings.Contains(err.Error(), "cannot assign") || strings.Contains(err.Error(), "address family") {
				continue // a machine without IPv6
			}
			t.Errorf("%s: %v", listen, err)
			continue
		}
		l.Close()
	}
	for _, listen := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "hub.example.org:0", "8080", ""} {
		l, err := Config{Listen: listen}.Door()
		var usage *UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: %v, %v", listen, l, err)
		}
	}
}

func TestLogsAreJSONWhereNobodyWatches(t *testing.T) {
	for format, isJSON := range map[string]bool{"auto": true, "json": true, "text": false} {
		var out bytes.Buffer
		Config{LogFormat: format}.Logger(&out).Info("hello", "run", "r")
		if json.Valid(out.Bytes()) != isJSON || !strings.Contains(out.String(), "hello") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestHealthTellsThatAProcessRunsAndWhetherItCanWork(t *testing.T) {
	h := NewHealth(nil)
	addr := freeAddr(t)
	stop, err := h.Serve(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	want := func(path string, status int, text string) {
		t.Helper()
		if got, body := get(t, "http://"+addr+path); got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %q, want %d %q", path, got, body, status, text)
		}
	}
	want("/healthz", 200, "ok")
	want("/readyz", 503, "starting")
	h.Set(func(context.Context) error { return errors.New("no ledger") })
	want("/healthz", 200, "ok")
	want("/readyz", 503, "no ledger")
	if code := checkHealth(Config{HealthAddr: addr}); code != ExitFailed {
		t.Errorf("healthcheck ends with %d", code)
	}
	h.Set(func(context.Context) error { return nil })
	want("/readyz", 200, "ready")
	if code := checkHealth(Config{HealthAddr: ":" + strings.Split(addr, ":")[1]}); code != ExitOK {
		t.Errorf("healthcheck ends with %d", code)
	}
	if _, err := NewHealth(nil).Serve(addr); err == nil || !strings.Contains(err.Error(), "HUB_HEALTH_ADDR") {
		t.Errorf("an address that is taken: %v", err)
	}
}

func TestRequestsThatRunMayEndWhenTheProcessStops(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	begun, release := make(chan bool), make(chan bool)
	served := make(chan error, 1)
	go func() {
		served <- ServeHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-release
			fmt.Fprint(w, "done")
		}))
	}()
	answer := make(chan string, 1)
	go func() { _, body := get(t, "http://"+l.Addr().String()); answer <- body }()
	<-begun
	cancel()
	hubtest.Eventually(t, patience, func() error { // no new ones
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			return errors.New("it still takes connections")
		}
		return nil
	})
	close(release)
	if body := <-answer; body != "done" {
		t.Errorf("answer %q", body)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// environment is what a worker needs, over links that a test can cut.
func environment(t *testing.T) (cfg Config, database, queue *hubtest.Link) {
	t.Helper()
	clean(t)
	cfg, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	n := hubtest.NATS(t)
	queue = hubtest.NewLink(t, "tcp", strings.TrimPrefix(n.URL, "nats://"))
	cfg.NATSURL = "nats://" + queue.Addr
	cfg.DatabaseURL, database = hubtest.PostgresLink(t)
	n.Bus(t)
	return cfg, database, queue
}

func TestAProcessWaitsForItsServersAndIsReadyWhileTheyAnswer(t *testing.T) {
	cfg, database, queue := environment(t)
	cfg.HealthAddr = freeAddr(t)
	database.Cut()
	queue.Cut()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, "test", cfg, func(ctx context.Context, p *Process) error {
			if err := p.WaitReady(ctx); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	ready := func(want int, text string) {
		t.Helper()
		hubtest.Eventually(t, patience, func() error {
			if got, body := get(t, "http://"+cfg.HealthAddr+"/readyz"); got != want || !strings.Contains(body, text) {
				return fmt.Errorf("%d %q", got, body)
			}
			return nil
		})
	}
	ready(503, "starting")
	database.Mend()
	queue.Mend()
	ready(200, "ready")
	database.Cut()
	ready(503, "postgres")
	database.Mend()
	ready(200, "ready")
	queue.Cut()
	ready(503, "nats")
	queue.Mend()
	ready(200, "ready")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("told to stop, it ended with %v", err)
	}
}

func TestAProcessThatIsToldToStopWhileItWaitsEndsWithoutAnError(t *testing.T) {
	cfg, database, _ := environment(t)
	database.Cut()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := serve(ctx, "test", cfg, func(context.Context, *Process) error { return errors.New("called") }); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestAWorkerThatFindsAnotherSchemaIsNotReady(t *testing.T) {
	cfg, _, _ := environment(t)
	p, err := Open(t.Context(), "test", cfg, hubtest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Store.DB().Exec(t.Context(), `UPDATE goose_db_version SET version_id = version_id + 100`); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "this program needs") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Work(ctx, message.Connector); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it works: %v", err)
	}
}

func TestNamesOfReplicasDiffer(t *testing.T) {
	cfg, _, _ := environment(t)
	names := map[string]bool{}
	for range 3 {
		p, err := Open(t.Context(), "connector", cfg, hubtest.Log(t))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		names[p.name] = true
		if !strings.HasPrefix(p.name, "connector/") {
			t.Errorf("name %s", p.name)
		}
	}
	if len(names) != 3 {
		t.Errorf("names %v", names)
	}
}
