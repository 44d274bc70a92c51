package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who Postgres runs as: this process's user, or somebody
// unprivileged when that is root, which Postgres refuses.
type account struct {
	name     string
	uid, gid uint32
	switched bool // not this process's user
}

// chooseAccount keeps to the owner of an existing data directory, because
// Postgres accepts nobody else.
func chooseAccount(data string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if info, err := os.Stat(data); err == nil {
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid == 0 {
			return account{}, fmt.Errorf("%s belongs to root, and Postgres refuses root: give it to another user with chown -R, or remove it", data)
		}
		return account{name: "user " + strconv.Itoa(int(st.Uid)), uid: st.Uid, gid: st.Gid, switched: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return account{}, fmt.Errorf("look up user %s: %w", name, err)
		}
		return account{name: "user " + name, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
	}
	return account{}, errors.New("Postgres refuses root, and there is neither a user postgres nor nobody to run it: run the hub as an ordinary user, or set HUB_DATABASE_URL")
}

// credential is for the processes that run as the account; nil means no change.
func (a account) credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// mkdir makes a directory for the account alone, or checks the one that is there.
func (a account) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return a.checkPrivate(dir)
	}
	if err != nil {
		return err
	}
	return a.own(dir)
}

// checkPrivate refuses what is not a directory that only the account can enter.
func (a account) checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || info.Sys().(*syscall.Stat_t).Uid != a.uid {
		return fmt.Errorf("%s must be a directory of its user alone, mode 0700: remove it", dir)
	}
	return nil
}

func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// checkReach finds a directory above dir, or dir itself, that the account
// cannot pass, such as root's home.
func (a account) checkReach(dir string) error {
	if !a.switched {
		return nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		st, pass := info.Sys().(*syscall.Stat_t), fs.FileMode(0o001)
		if st.Uid == a.uid {
			pass = 0o100
		} else if st.Gid == a.gid {
			pass = 0o010
		}
		if info.Mode()&pass == 0 {
			return fmt.Errorf("Postgres runs as %s, because it refuses root, and %s cannot pass %s to reach %s: choose another data directory, such as /var/lib/integration-hub", a.name, a.name, d, dir)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}
