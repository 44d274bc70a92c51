package change

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"

	"integrationhub/internal/hub"
)

// Validate reports whether cs can be applied, exactly as it says, to the tree
// that manifest describes. The error names the field of the first change that
// cannot, and what to do. Nothing may be written that is no text, through a
// link, onto a directory, or beside a name that differs only by case.
func Validate(cs hub.ChangeSet, manifest []hub.Entry, limits Limits) error {
	limits = limits.orDefault()
	if len(cs.Changes) > limits.Changes {
		return fmt.Errorf("changes: %d paths are more than the limit of %d; split the change set", len(cs.Changes), limits.Changes)
	}
	t := newTree(manifest)
	var total int64
	for i, c := range cs.Changes {
		if i > 0 && cs.Changes[i-1].Path >= c.Path {
			return fmt.Errorf("changes[%d].path %q: must come after %q; sort by path, name each path once", i, c.Path, cs.Changes[i-1].Path)
		}
		if err := CheckPath(c.Path); err != nil {
			return fmt.Errorf("changes[%d].path %q: %w", i, c.Path, err)
		}
		if field, err := t.checkOp(c); err != nil {
			return fmt.Errorf("changes[%d].%s of %q: %w", i, field, c.Path, err)
		}
		if field, err := checkContent(c, limits); err != nil {
			return fmt.Errorf("changes[%d].%s of %q: %w", i, field, c.Path, err)
		}
		if total += int64(len(c.Content)); total > limits.TotalBytes {
			return fmt.Errorf("changes: more than %d bytes of content in all; split the change set", limits.TotalBytes)
		}
	}
	return t.checkPlaces(cs.Changes)
}

// checkContent looks at mode, content and the hash after; it returns the field
// that is wrong.
func checkContent(c hub.Change, limits Limits) (string, error) {
	if c.Mode != hub.ModeFile && c.Mode != hub.ModeExec {
		return "mode", fmt.Errorf("%q is neither %s (file) nor %s (executable)", c.Mode, hub.ModeFile, hub.ModeExec)
	}
	if c.Op == hub.OpDelete {
		if c.Content != nil || c.After != "" {
			return "after", errors.New("a delete has no content and no hash after; leave both out")
		}
		return "", nil
	}
	if int64(len(c.Content)) > limits.FileBytes {
		return "content", fmt.Errorf("%d bytes are more than the limit of %d", len(c.Content), limits.FileBytes)
	}
	if !isText(c.Content) {
		return "content", errors.New("is not UTF-8 text; binary files cannot be written")
	}
	if want := hub.BlobHash(c.Content); c.After != want {
		return "after", fmt.Errorf("%q is not the hash of the content, %s", c.After, want)
	}
	return "", nil
}

// tree is a manifest that can be asked the way a forgiving file system would
// answer: by exact path and by folded path.
type tree struct {
	entries map[string]hub.Entry
	files   map[string]string // folded path to path
	dirs    map[string]int    // folded directory to the number of files below it
}

func newTree(manifest []hub.Entry) *tree {
	t := &tree{entries: make(map[string]hub.Entry, len(manifest)), files: map[string]string{}, dirs: map[string]int{}}
	for _, e := range manifest {
		t.entries[e.Path] = e
		t.add(e.Path)
	}
	return t
}

func (t *tree) add(p string) {
	t.files[foldPath(p)] = p
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		t.dirs[foldPath(dir)]++
	}
}

func (t *tree) remove(p string) {
	if t.files[foldPath(p)] == p {
		delete(t.files, foldPath(p))
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		t.dirs[foldPath(dir)]--
	}
}

// checkOp compares the operation and the hash before with the manifest.
func (t *tree) checkOp(c hub.Change) (string, error) {
	e, exists := t.entries[c.Path]
	switch {
	case c.Op != hub.OpCreate && c.Op != hub.OpUpdate && c.Op != hub.OpDelete:
		return "op", fmt.Errorf("%q is not one of create, update, delete", c.Op)
	case c.Op == hub.OpCreate && exists:
		return "op", errors.New("the path exists already; use update")
	case c.Op == hub.OpCreate && c.Before != "":
		return "before", errors.New("a create has no hash before; leave it out")
	case c.Op == hub.OpCreate:
		return "", nil
	case !exists:
		return "op", fmt.Errorf("there is no such path to %s in the snapshot", c.Op)
	case e.Mode == hub.ModeLink:
		return "path", errors.New("is a symbolic link; change the file that it points to")
	case c.Before != e.Hash:
		return "before", fmt.Errorf("%q is not the snapshot's hash %s; make the change for this commit", c.Before, e.Hash)
	case c.Op == hub.OpDelete && c.Mode != e.Mode:
		return "mode", fmt.Errorf("%s is not the mode %s of the file to delete", c.Mode, e.Mode)
	case c.Op == hub.OpUpdate && c.After == e.Hash && c.Mode == e.Mode:
		return "op", errors.New("the update changes nothing; leave it out")
	}
	return "", nil
}

// checkPlaces looks at the tree as it will be: every created path must have a
// place of its own below directories that are no files and no links.
func (t *tree) checkPlaces(changes []hub.Change) error {
	for _, c := range changes {
		if c.Op == hub.OpDelete {
			t.remove(c.Path)
		}
	}
	for i, c := range changes {
		if c.Op != hub.OpCreate {
			continue
		}
		if err := t.checkPlace(c.Path); err != nil {
			return fmt.Errorf("changes[%d].path %q: %w", i, c.Path, err)
		}
		t.add(c.Path)
	}
	return nil
}

func (t *tree) checkPlace(p string) error {
	if t.dirs[foldPath(p)] > 0 {
		return errors.New("is a directory; name a file in it")
	}
	if other, ok := t.files[foldPath(p)]; ok {
		return fmt.Errorf("is the same name as %q where case does not count; choose another", other)
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		other, ok := t.files[foldPath(dir)]
		if !ok {
			continue
		}
		if t.entries[other].Mode == hub.ModeLink {
			return fmt.Errorf("goes through the symbolic link %q; write to the link's target", other)
		}
		return fmt.Errorf("is below %q, which is a file; choose another directory", other)
	}
	return nil
}

// foldPath is the key under which a forgiving file system would keep p.
func foldPath(p string) string {
	if isASCII(p) {
		return strings.ToLower(p)
	}
	return norm.NFC.String(fold(norm.NFC.String(p)))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
