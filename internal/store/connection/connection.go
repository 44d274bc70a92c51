// Package connection keeps the code hosts that the hub may reach.
package connection

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/store"
)

// Connection is a code host. Sealed is its credential, sealed by vault for the
// slug; nil where none is needed.
type Connection struct {
	Slug      string       `json:"slug"`
	Kind      hub.Platform `json:"kind"`
	BaseURL   string       `json:"base_url"`
	Source    string       `json:"source,omitempty"`
	Sealed    []byte       `json:"-"`
	UpdatedAt time.Time    `json:"updated_at"`
}

const saveSQL = `INSERT INTO connection (slug, kind, base_url, source, credential) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (slug) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url, source = excluded.source, credential = excluded.credential, updated_at = now()`

// Save stores a connection, new or changed.
func Save(ctx context.Context, s *store.Store, c Connection) error {
	_, err := s.DB().Exec(ctx, saveSQL, c.Slug, string(c.Kind), c.BaseURL, c.Source, c.Sealed)
	return err
}

// Delete removes a connection; the error is store.ErrNotFound where there is none.
func Delete(ctx context.Context, s *store.Store, slug string) error {
	tag, err := s.DB().Exec(ctx, `DELETE FROM connection WHERE slug = $1`, slug)
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	return err
}

const columns = `slug, kind, base_url, source, credential, updated_at`

func scan(r pgx.CollectableRow) (Connection, error) {
	var c Connection
	err := r.Scan(&c.Slug, &c.Kind, &c.BaseURL, &c.Source, &c.Sealed, &c.UpdatedAt)
	return c, err
}

// Get returns one connection; the error is store.ErrNotFound where there is none.
func Get(ctx context.Context, s *store.Store, slug string) (Connection, error) {
	return store.One(ctx, s.DB(), scan, `SELECT `+columns+` FROM connection WHERE slug = $1`, slug)
}

// Sources tells for each of the connections that exist what the source of its
// events must begin with, by slug.
func Sources(ctx context.Context, s *store.Store, slugs []string) (map[string]string, error) {
	rows, err := s.DB().Query(ctx, `SELECT slug, source FROM connection WHERE slug = ANY($1)`, slugs)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	var slug, source string
	_, err = pgx.ForEachRow(rows, []any{&slug, &source}, func() error { out[slug] = source; return nil })
	return out, err
}

// List returns every connection, by slug.
func List(ctx context.Context, s *store.Store) ([]Connection, error) {
	return store.All(ctx, s.DB(), scan, `SELECT `+columns+` FROM connection ORDER BY slug`)
}
