package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWithoutPostgresThePackageIsNamed(t *testing.T) {
	_, err := chooseBinaries(t.Context(), []string{t.TempDir()}, 0)
	if err == nil || !strings.Contains(err.Error(), "install the package postgresql") || !strings.Contains(err.Error(), "HUB_PG_BIN") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheDefaultDirectoryIsTheUsersOwn(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	want := filepath.Join(state, "integration-hub")
	if os.Geteuid() == 0 {
		want = "/var/lib/integration-hub" // Postgres could not enter root's home
	}
	if got := DefaultDataDir(); got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
}

func TestThePostgresThatFitsTheDataIsChosen(t *testing.T) {
	var dirs []string
	for _, major := range []int{18, 17, 16, 12} {
		dir := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %d.1 (Some 1.2)'\n", major)
		for _, name := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		dirs = append(dirs, dir)
	}
	for want, major := range map[int]int{0: 18, 16: 16, 15: 18, 12: 18} {
		if b, err := chooseBinaries(t.Context(), dirs, want); err != nil || b.major != major {
			t.Errorf("for data of version %d: %d, %v; want %d", want, b.major, err, major)
		}
	}
}

func TestTheLogOfPostgresHasACap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postgres.log")
	l, err := openServerLog(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 3 * logCap / len(chunk) {
		l.Write(chunk)
	}
	l.Write([]byte("the end\n"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var sum int64
	files, _ := filepath.Glob(path + "*")
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if len(files) != 2 || sum > 2*logCap {
		t.Errorf("%d files of %d bytes in all", len(files), sum)
	}
	if said := l.String(); !strings.HasSuffix(said, "the end") || len(said) > tailCap {
		t.Errorf("an error would quote %d bytes, ending %q", len(said), said[len(said)-20:])
	}
}
