package match

import (
	"context"
	"strings"

	"integrationhub/internal/analysis/syntax"
)

// Limits of the search: what a rule may spend on one file, and how many ways to
// bind metavariables are followed at one place.
const (
	maxSteps    = 3_000_000
	maxBindings = 16
)

// Match is one place where a pattern fits: the bytes [Start, End).
type Match struct {
	Start int
	End   int
	Node  *syntax.Node // nil where the match is several statements
	Env   *Binding
}

// Matcher finds patterns in one file. It is for one goroutine.
type Matcher struct {
	tree     *syntax.Tree
	ctx      context.Context
	pattern  *Pattern
	steps    int
	spent    bool
	Symbolic bool // a name also matches the expression that it holds
	cache    map[*Pattern][]Match
}

// NewMatcher returns a matcher for t, which stops when ctx ends.
func NewMatcher(ctx context.Context, t *syntax.Tree) *Matcher {
	return &Matcher{tree: t, ctx: ctx, cache: map[*Pattern][]Match{}}
}

// Tree is the file that is searched.
func (m *Matcher) Tree() *syntax.Tree { return m.tree }

// Reset gives the next rule its own budget.
func (m *Matcher) Reset() { m.steps, m.spent, m.Symbolic = 0, false, false }

// Spent reports whether the budget ran out since Reset, so that matches may be missing.
func (m *Matcher) Spent() bool { return m.spent }

// Over counts a step and reports whether there are none left.
func (m *Matcher) Over() bool {
	m.steps++
	if m.steps > maxSteps || m.steps&0x3ff == 0 && m.ctx.Err() != nil {
		m.spent = true
	}
	return m.spent
}

// Spend counts the steps of work that is done elsewhere, and reports like Over.
func (m *Matcher) Spend(steps int) bool {
	m.steps += steps
	return m.Over()
}

// Find lists the matches of p, in source order of where they were found.
func (m *Matcher) Find(p *Pattern) []Match {
	if !m.Symbolic {
		if r, ok := m.cache[p]; ok {
			return r
		}
	}
	out := m.find(p)
	if !m.Symbolic && !m.spent {
		m.cache[p] = out
	}
	return out
}

func (m *Matcher) find(p *Pattern) []Match {
	for _, w := range p.words {
		if _, ok := m.tree.Words[w]; !ok {
			return nil
		}
	}
	m.pattern = p
	if len(p.nodes) > 1 {
		return m.findStatements(p.nodes)
	}
	var out []Match
	q := p.nodes[0]
	for _, t := range m.candidates(q) {
		switch {
		case t.Kind == syntax.Args, t.Kind == syntax.Params, t.Kind == syntax.Decorators:
			continue
		case t.IsName(), q.Kind == syntax.Metavar && t.Kind == syntax.Block:
			continue
		}
		for _, env := range m.match(q, t, nil) {
			out = append(out, Match{t.Start, t.End, t, env})
		}
	}
	return Distinct(out)
}

// FindAt lists the ways in which p fits the node n itself.
func (m *Matcher) FindAt(p *Pattern, n *syntax.Node) []Match {
	m.pattern = p
	var out []Match
	if len(p.nodes) == 1 {
		for _, env := range m.match(p.nodes[0], n, nil) {
			out = append(out, Match{n.Start, n.End, n, env})
		}
	}
	return out
}

// candidates are the nodes that q could match.
func (m *Matcher) candidates(q *syntax.Node) []*syntax.Node {
	switch q.Kind {
	case syntax.Call, syntax.New, syntax.Func, syntax.Class, syntax.Return, syntax.Import,
		syntax.JSX, syntax.AugAssign, syntax.Composite, syntax.If, syntax.Try, syntax.With, syntax.Assign, syntax.ForEach,
		syntax.Throw, syntax.Comprehension, syntax.Handler, syntax.Pair, syntax.Keyword, syntax.Index, syntax.Switch:
		return m.tree.ByKind(q.Kind)
	}
	return m.tree.Nodes
}

// Distinct drops matches of the same bytes with the same bindings.
func Distinct(ms []Match) []Match {
	if len(ms) < 2 {
		return ms
	}
	type place struct{ start, end int }
	seen := make(map[place][]*Binding, len(ms))
	out := ms[:0:0]
next:
	for _, x := range ms {
		k := place{x.Start, x.End}
		for _, env := range seen[k] {
			if sameEnv(env, x.Env) {
				continue next
			}
		}
		seen[k] = append(seen[k], x.Env)
		out = append(out, x)
	}
	return out
}

func sameEnv(a, b *Binding) bool {
	for ; a != nil && b != nil; a, b = a.up, b.up {
		if a == b {
			return true
		}
		if a.Name != b.Name || a.Start != b.Start || a.End != b.End {
			return false
		}
	}
	return a == b
}

// match is how p fits t, given what is bound already: each way is one result.
func (m *Matcher) match(p, t *syntax.Node, env *Binding) []*Binding {
	if m.Over() {
		return nil
	}
	if p == nil {
		return one(env)
	}
	if t == nil {
		if p.Kind == syntax.Ellipsis {
			return one(env)
		}
		return nil
	}
	switch p.Kind {
	case syntax.Ellipsis:
		return one(env)
	case syntax.Metavar:
		return m.metavar(p, t, env)
	case syntax.Deep:
		var out []*Binding
		m.deep(p.Kids[0], t, env, &out)
		return out
	}
	if r := m.direct(p, t, env); r != nil {
		return r
	}
	if t.Alias != nil && (p.Kind == syntax.Ident || p.Kind == syntax.Member) {
		if r := m.direct(p, t.Alias, env); r != nil {
			return r
		}
	}
	if t.Const != nil && (p.Kind == syntax.String || p.Kind == syntax.Number || p.Kind == syntax.Literal || p.Kind == syntax.Unary) {
		return m.direct(p, t.Const, env)
	}
	if m.Symbolic && t.Kind == syntax.Ident && t.Value != nil {
		return m.match(p, t.Value, env)
	}
	return nil
}

func (m *Matcher) metavar(p, t *syntax.Node, env *Binding) []*Binding {
	if t.Type == syntax.Piece {
		return nil
	}
	switch t.Kind {
	case syntax.Args, syntax.Params, syntax.Decorators:
		return nil
	case syntax.Param:
		if p.Type != "" && t.Kid(2) != nil {
			if !sameType(p.Type, m.tree.Text(t.Kids[2].Start, t.Kids[2].End)) {
				return nil
			}
			return m.bind(p.Text, t.Kids[0], env)
		}
		if t.Kids[0] != nil {
			t = t.Kids[0]
		}
	}
	if p.Type != "" && !sameType(p.Type, m.tree.TypeOf(t)) {
		return nil
	}
	return m.bind(p.Text, t, env)
}

// sameType compares types as written; a pattern may leave out the package.
func sameType(want, got string) bool {
	want = strings.Join(strings.Fields(want), "")
	if got == "" || want == got {
		return got != ""
	}
	if i := strings.LastIndexByte(got, '.'); i >= 0 && !strings.Contains(want, ".") {
		star := ""
		if strings.HasPrefix(got, "*") {
			star = "*"
		}
		return want == star+got[i+1:]
	}
	return false
}

func (m *Matcher) deep(p, t *syntax.Node, env *Binding, out *[]*Binding) {
	if len(*out) >= maxBindings || m.Over() {
		return
	}
	*out = append(*out, m.match(p, t, env)...)
	for _, k := range t.Kids {
		if k != nil {
			m.deep(p, k, env, out)
		}
	}
}
