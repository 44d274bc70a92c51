package hubtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/local"
	"integrationhub/internal/store"
)

// DatabaseEnv names the server that a whole test run shares. Without it, each
// test process starts its own.
const DatabaseEnv = "HUB_TEST_DATABASE_URL"

// Namespace is the namespace whose schema the databases of Postgres hold.
const Namespace = "hub"

// sharedServer is the one thing here that outlives a test: starting Postgres
// for each would take longer than most tests.
var sharedServer = sync.OnceValues(func() (s postgresServer, err error) {
	text := os.Getenv(DatabaseEnv)
	if text == "" {
		if s.child, err = startChild("postgres"); err != nil {
			return s, err
		}
		text = s.child.url
	}
	u, err := url.Parse(text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", DatabaseEnv, err)
	}
	s.url = *u
	return s, nil
})

// postgresServer refers to the child for as long as it is used, because a
// forgotten pipe is closed by the garbage collector, and that stops the child.
type postgresServer struct {
	url   url.URL
	child *child
}

// Postgres is the URL of a database for one test: migrated, otherwise empty,
// dropped at the test's end.
func Postgres(t testing.TB) (databaseURL string) {
	t.Helper()
	server, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	template, err := makeTemplate(ctx, server)
	if err != nil {
		t.Fatalf("make the template database: %v", err)
	}
	name := "hubtest_" + strings.ToLower(rand.Text())
	if err := execute(ctx, server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("clone the template database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return server.database(name)
}

// makeTemplate makes the database that tests clone, once per server and set of
// migrations. Many test processes may ask at the same time.
func makeTemplate(ctx context.Context, server postgresServer) (name string, err error) {
	name = "hubtest_template_" + store.MigrationsHash()[:12]
	conn, err := pgx.Connect(ctx, server.url.String())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) // frees the lock
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", err
	}
	// A database becomes a template when it is finished.
	var finished bool
	err = conn.QueryRow(ctx, "SELECT datistemplate FROM pg_database WHERE datname = $1", name).Scan(&finished)
	if finished || err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return name, err
	}
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", err
		}
	}
	if err := store.Migrate(ctx, server.database(name), Namespace); err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+name+" IS_TEMPLATE true")
	return name, err
}

func execute(ctx context.Context, server postgresServer, sql string) error {
	conn, err := pgx.Connect(ctx, server.url.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// database is the URL of one of the server's databases.
func (s postgresServer) database(name string) string {
	s.url.Path = "/" + name
	return s.url.String()
}

// StartPostgres starts a private server in a directory of its own, which stop
// removes. Tests call Postgres instead.
func StartPostgres(ctx context.Context) (serverURL string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "hubtest-postgres-")
	if err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the server may run as another user
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	l, err := local.Open(ctx, local.Config{DataDir: dir, PostgresBin: os.Getenv("HUB_PG_BIN"), Postgres: true})
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return errors.Join(l.Close(ctx), os.RemoveAll(dir))
	}
	if err := relax(ctx, l.DatabaseURL()); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return l.DatabaseURL(), stop, nil
}

// relax makes a server fast that no test cuts from power: what a killed process
// wrote is safe with the kernel.
func relax(ctx context.Context, serverURL string) error {
	conn, err := pgx.Connect(ctx, serverURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"ALTER SYSTEM SET fsync = off",
		"ALTER SYSTEM SET full_page_writes = off",
		"SELECT pg_reload_conf()",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// PostgresLink is the URL of a database like Postgres, and the link that it
// leads over.
func PostgresLink(t testing.TB) (databaseURL string, link *Link) {
	t.Helper()
	u, err := url.Parse(Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	network, target := "tcp", u.Host
	if dir := q.Get("host"); dir != "" {
		network, target = "unix", dir+"/.s.PGSQL."+q.Get("port")
	}
	link = NewLink(t, network, target)
	host, port, err := net.SplitHostPort(link.Addr)
	if err != nil {
		t.Fatal(err)
	}
	q.Set("host", host)
	q.Set("port", port)
	u.RawQuery = q.Encode()
	return u.String(), link
}
