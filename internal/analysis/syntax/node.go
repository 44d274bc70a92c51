package syntax

// Kind says what a node is, in every language alike.
type Kind uint8

// The kinds, each with the order of its Kids. A kid that the source leaves out
// is nil where the order has a fixed place for it.
const (
	Other         Kind = iota // no common meaning; Type is the grammar's name for it
	Ident                     // Text
	String                    // Text: what stands between the quotes, escapes as written
	Template                  // parts: String for text, anything for a value put in
	Number                    // Text
	Literal                   // Text: true, None, nil, ...
	Call                      // callee, Args
	New                       // type, Args
	Args                      // arguments
	Keyword                   // name, value
	Member                    // object, name
	Index                     // object, index ...
	Assign                    // target, value, type; Text is "=" or ":="
	AugAssign                 // target, value; Text is the operator
	VarDecl                   // target, type
	Tuple                     // elements
	List                      // elements
	Set                       // elements
	Object                    // Pair, Spread, Func, or elements without key
	Pair                      // key, value
	Spread                    // what is spread
	Composite                 // type, Object
	Binary                    // left, right; Text is the operator
	Unary                     // operand; Text is the operator
	Func                      // Decorators, name, Params, Block, result, receiver Params
	Class                     // Decorators, name, Args of what it extends, Block
	Decorators                // decorators, without their "@"
	Params                    // Param, or a bare name
	Param                     // name, default, type
	Block                     // statements
	Return                    // values
	Throw                     // values
	Import                    // path, name, alias; Text is "from", "default", "ns", "named" or "side"
	JSX                       // name, Object of attributes, List of children
	If                        // condition, Block, Block or If, initialiser
	For                       // initialiser, condition, update, Block
	ForEach                   // target, what is iterated, Block; Text is "in" or "of" or ":="
	While                     // condition, Block; Text is "do" where the body comes first
	Switch                    // subject, Block of Case
	Case                      // Args of values, Block; Text is "default" without values
	Try                       // Block, then Handler, Finally and Block for "else"
	Handler                   // what is caught, Block
	Finally                   // Block
	With                      // Args of items, Block
	As                        // value, name
	Conditional               // condition, then, else
	Await                     // value
	Comprehension             // body, then ForEach without Block, and conditions
	Regex                     // Text: the whole literal

	// Only in patterns.
	Metavar     // Text: "$X"; Type is the declared type that it asks for, if any
	MetaRest    // Text: "$...X"
	Ellipsis    // "..."
	Deep        // the pattern inside "<... ...>"
	kindsLength // not a kind
)

// Piece is the Type of a String that is the text between the values of a Template.
const Piece = "piece"

// Flags are what a node has or has not, and patterns may ask for.
type Flags uint8

// The flags.
const (
	Declared  Flags = 1 << iota // a function with a name of its own, not an expression
	Async                       // an async function
	Interface                   // a class that is an interface
)

// Node is one node of the normalised tree. Start and End are byte offsets.
type Node struct {
	Kind   Kind
	Flags  Flags
	Type   string
	Text   string
	Start  int
	End    int
	Kids   []*Node
	Parent *Node

	Alias *Node // the same thing with its import resolved: os.system for system
	Value *Node // the expression that this name holds here, if it is known
	Const *Node // the String, Number or Literal that this node is known to be
	scope *scope
}

// Kid is the i-th kid, or nil.
func (n *Node) Kid(i int) *Node {
	if i < len(n.Kids) {
		return n.Kids[i]
	}
	return nil
}

// Within reports whether a is n or one of its ancestors.
func (n *Node) Within(a *Node) bool {
	for x := n; x != nil; x = x.Parent {
		if x == a {
			return true
		}
	}
	return false
}

// Enclosing is the nearest proper ancestor of kind k, or nil.
func (n *Node) Enclosing(k Kind) *Node {
	for x := n.Parent; x != nil; x = x.Parent {
		if x.Kind == k {
			return x
		}
	}
	return nil
}

// Dotted is the text of a chain of names, "a.b.c", or empty for anything else.
func (n *Node) Dotted() string {
	switch n.Kind {
	case Ident:
		return n.Text
	case Member:
		if n.Kids[1].Kind == Ident {
			if a := n.Kids[0].Dotted(); a != "" {
				return a + "." + n.Kids[1].Text
			}
		}
	}
	return ""
}

// Equal reports whether a and b are the same code. Names are the same only when
// they mean the same variable: the "input" of two functions differs.
func Equal(a, b *Node) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.Kind != b.Kind || a.Text != b.Text || a.Type != b.Type || len(a.Kids) != len(b.Kids) {
		return false
	}
	if a.Kind == Ident && a.scope != nil && b.scope != nil && a.scope != b.scope {
		return false
	}
	for i := range a.Kids {
		if !Equal(a.Kids[i], b.Kids[i]) {
			return false
		}
	}
	return true
}
