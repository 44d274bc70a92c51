package syntax

func goBuilds() map[string]build {
	b := map[string]build{
		"source_file": all(Block), "block": all(Block), "statement_list": spliced,
		"expression_statement": statement, "parenthesized_expression": unwrap, "parenthesized_type": unwrap,
		"literal_element": unwrap, "expression_list": statement, "empty_statement": drop,
		"call_expression": call, "argument_list": all(Args),
		"selector_expression":  fields(Member, "operand", "field"),
		"qualified_type":       fields(Member, "package", "name"),
		"index_expression":     fields(Index, "operand", "index"),
		"assignment_statement": assign, "short_var_declaration": goShortVar,
		"var_declaration": goVars, "const_declaration": goVars, "var_spec_list": spliced,
		"var_spec": goVar, "const_spec": goVar,
		"binary_expression": binary, "unary_expression": unary("operand"),
		"composite_literal": fields(Composite, "type", "body"), "literal_value": all(Object), "keyed_element": pair,
		"function_declaration": function(Declared, "result"), "method_declaration": function(Declared, "result"),
		"func_literal": function(0, "result"), "method_elem": function(Declared, "result"),
		"parameter_list": all(Params), "parameter_declaration": goParam, "variadic_parameter_declaration": goParam,
		"return_statement": goReturn, "if_statement": ifElse, "for_statement": goFor,
		"expression_switch_statement": goSwitch, "type_switch_statement": goSwitch, "select_statement": goSwitch,
		"expression_case": caseOf("value"), "type_case": caseOf("type"), "default_case": caseOf(),
		"communication_case": caseOf("communication"),
		"import_declaration": spliced, "import_spec_list": spliced, "import_spec": goImport,
		"interpreted_string_literal": goString, "raw_string_literal": goString,
		"inc_statement": goStep, "dec_statement": goStep,
	}
	for _, k := range []string{"identifier", "field_identifier", "type_identifier", "package_identifier", "blank_identifier", "label_name", "dot"} {
		b[k] = leaf(Ident)
	}
	for _, k := range []string{"int_literal", "float_literal", "imaginary_literal"} {
		b[k] = leaf(Number)
	}
	for _, k := range []string{"true", "false", "nil", "iota", "rune_literal"} {
		b[k] = leaf(Literal)
	}
	return b
}

func goString(c *conv, i ref) *Node {
	n := c.make(String, i)
	if t := c.text(i); len(t) >= 2 {
		n.Text = t[1 : len(t)-1]
	}
	return n
}

func goShortVar(c *conv, i ref) *Node {
	n := assign(c, i)
	n.Text = ":="
	return n
}

// goVars spans the whole declaration when it declares one thing.
func goVars(c *conv, i ref) *Node {
	kids := c.kidsOf(i)
	if len(kids) == 1 {
		kids[0].Start, kids[0].End = int(c.raw[i].start), int(c.raw[i].end)
	}
	return c.several(i, kids)
}

func goVar(c *conv, i ref) *Node {
	names := c.convert(c.inField(i, "name"))
	if len(names) == 0 {
		return other(c, i)
	}
	target := names[0]
	if len(names) > 1 {
		target = c.make(Tuple, i, names...)
		target.End = names[len(names)-1].End
	}
	v := c.at(i, "value")
	if v == nil {
		return c.make(VarDecl, i, target, c.at(i, "type"))
	}
	n := c.make(Assign, i, target, v, c.at(i, "type"))
	n.Text = "="
	return n
}

// goParam is one Param for each name: "a, b int" are two.
func goParam(c *conv, i ref) *Node {
	t := c.at(i, "type")
	names := c.inField(i, "name")
	if len(names) == 0 {
		return c.make(Param, i, nil, nil, t)
	}
	out := make([]*Node, len(names))
	for j, r := range names {
		out[j] = c.make(Param, r, c.node(r), nil, t)
	}
	return c.several(i, out)
}

func goReturn(c *conv, i ref) *Node {
	kids := c.kidsOf(i)
	if len(kids) == 1 && kids[0].Kind == Tuple {
		kids = kids[0].Kids
	}
	return c.make(Return, i, kids...)
}

func goFor(c *conv, i ref) *Node {
	body := c.block(c.field(i, "body"))
	if r := c.kid(i, "range_clause"); r != none {
		n := c.make(ForEach, i, c.at(r, "left"), c.at(r, "right"), body)
		n.Text = ":="
		return n
	}
	if r := c.kid(i, "for_clause"); r != none {
		return c.make(For, i, c.at(r, "initializer"), c.at(r, "condition"), c.at(r, "update"), body)
	}
	var cond *Node
	for _, j := range c.namedKids(i) {
		if j != c.field(i, "body") {
			cond = c.node(j)
		}
	}
	return c.make(While, i, cond, body)
}

func goSwitch(c *conv, i ref) *Node {
	var cases []*Node
	for _, j := range c.namedKids(i) {
		if c.fields[c.raw[j].field] == "" {
			cases = flatten(cases, c.node(j))
		}
	}
	n := c.make(Switch, i, c.at(i, "value"), c.make(Block, i, cases...), c.at(i, "initializer"), c.at(i, "alias"))
	n.Text = c.kind(i)
	return n
}

func goImport(c *conv, i ref) *Node {
	return c.make(Import, i, c.at(i, "path"), nil, c.at(i, "name"))
}

// goStep is x++ and x--.
func goStep(c *conv, i ref) *Node {
	n := c.make(Unary, i, c.kidsOf(i)...)
	n.Text = c.operator(i, "")
	return n
}
