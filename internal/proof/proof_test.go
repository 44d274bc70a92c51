package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"integrationhub/internal/analysis"
	"integrationhub/internal/analysis/pool"
	"integrationhub/internal/analysis/rules"
	"integrationhub/internal/change"
	"integrationhub/internal/hub"
)

func TestMain(m *testing.M) {
	pool.Main() // this binary is the scanner's child, too
	os.Exit(m.Run())
}

// ruleBook has one good fix and one for each way in which a fix can be bad.
const ruleBook = `
rules:
  - {id: good, languages: [python], severity: HIGH, message: m, pattern: $A == None, fix: $A is None, metadata: &meta {category: QUALITY, confidence: HIGH, effort: 1, fix-class: SAFE}}
  - {id: useless, languages: [python], severity: MEDIUM, message: m, pattern: useless($A), fix: useless(  $A  ), metadata: *meta}
  - {id: harmful, languages: [python], severity: MEDIUM, message: m, pattern: harmful($A), fix: $A == None, metadata: *meta}
  - {id: breaking, languages: [python], severity: CRITICAL, message: m, pattern: breaking($A), fix: "))))((((]]]]}}}}{{{{((((]]]]", metadata: *meta}
  - {id: wide, languages: [python], severity: CRITICAL, message: m, pattern: wide($A), fix: wide(($A)), metadata: *meta}
  - {id: damaging, languages: [python], severity: LOW, message: m, pattern: damaging($A), fix: "damaged($A", metadata: *meta}
  - {id: call, languages: [python], severity: LOW, message: m, pattern: call(...), metadata: *meta}
`

// scanner scans in this process, with the rules above.
func scanner(t testing.TB) Scan {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"rules.yaml": {Data: []byte(ruleBook)}})
	if err != nil {
		t.Fatal(err)
	}
	if u := set.Unsupported(); len(u) > 0 {
		t.Fatalf("the engine cannot run %v", u)
	}
	s := analysis.NewScanner(set)
	return func(ctx context.Context, root *os.Root, paths []string) ([]analysis.FileResult, error) {
		var results []analysis.FileResult
		for _, path := range paths {
			src, err := root.ReadFile(path)
			if err != nil {
				return nil, err
			}
			results = append(results, s.Scan(ctx, path, src))
		}
		return results, nil
	}
}

// input writes a copy with the files and scans it, as the analyzer did before.
func input(t testing.TB, dir string, scan Scan, files map[string]string) Input {
	t.Helper()
	in := Input{Base: "base", Scan: scan}
	var paths []string
	for path, content := range files {
		paths = append(paths, path)
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		in.Manifest = append(in.Manifest, hub.Entry{Path: path, Mode: hub.ModeFile, Hash: hub.BlobHash([]byte(content)), Size: int64(len(content))})
	}
	slices.Sort(paths)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	in.Root = root
	results, err := scan(t.Context(), root, paths)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Skipped != "" {
			t.Fatalf("%s was skipped: %s", r.Path, r.Skipped)
		}
		in.Findings = append(in.Findings, r.Findings...)
	}
	return in
}

func TestFixesAreProvedOrLeftWithTheReason(t *testing.T) {
	tests := []struct {
		name, before, after string
		left                []string // rule: part of the reason, in the order in which they were tried
	}{
		{"good ones are taken together", "if a == None and b == None:\n    call()\n", "if a is None and b is None:\n    call()\n", nil},
		{"equal code is counted anew, and that is no new finding", "a == None\na == None\na == None\n", "a is None\na is None\na is None\n", nil},
		{"a finding that stays", "useless(1)\n", "useless(1)\n", []string{"useless: still there"}},
		{"a fix that makes another fault", "harmful(x)\n", "harmful(x)\n", []string{"harmful: brings a new finding: good in line 1"}},
		{"a fix that breaks the file", "breaking(x)\n", "breaking(x)\n", []string{"breaking: cannot be analysed after it"}},
		{"a fix that damages one line of many", strings.Repeat("x = 1\n", 30) + "damaging(x)\n", strings.Repeat("x = 1\n", 30) + "damaging(x)\n", []string{"damaging: does not parse"}},
		{"the good one beside the bad ones", "breaking(x)\nuseless(y)\nz = q == None\nharmful(call(w))\n", "breaking(x)\nuseless(y)\nz = q is None\nharmful(call(w))\n",
			[]string{"breaking: cannot be analysed", "useless: still there", "harmful: brings a new finding"}},
		{"one that overlapped a fix which was dropped", "wide(a == None)\n", "wide(a is None)\n", []string{"wide: still there"}},
		{"findings without a fix move and stay", "x = call(a == None, call(2), \"ö\", call(b == None))\n", "x = call(a is None, call(2), \"ö\", call(b is None))\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(t, t.TempDir(), scanner(t), map[string]string{"a.py": tt.before})
			r, err := Prove(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := in.Root.ReadFile("a.py"); string(got) != tt.after {
				t.Errorf("the copy holds %q, want %q", got, tt.after)
			}
			if changed := len(r.ChangeSet.Changes) == 1; changed != (tt.before != tt.after) || changed && string(r.Before["a.py"].Content) != tt.before {
				t.Errorf("the change set is %+v with before %q", r.ChangeSet, r.Before)
			}
			var left []string
			for _, l := range r.Left {
				at := slices.IndexFunc(in.Findings, func(f hub.Finding) bool { return f.Fingerprint == l.Fingerprint })
				left = append(left, in.Findings[at].Rule+": "+l.Reason)
			}
			if !slices.EqualFunc(left, tt.left, func(got, want string) bool {
				rule, reason, _ := strings.Cut(want, ": ")
				return strings.HasPrefix(got, rule+": ") && strings.Contains(got, reason)
			}) {
				t.Errorf("left %q, want %q", left, tt.left)
			}
		})
	}
}

func TestOnlyTheFixesThatWereAskedForAreMade(t *testing.T) {
	in := input(t, t.TempDir(), scanner(t), map[string]string{"a.py": "a == None\na == None\na == None\n"})
	in.Findings = in.Findings[:1] // its fingerprint is the one that the second place gets after the fix
	r, err := Prove(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := in.Root.ReadFile("a.py"); string(got) != "a is None\na == None\na == None\n" || len(r.Proved) != 1 {
		t.Errorf("the copy holds %q with %d fixes proved and %v left, want the first place fixed", got, len(r.Proved), r.Left)
	}
}

func TestWhatCannotBeTriedIsLeft(t *testing.T) {
	in := input(t, t.TempDir(), scanner(t), map[string]string{"a.py": "a == None\n"})
	fix := in.Findings[0].Fix
	in.Findings = []hub.Finding{
		{File: "a.py", Fingerprint: "stale", Fix: fix},
		{File: "gone.py", Fingerprint: "gone", Fix: fix},
		{File: "link.py", Fingerprint: "link", Fix: fix},
		{File: "huge.py", Fingerprint: "huge", Fix: fix},
	}
	in.Manifest = append(in.Manifest, hub.Entry{Path: "link.py", Mode: hub.ModeLink}, hub.Entry{Path: "huge.py", Mode: hub.ModeFile, Size: 2 << 20})
	r, err := Prove(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range r.Left {
		got[l.Fingerprint] = l.Reason
	}
	for print, reason := range map[string]string{"stale": "does not show", "gone": "not in the snapshot", "link": "symbolic link", "huge": "larger than"} {
		if !strings.Contains(got[print], reason) {
			t.Errorf("%s: left because %q, want %q", print, got[print], reason)
		}
	}
}

func TestACopyThatIsNotTheSnapshotProvesNothing(t *testing.T) {
	in := input(t, t.TempDir(), scanner(t), map[string]string{"a.py": "a == None\n"})
	in.Manifest[0].Hash = hub.BlobHash([]byte("another"))
	if _, err := Prove(t.Context(), in); err == nil || !strings.Contains(err.Error(), "a.py") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestAScanThatFailsOrIsSilentProvesNothing(t *testing.T) {
	in := input(t, t.TempDir(), scanner(t), map[string]string{"a.py": "a == None\n"})
	broken := errors.New("the scanner is gone")
	in.Scan = func(context.Context, *os.Root, []string) ([]analysis.FileResult, error) { return nil, broken }
	if _, err := Prove(t.Context(), in); !errors.Is(err, broken) {
		t.Errorf("a scan that fails: got %v", err)
	}
	in.Scan = func(context.Context, *os.Root, []string) ([]analysis.FileResult, error) { return nil, nil }
	if _, err := Prove(t.Context(), in); err == nil || !strings.Contains(err.Error(), "a.py") {
		t.Errorf("a silent scan: got %v, want an error that names the file", err)
	}
}

// TestEveryFixIsEitherProvedOrLeft draws files of good and bad code; whatever
// they are, no fix is forgotten, the copy holds the change set and nothing else,
// and a scan of it shows none of the proved findings.
func TestEveryFixIsEitherProvedOrLeft(t *testing.T) {
	statement := rapid.SampledFrom([]string{"a == None", "useless(1)", "harmful(x)", "breaking(x)", "wide(a == None)", "call(call(b == None))", "x = 1", "# ö", "wide(useless(harmful(c == None)))"})
	scan := scanner(t)
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{}
		for i := range rapid.IntRange(1, 3).Draw(rt, "files") {
			files[fmt.Sprintf("f%d.py", i)] = strings.Join(rapid.SliceOfN(statement, 1, 8).Draw(rt, "code"), "\n") + "\n"
		}
		in := input(t, t.TempDir(), scan, files)
		r, err := Prove(t.Context(), in)
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[string]int{}
		for _, f := range r.Proved {
			seen[f.File+f.Fingerprint]++
		}
		for _, l := range r.Left {
			seen[l.File+l.Fingerprint]++
		}
		fixes := 0
		for _, f := range in.Findings {
			if f.Fix == nil {
				continue
			}
			fixes++
			if n := seen[f.File+f.Fingerprint]; n != 1 {
				rt.Fatalf("%s in line %d of %s is proved or left %d times", f.Rule, f.Line, f.File, n)
			}
		}
		if len(r.Proved)+len(r.Left) != fixes {
			rt.Fatalf("%d proved and %d left of %d", len(r.Proved), len(r.Left), fixes)
		}
		changed := map[string]string{}
		for _, c := range r.ChangeSet.Changes {
			changed[c.Path] = string(c.Content)
		}
		count := func(results []analysis.FileResult) (n int) {
			for _, result := range results {
				n += len(result.Findings)
			}
			return n
		}
		for path, content := range files {
			if want, ok := changed[path]; ok {
				content = want
			}
			if got, _ := in.Root.ReadFile(path); string(got) != content {
				rt.Fatalf("%s holds %q, want %q", path, got, content)
			}
		}
		var paths []string
		for path := range files {
			paths = append(paths, path)
		}
		after, err := scan(t.Context(), in.Root, paths)
		if err != nil {
			rt.Fatal(err)
		}
		if count(after) > len(in.Findings)-len(r.Proved) {
			rt.Fatalf("%d findings before, %d proved gone, and %d are there", len(in.Findings), len(r.Proved), count(after))
		}
	})
}

func TestBuiltinFixesAreProvedInChildProcesses(t *testing.T) {
	p := pool.New(pool.Config{Size: 1})
	t.Cleanup(func() { p.Close() })
	scan := func(ctx context.Context, root *os.Root, paths []string) ([]analysis.FileResult, error) {
		return p.Scan(ctx, root, paths, nil)
	}
	in := input(t, t.TempDir(), scan, map[string]string{
		"a.py": "def same(a):\n    if a == None:\n        return 1\n    return a is 5\n",
	})
	in.Suggestions = true
	r, err := Prove(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	diff, err := change.Diff(r.ChangeSet, r.Before)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(diff, "-    if a == None:\n+    if a is None:\n") || !strings.Contains(diff, "+    return a == 5\n") {
		t.Errorf("proved %d, left %v, diff\n%s", len(r.Proved), r.Left, diff)
	}
}
