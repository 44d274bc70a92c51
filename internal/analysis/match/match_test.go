package match_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
)

// find lists the matches of a pattern as "[code]" with what $X stands for.
func find(t *testing.T, lang syntax.Language, pattern, src string) []string {
	t.Helper()
	p, err := match.Compile(lang, pattern)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	tree, err := syntax.Parse(context.Background(), lang, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range match.NewMatcher(context.Background(), tree).Find(p) {
		s := "[" + tree.Text(m.Start, m.End) + "]"
		if b := m.Env.Get("$X"); b != nil {
			s += " X=" + b.Source(tree)
		}
		out = append(out, s)
	}
	return out
}

func TestPatternsFindTheCodeThatTheyShow(t *testing.T) {
	const (
		python, golang, js, ts, tsx = syntax.Python, syntax.Go, syntax.JavaScript, syntax.TypeScript, syntax.TSX
	)
	for _, c := range []struct {
		lang         syntax.Language
		pattern, src string
		want         string // matches joined by " | "
	}{
		// Metavariables, and their equality.
		{python, "$X == $X", "a == a\na == b", "[a == a] X=a"},
		{python, "f($X, ...)", "f(1)\nf(2, 3)\nf()", "[f(1)] X=1 | [f(2, 3)] X=2"},
		{python, "f(..., $X)", "f(1, 2)", "[f(1, 2)] X=2"},
		{python, "f($_, $_)", "f(1, 2)", "[f(1, 2)]"},
		{python, "f($...X)", "f(a, b)", "[f(a, b)] X=a, b"},
		{python, "def $F($X):\n  ...\n  g($X)", "def a(x):\n  y()\n  g(x)\ndef b(x):\n  g(y)", "[def a(x):\n  y()\n  g(x)] X=x"},
		// Names mean variables, not letters.
		{python, "$X = a()\n...\nb($X)", "def f():\n  x = a()\n  b(x)\ndef g():\n  x = a()\ndef h():\n  b(x)", "[x = a()\n  b(x)] X=x"},
		// Strings.
		{python, `f("...")`, "f('a')\nf(f'{a}')\nf(a)", "[f('a')]"},
		{python, `f("$X")`, "f('a b')", "[f('a b')] X=a b"},
		{python, `f("=~/^a.*z$/")`, "f('abz')\nf('ab')", "[f('abz')]"},
		{python, `f("a$X.txt")`, "f('a1.txt')\nf('b1.txt')", "[f('a1.txt')] X=1"},
		{python, `f(f"...")`, "f(f'{a}b')\nf('c')", "[f(f'{a}b')]"},
		{js, "f(`...${$X}...`)", "f(`a${b}c`); f(`d`)", "[f(`a${b}c`)] X=b"},
		// Imports and constants.
		{python, "subprocess.run(...)", "from subprocess import run as go\ngo(1)\nrun(2)", "[go(1)]"},
		{js, "child_process.exec(...)", "const { exec } = require('child_process'); exec(a)", "[exec(a)]"},
		{golang, "exec.Command(...)", "package a\nimport e \"os/exec\"\nvar x = e.Command(b)", "[e.Command(b)]"},
		{python, `f("a")`, "x = 'a'\nf(x)", "[f(x)]"},
		{python, "import os", "import os.path\nimport sys", "[import os.path]"},
		{js, "import 'm'", "import a from 'm'; import 'n'", "[import a from 'm']"},
		// Keyword arguments in any order, decorators in any order.
		{python, "f(a=1, ...)", "f(2, b=3, a=1)\nf(b=3)", "[f(2, b=3, a=1)]"},
		{python, "@a\ndef $F(...): ...", "@b\n@a\ndef f(x): pass\n@b\ndef g(): pass", "[@b\n@a\ndef f(x): pass]"},
		// Statements.
		{python, "a()\n...\nb()", "a()\nif x:\n  b()\n", "[a()\nif x:\n  b()]"},
		{python, "a()\nb()", "a()\nc()\nb()", ""},
		{python, "try:\n  ...\nexcept:\n  ...", "try:\n  a\nexcept:\n  b\ntry:\n  a\nexcept E:\n  b", "[try:\n  a\nexcept:\n  b]"},
		{python, "def $X():\n  a()", "def f():\n  a()\n  b()\ndef g():\n  a()", "[def g():\n  a()] X=g"},
		{python, "f(..., $...X)", "f()", "[f()] X="},
		{python, "with open(...) as $X:\n  ...", "with open(a) as f:\n  g", "[with open(a) as f:\n  g] X=f"},
		{golang, "$X, err := $F(...)\n...\nreturn err", "package a\nfunc f() error { v, err := g(1); use(v); return err }", "[v, err := g(1); use(v); return err] X=v"},
		{golang, "for ... { ... defer $X(...) ... }", "package a\nfunc f() { for range x { g(); defer h() }; defer i() }", "[for range x { g(); defer h() }] X=h"},
		{js, "if ($X) { ... }", "if (a) b; if (c) { d } else { e }", "[if (a) b;] X=a | [if (c) { d } else { e }] X=c"},
		// Functions of all forms.
		{js, "function $F(...) { ... return $X; ... }", "const a = (b) => b; function c() { return d }", "[(b) => b] X=b | [function c() { return d }] X=d"},
		{js, "($X) => { ... }", "a.map(b => { c })", "[b => { c }] X=b"},
		{ts, "async function $F(...) { ... }", "async function a() {} function b() {}", "[async function a() {}]"},
		// Objects, JSX, classes.
		{js, "f({a: $X})", "f({b: 1, a: 2})", "[f({b: 1, a: 2})] X=2"},
		{js, "a: $X", "f({a: 1, b: 2})", "[a: 1] X=1"},
		{python, "{..., 'a': $X, ...}", "y = {'b': 1, 'a': 2}", "[{'b': 1, 'a': 2}] X=2"},
		{golang, "T{..., A: $X, ...}", "package a\nvar v = T{B: 1, A: 2}", "[T{B: 1, A: 2}] X=2"},
		{tsx, "<a href={$X} ... />", "const v = <a id=\"1\" href={b}>c</a>", "[<a id=\"1\" href={b}>c</a>] X=b"},
		{python, "class $X(B): ...", "class A(C, B):\n  pass\nclass D: pass", "[class A(C, B):\n  pass] X=A"},
		// Deep, chains, types.
		{python, "if <... $X.is_admin() ...>:\n  ...", "if a and not u.is_admin():\n  b", "[if a and not u.is_admin():\n  b] X=u"},
		{js, "$X. ... .end()", "a.b().c(1).end()", "[a.b().c(1).end()] X=a.b().c(1) | [a.b().c(1).end()] X=a.b().c | [a.b().c(1).end()] X=a.b() | [a.b().c(1).end()] X=a.b | [a.b().c(1).end()] X=a"},
		{golang, "($X : *sql.DB).Query(...)", "package a\nfunc f(d *sql.DB, e *T) { d.Query(1); e.Query(2) }", "[d.Query(1)] X=d"},
		{ts, "f(($X: string))", "function g(a: string, b: number) { f(a); f(b) }", "[f(a)] X=a"},
		// A semicolon belongs to nobody.
		{js, "$X = 1", "let a = 1; b = 1;", "[let a = 1] X=a | [b = 1] X=b"},
		{js, "return $X;", "function f() { return 1; }", "[return 1] X=1"},
	} {
		if got := strings.Join(find(t, c.lang, c.pattern, c.src), " | "); got != c.want {
			t.Errorf("%s: %q in %q\n got %s\nwant %s", c.lang, c.pattern, c.src, got, c.want)
		}
	}
}

func TestPatternsThatAreNoCodeAreErrors(t *testing.T) {
	for _, c := range []struct {
		lang    syntax.Language
		pattern string
	}{{syntax.Python, "def ("}, {syntax.Go, "func )"}, {syntax.JavaScript, "a b c"}, {syntax.Python, "  \n"}} {
		if _, err := match.Compile(c.lang, c.pattern); err == nil {
			t.Errorf("%s: %q was taken", c.lang, c.pattern)
		}
	}
}

func TestASearchThatExplodesRunsOutOfSteps(t *testing.T) {
	p, err := match.Compile(syntax.Python, "f(..., $A, ..., $B, ..., $C, ..., $D, ..., $E, ..., g($A, $B, $C, $D, $E))")
	if err != nil {
		t.Fatal(err)
	}
	args := make([]string, 80)
	for i := range args {
		args[i] = fmt.Sprintf("a%d", i)
	}
	src := "f(" + strings.Join(args, ", ") + ", g(1, 2, 3, 4, 5))\n"
	tree, err := syntax.Parse(context.Background(), syntax.Python, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	m := match.NewMatcher(context.Background(), tree)
	begin := time.Now()
	m.Find(p)
	if took := time.Since(begin); !m.Spent() || took > 5*time.Second {
		t.Errorf("spent %v after %v", m.Spent(), took)
	}
	m.Reset()
	if m.Spent() {
		t.Error("the next rule has no budget of its own")
	}
}

func TestRegularExpressionsRunWithAndWithoutLookAround(t *testing.T) {
	for _, c := range []struct {
		expr, text string
		anchored   bool
		want       string
	}{
		{"b+", "abba", false, "[[1 3]]"},
		{"^b", "a\nb", false, "[[2 3]]"},
		{"b", "ab", true, "[]"},
		{"(?i)A", "ab", true, "[[0 1]]"},
		{"(?!a).", "ab", false, "[[1 2]]"},
		{`(.)\1`, "éé", false, "[[0 4]]"},
		{"(?<=é)b", "éb", false, "[[2 3]]"},
	} {
		re, err := match.CompileRegexp(c.expr, c.anchored)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if got := fmt.Sprint(re.All(c.text, 10)); got != c.want {
			t.Errorf("%s in %q: %s, want %s", c.expr, c.text, got, c.want)
		}
	}
	if _, err := match.CompileRegexp("(", false); err == nil {
		t.Error("( was taken")
	}
}

// Whatever the pattern is, compiling and matching it end.
func FuzzPattern(f *testing.F) {
	langs := []syntax.Language{syntax.Go, syntax.JavaScript, syntax.Python}
	for i, s := range []string{"$X := f(...)", "<... $X ...>", "def $F(..., $X=$Y, ...): ...", "{..., a: $X}", "$X. ... .f(\"=~/a/\")", "($X: T)"} {
		f.Add(uint8(i), s)
	}
	sources := []string{"package a\nfunc f(x int) { y := f(x); for { defer g(y) } }", "const a = b => ({c: d, ...e}); a.f('x')", "def f(a, b=1):\n  with a as b:\n    return [f'{x}' for x in y]\n"}
	f.Fuzz(func(t *testing.T, which uint8, pattern string) {
		i := int(which) % len(langs)
		p, err := match.Compile(langs[i], pattern)
		if err != nil {
			return
		}
		tree, err := syntax.Parse(context.Background(), langs[i], []byte(sources[i]))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range match.NewMatcher(context.Background(), tree).Find(p) {
			_ = tree.Text(m.Start, m.End)
		}
	})
}
