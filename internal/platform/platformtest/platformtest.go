// Package platformtest is the suite that every platform.Source passes.
package platformtest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/snapshot"
)

// Token is what a Host lets in.
const Token = "s3cret-token/with+signs="

// File is one path of a fixture.
type File struct{ Path, Mode, Content string }

// Tree has whatever a source must carry without a change.
var Tree = []File{
	{".gitattributes", hub.ModeFile, "*.txt text eol=crlf ident\nignored.txt export-ignore\n"},
	{"README.md", hub.ModeFile, "# Shop\n"},
	{"bin/run.sh", hub.ModeExec, "#!/bin/sh\nexit 0\n"},
	{"docs/latest", hub.ModeLink, "../README.md"},
	{"docs/nowhere", hub.ModeLink, "/no/such/file"},
	{"empty", hub.ModeFile, ""},
	{"ignored.txt", hub.ModeFile, "$Id$\nunix line\n"},
	{"dos.csv", hub.ModeFile, "unix line\ndos line\r\n"},
	{"logo.bin", hub.ModeFile, "\x00\xff\xfe" + strings.Repeat("\x00\x01", 5000)},
	{"näme with\nnewline and \"quotes\" \t'", hub.ModeFile, "odd name\n"},
	{"-rf", hub.ModeFile, "like an option\n"},
	{"big.lfs", hub.ModeFile, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"},
}

// Manifest is what fetching files must give.
func Manifest(files []File) []hub.Entry {
	var entries []hub.Entry
	for _, f := range files {
		entries = append(entries, hub.Entry{Path: f.Path, Mode: f.Mode, Hash: hub.BlobHash([]byte(f.Content)), Size: int64(len(f.Content))})
	}
	slices.SortFunc(entries, func(a, b hub.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries
}

// Write puts files into dir.
func Write(t testing.TB, dir string, files []File) {
	t.Helper()
	for _, f := range files {
		name := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch f.Mode {
		case hub.ModeLink:
			err = os.Symlink(f.Content, name)
		case hub.ModeExec:
			err = os.WriteFile(name, []byte(f.Content), 0o755)
		default:
			err = os.WriteFile(name, []byte(f.Content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Git runs git in dir as a developer would and returns what it prints, trimmed.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev@example.org", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev@example.org",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Repository is a work tree on branch main with files in one commit; with no
// files it has no commit.
func Repository(t testing.TB, files []File) string {
	t.Helper()
	dir := t.TempDir()
	Git(t, dir, "init", "--quiet", "--initial-branch=main")
	if len(files) > 0 {
		Write(t, dir, files)
		Git(t, dir, "-c", "core.autocrlf=false", "add", "--all")
		Git(t, dir, "commit", "--quiet", "--message=first")
	}
	return dir
}

// Host serves a repository that holds files, or none, to whoever has Token.
type Host func(t *testing.T, files []File) platform.Target

// Run proves that source keeps the contract of platform.Source.
func Run(t *testing.T, source platform.Source, host Host) {
	t.Run("a tree comes as it is, and twice as the same revision", func(t *testing.T) { faithful(t, source, host(t, Tree)) })
	final := []error{platform.ErrNotFound, platform.ErrDenied, platform.ErrEmpty, platform.ErrInvalid, platform.ErrTooLarge}
	for _, c := range []struct {
		name   string
		files  []File
		limits snapshot.Limits
		change func(*testing.T, *platform.Target)
		want   error // nil for one that is not final
	}{
		{name: "no files", want: platform.ErrEmpty},
		{"no such repository", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Repository = "no/such" }, platform.ErrNotFound},
		{"no such ref", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Ref = "no-such-ref" }, platform.ErrNotFound},
		{"no such commit", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Commit = strings.Repeat("1", 40) }, platform.ErrNotFound},
		{"commit that is none", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Commit = "--help" }, platform.ErrInvalid},
		{"wrong token", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Token = "wrong-token-for-this-test" }, platform.ErrDenied},
		{"no token", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Token = "" }, platform.ErrDenied},
		{"token with a line end", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Token += "\nx" }, platform.ErrInvalid},
		{"ref like an option", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.Ref = "--upload-pack=touch" }, platform.ErrInvalid},
		{"path of this machine", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.BaseURL = "file:///etc" }, platform.ErrInvalid},
		{"token in the clear", Tree, snapshot.Limits{}, func(_ *testing.T, t *platform.Target) { t.BaseURL = "http://code.example.org" }, platform.ErrInvalid},
		{name: "a cap", files: Tree, limits: snapshot.Limits{Files: 3}, want: platform.ErrTooLarge},
		{"an unreachable host", Tree, snapshot.Limits{}, func(t *testing.T, target *platform.Target) { target.BaseURL = "http://" + closedPort(t) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := host(t, c.files)
			if c.change != nil {
				c.change(t, &target)
			}
			err := fetchErr(t.Context(), t, source, target, c.limits)
			isFinal := slices.ContainsFunc(final, func(f error) bool { return errors.Is(err, f) })
			if err == nil || c.want == nil && isFinal || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "\n") || target.Token != "" && strings.Contains(text, target.Token) {
				t.Errorf("the error %q is not one line without the credential", text)
			}
		})
	}
	t.Run("a cancelled fetch ends", func(t *testing.T) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := fetchErr(gone, t, source, host(t, Tree), snapshot.Limits{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func faithful(t *testing.T, source platform.Source, target platform.Target) {
	if err := source.Check(t.Context(), target); err != nil {
		t.Errorf("check: %v", err)
	}
	entries, first := Fetch(t, source, target)
	if want := Manifest(Tree); !reflect.DeepEqual(entries, want) {
		t.Errorf("got  %v\nwant %v", entries, want)
	}
	_, second := Fetch(t, source, target)
	if first.Commit == "" || first.Ref == "" || first != second {
		t.Errorf("first %+v, then %+v", first, second)
	}
	target.Commit = first.Commit
	if pinned, again := Fetch(t, source, target); again.Commit != first.Commit || !reflect.DeepEqual(pinned, entries) {
		t.Errorf("pinned to %s came %+v", first.Commit, again)
	}
}

// Fetch is a fetch that succeeds.
func Fetch(t testing.TB, source platform.Source, target platform.Target) ([]hub.Entry, platform.Revision) {
	t.Helper()
	w, err := snapshot.NewWriter(io.Discard, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	rev, err := source.Fetch(t.Context(), target, w)
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	entries, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return entries, rev
}

func fetchErr(ctx context.Context, t *testing.T, source platform.Source, target platform.Target, limits snapshot.Limits) error {
	t.Helper()
	w, err := snapshot.NewWriter(io.Discard, limits)
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Fetch(ctx, target, w)
	return err
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
