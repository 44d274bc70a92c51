// Package app starts and stops the processes of the hub: environment, log,
// signals, health, ordered shutdown.
package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// Config is the environment of every process of the hub.
type Config struct {
	NATSURL       string        `env:"HUB_NATS_URL"`
	DatabaseURL   string        `env:"HUB_DATABASE_URL"`
	Namespace     string        `env:"HUB_NAMESPACE" envDefault:"hub"`
	SecretKey     string        `env:"HUB_SECRET_KEY"`
	APIToken      string        `env:"HUB_API_TOKEN"`
	URL           string        `env:"HUB_URL"` // of a running hub, for the command line
	Listen        string        `env:"HUB_LISTEN" envDefault:"127.0.0.1:8080"`
	HealthAddr    string        `env:"HUB_HEALTH_ADDR"`
	StreamsManage bool          `env:"HUB_STREAMS_MANAGE" envDefault:"true"`
	Concurrency   int           `env:"HUB_WORKER_CONCURRENCY"`
	Prefetch      int           `env:"HUB_WORKER_PREFETCH"`
	Lease         time.Duration `env:"HUB_WORKER_LEASE" envDefault:"30s"`
	Drain         time.Duration `env:"HUB_WORKER_DRAIN" envDefault:"25s"`
	LimitConn     int           `env:"HUB_LIMIT_CONNECTION" envDefault:"64"`
	LimitRepo     int           `env:"HUB_LIMIT_REPOSITORY" envDefault:"8"`
	Supersede     bool          `env:"HUB_SUPERSEDE" envDefault:"true"`
	Retention     time.Duration `env:"HUB_RETENTION" envDefault:"720h"`
	Strict        bool          `env:"HUB_WORKER_STRICT"`
	DataDir       string        `env:"HUB_DATA_DIR"`
	PostgresBin   string        `env:"HUB_PG_BIN"`
	WorkDir       string        `env:"HUB_WORK_DIR"`
	GitToken      string        `env:"HUB_GIT_TOKEN"`
	NodeToken     string        `env:"HUB_NODE_TOKEN"`
	NoColor       string        `env:"NO_COLOR"`
	LogLevel      slog.Level    `env:"HUB_LOG_LEVEL" envDefault:"INFO"`
	LogFormat     string        `env:"HUB_LOG_FORMAT" envDefault:"auto"`
}

// UsageError is a mistake of who started the process: exit code 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// namespace keeps schema names within Postgres's 63 bytes and subjects readable.
var namespace = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// Load reads the environment. Its error is a *UsageError.
func Load() (Config, error) {
	var c Config
	if err := env.Parse(&c); err != nil {
		var all env.AggregateError
		if errors.As(err, &all) && len(all.Errors) > 0 {
			err = all.Errors[0]
		}
		return c, &UsageError{named(err)}
	}
	if err := errors.Join(checkURLs("HUB_NATS_URL", c.NATSURL, "nats", "tls", "ws", "wss"), checkURLs("HUB_DATABASE_URL", c.DatabaseURL, "postgres", "postgresql")); err != nil {
		return c, &UsageError{err}
	}
	switch {
	case !namespace.MatchString(c.Namespace):
		return c, &UsageError{fmt.Errorf("HUB_NAMESPACE %q must be 1 to 31 of a-z, 0-9 and '_', and begin with a letter", c.Namespace)}
	case c.Concurrency < 0 || c.Concurrency > 1024:
		return c, &UsageError{fmt.Errorf("HUB_WORKER_CONCURRENCY %d must be 1 to 1024", c.Concurrency)}
	case c.Prefetch < 0 || c.Prefetch > 4096:
		return c, &UsageError{fmt.Errorf("HUB_WORKER_PREFETCH %d must be 1 to 4096", c.Prefetch)}
	case c.Lease < 3*time.Second || c.Lease > time.Hour:
		return c, &UsageError{fmt.Errorf("HUB_WORKER_LEASE %s must be 3s to 1h", c.Lease)}
	case c.Drain < 0 || c.Drain > time.Hour:
		return c, &UsageError{fmt.Errorf("HUB_WORKER_DRAIN %s must be 0s to 1h", c.Drain)}
	case c.LimitConn < 0 || c.LimitRepo < 0:
		return c, &UsageError{errors.New("HUB_LIMIT_CONNECTION and HUB_LIMIT_REPOSITORY must be 0 (no limit) or more")}
	case c.Retention != 0 && c.Retention < time.Hour:
		return c, &UsageError{fmt.Errorf("HUB_RETENTION %s must be 0 (for ever) or at least 1h", c.Retention)}
	case c.LogFormat != "auto" && c.LogFormat != "text" && c.LogFormat != "json":
		return c, &UsageError{fmt.Errorf("HUB_LOG_FORMAT %q is not auto, text or json", c.LogFormat)}
	case (c.NATSURL == "") != (c.DatabaseURL == ""):
		return c, &UsageError{errors.New("HUB_NATS_URL and HUB_DATABASE_URL go together: set both, or neither for the embedded ones")}
	}
	return c, nil
}

// named tells a wrong value by the name of its variable, not of our field.
func named(err error) error {
	var wrong env.ParseError
	if errors.As(err, &wrong) {
		if f, ok := reflect.TypeFor[Config]().FieldByName(wrong.Name); ok {
			return fmt.Errorf("%s is not a %s: %w", f.Tag.Get("env"), f.Type, wrong.Err)
		}
	}
	return fmt.Errorf("environment: %w", err)
}

// checkURLs refuses what no driver could read: they would try for ever, and some
// repeat the URL, which may hold a password, in their errors.
func checkURLs(variable, list string, schemes ...string) error {
	if list == "" {
		return nil
	}
	for text := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || !slices.Contains(schemes, u.Scheme) {
			return fmt.Errorf("%s is not a URL that begins with %s://", variable, strings.Join(schemes, ":// or "))
		}
	}
	return nil
}

// Logger writes coloured lines to a terminal and JSON elsewhere, unless the
// configuration says which.
func (c Config) Logger(w io.Writer) *slog.Logger {
	text := c.LogFormat == "text"
	f, isFile := w.(*os.File)
	onTerminal := isFile && term.IsTerminal(int(f.Fd()))
	if c.LogFormat == "auto" {
		text = onTerminal
	}
	if text {
		return slog.New(tint.NewHandler(w, &tint.Options{Level: c.LogLevel, TimeFormat: time.TimeOnly, NoColor: !onTerminal}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: c.LogLevel}))
}

// Environ lists the variables that Load reads, for --help.
func Environ() string {
	return strings.TrimSpace(`
HUB_NATS_URL            NATS servers, comma-separated; with HUB_DATABASE_URL nothing is embedded
HUB_DATABASE_URL        Postgres, as postgres://user:password@host/database
HUB_NAMESPACE           prefix of streams, subjects and the schema (hub)
HUB_SECRET_KEY          32 bytes in base64 that seal credentials; several, comma-separated, to change keys
HUB_API_TOKEN           bearer token of the HTTP API; required to listen off loopback
HUB_URL                 a running hub, for commands
HUB_LISTEN              address of the HTTP door (127.0.0.1:8080)
HUB_HEALTH_ADDR         address of a worker's /healthz and /readyz (none)
HUB_STREAMS_MANAGE      create and update streams; false only checks them (true)
HUB_WORKER_CONCURRENCY  jobs at a time (connector 8, analyzer 2, deployer 4)
HUB_WORKER_PREFETCH     messages of each priority held ahead (as many as jobs at a time)
HUB_WORKER_LEASE        after that long without a heartbeat a job is given to another worker (30s)
HUB_WORKER_DRAIN        how long running jobs may go on after SIGTERM (25s)
HUB_WORKER_STRICT       a priority is worked on only when no higher one waits, instead of 8/4/2/1 (false)
HUB_LIMIT_CONNECTION    jobs at a time of one connection, over all replicas; 0 is no limit (64)
HUB_LIMIT_REPOSITORY    jobs at a time of one repository, over all replicas; 0 is no limit (8)
HUB_SUPERSEDE           a newer push to a branch cancels the older one's run (true)
HUB_RETENTION           how long ended runs are kept; 0 is for ever (720h)
HUB_DATA_DIR            data directory of the embedded services
HUB_PG_BIN              directory of postgres and initdb
HUB_WORK_DIR            where snapshots are unpacked (the system's temporary directory)
HUB_GIT_TOKEN           credential of the URL of hub run
HUB_NODE_TOKEN          bearer token of hub node serve
NO_COLOR                when set, reports have no colours
HUB_LOG_LEVEL           DEBUG, INFO, WARN or ERROR (INFO)
HUB_LOG_FORMAT          auto, text or json (auto)`)
}
