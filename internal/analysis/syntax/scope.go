package syntax

// scope holds what the names of one function, class or file are bound to.
type scope struct {
	node *Node
	up   *scope
	defs map[string][]definition
}

// definition is one place where a name gets a value.
type definition struct {
	value *Node // nil where it cannot be told
	at    *Node // the defining statement
	typ   *Node // the declared type, or nil
	param bool
}

func (s *scope) add(name, value, at, typ *Node, param bool) {
	if name == nil {
		return
	}
	switch name.Kind {
	case Ident:
		s.defs[name.Text] = append(s.defs[name.Text], definition{value, at, typ, param})
	case Tuple, List, Object, Pair, Param, Spread:
		for _, k := range name.Kids {
			s.add(k, nil, at, nil, param)
		}
	}
}

// find is the nearest scope from s upwards that binds name, or nil.
func (s *scope) find(name string) *scope {
	for ; s != nil; s = s.up {
		if len(s.defs[name]) > 0 {
			return s
		}
	}
	return nil
}

// collect lists the nodes, links parents, and fills the scopes.
func (t *Tree) collect(n *Node, s *scope) {
	t.Nodes = append(t.Nodes, n)
	t.byKind[n.Kind] = append(t.byKind[n.Kind], n)
	s = t.define(n, s)
	for _, k := range n.Kids {
		if k != nil {
			k.Parent = n
			t.collect(k, s)
		}
	}
}

// define records what n binds, and returns the scope of its kids.
func (t *Tree) define(n *Node, s *scope) *scope {
	switch n.Kind {
	case Ident:
		t.Words[n.Text] = struct{}{}
	case Func, Class:
		s.add(n.Kids[1], nil, n, nil, false)
		s = &scope{node: n, up: s, defs: map[string][]definition{}}
		t.scopes[n] = s
		if n.Kind == Func {
			s.params(n.Kids[2])
			s.params(n.Kid(5))
		}
	case Assign:
		s.add(n.Kids[0], n.Kids[1], n, n.Kid(2), false)
	case AugAssign, As, Handler:
		i := 0
		if n.Kind == As {
			i = 1
		}
		s.add(n.Kids[i], nil, n, nil, false)
	case VarDecl:
		s.add(n.Kids[0], nil, n, n.Kid(1), false)
	case ForEach:
		s.add(n.Kids[0], nil, n, nil, false)
	case Unary:
		if n.Text == "++" || n.Text == "--" || n.Text == "&" {
			// Stepped, or handed out by address: no longer known.
			s.add(n.Kids[0], nil, n, nil, false)
		}
	}
	return s
}

func (s *scope) params(n *Node) {
	if n == nil {
		return
	}
	for _, p := range n.Kids {
		if p.Kind == Param {
			s.add(p.Kids[0], nil, p, p.Kid(2), true)
		} else {
			s.add(p, nil, p, nil, true)
		}
	}
}

// value is what a name holds at n, when one definition surely reaches it.
func (s *scope) value(n *Node, script bool) *Node {
	own := s.defs[n.Text]
	if len(own) > 0 {
		return s.reaching(n, own)
	}
	up := s.up.find(n.Text)
	if up == nil {
		return nil
	}
	ds := up.defs[n.Text]
	if len(ds) != 1 || ds[0].value == nil {
		return nil
	}
	if v := ds[0].value; script || v.Kind == String || v.Kind == Number || v.Kind == Literal {
		return v
	}
	return nil
}

// reaching is the value of the last definition before n, if it dominates n and
// no loop brings a later one back.
func (s *scope) reaching(n *Node, ds []definition) *Node {
	var last *definition
	later := false
	for i := range ds {
		d := &ds[i]
		switch {
		case d.at.End <= n.Start && !d.param:
			last = d
		case d.at.Start > n.Start:
			later = true
		case d.param && len(ds) == 1:
			return nil
		}
	}
	if last == nil || last.value == nil {
		return nil
	}
	b := last.at.Enclosing(Block)
	if b == nil || !n.Within(b) {
		return nil
	}
	if !later {
		return last.value
	}
	for x := n.Parent; x != nil && x != s.node; x = x.Parent {
		if (x.Kind == For || x.Kind == While || x.Kind == ForEach) && !last.at.Within(x) {
			return nil
		}
	}
	return last.value
}

// TypeOf is the declared or constructed type of the expression n as the source
// writes it, without blanks, or empty where the file does not tell.
func (t *Tree) TypeOf(n *Node) string {
	switch n.Kind {
	case String, Template:
		return "string"
	case Number:
		return "int"
	case New:
		return t.typeText(n.Kids[0])
	case Composite:
		return t.typeText(n.Kids[0])
	case Unary:
		if n.Text == "&" && n.Kids[0] != nil {
			if inner := t.TypeOf(n.Kids[0]); inner != "" {
				return "*" + inner
			}
		}
	case Binary:
		if n.Text == "+" && (t.TypeOf(n.Kids[0]) == "string" || t.TypeOf(n.Kids[1]) == "string") {
			return "string"
		}
	case Ident:
		return t.typeOfName(n)
	}
	return ""
}

func (t *Tree) typeOfName(n *Node) string {
	if n.scope == nil {
		return ""
	}
	ds := n.scope.defs[n.Text]
	for i := len(ds) - 1; i >= 0; i-- {
		if ds[i].typ != nil {
			return t.typeText(ds[i].typ)
		}
		if v := ds[i].value; v != nil && v.Kind != Ident {
			return t.TypeOf(v)
		}
	}
	return ""
}

func (t *Tree) typeText(n *Node) string {
	if n == nil {
		return ""
	}
	if n.Alias != nil {
		if d := n.Alias.Dotted(); d != "" {
			return d
		}
	}
	out := make([]byte, 0, n.End-n.Start)
	for i := n.Start; i < n.End; i++ {
		switch c := t.Source[i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
