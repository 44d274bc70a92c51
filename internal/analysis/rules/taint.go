package rules

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/analysis/taint"
)

// taintRule is a compiled "mode: taint".
type taintRule struct {
	sources     []taintEntry
	sanitizers  []taintEntry
	sinks       []taintEntry
	propagators []taintEntry
}

// taintEntry is one entry of pattern-sources and its like.
type taintEntry struct {
	formula        *formula
	exact          bool
	sideEffect     bool
	notConflicting bool   // of a sanitizer: it gives way to a source or sink of the same code
	from, to       string // of a propagator: metavariables
}

// taintKeys are the keys of an entry that are no formula.
var taintKeys = []string{"exact", "by-side-effect", "not_conflicting", "from", "to"}

func (c *compiler) taint(n *yaml.Node) (*taintRule, error) {
	t := &taintRule{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		entries, err := c.taintEntries(n.Content[i+1])
		if err != nil {
			return nil, where(n.Content[i], key, err)
		}
		switch key {
		case "pattern-sources":
			t.sources = entries
		case "pattern-sanitizers":
			t.sanitizers = entries
		case "pattern-sinks":
			t.sinks = entries
		case "pattern-propagators":
			t.propagators = entries
			for _, e := range entries {
				if e.from == "" || e.to == "" {
					return nil, fmt.Errorf("line %d: a propagator needs from and to", n.Content[i].Line)
				}
			}
		default:
			return nil, lack("%s in mode: taint", key)
		}
	}
	if len(t.sources) == 0 || len(t.sinks) == 0 {
		return nil, fmt.Errorf("line %d: mode: taint needs pattern-sources and pattern-sinks", n.Line)
	}
	return t, nil
}

func (c *compiler) taintEntries(n *yaml.Node) ([]taintEntry, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("line %d: it must be a list of patterns", n.Line)
	}
	var out []taintEntry
	for _, item := range n.Content {
		var t struct {
			Exact          bool   `yaml:"exact"`
			SideEffect     any    `yaml:"by-side-effect"`
			NotConflicting bool   `yaml:"not_conflicting"`
			From           string `yaml:"from"`
			To             string `yaml:"to"`
		}
		if err := item.Decode(&t); err != nil {
			return nil, err
		}
		f, err := c.mapping(without(item, taintKeys))
		if err != nil {
			return nil, err
		}
		side := t.SideEffect == true || t.SideEffect == "only"
		out = append(out, taintEntry{f, t.Exact, side, t.NotConflicting, t.From, t.To})
	}
	return out, nil
}

// possible is cheap and necessary: a source and a sink may be in the file.
func (t *taintRule) possible(tree *syntax.Tree) bool {
	return anyPossible(t.sources, tree) && anyPossible(t.sinks, tree)
}

func anyPossible(es []taintEntry, tree *syntax.Tree) bool {
	for _, e := range es {
		if e.formula.possible(tree) {
			return true
		}
	}
	return false
}

// find lists the sinks that tainted data reaches.
func (t *taintRule) find(m *match.Matcher) []found {
	if !t.possible(m.Tree()) {
		return nil
	}
	e := &evaluation{m: m, tree: m.Tree()}
	spec := &taint.Spec{}
	if spec.Sources, _ = e.places(t.sources); len(spec.Sources) == 0 {
		return nil
	}
	var sinks []found
	if spec.Sinks, sinks = e.places(t.sinks); len(spec.Sinks) == 0 {
		return nil
	}
	type place struct{ start, end int }
	taken := map[place]bool{}
	for _, p := range append(append([]taint.Place(nil), spec.Sources...), spec.Sinks...) {
		taken[place{p.Start, p.End}] = true
	}
	for _, entry := range t.sanitizers {
		ps, _ := e.places([]taintEntry{entry})
		for _, p := range ps {
			if !entry.notConflicting || !taken[place{p.Start, p.End}] {
				spec.Sanitizers = append(spec.Sanitizers, p)
			}
		}
	}
	for _, entry := range t.propagators {
		for _, x := range e.formula(entry.formula) {
			if a, b := x.Env.Get(entry.from), x.Env.Get(entry.to); a != nil && b != nil {
				spec.Propagators = append(spec.Propagators, taint.Between(a.Start, a.End, b.Start, b.End))
			}
		}
	}
	var out []found
	for _, i := range taint.Reach(m.Tree(), spec, m.Over) {
		out = append(out, sinks[i])
	}
	return out
}

// places evaluates entries; the matches come in the order of the places.
func (e *evaluation) places(entries []taintEntry) ([]taint.Place, []found) {
	var ps []taint.Place
	var fs []found
	for _, entry := range entries {
		if !entry.formula.possible(e.tree) {
			continue
		}
		for _, x := range e.formula(entry.formula) {
			ps = append(ps, taint.Place{Start: x.Start, End: x.End, Node: x.Node, Exact: entry.exact, SideEffect: entry.sideEffect})
			fs = append(fs, x)
		}
	}
	return ps, fs
}
