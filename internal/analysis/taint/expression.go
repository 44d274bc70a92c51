package taint

import "integrationhub/internal/analysis/syntax"

// evaluate is the taint that n has from its parts.
func (f *flow) evaluate(n *syntax.Node, s state) bool {
	switch n.Kind {
	case syntax.Ident:
		return s[n.Text]
	case syntax.String, syntax.Number, syntax.Literal, syntax.Import, syntax.Regex, syntax.VarDecl:
		return false
	case syntax.Func:
		f.function(n, s)
		return false
	case syntax.Assign:
		return f.assignment(n, s)
	case syntax.AugAssign:
		a, b := f.expression(n.Kids[0], s), f.expression(n.Kids[1], s)
		if v := variable(n.Kids[0]); v != "" && (a || b) {
			s[v] = true
		}
		return a || b
	case syntax.Member, syntax.Index:
		return f.part(n, s)
	case syntax.Call, syntax.New:
		return f.call(n, s)
	case syntax.Keyword, syntax.Pair:
		if n.Kids[0] != nil && n.Kids[0].Kind != syntax.Ident {
			f.expression(n.Kids[0], s)
		}
		return f.expression(n.Kids[1], s)
	case syntax.Binary:
		a, b := f.expression(n.Kids[0], s), f.expression(n.Kids[1], s)
		return (a || b) && !compares(n.Text)
	case syntax.Unary:
		tainted := f.expression(n.Kids[0], s)
		return tainted && n.Text != "not" && n.Text != "!"
	case syntax.Conditional:
		f.expression(n.Kids[0], s)
		a, b := f.expression(n.Kids[1], s), f.expression(n.Kids[2], s)
		return a || b
	case syntax.As:
		tainted := f.expression(n.Kids[0], s)
		f.assign(n.Kids[1], tainted, s)
		return tainted
	case syntax.Comprehension:
		return f.comprehension(n, s)
	}
	if f.statement(n, s) {
		return false
	}
	tainted := false
	for _, k := range n.Kids {
		if f.expression(k, s) {
			tainted = true
		}
	}
	return tainted
}

// compares: the answer of a comparison says too little to do harm.
func compares(operator string) bool {
	switch operator {
	case "==", "!=", "<", ">", "<=", ">=", "===", "!==", "in", "not in", "is", "is not", "instanceof":
		return true
	}
	return false
}

func (f *flow) assignment(n *syntax.Node, s state) bool {
	target := n.Kids[0]
	tainted := f.expression(n.Kids[1], s)
	if target == nil {
		return tainted
	}
	for _, k := range []span{spanOf(n), spanOf(target)} {
		if _, ok := f.sources[k]; ok {
			tainted = true
		}
		if _, ok := f.cleaners[k]; ok {
			tainted = false
		}
	}
	f.assign(target, tainted, s)
	if target.Kind != syntax.Ident {
		for _, k := range target.Kids {
			f.expression(k, s)
		}
	}
	if tainted {
		f.hit(target)
	}
	return tainted
}

// assign gives a target, or each part of a pattern, its taint.
func (f *flow) assign(n *syntax.Node, tainted bool, s state) {
	if n == nil {
		return
	}
	switch n.Kind {
	case syntax.Tuple, syntax.List, syntax.Object, syntax.Spread:
		for _, k := range n.Kids {
			f.assign(k, tainted || k != nil && f.isSource(k), s)
		}
		return
	case syntax.Pair:
		f.assign(n.Kids[1], tainted, s)
		return
	case syntax.Param:
		f.assign(n.Kids[0], tainted, s)
		return
	}
	if v := variable(n); v != "" {
		s.set(v, tainted)
		return
	}
	if !tainted {
		return
	}
	// A tainted element taints what holds it.
	for n.Kind == syntax.Member || n.Kind == syntax.Index {
		n = n.Kids[0]
	}
	if v := variable(n); v != "" {
		s[v] = true
	}
}

func (f *flow) isSource(n *syntax.Node) bool {
	_, ok := f.sources[spanOf(n)]
	return ok
}

// part is a member or an element: as tainted as itself if that is known, else as
// what it belongs to.
func (f *flow) part(n *syntax.Node, s state) bool {
	base := f.expression(n.Kids[0], s)
	if n.Kind == syntax.Index {
		for _, k := range n.Kids[1:] {
			f.expression(k, s)
		}
	}
	if v := variable(n); v != "" {
		if tainted, known := s[v]; known {
			return tainted
		}
	}
	return base
}

// call is tainted by its receiver and its arguments.
func (f *flow) call(n *syntax.Node, s state) bool {
	tainted := false
	if c := n.Kids[0]; c != nil && c.Kind == syntax.Member {
		if tainted = f.expression(c.Kids[0], s) || f.isSource(c); tainted {
			f.hit(c)
		}
	} else {
		tainted = f.expression(c, s)
	}
	if n.Kids[1] != nil {
		for _, a := range n.Kids[1].Kids {
			if f.expression(a, s) {
				tainted = true
			}
		}
	}
	return tainted
}

func (f *flow) comprehension(n *syntax.Node, s state) bool {
	inner := s.copy()
	for _, k := range n.Kids {
		if k != nil && k.Kind == syntax.ForEach {
			f.assign(k.Kids[0], f.expression(k.Kids[1], inner), inner)
		}
	}
	tainted := false
	for i, k := range n.Kids {
		if k != nil && k.Kind != syntax.ForEach && f.expression(k, inner) && i == 0 {
			tainted = true
		}
	}
	return tainted
}
