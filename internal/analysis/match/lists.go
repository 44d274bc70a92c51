package match

import "integrationhub/internal/analysis/syntax"

// list matches elements in order, with "..." and "$...X" for any number.
func (m *Matcher) list(ps, ts []*syntax.Node, env *Binding) []*Binding {
	if len(ps) == 0 {
		if len(ts) == 0 {
			return one(env)
		}
		return nil
	}
	if m.Over() {
		return nil
	}
	var out []*Binding
	switch p := ps[0]; p.Kind {
	case syntax.Ellipsis:
		if len(ps) == 1 {
			return one(env)
		}
		for i := 0; i <= len(ts) && len(out) < maxBindings; i++ {
			out = append(out, m.list(ps[1:], ts[i:], env)...)
		}
	case syntax.MetaRest:
		for i := len(ts); i >= 0 && len(out) < maxBindings; i-- {
			start, end := 0, 0
			if i > 0 {
				start, end = ts[0].Start, ts[i-1].End
			}
			for _, e := range m.bindText(p.Text, m.tree.Text(start, end), start, end, env) {
				out = append(out, m.list(ps[1:], ts[i:], e)...)
			}
		}
	default:
		if len(ts) == 0 {
			return nil
		}
		for _, e := range m.match(p, ts[0], env) {
			if out = append(out, m.list(ps[1:], ts[1:], e)...); len(out) >= maxBindings {
				break
			}
		}
	}
	return out
}

// subset matches each pattern with a different element, in any order.
func (m *Matcher) subset(ps, ts []*syntax.Node, env *Binding) []*Binding {
	if len(ps) == 0 {
		return one(env)
	}
	if ps[0].Kind == syntax.Ellipsis || ps[0].Kind == syntax.MetaRest {
		return m.subset(ps[1:], ts, env)
	}
	var out []*Binding
	for i, t := range ts {
		for _, e := range m.match(ps[0], t, env) {
			rest := make([]*syntax.Node, 0, len(ts)-1)
			rest = append(append(rest, ts[:i]...), ts[i+1:]...)
			if out = append(out, m.subset(ps[1:], rest, e)...); len(out) >= maxBindings {
				return out
			}
		}
	}
	return out
}

// unordered matches the entries of an object. Without "..." all of them must be
// named, unless less is allowed.
func (m *Matcher) unordered(ps, ts []*syntax.Node, env *Binding, less bool) []*Binding {
	count, keyed := 0, false
	for _, p := range ps {
		switch p.Kind {
		case syntax.Ellipsis, syntax.MetaRest:
			less = true
			continue
		case syntax.Pair, syntax.Func, syntax.Keyword:
			keyed = true
		}
		count++
	}
	switch {
	case !less && count != len(ts):
		return nil
	case !less && !keyed:
		return m.list(ps, ts, env)
	}
	return m.subset(ps, ts, env)
}

// arguments takes keyword arguments in any order.
func (m *Matcher) arguments(ps, ts []*syntax.Node, env *Binding) []*Binding {
	var keywords, positional []*syntax.Node
	for _, p := range ps {
		if p.Kind == syntax.Keyword && p.Kids[0].Kind == syntax.Ident {
			keywords = append(keywords, p)
		} else {
			positional = append(positional, p)
		}
	}
	envs, rest := one(env), ts
	for _, k := range keywords {
		i := keywordAt(rest, k.Kids[0].Text)
		if i < 0 {
			return nil
		}
		var next []*Binding
		for _, e := range envs {
			next = append(next, m.match(k.Kids[1], rest[i].Kids[1], e)...)
		}
		without := make([]*syntax.Node, 0, len(rest)-1)
		envs, rest = next, append(append(without, rest[:i]...), rest[i+1:]...)
	}
	var out []*Binding
	for _, e := range envs {
		out = append(out, m.list(positional, rest, e)...)
	}
	return out
}

func keywordAt(ts []*syntax.Node, name string) int {
	for i, t := range ts {
		if t.Kind == syntax.Keyword && t.Kids[0] != nil && t.Kids[0].Text == name {
			return i
		}
	}
	return -1
}
