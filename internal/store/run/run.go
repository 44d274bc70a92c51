// Package run keeps runs and their states.
package run

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/store"
)

// Run is a run as readers see it.
type Run struct {
	ID         string        `json:"id"`
	Connection string        `json:"connection"`
	Repository string        `json:"repository"`
	Ref        string        `json:"ref,omitempty"`
	Commit     string        `json:"commit,omitempty"`
	Strategy   hub.Strategy  `json:"strategy"`
	Priority   hub.Priority  `json:"priority"`
	Status     hub.RunStatus `json:"status"`
	Reason     string        `json:"reason,omitempty"`
	Trace      string        `json:"trace,omitempty"` // W3C traceparent
	CreatedAt  time.Time     `json:"created_at"`
	FinishedAt *time.Time    `json:"finished_at,omitempty"`
}

// Lock reads the states of runs, by id, and holds them until the transaction
// ends. They are locked in the order of their ids, so that two folds cannot
// wait for each other.
func Lock(ctx context.Context, tx store.DB, ids []string) (map[string]json.RawMessage, error) {
	rows, err := tx.Query(ctx, `SELECT id, state FROM run WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	var id string
	var state []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		out[id] = json.RawMessage(append([]byte(nil), state...))
		return nil
	})
	return out, err
}

const olderSQL = `SELECT r.id FROM unnest($1::text[], $2::text[], $3::text[]) b(connection, repository, ref)
JOIN run r ON r.connection = b.connection AND r.repository = b.repository AND r.ref = b.ref AND r.finished_at IS NULL`

// Open returns the ids of the runs on some branches that have not ended; the
// three lists are read side by side.
func Open(ctx context.Context, tx store.DB, connections, repositories, refs []string) ([]string, error) {
	return store.All(ctx, tx, pgx.RowTo[string], olderSQL, connections, repositories, refs)
}

const saveSQL = `INSERT INTO run (id, connection, repository, ref, commit_id, strategy, priority, status, reason, trace, created_at, finished_at, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (id) DO UPDATE SET commit_id = excluded.commit_id, status = excluded.status, reason = excluded.reason, finished_at = excluded.finished_at, state = excluded.state`

// Save queues a run with its state, new or changed.
func Save(b *store.Batch, r Run, state json.RawMessage) {
	b.Queue(saveSQL, r.ID, r.Connection, r.Repository, r.Ref, r.Commit, string(r.Strategy), string(r.Priority), string(r.Status), hub.CleanText(r.Reason), r.Trace, r.CreatedAt, r.FinishedAt, store.CleanJSON(bytes.Clone(state)))
}

const columns = `id, connection, repository, ref, commit_id, strategy, priority, status, reason, trace, created_at, finished_at`

func scan(r pgx.CollectableRow) (Run, error) {
	var v Run
	err := r.Scan(&v.ID, &v.Connection, &v.Repository, &v.Ref, &v.Commit, &v.Strategy, &v.Priority, &v.Status, &v.Reason, &v.Trace, &v.CreatedAt, &v.FinishedAt)
	return v, err
}

// Get returns one run; the error is store.ErrNotFound where there is none.
func Get(ctx context.Context, s *store.Store, id string) (Run, error) {
	return store.One(ctx, s.DB(), scan, `SELECT `+columns+` FROM run WHERE id = $1`, id)
}

// Filter narrows a list; zero values do not.
type Filter struct {
	Status     hub.RunStatus
	Connection string
	Repository string
	Before     string // id of the last run of the page before
	Limit      int
}

const listSQL = `SELECT ` + columns + ` FROM run
WHERE ($1 = '' OR status = $1) AND ($2 = '' OR connection = $2) AND ($3 = '' OR repository = $3)
	AND ($4 = '' OR (created_at, id) < (SELECT created_at, id FROM run WHERE id = $4))
ORDER BY created_at DESC, id DESC LIMIT $5`

// List returns runs, newest first.
func List(ctx context.Context, s *store.Store, f Filter) ([]Run, error) {
	return store.All(ctx, s.DB(), scan, listSQL, string(f.Status), f.Connection, f.Repository, f.Before, f.Limit)
}

const deleteSQL = `WITH old AS (
	SELECT id FROM run WHERE finished_at < now() - $1::interval ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
), jobs AS (DELETE FROM job USING old WHERE job.run = old.id RETURNING job.id),
	attempts AS (DELETE FROM job_attempt USING jobs WHERE job_attempt.job = jobs.id),
	events AS (DELETE FROM event USING old WHERE event.key = old.id),
	letters AS (DELETE FROM dead_letter USING old WHERE dead_letter.run = old.id),
	manifests AS (DELETE FROM snapshot USING old WHERE snapshot.run = old.id AND snapshot.swept_at IS NOT NULL),
	analyses AS (DELETE FROM analysis USING old WHERE analysis.run = old.id),
	findings AS (DELETE FROM finding USING old WHERE finding.run = old.id),
	deployments AS (DELETE FROM deployment USING old WHERE deployment.run = old.id RETURNING deployment.id),
	files AS (DELETE FROM deployment_file f USING deployments WHERE f.deployment = deployments.id)
DELETE FROM run USING old WHERE run.id = old.id`

// DeleteOld deletes at most limit runs that ended longer than age ago, with all
// that belongs to them, and returns how many.
func DeleteOld(ctx context.Context, s *store.Store, age time.Duration, limit int) (int64, error) {
	tag, err := s.DB().Exec(ctx, deleteSQL, age, limit)
	return tag.RowsAffected(), err
}
