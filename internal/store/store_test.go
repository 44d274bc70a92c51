package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hubtest"
	"integrationhub/internal/store"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

func open(t *testing.T, databaseURL, namespace string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: databaseURL, Namespace: namespace, Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestMigrationsGoForwardOnceHoweverManyProcessesBegin(t *testing.T) {
	databaseURL := hubtest.Postgres(t)
	errs := make(chan error)
	const n = 6
	for range n {
		go func() { errs <- store.Migrate(t.Context(), databaseURL, "other") }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	s := open(t, databaseURL, "other")
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Errorf("once more: %v", err)
	}
	var twice int
	if err := s.DB().QueryRow(t.Context(), `SELECT count(*) - count(DISTINCT version_id) FROM goose_db_version`).Scan(&twice); err != nil || twice != 0 {
		t.Errorf("%d migrations ran twice, %v", twice, err)
	}
}

func TestNamespacesShareADatabaseAndNothingElse(t *testing.T) {
	databaseURL := hubtest.Postgres(t)
	if err := store.Migrate(t.Context(), databaseURL, "replay"); err != nil {
		t.Fatal(err)
	}
	a, b := open(t, databaseURL, hubtest.Namespace), open(t, databaseURL, "replay")
	if _, err := a.DB().Exec(t.Context(), `INSERT INTO chunk (hash, bytes) VALUES ('h', '')`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := b.DB().QueryRow(t.Context(), `SELECT count(*) FROM chunk`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of the other namespace, %v", n, err)
	}
}

func TestReadySaysWhichVersionIsMissing(t *testing.T) {
	s := open(t, hubtest.Postgres(t), hubtest.Namespace)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var version int
	if err := s.DB().QueryRow(t.Context(), `UPDATE goose_db_version SET version_id = version_id + 1000 WHERE version_id = (SELECT max(version_id) FROM goose_db_version) RETURNING version_id`).Scan(&version); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("schema hub has version %d, this program needs %d", version, version-1000)
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with a newer schema: %v, want %q", err, want)
	}
	empty := open(t, hubtest.Postgres(t), "nobody_migrated")
	if err := empty.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "has version 0") {
		t.Errorf("without a schema: %v", err)
	}
}

func TestAnErrorOfTheURLShowsNoPassword(t *testing.T) {
	for _, raw := range []string{"postgres://hub:tops3cret@host:port/db", "postgres://hub:tops3cret@127.0.0.1:1/db"} {
		_, err := store.Open(t.Context(), store.Config{URL: raw, Namespace: hubtest.Namespace})
		if err == nil || strings.Contains(err.Error(), "tops3cret") {
			t.Errorf("%v", err)
		}
	}
}

func TestAStatementThatTakesTooLongIsCutOff(t *testing.T) {
	s := hubtest.Store(t)
	var limit string
	for name, db := range map[string]store.DB{"DB": s.DB(), "Fast": s.Fast()} {
		if err := db.QueryRow(t.Context(), `SHOW statement_timeout`).Scan(&limit); err != nil || limit != "30s" {
			t.Errorf("%s: statements may take %s, %v", name, limit, err)
		}
	}
	if err := s.Fast().QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&limit); err != nil || limit != "off" {
		t.Errorf("Fast waits for the disk: %s, %v", limit, err)
	}
	if err := s.DB().QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&limit); err != nil || limit != "on" {
		t.Errorf("DB does not wait for the disk: %s, %v", limit, err)
	}
}

func TestATransactionIsWrittenWhollyOrNotAtAll(t *testing.T) {
	s := hubtest.Store(t)
	cause := errors.New("no")
	for _, fail := range []error{cause, nil} {
		err := s.InTx(t.Context(), func(tx store.DB) error {
			var b store.Batch
			b.Queue(`INSERT INTO chunk (hash, bytes) VALUES ('a', '')`)
			b.Queue(`INSERT INTO chunk (hash, bytes) VALUES ('b', '')`)
			return errors.Join(b.Run(t.Context(), tx), fail)
		})
		if !errors.Is(err, fail) {
			t.Errorf("error %v, want %v", err, fail)
		}
		n, err := store.One(t.Context(), s.DB(), func(r pgx.CollectableRow) (n int, err error) { return n, r.Scan(&n) }, `SELECT count(*) FROM chunk`)
		if want := map[bool]int{true: 0, false: 2}[fail != nil]; err != nil || n != want {
			t.Errorf("%d rows, want %d, %v", n, want, err)
		}
	}
}

func TestARejectionIsToldFromAServerThatIsAway(t *testing.T) {
	databaseURL, link := hubtest.PostgresLink(t)
	s := hubtest.OpenStore(t, databaseURL)
	exec := func(sql string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := s.DB().Exec(ctx, sql)
		return err
	}
	for sql, want := range map[string]bool{
		`SELECT 1/0`:                                    true,
		`INSERT INTO chunk (hash) VALUES (NULL)`:        true,
		`SELECT '{"a":"\u0000"}'::jsonb`:                true,
		`SELECT pg_terminate_backend(pg_backend_pid())`: false,
	} {
		if err := exec(sql); err == nil || store.Rejected(err) != want {
			t.Errorf("%s: rejected is %t for %v", sql, !want, err)
		}
	}
	link.Cut()
	if err := exec(`SELECT 1`); err == nil || store.Rejected(err) {
		t.Errorf("with the link cut: %v", err)
	}
	link.Mend()
	hubtest.Eventually(t, 10*time.Second, func() error { return exec(`SELECT 1`) })
	deadlock(t, s)
}

// deadlock has two transactions wait for each other.
func deadlock(t *testing.T, s *store.Store) {
	t.Helper()
	if _, err := s.DB().Exec(t.Context(), `INSERT INTO chunk (hash, bytes) VALUES ('a', ''), ('b', '')`); err != nil {
		t.Fatal(err)
	}
	errs, met := make(chan error, 2), make(chan bool, 2)
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			errs <- s.InTx(t.Context(), func(tx store.DB) error {
				const lock = `SELECT 1 FROM chunk WHERE hash = $1 FOR UPDATE`
				_, err := tx.Exec(t.Context(), lock, order[0])
				met <- true
				for len(met) < 2 && err == nil && t.Context().Err() == nil {
					_, err = tx.Exec(t.Context(), `SELECT 1`)
				}
				if err == nil {
					_, err = tx.Exec(t.Context(), lock, order[1])
				}
				return err
			})
		}()
	}
	if err := errors.Join(<-errs, <-errs); err == nil || !strings.Contains(err.Error(), "deadlock") || store.Rejected(err) {
		t.Errorf("rejected is %t for %v", store.Rejected(err), err)
	}
}
