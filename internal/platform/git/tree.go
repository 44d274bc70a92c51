package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/snapshot"
)

// maxListing caps what git prints about a tree: the default of all paths
// together, and 160 bytes for each file.
const maxListing = 96 << 20

type blob struct {
	id, mode, path string
	size           int64
}

// Names is the full names that ref may stand for, the first one that exists wins.
// A branch comes before a tag, as in git clone --branch. Empty stands for HEAD.
func Names(ref string) []string {
	switch {
	case ref == "" || ref == "HEAD":
		return []string{"HEAD"}
	case strings.HasPrefix(ref, "refs/") || hub.IsCommitID(ref):
		return []string{ref}
	}
	return []string{"refs/heads/" + ref, "refs/tags/" + ref}
}

// Commit is the id of the commit that a full name stands for. It is a *Failure
// when there is none.
func (r Repo) Commit(ctx context.Context, name string) (string, error) {
	id, err := r.output(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	return strings.TrimSpace(id), err
}

// Pack writes the files of a commit to w and returns their number. It reads
// blobs, not an archive or a checkout: attributes of the repository must not
// change content. Submodules are left out, and what Git LFS keeps elsewhere stays
// a pointer. In a directory of a work tree, the files below that directory are packed.
func (r Repo) Pack(ctx context.Context, commit string, w *snapshot.Writer) (int, error) {
	blobs, err := r.blobs(ctx, commit)
	if err != nil {
		return 0, err
	}
	return len(blobs), r.readBlobs(ctx, blobs, func(b blob, content io.Reader) error {
		return w.Add(b.path, b.mode, b.size, content)
	})
}

// ReadFile hands one file of a commit to use, if the commit has it.
func (r Repo) ReadFile(ctx context.Context, commit, path string, use func(hub.Entry, io.Reader) error) error {
	blobs, err := r.blobs(ctx, commit, "--", path)
	if err != nil || len(blobs) != 1 || blobs[0].path != path {
		return err
	}
	return r.readBlobs(ctx, blobs, func(b blob, content io.Reader) error {
		return use(hub.Entry{Path: b.path, Mode: b.mode, Size: b.size}, content)
	})
}

// WorkFiles is the paths of a work tree that git tracks or would track: also
// changed and new files, but no ignored ones. Below a directory of a work tree,
// they are relative to it. A path may be gone from the disk, or come more than once.
// With only, no other path is looked for.
func (r Repo) WorkFiles(ctx context.Context, only ...string) ([]string, error) {
	r.env = append(r.env[:len(r.env):len(r.env)], "GIT_LITERAL_PATHSPECS=1")
	var paths []string
	err := r.list(ctx, func(item string) error {
		paths = append(paths, item)
		return nil
	}, append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}, only...)...)
	return paths, err
}

// IsWorkTree reports whether the directory is part of a work tree that does not
// ignore it. The error says why git could not tell.
func (r Repo) IsWorkTree(ctx context.Context) (bool, error) {
	inside, err := r.output(ctx, "rev-parse", "--is-inside-work-tree")
	if err != nil || strings.TrimSpace(inside) != "true" {
		return false, err
	}
	_, err = r.output(ctx, "check-ignore", "--quiet", r.Dir)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return true, nil
	}
	return false, err
}

func (r Repo) blobs(ctx context.Context, commit string, args ...string) ([]blob, error) {
	var blobs []blob
	err := r.list(ctx, func(item string) error {
		// "<mode> <type> <id> <size, padded>\t<path>"
		meta, path, _ := strings.Cut(item, "\t")
		f := strings.Fields(meta)
		if len(f) != 4 {
			return fmt.Errorf("git ls-tree printed %q", item)
		}
		if f[1] != "blob" {
			return nil // a submodule
		}
		size, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return fmt.Errorf("git ls-tree printed %q: %w", item, err)
		}
		blobs = append(blobs, blob{id: f[2], mode: modeOf(f[0]), path: path, size: size})
		return nil
	}, append([]string{"ls-tree", "-r", "-z", "-l", commit}, args...)...)
	return blobs, err
}

// modeOf maps git's older modes, such as 100664, to the one that git means today.
func modeOf(mode string) string {
	bits, err := strconv.ParseUint(mode, 8, 32)
	switch {
	case err == nil && bits&0o170000 == 0o100000 && bits&0o100 != 0:
		return hub.ModeExec
	case err == nil && bits&0o170000 == 0o100000:
		return hub.ModeFile
	}
	return mode
}

// list visits the NUL-terminated items that a command prints.
func (r Repo) list(ctx context.Context, visit func(item string) error, args ...string) error {
	return r.read(ctx, nil, func(out *bufio.Reader) error {
		read := 0
		for {
			item, err := out.ReadString(0)
			if err == io.EOF && item == "" {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read from git %s: %w", args[0], err)
			}
			if read += len(item); read > maxListing {
				return platform.Refuse(platform.ErrTooLarge, "the list of files passes the cap of %d bytes; leave generated or vendored files out of the repository", maxListing)
			}
			if err := visit(item[:len(item)-1]); err != nil {
				return err
			}
		}
	}, args...)
}

// readBlobs visits the content of blobs, one after the other.
func (r Repo) readBlobs(ctx context.Context, blobs []blob, visit func(blob, io.Reader) error) error {
	if len(blobs) == 0 {
		return nil
	}
	var ids bytes.Buffer
	for _, b := range blobs {
		ids.WriteString(b.id + "\n")
	}
	return r.read(ctx, &ids, func(out *bufio.Reader) error {
		for _, b := range blobs {
			header, err := out.ReadString('\n')
			if err != nil {
				return fmt.Errorf("read from git cat-file: %w", err)
			}
			if header != fmt.Sprintf("%s blob %d\n", b.id, b.size) {
				return fmt.Errorf("git cat-file printed %q for %q", header, b.path)
			}
			if err := visit(b, io.LimitReader(out, b.size)); err != nil {
				return err
			}
			if end, err := out.ReadByte(); err != nil || end != '\n' {
				return fmt.Errorf("git cat-file did not end %q: %w", b.path, io.ErrUnexpectedEOF)
			}
		}
		return nil
	}, "cat-file", "--batch")
}
