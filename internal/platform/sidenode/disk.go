package sidenode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform/git"
	"integrationhub/internal/snapshot"
)

// disk reads a directory as it lies, through its root: no link is followed.
type disk struct {
	root *os.Root
	repo *git.Repo // nil for a folder without git
}

// pack writes every file and link to w.
func (d disk) pack(ctx context.Context, w *snapshot.Writer) error {
	plain := map[string]bool{}
	add := func(p string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return d.read(p, plain, func(e hub.Entry, content io.Reader) error {
			return w.Add(e.Path, e.Mode, e.Size, content)
		})
	}
	if d.repo == nil {
		return d.walk(add)
	}
	paths, err := d.repo.WorkFiles(ctx)
	if err != nil {
		return err
	}
	slices.Sort(paths) // git lists what it tracks after the rest
	for _, p := range slices.Compact(paths) {
		if err := add(p); err != nil {
			return err
		}
	}
	return nil
}

// file hands one path to use, if it is one that pack would pack.
func (d disk) file(ctx context.Context, p string, use func(hub.Entry, io.Reader) error) error {
	if d.repo != nil {
		paths, err := d.repo.WorkFiles(ctx, p)
		if err != nil || !slices.Contains(paths, p) {
			return err
		}
	}
	return d.read(p, map[string]bool{}, use)
}

// walk visits a folder without git. Whatever is called .git is passed over at every level.
func (d disk) walk(visit func(path string) error) error {
	return fs.WalkDir(d.root.FS(), ".", func(p string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && p != ".":
			return nil // gone since its directory was read
		case err != nil:
			return fmt.Errorf("list %q: %w", p, err)
		case strings.EqualFold(path.Base(p), ".git") && entry.IsDir():
			return fs.SkipDir
		case strings.EqualFold(path.Base(p), ".git") || entry.IsDir():
			return nil
		}
		return visit(p)
	})
}

// read hands one file or link to use. What is neither, what is gone and what lies
// behind a link is passed over; plain remembers the directories found to be none.
// The error is snapshot.ErrChanged when somebody wrote meanwhile.
func (d disk) read(p string, plain map[string]bool, use func(hub.Entry, io.Reader) error) error {
	if !d.inPlainDirs(path.Dir(p), plain) {
		return nil
	}
	info, err := d.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", p, err)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := d.root.Readlink(p)
		if err != nil {
			return fmt.Errorf("%w: link %q: %w", snapshot.ErrChanged, p, err)
		}
		return use(hub.Entry{Path: p, Mode: hub.ModeLink, Size: int64(len(target))}, strings.NewReader(target))
	case info.Mode().IsRegular():
		return d.readFile(p, info, use)
	}
	return nil
}

func (d disk) readFile(p string, seen fs.FileInfo, use func(hub.Entry, io.Reader) error) error {
	// Should a pipe have taken the place of the file, opening it must not wait.
	f, err := d.root.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q is gone", snapshot.ErrChanged, p)
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", p, err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %q: %w", p, err)
	}
	if !os.SameFile(seen, before) {
		return fmt.Errorf("%w: %q was replaced", snapshot.ErrChanged, p)
	}
	e := hub.Entry{Path: p, Mode: hub.ModeFile, Size: before.Size()}
	if before.Mode()&0o100 != 0 {
		e.Mode = hub.ModeExec
	}
	if err := use(e, f); err != nil {
		return err
	}
	after, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %q: %w", p, err)
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%w: %q", snapshot.ErrChanged, p)
	}
	return nil
}

// inPlainDirs reports whether dir and all directories above it are no links: git
// still lists a path when a link has taken the place of its directory.
func (d disk) inPlainDirs(dir string, plain map[string]bool) bool {
	if dir == "." || plain[dir] {
		return true
	}
	if !d.inPlainDirs(path.Dir(dir), plain) {
		return false
	}
	info, err := d.root.Lstat(dir)
	plain[dir] = err == nil && info.IsDir()
	return plain[dir]
}
