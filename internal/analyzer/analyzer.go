// Package analyzer finds problems: from a snapshot to findings, a score and a
// level of risk.
package analyzer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"integrationhub/internal/analysis"
	"integrationhub/internal/analysis/score"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/snapshot"
	"integrationhub/internal/store"
	"integrationhub/internal/store/finding"
	"integrationhub/internal/work"
)

// Scanner scans files, in processes of its own.
type Scanner interface {
	Scan(ctx context.Context, root *os.Root, paths []string, only []hub.Category) ([]analysis.FileResult, error)
}

// Analyzer handles the jobs of the analyzer.
type Analyzer struct {
	objects snapshot.Objects
	scanner Scanner
	workDir string
}

// New makes an analyzer that unpacks snapshots below workDir; an empty one means
// the system's temporary directory.
func New(o snapshot.Objects, s Scanner, workDir string) *Analyzer {
	return &Analyzer{objects: o, scanner: s, workDir: workDir}
}

// Analyze scans every file of a snapshot.
func (a *Analyzer) Analyze(ctx context.Context, d work.Delivery[message.AnalyzeBody]) (work.Commit, error) {
	tree, err := snapshot.Checkout(ctx, a.objects, d.Body.Snapshot, a.workDir)
	if errors.Is(err, snapshot.ErrLost) {
		lost := message.SnapshotLostBody{Snapshot: d.Body.Snapshot, Error: err.Error()}
		return func(*store.Batch) []message.Fact { return d.Fact(lost) }, nil
	}
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	paths := snapshot.RegularFiles(tree.Entries)
	d.Note(fmt.Sprintf("scanning %d files", len(paths)))
	start := time.Now()
	results, err := a.scanner.Scan(ctx, tree.Root, paths, d.Body.Only)
	if err != nil {
		return nil, fmt.Errorf("scan snapshot %s: %w", d.Body.Snapshot, err)
	}
	sum, findings := summarize(results)
	sum.DurationMS = time.Since(start).Milliseconds()
	d.Note(fmt.Sprintf("scanned %d files, %d findings", sum.Files, len(findings)))
	report := message.AnalysisFinishedBody{Score: sum.Score, Risk: sum.Risk, Findings: map[hub.Severity]int{}}
	for _, f := range findings {
		report.Findings[f.Severity]++
		if f.Fix != nil {
			report.Fixable++
		}
	}
	return func(tx *store.Batch) []message.Fact {
		finding.Replace(tx, d.Job.Run, d.Body.Snapshot, sum, findings)
		return d.Fact(report)
	}, nil
}

// topFunctions is how many of the most complex functions a summary names.
const topFunctions = 20

// summarize adds up what the scan of each file said; the findings are worst first.
func summarize(results []analysis.FileResult) (hub.Analysis, []hub.Finding) {
	sum := hub.Analysis{Skipped: map[string]int{}, Languages: map[string]int{}}
	var findings []hub.Finding
	for _, r := range results {
		if r.Skipped != "" {
			sum.Skipped[r.Skipped]++
			continue
		}
		sum.Files++
		sum.Bytes += r.Bytes
		sum.Lines += r.Lines
		sum.Languages[r.Language]++
		findings = append(findings, r.Findings...)
		sum.Functions = append(sum.Functions, r.Functions...)
	}
	slices.SortStableFunc(sum.Functions, func(a, b hub.Function) int { return b.Complexity - a.Complexity })
	sum.Functions = slices.Clone(sum.Functions[:min(topFunctions, len(sum.Functions))])
	slices.SortStableFunc(findings, func(a, b hub.Finding) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), cmp.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, cmp.Compare(a.Rule, b.Rule))
	})
	s := score.Compute(findings, sum.Lines)
	sum.Score, sum.Risk = s.Value, s.Risk
	return sum, findings
}
