package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"integrationhub/internal/hub"
)

type file struct{ path, mode, content string }

var tree = []file{
	{"z.txt", hub.ModeFile, "last\n"},
	{"a/run.sh", hub.ModeExec, "#!/bin/sh\n"},
	{"a/link", hub.ModeLink, "../../etc/passwd"},
	{"a/ünï\ncode", hub.ModeFile, ""},
	{strings.Repeat("long/", 60) + "name", hub.ModeFile, "deep"},
}

func pack(t *testing.T, limits Limits, files []file) ([]byte, []hub.Entry, error) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := w.Add(f.path, f.mode, int64(len(f.content)), strings.NewReader(f.content)); err != nil {
			if _, closed := w.Close(); closed != err {
				t.Errorf("Close after a failed Add gives %v, want the same error", closed)
			}
			return nil, nil, err
		}
	}
	entries, err := w.Close()
	return out.Bytes(), entries, err
}

func openRoot(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

func TestWhatIsPackedIsUnpackedWithTheSameManifest(t *testing.T) {
	data, packed, err := pack(t, Limits{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	root, dir := openRoot(t)
	unpacked, err := Unpack(bytes.NewReader(data), root, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(packed, unpacked) {
		t.Errorf("packed   %v\nunpacked %v", packed, unpacked)
	}
	for i, e := range packed {
		if i > 0 && packed[i-1].Path >= e.Path {
			t.Errorf("%q does not come after %q", e.Path, packed[i-1].Path)
		}
	}
	for _, f := range tree {
		info, err := os.Lstat(filepath.Join(dir, f.path))
		if f.mode == hub.ModeLink {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("link %q was made on disk", f.path)
			}
			continue
		}
		got, _ := os.ReadFile(filepath.Join(dir, f.path))
		if err != nil || string(got) != f.content {
			t.Errorf("%q holds %q, want %q (%v)", f.path, got, f.content, err)
		} else if exec := info.Mode()&0o100 != 0; exec != (f.mode == hub.ModeExec) {
			t.Errorf("%q has mode %v on disk, want %s", f.path, info.Mode(), f.mode)
		}
	}
}

func TestHashesAreGitsBlobIDs(t *testing.T) {
	_, entries, err := pack(t, Limits{}, []file{{"hello", hub.ModeFile, "hello\n"}})
	if err != nil {
		t.Fatal(err)
	}
	// What `echo hello | git hash-object --stdin` prints.
	if want := "ce013625030ba8dba906f756967f9e9ca394464a"; entries[0].Hash != want {
		t.Errorf("hash %s, want %s", entries[0].Hash, want)
	}
}

func TestTheSameTreeGivesTheSameBytes(t *testing.T) {
	one, _, err1 := pack(t, Limits{}, tree)
	two, _, err2 := pack(t, Limits{}, tree)
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("two packs of one tree differ (%v, %v)", err1, err2)
	}
}

func TestAnArchiveIsRepackedWithTheSameManifest(t *testing.T) {
	data, want, err := pack(t, Limits{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	added, err := w.AddArchive(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	closed, err := w.Close()
	if err != nil || !reflect.DeepEqual(added, want) || !reflect.DeepEqual(closed, want) || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("added %v\nclosed %v\nwant %v (%v)", added, closed, want, err)
	}
}

func TestEachCapNamesThePathThatPassedIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		files  []file
		path   string
		what   string
	}{
		{"files", Limits{Files: 1}, []file{{"a", hub.ModeFile, ""}, {"b", hub.ModeFile, ""}}, `"b"`, "1 files"},
		{"directories", Limits{Dirs: 2}, []file{{"a/b/c/d", hub.ModeFile, ""}}, `"a/b/c/d"`, "2 directories"},
		{"one file", Limits{FileBytes: 3}, []file{{"big", hub.ModeFile, "four"}}, `"big"`, "3 bytes in one file"},
		{"all files", Limits{Bytes: 5}, []file{{"a", hub.ModeFile, "abc"}, {"b", hub.ModeFile, "def"}}, `"b"`, "5 bytes in all files"},
		{"path", Limits{PathBytes: 4}, []file{{"abcde", hub.ModeFile, ""}}, `"abcde..."`, "4 bytes in one path"},
		{"target", Limits{PathBytes: 4}, []file{{"l", hub.ModeLink, "abcde"}}, `"l"`, "4 bytes in the target of a link"},
		{"name", Limits{}, []file{{strings.Repeat("n", 256), hub.ModeFile, ""}}, `"nnn`, "255 bytes in one name"},
		{"all paths", Limits{NameBytes: 5}, []file{{"abc", hub.ModeFile, ""}, {"abd", hub.ModeFile, ""}}, `"abd"`, "5 bytes in all paths"},
		{"one file and no ratio yet", Limits{FileBytes: 9, Ratio: 1}, []file{{"a", hub.ModeFile, "123456789"}, {"big", hub.ModeFile, "1234567890"}}, `"big"`, "9 bytes in one file"},
		{"ratio", Limits{FileBytes: 1 << 20, Ratio: 10}, []file{
			{"a", hub.ModeFile, strings.Repeat("0", 1<<20)}, {"b", hub.ModeFile, strings.Repeat("0", 1<<20)},
		}, `"a"`, "10 expanded bytes to one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := pack(t, c.limits, c.files)
			if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.what) {
				t.Errorf("got %v, want ErrTooLarge naming %s and %s", err, c.path, c.what)
			}
		})
	}
}

func TestPathsThatCouldDoHarmAreRefused(t *testing.T) {
	for _, p := range []string{
		"", ".", "..", "/abs", "../up", "a/../b", "a/..", "a//b", "a/", "./a", "a/./b", "nul\x00", "latin\xe9",
		".git", ".git/config", "a/.git/hooks/x", ".GIT/config", "a/.Git",
	} {
		if _, _, err := pack(t, Limits{}, []file{{p, hub.ModeFile, "x"}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("path %q: %v, want ErrInvalid", p, err)
		}
	}
	for _, p := range []string{".gitignore", "..a", "a..", "git", ".github/x", "a b", "\\", "-x"} {
		if _, _, err := pack(t, Limits{}, []file{{p, hub.ModeFile, "x"}}); err != nil {
			t.Errorf("path %q: %v", p, err)
		}
	}
}

func TestTreesThatContradictThemselvesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []file
	}{
		{"twice", []file{{"a", hub.ModeFile, ""}, {"a", hub.ModeLink, "b"}}},
		{"file then directory", []file{{"a", hub.ModeLink, "b"}, {"a/b", hub.ModeFile, ""}}},
		{"directory then file", []file{{"a/b/c", hub.ModeFile, ""}, {"a/b", hub.ModeFile, ""}}},
		{"submodule", []file{{"a", "160000", ""}}},
		{"NUL in a target", []file{{"a", hub.ModeLink, "b\x00c"}}},
	} {
		if _, _, err := pack(t, Limits{}, c.files); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", c.name, err)
		}
	}
}

func TestContentOfAnotherLengthThanAnnouncedIsAChange(t *testing.T) {
	for _, mode := range []string{hub.ModeFile, hub.ModeLink} {
		for _, size := range []int64{2, 4} {
			w, err := NewWriter(io.Discard, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add("a", mode, size, strings.NewReader("abc")); !errors.Is(err, ErrChanged) {
				t.Errorf("mode %s, 3 bytes announced as %d: %v, want ErrChanged", mode, size, err)
			}
		}
	}
}

func TestAManifestSurvivesItsEncoding(t *testing.T) {
	_, entries, err := pack(t, Limits{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Encode(entries)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil || !reflect.DeepEqual(got, entries) {
		t.Errorf("decoded %v\nwant %v (%v)", got, entries, err)
	}
	if none, err := Encode(nil); err != nil {
		t.Error(err)
	} else if got, err := Decode(none); err != nil || len(got) != 0 {
		t.Errorf("an empty manifest decodes to %v, %v", got, err)
	}
}

func TestAManifestIsNotTrusted(t *testing.T) {
	ok := hub.Entry{Path: "b", Mode: hub.ModeFile, Hash: hub.BlobHash(nil)}
	for name, entries := range map[string][]hub.Entry{
		"path":   {{Path: "../x", Mode: hub.ModeFile, Hash: ok.Hash}},
		"hash":   {{Path: "x", Mode: hub.ModeFile, Hash: "abc"}},
		"mode":   {{Path: "x", Mode: "040000", Hash: ok.Hash}},
		"order":  {ok, {Path: "a", Mode: hub.ModeFile, Hash: ok.Hash}},
		"repeat": {ok, ok},
	} {
		if _, err := Encode(entries); err == nil {
			t.Errorf("%s: a bad manifest was encoded", name)
		}
		if _, err := Decode(packLines(t, fmt.Sprintf(`{"path":%q,"mode":%q,"hash":%q,"size":0}`, entries[0].Path, entries[0].Mode, entries[0].Hash), len(entries))); err == nil && name != "order" {
			t.Errorf("%s: a bad manifest was decoded", name)
		}
	}
	for name, data := range map[string][]byte{
		"no zstd":     []byte("{}"),
		"endless":     packLines(t, strings.Repeat("x", 1<<20), 1),
		"empty lines": packLines(t, "", 3),
	} {
		if _, err := Decode(data); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func TestOnlyRegularFilesAreListed(t *testing.T) {
	got := RegularFiles([]hub.Entry{{Path: "a", Mode: hub.ModeFile}, {Path: "b", Mode: hub.ModeLink}, {Path: "c", Mode: hub.ModeExec}})
	if !reflect.DeepEqual(got, []string{"a", "c"}) {
		t.Errorf("got %v", got)
	}
}

func TestTheDigestChangesWithEveryField(t *testing.T) {
	base := hub.Entry{Path: "a", Mode: hub.ModeFile, Hash: hub.BlobHash(nil), Size: 0}
	seen := map[string]bool{Digest(nil): true, Digest([]hub.Entry{base}): true}
	for _, change := range []func(*hub.Entry){
		func(e *hub.Entry) { e.Path = "b" }, func(e *hub.Entry) { e.Mode = hub.ModeExec },
		func(e *hub.Entry) { e.Hash = hub.BlobHash([]byte("x")) }, func(e *hub.Entry) { e.Size = 1 },
	} {
		e := base
		change(&e)
		seen[Digest([]hub.Entry{e})] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d different digests, want 6", len(seen))
	}
}
