// Package snapshot keeps the manifests of snapshots; their bytes are in the
// Object Store.
package snapshot

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/store"
)

const insertSQL = `INSERT INTO snapshot (id, run, commit_id, ref, files, bytes, manifest) VALUES ($1, $2, $3, $4, $5, $6, $7)`

// Insert queues a snapshot with its encoded manifest.
func Insert(b *store.Batch, run string, s hub.Snapshot, manifest []byte) {
	b.Queue(insertSQL, s.ID, run, s.Commit, s.Ref, s.Files, s.Bytes, manifest)
}

// Get returns a snapshot and its encoded manifest; the error is
// store.ErrNotFound where there is none.
func Get(ctx context.Context, s *store.Store, id string) (snap hub.Snapshot, manifest []byte, err error) {
	snap, err = store.One(ctx, s.DB(), func(r pgx.CollectableRow) (hub.Snapshot, error) {
		var v hub.Snapshot
		return v, r.Scan(&v.ID, &v.Commit, &v.Ref, &v.Files, &v.Bytes, &manifest)
	}, `SELECT id, commit_id, ref, files, bytes, manifest FROM snapshot WHERE id = $1`, id)
	return snap, manifest, err
}

const sweepSQL = `SELECT s.id FROM snapshot s LEFT JOIN run r ON r.id = s.run
WHERE s.swept_at IS NULL AND coalesce(r.finished_at, s.created_at) < now() - $1::interval
	AND (r.id IS NULL OR r.finished_at IS NOT NULL) ORDER BY s.created_at LIMIT $2`

// Sweepable returns the snapshots whose run ended longer than age ago.
func Sweepable(ctx context.Context, s *store.Store, age time.Duration, limit int) ([]string, error) {
	return store.All(ctx, s.DB(), pgx.RowTo[string], sweepSQL, age, limit)
}

// Swept notes that the bytes of a snapshot are gone.
func Swept(ctx context.Context, s *store.Store, id string) error {
	_, err := s.DB().Exec(ctx, `UPDATE snapshot SET swept_at = now() WHERE id = $1`, id)
	return err
}
