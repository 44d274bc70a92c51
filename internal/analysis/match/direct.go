package match

import (
	"strings"

	"integrationhub/internal/analysis/syntax"
)

// direct compares two nodes without looking through imports and constants.
func (m *Matcher) direct(p, t *syntax.Node, env *Binding) []*Binding {
	switch p.Kind {
	case syntax.Ident, syntax.Number, syntax.Literal:
		return m.leaf(p, t, env)
	case syntax.String:
		return m.matchText(p, t, env)
	case syntax.Member:
		return m.member(p, t, env)
	case syntax.Object:
		if t.Kind == syntax.Set && onlyEllipsis(p.Kids) {
			return one(env)
		}
	case syntax.VarDecl:
		if t.Kind == syntax.Assign && p.Kid(1) != nil && t.Kid(2) != nil {
			return m.pairs(env, p.Kids[0], t.Kids[0], p.Kids[1], t.Kids[2])
		}
	case syntax.While:
		if p.Kids[0] != nil && p.Kids[0].Kind == syntax.Ellipsis && (t.Kind == syntax.For || t.Kind == syntax.ForEach) {
			return m.match(p.Kids[1], t.Kids[len(t.Kids)-1], env)
		}
	}
	if p.Kind != t.Kind || p.Type != t.Type || p.Flags&^t.Flags&(syntax.Async|syntax.Interface) != 0 {
		return nil
	}
	return m.sameKind(p, t, env)
}

func (m *Matcher) leaf(p, t *syntax.Node, env *Binding) []*Binding {
	if t.Kind == syntax.Param && p.Kind == syntax.Ident {
		return m.match(p, t.Kids[0], env)
	}
	switch {
	case p.Text == t.Text && (t.Kind == p.Kind || t.Kind == syntax.Literal && p.Kind == syntax.Ident),
		p.Kind == syntax.Literal && (t.Kind == syntax.Literal || t.Kind == syntax.Ident) && strings.EqualFold(p.Text, t.Text):
		return one(env)
	}
	return nil
}

// member also reads "$X. ... .f": any chain of calls and members before f.
func (m *Matcher) member(p, t *syntax.Node, env *Binding) []*Binding {
	if p.Kids[1].Kind == syntax.Ellipsis {
		var out []*Binding
		for x := t; x != nil; {
			out = append(out, m.match(p.Kids[0], x, env)...)
			switch x.Kind {
			case syntax.Call, syntax.Member, syntax.Index, syntax.Await:
				x = x.Kids[0]
			default:
				x = nil
			}
		}
		return out
	}
	if t.Kind != syntax.Member {
		return nil
	}
	return m.pairs(env, p.Kids[0], t.Kids[0], p.Kids[1], t.Kids[1])
}

// pairs matches pattern, node, pattern, node, ... one after the other.
func (m *Matcher) pairs(env *Binding, pts ...*syntax.Node) []*Binding {
	envs := one(env)
	for i := 0; i < len(pts) && len(envs) > 0; i += 2 {
		var next []*Binding
		for _, e := range envs {
			next = append(next, m.match(pts[i], pts[i+1], e)...)
		}
		envs = next
	}
	return envs
}

// sameKind compares the kids of two nodes of the same kind.
func (m *Matcher) sameKind(p, t *syntax.Node, env *Binding) []*Binding {
	switch p.Kind {
	case syntax.Template:
		return m.list(templateParts(p.Kids), t.Kids, env)
	case syntax.Args:
		return m.arguments(p.Kids, t.Kids, env)
	case syntax.Comprehension, syntax.Spread:
		if p.Text != t.Text {
			return nil
		}
		return m.list(p.Kids, t.Kids, env)
	case syntax.Params, syntax.Tuple, syntax.List, syntax.Set:
		return m.list(p.Kids, t.Kids, env)
	case syntax.Return, syntax.Throw:
		if onlyEllipsis(p.Kids) {
			return one(env)
		}
		return m.list(p.Kids, t.Kids, env)
	case syntax.Decorators:
		return m.subset(p.Kids, t.Kids, env)
	case syntax.Object:
		return m.unordered(p.Kids, t.Kids, env, m.tree.Language.Family() == syntax.JavaScript)
	case syntax.Block:
		return envsOf(m.statements(p.Kids, t.Kids, env, true))
	case syntax.Func:
		return m.function(p, t, env)
	case syntax.Class:
		return m.class(p, t, env)
	case syntax.Import:
		return m.imported(p, t, env)
	case syntax.JSX:
		return m.jsx(p, t, env)
	case syntax.Try:
		return m.try(p, t, env)
	case syntax.Binary, syntax.Unary, syntax.AugAssign, syntax.Switch, syntax.ForEach, syntax.While, syntax.Regex:
		if p.Text != t.Text {
			return nil
		}
	case syntax.Other:
		if len(p.Kids) == 0 && p.Text != t.Text {
			return nil
		}
		return m.list(present(p.Kids), present(t.Kids), env)
	}
	return m.fixed(p, t, env)
}

// fixed compares kids place by place. What the pattern leaves out is free.
func (m *Matcher) fixed(p, t *syntax.Node, env *Binding) []*Binding {
	envs := one(env)
	for i, k := range p.Kids {
		if k == nil {
			if strict(p.Kind) && t.Kid(i) != nil {
				return nil
			}
			continue
		}
		var next []*Binding
		for _, e := range envs {
			next = append(next, m.match(k, t.Kid(i), e)...)
		}
		if envs = next; len(envs) == 0 {
			return nil
		}
	}
	return envs
}

// strict kinds mean what they leave out: "for {" has no condition, and a bare
// "except:" catches everything.
func strict(k syntax.Kind) bool {
	return k == syntax.For || k == syntax.While || k == syntax.Handler
}

func present(ns []*syntax.Node) []*syntax.Node {
	for i, n := range ns {
		if n == nil {
			out := append([]*syntax.Node(nil), ns[:i]...)
			for _, x := range ns[i:] {
				if x != nil {
					out = append(out, x)
				}
			}
			return out
		}
	}
	return ns
}

// templateParts reads f"..." as any template.
func templateParts(ps []*syntax.Node) []*syntax.Node {
	out := make([]*syntax.Node, len(ps))
	for i, p := range ps {
		out[i] = p
		if p.Kind == syntax.String && p.Text == "..." {
			out[i] = &syntax.Node{Kind: syntax.Ellipsis}
		}
	}
	return out
}

// function lets "function $F(...)" match anonymous functions too.
func (m *Matcher) function(p, t *syntax.Node, env *Binding) []*Binding {
	if p.Kids[1] == nil && t.Flags&syntax.Declared != 0 {
		return nil
	}
	envs := one(env)
	for i, k := range p.Kids {
		x := t.Kid(i)
		switch {
		case k == nil, x == nil && i == 1 && isWild(k.Kind), x == nil && k.Kind == syntax.Block && onlyEllipsis(k.Kids):
			continue
		case x == nil:
			return nil
		}
		var next []*Binding
		for _, e := range envs {
			next = append(next, m.match(k, x, e)...)
		}
		if envs = next; len(envs) == 0 {
			return nil
		}
	}
	return envs
}

// class takes what it extends and its members in any order.
func (m *Matcher) class(p, t *syntax.Node, env *Binding) []*Binding {
	if (p.Flags^t.Flags)&syntax.Interface != 0 {
		return nil
	}
	var out []*Binding
	for _, e := range m.pairs(env, p.Kids[0], t.Kids[0], p.Kids[1], t.Kids[1]) {
		for _, e := range m.subset(p.Kids[2].Kids, t.Kids[2].Kids, e) {
			if p.Kids[3] == nil || t.Kids[3] == nil {
				out = append(out, e)
				continue
			}
			out = append(out, m.subset(p.Kids[3].Kids, t.Kids[3].Kids, e)...)
		}
	}
	return out
}

// imported lets "import a" of Python match "import a.b", and "import 'm'" of
// JavaScript any import of m.
func (m *Matcher) imported(p, t *syntax.Node, env *Binding) []*Binding {
	if p.Text != t.Text && p.Text != "side" && m.tree.Language.Family() == syntax.JavaScript {
		return nil
	}
	envs := m.match(p.Kids[0], t.Kids[0], env)
	for x := t.Kids[0]; len(envs) == 0 && x != nil && x.Kind == syntax.Member && p.Kids[0].Dotted() != ""; {
		x = x.Kids[0]
		envs = m.match(p.Kids[0], x, env)
	}
	var out []*Binding
	for _, e := range envs {
		out = append(out, m.pairs(e, p.Kids[1], t.Kids[1], p.Kids[2], t.Kids[2])...)
	}
	return out
}

func (m *Matcher) jsx(p, t *syntax.Node, env *Binding) []*Binding {
	var out []*Binding
	for _, e := range m.match(p.Kids[0], t.Kids[0], env) {
		for _, e := range m.unordered(p.Kids[1].Kids, t.Kids[1].Kids, e, true) {
			if len(p.Kids[2].Kids) == 0 {
				out = append(out, e)
			} else {
				out = append(out, m.list(p.Kids[2].Kids, t.Kids[2].Kids, e)...)
			}
		}
	}
	return out
}

// try ignores handlers, else and finally that the pattern does not speak of.
func (m *Matcher) try(p, t *syntax.Node, env *Binding) []*Binding {
	if len(p.Kids) == 0 || len(t.Kids) == 0 {
		return nil
	}
	var out []*Binding
	for _, e := range m.match(p.Kids[0], t.Kids[0], env) {
		out = append(out, m.subset(p.Kids[1:], t.Kids[1:], e)...)
	}
	return out
}
