// Package deployment keeps deployments, the backups that were taken for them and
// the content that they will write.
package deployment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"integrationhub/internal/hub"
	"integrationhub/internal/store"
)

// Status of a deployment.
type Status string

// Prepared holds a proved change set, Empty had nothing to change.
const (
	Prepared Status = "PREPARED"
	Empty    Status = "EMPTY"
)

// Deployment is a change set and what was shown of it.
type Deployment struct {
	ID        string          `json:"id"`
	Run       string          `json:"run"`
	Strategy  hub.Strategy    `json:"strategy"`
	Status    Status          `json:"status"`
	Base      string          `json:"base_commit"`
	Changes   []hub.Change    `json:"changes"`
	Proof     json.RawMessage `json:"proof"`
	Diff      string          `json:"diff"`
	CreatedAt time.Time       `json:"created_at"`
}

// Side says which state of a file is kept.
type Side string

// Backup is a file before the change touches it, Change what it will hold.
const (
	Backup Side = "BACKUP"
	Change Side = "CHANGE"
)

// File is one kept file.
type File struct {
	Path    string
	Mode    string
	Content []byte
}

const insertSQL = `INSERT INTO deployment (id, run, strategy, status, base_commit, changes, proof, diff) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, base_commit = excluded.base_commit, changes = excluded.changes, proof = excluded.proof, diff = excluded.diff, created_at = now()`

// Replace queues a deployment instead of an earlier preparation of the same one.
func Replace(b *store.Batch, d Deployment) {
	changes, err := json.Marshal(append([]hub.Change{}, d.Changes...))
	if err != nil {
		panic(fmt.Sprintf("encode changes of %s: %v", d.ID, err)) // a hub.Change always can be
	}
	b.Queue(insertSQL, d.ID, d.Run, string(d.Strategy), string(d.Status), d.Base, changes, store.CleanJSON(bytes.Clone(d.Proof)), []byte(d.Diff))
	b.Queue(`DELETE FROM deployment_file WHERE deployment = $1`, d.ID)
}

const getSQL = `SELECT id, run, strategy, status, base_commit, changes, proof, diff, created_at FROM deployment WHERE run = $1 ORDER BY created_at DESC LIMIT 1`

// OfRun returns the deployment of a run; the error is store.ErrNotFound where
// there is none.
func OfRun(ctx context.Context, s *store.Store, run string) (Deployment, error) {
	return store.One(ctx, s.DB(), func(r pgx.CollectableRow) (Deployment, error) {
		var d Deployment
		var diff []byte
		err := r.Scan(&d.ID, &d.Run, &d.Strategy, &d.Status, &d.Base, &d.Changes, &d.Proof, &diff, &d.CreatedAt)
		d.Diff = string(diff)
		return d, err
	}, getSQL, run)
}

// chunkSize caps the content of one row.
const chunkSize = 1 << 20

// The row is locked and marked as used even where it is there already: whoever
// deletes unused chunks sees that before it goes on.
const chunkSQL = `INSERT INTO chunk (hash, bytes) VALUES ($1, $2) ON CONFLICT (hash) DO UPDATE SET used_at = now()`

const fileSQL = `INSERT INTO deployment_file (deployment, path, side, mode, hash, size, chunks) VALUES ($1, $2, $3, $4, $5, $6, $7)`

// Packed is a file that is ready to be kept.
type Packed struct {
	deployment string
	side       Side
	file       File
	hashes     []string
	chunks     [][]byte
}

// Pack compresses a file in chunks under their own hashes: content that is kept
// already is not kept twice.
func Pack(deployment string, side Side, f File) (Packed, error) {
	p := Packed{deployment: deployment, side: side, file: f, hashes: []string{}}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return p, fmt.Errorf("pack %s: %w", f.Path, err)
	}
	defer enc.Close()
	for rest := f.Content; len(rest) > 0; {
		part := rest[:min(chunkSize, len(rest))]
		rest = rest[len(part):]
		sum := sha256.Sum256(part)
		p.hashes = append(p.hashes, hex.EncodeToString(sum[:]))
		p.chunks = append(p.chunks, enc.EncodeAll(part, nil))
	}
	return p, nil
}

// Queue queues a packed file.
func (p Packed) Queue(b *store.Batch) {
	for i, h := range p.hashes {
		b.Queue(chunkSQL, h, p.chunks[i])
	}
	b.Queue(fileSQL, p.deployment, p.file.Path, string(p.side), p.file.Mode, hub.BlobHash(p.file.Content), len(p.file.Content), p.hashes)
}

type kept struct {
	path, mode, hash string
	size             int64
	chunks           []string
}

// Files reads the kept files of one side back, by path. Every chunk and every
// file is checked against its hash before it is returned.
func Files(ctx context.Context, s *store.Store, deployment string, side Side) ([]File, error) {
	rows, err := store.All(ctx, s.DB(), func(r pgx.CollectableRow) (kept, error) {
		var k kept
		return k, r.Scan(&k.path, &k.mode, &k.hash, &k.size, &k.chunks)
	}, `SELECT path, mode, hash, size, chunks FROM deployment_file WHERE deployment = $1 AND side = $2 ORDER BY path`, deployment, string(side))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(4*chunkSize), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	files := make([]File, len(rows))
	for i, k := range rows {
		content, err := join(ctx, s, dec, k)
		if err != nil {
			return nil, fmt.Errorf("read %s of deployment %s: %w", k.path, deployment, err)
		}
		files[i] = File{Path: k.path, Mode: k.mode, Content: content}
	}
	return files, nil
}

func join(ctx context.Context, s *store.Store, dec *zstd.Decoder, k kept) ([]byte, error) {
	var out bytes.Buffer
	for _, h := range k.chunks {
		packed, err := store.One(ctx, s.DB(), pgx.RowTo[[]byte], `SELECT bytes FROM chunk WHERE hash = $1`, h)
		if err != nil {
			return nil, fmt.Errorf("chunk %s: %w", h, err)
		}
		part, err := dec.DecodeAll(packed, nil)
		if err != nil {
			return nil, fmt.Errorf("chunk %s: %w", h, err)
		}
		if sum := sha256.Sum256(part); hex.EncodeToString(sum[:]) != h {
			return nil, fmt.Errorf("chunk %s: its content has another hash", h)
		}
		out.Write(part)
	}
	if got := hub.BlobHash(out.Bytes()); got != k.hash {
		return nil, fmt.Errorf("content has hash %s, %s was kept", got, k.hash)
	}
	return out.Bytes(), nil
}

const deleteChunksSQL = `DELETE FROM chunk WHERE hash IN (SELECT hash FROM chunk WHERE used_at < now() - $1::interval ORDER BY used_at LIMIT $2)
	AND used_at < now() - $1::interval AND NOT EXISTS (SELECT 1 FROM deployment_file f WHERE f.chunks @> ARRAY[chunk.hash])`

// DeleteChunks deletes chunks that were last kept longer than age ago and that no
// file holds any more, looking at limit of them.
func DeleteChunks(ctx context.Context, s *store.Store, age time.Duration, limit int) error {
	_, err := s.DB().Exec(ctx, deleteChunksSQL, age, limit)
	return err
}
