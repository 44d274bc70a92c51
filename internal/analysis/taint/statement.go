package taint

import "integrationhub/internal/analysis/syntax"

// function follows a function with what it sees of the state around it.
func (f *flow) function(n *syntax.Node, s state) {
	inner := s.copy()
	params := n.Kids[2].Kids
	if r := n.Kid(5); r != nil {
		params = append(append([]*syntax.Node(nil), params...), r.Kids...)
	}
	for _, p := range params {
		tainted := f.isSource(p)
		name := p
		if p.Kind == syntax.Param {
			if name = p.Kids[0]; name == nil {
				continue
			}
			tainted = tainted || f.isSource(name) || f.expression(p.Kids[1], inner)
		}
		f.assign(name, tainted, inner)
	}
	if n.Kids[3] != nil {
		f.statements(n.Kids[3], inner)
	}
}

func (f *flow) statements(b *syntax.Node, s state) {
	for _, n := range b.Kids {
		f.expression(n, s)
	}
}

// statement follows what has branches, and reports whether n is such a thing.
func (f *flow) statement(n *syntax.Node, s state) bool {
	switch n.Kind {
	case syntax.Block:
		f.statements(n, s)
	case syntax.Class:
		if n.Kids[3] != nil {
			f.statements(n.Kids[3], s.copy())
		}
	case syntax.If:
		f.branch(n, s)
	case syntax.Switch:
		f.cases(n, s)
	case syntax.For, syntax.ForEach, syntax.While:
		f.loop(n, s)
	case syntax.Try:
		f.try(n, s)
	case syntax.With:
		f.expression(n.Kids[0], s)
		f.expression(n.Kids[1], s)
	default:
		return false
	}
	return true
}

func (f *flow) branch(n *syntax.Node, s state) {
	f.expression(n.Kid(3), s)
	f.expression(n.Kids[0], s)
	then, other := s.copy(), s.copy()
	f.expression(n.Kids[1], then)
	f.expression(n.Kids[2], other)
	var after []state
	if !ends(n.Kids[1]) {
		after = append(after, then)
	}
	if !ends(n.Kids[2]) {
		after = append(after, other)
	}
	s.become(after)
}

// ends reports whether control does not go on behind a block.
func ends(b *syntax.Node) bool {
	if b == nil || b.Kind != syntax.Block || len(b.Kids) == 0 {
		return false
	}
	last := b.Kids[len(b.Kids)-1]
	if last == nil {
		return false
	}
	switch last.Kind {
	case syntax.Return, syntax.Throw:
		return true
	case syntax.Other:
		return last.Type == "continue_statement" || last.Type == "break_statement"
	}
	return false
}

func (f *flow) cases(n *syntax.Node, s state) {
	f.expression(n.Kid(2), s)
	f.expression(n.Kids[0], s)
	if n.Kids[1] == nil {
		return
	}
	var after []state
	complete := false
	for _, c := range n.Kids[1].Kids {
		if c == nil || c.Kind != syntax.Case {
			continue
		}
		complete = complete || c.Text == "default"
		own := s.copy()
		f.expression(c.Kids[0], own)
		f.expression(c.Kids[1], own)
		after = append(after, own)
	}
	if !complete {
		after = append(after, s.copy())
	}
	s.become(after)
}

// loop follows the body until nothing new is learned, at most twice more.
func (f *flow) loop(n *syntax.Node, s state) {
	body := n.Kids[len(n.Kids)-1]
	if n.Kind == syntax.For {
		f.expression(n.Kids[0], s)
	}
	for range 3 {
		once := s.copy()
		switch n.Kind {
		case syntax.ForEach:
			f.assign(n.Kids[0], f.expression(n.Kids[1], once) || n.Kids[0] != nil && f.isSource(n.Kids[0]), once)
		case syntax.For:
			f.expression(n.Kids[1], once)
		case syntax.While:
			f.expression(n.Kids[0], once)
		}
		f.expression(body, once)
		if n.Kind == syntax.For {
			f.expression(n.Kids[2], once)
		}
		before := s.copy()
		s.become([]state{before, once})
		if s.equal(before) || f.over() {
			return
		}
	}
}

func (f *flow) try(n *syntax.Node, s state) {
	if len(n.Kids) == 0 {
		return
	}
	before := s.copy()
	f.expression(n.Kids[0], s)
	anywhere := before.copy()
	anywhere.become([]state{before, s})
	after := []state{}
	if !ends(n.Kids[0]) {
		after = append(after, s.copy())
	}
	for _, k := range n.Kids[1:] {
		if k != nil && k.Kind == syntax.Handler {
			own := anywhere.copy()
			f.assign(k.Kids[0], false, own)
			f.expression(k.Kids[1], own)
			if !ends(k.Kids[1]) {
				after = append(after, own)
			}
		}
	}
	s.become(after)
	for _, k := range n.Kids[1:] {
		if k != nil && k.Kind != syntax.Handler {
			for _, b := range append([]*syntax.Node{k}, k.Kids...) {
				if b != nil && b.Kind == syntax.Block {
					f.statements(b, s)
					break
				}
			}
		}
	}
}
