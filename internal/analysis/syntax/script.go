package syntax

import "strings"

// scriptBuilds serves JavaScript, TypeScript and TSX: what one of them lacks is
// never looked up.
func scriptBuilds() map[string]build {
	b := map[string]build{
		"program": all(Block), "statement_block": all(Block), "class_body": jsClassBody, "interface_body": all(Block),
		"object_type": all(Object), "empty_statement": drop, "hash_bang_line": drop,
		"expression_statement": statement, "parenthesized_expression": unwrap, "sequence_expression": all(Tuple),
		"type_annotation": unwrap, "as_expression": unwrap, "satisfies_expression": unwrap,
		"non_null_expression": unwrap, "jsx_expression": unwrap, "parenthesized_type": unwrap,
		"computed_property_name": unwrap, "type_arguments": drop, "type_parameters": drop,
		"accessibility_modifier": drop, "override_modifier": drop, "decorator": unwrap,
		"call_expression": jsCall, "arguments": all(Args), "new_expression": jsNew,
		"member_expression": fields(Member, "object", "property"), "nested_identifier": pair2(Member),
		"nested_type_identifier": pair2(Member), "jsx_namespace_name": pair2(Member),
		"subscript_expression":  fields(Index, "object", "index"),
		"assignment_expression": assign, "augmented_assignment_expression": augAssign,
		"variable_declarator": jsDeclarator, "lexical_declaration": jsDeclaration, "variable_declaration": jsDeclaration,
		"public_field_definition": jsField, "field_definition": jsField,
		"binary_expression": binary, "unary_expression": unary("argument"), "update_expression": unary("argument"),
		"function_declaration": function(Declared, "return_type"), "generator_function_declaration": function(Declared, "return_type"),
		"function_expression": function(0, "return_type"), "generator_function": function(0, "return_type"),
		"arrow_function": function(0, "return_type"), "method_definition": function(Declared, "return_type"),
		"function_signature": function(Declared, "return_type"), "method_signature": function(Declared, "return_type"),
		"abstract_method_signature": function(Declared, "return_type"),
		"formal_parameters":         all(Params), "required_parameter": jsParam, "optional_parameter": jsParam,
		"assignment_pattern": jsDefault, "object_assignment_pattern": jsDefault,
		"rest_pattern": all(Spread), "spread_element": all(Spread),
		"class_declaration": jsClass(0), "class": jsClass(0), "abstract_class_declaration": jsClass(0), "interface_declaration": jsClass(Interface),
		"object": all(Object), "object_pattern": all(Object), "pair": pair, "pair_pattern": pair,
		"shorthand_property_identifier": jsShorthand, "shorthand_property_identifier_pattern": jsShorthand,
		"array": all(List), "array_pattern": all(List), "string": jsString, "template_string": jsTemplate,
		"regex":            leaf(Regex),
		"return_statement": all(Return), "throw_statement": all(Throw), "await_expression": all(Await),
		"ternary_expression": fields(Conditional, "condition", "consequence", "alternative"),
		"if_statement":       ifElse, "else_clause": unwrap, "for_statement": jsFor, "for_in_statement": forEach,
		"while_statement": while, "do_statement": while,
		"switch_statement": jsSwitch, "switch_body": all(Block), "switch_case": caseOf("value"), "switch_default": caseOf(),
		"try_statement": jsTry, "catch_clause": jsCatch, "finally_clause": all(Finally),
		"import_statement": jsImport, "export_statement": jsExport,
		"jsx_element": jsxElement, "jsx_self_closing_element": jsxElement, "jsx_attribute": jsxAttribute,
	}
	for _, k := range []string{"identifier", "property_identifier", "type_identifier", "statement_identifier",
		"private_property_identifier", "this", "super", "predefined_type", "import"} {
		b[k] = leaf(Ident)
	}
	for _, k := range []string{"true", "false", "null", "undefined"} {
		b[k] = leaf(Literal)
	}
	b["number"] = leaf(Number)
	for _, k := range []string{"expression_statement", "return_statement", "throw_statement", "lexical_declaration",
		"variable_declaration", "import_statement", "public_field_definition", "field_definition", "do_statement"} {
		b[k] = ended(b[k])
	}
	return b
}

func pair2(k Kind) build {
	return func(c *conv, i ref) *Node {
		kids := c.kidsOf(i)
		if len(kids) != 2 {
			return other(c, i)
		}
		return c.make(k, i, kids...)
	}
}

// jsCall mends what the grammar of TypeScript makes of "await f<T>(x)": it awaits
// f, and calls what comes of it.
func jsCall(c *conv, i ref) *Node {
	n := call(c, i)
	if n.Kind != Call || n.Kids[0] == nil || n.Kids[0].Kind != Await || len(n.Kids[0].Kids) != 1 || c.kind(c.field(i, "function")) != "await_expression" {
		return n
	}
	await := n.Kids[0]
	n.Kids[0] = await.Kids[0]
	n.Start = n.Kids[0].Start
	await.Kids[0], await.End = n, n.End
	return await
}

func jsNew(c *conv, i ref) *Node {
	a := c.at(i, "arguments")
	if a == nil {
		a = c.make(Args, i)
		a.Start = a.End
	}
	return c.make(New, i, c.at(i, "constructor"), a)
}

// jsDeclarator gives an anonymous function the name of its variable.
func jsDeclarator(c *conv, i ref) *Node {
	name, v := c.at(i, "name"), c.at(i, "value")
	if v == nil {
		return c.make(VarDecl, i, name, c.at(i, "type"))
	}
	if v.Kind == Func && v.Kids[1] == nil && name.Kind == Ident {
		v.Kids[1] = leaf(Ident)(c, c.field(i, "name"))
	}
	n := c.make(Assign, i, name, v, c.at(i, "type"))
	n.Text = "="
	return n
}

// jsDeclaration spans its keyword when it declares one thing.
func jsDeclaration(c *conv, i ref) *Node {
	kids := c.kidsOf(i)
	if len(kids) == 1 {
		kids[0].Start, kids[0].End = int(c.raw[i].start), int(c.raw[i].end)
	}
	return c.several(i, kids)
}

func jsField(c *conv, i ref) *Node {
	name := c.at(i, "name")
	if name == nil {
		name = c.at(i, "property")
	}
	v := c.at(i, "value")
	if v == nil {
		return c.make(VarDecl, i, name, c.at(i, "type"))
	}
	n := c.make(Assign, i, name, v, c.at(i, "type"))
	n.Text = "="
	return n
}

func jsParam(c *conv, i ref) *Node {
	p := c.at(i, "pattern")
	if p == nil {
		p = unwrap(c, i)
	}
	v, t := c.at(i, "value"), c.at(i, "type")
	decos := c.decorators(c.inField(i, "decorator"), i)
	if v == nil && t == nil && decos == nil {
		return p
	}
	return c.make(Param, i, p, v, t, decos)
}

func jsDefault(c *conv, i ref) *Node {
	return c.make(Param, i, c.at(i, "left"), c.at(i, "right"), nil)
}

func jsClass(flags Flags) build {
	return func(c *conv, i ref) *Node {
		supers := c.make(Args, i)
		supers.End = supers.Start
		for _, j := range c.namedKids(i) {
			switch c.kind(j) {
			case "class_heritage", "extends_type_clause", "extends_clause", "implements_clause":
				supers.Kids = append(supers.Kids, c.heritage(j)...)
			}
		}
		n := c.make(Class, i, c.decorators(c.inField(i, "decorator"), i), c.at(i, "name"), supers, c.at(i, "body"))
		n.Flags = flags
		return n
	}
}

// jsClassBody hands decorators to the method behind them: the grammars disagree
// on whether they are its own.
func jsClassBody(c *conv, i ref) *Node {
	var out []*Node
	var decorators []ref
	for _, j := range c.namedKids(i) {
		if c.kind(j) == "decorator" {
			decorators = append(decorators, j)
			continue
		}
		n := c.node(j)
		if n != nil && n.Kind == Func && n.Kids[0] == nil && len(decorators) > 0 {
			n.Kids[0] = c.decorators(decorators, i)
			n.Start = n.Kids[0].Start
		}
		out, decorators = flatten(out, n), nil
	}
	return c.make(Block, i, out...)
}

// heritage lists what a class extends and implements.
func (c *conv) heritage(i ref) []*Node {
	var out []*Node
	for _, j := range c.namedKids(i) {
		switch c.kind(j) {
		case "extends_clause", "implements_clause":
			out = append(out, c.heritage(j)...)
		default:
			out = flatten(out, c.node(j))
		}
	}
	return out
}

// jsShorthand is {x}, which means {x: x}.
func jsShorthand(c *conv, i ref) *Node {
	return c.make(Pair, i, leaf(Ident)(c, i), leaf(Ident)(c, i))
}

func jsString(c *conv, i ref) *Node {
	n := c.make(String, i)
	if t := c.text(i); len(t) >= 2 {
		n.Text = t[1 : len(t)-1]
	}
	return n
}

func jsTemplate(c *conv, i ref) *Node {
	r := c.raw[i]
	if r.end-r.start < 2 {
		return other(c, i)
	}
	var parts []*Node
	at := r.start + 1
	for _, j := range c.namedKids(i) {
		if c.kind(j) == "template_substitution" {
			if s := c.raw[j].start; s > at {
				parts = append(parts, c.piece(i, at, s))
			}
			parts = append(parts, unwrap(c, j))
			at = c.raw[j].end
		}
	}
	if at < r.end-1 {
		parts = append(parts, c.piece(i, at, r.end-1))
	}
	if len(parts) == 0 || len(parts) == 1 && at == r.start+1 {
		return jsString(c, i)
	}
	return c.make(Template, i, parts...)
}

func jsFor(c *conv, i ref) *Node {
	return c.make(For, i, c.at(i, "initializer"), c.at(i, "condition"), c.at(i, "increment"), c.block(c.field(i, "body")))
}

func jsSwitch(c *conv, i ref) *Node {
	n := c.make(Switch, i, c.at(i, "value"), c.at(i, "body"))
	n.Text = c.kind(i)
	return n
}

func jsTry(c *conv, i ref) *Node {
	kids := []*Node{c.at(i, "body")}
	for _, f := range []string{"handler", "finalizer"} {
		if k := c.at(i, f); k != nil {
			kids = append(kids, k)
		}
	}
	return c.make(Try, i, kids...)
}

func jsCatch(c *conv, i ref) *Node {
	return c.make(Handler, i, c.at(i, "parameter"), c.at(i, "body"))
}

// jsImport is one Import for each name that the statement brings in.
func jsImport(c *conv, i ref) *Node {
	source := c.at(i, "source")
	if r := c.kid(i, "import_require_clause"); r != none && source == nil {
		source = c.at(r, "source")
		n := c.make(Import, i, source, nil, unwrap(c, r))
		n.Text = "ns"
		return n
	}
	clause := c.kid(i, "import_clause")
	if clause == none || source == nil {
		n := c.make(Import, i, source, nil, nil)
		n.Text = "side"
		return n
	}
	var out []*Node
	add := func(how string, name, alias *Node) {
		n := c.make(Import, i, source, name, alias)
		n.Text = how
		out = append(out, n)
	}
	for _, j := range c.namedKids(clause) {
		switch c.kind(j) {
		case "namespace_import":
			add("ns", nil, unwrap(c, j))
		case "named_imports":
			for _, s := range c.namedKids(j) {
				add("named", c.at(s, "name"), c.at(s, "alias"))
			}
		default:
			add("default", nil, c.node(j))
		}
	}
	if len(out) == 0 {
		add("side", nil, nil)
	}
	return c.several(i, out)
}

func jsExport(c *conv, i ref) *Node {
	d := c.at(i, "declaration")
	if d == nil {
		return other(c, i)
	}
	if decos := c.inField(i, "decorator"); len(decos) > 0 && d.Kind == Class {
		d.Kids[0] = c.decorators(decos, i)
		d.Start = int(c.raw[i].start)
	}
	return d
}

// jsxElement is the same for <a/> and <a></a>.
func jsxElement(c *conv, i ref) *Node {
	open := i
	if o := c.field(i, "open_tag"); o != none {
		open = o
	}
	attributes, children := c.make(Object, open), c.make(List, i)
	for _, j := range c.namedKids(open) {
		if f := c.fields[c.raw[j].field]; f != "name" && f != "type_arguments" {
			attributes.Kids = flatten(attributes.Kids, c.node(j))
		}
	}
	for _, j := range c.namedKids(i) {
		f := c.fields[c.raw[j].field]
		if open == i || f == "open_tag" || f == "close_tag" || c.kind(j) == "jsx_text" && strings.TrimSpace(c.text(j)) == "" {
			continue
		}
		children.Kids = flatten(children.Kids, c.node(j))
	}
	return c.make(JSX, i, c.at(open, "name"), attributes, children)
}

func jsxAttribute(c *conv, i ref) *Node {
	kids := c.kidsOf(i)
	if len(kids) != 2 {
		return other(c, i)
	}
	return c.make(Pair, i, kids...)
}
