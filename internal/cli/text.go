package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"integrationhub/internal/deployer"
	"integrationhub/internal/hub"
	"integrationhub/internal/orchestrator/api"
)

// textReport prints a result for people.
type textReport struct {
	w      io.Writer
	colour bool
	out    *bufio.Writer
}

// ANSI colours of the report.
const (
	red, yellow, green, cyan, dim, bold = "31", "33", "32", "36", "2", "1"
)

func (t *textReport) paint(code, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return "\033[" + code + "m" + s + "\033[0m"
}

func (t *textReport) line(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

func (t *textReport) write(r *result) error {
	t.out = bufio.NewWriter(t.w)
	for _, sev := range hub.Severities {
		t.severity(sev, r.findings)
	}
	if r.Deployment != nil {
		t.deployment(*r.Deployment)
	}
	t.line("%s", t.paint(bold, "Summary"))
	t.line("  run         %s %s", r.ID, t.status(r.Status))
	if r.Reason != "" {
		t.line("  reason      %s", strings.ReplaceAll(r.Reason, "\n", "\n              "))
	}
	t.line("  repository  %s", r.Repository)
	if r.Commit != "" {
		t.line("  revision    %s", r.Commit)
	}
	if r.Analysis != nil {
		t.analysis(*r.Analysis, r.findings)
	}
	return t.out.Flush()
}

func (t *textReport) status(s hub.RunStatus) string {
	if s == hub.RunCompleted {
		return t.paint(green, string(s))
	}
	return t.paint(red, string(s))
}

func severityColour(s hub.Severity) string {
	switch s {
	case hub.SeverityCritical, hub.SeverityHigh:
		return red
	case hub.SeverityMedium:
		return yellow
	}
	return cyan
}

func (t *textReport) severity(sev hub.Severity, all []hub.Finding) {
	var found []hub.Finding
	for _, f := range all {
		if f.Severity == sev {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return
	}
	t.line("%s", t.paint(bold+";"+severityColour(sev), fmt.Sprintf("%s (%d)", sev, len(found))))
	for _, f := range found {
		t.finding(f)
	}
	t.line("")
}

func (t *textReport) finding(f hub.Finding) {
	extra := strings.ToLower(string(f.Category))
	if f.CWE != "" {
		extra += ", " + f.CWE
	}
	if f.Fix != nil {
		extra += ", has a fix"
	}
	t.line("  %s:%d:%d  %s %s", t.paint(bold, f.File), f.Line, f.Column, t.paint(severityColour(f.Severity), f.Rule), t.paint(dim, "("+extra+")"))
	for _, l := range strings.Split(f.Message, "\n") {
		t.line("    %s", strings.TrimSpace(l))
	}
	for _, l := range f.Frame {
		mark := " "
		if l.Number >= f.Line && l.Number <= max(f.EndLine, f.Line) {
			mark = ">"
		}
		t.line("    %s", t.paint(dim, fmt.Sprintf("%s %4d │ ", mark, l.Number))+strings.ReplaceAll(l.Text, "\t", "    "))
	}
}

func (t *textReport) deployment(d api.Deployment) {
	if len(d.Changes) == 0 {
		return
	}
	t.line("%s", t.paint(bold, fmt.Sprintf("Proposed change (%s)", d.Strategy)))
	for _, l := range strings.Split(strings.TrimSuffix(d.Diff, "\n"), "\n") {
		switch {
		case strings.HasPrefix(l, "+++"), strings.HasPrefix(l, "---"), strings.HasPrefix(l, "diff "):
			l = t.paint(bold, l)
		case strings.HasPrefix(l, "+"):
			l = t.paint(green, l)
		case strings.HasPrefix(l, "-"):
			l = t.paint(red, l)
		case strings.HasPrefix(l, "@@"):
			l = t.paint(cyan, l)
		}
		t.line("%s", l)
	}
	t.line("")
	var p deployer.Proof
	if json.Unmarshal(d.Proof, &p) != nil {
		return
	}
	t.line("  proved: %d findings are gone after the change, none is new", len(p.Fixed))
	for _, l := range p.Left {
		t.line("  left out: %s: %s", l.File, l.Reason)
	}
	t.line("")
}

func (t *textReport) analysis(a hub.Analysis, findings []hub.Finding) {
	count := map[hub.Severity]int{}
	for _, f := range findings {
		count[f.Severity]++
	}
	var parts []string
	for _, s := range hub.Severities {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], strings.ToLower(string(s))))
		}
	}
	t.line("  findings    %d%s", len(findings), parenthesis(parts))
	if a.Score < 0 {
		t.line("  score       not rated: no code was read")
	} else {
		t.line("  score       %d of 100", a.Score)
	}
	t.line("  risk        %s", a.Risk)
	t.line("  files       %d analysed%s, %d lines of code, %d ms", a.Files, parenthesis(counts(a.Languages)), a.Lines, a.DurationMS)
	if len(a.Skipped) > 0 {
		n := 0
		for _, c := range a.Skipped {
			n += c
		}
		t.line("              %d skipped%s", n, parenthesis(counts(a.Skipped)))
	}
}

func counts(m map[string]int) []string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%d %s", m[k], k))
	}
	return out
}

func parenthesis(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
