package rules

import (
	"math"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
)

// found is a match on its way through a formula.
type found struct {
	match.Match
	inside bool // it only says where, so it never replaces what was found there
}

// evaluation runs one rule over one file.
type evaluation struct {
	m    *match.Matcher
	tree *syntax.Tree
	root *syntax.Node // of metavariable-pattern: the node that is looked at
}

func (e *evaluation) formula(f *formula) []found {
	switch f.op {
	case opPattern:
		return e.pattern(f.pattern)
	case opRegex:
		var out []found
		for _, r := range f.regex.All(e.tree.Source, math.MaxInt) {
			out = append(out, found{Match: match.Match{Start: r[0], End: r[1]}})
		}
		return out
	case opAny:
		var out []found
		for _, k := range f.kids {
			out = append(out, e.formula(k)...)
		}
		return distinct(out)
	case opInside:
		kids := e.formula(f.kids[0])
		out := make([]found, len(kids))
		for i, k := range kids {
			k.inside = true
			out[i] = k
		}
		return out
	}
	return e.all(f)
}

func (e *evaluation) pattern(p *match.Pattern) []found {
	ms := e.m.Find(p)
	out := make([]found, 0, len(ms))
	for _, x := range ms {
		out = append(out, found{Match: x})
	}
	if e.root != nil && e.root.IsName() {
		for _, x := range e.m.FindAt(p, e.root) {
			out = append(out, found{Match: x})
		}
	}
	return out
}

// all intersects what finds, then narrows, in the order in which it costs least.
func (e *evaluation) all(f *formula) []found {
	var cur []found
	for i, k := range append(append([]*formula(nil), f.kids...), f.inside...) {
		if i == 0 {
			cur = e.formula(k)
		} else {
			cur = e.intersect(cur, e.formula(k))
		}
		if len(cur) == 0 {
			return nil
		}
	}
	if len(f.kids)+len(f.inside) == 0 {
		if e.root == nil {
			return nil
		}
		// Only refusals: they judge the node that the metavariable stands for.
		cur = []found{{Match: match.Match{Start: e.root.Start, End: e.root.End, Node: e.root}}}
	}
	for _, c := range f.conds {
		var next []found
		for _, x := range cur {
			next = append(next, c.filter(e, x)...)
		}
		cur = distinct(next)
	}
	for _, k := range f.not {
		if len(cur) == 0 {
			return nil
		}
		cur = e.minus(cur, e.formula(k))
	}
	for _, re := range f.notRegex {
		cur = e.minusRegex(cur, re)
	}
	for _, names := range f.focus {
		cur = e.focus(cur, names)
	}
	return cur
}

// intersect keeps the smaller of each two matches that contain one another and
// agree on their metavariables.
func (e *evaluation) intersect(a, b []found) []found {
	return distinct(append(e.within(a, b), e.within(b, a)...))
}

// within keeps the matches of as inside one of bs.
func (e *evaluation) within(as, bs []found) []found {
	var out []found
	for _, a := range as {
		if e.m.Spend(len(bs)) {
			return out
		}
		for _, b := range bs {
			if a.inside && !b.inside || b.Start > a.Start || a.End > b.End {
				continue
			}
			if env, ok := match.Merge(e.tree, a.Env, b.Env); ok {
				c := a
				c.Env = env
				out = append(out, c)
			}
		}
	}
	return out
}

// minus drops the matches that stand in one of bs and agree with it.
func (e *evaluation) minus(as, bs []found) []found {
	var out []found
next:
	for _, a := range as {
		if e.m.Spend(len(bs)) {
			return nil // what might be wrong is not reported
		}
		for _, b := range bs {
			if b.Start <= a.Start && a.End <= b.End {
				if _, ok := match.Merge(e.tree, a.Env, b.Env); ok {
					continue next
				}
			}
		}
		out = append(out, a)
	}
	return out
}

// minusRegex drops the matches that overlap a match of re.
func (e *evaluation) minusRegex(as []found, re *match.Regexp) []found {
	if len(as) == 0 {
		return nil
	}
	ranges := re.All(e.tree.Source, math.MaxInt)
	var out []found
next:
	for _, a := range as {
		if e.m.Spend(len(ranges)) {
			return nil
		}
		for _, r := range ranges {
			if r[0] < a.End && a.Start < r[1] {
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}

// focus narrows matches to what one of the metavariables stands for.
func (e *evaluation) focus(as []found, names []string) []found {
	var out []found
	for _, a := range as {
		for _, name := range names {
			if b := a.Env.Get(name); b != nil {
				out = append(out, found{Match: match.Match{Start: b.Start, End: b.End, Node: b.Node, Env: a.Env}})
			}
		}
	}
	return distinct(out)
}

func distinct(fs []found) []found {
	if len(fs) < 2 {
		return fs
	}
	var plain, inside []match.Match
	for _, f := range fs {
		if f.inside {
			inside = append(inside, f.Match)
		} else {
			plain = append(plain, f.Match)
		}
	}
	out := make([]found, 0, len(fs))
	for _, m := range match.Distinct(plain) {
		out = append(out, found{Match: m})
	}
	for _, m := range match.Distinct(inside) {
		out = append(out, found{Match: m, inside: true})
	}
	return out
}
