package change

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"integrationhub/internal/hub"
)

const (
	noBlob  = "0000000000000000000000000000000000000000" // how Git writes "no file" in an index line
	context = 3                                          // lines around each hunk, as in Git
)

// Diff shows cs as Git would: "git apply" takes it, and makes the same bytes and
// modes. before holds every path that cs updates or deletes as it was. What is
// not text is named, not shown, as Git does without --binary.
func Diff(cs hub.ChangeSet, before map[string]File) (string, error) {
	var b strings.Builder
	for _, c := range cs.Changes {
		var old File
		if c.Op != hub.OpCreate {
			var err error
			if old, err = contentBefore(c, before); err != nil {
				return "", fmt.Errorf("diff %s of %q: %w", c.Op, c.Path, err)
			}
		}
		if err := diffOne(&b, c, old); err != nil {
			return "", fmt.Errorf("diff %s of %q: %w", c.Op, c.Path, err)
		}
	}
	return b.String(), nil
}

func diffOne(b *strings.Builder, c hub.Change, old File) error {
	from, to := quote("a/"+c.Path), quote("b/"+c.Path)
	fmt.Fprintf(b, "diff --git %s %s\n", from, to)
	switch {
	case c.Op == hub.OpCreate:
		fmt.Fprintf(b, "new file mode %s\nindex %s..%s\n", c.Mode, noBlob, c.After)
		from = "/dev/null"
	case c.Op == hub.OpDelete:
		fmt.Fprintf(b, "deleted file mode %s\nindex %s..%s\n", c.Mode, c.Before, noBlob)
		to = "/dev/null"
	case c.Mode != old.Mode:
		fmt.Fprintf(b, "old mode %s\nnew mode %s\n", old.Mode, c.Mode)
		if c.Before != c.After {
			fmt.Fprintf(b, "index %s..%s\n", c.Before, c.After)
		}
	default:
		fmt.Fprintf(b, "index %s..%s %s\n", c.Before, c.After, c.Mode)
	}
	if !isText(old.Content) || !isText(c.Content) {
		fmt.Fprintf(b, "Binary files %s and %s differ\n", from, to)
		return nil
	}
	text := string(old.Content)
	hunks, err := udiff.ToUnified(label(from), label(to), text, udiff.Lines(text, string(c.Content)), context)
	b.WriteString(hunks)
	return err
}

// label ends a name that holds a blank with a tab, so that readers of the diff
// know where it ends.
func label(name string) string {
	if strings.Contains(name, " ") {
		return name + "\t"
	}
	return name
}

// quote writes a name as Git does under its default core.quotePath: as it is, or
// in double quotes with C escapes when it holds other than printable ASCII.
func quote(name string) string {
	var b strings.Builder
	plain := true
	for i := range len(name) {
		c := name[i]
		switch at := strings.IndexByte("\a\b\t\n\v\f\r\"\\", c); {
		case at >= 0:
			b.WriteByte('\\')
			b.WriteByte(`abtnvfr"\`[at])
			plain = false
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
			plain = false
		default:
			b.WriteByte(c)
		}
	}
	if plain {
		return name
	}
	return `"` + b.String() + `"`
}
