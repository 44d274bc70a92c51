package rules

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
)

type valueKind uint8

const (
	noValue valueKind = iota // it cannot be told: every comparison with it is false
	boolValue
	numberValue
	textValue
)

// value is what a part of a comparison evaluates to.
type value struct {
	kind   valueKind
	truth  bool
	number float64
	text   string
}

// comparison is a compiled metavariable-comparison.
type comparison func(env *match.Binding, t *syntax.Tree) value

var comparisonToken = regexp.MustCompile(`^\s*(\$[A-Z_0-9]+|\d+\.\d+|0x[0-9a-fA-F]+|\d+|"[^"]*"|'[^']*'|==|!=|<=|>=|//|\*\*|[-+*/%<>(),]|[A-Za-z_]\w*)`)

// comparisonParser reads the small Python of metavariable-comparison.
type comparisonParser struct {
	tokens []string
	base   int
	strip  bool
}

func parseComparison(s string, base int, strip bool) (comparison, error) {
	p := &comparisonParser{base: base, strip: strip}
	for rest := strings.TrimSpace(s); rest != ""; {
		m := comparisonToken.FindStringSubmatch(rest)
		if m == nil {
			return nil, lack("metavariable-comparison: %q", rest)
		}
		p.tokens = append(p.tokens, m[1])
		rest = strings.TrimSpace(rest[len(m[0]):])
	}
	c, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = lack("metavariable-comparison: %q", strings.Join(p.tokens, " "))
	}
	return c, err
}

func (p *comparisonParser) take(tokens ...string) string {
	for _, t := range tokens {
		if len(p.tokens) > 0 && p.tokens[0] == t {
			p.tokens = p.tokens[1:]
			return t
		}
	}
	return ""
}

// left parses operands of next joined by any of the operators, from the left.
func (p *comparisonParser) left(next func() (comparison, error), operators ...string) (comparison, error) {
	a, err := next()
	for err == nil {
		op := p.take(operators...)
		if op == "" {
			break
		}
		var b comparison
		if b, err = next(); err == nil {
			x := a
			a = func(env *match.Binding, t *syntax.Tree) value { return apply(op, x(env, t), b(env, t)) }
		}
	}
	return a, err
}

func (p *comparisonParser) or() (comparison, error)  { return p.left(p.and, "or") }
func (p *comparisonParser) and() (comparison, error) { return p.left(p.not, "and") }

func (p *comparisonParser) not() (comparison, error) {
	if p.take("not") == "" {
		return p.left(p.sum, "==", "!=", "<=", ">=", "<", ">")
	}
	c, err := p.not()
	return func(env *match.Binding, t *syntax.Tree) value {
		v := c(env, t)
		v.truth = !v.truth
		return v
	}, err
}

func (p *comparisonParser) sum() (comparison, error) { return p.left(p.product, "+", "-") }
func (p *comparisonParser) product() (comparison, error) {
	return p.left(p.unary, "*", "//", "/", "%")
}

func (p *comparisonParser) unary() (comparison, error) {
	if p.take("-") == "" {
		return p.atom()
	}
	c, err := p.unary()
	return func(env *match.Binding, t *syntax.Tree) value {
		v := c(env, t)
		v.number = -v.number
		return v
	}, err
}

func (p *comparisonParser) atom() (comparison, error) {
	if len(p.tokens) == 0 {
		return nil, fmt.Errorf("comparison ends too early")
	}
	tok := p.tokens[0]
	p.tokens = p.tokens[1:]
	constant := func(v value) (comparison, error) {
		return func(*match.Binding, *syntax.Tree) value { return v }, nil
	}
	switch {
	case tok == "(":
		c, err := p.or()
		if err == nil && p.take(")") == "" {
			err = fmt.Errorf("comparison lacks a closing parenthesis")
		}
		return c, err
	case tok == "True", tok == "False":
		return constant(value{kind: boolValue, truth: tok == "True"})
	case tok[0] == '"' || tok[0] == '\'':
		return constant(value{kind: textValue, text: tok[1 : len(tok)-1]})
	case tok[0] == '$':
		return func(env *match.Binding, t *syntax.Tree) value { return p.metavariable(tok, env, t) }, nil
	case tok == "len" || tok == "int" || tok == "str" || tok == "float":
		return p.conversion(tok)
	}
	if v := parseNumber(tok, 0); v.kind != noValue {
		return constant(v)
	}
	return nil, lack("metavariable-comparison: %s", tok)
}

func (p *comparisonParser) conversion(name string) (comparison, error) {
	if p.take("(") == "" {
		return nil, lack("metavariable-comparison: %s", name)
	}
	c, err := p.or()
	if err == nil && p.take(")") == "" {
		err = fmt.Errorf("comparison lacks a closing parenthesis")
	}
	return func(env *match.Binding, t *syntax.Tree) value {
		v := c(env, t)
		switch {
		case v.kind == noValue:
		case name == "len":
			return value{kind: numberValue, number: float64(len(v.text))}
		case name == "str" && v.kind == numberValue:
			return value{kind: textValue, text: strconv.FormatFloat(v.number, 'f', -1, 64)}
		case name != "str" && v.kind == textValue:
			return parseNumber(v.text, p.base)
		}
		return v
	}, err
}

func (p *comparisonParser) metavariable(name string, env *match.Binding, t *syntax.Tree) value {
	b := env.Get(name)
	if b == nil {
		return value{}
	}
	texts := textsOf(b, t)
	s := texts[len(texts)-1]
	if p.strip {
		s = strings.Trim(s, "'\"`")
	}
	if v := parseNumber(s, p.base); v.kind != noValue {
		return v
	}
	if len(texts) > 1 || b.Node == nil {
		return value{kind: textValue, text: s}
	}
	switch s {
	case "True", "true", "False", "false":
		return value{kind: boolValue, truth: s[0] == 'T' || s[0] == 't'}
	}
	return value{}
}

func parseNumber(s string, base int) value {
	s = strings.ReplaceAll(strings.TrimSpace(s), "_", "")
	if i, err := strconv.ParseInt(s, base, 64); err == nil {
		return value{kind: numberValue, number: float64(i)}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return value{kind: numberValue, number: f}
	}
	return value{}
}

func apply(op string, a, b value) value {
	if op == "and" || op == "or" {
		truth := a.truth && b.truth
		if op == "or" {
			truth = a.truth || b.truth
		}
		return value{kind: boolValue, truth: truth}
	}
	if a.kind == noValue || a.kind != b.kind {
		return value{}
	}
	if a.kind != numberValue {
		switch op {
		case "==", "!=":
			same := a.text == b.text && a.truth == b.truth
			return value{kind: boolValue, truth: same == (op == "==")}
		case "+":
			return value{kind: textValue, text: a.text + b.text}
		}
		return value{}
	}
	return calculate(op, a.number, b.number)
}

func calculate(op string, a, b float64) value {
	truth := func(t bool) value { return value{kind: boolValue, truth: t} }
	number := func(n float64) value { return value{kind: numberValue, number: n} }
	switch op {
	case "==":
		return truth(a == b)
	case "!=":
		return truth(a != b)
	case "<":
		return truth(a < b)
	case "<=":
		return truth(a <= b)
	case ">":
		return truth(a > b)
	case ">=":
		return truth(a >= b)
	case "+":
		return number(a + b)
	case "-":
		return number(a - b)
	case "*":
		return number(a * b)
	case "/":
		return number(a / b)
	case "//":
		return number(math.Floor(a / b))
	case "%":
		return number(math.Mod(a, b))
	}
	return value{}
}
