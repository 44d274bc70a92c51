// Package change makes change sets: it builds them from fixes, validates them,
// applies them to a copy, inverts them and shows them as diffs. Only Apply
// touches a disk, and only below the root that it is given.
package change

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"integrationhub/internal/hub"
)

// File is the content and mode of one path before a change.
type File struct {
	Content []byte
	Mode    string // hub.ModeFile or hub.ModeExec
}

// Limits caps a change set. A zero field means its default.
type Limits struct {
	Changes    int   // paths in one change set; default 1,000
	FileBytes  int64 // new content of one path; default 1 MiB, the most that a scan reads
	TotalBytes int64 // new content of all paths together; default 16 MiB
}

func (l Limits) orDefault() Limits {
	if l.Changes == 0 {
		l.Changes = 1000
	}
	if l.FileBytes == 0 {
		l.FileBytes = 1 << 20
	}
	if l.TotalBytes == 0 {
		l.TotalBytes = 16 << 20
	}
	return l
}

// Invert returns the change set that undoes cs: base is the commit that cs made,
// before holds every path that cs updates or deletes as it was. The error names
// a path whose before is missing or is not what cs changed.
func Invert(cs hub.ChangeSet, base string, before map[string]File) (hub.ChangeSet, error) {
	inverse := hub.ChangeSet{Base: base, Changes: make([]hub.Change, 0, len(cs.Changes))}
	for _, c := range cs.Changes {
		if c.Op == hub.OpCreate {
			inverse.Changes = append(inverse.Changes, hub.Change{Op: hub.OpDelete, Path: c.Path, Mode: c.Mode, Before: c.After})
			continue
		}
		old, err := contentBefore(c, before)
		if err != nil {
			return hub.ChangeSet{}, fmt.Errorf("invert %s of %q: %w", c.Op, c.Path, err)
		}
		back := hub.Change{Op: hub.OpUpdate, Path: c.Path, Mode: old.Mode, Before: c.After, After: c.Before, Content: old.Content}
		if c.Op == hub.OpDelete {
			back.Op = hub.OpCreate
		}
		inverse.Changes = append(inverse.Changes, back)
	}
	return inverse, nil
}

// contentBefore finds what c changed, and refuses anything else of that name.
func contentBefore(c hub.Change, before map[string]File) (File, error) {
	old, ok := before[c.Path]
	if !ok {
		return File{}, fmt.Errorf("its content before is not given")
	}
	if got := hub.BlobHash(old.Content); got != c.Before {
		return File{}, fmt.Errorf("its content before has hash %s, but the change was made for %s", got, c.Before)
	}
	return old, nil
}

// isText reports whether content is what Git and a reviewer can show: UTF-8
// without a NUL.
func isText(content []byte) bool {
	return utf8.Valid(content) && bytes.IndexByte(content, 0) < 0
}

func sortByPath(changes []hub.Change) {
	slices.SortFunc(changes, func(a, b hub.Change) int { return strings.Compare(a.Path, b.Path) })
}
