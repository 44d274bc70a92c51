package change

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"integrationhub/internal/hub"
)

// Apply makes cs real in the directory root, a private copy of the snapshot that
// cs was made for. It checks every hash before the first write, follows no link,
// and replaces each file by one rename. Directories that lose their last file go
// too, as in Git. After an error the copy may be half changed: throw it away.
func Apply(cs hub.ChangeSet, root *os.Root) error {
	for _, c := range cs.Changes {
		if err := check(root, c); err != nil {
			return fmt.Errorf("apply %s of %q: %w", c.Op, c.Path, err)
		}
	}
	for _, c := range cs.Changes {
		if c.Op != hub.OpDelete {
			continue
		}
		if err := remove(root, c.Path); err != nil {
			return fmt.Errorf("apply delete of %q: %w", c.Path, err)
		}
	}
	for _, c := range cs.Changes {
		if c.Op == hub.OpDelete {
			continue
		}
		if err := write(root, c); err != nil {
			return fmt.Errorf("apply %s of %q: %w", c.Op, c.Path, err)
		}
	}
	return nil
}

// check refuses a change whose path, hash after or content before is wrong.
func check(root *os.Root, c hub.Change) error {
	if err := CheckPath(c.Path); err != nil {
		return fmt.Errorf("its path %w", err)
	}
	switch c.Op {
	case hub.OpCreate, hub.OpUpdate:
		if got := hub.BlobHash(c.Content); got != c.After {
			return fmt.Errorf("its content has hash %s, not %s", got, c.After)
		}
		if c.Mode != hub.ModeFile && c.Mode != hub.ModeExec {
			return fmt.Errorf("its mode %q is neither %s nor %s", c.Mode, hub.ModeFile, hub.ModeExec)
		}
	case hub.OpDelete:
	default:
		return errors.New("the operation is not one of create, update, delete")
	}
	if c.Op == hub.OpCreate {
		return nil // its place may still be taken by what is deleted first
	}
	got, err := hashFile(root, c.Path)
	if err != nil {
		return err
	}
	if got != c.Before {
		return fmt.Errorf("the file has hash %s, but the change was made for %s", got, c.Before)
	}
	return nil
}

// hashFile is the blob hash of a regular file that no link leads to.
func hashFile(root *os.Root, name string) (string, error) {
	if err := realDirs(root, name); err != nil {
		return "", err
	}
	info, err := root.Lstat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := hub.NewBlobHash(info.Size())
	if _, err := io.CopyN(h, f, info.Size()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// realDirs refuses a name that leads through anything but directories. Parts
// that do not exist are fine. os.Root alone would follow links that stay inside.
func realDirs(root *os.Root, name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		info, err := root.Lstat(name[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%q on its way is not a directory", name[:i])
		}
	}
	return nil
}

// remove deletes a file and the directories above it that are empty then.
func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			return nil // not empty: it has other files, so it stays
		}
	}
	return nil
}

// write puts the content of c in place by a rename within its directory.
func write(root *os.Root, c hub.Change) error {
	if err := realDirs(root, c.Path); err != nil {
		return err
	}
	if _, err := root.Lstat(c.Path); c.Op == hub.OpCreate && !errors.Is(err, fs.ErrNotExist) {
		return errors.New("something is there already")
	}
	if err := root.MkdirAll(path.Dir(c.Path), 0o755); err != nil {
		return err
	}
	part := path.Join(path.Dir(c.Path), "."+strings.ToLower(rand.Text())+".part")
	if err := writeFile(root, part, c); err != nil {
		return err
	}
	return root.Rename(part, c.Path)
}

func writeFile(root *os.Root, name string, c hub.Change) error {
	perm := fs.FileMode(0o644)
	if c.Mode == hub.ModeExec {
		perm = 0o755
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(c.Content)
	return errors.Join(err, f.Chmod(perm), f.Close()) // chmod: the umask may have taken bits
}
