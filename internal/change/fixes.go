package change

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"integrationhub/internal/hub"
)

// Options says which fixes FromFixes takes, and how many.
type Options struct {
	Suggestions bool   // take hub.FixSuggestion too; hub.FixSafe is always taken
	Limits      Limits // what does not fit is left, with a reason
}

// Left is a fix that was not taken. File and fingerprint together name its
// finding: equal code in two files has one fingerprint.
type Left struct {
	File        string `json:"file"`
	Fingerprint string `json:"fingerprint"`
	Reason      string `json:"reason"` // one clause for a reader
}

// FromFixes makes the change set that applies the fixes of findings to files,
// the contents at commit base. The worst findings come first, then file and
// position decide; a fix is taken whole or left whole, with a reason. It returns
// the findings whose fixes are in the change set, in the order they were taken.
// Findings without a fix are passed over.
func FromFixes(base string, files map[string]File, findings []hub.Finding, opt Options) (hub.ChangeSet, []hub.Finding, []Left) {
	m := merger{files: files, opt: opt, limits: opt.Limits.orDefault(), drafts: map[string]*draft{}}
	var applied []hub.Finding
	var left []Left
	for _, f := range InOrder(findings) {
		if f.Fix == nil {
			continue
		}
		if reason := m.take(f); reason != "" {
			left = append(left, Left{File: f.File, Fingerprint: f.Fingerprint, Reason: reason})
			continue
		}
		applied = append(applied, f)
	}
	return hub.ChangeSet{Base: base, Changes: m.changes()}, applied, left
}

// InOrder sorts a copy of findings in the order in which FromFixes takes them, so
// that the same findings give the same change set, whatever their order was.
func InOrder(findings []hub.Finding) []hub.Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b hub.Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
	return sorted
}

// merger collects the edits that do not meet, by file.
type merger struct {
	files  map[string]File
	opt    Options
	limits Limits
	drafts map[string]*draft
	total  int64 // bytes of new content in all drafts
}

// draft is one file with the edits taken so far, in order of position.
type draft struct {
	edits   []hub.Edit
	content []byte
}

// take adds the fix of f, or says why not.
func (m *merger) take(f hub.Finding) string {
	if f.Fix.Class != hub.FixSafe && !m.opt.Suggestions {
		return "it is a suggestion, and only safe fixes were asked for"
	}
	file, ok := m.files[f.File]
	if !ok {
		return "its file is not in the snapshot"
	}
	if reason := checkFix(f, file); reason != "" {
		return reason
	}
	d := m.drafts[f.File]
	if d == nil {
		if len(m.drafts) == m.limits.Changes {
			return fmt.Sprintf("the change set is full: %d paths", m.limits.Changes)
		}
		d = &draft{content: file.Content}
	}
	if reason := d.meets(f.Fix.Edits); reason != "" {
		return reason
	}
	edits := slices.Concat(d.edits, f.Fix.Edits)
	slices.SortStableFunc(edits, func(a, b hub.Edit) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	content := edit(file.Content, edits)
	return m.keep(f.File, edits, content)
}

// keep puts the edited content in the draft of path if the limits allow it.
func (m *merger) keep(path string, edits []hub.Edit, content []byte) string {
	old := m.drafts[path]
	total := m.total + int64(len(content))
	if old != nil {
		total -= int64(len(old.content))
	}
	switch {
	case int64(len(content)) > m.limits.FileBytes:
		return fmt.Sprintf("its file would be larger than %d bytes", m.limits.FileBytes)
	case total > m.limits.TotalBytes:
		return fmt.Sprintf("the change set is full: %d bytes", m.limits.TotalBytes)
	case bytes.Equal(content, m.files[path].Content):
		return "it changes nothing"
	}
	m.drafts[path], m.total = &draft{edits: edits, content: content}, total
	return ""
}

// checkFix says what is wrong with the fix itself.
func checkFix(f hub.Finding, file File) string {
	if err := CheckPath(f.File); err != nil {
		return "its path " + err.Error()
	}
	if file.Mode != hub.ModeFile && file.Mode != hub.ModeExec {
		return "it would write to a symbolic link"
	}
	if !isText(file.Content) {
		return "its file is not UTF-8 text"
	}
	if len(f.Fix.Edits) == 0 {
		return "it has no edits"
	}
	end := 0
	for i, e := range f.Fix.Edits {
		if e.Start < end || e.End < e.Start || e.End > len(file.Content) {
			return fmt.Sprintf("its edit %d, bytes %d to %d of %d, is out of order or out of the file", i, e.Start, e.End, len(file.Content))
		}
		if !onRune(file.Content, e.Start) || !onRune(file.Content, e.End) {
			return fmt.Sprintf("its edit %d cuts a character in two", i)
		}
		if !isText([]byte(e.New)) {
			return fmt.Sprintf("its edit %d writes what is not UTF-8 text", i)
		}
		end = e.End
	}
	return ""
}

func onRune(content []byte, at int) bool {
	return at == len(content) || utf8.RuneStart(content[at])
}

// meets says whether edits touch what other fixes have taken. Two insertions at
// one point meet too: nobody can tell which should come first.
func (d *draft) meets(edits []hub.Edit) string {
	same := 0
	for _, e := range edits {
		for _, taken := range d.edits {
			if e == taken {
				same++
				break
			}
			if overlap(e, taken) {
				return "it overlaps another fix; analyse again after that one"
			}
		}
	}
	switch {
	case same == 0:
		return ""
	case same == len(edits):
		return "another fix makes the same edit"
	}
	return "it overlaps another fix; analyse again after that one"
}

func overlap(a, b hub.Edit) bool {
	if a.Start == a.End || b.Start == b.End {
		return a.Start <= b.End && b.Start <= a.End
	}
	return a.Start < b.End && b.Start < a.End
}

// edit applies sorted edits that do not overlap.
func edit(content []byte, edits []hub.Edit) []byte {
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(content[at:e.Start])
		out.WriteString(e.New)
		at = e.End
	}
	out.Write(content[at:])
	return out.Bytes()
}

func (m *merger) changes() []hub.Change {
	changes := make([]hub.Change, 0, len(m.drafts))
	for path, d := range m.drafts {
		old := m.files[path]
		changes = append(changes, hub.Change{
			Op: hub.OpUpdate, Path: path, Mode: old.Mode,
			Before: hub.BlobHash(old.Content), After: hub.BlobHash(d.content), Content: d.content,
		})
	}
	sortByPath(changes)
	return changes
}
