package rules

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
)

type operator uint8

const (
	opPattern operator = iota // one pattern
	opRegex                   // one regular expression over the text
	opAny                     // pattern-either
	opAll                     // patterns
	opInside                  // pattern-inside: where something stands, not what it is
)

// formula is a compiled combination of patterns.
type formula struct {
	op       operator
	pattern  *match.Pattern
	regex    *match.Regexp
	kids     []*formula      // of opAny; of opAll those that find; of opInside the one
	inside   []*formula      // of opAll: pattern-inside
	not      []*formula      // of opAll: pattern-not and pattern-not-inside
	notRegex []*match.Regexp // of opAll
	conds    []condition     // of opAll
	focus    [][]string      // of opAll: each narrows to one of its metavariables
}

// possible is cheap and necessary: every name that the formula needs is in the file.
func (f *formula) possible(t *syntax.Tree) bool {
	switch f.op {
	case opPattern:
		for _, w := range f.pattern.Words() {
			if _, ok := t.Words[w]; !ok {
				return false
			}
		}
	case opAny:
		for _, k := range f.kids {
			if k.possible(t) {
				return true
			}
		}
		return false
	case opAll, opInside:
		for _, k := range f.kids {
			if !k.possible(t) {
				return false
			}
		}
		for _, k := range f.inside {
			if !k.possible(t) {
				return false
			}
		}
	}
	return true
}

// compiler compiles the formulas of one rule for one family of languages.
type compiler struct {
	lang     syntax.Language
	patterns patterns
}

// patterns holds those that were compiled so far, by family and text: rules share
// them, and what one rule found in a file is there for the next.
type patterns map[string]*match.Pattern

// where adds the line to an error, except to one that already tells a lack.
func where(n *yaml.Node, key string, err error) error {
	if err == nil {
		return nil
	}
	if l, ok := err.(*lacking); ok {
		return l
	}
	return fmt.Errorf("line %d: %s: %w", n.Line, key, err)
}

// mapping compiles a mapping that holds one formula.
func (c *compiler) mapping(n *yaml.Node) (*formula, error) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("line %d: no pattern: a rule needs one of pattern, patterns, pattern-either, pattern-regex", n.Line)
	}
	if len(n.Content) == 2 && isPositive(n.Content[0].Value) {
		f, err := c.entry(n.Content[0].Value, n.Content[1])
		return f, where(n, n.Content[0].Value, err)
	}
	// Several keys side by side mean what they mean as entries of "patterns".
	f := &formula{op: opAll}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := c.conjunct(f, n.Content[i].Value, n.Content[i+1]); err != nil {
			return nil, where(n.Content[i], n.Content[i].Value, err)
		}
	}
	return f, nil
}

func isPositive(key string) bool {
	switch key {
	case "pattern", "patterns", "pattern-either", "pattern-regex", "pattern-inside":
		return true
	}
	return false
}

// entry compiles the value of a key that finds something.
func (c *compiler) entry(key string, n *yaml.Node) (*formula, error) {
	switch key {
	case "pattern":
		return c.value(n)
	case "pattern-regex":
		re, err := regexOf(n)
		return &formula{op: opRegex, regex: re}, err
	case "pattern-inside":
		f, err := c.value(n)
		return &formula{op: opInside, kids: []*formula{f}}, err
	case "pattern-either":
		f := &formula{op: opAny}
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			return nil, fmt.Errorf("line %d: it must be a list of patterns", n.Line)
		}
		for _, item := range n.Content {
			k, err := c.mapping(item)
			if err != nil {
				return nil, err
			}
			f.kids = append(f.kids, k)
		}
		return f, nil
	case "patterns":
		return c.conjunction(n)
	}
	return nil, lack("%s", key)
}

// value is a pattern as text, or a formula in its place.
func (c *compiler) value(n *yaml.Node) (*formula, error) {
	if n.Kind == yaml.MappingNode {
		return c.mapping(n)
	}
	if n.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("line %d: it must be text", n.Line)
	}
	key := string(c.lang) + "\x00" + n.Value
	p := c.patterns[key]
	if p == nil {
		var err error
		if p, err = match.Compile(c.lang, n.Value); err != nil {
			return nil, lack("%v", err)
		}
		c.patterns[key] = p
	}
	return &formula{op: opPattern, pattern: p}, nil
}

func (c *compiler) conjunction(n *yaml.Node) (*formula, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("line %d: it must be a list of patterns", n.Line)
	}
	f := &formula{op: opAll}
	for _, item := range n.Content {
		if item.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("line %d: each entry must be a key and a value", item.Line)
		}
		for i := 0; i+1 < len(item.Content); i += 2 {
			key := item.Content[i]
			if err := c.conjunct(f, key.Value, item.Content[i+1]); err != nil {
				return nil, where(key, key.Value, err)
			}
		}
	}
	return f, nil
}

// conjunct adds one entry of "patterns" to f.
func (c *compiler) conjunct(f *formula, key string, n *yaml.Node) error {
	switch key {
	case "pattern-inside":
		k, err := c.entry(key, n)
		f.inside = append(f.inside, k)
		return err
	case "pattern-not":
		k, err := c.value(n)
		f.not = append(f.not, k)
		return err
	case "pattern-not-inside":
		k, err := c.value(n)
		f.not = append(f.not, k)
		return err
	case "pattern-not-regex":
		re, err := regexOf(n)
		f.notRegex = append(f.notRegex, re)
		return err
	case "focus-metavariable":
		names, err := focusOf(n)
		f.focus = append(f.focus, names)
		return err
	}
	if strings.HasPrefix(key, "metavariable-") {
		cond, err := c.condition(key, n)
		f.conds = append(f.conds, cond)
		return err
	}
	k, err := c.entry(key, n)
	f.kids = append(f.kids, k)
	return err
}

func regexOf(n *yaml.Node) (*match.Regexp, error) {
	if n.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("line %d: it must be text", n.Line)
	}
	return match.CompileRegexp(n.Value, false)
}

func focusOf(n *yaml.Node) ([]string, error) {
	var names []string
	if n.Kind == yaml.ScalarNode {
		names = []string{n.Value}
	} else if err := n.Decode(&names); err != nil {
		return nil, err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "$") {
			return nil, fmt.Errorf("line %d: %q is not a metavariable such as $X", n.Line, name)
		}
	}
	return names, nil
}
