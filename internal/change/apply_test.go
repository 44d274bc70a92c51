package change

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"integrationhub/internal/hub"
)

func openRoot(tb testing.TB, dir string) *os.Root {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// scratch is a new directory that goes with one draw, not with the whole test.
func scratch(t *rapid.T, parent string) string {
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestApplyMakesTheTreeAndTheInverseBringsItBack(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		pair := pairs().Draw(rt, "pair")
		before, after := pair[0], pair[1]
		dir := scratch(rt, parent)
		before.write(t, dir)
		root := openRoot(t, dir)
		defer root.Close()

		cs := before.changeTo(after)
		if err := Validate(cs, before.manifest(), Limits{}); err != nil {
			rt.Fatalf("validate: %v", err)
		}
		if err := Apply(cs, root); err != nil {
			rt.Fatalf("apply: %v", err)
		}
		if err := same(read(t, dir), after); err != nil {
			rt.Fatalf("after apply: %v", err)
		}
		inverse, err := Invert(cs, "next", before)
		if err != nil {
			rt.Fatalf("invert: %v", err)
		}
		if err := Validate(inverse, after.manifest(), Limits{}); err != nil {
			rt.Fatalf("validate the inverse: %v", err)
		}
		if err := Apply(inverse, root); err != nil {
			rt.Fatalf("apply the inverse: %v", err)
		}
		if err := same(read(t, dir), before); err != nil {
			rt.Fatalf("after the inverse: %v", err)
		}
	})
}

func TestApplyRefusesAndWritesNothing(t *testing.T) {
	text := func(s string) File { return File{Content: []byte(s), Mode: hub.ModeFile} }
	before := files{"a.go": text("a"), "z.go": text("z")}
	create := func(p string) hub.ChangeSet { return files{}.changeTo(files{p: text("new")}) }
	tests := []struct {
		name, err string
		cs        hub.ChangeSet
		prepare   func(dir string) error
	}{
		{"a later file that is another one", "has hash", before.changeTo(files{"a.go": text("b"), "z.go": text("y")}), func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "z.go"), []byte("changed"), 0o644)
		}},
		{"a directory that is a link inside the root", "not a directory", create("link/b.go"), func(dir string) error {
			return os.Symlink("real", filepath.Join(dir, "link"))
		}},
		{"a directory that is a link out of the root", "not a directory", create("link/b.go"), func(dir string) error {
			return os.Symlink(filepath.Dir(dir), filepath.Join(dir, "link"))
		}},
		{"a file that became a link", "not a regular file", files{"c.go": text("a")}.changeTo(files{"c.go": text("b")}), func(dir string) error {
			return os.Symlink("a.go", filepath.Join(dir, "c.go"))
		}},
		{"a create where something is", "there already", create("a.go"), nil},
		{"a create where a dangling link is", "there already", create("l"), func(dir string) error {
			return os.Symlink("nowhere", filepath.Join(dir, "l"))
		}},
		{"a path out of the root", "only dots", create("../b.go"), nil},
		{"a path in .git", ".git", create(".git/hooks/pre-commit"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			if err := os.MkdirAll(filepath.Join(dir, "real"), 0o755); err != nil {
				t.Fatal(err)
			}
			before.write(t, dir)
			if tt.prepare != nil {
				if err := tt.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			root := openRoot(t, dir)
			defer root.Close()
			err := Apply(tt.cs, root)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got error %v, want one with %q", err, tt.err)
			}
			if got, _ := os.ReadFile(filepath.Join(dir, "a.go")); string(got) != "a" {
				t.Errorf("a.go is %q, want it untouched", got)
			}
			if inside, _ := os.ReadDir(filepath.Join(dir, "real")); len(inside) != 0 {
				t.Errorf("wrote through a link: %v", inside)
			}
		})
	}
}

func TestInvertRefusesAnotherContent(t *testing.T) {
	before := files{"a": {Content: []byte("a"), Mode: hub.ModeFile}}
	cs := before.changeTo(files{})
	if _, err := Invert(cs, "next", files{}); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("without the content: got %v, want an error that names the path", err)
	}
	if _, err := Invert(cs, "next", files{"a": {Content: []byte("b")}}); err == nil || !strings.Contains(err.Error(), "has hash") {
		t.Errorf("with another content: got %v, want an error about its hash", err)
	}
}
