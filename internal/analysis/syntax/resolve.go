package syntax

import (
	"strings"
	"unicode"
)

// imported is what a local name stands for from some place on.
type imported struct {
	from int
	path *Node
}

// resolver gives names their meaning: imports, constants, scopes.
type resolver struct {
	*Tree
	imports map[string][]imported
}

func (t *Tree) resolve() {
	t.scopes = map[*Node]*scope{}
	s := &scope{node: t.Root, defs: map[string][]definition{}}
	t.scopes[t.Root] = s
	t.collect(t.Root, s)
	r := &resolver{Tree: t, imports: map[string][]imported{}}
	for _, n := range t.ByKind(Import) {
		r.addImport(n)
	}
	if t.Language.Family() == JavaScript {
		r.addRequires()
	}
	r.walk(t.Root, s)
}

func (r *resolver) bind(name string, path *Node, n *Node) {
	if path != nil && path.Dotted() != name {
		r.imports[name] = append(r.imports[name], imported{n.Start, path})
	}
}

func (r *resolver) addImport(n *Node) {
	path, name, alias := n.Kids[0], n.Kids[1], n.Kids[2]
	if path == nil {
		return
	}
	if path.Kind == String {
		r.addWords(path.Text)
	}
	switch r.Language.Family() {
	case Python:
		switch {
		case alias != nil:
			r.bind(alias.Text, path, n)
		case n.Text == "from" && path.Kind == Member:
			r.bind(path.Kids[1].Text, path, n)
		}
	case Go:
		base := goPackage(path.Text)
		if alias != nil && alias.Kind == Ident && alias.Text != "." && alias.Text != "_" {
			r.bind(alias.Text, ident(base, path), n)
		} else if alias == nil {
			r.Words[base] = struct{}{}
		}
	case JavaScript:
		module := moduleChain(path)
		switch {
		case module == nil:
		case n.Text == "named" && name != nil:
			local := name
			if alias != nil {
				local = alias
			}
			r.bind(local.Text, member(module, name), n)
		case alias != nil:
			r.bind(alias.Text, module, n)
		}
	}
}

// addRequires reads "x = require('m')" and "{a, b: c} = require('m')".
func (r *resolver) addRequires() {
	for _, n := range r.ByKind(Assign) {
		v := n.Kids[1]
		if v.Kind != Call || v.Kids[0].Dotted() != "require" || len(v.Kids[1].Kids) != 1 || v.Kids[1].Kids[0].Kind != String {
			continue
		}
		path := v.Kids[1].Kids[0]
		r.addWords(path.Text)
		module := moduleChain(path)
		if module == nil || n.Kids[0] == nil {
			continue
		}
		switch target := n.Kids[0]; target.Kind {
		case Ident:
			r.bind(target.Text, module, n)
		case Object:
			for _, p := range target.Kids {
				if p.Kind == Pair && p.Kids[0].Kind == Ident && p.Kids[1].Kind == Ident {
					r.bind(p.Kids[1].Text, member(module, p.Kids[0]), n)
				}
			}
		}
	}
}

func (r *resolver) addWords(s string) {
	for _, w := range strings.FieldsFunc(s, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		r.Words[w] = struct{}{}
	}
}

// goPackage is the name that a Go import path usually has: its last part that
// is no version.
func goPackage(path string) string {
	parts := strings.Split(path, "/")
	last := parts[len(parts)-1]
	if len(parts) > 1 && len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = parts[len(parts)-2]
	}
	last, _, _ = strings.Cut(last, ".v")
	return last
}

// moduleChain is the module of an import as code would name it: fs.promises for
// "node:fs/promises". A file of the project has no such name.
func moduleChain(path *Node) *Node {
	if path.Kind != String || path.Text == "" || path.Text[0] == '.' || path.Text[0] == '/' {
		return nil
	}
	var n *Node
	for _, p := range strings.Split(strings.TrimPrefix(path.Text, "node:"), "/") {
		if p == "" || strings.ContainsFunc(p, func(c rune) bool { return c != '_' && c != '$' && !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
			return nil
		}
		if n == nil {
			n = ident(p, path)
		} else {
			n = member(n, ident(p, path))
		}
	}
	return n
}

func ident(name string, at *Node) *Node {
	return &Node{Kind: Ident, Text: name, Start: at.Start, End: at.End}
}

func member(object, name *Node) *Node {
	return &Node{Kind: Member, Start: object.Start, End: name.End, Kids: []*Node{object, name}}
}

func (r *resolver) walk(n *Node, s *scope) {
	if own := r.scopes[n]; own != nil {
		s = own
	}
	for _, k := range n.Kids {
		if k != nil {
			r.walk(k, s)
		}
	}
	switch n.Kind {
	case Ident:
		r.name(n, s)
	case Member:
		if a := n.Kids[0].Alias; a != nil {
			n.Alias = &Node{Kind: Member, Start: n.Start, End: n.End, Kids: []*Node{a, n.Kids[1]}}
		}
		n.Const = classConstant(n, s)
	case Binary:
		a, b := n.Kids[0].Literal(), n.Kids[1].Literal()
		if n.Text == "+" && a != nil && b != nil && a.Kind == String && b.Kind == String {
			n.Const = &Node{Kind: String, Text: a.Text + b.Text, Start: n.Start, End: n.End}
		}
	case Template:
		n.Const = joined(n)
	}
}

// joined is the string that a Template is when all its parts are known.
func joined(n *Node) *Node {
	var text strings.Builder
	for _, k := range n.Kids {
		l := k.Literal()
		if l == nil || l.Kind != String {
			return nil
		}
		text.WriteString(l.Text)
	}
	return &Node{Kind: String, Text: text.String(), Start: n.Start, End: n.End}
}

// name resolves one identifier.
func (r *resolver) name(n *Node, s *scope) {
	p := n.Parent
	if p == nil || p.Kind == Member && p.Kids[1] == n {
		return
	}
	if p.Kind != Import {
		n.scope = s.find(n.Text)
	}
	if labels(n) {
		return
	}
	if len(r.imports[n.Text]) > 0 && n.Enclosing(Import) == nil && !r.shadowed(n) {
		for _, i := range r.imports[n.Text] {
			if r.Language != Python || i.from < n.Start {
				n.Alias = i.path
			}
		}
	}
	if (p.Kind == Assign || p.Kind == AugAssign) && p.Kids[0] == n {
		return
	}
	v := s.value(n, r.Language.Family() == JavaScript)
	n.Value = v
	if v != nil {
		n.Const = v.Literal()
	}
}

// shadowed reports whether a parameter or variable of a function hides the import.
func (r *resolver) shadowed(n *Node) bool {
	return n.scope != nil && n.scope.node != r.Root && !requires(n.scope.defs[n.Text])
}

func requires(ds []definition) bool {
	for _, d := range ds {
		if d.at.Kind == Assign && d.at.Kids[1].Kind == Call && d.at.Kids[1].Kids[0].Dotted() == "require" {
			return true
		}
	}
	return false
}

// labels reports whether an identifier only names something: a key, a
// definition, a keyword argument.
func labels(n *Node) bool {
	p := n.Parent
	switch p.Kind {
	case Keyword, Pair:
		return p.Kids[0] == n
	case Func, Class:
		return p.Kids[1] == n
	case Import:
		return true
	}
	return false
}

// IsName reports whether n is no expression but the name of something.
func (n *Node) IsName() bool {
	if n.Kind != Ident || n.Parent == nil {
		return false
	}
	return labels(n) || n.Parent.Kind == Member && n.Parent.Kids[1] == n
}

// Literal is the String, Number or Literal that n is or is known to be, or nil.
func (n *Node) Literal() *Node {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case String, Number, Literal:
		return n
	case Unary:
		if n.Text == "-" && n.Kids[0] != nil && n.Kids[0].Kind == Number {
			return n
		}
	}
	return n.Const
}

// classConstant is the string that self.name holds when the class sets it once.
func classConstant(n *Node, s *scope) *Node {
	if o := n.Kids[0].Text; n.Kids[0].Kind != Ident || o != "self" && o != "this" || n.Kids[1].Kind != Ident {
		return nil
	}
	for ; s != nil; s = s.up {
		if s.node.Kind == Class {
			if ds := s.defs[n.Kids[1].Text]; len(ds) == 1 && ds[0].value != nil && ds[0].value.Kind == String {
				return ds[0].value
			}
		}
	}
	return nil
}
