package change

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"integrationhub/internal/hub"
)

// files is a whole tree by path.
type files map[string]File

func (t files) manifest() []hub.Entry {
	entries := make([]hub.Entry, 0, len(t))
	for _, p := range slices.Sorted(maps.Keys(t)) {
		entries = append(entries, hub.Entry{Path: p, Mode: t[p].Mode, Hash: hub.BlobHash(t[p].Content), Size: int64(len(t[p].Content))})
	}
	return entries
}

// changeTo is the change set that turns one tree into another.
func (t files) changeTo(after files) hub.ChangeSet {
	var changes []hub.Change
	for p, old := range t {
		now, stays := after[p]
		c := hub.Change{Op: hub.OpUpdate, Path: p, Mode: now.Mode, Before: hub.BlobHash(old.Content), After: hub.BlobHash(now.Content), Content: now.Content}
		if !stays {
			c = hub.Change{Op: hub.OpDelete, Path: p, Mode: old.Mode, Before: hub.BlobHash(old.Content)}
		}
		if c.Op == hub.OpDelete || c.Before != c.After || now.Mode != old.Mode {
			changes = append(changes, c)
		}
	}
	for p, now := range after {
		if _, was := t[p]; !was {
			changes = append(changes, hub.Change{Op: hub.OpCreate, Path: p, Mode: now.Mode, After: hub.BlobHash(now.Content), Content: now.Content})
		}
	}
	sortByPath(changes)
	return hub.ChangeSet{Base: "base", Changes: changes}
}

func (t files) write(tb testing.TB, dir string) {
	tb.Helper()
	for p, f := range t {
		name := filepath.Join(dir, filepath.FromSlash(p))
		perm := fs.FileMode(0o644)
		if f.Mode == hub.ModeExec {
			perm = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(name, f.Content, perm); err != nil {
			tb.Fatal(err)
		}
	}
}

// read reads back what is in dir; an empty directory is an entry with a slash,
// so that one left over is seen.
func read(tb testing.TB, dir string) files {
	tb.Helper()
	t := files{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			inside, err := os.ReadDir(name)
			if len(inside) == 0 && rel != "." {
				t[rel+"/"] = File{}
			}
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		f := File{Content: content, Mode: hub.ModeFile}
		if info.Mode()&0o100 != 0 {
			f.Mode = hub.ModeExec
		}
		t[filepath.ToSlash(rel)] = f
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// same tells where two trees differ.
func same(got, want files) error {
	for p, w := range want {
		g, ok := got[p]
		if !ok {
			return fmt.Errorf("%q is missing", p)
		}
		if !bytes.Equal(g.Content, w.Content) || g.Mode != w.Mode {
			return fmt.Errorf("%q is %s %q, want %s %q", p, g.Mode, g.Content, w.Mode, w.Content)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			return fmt.Errorf("%q should not be there", p)
		}
	}
	return nil
}

// trees draws small trees with awkward names, line ends and modes, in which no
// file is in the way of another.
func trees() *rapid.Generator[files] {
	part := rapid.SampledFrom([]string{"a", "b", "c d", "ö", "tab\there", `q"uote`, "new\nline", "-x", "日本", "e.go", "\x7f"})
	line := rapid.SampledFrom([]string{"one", "two", "three", "-- x", "++ y", "@@ z", "\t", "", "ünï", "\\ No newline at end of file", "diff --git a/a b/a"})
	end := rapid.SampledFrom([]string{"\n", "\n", "\n", "\r\n", "\r"})
	lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return line.Draw(t, "line") + end.Draw(t, "end") }), 0, 25)
	return rapid.Custom(func(t *rapid.T) files {
		tree := files{}
		for range rapid.IntRange(0, 6).Draw(t, "files") {
			p := strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "path"), "/")
			content := strings.Join(lines.Draw(t, "lines"), "")
			if rapid.Bool().Draw(t, "cut") {
				content = strings.TrimSuffix(content, "\n")
			}
			if !tree.inTheWay(p) {
				tree[p] = File{Content: []byte(content), Mode: rapid.SampledFrom([]string{hub.ModeFile, hub.ModeExec}).Draw(t, "mode")}
			}
		}
		return tree
	})
}

func (t files) inTheWay(p string) bool {
	for other := range t {
		if strings.HasPrefix(other, p+"/") {
			return true
		}
	}
	for ; p != "."; p = path.Dir(p) {
		if _, ok := t[p]; ok {
			return true
		}
	}
	return false
}

// pairs draws two trees that share about half of their files, some of them with
// edited lines.
func pairs() *rapid.Generator[[2]files] {
	return rapid.Custom(func(t *rapid.T) [2]files {
		before, after := trees().Draw(t, "before"), trees().Draw(t, "after")
		for _, p := range slices.Sorted(maps.Keys(before)) {
			f := before[p]
			switch rapid.IntRange(0, 3).Draw(t, "what of "+p) {
			case 0:
				continue
			case 1:
				at := rapid.IntRange(0, len(f.Content)).Draw(t, "at")
				for at < len(f.Content) && f.Content[at]&0xc0 == 0x80 {
					at++
				}
				f.Content = slices.Concat(f.Content[:at], []byte("inserted\n"), f.Content[at:])
			}
			if !after.inTheWay(p) {
				after[p] = f
			}
		}
		return [2]files{before, after}
	})
}
