package syntax_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/analysis/syntax"
)

var update = flag.Bool("update", false, "write the golden files anew")

func parse(t *testing.T, lang syntax.Language, src string) *syntax.Tree {
	t.Helper()
	tree, err := syntax.Parse(context.Background(), lang, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Each line of testdata/LANGUAGE.txt is code, and the line below it, after "=",
// is the normalised tree.
func TestNormalisedTreesAreTheGoldenOnes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		lang := syntax.Language(strings.TrimSuffix(filepath.Base(file), ".txt"))
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		code := ""
		for lines := bufio.NewScanner(strings.NewReader(string(raw))); lines.Scan(); {
			line := lines.Text()
			if want, ok := strings.CutPrefix(line, "= "); ok {
				got := fmt.Sprint(parse(t, lang, strings.ReplaceAll(code, "\\n", "\n")).Root)
				if got != want && !*update {
					t.Errorf("%s: %s\n got %s\nwant %s", lang, code, got, want)
				}
				line = "= " + got
			}
			code = line
			fmt.Fprintln(&out, line)
		}
		if *update {
			if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestImportsAreResolvedWhereNamesAreUsed(t *testing.T) {
	for _, c := range []struct {
		lang      syntax.Language
		src       string
		use, want string // the last use of a name, and what it stands for
	}{
		{syntax.Python, "import os.path as p\np.join(a)", "p", "os.path"},
		{syntax.Python, "from subprocess import run as go\ngo(a)", "go", "subprocess.run"},
		{syntax.Python, "from subprocess import run\ndef f(run):\n    run(a)", "run", ""},
		{syntax.Python, "run(a)\nfrom subprocess import run", "run", ""},
		{syntax.Go, "package a\nimport e \"os/exec\"\nvar x = e.Command(y)", "e", "exec"},
		{syntax.Go, "package a\nimport r \"math/rand/v2\"\nvar x = r.Int()", "r", "rand"},
		{syntax.JavaScript, "import { exec as run } from 'node:child_process'; run(a)", "run", "child_process.exec"},
		{syntax.JavaScript, "const cp = require('child_process'); cp.exec(a)", "cp", "child_process"},
		{syntax.JavaScript, "const { readFile: r } = require('fs/promises'); r(a)", "r", "fs.promises.readFile"},
		{syntax.JavaScript, "import x from './fs'; x(a)", "x", ""},
		{syntax.TypeScript, "import cp = require('child_process'); cp.exec(a)", "cp", "child_process"},
	} {
		got := ""
		for _, n := range parse(t, c.lang, c.src).ByKind(syntax.Ident) {
			if n.Text == c.use && !n.IsName() && n.Alias != nil {
				got = n.Alias.Dotted()
			}
		}
		if got != c.want {
			t.Errorf("%s: %q stands for %q, want %q", c.src, c.use, got, c.want)
		}
	}
}

func TestConstantsReachTheUsesThatTheySurelyReach(t *testing.T) {
	for _, c := range []struct {
		lang syntax.Language
		src  string
		want string // what x is known to be where f(x) is called
	}{
		{syntax.Python, "x = 'a'\nf(x)", `"a"`},
		{syntax.Python, "x = 'a' + 'b'\nf(x)", `"ab"`},
		{syntax.Python, "x = 'a'\nx = g()\nf(x)", ""},
		{syntax.Python, "if y:\n    x = 'a'\nf(x)", ""},
		{syntax.Python, "x = 'a'\nfor y in z:\n    f(x)\n    x = y", ""},
		{syntax.Python, "x = 'a'\ndef g(x):\n    f(x)", ""},
		{syntax.Python, "x = 3\ndef g():\n    f(x)", "3"},
		{syntax.Python, "x = 'a'\nx += 'b'\nf(x)", ""},
		{syntax.Go, "package a\nconst x = \"a\"\nfunc g() { f(x) }", `"a"`},
		{syntax.Go, "package a\nfunc g() { x := 1; p := &x; f(x) }", ""},
		{syntax.Go, "package a\nfunc g() { x := 1; x++; f(x) }", ""},
		{syntax.JavaScript, "const x = `a${'b'}`; f(x)", `"ab"`},
		{syntax.JavaScript, "let x = -1; f(x)", "(unary - 1)"},
	} {
		got := "no call"
		for _, n := range parse(t, c.lang, c.src).ByKind(syntax.Call) {
			if n.Kids[0].Dotted() == "f" {
				got = ""
				if l := n.Kids[1].Kids[0].Const; l != nil {
					got = l.String()
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: x is %s, want %s", c.src, got, c.want)
		}
	}
}

func TestTypesThatTheFileTells(t *testing.T) {
	for _, c := range []struct {
		lang      syntax.Language
		src, want string
	}{
		{syntax.Go, "package a\nfunc g(x *sql.DB) { f(x) }", "*sql.DB"},
		{syntax.Go, "package a\nfunc g() { x := &http.Server{}; f(x) }", "*http.Server"},
		{syntax.Go, "package a\nfunc g() { var x template.HTML; f(x) }", "template.HTML"},
		{syntax.TypeScript, "function g(x: Map<string, number>) { f(x) }", "Map<string,number>"},
		{syntax.TypeScript, "const x = new Pool(); f(x)", "Pool"},
		{syntax.Python, "def g(x: Session):\n    f(x)", "Session"},
		{syntax.Python, "def g(x):\n    f(x)", ""},
	} {
		tree := parse(t, c.lang, c.src)
		for _, n := range tree.ByKind(syntax.Call) {
			if n.Kids[0].Dotted() == "f" {
				if got := tree.TypeOf(n.Kids[1].Kids[0]); got != c.want {
					t.Errorf("%s: x is a %q, want %q", c.src, got, c.want)
				}
			}
		}
	}
}

func TestLinesThatHoldCode(t *testing.T) {
	src := "package a // one\n\n// none\n/* none\nnone */\nvar s = `two\nthree\n` // four\n"
	if got := parse(t, syntax.Go, src).CodeLines; got != 4 {
		t.Errorf("%d lines hold code, want 4", got)
	}
}

func TestTooDeepAndTooLateAreErrorsOfTheirOwn(t *testing.T) {
	deep := "x = " + strings.Repeat("(", 2*syntax.MaxDepth) + "1" + strings.Repeat(")", 2*syntax.MaxDepth)
	if _, err := syntax.Parse(context.Background(), syntax.JavaScript, []byte(deep)); !errors.Is(err, syntax.ErrDepth) {
		t.Errorf("deep code: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	long := strings.Repeat("x = [1, 2, (3, {4: 5})]\n", 40_000)
	if _, err := syntax.Parse(ctx, syntax.Python, []byte(long)); !errors.Is(err, syntax.ErrTimeout) {
		t.Errorf("long code: %v", err)
	}
}

// Whatever the bytes are, parsing ends, and every node lies inside the file and
// inside its parent's list of kids.
func FuzzParse(f *testing.F) {
	langs := []syntax.Language{syntax.Go, syntax.JavaScript, syntax.TypeScript, syntax.TSX, syntax.Python}
	for i, s := range []string{"package a\nfunc f() { x := 1 }", "import a from 'b'; class X { y = `${z}` }", "type A = {b: string}",
		"const x = <a b={c}>d</a>", "def f(a, *b, c=1, **d):\n  return f'{a}' 'b'\n", "\xff\x00{[(", "from . import *\nmatch x:\n case 1: pass"} {
		f.Add(uint8(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, which uint8, src []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		tree, err := syntax.Parse(ctx, langs[int(which)%len(langs)], src)
		if err != nil {
			return
		}
		for _, n := range tree.Nodes {
			if n.Start < 0 || n.End < n.Start || n.End > len(src) {
				t.Fatalf("%s spans %d to %d of %d bytes", n.Kind, n.Start, n.End, len(src))
			}
			for _, k := range n.Kids {
				if k != nil && k.Parent == nil {
					t.Fatalf("a kid of %s has no parent", n.Kind)
				}
			}
			_ = n.String()
		}
	})
}
