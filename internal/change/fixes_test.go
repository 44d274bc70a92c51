package change

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"integrationhub/internal/hub"
)

// fix is a finding of the given severity whose safe fix makes edits in file.
func fix(print string, severity hub.Severity, file string, edits ...hub.Edit) hub.Finding {
	return hub.Finding{Rule: "rule", Severity: severity, File: file, Line: 1, Column: 1, Fingerprint: print, Fix: &hub.Fix{Class: hub.FixSafe, Edits: edits}}
}

// prints are the fingerprints of findings, in their order.
func prints(findings []hub.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Fingerprint)
	}
	return out
}

func replace(start, end int, text string) hub.Edit {
	return hub.Edit{Start: start, End: end, New: text}
}

func TestFixesAreTakenWholeWorstFirst(t *testing.T) {
	in := map[string]File{
		"a.py":  {Content: []byte("0123456789\r\n"), Mode: hub.ModeExec},
		"b.py":  {Content: []byte("bbb"), Mode: hub.ModeFile},
		"ö.py":  {Content: []byte("aöb"), Mode: hub.ModeFile},
		"l1.py": {Content: []byte("caf\xe9"), Mode: hub.ModeFile},
		"link":  {Content: []byte("b.py"), Mode: hub.ModeLink},
	}
	suggestion := fix("suggestion", hub.SeverityCritical, "b.py", replace(0, 1, "s"))
	suggestion.Fix.Class = hub.FixSuggestion
	none := fix("none", hub.SeverityCritical, "a.py")
	none.Fix = nil
	tests := []struct {
		finding hub.Finding
		left    string // empty when it must be applied
	}{
		{fix("high", hub.SeverityHigh, "a.py", replace(0, 0, ">"), replace(2, 4, "xx")), ""},
		{fix("low", hub.SeverityLow, "a.py", replace(4, 5, "Y"), replace(10, 10, "!")), ""},
		{fix("overlaps the high one", hub.SeverityMedium, "a.py", replace(8, 9, "z"), replace(3, 4, "z")), "out of order"},
		{fix("overlaps", hub.SeverityMedium, "a.py", replace(3, 5, "z")), "overlaps"},
		{fix("partly the same", hub.SeverityMedium, "a.py", replace(2, 4, "xx"), replace(8, 9, "z")), "overlaps"},
		{fix("the same", hub.SeverityMedium, "a.py", replace(0, 0, ">"), replace(2, 4, "xx")), "same edit"},
		{fix("inserts beside an edit", hub.SeverityMedium, "a.py", replace(4, 4, "z")), "overlaps"},
		{fix("inserts at the same point", hub.SeverityMedium, "a.py", replace(0, 0, "z")), "overlaps"},
		{fix("past the end", hub.SeverityHigh, "b.py", replace(2, 4, "z")), "out of the file"},
		{fix("negative", hub.SeverityHigh, "b.py", replace(-1, 1, "z")), "out of the file"},
		{fix("backwards", hub.SeverityHigh, "b.py", replace(2, 1, "z")), "out of the file"},
		{fix("nothing", hub.SeverityHigh, "b.py", replace(0, 1, "b")), "changes nothing"},
		{fix("no edits", hub.SeverityHigh, "b.py"), "no edits"},
		{fix("half a character", hub.SeverityHigh, "ö.py", replace(2, 3, "z")), "cuts a character"},
		{fix("writes a NUL", hub.SeverityHigh, "ö.py", replace(0, 1, "\x00")), "not UTF-8 text"},
		{fix("too large", hub.SeverityHigh, "ö.py", replace(0, 1, strings.Repeat("z", 100))), "larger than 50"},
		{fix("latin 1", hub.SeverityHigh, "l1.py", replace(0, 1, "z")), "not UTF-8 text"},
		{fix("link", hub.SeverityHigh, "link", replace(0, 1, "z")), "symbolic link"},
		{fix("missing", hub.SeverityHigh, "c.py", replace(0, 1, "z")), "not in the snapshot"},
		{suggestion, "suggestion"},
	}
	findings := []hub.Finding{none}
	for _, tt := range tests {
		findings = append(findings, tt.finding)
	}
	cs, applied, left := FromFixes("base", in, findings, Options{Limits: Limits{FileBytes: 50}})

	if want := []string{"high", "low"}; !slices.Equal(prints(applied), want) {
		t.Errorf("applied %q, want %q", prints(applied), want)
	}
	reasons := map[string]string{}
	for _, l := range left {
		reasons[l.Fingerprint] = l.Reason
	}
	for _, tt := range tests {
		got, isLeft := reasons[tt.finding.Fingerprint]
		if isLeft != (tt.left != "") || !strings.Contains(got, tt.left) {
			t.Errorf("%s: left because %q, want %q", tt.finding.Fingerprint, got, tt.left)
		}
	}
	if len(cs.Changes) != 1 {
		t.Fatalf("got %d changes, want one, of a.py", len(cs.Changes))
	}
	c := cs.Changes[0]
	if want := ">01xxY56789!\r\n"; c.Path != "a.py" || string(c.Content) != want || c.Mode != hub.ModeExec {
		t.Errorf("got %s %q with mode %s, want a.py %q as executable as before", c.Path, c.Content, c.Mode, want)
	}
}

func TestSuggestionsAreTakenWhenAskedFor(t *testing.T) {
	f := fix("s", hub.SeverityLow, "a", replace(0, 1, "b"))
	f.Fix.Class = hub.FixSuggestion
	_, applied, _ := FromFixes("base", map[string]File{"a": {Content: []byte("a"), Mode: hub.ModeFile}}, []hub.Finding{f}, Options{Suggestions: true})
	if len(applied) != 1 {
		t.Error("the suggestion was left")
	}
}

func TestAFullChangeSetKeepsTheWorst(t *testing.T) {
	in := map[string]File{"a": {Content: []byte("a"), Mode: hub.ModeFile}, "b": {Content: []byte("b"), Mode: hub.ModeFile}}
	findings := []hub.Finding{fix("low", hub.SeverityLow, "a", replace(0, 1, "xx")), fix("high", hub.SeverityHigh, "b", replace(0, 1, "yy"))}
	for _, limits := range []Limits{{Changes: 1}, {TotalBytes: 3}} {
		_, applied, left := FromFixes("base", in, findings, Options{Limits: limits})
		if !slices.Equal(prints(applied), []string{"high"}) || len(left) != 1 || !strings.Contains(left[0].Reason, "full") {
			t.Errorf("%+v: applied %q and left %+v, want the high one applied and the low one left", limits, prints(applied), left)
		}
	}
}

func TestFixesDoNotDependOnTheOrderOfFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.ByteRange('a', 'z'), 1, 40).Draw(t, "content")
		in := map[string]File{"f": {Content: content, Mode: hub.ModeFile}}
		var findings []hub.Finding
		for i := range rapid.IntRange(1, 12).Draw(t, "fixes") {
			start := rapid.IntRange(0, len(content)).Draw(t, "start")
			end := rapid.IntRange(start, min(len(content), start+5)).Draw(t, "end")
			severity := rapid.SampledFrom(hub.Severities).Draw(t, "severity")
			findings = append(findings, fix(string(rune('A'+i)), severity, "f", replace(start, end, rapid.StringMatching(`[A-Z]{0,3}`).Draw(t, "new"))))
		}
		cs, applied, left := FromFixes("base", in, findings, Options{})
		if err := Validate(cs, files(in).manifest(), Limits{}); err != nil {
			t.Fatalf("the change set is not valid: %v", err)
		}
		if len(applied)+len(left) != len(findings) {
			t.Fatalf("%d applied and %d left of %d", len(applied), len(left), len(findings))
		}
		other, appliedOther, _ := FromFixes("base", in, rapid.Permutation(findings).Draw(t, "order"), Options{})
		if !slices.Equal(prints(applied), prints(appliedOther)) || !slices.EqualFunc(cs.Changes, other.Changes, func(a, b hub.Change) bool { return a.After == b.After }) {
			t.Fatalf("applied %q in one order, %q in another", prints(applied), prints(appliedOther))
		}
	})
}
