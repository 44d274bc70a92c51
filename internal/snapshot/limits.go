// Package snapshot packs a tree into one tar.zst and unpacks it where it can do no harm.
package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"integrationhub/internal/hub"
)

// The errors that a caller decides by. Each comes wrapped in a sentence that
// names the path.
var (
	// ErrTooLarge means that a cap of Limits was passed.
	ErrTooLarge = errors.New("the code base is too large")
	// ErrInvalid means a path, a mode or an archive that is never accepted.
	ErrInvalid = errors.New("the code base cannot be packed or unpacked")
	// ErrChanged means content that is shorter or longer than was announced.
	ErrChanged = errors.New("a file changed while it was read")
)

// Limits caps what is packed and unpacked. A zero field stands for its default.
type Limits struct {
	Files     int64 // files and links; default 200,000
	Dirs      int64 // directories; default 200,000
	Bytes     int64 // content of all files; default 2 GiB
	FileBytes int64 // content of one file; default 256 MiB
	PathBytes int64 // one path, or one link's target; default 4096
	NameBytes int64 // all paths together; default 64 MiB
	Ratio     int64 // expanded to compressed bytes, once FileBytes and 1 MiB are expanded; default 200
}

func (l Limits) orDefault() Limits {
	return Limits{
		Files:     cmp.Or(l.Files, 200_000),
		Dirs:      cmp.Or(l.Dirs, 200_000),
		Bytes:     cmp.Or(l.Bytes, 2<<30),
		FileBytes: cmp.Or(l.FileBytes, 256<<20),
		PathBytes: cmp.Or(l.PathBytes, 4096),
		NameBytes: cmp.Or(l.NameBytes, 64<<20),
		Ratio:     cmp.Or(l.Ratio, 200),
	}
}

// maxName is what common file systems take for one name of a path, in bytes.
const maxName = 255

func tooLarge(p string, limit int64, what string) error {
	return fmt.Errorf("%w: %q passes the cap of %d %s", ErrTooLarge, p, limit, what)
}

func invalid(p, why string) error { return fmt.Errorf("%w: %q %s", ErrInvalid, p, why) }

// guard admits the entries of one tree, one after the other.
type guard struct {
	limits Limits
	files  map[string]bool
	dirs   map[string]bool
	bytes  int64
	names  int64
}

func newGuard(l Limits) *guard {
	return &guard{limits: l.orDefault(), files: map[string]bool{}, dirs: map[string]bool{}}
}

// admit refuses an entry that breaks a rule or passes a cap.
func (g *guard) admit(p, mode string, size int64) error {
	if err := g.admitPath(p); err != nil {
		return err
	}
	switch {
	case mode != hub.ModeFile && mode != hub.ModeExec && mode != hub.ModeLink:
		return invalid(p, fmt.Sprintf("has mode %q, which is not a file or a symbolic link", mode))
	case size < 0:
		return invalid(p, "has a negative size")
	case mode == hub.ModeLink && size > g.limits.PathBytes:
		return tooLarge(p, g.limits.PathBytes, "bytes in the target of a link")
	case size > g.limits.FileBytes:
		return tooLarge(p, g.limits.FileBytes, "bytes in one file")
	case g.bytes+size > g.limits.Bytes:
		return tooLarge(p, g.limits.Bytes, "bytes in all files")
	case int64(len(g.files)) == g.limits.Files:
		return tooLarge(p, g.limits.Files, "files")
	case g.files[p]:
		return invalid(p, "comes twice")
	case g.dirs[p]:
		return invalid(p, "is a file and a directory")
	}
	g.bytes += size
	g.files[p] = true
	return g.admitParents(p)
}

func (g *guard) admitPath(p string) error {
	if int64(len(p)) > g.limits.PathBytes {
		return tooLarge(p[:min(len(p), 64)]+"...", g.limits.PathBytes, "bytes in one path")
	}
	if err := CheckPath(p); err != nil {
		return err
	}
	g.names += int64(len(p))
	if g.names > g.limits.NameBytes {
		return tooLarge(p, g.limits.NameBytes, "bytes in all paths")
	}
	return nil
}

func (g *guard) admitParents(p string) error {
	for d := path.Dir(p); d != "." && !g.dirs[d]; d = path.Dir(d) {
		if g.files[d] {
			return invalid(d, "is a file and a directory")
		}
		if int64(len(g.dirs)) == g.limits.Dirs {
			return tooLarge(p, g.limits.Dirs, "directories")
		}
		g.dirs[d] = true
	}
	return nil
}

// CheckPath accepts relative, clean, slash-separated UTF-8 that stays inside the
// tree and outside of git's own directory, whatever case the file system folds.
// The error is ErrInvalid or, for a name that is too long, ErrTooLarge.
func CheckPath(p string) error {
	switch {
	case !utf8.ValidString(p):
		return invalid(p, "is not UTF-8; rename the file")
	case strings.ContainsRune(p, 0):
		return invalid(p, "holds a NUL")
	case p == "." || path.Clean(p) != p || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../"):
		return invalid(p, "is not a clean relative path")
	}
	for name := range strings.SplitSeq(p, "/") {
		if strings.EqualFold(name, ".git") {
			return invalid(p, "lies in a .git directory")
		}
		if len(name) > maxName {
			return tooLarge(p, maxName, "bytes in one name of a path")
		}
	}
	return nil
}
