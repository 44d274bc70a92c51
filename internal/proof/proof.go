// Package proof applies fixes to a copy, scans it again, and says what was proved.
package proof

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"integrationhub/internal/analysis"
	"integrationhub/internal/change"
	"integrationhub/internal/hub"
)

// maxTries caps the scans of one file whose fixes cannot be proved together.
const maxTries = 50

// Scan analyses paths below root and returns one result for each, in their order.
// It must use the rules that made the findings.
type Scan func(ctx context.Context, root *os.Root, paths []string) ([]analysis.FileResult, error)

// Input is what Prove works on.
type Input struct {
	Root        *os.Root // a private copy of the snapshot
	Base        string   // the snapshot's commit
	Manifest    []hub.Entry
	Findings    []hub.Finding // those with a fix are tried, the others passed over
	Suggestions bool          // try hub.FixSuggestion too
	Limits      change.Limits
	Scan        Scan
}

// Result is what was proved.
type Result struct {
	ChangeSet hub.ChangeSet          // the proved fixes together; it may be empty
	Before    map[string]change.File // every path of ChangeSet as it was
	Proved    []hub.Finding          // a scan shows that they are gone, and that nothing new came
	Left      []change.Left          // every other finding with a fix, and why
}

// Prove finds the fixes that do what they promise: the file can still be
// analysed, the finding is gone, and no finding is new. All fixes are tried
// together first; those of a file that fails are then tried one after another,
// worst finding first, and only what keeps the file in order stays. Afterwards
// Root holds the proved change set; after an error it is to be thrown away.
func Prove(ctx context.Context, in Input) (Result, error) {
	p := &prover{in: in, files: map[string]change.File{}, before: map[string]analysis.FileResult{}, open: map[string]*file{}}
	findings, err := p.readFiles(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("prove fixes for %s: %w", in.Base, err)
	}
	if err := p.tryTogether(ctx, findings); err != nil {
		return Result{}, fmt.Errorf("prove fixes for %s together: %w", in.Base, err)
	}
	if err := p.tryEach(ctx); err != nil {
		return Result{}, fmt.Errorf("prove fixes for %s one by one: %w", in.Base, err)
	}
	r, err := p.result()
	if err != nil {
		return Result{}, fmt.Errorf("apply the proved fixes for %s: %w", in.Base, err)
	}
	return r, nil
}

type prover struct {
	in     Input
	files  map[string]change.File
	before map[string]analysis.FileResult
	proved []trial
	open   map[string]*file // files whose fixes fail together
	left   []change.Left
}

// file is one whose fixes are tried one by one.
type file struct {
	best    *trial        // the fixes that are proved together so far
	waiting []hub.Finding // in the order in which they are tried
	tries   int
}

// trial is a change of one file and what a scan of it showed.
type trial struct {
	change  hub.Change
	applied []hub.Finding
	fault   string // empty when the change is proved
}

func (p *prover) leave(f hub.Finding, reason string) {
	p.left = append(p.left, change.Left{File: f.File, Fingerprint: f.Fingerprint, Reason: reason})
}

// readFiles reads and scans the files that have fixes. It returns the findings
// that are worth a try: what the scan of the copy does not show cannot be shown
// to be gone.
func (p *prover) readFiles(ctx context.Context) ([]hub.Finding, error) {
	entries := map[string]hub.Entry{}
	for _, e := range p.in.Manifest {
		entries[e.Path] = e
	}
	var try []hub.Finding
	for _, f := range change.InOrder(p.in.Findings) {
		if f.Fix == nil {
			continue
		}
		e, ok := entries[f.File]
		if ok && e.Size > analysis.MaxBytes {
			p.leave(f, fmt.Sprintf("its file is larger than %d bytes", analysis.MaxBytes))
			continue
		}
		if _, read := p.files[f.File]; ok && !read {
			if err := p.readFile(e); err != nil {
				return nil, err
			}
		}
		try = append(try, f)
	}
	paths := slices.DeleteFunc(slices.Sorted(maps.Keys(p.files)), func(path string) bool { return p.files[path].Mode == hub.ModeLink })
	results, err := p.scan(ctx, paths)
	p.before = results
	return slices.DeleteFunc(try, func(f hub.Finding) bool {
		r, scanned := results[f.File]
		if !scanned || slices.ContainsFunc(r.Findings, func(g hub.Finding) bool { return g.Fingerprint == f.Fingerprint }) {
			return false
		}
		p.leave(f, "a scan of the copy does not show its finding")
		return true
	}), err
}

func (p *prover) readFile(e hub.Entry) error {
	if e.Mode == hub.ModeLink {
		p.files[e.Path] = change.File{Mode: e.Mode}
		return nil
	}
	content, err := p.in.Root.ReadFile(e.Path)
	if err != nil {
		return err
	}
	if got := hub.BlobHash(content); got != e.Hash {
		return fmt.Errorf("the copy's %q has hash %s, and the manifest's %s; unpack the snapshot again", e.Path, got, e.Hash)
	}
	p.files[e.Path] = change.File{Content: content, Mode: e.Mode}
	return nil
}

func (p *prover) scan(ctx context.Context, paths []string) (map[string]analysis.FileResult, error) {
	byPath := map[string]analysis.FileResult{}
	if len(paths) == 0 {
		return byPath, nil
	}
	results, err := p.in.Scan(ctx, p.in.Root, paths)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	for _, r := range results {
		byPath[r.Path] = r
	}
	for _, path := range paths {
		if _, ok := byPath[path]; !ok {
			return nil, fmt.Errorf("scan: no result for %q, so nothing can be proved about it", path)
		}
	}
	return byPath, nil
}

// try applies the fixes of findings, scans what they changed, and takes them
// back. Fixes that cannot be applied are returned with a reason.
func (p *prover) try(ctx context.Context, findings []hub.Finding) ([]trial, []change.Left, error) {
	cs, applied, left := change.FromFixes(p.in.Base, p.files, findings, change.Options{Suggestions: p.in.Suggestions, Limits: p.in.Limits})
	if err := change.Apply(cs, p.in.Root); err != nil {
		return nil, nil, err
	}
	paths := make([]string, len(cs.Changes))
	for i, c := range cs.Changes {
		paths[i] = c.Path
	}
	after, err := p.scan(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	trials := make([]trial, len(cs.Changes))
	for i, c := range cs.Changes {
		mine := slices.DeleteFunc(slices.Clone(applied), func(f hub.Finding) bool { return f.File != c.Path })
		trials[i] = trial{change: c, applied: mine, fault: fault(p.files[c.Path].Content, c.Content, mine, p.before[c.Path], after[c.Path])}
	}
	back, err := change.Invert(cs, p.in.Base, p.files)
	if err != nil {
		return nil, nil, err
	}
	return trials, left, change.Apply(back, p.in.Root)
}

// tryTogether proves the files whose fixes all hold, and opens the others.
func (p *prover) tryTogether(ctx context.Context, findings []hub.Finding) error {
	trials, left, err := p.try(ctx, findings)
	if err != nil {
		return err
	}
	for _, t := range trials {
		if t.fault == "" {
			p.proved = append(p.proved, t)
			continue
		}
		p.open[t.change.Path] = &file{}
	}
	for _, f := range findings {
		if open := p.open[f.File]; open != nil {
			open.waiting = append(open.waiting, f)
		}
	}
	for _, l := range left {
		if p.open[l.File] == nil { // in an open file it may hold once another one is dropped
			p.left = append(p.left, l)
		}
	}
	return nil
}

// tryEach adds one fix at a time to each open file; all of them share a scan.
func (p *prover) tryEach(ctx context.Context) error {
	for len(p.open) > 0 {
		var findings []hub.Finding
		for _, f := range p.open {
			if f.best != nil {
				findings = append(findings, f.best.applied...)
			}
			findings = append(findings, f.waiting[0])
		}
		trials, left, err := p.try(ctx, findings)
		if err != nil {
			return err
		}
		for _, path := range slices.Sorted(maps.Keys(p.open)) {
			p.step(path, trials, left)
		}
	}
	return nil
}

// step keeps or leaves the fix of path that was just tried, and closes the file
// after the last one.
func (p *prover) step(path string, trials []trial, left []change.Left) {
	f := p.open[path]
	next := f.waiting[0]
	f.waiting = f.waiting[1:]
	f.tries++
	reason := ""
	if at := slices.IndexFunc(left, func(l change.Left) bool { return l.File == path && l.Fingerprint == next.Fingerprint }); at >= 0 {
		reason = left[at].Reason
	} else if at := slices.IndexFunc(trials, func(t trial) bool { return t.change.Path == path }); trials[at].fault != "" {
		reason = trials[at].fault
	} else {
		f.best = &trials[at]
	}
	if reason != "" {
		p.leave(next, reason)
	}
	if f.tries == maxTries {
		for _, rest := range f.waiting {
			p.leave(rest, "it was not tried: too many fixes of its file cannot be proved together")
		}
		f.waiting = nil
	}
	if len(f.waiting) > 0 {
		return
	}
	if f.best != nil {
		p.proved = append(p.proved, *f.best)
	}
	delete(p.open, path)
}

// result puts the proved changes together and applies them to the copy.
func (p *prover) result() (Result, error) {
	slices.SortFunc(p.proved, func(a, b trial) int { return strings.Compare(a.change.Path, b.change.Path) })
	r := Result{ChangeSet: hub.ChangeSet{Base: p.in.Base}, Before: map[string]change.File{}, Left: p.left}
	for _, t := range p.proved {
		r.ChangeSet.Changes = append(r.ChangeSet.Changes, t.change)
		r.Before[t.change.Path] = p.files[t.change.Path]
		r.Proved = append(r.Proved, t.applied...)
	}
	if err := change.Validate(r.ChangeSet, p.in.Manifest, p.in.Limits); err != nil {
		return Result{}, err
	}
	return r, change.Apply(r.ChangeSet, p.in.Root)
}
