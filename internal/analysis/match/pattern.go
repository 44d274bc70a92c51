// Package match finds code by patterns: code with metavariables and ellipses, compared tree with tree.
package match

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"integrationhub/internal/analysis/syntax"
)

// Pattern is one compiled pattern. It is read-only and may be shared.
type Pattern struct {
	nodes   []*syntax.Node // one expression, or statements in a row
	words   []string       // names that every match holds
	strings map[*syntax.Node]*text
}

// Words lists names that a file must hold for the pattern to match in it.
func (p *Pattern) Words() []string { return p.words }

// frame is code around a pattern that makes a fragment parse, and the way back
// to the fragment.
type frame struct {
	before, after string
	inside        syntax.Kind // the kind whose kids are the pattern; Other: all statements
}

var frames = map[syntax.Language][]frame{
	syntax.Python: {{"", "\n", 0}, {"", "\n    pass\n", 0}, {"try:\n  pass\n", "\n", 0},
		{"__W__({", "})", syntax.Object}, {"__W__(", ")", syntax.Args}},
	syntax.JavaScript: {{"", "\n", 0}, {"(", ")", 0}, {"__W__({", "})", syntax.Object}, {"class __W__ {\n", "\n}", syntax.Class},
		{"async function __W__() {\n", "\n}", syntax.Func}, {"", "{}", 0}, {"try {} ", "", 0}},
	syntax.Go: {{"", "\n", 0}, {"func __W__() {\n", "\n}", syntax.Func}, {"__W__{", "}", syntax.Object}, {"", " {}\n", 0}},
}

// keyed patterns would parse as a labelled statement: they go into an object.
var keyed = regexp.MustCompile(`^\s*["']?[\w$]+["']?\s*:[^=:]`)

// Compile reads a pattern of the family of lang. A pattern that needs the
// grammar's error recovery is an error.
func Compile(lang syntax.Language, src string) (*Pattern, error) {
	lang = lang.Family()
	src = dedent(src)
	if strings.TrimSpace(src) == "" {
		return nil, fmt.Errorf("pattern is empty: write the code to look for")
	}
	for _, typed := range []bool{true, false} {
		for _, v := range []variant{{semicolons: true, typed: typed}, {typed: typed}, {spread: true, typed: typed}} {
			code := prepare(lang, src, v)
			for _, f := range framesFor(lang, code) {
				if nodes := f.parse(lang, code); len(nodes) > 0 {
					return newPattern(nodes)
				}
			}
		}
		if !typedMeta.MatchString(src) {
			break
		}
	}
	return nil, fmt.Errorf("pattern %q is not %s, even with code around it", src, lang)
}

func framesFor(lang syntax.Language, code string) []frame {
	fs := frames[lang]
	if lang == syntax.Python || !keyed.MatchString(code) {
		return fs
	}
	var out []frame
	for _, f := range fs {
		if f.inside == syntax.Object {
			out = append(out, f)
		}
	}
	return append(out, fs...)
}

// parse returns the nodes of the pattern, or nil if it does not parse in f.
func (f frame) parse(lang syntax.Language, code string) []*syntax.Node {
	grammars := []syntax.Language{lang}
	if lang == syntax.JavaScript {
		grammars = []syntax.Language{syntax.JavaScript, syntax.TSX}
	}
	for _, g := range grammars {
		t, err := syntax.Parse(context.Background(), g, []byte(f.before+code+f.after))
		if err != nil || t.Errors > 0 {
			continue
		}
		switch f.inside {
		case syntax.Other:
			return f.statements(t)
		case syntax.Func, syntax.Class:
			if d := t.ByKind(f.inside); len(d) > 0 && d[0].Kids[3] != nil {
				return d[0].Kids[3].Kids
			}
		default:
			if d := t.ByKind(f.inside); len(d) > 0 {
				return d[0].Kids
			}
		}
	}
	return nil
}

// statements leaves out the try that only introduces a handler.
func (f frame) statements(t *syntax.Tree) []*syntax.Node {
	if strings.HasPrefix(f.before, "try") && len(t.Root.Kids) == 1 && len(t.Root.Kids[0].Kids) > 0 {
		return t.Root.Kids[0].Kids[1:]
	}
	return t.Root.Kids
}

func newPattern(nodes []*syntax.Node) (*Pattern, error) {
	p := &Pattern{strings: map[*syntax.Node]*text{}}
	for _, n := range nodes {
		n = finish(n)
		if err := p.index(n); err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, n)
	}
	return p, nil
}

// index collects the words and compiles the strings of a pattern.
func (p *Pattern) index(n *syntax.Node) error {
	switch n.Kind {
	case syntax.Ident:
		if len(n.Text) > 1 {
			p.words = append(p.words, n.Text)
		}
	case syntax.String:
		t, err := compileText(n.Text)
		if err != nil {
			return err
		}
		p.strings[n] = t
	}
	for _, k := range n.Kids {
		if k != nil {
			if err := p.index(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish turns the identifiers that prepare wrote into pattern nodes, from the
// leaves up, and removes what the grammar put around an ellipsis.
func finish(n *syntax.Node) *syntax.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Parent = nil
	c.Kids = make([]*syntax.Node, 0, len(n.Kids))
	for _, k := range n.Kids {
		c.Kids = append(c.Kids, finish(k))
	}
	switch c.Kind {
	case syntax.Ident:
		return finishName(&c)
	case syntax.Call:
		if f := c.Kids[0]; f.Kind == syntax.Ident && f.Text == deepName && len(c.Kids[1].Kids) > 0 {
			c.Kind, c.Kids = syntax.Deep, c.Kids[1].Kids[:1]
		}
	case syntax.Set:
		if len(c.Kids) == 1 && c.Kids[0].Kind == syntax.Ellipsis {
			c.Kind = syntax.Object
		}
	case syntax.Other:
		if c.Type == "jsx_text" && (strings.TrimSpace(c.Text) == "..." || strings.TrimSpace(c.Text) == ellipsisName) {
			return &syntax.Node{Kind: syntax.Ellipsis}
		}
	}
	return collapse(&c)
}

func finishName(n *syntax.Node) *syntax.Node {
	name := n.Text
	switch {
	case name == ellipsisName:
		n.Kind = syntax.Ellipsis
	case strings.HasPrefix(name, restPrefix):
		n.Kind, n.Text = syntax.MetaRest, "$"+name[len(restPrefix):]
	case strings.HasPrefix(name, typedPrefix):
		encoded, mv, _ := strings.Cut(name[len(typedPrefix):], "_")
		if t, err := hex.DecodeString(encoded); err == nil {
			n.Kind, n.Type, n.Text = syntax.Metavar, string(t), "$"+mv
		}
	case strings.HasPrefix(name, metaPrefix):
		n.Kind, n.Text = syntax.Metavar, "$"+name[len(metaPrefix):]
	case metavarName.MatchString(name):
		n.Kind = syntax.Metavar
	}
	return n
}

// collapse replaces a wrapper that holds nothing but an ellipsis. The list is
// closed on purpose: f(...) must not become "...".
func collapse(n *syntax.Node) *syntax.Node {
	switch n.Kind {
	case syntax.Param:
		if n.Kids[0] != nil && (n.Kids[0].Kind == syntax.Ellipsis || n.Kids[0].Kind == syntax.MetaRest) {
			return n.Kids[0]
		}
		if n.Kids[0] == nil && n.Kids[2] != nil && isWild(n.Kids[2].Kind) {
			return n.Kids[2]
		}
	case syntax.VarDecl, syntax.Spread, syntax.Pair, syntax.Assign:
		if n.Kind == syntax.Pair && n.Kids[0].Kind == syntax.MetaRest {
			return n.Kids[0]
		}
		if onlyEllipsis(n.Kids) || n.Kind == syntax.Spread && len(n.Kids) == 1 && n.Kids[0].Kind == syntax.MetaRest {
			return n.Kids[0]
		}
	case syntax.Other:
		switch n.Type {
		case "field_declaration", "jsx_attribute", "type_elem", "property_signature", "type_spec":
			if onlyEllipsis(n.Kids) {
				return n.Kids[0]
			}
		}
	}
	return n
}

func isWild(k syntax.Kind) bool {
	return k == syntax.Ellipsis || k == syntax.MetaRest || k == syntax.Metavar
}

func onlyEllipsis(kids []*syntax.Node) bool {
	any := false
	for _, k := range kids {
		if k == nil {
			continue
		}
		if k.Kind != syntax.Ellipsis {
			return false
		}
		any = true
	}
	return any
}
