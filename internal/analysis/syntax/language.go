package syntax

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	sitter "github.com/tree-sitter/go-tree-sitter"
	golang "github.com/tree-sitter/tree-sitter-go/bindings/go"
	javascript "github.com/tree-sitter/tree-sitter-javascript/bindings/go"
	python "github.com/tree-sitter/tree-sitter-python/bindings/go"
	typescript "github.com/tree-sitter/tree-sitter-typescript/bindings/go"
)

// Language names a grammar.
type Language string

// The languages.
const (
	Go         Language = "go"
	JavaScript Language = "javascript"
	TypeScript Language = "typescript"
	TSX        Language = "tsx"
	Python     Language = "python"
)

// Family is the language whose patterns fit l: the three grammars of JavaScript
// share theirs.
func (l Language) Family() Language {
	if l == TypeScript || l == TSX {
		return JavaScript
	}
	return l
}

// Name is what people call the language.
func (l Language) Name() string {
	if l == TSX {
		return string(TypeScript)
	}
	return string(l)
}

// ParseLanguage reads the name of a language as rules write it.
func ParseLanguage(s string) (Language, error) {
	switch strings.ToLower(s) {
	case "go", "golang":
		return Go, nil
	case "js", "javascript", "jsx":
		return JavaScript, nil
	case "ts", "typescript", "tsx":
		return TypeScript, nil
	case "py", "python", "python3", "python2":
		return Python, nil
	}
	return "", fmt.Errorf("language %q is not one of go, javascript, typescript, python", s)
}

// grammar is one tree-sitter grammar with its tables by number, so that the walk
// over a tree compares no strings and crosses into C as little as it can.
type grammar struct {
	lang    Language
	pointer unsafe.Pointer // the TSLanguage
	kinds   []string
	named   []bool
	fields  []string
	build   []build // by kind; nil means Other
}

func newGrammar(lang Language, pointer unsafe.Pointer, builds map[string]build) *grammar {
	l := sitter.NewLanguage(pointer)
	n := int(l.NodeKindCount())
	g := &grammar{lang: lang, pointer: pointer, kinds: make([]string, n), named: make([]bool, n), build: make([]build, n)}
	for i := range n {
		id := uint16(i)
		g.kinds[i], g.named[i] = l.NodeKindForId(id), l.NodeKindIsNamed(id)
		if g.named[i] {
			g.build[i] = builds[g.kinds[i]]
		}
	}
	g.fields = make([]string, l.FieldCount()+1)
	for i := range g.fields {
		if i > 0 {
			g.fields[i] = l.FieldNameForId(uint16(i))
		}
	}
	return g
}

// grammars are immutable once made; each is made when it is first asked for.
var grammars = map[Language]func() *grammar{
	Go: sync.OnceValue(func() *grammar {
		return newGrammar(Go, golang.Language(), goBuilds())
	}),
	Python: sync.OnceValue(func() *grammar {
		return newGrammar(Python, python.Language(), pythonBuilds())
	}),
	JavaScript: sync.OnceValue(func() *grammar {
		return newGrammar(JavaScript, javascript.Language(), scriptBuilds())
	}),
	TypeScript: sync.OnceValue(func() *grammar {
		return newGrammar(TypeScript, typescript.LanguageTypescript(), scriptBuilds())
	}),
	TSX: sync.OnceValue(func() *grammar {
		return newGrammar(TSX, typescript.LanguageTSX(), scriptBuilds())
	}),
}
