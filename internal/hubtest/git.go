package hubtest

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// GitServer serves repositories over HTTP, with git's own http-backend.
type GitServer struct {
	URL string // http://127.0.0.1:PORT

	t   testing.TB
	dir string
}

// Repository is a git repository with a work tree, served by a GitServer.
type Repository struct {
	URL string // where to clone it from; it may be pushed to
	Dir string // the work tree

	t testing.TB
}

// Git starts a server for one test. It has no repositories.
func Git(t testing.TB) *GitServer {
	t.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git --exec-path: %v", err)
	}
	dir := t.TempDir()
	s := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  append(gitEnv(), "GIT_PROJECT_ROOT="+dir, "GIT_HTTP_EXPORT_ALL=1"),
	})
	t.Cleanup(s.Close)
	return &GitServer{URL: s.URL, t: t, dir: dir}
}

// Repository makes a repository without commits; its default branch is main.
func (g *GitServer) Repository(name string) *Repository {
	g.t.Helper()
	r := &Repository{URL: g.URL + "/" + name, Dir: filepath.Join(g.dir, name), t: g.t}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		g.t.Fatal(err)
	}
	r.Run("init", "--quiet", "--initial-branch=main")
	r.Run("config", "http.receivepack", "true")
	r.Run("config", "receive.denyCurrentBranch", "ignore")
	return r
}

// Commit writes files, by path, commits the work tree to the current branch,
// and returns the commit's id.
func (r *Repository) Commit(message string, files map[string]string) (commit string) {
	r.t.Helper()
	for name, content := range files {
		path := filepath.Join(r.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.Run("add", "--all")
	r.Run("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Run("rev-parse", "HEAD")
}

// Run runs git in the work tree and returns what it prints, trimmed.
func (r *Repository) Run(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.Dir
	cmd.Env = gitEnv()
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitEnv keeps the configuration of whoever runs the tests out of them.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
	}
}
