package rules_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"integrationhub/internal/analysis/rules"
	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/hub"
)

// The rules in testdata/engine use every construct that the engine knows, and
// their samples say what each of them means.
func TestEveryConstructMeansWhatItsSamplesSay(t *testing.T) {
	results, err := rules.Test(context.Background(), os.DirFS("testdata/engine"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Pass || r.Unsupported != "" {
			t.Errorf("%s on %s: expected %v, got %v, broken fixes %v %s", r.Rule, r.Sample, r.Expected, r.Got, r.Broken, r.Unsupported)
		}
	}
	if len(results) != 9 {
		t.Errorf("%d results, want 9", len(results))
	}
}

func find(t *testing.T, rule, src string) ([]rules.Found, string) {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte("rules:\n  - " + strings.ReplaceAll(rule, "\n", "\n    ") + "\n")}})
	if err != nil {
		t.Fatal(err)
	}
	lang := set.Rules()[0].Languages[0]
	tree, err := syntax.Parse(context.Background(), lang, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	found, _ := set.Find(context.Background(), tree)
	fixed := src
	if len(found) > 0 && found[0].Fix != nil {
		fixed = string(rules.Apply([]byte(src), found[0].Fix))
	}
	return found, fixed
}

func TestMessagesAndFixesAreFilledIn(t *testing.T) {
	for _, c := range []struct{ rule, src, message, fixed string }{
		{"id: a\nlanguages: [python]\nseverity: LOW\nmessage: $F takes $...ARGS, not $NONE\npattern: $F($...ARGS, last)\nfix: $F($...ARGS)", "g(1,\n  2, last)\n",
			"g takes 1, 2, not $NONE", "g(1,\n  2)\n"},
		{"id: a\nlanguages: [python]\nseverity: LOW\nmessage: m\npattern: old()\nfix: |\n  first()\n  second()", "if x:\n    old()\n", "m", "if x:\n    first()\n    second()\n"},
		{"id: a\nlanguages: [javascript]\nseverity: LOW\nmessage: m\npattern: var $X = $Y\nfix: let $X = $Y;", "var a = 1;", "m", "let a = 1;"},
		{"id: a\nlanguages: [javascript]\nseverity: LOW\nmessage: m\npattern: var $X = $Y;\nfix: let $X = $Y", "var a = 1;", "m", "let a = 1;"},
		{"id: a\nlanguages: [python]\nseverity: LOW\nmessage: m\npattern: f($X)\nfix-regex: {regex: 'f\\((.)', replacement: 'g(\\1'}", "f(1)\n", "m", "g(1)\n"},
	} {
		found, fixed := find(t, c.rule, c.src)
		if len(found) != 1 || found[0].Message != c.message || fixed != c.fixed {
			t.Errorf("%s\n got %q, %q\nwant %q, %q", c.rule, fmt.Sprint(found), fixed, c.message, c.fixed)
		}
	}
}

func TestMetadataIsReadInBothDialects(t *testing.T) {
	set, err := rules.Load(os.DirFS("testdata/engine"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]rules.Rule{}
	for _, r := range set.Rules() {
		got[r.ID] = r
	}
	if r := got["text"]; r.CWE != "CWE-1" || r.Confidence != hub.ConfidenceLow || r.Effort != 2 || r.FixClass != hub.FixSafe || r.Category != hub.Security {
		t.Errorf("text: %+v", r)
	}
	for id, want := range map[string]hub.Severity{"comparison": hub.SeverityMedium, "inside": hub.SeverityHigh, "parts": hub.SeverityInfo} {
		if got[id].Severity != want {
			t.Errorf("%s has severity %s, want %s", id, got[id].Severity, want)
		}
	}
	only := set.Only([]hub.Category{hub.Security})
	if len(only.Rules()) != 2 || only.Hash() == set.Hash() || set.Only(nil).Hash() != set.Hash() {
		t.Errorf("security alone: %d rules", len(only.Rules()))
	}
}

const good = "id: a\nlanguages: [python]\nseverity: LOW\nmessage: m\n"

func load(rule string) (*rules.Set, error) {
	return rules.Load(fstest.MapFS{"x/r.yaml": {Data: []byte("rules:\n  - " + strings.ReplaceAll(rule, "\n", "\n    ") + "\n")}})
}

func TestWhatTheEngineLacksIsNamedNotIgnored(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{good + "pattern: f(", "is not python"},
		{good + "patterns:\n  - pattern: f($X)\n  - metavariable-analysis: {metavariable: $X, analyzer: entropy}", "metavariable-analysis"},
		{good + "mode: join\npattern: f()", "mode: join"},
		{good + "mode: taint\npattern-sources:\n  - pattern: a()\n    label: A\npattern-sinks:\n  - pattern: b()", "label"},
		{good + "options: {generic_comment_style: c}\npattern: f()", "options.generic_comment_style"},
		{good + "paths: {include: [a]}\npattern: f()", "paths"},
		{strings.Replace(good, "python", "kotlin", 1) + "pattern: f()", "kotlin"},
		{good + "patterns:\n  - pattern: f($X)\n  - metavariable-comparison: {metavariable: $X, comparison: today() > $X}", "today"},
		{good + "patterns:\n  - pattern: f($X)\n  - metavariable-pattern: {metavariable: $X, language: generic, pattern: a}", "generic"},
	} {
		set, err := load(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		if u := set.Unsupported(); len(u) != 1 || !strings.Contains(u[0].What, c.want) || u[0].Rule != "a" || len(set.Rules()) != 0 {
			t.Errorf("%s: %+v, want %q", c.rule, u, c.want)
		}
	}
}

func TestBadRulesAreErrorsThatNameTheField(t *testing.T) {
	for _, c := range []struct{ rule, want string }{
		{strings.Replace(good, "id: a", "id: a b", 1) + "pattern: f()", `id "a b"`},
		{strings.Replace(good, "LOW", "SOME", 1) + "pattern: f()", `severity "SOME"`},
		{strings.Replace(good, "message: m", "message: ''", 1) + "pattern: f()", "message is empty"},
		{strings.Replace(good, "[python]", "[]", 1) + "pattern: f()", "languages is empty"},
		{good, "no pattern"},
		{good + "pattern-either: f()", "must be a list"},
		{good + "pattern-regex: '('", "regular expression"},
		{good + "patterns:\n  - pattern: f($X)\n  - metavariable-regex: {metavariable: X, regex: a}", `metavariable "X"`},
		{good + "patterns:\n  - pattern: f($X)\n  - focus-metavariable: X", "not a metavariable"},
		{good + "pattern: f()\nmetadata: {confidence: sure}", "metadata.confidence"},
		{good + "pattern: f()\nmetadata: {cwe: 89}", "metadata.cwe"},
		{good + "pattern: f()\nmetadata: {fix-class: maybe}", "metadata.fix-class"},
		{good + "pattern: f()\nfix: a\nfix-regex: {regex: a, replacement: b}", "fix-regex"},
		{good + "mode: metric\nmetric: colour\nabove: 1", `metric "colour"`},
		{good + "mode: taint\npattern-sinks:\n  - pattern: b()", "needs pattern-sources"},
	} {
		if _, err := load(c.rule); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "x/r.yaml:2") {
			t.Errorf("%s: error %v, want %q with file and line", c.rule, err, c.want)
		}
	}
	twice := fstest.MapFS{"a.yaml": {Data: []byte("rules: [{id: a, languages: [go], severity: LOW, message: m, pattern: f()}]")},
		"b.yml": {Data: []byte("rules: [{id: a, languages: [go], severity: LOW, message: m, pattern: f()}]")}}
	if _, err := rules.Load(twice); err == nil || !strings.Contains(err.Error(), "unique") {
		t.Errorf("two rules of one id: %v", err)
	}
}
