// Package metric measures functions: how many ways lead through them, and how long they are.
package metric

import (
	"integrationhub/internal/analysis/syntax"
)

// Function is what was measured of one function.
type Function struct {
	Node       *syntax.Node
	Name       string // "Type.method" for methods, "(anonymous)" without a name
	Line       int    // from 1
	Lines      int    // physical lines, first to last
	Complexity int    // cyclomatic: 1 and one for each decision
}

// Functions measures every function of t that has a name, or that stands in no
// other function. The decisions of anonymous functions count for the function
// around them, because that is where a reader meets them.
func Functions(t *syntax.Tree) []Function {
	var out []Function
	for _, n := range t.ByKind(syntax.Func) {
		if n.Kids[3] == nil || n.Kids[1] == nil && n.Enclosing(syntax.Func) != nil {
			continue
		}
		first := t.Line(n.Start)
		out = append(out, Function{
			Node:       n,
			Name:       name(n),
			Line:       first,
			Lines:      t.Line(max(n.Start, n.End-1)) - first + 1,
			Complexity: 1 + decisions(n, n),
		})
	}
	return out
}

func name(n *syntax.Node) string {
	if n.Kids[1] == nil {
		return "(anonymous)"
	}
	own := n.Kids[1].Text
	if own == "" {
		own = n.Kids[1].Dotted()
	}
	if r := n.Kid(5); r != nil && len(r.Kids) > 0 && r.Kids[0].Kind == syntax.Param {
		if t := receiver(r.Kids[0].Kid(2)); t != "" {
			return t + "." + own
		}
	}
	if c := n.Enclosing(syntax.Class); c != nil && n.Enclosing(syntax.Func) == nil && c.Kids[1] != nil {
		return c.Kids[1].Text + "." + own
	}
	return own
}

// receiver is the type's name of "*T", "T" and "T[K]".
func receiver(t *syntax.Node) string {
	for t != nil {
		if t.Kind == syntax.Ident {
			return t.Text
		}
		t = t.Kid(0)
	}
	return ""
}

// decisions counts branches in n that belong to the function f.
func decisions(n, f *syntax.Node) int {
	if n != f && n.Kind == syntax.Func && n.Kids[1] != nil {
		return 0
	}
	count := 0
	switch n.Kind {
	case syntax.If, syntax.For, syntax.ForEach, syntax.While, syntax.Handler, syntax.Conditional:
		count = 1
	case syntax.Case:
		if n.Text != "default" {
			count = 1
		}
	case syntax.Binary:
		switch n.Text {
		case "&&", "||", "and", "or", "??":
			count = 1
		}
	}
	for _, k := range n.Kids {
		if k != nil {
			count += decisions(k, f)
		}
	}
	return count
}
