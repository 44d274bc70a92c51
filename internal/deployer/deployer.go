// Package deployer prepares changes: it takes fixes, proves them on a copy, backs
// up what they touch, and keeps the diff.
package deployer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"integrationhub/internal/analysis"
	"integrationhub/internal/change"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/proof"
	"integrationhub/internal/snapshot"
	"integrationhub/internal/store"
	"integrationhub/internal/store/deployment"
	"integrationhub/internal/store/finding"
	"integrationhub/internal/work"
)

// Scanner scans files, in processes of its own.
type Scanner interface {
	Scan(ctx context.Context, root *os.Root, paths []string, only []hub.Category) ([]analysis.FileResult, error)
}

// Deployer handles the jobs of the deployer.
type Deployer struct {
	store   *store.Store
	objects snapshot.Objects
	scanner Scanner
	workDir string
}

// New makes a deployer that unpacks snapshots below workDir; an empty one means
// the system's temporary directory.
func New(s *store.Store, o snapshot.Objects, scan Scanner, workDir string) *Deployer {
	return &Deployer{store: s, objects: o, scanner: scan, workDir: workDir}
}

// Proof is what a preparation showed, as it is kept beside its deployment.
type Proof struct {
	Fixed []Fixed       `json:"fixed"` // findings that are gone after the change
	Left  []change.Left `json:"left"`  // findings with a fix that was not taken, and why
}

// Fixed names a finding that a change removes.
type Fixed struct {
	Rule        string `json:"rule"`
	File        string `json:"file"`
	Line        int    `json:"line"`
	Fingerprint string `json:"fingerprint"`
}

// Prepare turns the fixes of a run's findings into a proved change set. Where
// nothing can be mended it keeps an empty deployment.
func (p *Deployer) Prepare(ctx context.Context, d work.Delivery[message.PrepareBody]) (work.Commit, error) {
	fixable, err := finding.Fixable(ctx, p.store, d.Job.Run)
	if err != nil {
		return nil, fmt.Errorf("read findings of run %s: %w", d.Job.Run, err)
	}
	if len(fixable) == 0 {
		return p.commit(d, proof.Result{})
	}
	tree, err := snapshot.Checkout(ctx, p.objects, d.Body.Snapshot, p.workDir)
	if errors.Is(err, snapshot.ErrLost) {
		lost := message.SnapshotLostBody{Snapshot: d.Body.Snapshot, Error: err.Error()}
		return func(*store.Batch) []message.Fact { return d.Fact(lost) }, nil
	}
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	d.Note(fmt.Sprintf("proving %d fixes", len(fixable)))
	result, err := proof.Prove(ctx, proof.Input{
		Root: tree.Root, Base: d.Body.Commit, Manifest: tree.Entries, Findings: fixable, Suggestions: true,
		Scan: func(ctx context.Context, root *os.Root, paths []string) ([]analysis.FileResult, error) {
			return p.scanner.Scan(ctx, root, paths, nil) // every category: a security fix must not bring a reliability finding
		},
	})
	if err != nil {
		return nil, err
	}
	d.Note(fmt.Sprintf("proved %d fixes in %d files", len(result.Proved), len(result.ChangeSet.Changes)))
	return p.commit(d, result)
}

// commit keeps the change set with its backup: nothing is deployed later that
// was not backed up here.
func (p *Deployer) commit(d work.Delivery[message.PrepareBody], r proof.Result) (work.Commit, error) {
	diff, err := change.Diff(r.ChangeSet, r.Before)
	if err != nil {
		return nil, work.Drop(fmt.Errorf("diff of run %s: %w", d.Job.Run, err))
	}
	shown := Proof{Fixed: []Fixed{}, Left: append([]change.Left{}, r.Left...)}
	for _, f := range r.Proved {
		shown.Fixed = append(shown.Fixed, Fixed{Rule: f.Rule, File: f.File, Line: f.Line, Fingerprint: f.Fingerprint})
	}
	raw, err := json.Marshal(shown)
	if err != nil {
		return nil, fmt.Errorf("encode proof: %w", err)
	}
	dep := deployment.Deployment{
		ID: d.Body.Deployment, Run: d.Job.Run, Strategy: d.Body.Strategy, Status: deployment.Prepared,
		Base: d.Body.Commit, Changes: r.ChangeSet.Changes, Proof: raw, Diff: diff,
	}
	if len(dep.Changes) == 0 {
		dep.Status = deployment.Empty
	}
	kept, err := p.files(dep.ID, r)
	if err != nil {
		return nil, err
	}
	return func(tx *store.Batch) []message.Fact {
		deployment.Replace(tx, dep)
		for _, k := range kept {
			k.Queue(tx)
		}
		return d.Fact(message.ChangesetPreparedBody{Deployment: dep.ID, Changes: len(dep.Changes), Fixed: len(r.Proved), Dropped: len(r.Left)})
	}, nil
}

// files packs both sides of every changed path before the transaction begins.
func (p *Deployer) files(id string, r proof.Result) ([]deployment.Packed, error) {
	var all []deployment.Packed
	for _, c := range r.ChangeSet.Changes {
		if before, ok := r.Before[c.Path]; ok {
			k, err := deployment.Pack(id, deployment.Backup, deployment.File{Path: c.Path, Mode: before.Mode, Content: before.Content})
			if err != nil {
				return nil, err
			}
			all = append(all, k)
		}
		if c.Op != hub.OpDelete {
			k, err := deployment.Pack(id, deployment.Change, deployment.File{Path: c.Path, Mode: c.Mode, Content: c.Content})
			if err != nil {
				return nil, err
			}
			all = append(all, k)
		}
	}
	return all, nil
}
