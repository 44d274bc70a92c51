package proof

import (
	"testing"

	"integrationhub/internal/analysis"
	"integrationhub/internal/hub"
)

func TestTraceFollowsAByteBackThroughTheEdits(t *testing.T) {
	// 0123456789 becomes 01ABC456>>789 and then loses its 8.
	edits := []hub.Edit{{Start: 2, End: 4, New: "ABC"}, {Start: 7, End: 7, New: ">>"}, {Start: 8, End: 9, New: ""}}
	const now = "01ABC456>>79"
	tests := []struct{ at, from, to int }{
		{0, 0, 1}, {1, 1, 2}, {2, 2, 4}, {4, 2, 4}, {5, 4, 5}, {7, 6, 7}, {8, 7, 8}, {9, 7, 8}, {10, 7, 8}, {11, 9, 10},
	}
	for _, tt := range tests {
		if from, to := trace(edits, tt.at); from != tt.from || to != tt.to {
			t.Errorf("%q, byte %d of %q: from [%d, %d), want [%d, %d)", now[tt.at], tt.at, now, from, to, tt.from, tt.to)
		}
	}
}

func TestOffsetCountsCodePointsInColumnsAndBytesInFiles(t *testing.T) {
	content := []byte("ab\r\nö日c\n\xffz")
	starts := lineStarts(content)
	for _, tt := range []struct {
		line, column int
		want         string
	}{{1, 1, "a"}, {1, 3, "\r"}, {2, 1, "\xc3"}, {2, 3, "c"}, {3, 2, "z"}} {
		at := starts.offset(content, hub.Finding{Line: tt.line, Column: tt.column})
		if got := string(content[at : at+1]); got != tt.want {
			t.Errorf("line %d, column %d is %q, want %q", tt.line, tt.column, got, tt.want)
		}
	}
	if at := starts.offset(content, hub.Finding{Line: 3, Column: 3}); at != len(content) {
		t.Errorf("the end of the file is at %d, want %d", at, len(content))
	}
}

func TestFaultTellsOldFindingsFromNewOnes(t *testing.T) {
	at := func(rule, print string, line, column int) hub.Finding {
		return hub.Finding{Rule: rule, Fingerprint: print, Line: line, Column: column}
	}
	old, now := []byte("ö = f(x, g(y))\ng(z)\n"), []byte("import f\nö = await_f(x, g(y))\ng(z)\n")
	fixed := at("f", "0", 1, 5)
	fixed.Fix = &hub.Fix{Edits: []hub.Edit{{Start: 0, End: 0, New: "import f\n"}, {Start: 5, End: 5, New: "await_"}}}
	before := []hub.Finding{fixed, at("g", "1", 1, 10), at("g", "2", 2, 1), at("name", "3", 1, 1)}
	moved := []hub.Finding{at("g", "x", 2, 16), at("g", "y", 3, 1), at("name", "z", 2, 1)}
	tests := []struct {
		name, want string
		after      analysis.FileResult
	}{
		{"all that stayed has moved", "", analysis.FileResult{Findings: moved}},
		{"fewer are fine", "", analysis.FileResult{Findings: moved[:1]}},
		{"the fixed one begins where something was inserted before it", "its finding is still there after it", analysis.FileResult{Findings: []hub.Finding{at("f", "0", 2, 5)}}},
		{"the fixed one behind what was inserted", "its finding is still there after it", analysis.FileResult{Findings: []hub.Finding{at("f", "0", 2, 11)}}},
		{"twice where it was once", "it brings a new finding: g in line 2", analysis.FileResult{Findings: append([]hub.Finding{at("g", "9", 2, 16)}, moved...)}},
		{"another rule at an old place", "it brings a new finding: h in line 3", analysis.FileResult{Findings: []hub.Finding{at("h", "9", 3, 1)}}},
		{"an old rule at another place", "it brings a new finding: g in line 1", analysis.FileResult{Findings: []hub.Finding{at("g", "9", 1, 8)}}},
		{"a rule that gave up before too", "", analysis.FileResult{Exhausted: []string{"slow"}}},
		{"a rule that gives up now", "its file is too complex after it for the rule new", analysis.FileResult{Exhausted: []string{"new"}}},
		{"a file that is skipped now", "its file cannot be analysed after it: parse-error", analysis.FileResult{Skipped: "parse-error"}},
	}
	for _, tt := range tests {
		if got := fault(old, now, []hub.Finding{fixed}, analysis.FileResult{Findings: before, Exhausted: []string{"slow"}}, tt.after); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
