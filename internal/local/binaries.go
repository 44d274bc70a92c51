package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// binDirs is where packages put Postgres when they do not put it in PATH:
// Debian and Ubuntu, Alpine, the PostgreSQL project's RPMs, Homebrew on both
// kinds of Mac.
var binDirs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/libexec/postgresql*",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// minMajor is the oldest Postgres that the hub is meant for.
const minMajor = 14

// binaries is one installed Postgres.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// findBinaries chooses the Postgres to run: the one in bin when bin is set; else
// PATH, then the newest of binDirs. want is the major version that an existing
// data directory needs, 0 for any: among several, the one that fits is chosen.
func findBinaries(ctx context.Context, bin string, want int) (binaries, error) {
	if bin != "" {
		b, err := inspect(ctx, bin)
		if err != nil {
			return b, fmt.Errorf("HUB_PG_BIN=%s: %w: name the directory that holds postgres and initdb", bin, err)
		}
		return b, nil
	}
	return chooseBinaries(ctx, searchDirs(), want)
}

func chooseBinaries(ctx context.Context, dirs []string, want int) (binaries, error) {
	var found []binaries
	for _, dir := range dirs {
		b, err := inspect(ctx, dir)
		if err != nil || b.major < minMajor {
			continue
		}
		if want == 0 || b.major == want {
			return b, nil
		}
		found = append(found, b)
	}
	if len(found) > 0 {
		return found[0], nil
	}
	return binaries{}, fmt.Errorf("no Postgres %d or newer is installed: install the package %s, or set HUB_PG_BIN to the directory that holds postgres and initdb, or set HUB_DATABASE_URL to a server that runs already", minMajor, packageHint())
}

// searchDirs lists the directories to look in, best first.
func searchDirs() []string {
	var dirs []string
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	for _, pattern := range binDirs {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		// Glob sorts by name, and the versions have two digits: newest last.
		for i := len(matches) - 1; i >= 0; i-- {
			dirs = append(dirs, matches[i])
		}
	}
	return dirs
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// inspect asks the Postgres in dir for its version.
func inspect(ctx context.Context, dir string) (binaries, error) {
	b := binaries{dir: dir}
	if _, err := os.Stat(b.path("initdb")); err != nil {
		return b, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, b.path("postgres"), "-V").Output()
	if err != nil {
		return b, err
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return b, errors.New("postgres -V names no version")
	}
	b.major, err = strconv.Atoi(string(m[1]))
	return b, err
}

// packageHint names the package of this machine's package manager, or all.
func packageHint() string {
	hints := []struct{ tool, hint string }{
		{"apt-get", "postgresql (apt-get install postgresql)"},
		{"dnf", "postgresql-server (dnf install postgresql-server)"},
		{"apk", "postgresql (apk add postgresql)"},
		{"brew", "postgresql@17 (brew install postgresql@17)"},
	}
	var all []string
	for _, h := range hints {
		if _, err := exec.LookPath(h.tool); err == nil {
			return h.hint
		}
		all = append(all, h.hint)
	}
	return strings.Join(all, " or ")
}
