package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ErrInUse says that another process has the data directory. Running tells
// where that process answers, once it does.
var ErrInUse = errors.New("the data directory is in use by another hub")

// lockWait bounds how long Open waits for the lock. Running holds it for
// microseconds, and must not make a hub believe that another one runs.
const lockWait = 200 * time.Millisecond

// DefaultDataDir is where a hub keeps its data when nobody says otherwise:
// integration-hub under the user's state directory, or under /var/lib for root,
// whose home the unprivileged Postgres could not enter. It is empty when the
// user has no home.
func DefaultDataDir() string {
	const name = "integration-hub"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, name)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", name)
	}
	return filepath.Join(home, ".local", "state", name)
}

// makeDataDir makes the directory for its user alone. Root's stays passable,
// because Postgres runs as somebody else and must reach its own part.
func makeDataDir(dir string) error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(filepath.Dir(dir), mode); err != nil {
		return fmt.Errorf("make the parent of data directory %s: %w", dir, err)
	}
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return os.Chmod(dir, mode) // whatever the umask took away
}

// lockDir takes the lock of a data directory. The kernel frees it when the
// process ends in whatever way, so a lock is never stale.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	for deadline := time.Now().Add(lockWait); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		if errors.Is(err, ErrInUse) && time.Now().Before(deadline) {
			if err = wait(ctx, 10*time.Millisecond); err == nil {
				continue
			}
		}
		f.Close()
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
}

// wait returns after d, or with an error as soon as ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writeSecret replaces a file in one step; only its user may read it.
func writeSecret(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
