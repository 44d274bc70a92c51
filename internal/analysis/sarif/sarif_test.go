package sarif_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"integrationhub/internal/analysis/sarif"
	"integrationhub/internal/hub"
)

// finding has every field filled, with text that formats like to trip over.
func finding() hub.Finding {
	return hub.Finding{
		Rule: "go.security.sql-built-with-sprintf", Severity: hub.SeverityHigh, Confidence: hub.ConfidenceMedium,
		Category: hub.Security, CWE: "CWE-89",
		File: "a dir/größe [1].go", Line: 3, Column: 5, EndLine: 4, EndColumn: 1,
		Message:     "A value of {name} is put into SQL. Bind it <instead> & be safe.",
		Fingerprint: "0123456789abcdef0123456789abcdef",
		Effort:      20,
		Frame:       []hub.Line{{Number: 2, Text: "before"}, {Number: 3, Text: "\tdb.Query(x)"}},
		Fix: &hub.Fix{Class: hub.FixSafe, Edits: []hub.Edit{
			{Start: 10, End: 14, New: "ü\n"},
			{Start: 20, End: 20, New: ""},
		}},
	}
}

// write returns the log as the schema sees it, after the schema accepted it.
func write(t *testing.T, run sarif.Run) map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := sarif.Write(&out, run); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(doc); err != nil {
		t.Fatalf("the official schema refuses it: %v\n%s", err, out.Bytes())
	}
	return doc.(map[string]any)
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at walks into a document by keys and indexes.
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := doc.(map[string]any)
			if !ok {
				t.Fatalf("%v: no object at %q", path, step)
			}
			doc = object[step]
		case int:
			list, ok := doc.([]any)
			if !ok || step >= len(list) {
				t.Fatalf("%v: no element %d", path, step)
			}
			doc = list[step]
		}
	}
	return doc
}

func TestTheOfficialSchemaAcceptsEveryRun(t *testing.T) {
	bare := hub.Finding{Rule: "r", Severity: hub.SeverityInfo, Confidence: hub.ConfidenceLow, Category: hub.Style, File: "x.py", Message: "m"}
	for name, run := range map[string]sarif.Run{
		"nothing found":        {Tool: "hub", Version: "1.2.3"},
		"no version":           {Tool: "hub"},
		"a full finding":       {Tool: "hub", Findings: []hub.Finding{finding()}},
		"a finding of a file":  {Tool: "hub", Findings: []hub.Finding{bare}},
		"one rule found twice": {Tool: "hub", Findings: []hub.Finding{finding(), bare, finding()}},
		"skipped files":        {Tool: "hub", Skipped: map[string]int{"too-large": 3, "binary": 1}},
	} {
		t.Run(name, func(t *testing.T) { write(t, run) })
	}
}

func TestTheSchemaWouldRefuseAMistake(t *testing.T) {
	doc := map[string]any{"version": "2.1.0", "runs": []any{map[string]any{"results": []any{}}}}
	var invalid *jsonschema.ValidationError
	if err := schema(t).Validate(doc); !errors.As(err, &invalid) {
		t.Fatalf("a run without a tool was accepted: %v", err)
	}
}

func TestAFindingKeepsAllThatReadersNeed(t *testing.T) {
	doc := write(t, sarif.Run{Tool: "hub", Version: "1.2.3", Findings: []hub.Finding{finding()}})
	run := at(t, doc, "runs", 0)
	result := at(t, run, "results", 0)
	physical := at(t, result, "locations", 0, "physicalLocation")
	replacement := at(t, result, "fixes", 0, "artifactChanges", 0, "replacements", 0)
	for name, c := range map[string]struct{ got, want any }{
		"columns":       {at(t, run, "columnKind"), "unicodeCodePoints"},
		"tool":          {at(t, run, "tool", "driver", "name"), "hub"},
		"version":       {at(t, run, "tool", "driver", "version"), "1.2.3"},
		"rule":          {at(t, run, "tool", "driver", "rules", 0, "id"), "go.security.sql-built-with-sprintf"},
		"first words":   {at(t, run, "tool", "driver", "rules", 0, "shortDescription", "text"), "A value of {{name}} is put into SQL"},
		"cwe":           {at(t, run, "tool", "driver", "rules", 0, "properties", "tags", 1), "external/cwe/cwe-089"},
		"severity":      {at(t, run, "tool", "driver", "rules", 0, "properties", "security-severity"), "8.0"},
		"level":         {at(t, result, "level"), "error"},
		"message":       {at(t, result, "message", "text"), "A value of {{name}} is put into SQL. Bind it <instead> & be safe."},
		"uri":           {at(t, physical, "artifactLocation", "uri"), "a%20dir/gr%C3%B6%C3%9Fe%20%5B1%5D.go"},
		"base":          {at(t, physical, "artifactLocation", "uriBaseId"), "%SRCROOT%"},
		"line":          {at(t, physical, "region", "startLine"), json.Number("3")},
		"column":        {at(t, physical, "region", "startColumn"), json.Number("5")},
		"end":           {at(t, physical, "region", "endLine"), json.Number("4")},
		"frame":         {at(t, physical, "contextRegion", "snippet", "text"), "before\n\tdb.Query(x)"},
		"fingerprint":   {at(t, result, "partialFingerprints", "hubFingerprint/v1"), "0123456789abcdef0123456789abcdef"},
		"fix from byte": {at(t, replacement, "deletedRegion", "byteOffset"), json.Number("10")},
		"fix bytes":     {at(t, replacement, "deletedRegion", "byteLength"), json.Number("4")},
		"fix text":      {at(t, replacement, "insertedContent", "text"), "ü\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", name, c.got, c.want)
		}
	}
}

func TestEachRuleIsDescribedOnce(t *testing.T) {
	other := finding()
	other.Rule = "other"
	doc := write(t, sarif.Run{Tool: "hub", Findings: []hub.Finding{finding(), other, finding()}})
	if rules := at(t, doc, "runs", 0, "tool", "driver", "rules").([]any); len(rules) != 2 {
		t.Fatalf("%d rules, want 2", len(rules))
	}
	for i, want := range []string{"0", "1", "0"} {
		if got := at(t, doc, "runs", 0, "results", i, "ruleIndex"); got != json.Number(want) {
			t.Errorf("result %d points at rule %v, want %s", i, got, want)
		}
	}
}

func TestSkippedFilesAreSaidInOrder(t *testing.T) {
	doc := write(t, sarif.Run{Tool: "hub", Skipped: map[string]int{"vendored": 40, "binary": 2}})
	notes := at(t, doc, "runs", 0, "invocations", 0, "toolExecutionNotifications")
	if got := at(t, notes, 0, "descriptor", "id"); got != "skipped/binary" {
		t.Errorf("first is %v", got)
	}
	if got := at(t, notes, 1, "message", "text").(string); !strings.Contains(got, "40") {
		t.Errorf("%q does not say how many", got)
	}
}

func TestAPathStaysARelativePath(t *testing.T) {
	for file, want := range map[string]string{
		"javascript:x":  "./javascript:x",
		"a?b#c%41.go":   "a%3Fb%23c%2541.go",
		"plain/main.go": "plain/main.go",
	} {
		f := finding()
		f.File = file
		doc := write(t, sarif.Run{Tool: "hub", Findings: []hub.Finding{f}})
		got := at(t, doc, "runs", 0, "results", 0, "locations", 0, "physicalLocation", "artifactLocation", "uri")
		if got != want {
			t.Errorf("%q became %v, want %s", file, got, want)
		}
	}
}
