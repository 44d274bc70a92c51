package chaos

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hubtest"
)

// promise is something that must hold when all is quiet: its query finds what
// breaks it. $1 holds the accepted runs, $2 those whose branch does not exist,
// $3 the findings of one run.
type promise struct{ text, sql string }

const orders = `WITH o AS (SELECT id, id = ANY($2::text[]) AS doomed, $3::int AS findings FROM unnest($1::text[]) id) `

// explained are the reasons that faults give a run to fail: the attempts of one
// of its jobs were used up by killed or stopped workers.
const explained = `'given up: % workers stopped without a word while they ran it'`

var promises = []promise{
	{"every accepted event is folded", `SELECT o.id FROM o LEFT JOIN hub.event e ON e.key = o.id WHERE e.folded_at IS NULL`},
	{"every accepted event has one terminal run", `SELECT o.id || ' ' || coalesce(r.status, 'is missing') FROM o LEFT JOIN hub.run r USING (id)
		WHERE r.id IS NULL OR r.finished_at IS NULL OR r.status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED')`},
	{"there is no run that nobody ordered", `SELECT r.id FROM hub.run r LEFT JOIN o USING (id) WHERE o.id IS NULL`},
	{"a run fails only for a reason, and then with a dead letter that has cause, body and subject",
		`SELECT r.id || ' ' || r.status || ': ' || r.reason FROM o JOIN hub.run r USING (id) LEFT JOIN hub.dead_letter d ON d.run = r.id
		WHERE r.status <> CASE WHEN o.doomed THEN 'FAILED' ELSE 'COMPLETED' END AND NOT (r.status = 'FAILED' AND r.reason LIKE ` + explained + `)
		OR r.status = 'FAILED' AND (d.id IS NULL OR d.cause <> r.reason OR length(d.body) = 0 OR d.subject = '')
		OR o.doomed AND r.reason NOT LIKE '%` + absent + `%' AND r.reason NOT LIKE ` + explained},
	{"a dead letter is of a failed run", `SELECT d.id || ' ' || d.cause FROM hub.dead_letter d LEFT JOIN hub.run r ON r.id = d.run WHERE r.status IS DISTINCT FROM 'FAILED'`},
	{"every job ended once", `SELECT j.id || ' ended ' || count(a.job) || ' times' FROM hub.job j
		LEFT JOIN hub.job_attempt a ON a.job = j.id AND a.outcome IN ('COMPLETED', 'FAILED', 'CANCELLED') GROUP BY j.id HAVING count(a.job) <> 1`},
	{"fences rise from attempt to attempt, and the last one ended the job", `SELECT a.job || ' ' || string_agg(a.fence || ' ' || a.outcome, ', ' ORDER BY a.finished_at) FROM (
		SELECT *, lag(fence) OVER (PARTITION BY job ORDER BY finished_at, fence) AS before FROM hub.job_attempt) a
		GROUP BY a.job HAVING bool_or(a.before >= a.fence) OR max(a.fence) <> max(a.fence) FILTER (WHERE a.outcome IN ('COMPLETED', 'FAILED', 'CANCELLED'))`},
	{"a completed run has each of its results once", `SELECT r.id || format(': %s analyses, %s findings, %s deployments', a.n, f.n, d.n) FROM o JOIN hub.run r USING (id),
		LATERAL (SELECT count(*) n FROM hub.analysis WHERE run = r.id) a, LATERAL (SELECT count(*) n FROM hub.finding WHERE run = r.id) f,
		LATERAL (SELECT count(*) n FROM hub.deployment WHERE run = r.id) d
		WHERE r.status = 'COMPLETED' AND (a.n <> 1 OR f.n <> o.findings OR d.n <> 1) OR a.n > 1 OR f.n > o.findings OR d.n > 1`},
	{"a completed job left its snapshot", `SELECT j.id FROM hub.job j JOIN hub.job_attempt a ON a.job = j.id AND a.outcome = 'COMPLETED'
		WHERE j.kind = 'connector.fetch' AND 1 <> (SELECT count(*) FROM hub.snapshot s WHERE starts_with(s.id, j.id || '.'))`},
	{"no job is left open", `SELECT id || ' ' || status FROM hub.job_open`},
	{"no fact is left over", `SELECT id FROM hub.fact`},
	{"no event is left over", `SELECT key FROM hub.event WHERE folded_at IS NULL`},
}

// broken tells which promises the ledger breaks, and by what.
func broken(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, runs map[string]order) (all []string, err error) {
	ids, doomed := []string{}, []string{}
	for id, o := range runs {
		ids = append(ids, id)
		if o.doomed {
			doomed = append(doomed, id)
		}
	}
	for _, p := range promises {
		rows, err := db.Query(ctx, orders+p.sql+` LIMIT 10`, ids, doomed, findings)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.text, err)
		}
		what, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.text, err)
		}
		for _, w := range what {
			all = append(all, p.text+": "+w)
		}
	}
	return all, nil
}

// whole is a ledger after one good run, r, and one of a branch that does not exist, d.
const whole = `INSERT INTO hub.event (key, source, id, kind, connection, body, folded_at) VALUES ('r', 's', '1', 'push', 'c', '{}', now()), ('d', 's', '2', 'push', 'c', '{}', now());
INSERT INTO hub.run (id, connection, repository, strategy, priority, status, reason, state, created_at, finished_at) VALUES
	('r', 'c', 'x', 'DRY_RUN', 'LOW', 'COMPLETED', '', '{}', now(), now()), ('d', 'c', 'x', 'DRY_RUN', 'LOW', 'FAILED', 'nowhere is no branch', '{}', now(), now());
INSERT INTO hub.job (id, run, kind, priority, connection, repository, body) VALUES
	('r.fetch.1', 'r', 'connector.fetch', 'LOW', 'c', 'x', ''), ('d.fetch.1', 'd', 'connector.fetch', 'LOW', 'c', 'x', '');
INSERT INTO hub.job_attempt (job, attempt, fence, outcome, finished_at) VALUES
	('r.fetch.1', 1, 1, 'LOST', now()), ('r.fetch.1', 2, 3, 'COMPLETED', now() + interval '1 s'), ('d.fetch.1', 1, 1, 'FAILED', now());
INSERT INTO hub.snapshot (id, run, commit_id, ref, files, bytes, manifest) VALUES ('r.fetch.1.2', 'r', '', '', 1, 1, '');
INSERT INTO hub.analysis (run, snapshot, score, risk, summary) VALUES ('r', 'r.fetch.1.2', 1, 'LOW', '{}');
INSERT INTO hub.finding (run, n, rule, severity, category, file, line, fingerprint, body) VALUES ('r', 1, 'x', 'LOW', 'STYLE', 'f', 1, 'p', '{}');
INSERT INTO hub.deployment (id, run, strategy, status, base_commit, changes, proof, diff) VALUES ('r', 'r', 'DRY_RUN', 'PREPARED', '', '[]', '{}', '');
INSERT INTO hub.dead_letter (id, run, kind, subject, cause, attempts, body) VALUES ('d.fetch.1', 'd', 'connector.fetch', 'hub.job', 'nowhere is no branch', 1, 'body');`

func TestTheCheckSeesWhatBreaksAPromise(t *testing.T) {
	db, err := pgx.Connect(t.Context(), hubtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	runs := map[string]order{"r": {}, "d": {doomed: true}}
	for _, c := range []struct{ sql, promise string }{
		{"", ""},
		{"UPDATE hub.event SET folded_at = NULL WHERE key = 'r'", promises[0].text},
		{"UPDATE hub.run SET status = 'RUNNING', finished_at = NULL WHERE id = 'r'", promises[1].text},
		{"DELETE FROM hub.run WHERE id = 'r'", promises[1].text},
		{"INSERT INTO hub.run SELECT 'z', connection, repository, ref, commit_id, strategy, priority, status, reason, trace, state, created_at FROM hub.run WHERE id = 'r'", promises[2].text},
		{"UPDATE hub.run SET status = 'FAILED', reason = 'bad luck' WHERE id = 'r'", promises[3].text},
		{"UPDATE hub.run SET status = 'COMPLETED' WHERE id = 'd'", promises[3].text},
		{"DELETE FROM hub.dead_letter", promises[3].text},
		{"UPDATE hub.dead_letter SET body = ''", promises[3].text},
		{"UPDATE hub.dead_letter SET run = 'r'", promises[4].text},
		{"INSERT INTO hub.job_attempt (job, attempt, fence, outcome, finished_at) VALUES ('r.fetch.1', 3, 4, 'COMPLETED', now() + interval '2 s')", promises[5].text},
		{"DELETE FROM hub.job_attempt WHERE job = 'd.fetch.1'", promises[5].text},
		{"UPDATE hub.job_attempt SET fence = 3 WHERE outcome = 'LOST'", promises[6].text},
		{"UPDATE hub.job_attempt SET fence = 4 WHERE outcome = 'LOST'", promises[6].text},
		{"INSERT INTO hub.job_attempt (job, attempt, fence, outcome, finished_at) VALUES ('r.fetch.1', 3, 4, 'RETRY', now() + interval '2 s')", promises[6].text},
		{"INSERT INTO hub.finding SELECT run, 2, rule, severity, category, file, line, fingerprint, body FROM hub.finding", promises[7].text},
		{"INSERT INTO hub.deployment SELECT 'z', run, strategy, status, base_commit, changes, proof, diff FROM hub.deployment", promises[7].text},
		{"DELETE FROM hub.analysis", promises[7].text},
		{"DELETE FROM hub.snapshot", promises[8].text},
		{"INSERT INTO hub.job_open (id, connection, repository, rank) VALUES ('r.fetch.1', 'c', 'x', 1)", promises[9].text},
		{"INSERT INTO hub.fact (id, run, job, kind, body) VALUES ('f', 'r', 'j', 'k', '')", promises[10].text},
		{"INSERT INTO hub.event (key, source, id, kind, connection, body) VALUES ('z', 's', '3', 'push', 'c', '{}')", promises[11].text},
	} {
		tx, err := db.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), whole+c.sql); err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		got, err := broken(t.Context(), tx, runs)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.promise == "" && len(got) > 0 {
			t.Errorf("a whole ledger breaks: %q", got)
		}
		if c.promise != "" && !told(got, c.promise) {
			t.Errorf("%s: found %q, not that %s", c.sql, got, c.promise)
		}
	}
}

func told(all []string, promise string) bool {
	for _, b := range all {
		if len(b) > len(promise) && b[:len(promise)] == promise {
			return true
		}
	}
	return false
}
