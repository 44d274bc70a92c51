package proof

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"integrationhub/internal/analysis"
	"integrationhub/internal/hub"
)

// spot is where a finding begins, as a byte of the file before the change.
type spot struct {
	rule string
	at   int
}

// fault says in one clause why the scans do not prove the fixes of one file, and
// is empty when they do. Findings are compared by rule and place, followed
// through the edits: a fingerprint counts equal pieces of code, so one that goes
// renumbers the others.
func fault(old, now []byte, fixed []hub.Finding, before, after analysis.FileResult) string {
	if after.Skipped != "" {
		return "its file cannot be analysed after it: " + after.Skipped
	}
	if after.Errors > before.Errors {
		return "its file does not parse after it"
	}
	for _, rule := range after.Exhausted {
		if !slices.Contains(before.Exhausted, rule) {
			return "its file is too complex after it for the rule " + rule
		}
	}
	edits, gone, stay := editsOf(fixed), map[spot]bool{}, map[spot]int{}
	starts := lineStarts(old)
	for _, f := range before.Findings {
		s := spot{f.Rule, starts.offset(old, f)}
		if slices.ContainsFunc(fixed, func(g hub.Finding) bool { return g.Fingerprint == f.Fingerprint }) {
			gone[s] = true
		} else {
			stay[s]++
		}
	}
	starts = lineStarts(now)
	for _, f := range after.Findings {
		from, to := trace(edits, starts.offset(now, f))
		if take(stay, f.Rule, from, to) {
			continue
		}
		for s := range gone {
			if s.rule == f.Rule && s.at >= from && s.at < to {
				return "its finding is still there after it"
			}
		}
		return fmt.Sprintf("it brings a new finding: %s in line %d", f.Rule, f.Line)
	}
	return ""
}

func editsOf(fixed []hub.Finding) []hub.Edit {
	var edits []hub.Edit
	for _, f := range fixed {
		edits = append(edits, f.Fix.Edits...)
	}
	slices.SortStableFunc(edits, func(a, b hub.Edit) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	return edits
}

// trace follows a byte of the changed file back to where it was: the range [from,
// to) of the old file. It is one byte, or all that an edit replaced.
func trace(edits []hub.Edit, at int) (from, to int) {
	shift := 0
	for _, e := range edits {
		start := e.Start + shift
		if at < start {
			break
		}
		if at < start+len(e.New) {
			return e.Start, max(e.End, e.Start+1) // what an insertion is put before, moved with it
		}
		shift += len(e.New) - (e.End - e.Start)
	}
	return at - shift, at - shift + 1
}

// take removes one finding of rule in [from, to) from those that may stay.
func take(stay map[spot]int, rule string, from, to int) bool {
	for s, n := range stay {
		if n > 0 && s.rule == rule && s.at >= from && s.at < to {
			stay[s]--
			return true
		}
	}
	return false
}

// starts are the offsets at which the lines of a file begin.
type starts []int

func lineStarts(content []byte) starts {
	s := starts{0}
	for i, c := range content {
		if c == '\n' {
			s = append(s, i+1)
		}
	}
	return s
}

// offset is the byte at which f begins.
func (s starts) offset(content []byte, f hub.Finding) int {
	at := s[min(f.Line, len(s))-1]
	for range f.Column - 1 {
		_, size := utf8.DecodeRune(content[at:])
		at += size
	}
	return at
}
