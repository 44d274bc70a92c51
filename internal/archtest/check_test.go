package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// source is one parsed Go file of a module.
type source struct {
	module string
	path   string // slash-separated, from the module's root
	fset   *token.FileSet
	syntax *ast.File
}

// load parses every Go file of the module in dir. Nested modules, testdata and
// hidden directories are not part of it.
func load(dir string) ([]source, error) {
	module, err := moduleName(dir)
	if err != nil {
		return nil, err
	}
	var sources []source
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != dir && outside(name, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		sources = append(sources, source{module: module, path: filepath.ToSlash(rel), fset: fset, syntax: syntax})
		return err
	})
	return sources, err
}

func moduleName(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s/go.mod names no module", dir)
}

func outside(name, base string) bool {
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

// check says in one sentence each what is wrong with a file.
func (s source) check() []string {
	if ast.IsGenerated(s.syntax) {
		return nil
	}
	wrong := s.checkName()
	if strings.HasSuffix(s.path, "_test.go") {
		return wrong
	}
	wrong = append(wrong, s.checkRoom()...)
	wrong = append(wrong, s.checkDoors()...)
	wrong = append(wrong, s.checkSubjects()...)
	wrong = append(wrong, s.checkInit()...)
	if within(s.pkg(), testOnly) {
		return wrong
	}
	return append(wrong, s.checkLength()...)
}

// pkg is the package's path in the words of the table: without "internal/".
func (s source) pkg() string { return strings.TrimPrefix(path.Dir(s.path), "internal/") }

// within reports whether pkg is one of rooms or lies below one.
func within(pkg string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool { return pkg == r || strings.HasPrefix(pkg, r+"/") })
}

func (s source) checkName() []string {
	if name := s.syntax.Name.Name; slices.Contains(noNames, name) {
		return []string{fmt.Sprintf("%s: a package named %s says nothing; name it after what it does", s.path, name)}
	}
	return nil
}

// checkRoom holds the imports of a file to the row of its room.
func (s source) checkRoom() []string {
	pkg := s.pkg()
	if within(pkg, testOnly) {
		return nil
	}
	at := slices.IndexFunc(house, func(r room) bool { return within(pkg, []string{r.name}) })
	if at < 0 {
		return []string{fmt.Sprintf("%s: package %s has no row in the table; move it to the room that it belongs to, or add a row here and in the design", s.path, pkg)}
	}
	r := house[at]
	var wrong []string
	for _, name := range s.imports() {
		name, ours := strings.CutPrefix(name, s.module+"/")
		if !ours {
			continue
		}
		name = strings.TrimPrefix(name, "internal/")
		switch {
		case within(name, testOnly):
			wrong = append(wrong, fmt.Sprintf("%s: imports %s, which is for tests only", s.path, name))
		case within(name, []string{r.name}), within(name, r.may):
		case name == "hub" && !slices.Contains(nounless, r.name):
		default:
			wrong = append(wrong, fmt.Sprintf("%s: %s may not import %s; imports point down only, see the table", s.path, r.name, name))
		}
	}
	return wrong
}

func (s source) imports() []string {
	names := make([]string, len(s.syntax.Imports))
	for i, spec := range s.syntax.Imports {
		names[i], _ = strconv.Unquote(spec.Path.Value) // the parser took it, so it is a string
	}
	return names
}

// checkDoors looks for packages and functions that belong to other rooms.
func (s source) checkDoors() []string {
	if within(s.pkg(), testOnly) {
		return nil
	}
	used := s.imports()
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				used = append(used, x.Name+"."+sel.Sel.Name)
			}
		}
		return true
	})
	var wrong []string
	for _, d := range doors {
		if !within(s.pkg(), d.rooms) && slices.ContainsFunc(used, func(name string) bool { return within(name, []string{d.name}) }) {
			wrong = append(wrong, fmt.Sprintf("%s: uses %s, but %s", s.path, d.name, d.why))
		}
	}
	return wrong
}

func (s source) checkSubjects() []string {
	if within(s.pkg(), subjectRooms) {
		return nil
	}
	var wrong []string
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, _ := strconv.Unquote(lit.Value)
		if slices.ContainsFunc(subjects, func(p string) bool { return strings.HasPrefix(text, p) }) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: spells the subject %q; ask message for it", s.path, s.line(lit.Pos()), text))
		}
		return true
	})
	return wrong
}

func (s source) checkLength() []string {
	var wrong []string
	if n := s.line(s.syntax.FileEnd); n > maxFile {
		wrong = append(wrong, fmt.Sprintf("%s: has %d lines, more than %d; split it by noun", s.path, n, maxFile))
	}
	for _, fn := range s.functions() {
		if n := s.line(fn.End()) - s.line(fn.Pos()) + 1; n > maxFunction {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s has %d lines, more than %d; split it", s.path, s.line(fn.Pos()), fn.Name.Name, n, maxFunction))
		}
	}
	return wrong
}

func (s source) checkInit() []string {
	var wrong []string
	for _, fn := range s.functions() {
		if fn.Name.Name == "init" && fn.Recv == nil {
			wrong = append(wrong, fmt.Sprintf("%s:%d: has an init function; call what it does by name", s.path, s.line(fn.Pos())))
		}
	}
	return wrong
}

func (s source) functions() []*ast.FuncDecl {
	var fns []*ast.FuncDecl
	for _, decl := range s.syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			fns = append(fns, fn)
		}
	}
	return fns
}

func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }
