package match

import "integrationhub/internal/analysis/syntax"

// Binding is one metavariable with what it stands for, and the bindings before
// it. Bindings are never changed, so matches share them.
type Binding struct {
	Name  string       // "$X" or "$...X" as "$X"
	Node  *syntax.Node // nil for a part of a string and for "$...X"
	Text  string       // what it stands for where Node is nil
	Start int
	End   int
	up    *Binding
}

// Get finds a metavariable by its name, "$X".
func (b *Binding) Get(name string) *Binding {
	for ; b != nil; b = b.up {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// Source is the code that the metavariable stands for.
func (b *Binding) Source(t *syntax.Tree) string {
	if b.Node != nil {
		return t.Text(b.Node.Start, b.Node.End)
	}
	return b.Text
}

// content is the text to compare: of a string what stands between the quotes.
func (b *Binding) content(t *syntax.Tree) string {
	if b.Node != nil && b.Node.Kind == syntax.String {
		return b.Node.Text
	}
	return b.Source(t)
}

// same reports whether two bindings of one metavariable agree.
func same(t *syntax.Tree, a, b *Binding) bool {
	if a.Node == nil || b.Node == nil {
		return a.content(t) == b.content(t)
	}
	return syntax.Equal(a.Node, b.Node) || a.Node.Const != nil && b.Node.Const != nil && syntax.Equal(a.Node.Const, b.Node.Const)
}

// Merge joins the metavariables of two matches; ok is false where they disagree.
func Merge(t *syntax.Tree, a, b *Binding) (merged *Binding, ok bool) {
	merged = a
	for ; b != nil; b = b.up {
		if old := a.Get(b.Name); old != nil {
			if !same(t, old, b) {
				return nil, false
			}
			continue
		}
		c := *b
		c.up = merged
		merged = &c
	}
	return merged, true
}

func one(env *Binding) []*Binding { return []*Binding{env} }

const anything = "$_"

func (m *Matcher) bind(name string, n *syntax.Node, env *Binding) []*Binding {
	if name == anything {
		return one(env)
	}
	old := env.Get(name)
	if old == nil {
		return one(&Binding{Name: name, Node: n, Start: n.Start, End: n.End, up: env})
	}
	if old.Node == nil {
		b := Binding{Node: n}
		if old.Text == b.content(m.tree) {
			return one(env)
		}
		return nil
	}
	if syntax.Equal(old.Node, n) || n.Const != nil && syntax.Equal(old.Node, n.Const) || old.Node.Const != nil && syntax.Equal(old.Node.Const, n) {
		return one(env)
	}
	return nil
}

func (m *Matcher) bindText(name, s string, start, end int, env *Binding) []*Binding {
	if name == anything {
		return one(env)
	}
	if old := env.Get(name); old != nil {
		if old.content(m.tree) != s {
			return nil
		}
		return one(env)
	}
	return one(&Binding{Name: name, Text: s, Start: start, End: end, up: env})
}
