// Package syntax turns source code of any language into one normalised tree, with names, imports and constants resolved.
package syntax

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// MaxDepth is how deep a syntax tree may nest. Everything behind the parser is
// recursive, so this bounds the stack.
const MaxDepth = 3000

// maxParse bounds one parse where ctx has no deadline.
const maxParse = 10 * time.Second

// Errors of Parse that a caller decides by.
var (
	ErrTimeout = errors.New("parsing took too long")
	ErrDepth   = fmt.Errorf("the code nests more than %d levels deep", MaxDepth)
)

// Tree is one parsed file. It is read-only once made.
type Tree struct {
	Language  Language
	Source    string
	Root      *Node
	Words     map[string]struct{} // every name in the file, and the parts of import paths
	Nodes     []*Node             // in source order, parents before kids
	Broken    int                 // bytes that the grammar could not place
	Errors    int                 // places where the grammar failed or had to invent a token
	CodeLines int                 // lines that hold code, not only blanks and comments
	byKind    [kindsLength][]*Node
	lines     []int
	scopes    map[*Node]*scope
}

// ByKind lists the nodes of kind k in source order.
func (t *Tree) ByKind(k Kind) []*Node { return t.byKind[k] }

// Text is the source between two byte offsets.
func (t *Tree) Text(start, end int) string { return t.Source[start:end] }

// Line is the line of a byte offset, from 1.
func (t *Tree) Line(offset int) int {
	return sort.Search(len(t.lines), func(i int) bool { return t.lines[i] > offset })
}

// LineStart is the byte offset at which a line begins; lines count from 1.
func (t *Tree) LineStart(line int) int { return t.lines[line-1] }

// Lines is the number of lines.
func (t *Tree) Lines() int { return len(t.lines) }

// Parse reads one file, within ctx's deadline. Code that the grammar does not
// understand is no error: Tree.Broken says how much there was.
func Parse(ctx context.Context, lang Language, source []byte) (*Tree, error) {
	load, ok := grammars[lang]
	if !ok {
		return nil, fmt.Errorf("parse %s: no grammar for it", lang)
	}
	c := &conv{grammar: load(), src: string(source)}
	if err := c.read(ctx, source); err != nil {
		return nil, fmt.Errorf("parse %s: %w", lang, err)
	}
	t := &Tree{Language: lang, Source: c.src, Broken: c.broken, Errors: c.errors, Words: map[string]struct{}{}}
	t.index()
	t.CodeLines = c.codeLines(t)
	t.Root = c.node(0)
	if t.Root == nil {
		t.Root = c.make(Block, 0)
	}
	t.resolve()
	return t, nil
}

func (t *Tree) index() {
	t.lines = append(t.lines, 0)
	for i := 0; ; {
		j := strings.IndexByte(t.Source[i:], '\n')
		if j < 0 {
			return
		}
		i += j + 1
		t.lines = append(t.lines, i)
	}
}

// raw is one node of the grammar's tree. The nodes stand in preorder; next is
// where the one after the subtree begins.
type raw struct {
	start, end uint32
	next       int32
	kind       uint16
	field      uint16
}

// ref is an index into conv.raw; none is no node.
type ref = int32

const none ref = -1

// errorKind is the number that tree-sitter gives to ERROR nodes.
const errorKind = 1<<16 - 1

// conv turns the grammar's tree into ours.
type conv struct {
	*grammar
	src      string
	raw      []raw
	broken   int
	brokenTo uint32
	errors   int
	nodes    []Node
	kids     []*Node
}

// codeLines counts the lines on which a token stands that is no comment.
func (c *conv) codeLines(t *Tree) int {
	count, last := 0, 0
	for i := ref(0); int(i) < len(c.raw); i++ {
		r := &c.raw[i]
		if c.comment(i) {
			i = r.next - 1
			continue
		}
		if r.next != i+1 || strings.TrimSpace(c.src[r.start:r.end]) == "" {
			continue
		}
		first, end := t.Line(int(r.start)), t.Line(int(r.end)-1)
		if first <= last {
			first = last + 1
		}
		if end >= first {
			count += end - first + 1
			last = end
		}
	}
	return count
}

func (c *conv) comment(i ref) bool { return strings.HasSuffix(c.kind(i), "comment") }

func (c *conv) kind(i ref) string {
	if k := c.raw[i].kind; int(k) < len(c.kinds) {
		return c.kinds[k]
	}
	return "ERROR"
}

func (c *conv) isNamed(i ref) bool {
	k := c.raw[i].kind
	return int(k) >= len(c.named) || c.named[k]
}

func (c *conv) text(i ref) string { return c.src[c.raw[i].start:c.raw[i].end] }

const slab = 512

// make returns a new node that spans what i spans.
func (c *conv) make(k Kind, i ref, kids ...*Node) *Node {
	if len(c.nodes) == cap(c.nodes) {
		c.nodes = make([]Node, 0, min(slab, len(c.raw)+1))
	}
	c.nodes = append(c.nodes, Node{Kind: k, Kids: c.keep(kids)})
	n := &c.nodes[len(c.nodes)-1]
	if len(c.raw) > 0 {
		n.Start, n.End = int(c.raw[i].start), int(c.raw[i].end)
	}
	return n
}

// keep copies kids into a slab, so that the variadic slices of callers stay on
// their stacks.
func (c *conv) keep(kids []*Node) []*Node {
	if len(kids) == 0 {
		return nil
	}
	if cap(c.kids)-len(c.kids) < len(kids) {
		c.kids = make([]*Node, 0, max(min(slab, len(c.raw)), len(kids)))
	}
	at := len(c.kids)
	c.kids = append(c.kids, kids...)
	return c.kids[at:len(c.kids):len(c.kids)]
}
