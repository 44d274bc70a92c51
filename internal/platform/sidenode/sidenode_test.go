package sidenode

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/platformtest"
	"integrationhub/internal/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a node whose every answer is held to the description.
func serve(t *testing.T, c Config) (*Node, platform.Target, *description) {
	t.Helper()
	c.Token = platformtest.Token
	node, err := NewNode(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	d := readDescription(t)
	server := httptest.NewServer(d.check(node))
	t.Cleanup(server.Close)
	return node, platform.Target{Kind: hub.SideNode, BaseURL: server.URL, Token: c.Token, Repository: node.Repository()}, d
}

func folder(t *testing.T, files []platformtest.File) string {
	t.Helper()
	dir := t.TempDir()
	platformtest.Write(t, dir, files)
	return dir
}

func TestAWorkTreeKeepsTheContractOfASource(t *testing.T) {
	platformtest.Run(t, NewSource(), func(t *testing.T, files []platformtest.File) platform.Target {
		_, target, _ := serve(t, Config{Dir: platformtest.Repository(t, files)})
		return target
	})
}

func TestAFolderKeepsTheContractOfASource(t *testing.T) {
	platformtest.Run(t, NewSource(), func(t *testing.T, files []platformtest.File) platform.Target {
		_, target, _ := serve(t, Config{Dir: folder(t, files), Name: "team/shop"})
		return target
	})
}

func ask(t *testing.T, target platform.Target, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target.BaseURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+target.Token)
	if change != nil {
		change(req)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func list(t *testing.T, target platform.Target, ref string) listing {
	t.Helper()
	_, body := ask(t, target, "/v1/repositories/"+url.PathEscape(target.Repository)+"/files?ref="+url.QueryEscape(ref), nil)
	var l listing
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return l
}

func paths(entries []hub.Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Path)
	}
	return all
}

func TestAWorkTreeIsServedAsItLies(t *testing.T) {
	dir := platformtest.Repository(t, []platformtest.File{
		{Path: ".gitignore", Mode: hub.ModeFile, Content: "*.log\n/build\n"},
		{Path: "changed", Mode: hub.ModeFile, Content: "old"},
		{Path: "deleted", Mode: hub.ModeFile, Content: "x"},
		{Path: "moved/file", Mode: hub.ModeFile, Content: "x"},
		{Path: "sub/kept", Mode: hub.ModeFile, Content: "x"},
	})
	head := platformtest.Git(t, dir, "rev-parse", "HEAD")
	platformtest.Write(t, dir, []platformtest.File{
		{Path: "changed", Mode: hub.ModeFile, Content: "new"},
		{Path: "untracked", Mode: hub.ModeExec, Content: "x"},
		{Path: "sub/debug.log", Mode: hub.ModeFile, Content: "secret"},
		{Path: "build/out", Mode: hub.ModeFile, Content: "secret"},
	})
	for _, err := range []error{
		os.Remove(filepath.Join(dir, "deleted")),
		// git goes on listing moved/file, which now lies behind a link.
		os.Rename(filepath.Join(dir, "moved"), filepath.Join(dir, "build/moved")),
		os.Symlink("build/moved", filepath.Join(dir, "moved")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	platformtest.Git(t, dir, "init", "--quiet", "nested")
	platformtest.Write(t, dir, []platformtest.File{{Path: "nested/inner", Mode: hub.ModeFile, Content: "x"}})
	_, target, _ := serve(t, Config{Dir: dir})

	l := list(t, target, "")
	if got, want := paths(l.Files), []string{".gitignore", "changed", "moved", "sub/kept", "untracked"}; !reflect.DeepEqual(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if l.Ref != WorkTree || l.Commit != head {
		t.Errorf("ref %s, commit %s, want %s on %s", l.Ref, l.Commit, WorkTree, head)
	}
	entries, rev := platformtest.Fetch(t, NewSource(), target)
	if !reflect.DeepEqual(entries, l.Files) || rev.Commit != l.Revision || rev.Ref != WorkTree {
		t.Errorf("the archive %v %+v\nis not what was listed %v %s", entries, rev, l.Files, l.Revision)
	}
	target.Ref = "main"
	entries, rev = platformtest.Fetch(t, NewSource(), target)
	if rev.Commit != head || rev.Ref != "refs/heads/main" || len(entries) != 5 || !slices.Contains(paths(entries), "deleted") {
		t.Errorf("main is %+v with %v", rev, paths(entries))
	}
}

func TestADirectoryOfAWorkTreeIsServedAlone(t *testing.T) {
	dir := platformtest.Repository(t, []platformtest.File{
		{Path: ".gitignore", Mode: hub.ModeFile, Content: "*.log\n/ignored\n"},
		{Path: "top", Mode: hub.ModeFile, Content: "x"},
		{Path: "sub/a/b", Mode: hub.ModeFile, Content: "x"},
	})
	platformtest.Write(t, dir, []platformtest.File{
		{Path: "sub/x.log", Mode: hub.ModeFile, Content: "x"},
		{Path: "ignored/x.log", Mode: hub.ModeFile, Content: "x"},
	})
	for _, c := range []struct{ sub, ref, want string }{
		{"sub", "", "a/b"}, {"sub", "HEAD", "a/b"}, {"ignored", "", "x.log"},
	} {
		_, target, _ := serve(t, Config{Dir: filepath.Join(dir, c.sub)})
		target.Ref = c.ref
		if entries, _ := platformtest.Fetch(t, NewSource(), target); !reflect.DeepEqual(paths(entries), []string{c.want}) {
			t.Errorf("%s at %q: %v, want %s", c.sub, c.ref, paths(entries), c.want)
		}
	}
}

func TestAFolderIsServedWithoutWhatBelongsToGit(t *testing.T) {
	dir := folder(t, []platformtest.File{
		{Path: "a/.git/config", Mode: hub.ModeFile, Content: "secret"},
		{Path: "b/.GIT", Mode: hub.ModeFile, Content: "secret"},
		{Path: ".gitignore", Mode: hub.ModeFile, Content: "*\n"},
		{Path: "c", Mode: hub.ModeLink, Content: "a/.git"},
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, target, _ := serve(t, Config{Dir: dir})
	if l := list(t, target, ""); !reflect.DeepEqual(paths(l.Files), []string{".gitignore", "c"}) || l.Commit != "" {
		t.Errorf("files %v on commit %q", paths(l.Files), l.Commit)
	}
}

func TestOneFileComesWithModeAndHash(t *testing.T) {
	dir := platformtest.Repository(t, append([]platformtest.File{{Path: ".gitignore", Mode: hub.ModeFile, Content: "*.log\n"}}, platformtest.Tree...))
	platformtest.Write(t, dir, []platformtest.File{{Path: "x.log", Mode: hub.ModeFile, Content: "secret"}})
	_, target, d := serve(t, Config{Dir: dir})
	file := "/v1/repositories/" + target.Repository + "/file?"
	revision := list(t, target, "").Revision
	for _, ref := range []string{"", "WORKTREE", "HEAD", "main", revision} {
		for _, f := range platformtest.Tree {
			res, body := ask(t, target, file+url.Values{"ref": {ref}, "path": {f.Path}}.Encode(), nil)
			if body != f.Content || res.Header.Get(headerMode) != f.Mode || res.Header.Get(headerHash) != hub.BlobHash([]byte(f.Content)) {
				t.Errorf("%q at %q: %d %v %q", f.Path, ref, res.StatusCode, res.Header, body)
			}
		}
		for path, want := range map[string]int{
			"x.log": 404, "no/such": 404, "bin": 404, "docs/latest/x": 404, "*": 404, ":/README.md": 404,
			".git/config": 400, "../x": 400, "/etc/passwd": 400, "": 400, "bin/../README.md": 400,
		} {
			if res, body := ask(t, target, file+url.Values{"ref": {ref}, "path": {path}}.Encode(), nil); res.StatusCode != want {
				t.Errorf("%q at %q: %d %s, want %d", path, ref, res.StatusCode, body, want)
			}
		}
	}
	platformtest.Write(t, dir, []platformtest.File{{Path: "new", Mode: hub.ModeFile, Content: "x"}})
	if res, _ := ask(t, target, file+url.Values{"ref": {revision}, "path": {"README.md"}}.Encode(), nil); res.StatusCode != 404 {
		t.Errorf("an older revision of the work tree: %d, want 404", res.StatusCode)
	}
	for _, want := range []string{"200", "400", "404"} {
		if !d.seen["/v1/repositories/{repo}/file "+want] {
			t.Errorf("no answer %s was held to the description", want)
		}
	}
}

func TestEveryPathOfTheDescriptionIsServedAndNoneWithoutTheToken(t *testing.T) {
	_, target, d := serve(t, Config{Dir: platformtest.Repository(t, platformtest.Tree)})
	for _, path := range keys(d.at("paths").(map[string]any)) {
		real := strings.ReplaceAll(path, "{repo}", target.Repository) + "?path=README.md"
		if res, body := ask(t, target, real, nil); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", real, res.StatusCode, body)
		}
		for _, header := range []string{"", "Bearer wrong", "Bearer ", "Basic " + target.Token, target.Token + "x"} {
			if res, _ := ask(t, target, real, func(r *http.Request) { r.Header.Set("Authorization", header) }); res.StatusCode != 401 {
				t.Errorf("%s with %q: %d, want 401", real, header, res.StatusCode)
			}
		}
		if res, body := ask(t, target, real, func(r *http.Request) { r.Method = "DELETE" }); res.StatusCode != 405 || res.Header.Get("Allow") != "GET" || res.Header.Get("Content-Type") != typeProblem {
			t.Errorf("DELETE %s: %d %s", real, res.StatusCode, body)
		}
		if res, _ := ask(t, target, real, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")) }); res.StatusCode != 413 {
			t.Errorf("%s with a body: %d, want 413", real, res.StatusCode)
		}
		if res, _ := ask(t, target, strings.ReplaceAll(path, "{repo}", "other")+"?path=x", nil); strings.Contains(path, "{repo}") && res.StatusCode != 404 {
			t.Errorf("%s of another repository: %d, want 404", path, res.StatusCode)
		}
	}
	if res, _ := ask(t, target, "/v2/health", nil); res.StatusCode != 404 || res.Header.Get("Content-Type") != typeProblem {
		t.Errorf("an unknown path: %d %v", res.StatusCode, res.Header)
	}
}

func TestAnETagThatHoldsSparesTheBody(t *testing.T) {
	dir := platformtest.Repository(t, platformtest.Tree)
	_, target, _ := serve(t, Config{Dir: dir})
	for _, what := range []string{"files", "archive"} {
		path := "/v1/repositories/" + target.Repository + "/" + what
		first, _ := ask(t, target, path, nil)
		held := func(r *http.Request) { r.Header.Set("If-None-Match", first.Header.Get("ETag")) }
		if again, body := ask(t, target, path, held); again.StatusCode != 304 || body != "" {
			t.Errorf("%s unchanged: %d %q", what, again.StatusCode, body)
		}
		platformtest.Write(t, dir, []platformtest.File{{Path: what, Mode: hub.ModeFile, Content: "new"}})
		if again, _ := ask(t, target, path, held); again.StatusCode != 200 || again.Header.Get("ETag") == first.Header.Get("ETag") {
			t.Errorf("%s changed: %d %v", what, again.StatusCode, again.Header)
		}
	}
}

func TestAWorkTreeThatMovedOnIsNotThePinnedOne(t *testing.T) {
	dir := folder(t, platformtest.Tree)
	_, target, _ := serve(t, Config{Dir: dir})
	_, rev := platformtest.Fetch(t, NewSource(), target)
	target.Commit = rev.Commit
	platformtest.Write(t, dir, []platformtest.File{{Path: "new", Mode: hub.ModeFile, Content: "x"}})
	w, _ := snapshot.NewWriter(io.Discard, snapshot.Limits{})
	if _, err := NewSource().Fetch(t.Context(), target, w); !errors.Is(err, platform.ErrNotFound) || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v", err)
	}
}

func TestAFileThatIsWrittenWhileItIsReadIsNoticed(t *testing.T) {
	dir := folder(t, []platformtest.File{{Path: "f", Mode: hub.ModeFile, Content: "before"}})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, change := range []func(string) error{
		func(name string) error { return os.WriteFile(name, []byte("longer than before"), 0o600) },
		func(name string) error { return os.Chtimes(name, time.Time{}, time.Unix(1, 0)) },
	} {
		err := disk{root: root}.read("f", map[string]bool{}, func(e hub.Entry, r io.Reader) error {
			return errors.Join(change(filepath.Join(dir, "f")), func() error { _, err := io.Copy(io.Discard, r); return err }())
		})
		if !errors.Is(err, snapshot.ErrChanged) {
			t.Errorf("got %v, want ErrChanged", err)
		}
	}
}

func TestWhatCannotBeServedIsSaidWhenTheNodeStarts(t *testing.T) {
	file := filepath.Join(folder(t, platformtest.Tree), "README.md")
	broken := folder(t, []platformtest.File{{Path: ".git/HEAD", Mode: hub.ModeFile, Content: "nonsense"}})
	for name, c := range map[string]struct {
		config Config
		says   string
	}{
		"short token": {Config{Dir: t.TempDir(), Token: "short"}, "token"},
		"missing":     {Config{Dir: "/no/such/dir", Token: platformtest.Token}, "/no/such/dir"},
		"a file":      {Config{Dir: file, Token: platformtest.Token}, "README.md"},
		"bad name":    {Config{Dir: t.TempDir(), Name: "../x", Token: platformtest.Token}, "name"},
		"broken git":  {Config{Dir: broken, Token: platformtest.Token}, "does not take it for a work tree"},
	} {
		if _, err := NewNode(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestANodeStopsWhenItsContextEnds(t *testing.T) {
	node, err := NewNode(t.Context(), Config{Dir: folder(t, platformtest.Tree), Token: platformtest.Token})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- node.Serve(ctx, l) }()
	target := platform.Target{Kind: hub.SideNode, BaseURL: "http://" + l.Addr().String(), Token: platformtest.Token, Repository: node.Repository()}
	if err := NewSource().Check(t.Context(), target); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
