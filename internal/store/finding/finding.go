// Package finding keeps analyses and their findings.
package finding

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hub"
	"integrationhub/internal/store"
)

const analysisSQL = `INSERT INTO analysis (run, snapshot, score, risk, summary) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (run) DO UPDATE SET snapshot = excluded.snapshot, score = excluded.score, risk = excluded.risk, summary = excluded.summary, created_at = now()`

const insertSQL = `INSERT INTO finding (run, n, rule, severity, category, file, line, fingerprint, body)
SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::jsonb[])`

// perStatement caps the findings of one statement; a statement's parameters are
// one message of the protocol.
const perStatement = 1000

// Replace queues the analysis of a run with its findings, worst first, instead
// of what was there: a run that had to fetch its snapshot again is analysed again.
func Replace(b *store.Batch, run, snapshot string, a hub.Analysis, findings []hub.Finding) {
	b.Queue(`DELETE FROM finding WHERE run = $1`, run)
	b.Queue(analysisSQL, run, snapshot, a.Score, string(a.Risk), mustJSON(a))
	for start := 0; start < len(findings); start += perStatement {
		part := findings[start:min(start+perStatement, len(findings))]
		n := len(part)
		num, line := make([]int32, n), make([]int32, n)
		rule, sev, cat, file, fp, body := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		for i, f := range part {
			num[i], line[i] = int32(start+i), int32(f.Line)
			rule[i], sev[i], cat[i], file[i], fp[i], body[i] = f.Rule, string(f.Severity), string(f.Category), f.File, f.Fingerprint, string(mustJSON(f))
		}
		b.Queue(insertSQL, run, num, rule, sev, cat, file, line, fp, body)
	}
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // the hub's nouns always can be
	}
	return store.CleanJSON(raw) // code may hold anything
}

// Get returns the analysis of a run; the error is store.ErrNotFound where there
// is none.
func Get(ctx context.Context, s *store.Store, run string) (hub.Analysis, error) {
	return store.One(ctx, s.DB(), pgx.RowTo[hub.Analysis], `SELECT summary FROM analysis WHERE run = $1`, run)
}

// Page is a part of the findings of a run, in order.
type Page struct {
	Severity hub.Severity // only that one; empty: all
	Category hub.Category
	After    int // rank of the last finding of the page before; -1 for the first page
	Limit    int
}

const listSQL = `SELECT n, body FROM finding WHERE run = $1 AND n > $2 AND ($3 = '' OR severity = $3) AND ($4 = '' OR category = $4) ORDER BY n LIMIT $5`

// List returns findings, worst first, and the rank of the last one.
func List(ctx context.Context, s *store.Store, run string, p Page) (found []hub.Finding, last int, err error) {
	found, err = store.All(ctx, s.DB(), func(r pgx.CollectableRow) (hub.Finding, error) {
		var f hub.Finding
		return f, r.Scan(&last, &f)
	}, listSQL, run, p.After, string(p.Severity), string(p.Category), p.Limit)
	return found, last, err
}

// Fixable returns the findings of a run that carry a fix, worst first.
func Fixable(ctx context.Context, s *store.Store, run string) ([]hub.Finding, error) {
	return store.All(ctx, s.DB(), pgx.RowTo[hub.Finding], `SELECT body FROM finding WHERE run = $1 AND body->'fix' <> 'null' ORDER BY n`, run)
}

// OfFiles returns the findings of a run in some files, worst first.
func OfFiles(ctx context.Context, s *store.Store, run string, files []string) ([]hub.Finding, error) {
	return store.All(ctx, s.DB(), pgx.RowTo[hub.Finding], `SELECT body FROM finding WHERE run = $1 AND file = ANY($2) ORDER BY n`, run, files)
}
