package change

import (
	"strings"
	"testing"

	"integrationhub/internal/hub"
)

func TestCheckPathRefusesEverySpellingOfAWayOut(t *testing.T) {
	for _, p := range []string{
		"", ".", "..", "../a", "a/../b", "a/./b", "a//b", "a/", "/a", "//a", `a\b`, `\a`, `..\a`, "C:/a", "c:a", "a\x00b", "a\xff", ".. /a", "...",
		".git", ".git/config", "a/.git/config", ".GIT/config", ".Git", ".git ", ".git.", ".git . .", ".git::$INDEX_ALLOCATION", ".git:x",
		"git~1", "GIT~1/config", "git~1 ", "git~23", ".g\u200cit", "\ufeff.git", ".g\u202eit/x", ".ｇｉｔ/x", ".g\u0130t",
		"node_modules", "node_modules/a.js", "web/Node_Modules/a.js", "node_module\u017f/a.js", "node_modules./a", "NODE_M~1/a.js",
		strings.Repeat("a", 256), strings.Repeat("a/", 2048) + "a",
	} {
		if CheckPath(p) == nil {
			t.Errorf("CheckPath(%q) accepts it", p)
		}
	}
}

func TestCheckPathTakesWhatRepositoriesHold(t *testing.T) {
	for _, p := range []string{
		"a", "a/b.go", ".gitignore", ".gitattributes", ".github/workflows/ci.yml", "git/a.go", "digit~1", "x.git/a", "node_modules.txt", "src/node-modules/a",
		"a b/c d.txt", "ö/日本.py", "new\nline", "tab\t", "-x", "ab:c", "..a", "a..", ".a", "Ω.go", strings.Repeat("a", 255),
	} {
		if err := CheckPath(p); err != nil {
			t.Errorf("CheckPath(%q): %v", p, err)
		}
	}
}

func TestValidateNamesTheFieldAndTheRemedy(t *testing.T) {
	manifest := []hub.Entry{
		{Path: "README.md", Mode: hub.ModeFile, Hash: hub.BlobHash([]byte("readme"))},
		{Path: "docs", Mode: hub.ModeLink, Hash: hub.BlobHash([]byte(".git"))},
		{Path: "src/a.go", Mode: hub.ModeFile, Hash: hub.BlobHash([]byte("a"))},
	}
	text := func(op hub.Op, path, before, after string) hub.Change {
		c := hub.Change{Op: op, Path: path, Mode: hub.ModeFile, After: hub.BlobHash([]byte(after)), Content: []byte(after)}
		if op != hub.OpCreate {
			c.Before = hub.BlobHash([]byte(before))
		}
		return c
	}
	with := func(c hub.Change, set func(*hub.Change)) []hub.Change { set(&c); return []hub.Change{c} }
	update := text(hub.OpUpdate, "src/a.go", "a", "b")
	remove := hub.Change{Op: hub.OpDelete, Path: "src/a.go", Mode: hub.ModeFile, Before: hub.BlobHash([]byte("a"))}
	tests := []struct {
		err     string // empty when the change set is good
		changes []hub.Change
	}{
		{"", []hub.Change{text(hub.OpCreate, "b.go", "", "b"), update}},
		{"", []hub.Change{remove}},
		{"", []hub.Change{text(hub.OpCreate, "src", "", "now a file"), remove}},
		{"", with(update, func(c *hub.Change) { c.Mode, c.Content, c.After = hub.ModeExec, []byte("a"), c.Before })},
		{"changes[1].path", []hub.Change{update, update}},
		{"changes[0].path", []hub.Change{text(hub.OpCreate, "../b", "", "b")}},
		{"changes[0].op", with(update, func(c *hub.Change) { c.Op = "move" })},
		{"use update", []hub.Change{text(hub.OpCreate, "src/a.go", "", "b")}},
		{"changes[0].op", []hub.Change{text(hub.OpUpdate, "src/b.go", "a", "b")}},
		{"changes nothing", []hub.Change{text(hub.OpUpdate, "src/a.go", "a", "a")}},
		{"changes[0].before", []hub.Change{text(hub.OpUpdate, "src/a.go", "x", "b")}},
		{"changes[0].before", with(text(hub.OpCreate, "b", "", "b"), func(c *hub.Change) { c.Before = c.After })},
		{"changes[0].after", with(update, func(c *hub.Change) { c.Content = []byte("c") })},
		{"changes[0].after", with(remove, func(c *hub.Change) { c.After = c.Before })},
		{"changes[0].mode", with(update, func(c *hub.Change) { c.Mode = hub.ModeLink })},
		{"changes[0].mode", with(remove, func(c *hub.Change) { c.Mode = hub.ModeExec })},
		{"changes[0].content", []hub.Change{text(hub.OpUpdate, "src/a.go", "a", "b\x00")}},
		{"changes[0].content", []hub.Change{text(hub.OpUpdate, "src/a.go", "a", "b\xff")}},
		{"changes[0].content", []hub.Change{text(hub.OpUpdate, "src/a.go", "a", strings.Repeat("x", 101))}},
		{"content in all", []hub.Change{text(hub.OpCreate, "b", "", strings.Repeat("x", 80)), text(hub.OpCreate, "c", "", strings.Repeat("x", 80))}},
		{"split the change set", make([]hub.Change, 4)},
		{"symbolic link", []hub.Change{text(hub.OpUpdate, "docs", ".git", "b")}},
		{"symbolic link", []hub.Change{text(hub.OpCreate, "docs/hooks/pre-commit", "", "b")}},
		{"symbolic link", []hub.Change{text(hub.OpCreate, "Docs/hooks/pre-commit", "", "b")}},
		{"is a directory", []hub.Change{text(hub.OpCreate, "src", "", "b")}},
		{"is a directory", []hub.Change{text(hub.OpCreate, "SRC", "", "b")}},
		{"which is a file", []hub.Change{text(hub.OpCreate, "src/a.go/b", "", "b")}},
		{"which is a file", []hub.Change{text(hub.OpCreate, "x", "", "b"), text(hub.OpCreate, "x/y", "", "b")}},
		{"where case does not count", []hub.Change{text(hub.OpCreate, "readme.md", "", "b")}},
		{"where case does not count", []hub.Change{text(hub.OpCreate, "a\u0308", "", "b"), text(hub.OpCreate, "\u00c4", "", "b")}},
	}
	for _, tt := range tests {
		err := Validate(hub.ChangeSet{Changes: tt.changes}, manifest, Limits{Changes: 3, FileBytes: 100, TotalBytes: 150})
		if tt.err == "" && err != nil {
			t.Errorf("%v: %v, want it accepted", tt.changes, err)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%v: got %v, want an error with %q", tt.changes, err, tt.err)
		}
	}
}
