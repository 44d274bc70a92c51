// Package sarif writes findings as SARIF 2.1.0, the exchange format of analysis tools.
// What it writes is held against the official schema by its tests.
package sarif

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"sort"
	"strings"

	"integrationhub/internal/hub"
)

// Run is one analysis, as far as SARIF tells of it.
type Run struct {
	Tool     string         // name of the tool
	Version  string         // its version; may be empty
	Findings []hub.Finding  // written in this order
	Skipped  map[string]int // files not analysed, by reason; each becomes a notification
}

// root is the name that artifact locations are relative to. Code hosts know it.
const root = "%SRCROOT%"

// fingerprintKey names our fingerprint, with the version of how it is made.
const fingerprintKey = "hubFingerprint/v1"

// Write writes one run as a SARIF log. Rules are described by the first finding of each.
func Write(w io.Writer, run Run) error {
	out := logFile{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs:    []runObject{convert(run)},
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write SARIF of %d findings: %w", len(run.Findings), err)
	}
	return nil
}

func convert(run Run) runObject {
	r := runObject{
		Tool:       tool{Driver: driver{Name: run.Tool, Version: run.Version, Rules: []rule{}}},
		ColumnKind: "unicodeCodePoints",
		BaseIDs:    map[string]location{root: {Description: &message{Text: "The root of the analysed code."}}},
		Invocations: []invocation{{
			Successful:    true,
			Notifications: notifications(run.Skipped),
		}},
		Results: make([]result, 0, len(run.Findings)),
	}
	index := map[string]int{}
	for _, f := range run.Findings {
		i, known := index[f.Rule]
		if !known {
			i = len(index)
			index[f.Rule] = i
			r.Tool.Driver.Rules = append(r.Tool.Driver.Rules, describe(f))
		}
		r.Results = append(r.Results, convertFinding(f, i))
	}
	return r
}

func notifications(skipped map[string]int) []notification {
	var out []notification
	for reason, n := range skipped {
		out = append(out, notification{
			Level:      "note",
			Descriptor: reference{ID: "skipped/" + reason},
			Message:    text(fmt.Sprintf("%d files were not analysed: %s", n, reason)),
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Descriptor.ID < out[j].Descriptor.ID })
	return out
}

func describe(f hub.Finding) rule {
	short, _, _ := strings.Cut(f.Message, ". ")
	r := rule{
		ID:            f.Rule,
		Short:         text(short),
		Full:          text(f.Message),
		Configuration: configuration{Level: level(f.Severity)},
		Properties: ruleProperties{
			Tags:      []string{strings.ToLower(string(f.Category))},
			Precision: strings.ToLower(string(f.Confidence)),
		},
	}
	if tag := cweTag(f.CWE); tag != "" {
		r.Properties.Tags = append(r.Properties.Tags, tag)
	}
	if f.Category == hub.Security {
		r.Properties.SecuritySeverity = securitySeverity(f.Severity)
	}
	return r
}

func convertFinding(f hub.Finding, rule int) result {
	at := location{URI: encode(f.File), BaseID: root}
	physical := physical{Artifact: at}
	if f.Line > 0 {
		physical.Region = &region{StartLine: f.Line, StartColumn: f.Column, EndLine: f.EndLine, EndColumn: f.EndColumn}
		physical.Context = frame(f.Frame)
	}
	r := result{
		RuleID:     f.Rule,
		RuleIndex:  rule,
		Level:      level(f.Severity),
		Message:    text(f.Message),
		Locations:  []place{{Physical: physical}},
		Properties: resultProperties{f.Severity, f.Confidence, f.Category, f.Effort},
	}
	if f.Fingerprint != "" {
		r.Fingerprints = map[string]string{fingerprintKey: f.Fingerprint}
	}
	if f.Fix != nil {
		r.Fixes = []fix{convertFix(*f.Fix, at)}
	}
	return r
}

// convertFix keeps the byte offsets of the edits: a binary region needs no reading of
// the file, and it is exact in any encoding (SARIF 2.1.0, 3.30.3).
func convertFix(f hub.Fix, at location) fix {
	change := artifactChange{Artifact: at}
	for _, e := range f.Edits {
		change.Replacements = append(change.Replacements, replacement{
			Deleted:  byteRegion{Offset: e.Start, Length: e.End - e.Start},
			Inserted: content{Text: e.New},
		})
	}
	said := "Suggested change: read it before you take it."
	if f.Class == hub.FixSafe {
		said = "Safe change: it keeps the meaning of correct code."
	}
	return fix{Description: text(said), Changes: []artifactChange{change}}
}

// frame is the code frame as the region around a finding, nil without one.
func frame(lines []hub.Line) *region {
	if len(lines) == 0 {
		return nil
	}
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.Text
	}
	return &region{
		StartLine: lines[0].Number,
		EndLine:   lines[len(lines)-1].Number,
		Snippet:   &content{Text: strings.Join(texts, "\n")},
	}
}

// text is a message that says just this: a brace by itself would begin a placeholder
// (SARIF 2.1.0, 3.11.5).
func text(s string) message {
	return message{Text: strings.NewReplacer("{", "{{", "}", "}}").Replace(s)}
}

// encode makes a relative URI of a path.
func encode(path string) string { return (&url.URL{Path: path}).String() }

// cweTag is the tag that code hosts understand, such as external/cwe/cwe-089 for CWE-89.
func cweTag(cwe string) string {
	digits, ok := strings.CutPrefix(cwe, "CWE-")
	if !ok {
		return ""
	}
	return "external/cwe/cwe-" + strings.Repeat("0", max(0, 3-len(digits))) + digits
}

func level(s hub.Severity) string {
	switch s {
	case hub.SeverityCritical, hub.SeverityHigh:
		return "error"
	case hub.SeverityMedium:
		return "warning"
	}
	return "note"
}

// securitySeverity places a severity in the middle of the range that code hosts
// give it: critical from 9, high from 7, medium from 4, low above 0.
func securitySeverity(s hub.Severity) string {
	return [...]string{"0.0", "2.0", "5.5", "8.0", "9.5"}[max(0, s.Rank())]
}
