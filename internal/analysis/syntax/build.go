package syntax

import "strings"

// build makes our node of one of the grammar's; nil drops it.
type build func(c *conv, i ref) *Node

// multi marks a node whose kids belong into the list around it: one import
// statement is several imports. It never outlives the conversion.
const multi = "(several)"

// node converts one node. Anonymous tokens are left to the builders that need
// them, such as operators.
func (c *conv) node(i ref) *Node {
	if i == none || !c.isNamed(i) || c.comment(i) {
		return nil
	}
	if k := c.raw[i].kind; int(k) < len(c.build) {
		if b := c.build[k]; b != nil {
			return b(c, i)
		}
	}
	return other(c, i)
}

// other keeps the grammar's shape: the named kids, or the text of a leaf.
func other(c *conv, i ref) *Node {
	n := c.make(Other, i, c.kidsOf(i)...)
	n.Type = c.kind(i)
	if len(n.Kids) == 0 {
		n.Text = strings.TrimRight(c.text(i), "; \t\r\n")
	}
	return n
}

func (c *conv) first(i ref) ref {
	if c.raw[i].next == i+1 {
		return none
	}
	return i + 1
}

// sibling is the node after j below parent i.
func (c *conv) sibling(i, j ref) ref {
	if n := c.raw[j].next; n < c.raw[i].next {
		return n
	}
	return none
}

// field is the first kid of i in the named field.
func (c *conv) field(i ref, name string) ref {
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		if c.fields[c.raw[j].field] == name && !c.comment(j) {
			return j
		}
	}
	return none
}

// kid is the first kid of i of the given kind.
func (c *conv) kid(i ref, kind string) ref {
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		if c.kind(j) == kind {
			return j
		}
	}
	return none
}

// namedKids lists the named kids of i without comments.
func (c *conv) namedKids(i ref) []ref {
	var out []ref
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		if c.isNamed(j) && !c.comment(j) {
			out = append(out, j)
		}
	}
	return out
}

// inField lists the kids of i in the named field.
func (c *conv) inField(i ref, name string) []ref {
	var out []ref
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		if c.fields[c.raw[j].field] == name && c.isNamed(j) && !c.comment(j) {
			out = append(out, j)
		}
	}
	return out
}

// kidsOf converts all named kids of i, flattened.
func (c *conv) kidsOf(i ref) []*Node { return c.convert(c.namedKids(i)) }

func (c *conv) convert(rs []ref) []*Node {
	out := make([]*Node, 0, len(rs))
	for _, r := range rs {
		out = flatten(out, c.node(r))
	}
	return out
}

func flatten(out []*Node, n *Node) []*Node {
	if n == nil {
		return out
	}
	if n.Type == multi {
		for _, k := range n.Kids {
			out = flatten(out, k)
		}
		return out
	}
	return append(out, n)
}

// several is one node, or a node that its list will flatten.
func (c *conv) several(i ref, kids []*Node) *Node {
	if len(kids) == 1 {
		return kids[0]
	}
	n := c.make(Other, i, kids...)
	n.Type = multi
	return n
}

func (c *conv) at(i ref, field string) *Node { return c.node(c.field(i, field)) }

// block makes a Block of any statement, so that braces make no difference.
func (c *conv) block(i ref) *Node {
	n := c.node(i)
	if n == nil || n.Kind == Block {
		return n
	}
	if n.Type == multi {
		return c.make(Block, i, n.Kids...)
	}
	return c.make(Block, i, n)
}

// leaf makes builders for nodes that are only text.
func leaf(k Kind) build {
	return func(c *conv, i ref) *Node {
		n := c.make(k, i)
		n.Text = c.text(i)
		return n
	}
}

// all makes builders for nodes that keep their named kids in order.
func all(k Kind) build {
	return func(c *conv, i ref) *Node { return c.make(k, i, c.kidsOf(i)...) }
}

// fields makes builders for nodes with a fixed order of fields.
func fields(k Kind, names ...string) build {
	return func(c *conv, i ref) *Node {
		kids := make([]*Node, len(names))
		for j, name := range names {
			kids[j] = c.at(i, name)
		}
		return c.make(k, i, kids...)
	}
}

func drop(*conv, ref) *Node { return nil }

// unwrap stands for its first named kid.
func unwrap(c *conv, i ref) *Node {
	for _, j := range c.namedKids(i) {
		return c.node(j)
	}
	return nil
}

// statement is an expression that stands alone; several are a tuple.
func statement(c *conv, i ref) *Node {
	kids := c.namedKids(i)
	if len(kids) == 1 {
		return c.node(kids[0])
	}
	if len(kids) == 0 {
		return nil
	}
	return c.make(Tuple, i, c.convert(kids)...)
}

// spliced belongs, with all its kids, into the list around it.
func spliced(c *conv, i ref) *Node { return c.several(i, c.kidsOf(i)) }

// upTo ends a statement before its semicolon, so that a pattern without one
// spans the same text and a fix replaces the statement alone.
func (c *conv) upTo(n *Node) *Node {
	n.End = n.Start + len(strings.TrimRight(c.src[n.Start:n.End], "; \t\r\n"))
	return n
}

// ended wraps a builder of statements that include their semicolon.
func ended(b build) build {
	return func(c *conv, i ref) *Node {
		n := b(c, i)
		if n != nil && n.End > n.Start {
			c.upTo(n)
		}
		return n
	}
}

func call(c *conv, i ref) *Node {
	f, a := c.field(i, "function"), c.field(i, "arguments")
	if f == none || a == none {
		return other(c, i)
	}
	return c.make(Call, i, c.node(f), c.arguments(a))
}

// arguments is always an Args: a generator or a tagged template is one argument.
func (c *conv) arguments(i ref) *Node {
	n := c.node(i)
	if n == nil || n.Kind == Args {
		return n
	}
	return c.make(Args, i, n)
}

func binary(c *conv, i ref) *Node {
	n := c.make(Binary, i, c.at(i, "left"), c.at(i, "right"))
	n.Text = c.operator(i, "operator")
	return n
}

func unary(operand string) build {
	return func(c *conv, i ref) *Node {
		n := c.make(Unary, i, c.at(i, operand))
		n.Text = c.operator(i, "operator")
		return n
	}
}

// operator is the token in the named field, or else the first anonymous kid.
func (c *conv) operator(i ref, name string) string {
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		if name != "" && c.fields[c.raw[j].field] == name {
			return c.text(j)
		}
	}
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		if !c.isNamed(j) && c.text(j) != "(" {
			return c.text(j)
		}
	}
	return ""
}

// assign covers "=", ":=" and, under another kind, "+=" and its like.
func assign(c *conv, i ref) *Node {
	l, r := c.at(i, "left"), c.at(i, "right")
	if r == nil {
		return c.make(VarDecl, i, l, c.at(i, "type"))
	}
	op := "="
	if j := c.field(i, "operator"); j != none {
		op = c.text(j)
	}
	if op != "=" && op != ":=" {
		n := c.make(AugAssign, i, l, r)
		n.Text = op
		return n
	}
	n := c.make(Assign, i, l, r, c.at(i, "type"))
	n.Text = op
	return n
}

func augAssign(c *conv, i ref) *Node {
	n := c.make(AugAssign, i, c.at(i, "left"), c.at(i, "right"))
	n.Text = c.operator(i, "operator")
	return n
}

// function makes builders of functions; result names the field of the type.
func function(flags Flags, result string) build {
	return func(c *conv, i ref) *Node {
		params := c.at(i, "parameters")
		if params == nil {
			params = c.make(Params, i)
			params.End = params.Start
			if p := c.at(i, "parameter"); p != nil {
				params.Kids = c.keep([]*Node{p})
				params.Start, params.End = p.Start, p.End
			}
		}
		n := c.make(Func, i, c.decorators(c.inField(i, "decorator"), i), c.at(i, "name"), params, c.body(i), c.at(i, result), c.at(i, "receiver"))
		n.Flags = flags
		if strings.HasPrefix(c.src[n.Start:n.End], "async") {
			n.Flags |= Async
		}
		return n
	}
}

// body is a Block: a function that is one expression returns it.
func (c *conv) body(i ref) *Node {
	j := c.field(i, "body")
	if j == none {
		return nil
	}
	b := c.node(j)
	if b == nil || b.Kind == Block {
		return b
	}
	return c.make(Block, j, c.make(Return, j, b))
}

func (c *conv) decorators(rs []ref, i ref) *Node {
	if len(rs) == 0 {
		return nil
	}
	n := c.make(Decorators, i, c.convert(rs)...)
	n.Start, n.End = int(c.raw[rs[0]].start), int(c.raw[rs[len(rs)-1]].end)
	return n
}

// ifElse is an if with its initialiser, of Go and JavaScript.
func ifElse(c *conv, i ref) *Node {
	alt := c.at(i, "alternative")
	if alt != nil && alt.Kind != If && alt.Kind != Block {
		alt = c.make(Block, c.field(i, "alternative"), alt)
	}
	return c.make(If, i, c.at(i, "condition"), c.block(c.field(i, "consequence")), alt, c.at(i, "initializer"))
}

func while(c *conv, i ref) *Node {
	n := c.make(While, i, c.at(i, "condition"), c.block(c.field(i, "body")))
	if strings.HasPrefix(c.kind(i), "do") {
		n.Text = "do"
	}
	return n
}

func forEach(c *conv, i ref) *Node {
	n := c.make(ForEach, i, c.at(i, "left"), c.at(i, "right"), c.block(c.field(i, "body")))
	n.Text = c.operator(i, "operator")
	return n
}

// caseOf makes builders of the branches of a switch: values in the given fields,
// everything else is the body.
func caseOf(values ...string) build {
	return func(c *conv, i ref) *Node {
		args, body := c.make(Args, i), c.make(Block, i)
		var vs, ss []*Node
	kids:
		for _, j := range c.namedKids(i) {
			for _, v := range values {
				if c.fields[c.raw[j].field] == v {
					vs = elements(vs, c.node(j))
					continue kids
				}
			}
			ss = flatten(ss, c.node(j))
		}
		args.Kids, body.Kids = vs, ss
		if len(ss) > 0 {
			body.Start, body.End = ss[0].Start, ss[len(ss)-1].End
		}
		n := c.make(Case, i, args, body)
		if len(vs) == 0 {
			n.Text = "default"
		}
		return n
	}
}

// elements appends n, or what a list without brackets lists.
func elements(out []*Node, n *Node) []*Node {
	if n != nil && n.Kind == Tuple {
		return append(out, n.Kids...)
	}
	return flatten(out, n)
}

func pair(c *conv, i ref) *Node {
	kids := c.kidsOf(i)
	if len(kids) != 2 {
		return other(c, i)
	}
	return c.make(Pair, i, kids...)
}
