package rules

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
)

// condition narrows matches by what their metavariables stand for.
type condition interface {
	filter(e *evaluation, x found) []found
}

func (c *compiler) condition(key string, n *yaml.Node) (condition, error) {
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: it must be keys and values", n.Line)
	}
	var t struct {
		Metavariable string    `yaml:"metavariable"`
		Regex        yaml.Node `yaml:"regex"`
		Comparison   string    `yaml:"comparison"`
		Strip        bool      `yaml:"strip"`
		Base         int       `yaml:"base"`
		Language     string    `yaml:"language"`
	}
	if err := n.Decode(&t); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(t.Metavariable, "$") && key != "metavariable-comparison" {
		return nil, fmt.Errorf("line %d: metavariable %q must be a name such as $X", n.Line, t.Metavariable)
	}
	switch key {
	case "metavariable-regex":
		if t.Regex.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: regex is missing", n.Line)
		}
		re, err := match.CompileRegexp(t.Regex.Value, true)
		return regexCondition{t.Metavariable, re}, err
	case "metavariable-comparison":
		expr, err := parseComparison(t.Comparison, t.Base, t.Strip)
		return comparisonCondition{expr}, err
	case "metavariable-pattern":
		if l, err := syntax.ParseLanguage(t.Language); t.Language != "" && (err != nil || l.Family() != c.lang) {
			return nil, lack("metavariable-pattern in another language: %s", t.Language)
		}
		f, err := c.mapping(without(n, []string{"metavariable", "language"}))
		return patternCondition{t.Metavariable, f}, err
	}
	return nil, lack("%s", key)
}

type regexCondition struct {
	name  string
	regex *match.Regexp
}

func (c regexCondition) filter(e *evaluation, x found) []found {
	b := x.Env.Get(c.name)
	if b == nil || !slices.ContainsFunc(textsOf(b, e.tree), c.regex.Match) {
		return nil
	}
	return []found{x}
}

// textsOf lists what a metavariable may be taken for: its source, with quotes;
// the text between the quotes; the constant that it is known to be.
func textsOf(b *match.Binding, t *syntax.Tree) []string {
	out := []string{b.Source(t)}
	if b.Node == nil {
		return out
	}
	if b.Node.Kind == syntax.String {
		return append(out, b.Node.Text)
	}
	if l := b.Node.Literal(); l != nil && l != b.Node {
		if l.Kind == syntax.String {
			return append(out, `"`+l.Text+`"`, l.Text)
		}
		return append(out, l.Text)
	}
	return out
}

type patternCondition struct {
	name    string
	formula *formula
}

func (c patternCondition) filter(e *evaluation, x found) []found {
	b := x.Env.Get(c.name)
	if b == nil || b.Node == nil {
		return nil
	}
	n := b.Node
	inner := &evaluation{m: e.m, tree: e.tree, root: n}
	var out []found
	for _, y := range inner.formula(c.formula) {
		inNode := y.Start >= n.Start && y.End <= n.End
		inConst := n.Const != nil && y.Start == n.Const.Start && y.End == n.Const.End
		if !inNode && !inConst {
			continue
		}
		if env, ok := match.Merge(e.tree, x.Env, y.Env); ok {
			z := x
			z.Env = env
			out = append(out, z)
		}
	}
	return distinct(out)
}

type comparisonCondition struct {
	expr comparison
}

func (c comparisonCondition) filter(e *evaluation, x found) []found {
	if v := c.expr(x.Env, e.tree); v.kind == boolValue && v.truth {
		return []found{x}
	}
	return nil
}
