package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema of a namespace to this program's version, and only
// ever forward. Processes that migrate at the same time wait for each other.
func Migrate(ctx context.Context, url, namespace string) error {
	cc, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("HUB_DATABASE_URL: %w", err)
	}
	schema := pgx.Identifier{namespace}.Sanitize()
	cc.RuntimeParams["search_path"] = schema
	db := stdlib.OpenDB(*cc)
	defer db.Close()
	if _, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+schema); err != nil && !raced(err) {
		return fmt.Errorf("create schema %s: %w", namespace, err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema %s: %w", namespace, err)
	}
	return nil
}

// raced: CREATE SCHEMA IF NOT EXISTS fails with a unique violation when another
// session creates the same schema at the same moment.
func raced(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "23505"
}

func version(ctx context.Context, db DB) (int, error) {
	var v int
	err := db.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v)
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "42P01" { // undefined_table: nobody has migrated yet
		return 0, nil
	}
	return v, err
}

// latest is the version of the last migration that is built in.
func latest() int {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0
	}
	num, _, _ := strings.Cut(strings.TrimPrefix(names[len(names)-1], "migrations/"), "_")
	v, err := strconv.Atoi(num)
	if err != nil {
		return 0
	}
	return v
}

// MigrationsHash names the state of the built-in migrations: equal hashes make
// equal schemas.
func MigrationsHash() string {
	h := sha256.New()
	names, _ := fs.Glob(migrations, "migrations/*.sql")
	for _, n := range names {
		raw, _ := migrations.ReadFile(n)
		fmt.Fprintf(h, "%s %d\n", n, len(raw))
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
