// Package rules reads rules written in Semgrep's syntax and finds what they describe in syntax trees.
package rules

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/hub"
)

// data holds our own rules, each with its samples beside it.
//
//go:embed all:data
var data embed.FS

// Rule is one rule. It is read-only once loaded.
type Rule struct {
	ID         string
	Languages  []syntax.Language
	Severity   hub.Severity
	Confidence hub.Confidence
	Category   hub.Category
	CWE        string // "CWE-89", or empty
	Message    string // metavariables are filled in for each finding
	Effort     int    // minutes to mend one finding by hand
	Fixes      bool   // findings carry a fix
	FixClass   hub.FixClass
	File       string // where the rule was read from

	programs map[syntax.Language]*program // by family
	symbolic bool
	fix      *fix
}

// program is a rule compiled for one family of languages: one of the three.
type program struct {
	formula *formula
	taint   *taintRule
	metric  *metricRule
}

// Unsupported is a rule that the engine cannot run, and why.
type Unsupported struct {
	Rule string
	File string
	What string
}

// Set is rules that run together. It is read-only and may be shared.
type Set struct {
	rules       []Rule
	unsupported []Unsupported
	hash        string
}

// Builtin returns our own rules. All of them must run.
func Builtin() (*Set, error) {
	sub, err := fs.Sub(data, "data")
	if err != nil {
		return nil, fmt.Errorf("load built-in rules: %w", err)
	}
	s, err := Load(sub)
	if err != nil {
		return nil, fmt.Errorf("load built-in rules: %w", err)
	}
	if len(s.unsupported) > 0 {
		u := s.unsupported[0]
		return nil, fmt.Errorf("load built-in rules: rule %s in %s uses what the engine lacks: %s", u.Rule, u.File, u.What)
	}
	return s, nil
}

// Rules lists the rules by id.
func (s *Set) Rules() []Rule { return s.rules }

// Unsupported lists the rules that were left out because the engine cannot run them.
func (s *Set) Unsupported() []Unsupported { return s.unsupported }

// Hash names the set: another rule, or other text of a rule, gives another hash.
func (s *Set) Hash() string { return s.hash }

// Only returns the rules of the given categories; none given means all.
func (s *Set) Only(categories []hub.Category) *Set {
	if len(categories) == 0 {
		return s
	}
	out := &Set{unsupported: s.unsupported}
	for _, r := range s.rules {
		if slices.Contains(categories, r.Category) {
			out.rules = append(out.rules, r)
		}
	}
	names := make([]string, len(categories))
	for i, c := range categories {
		names[i] = string(c)
	}
	sort.Strings(names)
	sum := sha256.Sum256([]byte(s.hash + "\x00" + strings.Join(slices.Compact(names), ",")))
	out.hash = hex.EncodeToString(sum[:16])
	return out
}

// Found is one place that a rule found: the bytes [Start, End).
type Found struct {
	Rule    *Rule
	Start   int
	End     int
	Message string
	Fix     *hub.Fix // nil where the rule has none
}

// Find runs every rule that fits the language of t, in source order. The ids of
// rules whose budget ran out, and which may have missed something, come second.
func (s *Set) Find(ctx context.Context, t *syntax.Tree) ([]Found, []string) {
	m := match.NewMatcher(ctx, t)
	var out []Found
	var exhausted []string
	for i := range s.rules {
		r := &s.rules[i]
		p := r.programs[t.Language.Family()]
		if p == nil || !r.covers(t.Language) {
			continue
		}
		m.Reset()
		m.Symbolic = r.symbolic
		out = append(out, r.find(m, p)...)
		if m.Spent() {
			exhausted = append(exhausted, r.ID)
		}
		if ctx.Err() != nil {
			break
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Start != b.Start {
			return a.Start < b.Start
		}
		return a.End < b.End
	})
	return out, exhausted
}

func (r *Rule) covers(l syntax.Language) bool {
	if l == syntax.TSX {
		l = syntax.TypeScript
	}
	return slices.Contains(r.Languages, l)
}

func (p *program) find(m *match.Matcher) []found {
	switch {
	case p.taint != nil:
		return p.taint.find(m)
	case !p.formula.possible(m.Tree()):
		return nil
	}
	return (&evaluation{m: m, tree: m.Tree()}).formula(p.formula)
}

func (r *Rule) find(m *match.Matcher, p *program) []Found {
	t := m.Tree()
	if p.metric != nil {
		return p.metric.find(r, t)
	}
	var out []Found
	type place struct{ start, end int }
	seen := map[place]bool{}
	for _, x := range p.find(m) {
		if k := (place{x.Start, x.End}); !seen[k] {
			seen[k] = true
			f := Found{Rule: r, Start: x.Start, End: x.End, Message: interpolate(r.Message, x.Env, t, shorten)}
			if r.fix != nil {
				f.Fix = r.fix.of(r.FixClass, x, t)
			}
			out = append(out, f)
		}
	}
	return out
}
