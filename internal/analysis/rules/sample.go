package rules

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/hub"
)

// sampleTimeout bounds one sample.
const sampleTimeout = 10 * time.Second

// SampleResult is how one rule did on one of its samples. A line annotated with
// "ruleid: ID" must be found, and nothing else.
type SampleResult struct {
	Rule        string `json:"rule"`
	File        string `json:"file"`
	Sample      string `json:"sample"`
	Expected    []int  `json:"expected"` // lines
	Got         []int  `json:"got"`      // lines
	Clean       []int  `json:"-"`        // lines annotated with "ok: ID"
	Broken      []int  `json:"-"`        // lines whose fix left the finding or did not parse
	Pass        bool   `json:"pass"`
	Unsupported string `json:"unsupported,omitempty"`
}

// sampleLanguages says how a sample is read by the end of its name. Samples in
// Go may be named .go.txt, so that the go command leaves them alone.
var sampleLanguages = []struct {
	suffix string
	lang   syntax.Language
}{
	{".go.txt", syntax.Go}, {".go", syntax.Go}, {".py", syntax.Python}, {".tsx", syntax.TSX}, {".ts", syntax.TypeScript},
	{".jsx", syntax.JavaScript}, {".js", syntax.JavaScript},
}

// Test runs the rules of fsys on the samples beside their files: x.py and x.js
// beside x.yaml.
func Test(ctx context.Context, fsys fs.FS) ([]SampleResult, error) {
	s, err := Load(fsys)
	if err != nil {
		return nil, err
	}
	var out []SampleResult
	for _, u := range s.unsupported {
		out = append(out, SampleResult{Rule: u.Rule, File: u.File, Unsupported: u.What})
	}
	for i := range s.rules {
		rs, err := testRule(ctx, fsys, &s.rules[i])
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

func testRule(ctx context.Context, fsys fs.FS, r *Rule) ([]SampleResult, error) {
	stem := strings.TrimSuffix(r.File, path.Ext(r.File))
	var out []SampleResult
	for _, l := range sampleLanguages {
		if !r.covers(l.lang) {
			continue
		}
		source, err := fs.ReadFile(fsys, stem+l.suffix)
		if err != nil {
			continue // no sample in this language
		}
		res, err := testSample(ctx, r, l.lang, stem+l.suffix, source)
		if err != nil {
			return nil, fmt.Errorf("test rule %s on %s: %w", r.ID, stem+l.suffix, err)
		}
		if len(res.Expected)+len(res.Clean)+len(res.Got) > 0 {
			out = append(out, res)
		}
	}
	return out, nil
}

func testSample(ctx context.Context, r *Rule, lang syntax.Language, name string, source []byte) (SampleResult, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	res := SampleResult{Rule: r.ID, File: r.File, Sample: name}
	res.Expected, res.Clean = annotations(source, r.ID)
	only := &Set{rules: []Rule{*r}}
	t, err := syntax.Parse(ctx, lang, source)
	if err != nil {
		return res, err
	}
	if t.Errors > 0 {
		return res, fmt.Errorf("the sample does not parse")
	}
	fs, _ := only.Find(ctx, t)
	for _, f := range fs {
		res.Got = append(res.Got, t.Line(f.Start))
		if f.Fix != nil && !mends(ctx, only, lang, source, f, len(fs)) {
			res.Broken = append(res.Broken, t.Line(f.Start))
		}
	}
	sort.Ints(res.Got)
	res.Got = slices.Compact(res.Got)
	res.Pass = slices.Equal(res.Got, res.Expected) && len(res.Broken) == 0
	return res, nil
}

// mends applies one fix and looks again: the code parses and one finding less is left.
func mends(ctx context.Context, s *Set, lang syntax.Language, source []byte, f Found, before int) bool {
	t, err := syntax.Parse(ctx, lang, Apply(source, f.Fix))
	if err != nil || t.Errors > 0 {
		return false
	}
	left, _ := s.Find(ctx, t)
	return len(left) < before
}

// Apply returns source with the edits of a fix made.
func Apply(source []byte, fix *hub.Fix) []byte {
	var out bytes.Buffer
	at := 0
	for _, e := range fix.Edits {
		out.Write(source[at:e.Start])
		out.WriteString(e.New)
		at = e.End
	}
	out.Write(source[at:])
	return out.Bytes()
}

var annotation = regexp.MustCompile(`\b(ruleid|ok|todoruleid|todook):\s*([\w./, -]+)`)

// annotations lists the lines that follow annotations of the rule.
func annotations(source []byte, id string) (expected, clean []int) {
	lines := strings.Split(string(source), "\n")
	for i, line := range lines {
		m := annotation.FindStringSubmatch(line)
		if m == nil || !slices.Contains(strings.FieldsFunc(m[2], func(c rune) bool { return c == ',' || c == ' ' }), id) {
			continue
		}
		// Annotations of several rules may stand above one line.
		at := i + 1
		for at < len(lines) && annotation.MatchString(lines[at]) {
			at++
		}
		switch m[1] {
		case "ruleid":
			expected = append(expected, at+1)
		case "ok":
			clean = append(clean, at+1)
		}
	}
	return slices.Compact(expected), slices.Compact(clean)
}
