package syntax

import "strings"

func pythonBuilds() map[string]build {
	b := map[string]build{
		"module": all(Block), "block": all(Block),
		"expression_statement": statement, "parenthesized_expression": unwrap, "type": unwrap,
		"as_pattern_target": unwrap, "expression_list": statement, "pattern_list": statement,
		"assignment": assign, "augmented_assignment": augAssign, "named_expression": fields(Assign, "name", "value"),
		"call": call, "argument_list": all(Args), "keyword_argument": fields(Keyword, "name", "value"),
		"attribute": fields(Member, "object", "attribute"), "dotted_name": pyDotted, "subscript": pyIndex,
		"list_splat": pyStar, "dictionary_splat": pyStar,
		"list_splat_pattern": pyStar, "dictionary_splat_pattern": pyStar,
		"string": pyString, "concatenated_string": pyStrings,
		"binary_operator": binary, "boolean_operator": binary, "comparison_operator": pyCompare,
		"not_operator": unary("argument"), "unary_operator": unary("argument"),
		"function_definition": function(Declared, "return_type"), "lambda": function(0, ""),
		"parameters": all(Params), "lambda_parameters": all(Params),
		"default_parameter": pyParam, "typed_default_parameter": pyParam, "typed_parameter": pyTypedParam,
		"class_definition": pyClass, "decorated_definition": pyDecorated, "decorator": unwrap,
		"import_statement": pyImport, "import_from_statement": pyImport, "future_import_statement": pyImport,
		"if_statement": pyIf, "for_statement": forEach, "while_statement": while,
		"for_in_clause": pyForIn, "if_clause": unwrap,
		"list_comprehension": pyComprehension, "set_comprehension": pyComprehension,
		"dictionary_comprehension": pyComprehension, "generator_expression": pyComprehension,
		"try_statement": pyTry, "except_clause": pyExcept, "finally_clause": pyFinally, "else_clause": pyElse,
		"with_statement": pyWith, "with_item": unwrap, "as_pattern": pyAs,
		"raise_statement": all(Throw), "return_statement": all(Return), "await": all(Await),
		"conditional_expression": pyConditional,
		"dictionary":             all(Object), "pair": pair, "list": all(List), "set": all(Set),
		"tuple": all(Tuple), "list_pattern": all(List), "tuple_pattern": all(Tuple),
		"match_statement": pyMatch, "case_clause": pyCase,
		"identifier": leaf(Ident), "integer": leaf(Number), "float": leaf(Number),
	}
	for _, k := range []string{"true", "false", "none"} {
		b[k] = leaf(Literal)
	}
	return b
}

// pyDotted is the Member chain of "a.b.c".
func pyDotted(c *conv, i ref) *Node { return c.chain(i, c.kidsOf(i)) }

func (c *conv) chain(i ref, parts []*Node) *Node {
	if len(parts) == 0 {
		return nil
	}
	n := parts[0]
	for _, p := range parts[1:] {
		m := c.make(Member, i, n, p)
		m.Start, m.End = n.Start, p.End
		n = m
	}
	return n
}

func pyIndex(c *conv, i ref) *Node { return c.make(Index, i, c.kidsOf(i)...) }

// pyString takes the text between the quotes. An f-string is a Template even
// without values, so that patterns can tell it from a plain string.
func pyString(c *conv, i ref) *Node {
	open, shut := c.kid(i, "string_start"), c.kid(i, "string_end")
	if open == none || shut == none {
		return other(c, i)
	}
	from, to := c.raw[open].end, c.raw[shut].start
	if !strings.ContainsAny(c.text(open), "fFtT") {
		n := c.make(String, i)
		n.Text = c.src[from:to]
		return n
	}
	var parts []*Node
	at := from
	text := func(end uint32) {
		if end > at {
			parts = append(parts, c.piece(i, at, end))
		}
	}
	for _, j := range c.namedKids(i) {
		if c.kind(j) == "interpolation" {
			text(c.raw[j].start)
			parts = append(parts, c.at(j, "expression"))
			at = c.raw[j].end
		}
	}
	text(to)
	return c.make(Template, i, parts...)
}

// piece is the text of a Template between two offsets.
func (c *conv) piece(i ref, from, to uint32) *Node {
	n := c.make(String, i)
	n.Type, n.Start, n.End, n.Text = Piece, int(from), int(to), c.src[from:to]
	return n
}

// pyStrings joins "a" "b".
func pyStrings(c *conv, i ref) *Node {
	var parts []*Node
	var text strings.Builder
	plain := true
	for _, k := range c.kidsOf(i) {
		if k.Kind == Template {
			parts, plain = append(parts, k.Kids...), false
			continue
		}
		parts = append(parts, k)
		text.WriteString(k.Text)
	}
	if !plain {
		return c.make(Template, i, parts...)
	}
	n := c.make(String, i)
	n.Text = text.String()
	return n
}

func pyStar(c *conv, i ref) *Node {
	kids := c.kidsOf(i)
	n := c.make(Spread, i, kids...)
	n.Text = c.text(i)[:len(c.text(i))-len(strings.TrimLeft(c.text(i), "*"))]
	return n
}

// pyCompare is binary for the usual "a < b"; a chain is the and of its steps.
func pyCompare(c *conv, i ref) *Node {
	var operands []ref
	var ops []string
	for j := c.first(i); j != none; j = c.sibling(i, j) {
		switch {
		case c.comment(j):
		case c.fields[c.raw[j].field] == "operators":
			op := strings.Join(strings.Fields(c.text(j)), " ")
			ops = append(ops, op)
		default:
			operands = append(operands, j)
		}
	}
	if len(operands) != len(ops)+1 {
		return other(c, i)
	}
	var n *Node
	for j, op := range ops {
		b := c.make(Binary, i, c.node(operands[j]), c.node(operands[j+1]))
		b.Text = op
		if n == nil {
			n = b
			continue
		}
		n = c.make(Binary, i, n, b)
		n.Text = "and"
	}
	return n
}

func pyParam(c *conv, i ref) *Node {
	return c.make(Param, i, c.at(i, "name"), c.at(i, "value"), c.at(i, "type"))
}

func pyTypedParam(c *conv, i ref) *Node {
	return c.make(Param, i, unwrap(c, i), nil, c.at(i, "type"))
}

func pyClass(c *conv, i ref) *Node {
	supers := c.at(i, "superclasses")
	if supers == nil {
		supers = c.make(Args, i)
		supers.End = supers.Start
	}
	return c.make(Class, i, nil, c.at(i, "name"), supers, c.at(i, "body"))
}

// pyDecorated begins at its first decorator, where readers look for it.
func pyDecorated(c *conv, i ref) *Node {
	n := c.at(i, "definition")
	if n == nil || (n.Kind != Func && n.Kind != Class) {
		return n
	}
	var rs []ref
	for _, j := range c.namedKids(i) {
		if c.kind(j) == "decorator" {
			rs = append(rs, j)
		}
	}
	n.Kids[0] = c.decorators(rs, i)
	n.Start = int(c.raw[i].start)
	return n
}

// pyImport is one Import for each name; "from m import n" has the path m.n.
func pyImport(c *conv, i ref) *Node {
	module := c.field(i, "module_name")
	names := c.inField(i, "name")
	if w := c.kid(i, "wildcard_import"); w != none {
		names = append(names, w)
	}
	var out []*Node
	for _, j := range names {
		var path, alias *Node
		switch c.kind(j) {
		case "aliased_import":
			path, alias = c.at(j, "name"), c.at(j, "alias")
		case "wildcard_import":
			path = leaf(Ident)(c, j)
		default:
			path = c.node(j)
		}
		n := c.make(Import, i, path, nil, alias)
		if module != none {
			n.Kids[0] = c.chain(i, append([]*Node{c.module(module)}, chainNames(path)...))
			n.Text = "from"
		}
		out = append(out, n)
	}
	return c.several(i, out)
}

// module keeps a relative module as one name with its dots.
func (c *conv) module(i ref) *Node {
	if c.kind(i) == "relative_import" {
		return leaf(Ident)(c, i)
	}
	return c.node(i)
}

// chainNames lists the names of a chain.
func chainNames(n *Node) []*Node {
	if n == nil {
		return nil
	}
	if n.Kind == Member {
		return append(chainNames(n.Kids[0]), n.Kids[1])
	}
	return []*Node{n}
}

func pyIf(c *conv, i ref) *Node {
	alts := c.inField(i, "alternative")
	n := c.make(If, i, c.at(i, "condition"), c.block(c.field(i, "consequence")), nil, nil)
	at := n
	for _, j := range alts {
		if c.kind(j) == "elif_clause" {
			e := c.make(If, j, c.at(j, "condition"), c.block(c.field(j, "consequence")), nil, nil)
			at.Kids[2] = e
			at = e
		} else {
			at.Kids[2] = c.block(j)
		}
	}
	return n
}

func pyElse(c *conv, i ref) *Node { return c.at(i, "body") }

func pyForIn(c *conv, i ref) *Node {
	return c.make(ForEach, i, c.at(i, "left"), c.at(i, "right"), nil)
}

func pyComprehension(c *conv, i ref) *Node {
	n := c.make(Comprehension, i, c.kidsOf(i)...)
	n.Text = c.kind(i)
	return n
}

func pyTry(c *conv, i ref) *Node { return c.make(Try, i, c.kidsOf(i)...) }

// pyExcept keeps "as name" as the As that the grammar makes of it.
func pyExcept(c *conv, i ref) *Node {
	var caught, body *Node
	for _, k := range c.kidsOf(i) {
		if k.Kind == Block {
			body = k
		} else if caught == nil {
			caught = k
		}
	}
	return c.make(Handler, i, caught, body)
}

func pyFinally(c *conv, i ref) *Node { return c.make(Finally, i, c.kidsOf(i)...) }

func pyWith(c *conv, i ref) *Node {
	items := c.make(Args, i)
	if w := c.kid(i, "with_clause"); w != none {
		items = c.make(Args, w, c.kidsOf(w)...)
	}
	if len(items.Kids) == 1 && items.Kids[0].Kind == Tuple {
		items.Kids = items.Kids[0].Kids
	}
	return c.make(With, i, items, c.at(i, "body"))
}

func pyAs(c *conv, i ref) *Node {
	return c.make(As, i, unwrap(c, i), c.at(i, "alias"))
}

func pyConditional(c *conv, i ref) *Node {
	k := c.kidsOf(i)
	if len(k) != 3 {
		return other(c, i)
	}
	return c.make(Conditional, i, k[1], k[0], k[2])
}

func pyMatch(c *conv, i ref) *Node {
	n := c.make(Switch, i, c.at(i, "subject"), c.at(i, "body"))
	n.Text = c.kind(i)
	return n
}

func pyCase(c *conv, i ref) *Node {
	args := c.make(Args, i)
	for _, j := range c.namedKids(i) {
		if c.fields[c.raw[j].field] != "consequence" {
			args.Kids = append(args.Kids, c.node(j))
		}
	}
	return c.make(Case, i, args, c.block(c.field(i, "consequence")))
}
