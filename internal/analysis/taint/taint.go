// Package taint follows data inside functions, from where it comes in to where it does harm.
package taint

import (
	"integrationhub/internal/analysis/syntax"
)

// Place is one match of a source, sanitizer or sink: the bytes [Start, End).
type Place struct {
	Start      int
	End        int
	Node       *syntax.Node // nil where the match is several statements
	Exact      bool         // the code itself, not what stands inside it
	SideEffect bool         // it also changes the variable that it is
}

// Propagator says that taint goes from one piece of code to another.
type Propagator struct {
	From, To span
}

// Between makes a propagator of two byte ranges.
func Between(fromStart, fromEnd, toStart, toEnd int) Propagator {
	return Propagator{span{fromStart, fromEnd}, span{toStart, toEnd}}
}

// Spec is what one rule looks for in one file.
type Spec struct {
	Sources     []Place
	Sanitizers  []Place
	Sinks       []Place
	Propagators []Propagator
}

type span struct{ start, end int }

func spanOf(n *syntax.Node) span { return span{n.Start, n.End} }

// flow is one run over a file.
type flow struct {
	tree     *syntax.Tree
	spec     *Spec
	over     func() bool
	sources  map[span]Place
	cleaners map[span]Place
	reached  []bool
}

// Reach lists the indices of the sinks that tainted data reaches. It stops when
// over, which is asked at every step, says so.
func Reach(t *syntax.Tree, spec *Spec, over func() bool) []int {
	if len(spec.Sources) == 0 || len(spec.Sinks) == 0 {
		return nil
	}
	f := &flow{tree: t, spec: spec, over: over, sources: map[span]Place{}, cleaners: map[span]Place{}, reached: make([]bool, len(spec.Sinks))}
	for _, p := range spec.Sources {
		f.sources[span{p.Start, p.End}] = p
	}
	for _, p := range spec.Sanitizers {
		f.cleaners[span{p.Start, p.End}] = p
	}
	f.statements(t.Root, state{})
	var out []int
	for i, ok := range f.reached {
		if ok {
			out = append(out, i)
		}
	}
	return out
}

// state says of variables, and of their members, whether they are tainted. What
// it does not know is as tainted as what it belongs to.
type state map[string]bool

func (s state) copy() state {
	c := make(state, len(s))
	for k, v := range s {
		c[k] = v
	}
	return c
}

// become makes s what is true after any one of the others.
func (s state) become(others []state) {
	if len(others) == 0 {
		return
	}
	clear(s)
	for i, o := range others {
		for k, v := range o {
			if v {
				s[k] = true
			} else if i == 0 {
				s[k] = false
			}
		}
	}
	for k, v := range s {
		for _, o := range others {
			if _, known := o[k]; !v && !known {
				delete(s, k)
			}
		}
	}
}

func (s state) equal(o state) bool {
	if len(s) != len(o) {
		return false
	}
	for k, v := range s {
		if w, ok := o[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// variable is the name under which the state knows an expression, or empty.
func variable(n *syntax.Node) string {
	switch n.Kind {
	case syntax.Ident:
		return n.Text
	case syntax.Member:
		if a := variable(n.Kids[0]); a != "" && n.Kids[1].Kind == syntax.Ident {
			return a + "." + n.Kids[1].Text
		}
	case syntax.Index:
		if len(n.Kids) < 2 || n.Kids[1] == nil {
			return ""
		}
		if a := variable(n.Kids[0]); a != "" && (n.Kids[1].Kind == syntax.String || n.Kids[1].Kind == syntax.Number) {
			return a + "[" + n.Kids[1].Text + "]"
		}
	}
	return ""
}

// set makes a variable tainted or clean, with all that belongs to it.
func (s state) set(name string, tainted bool) {
	for k := range s {
		if len(k) > len(name) && k[:len(name)] == name && (k[len(name)] == '.' || k[len(name)] == '[') {
			delete(s, k)
		}
	}
	s[name] = tainted
}

// expression evaluates n, and reports whether it is tainted.
func (f *flow) expression(n *syntax.Node, s state) bool {
	if n == nil || f.over() {
		return false
	}
	tainted := f.evaluate(n, s)
	if p, ok := f.sources[spanOf(n)]; ok {
		tainted = true
		if p.SideEffect {
			f.mark(n, s, true)
		}
	} else if !tainted {
		tainted = inside(f.spec.Sources, n)
	}
	if p, ok := f.cleaners[spanOf(n)]; ok {
		tainted = false
		if p.SideEffect {
			f.mark(n, s, false)
		}
	} else if tainted && inside(f.spec.Sanitizers, n) {
		tainted = false
	}
	if tainted {
		f.propagate(n, s)
		f.hit(n)
	}
	return tainted
}

func (f *flow) mark(n *syntax.Node, s state, tainted bool) {
	if v := variable(n); v != "" {
		s.set(v, tainted)
	}
}

// inside reports whether n is a part of an expression among the places.
func inside(places []Place, n *syntax.Node) bool {
	for _, p := range places {
		if p.Exact || p.Node == nil || p.Start > n.Start || p.End < n.End {
			continue
		}
		switch p.Node.Kind {
		case syntax.Func, syntax.Block, syntax.Class, syntax.Assign, syntax.Return, syntax.Param, syntax.If:
		default:
			return true
		}
	}
	return false
}

func (f *flow) propagate(n *syntax.Node, s state) {
	for _, p := range f.spec.Propagators {
		if p.From != spanOf(n) {
			continue
		}
		for _, m := range f.tree.Nodes {
			if spanOf(m) == p.To && variable(m) != "" {
				s.set(variable(m), true)
				break
			}
		}
	}
}

// hit records the sinks that the tainted n reaches: the sink itself, an argument
// of a call, its receiver, or anything in a sink that is no expression.
func (f *flow) hit(n *syntax.Node) {
	for i, p := range f.spec.Sinks {
		if f.reached[i] || p.Start > n.Start || p.End < n.End {
			continue
		}
		if p.Start == n.Start && p.End == n.End || !p.Exact && reaches(n, p) {
			f.reached[i] = true
		}
	}
}

func reaches(n *syntax.Node, p Place) bool {
	if p.Node == nil {
		return true
	}
	up := n.Parent
	switch p.Node.Kind {
	case syntax.Call, syntax.New:
		if up != nil && (up.Kind == syntax.Keyword || up.Kind == syntax.Spread) {
			up = up.Parent
		}
		return up != nil && (up == p.Node.Kids[1] || up == p.Node || up == p.Node.Kids[0] && up.Kind == syntax.Member && up.Kids[0] == n)
	case syntax.Index:
		return up == p.Node
	case syntax.Func, syntax.Block, syntax.Class, syntax.If, syntax.For, syntax.ForEach, syntax.While, syntax.Try, syntax.With, syntax.Switch:
		own := n.Enclosing(syntax.Func)
		return p.Node == own || own == p.Node.Enclosing(syntax.Func)
	}
	return false
}
