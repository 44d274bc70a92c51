package syntax

import (
	"fmt"
	"strings"
)

// names of the kinds, in their order.
var names = [kindsLength]string{"other", "ident", "string", "template", "number", "literal", "call", "new", "args", "keyword",
	"member", "index", "assign", "augassign", "vardecl", "tuple", "list", "set", "object", "pair", "spread", "composite",
	"binary", "unary", "func", "class", "decorators", "params", "param", "block", "return", "throw", "import", "jsx", "if",
	"for", "foreach", "while", "switch", "case", "try", "handler", "finally", "with", "as", "conditional", "await",
	"comprehension", "regex", "metavar", "metarest", "ellipsis", "deep"}

func (k Kind) String() string { return names[k] }

// String is the tree below n on one line, for tests and for people: each node is
// (kind text kids...), "-" stands for a kid that is left out, and names and
// literals are their text alone.
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *Node) write(b *strings.Builder) {
	if n == nil {
		b.WriteByte('-')
		return
	}
	switch n.Kind {
	case Ident, Number, Literal, Regex, Metavar, MetaRest:
		b.WriteString(n.Text)
		return
	case String:
		fmt.Fprintf(b, "%q", n.Text)
		return
	case Ellipsis:
		b.WriteString("...")
		return
	}
	b.WriteByte('(')
	b.WriteString(n.Kind.String())
	for _, s := range []string{n.Type, n.Text} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	kids := n.Kids
	for len(kids) > 0 && kids[len(kids)-1] == nil {
		kids = kids[:len(kids)-1]
	}
	for _, k := range kids {
		b.WriteByte(' ')
		k.write(b)
	}
	b.WriteByte(')')
}
