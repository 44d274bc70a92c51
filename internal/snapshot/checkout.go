package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"integrationhub/internal/hub"
)

// ErrLost means that a stored snapshot is gone or damaged: the code must be
// fetched again.
var ErrLost = errors.New("the snapshot is lost")

// Objects is where snapshots are stored. What is not there is fs.ErrNotExist.
type Objects interface {
	GetObject(ctx context.Context, name string) (io.ReadCloser, error)
}

// Tree is a snapshot unpacked into a temporary directory of its own.
type Tree struct {
	Root    *os.Root
	Entries []hub.Entry // links included, which are not on disk
	dir     string
}

// Checkout unpacks a stored snapshot below workDir; an empty one means the
// system's temporary directory. The caller closes the tree.
func Checkout(ctx context.Context, objects Objects, id, workDir string) (*Tree, error) {
	r, err := objects.GetObject(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	dir, err := os.MkdirTemp(workDir, "hub-snapshot-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for snapshot %s (HUB_WORK_DIR names another place): %w", id, err)
	}
	t := &Tree{dir: dir}
	if t.Root, err = os.OpenRoot(dir); err == nil {
		t.Entries, err = Unpack(r, t.Root, Limits{})
	}
	if err != nil {
		err = errors.Join(err, t.Close())
		if errors.Is(err, ErrInvalid) || errors.Is(err, ErrTooLarge) { // it was packed within the same limits
			return nil, fmt.Errorf("%w: %w", ErrLost, err)
		}
		return nil, fmt.Errorf("unpack snapshot %s: %w", id, err)
	}
	return t, nil
}

// Close removes the tree.
func (t *Tree) Close() error {
	if t.Root != nil {
		_ = t.Root.Close() // nothing was written through it that a close could lose
	}
	return os.RemoveAll(t.dir)
}
