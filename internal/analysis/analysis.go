// Package analysis scans source files: it finds what the rules describe and measures functions.
package analysis

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"integrationhub/internal/analysis/metric"
	"integrationhub/internal/analysis/rules"
	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/hub"
)

// Limits of one file.
const (
	MaxBytes    = 1 << 20
	MaxDuration = 2 * time.Second
	maxFindings = 1000 // the rest of one file would only repeat the first
	frameLines  = 7
	frameWidth  = 400 // code points
)

// Reasons why a file was not analysed.
const (
	SkipTooLarge    = "too-large"
	SkipUnsupported = "unsupported"
	SkipGenerated   = "generated"
	SkipVendored    = "vendored"
	SkipMinified    = "minified"
	SkipBinary      = "binary"
	SkipParseError  = "parse-error"
	SkipTimeout     = "timeout"
	SkipCrashed     = "crashed"
	SkipUnreadable  = "unreadable"
)

// FileResult is what a scan says about one file.
type FileResult struct {
	Path      string         `json:"path"`
	Language  string         `json:"language,omitempty"`
	Skipped   string         `json:"skipped,omitempty"` // a reason; empty when the file was analysed
	Bytes     int64          `json:"bytes"`
	Lines     int            `json:"lines"` // lines that hold code
	Findings  []hub.Finding  `json:"findings,omitempty"`
	Functions []hub.Function `json:"functions,omitempty"`
	Errors    int            `json:"errors,omitempty"`    // places that the grammar could not read
	Exhausted []string       `json:"exhausted,omitempty"` // rules that ran out of steps and may have missed something
}

// Scanner scans files with one set of rules. It holds no state between files.
type Scanner struct {
	rules *rules.Set
}

// NewScanner returns a scanner for the rules of set.
func NewScanner(set *rules.Set) *Scanner { return &Scanner{rules: set} }

// Scan analyses one file. The result depends on nothing but path, src and the
// rules; a file that cannot be analysed is skipped with a reason, never an error.
// It takes at most MaxDuration, or until ctx ends.
func (s *Scanner) Scan(ctx context.Context, path string, src []byte) FileResult {
	r := FileResult{Path: path, Bytes: int64(len(src))}
	lang, reason := classify(path, src)
	r.Language = lang.Name()
	if reason != "" {
		r.Skipped = reason
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, MaxDuration)
	defer cancel()
	t, err := syntax.Parse(ctx, lang, src)
	switch {
	case errors.Is(err, syntax.ErrTimeout):
		r.Skipped = SkipTimeout
		return r
	case err != nil, t.Broken*2 > len(bytes.TrimSpace(src)):
		r.Skipped = SkipParseError
		return r
	}
	found, exhausted := s.rules.Find(ctx, t)
	if ctx.Err() != nil {
		r.Skipped = SkipTimeout
		return r
	}
	r.Lines, r.Errors, r.Exhausted = t.CodeLines, t.Errors, exhausted
	r.Findings = findings(path, t, found)
	for _, f := range metric.Functions(t) {
		r.Functions = append(r.Functions, hub.Function{Name: text(f.Name), File: path, Line: f.Line, Lines: f.Lines, Complexity: f.Complexity})
	}
	return r
}

func findings(path string, t *syntax.Tree, found []rules.Found) []hub.Finding {
	var out []hub.Finding
	seen := map[string]int{}
	for _, f := range found {
		if len(out) == maxFindings {
			break
		}
		line, column := place(t, f.Start)
		endLine, endColumn := place(t, f.End)
		key := f.Rule.ID + "\x00" + strings.Join(strings.Fields(t.Text(f.Start, f.End)), " ")
		out = append(out, hub.Finding{
			Rule: f.Rule.ID, Severity: f.Rule.Severity, Confidence: f.Rule.Confidence, Category: f.Rule.Category,
			CWE: f.Rule.CWE, File: path, Line: line, Column: column, EndLine: endLine, EndColumn: endColumn,
			Message: text(f.Message), Fingerprint: fingerprint(key, seen[key]), Effort: f.Rule.Effort,
			Frame: frame(t, line, endLine), Fix: exact(f.Fix),
		})
		seen[key]++
	}
	return out
}

// fingerprint names a finding by its rule and its code, not by its place, so
// that it survives moved lines and renamed files; equal code is counted.
func fingerprint(key string, occurrence int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, occurrence))
	return hex.EncodeToString(sum[:16])
}

// place is line and column of a byte offset, both from 1, columns in code points.
func place(t *syntax.Tree, offset int) (line, column int) {
	line = t.Line(offset)
	return line, utf8.RuneCountInString(t.Text(t.LineStart(line), offset)) + 1
}

// frame is the lines of a finding with one line around it.
func frame(t *syntax.Tree, line, endLine int) []hub.Line {
	first := max(1, line-1)
	last := min(t.Lines(), endLine+1, first+frameLines-1)
	var out []hub.Line
	for n := first; n <= last; n++ {
		start, end := t.LineStart(n), len(t.Source)
		if n < t.Lines() {
			end = t.LineStart(n+1) - 1
		}
		if n == t.Lines() && start == end {
			break // what follows the last line end is no line
		}
		out = append(out, hub.Line{Number: n, Text: clip(strings.TrimSuffix(t.Text(start, end), "\r"))})
	}
	return out
}

// clip cuts a line to what a person reads.
func clip(s string) string {
	s = text(s)
	if utf8.RuneCountInString(s) <= frameWidth {
		return s
	}
	return string([]rune(s)[:frameWidth])
}

// text is s as JSON and Postgres can carry it: they refuse broken UTF-8 and NUL.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// exact drops a fix whose bytes would not survive as text.
func exact(fix *hub.Fix) *hub.Fix {
	if fix == nil {
		return nil
	}
	for _, e := range fix.Edits {
		if text(e.New) != e.New {
			return nil
		}
	}
	return fix
}
