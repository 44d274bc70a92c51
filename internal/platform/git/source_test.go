package git

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/platformtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve publishes the repositories below root with git's own HTTP server to
// whoever has the token, or to everybody when token is empty.
func serve(t *testing.T, root, token string) *httptest.Server {
	t.Helper()
	program := filepath.Join(platformtest.Git(t, root, "--exec-path"), "git-http-backend")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); token != "" && password != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="code"`)
			http.Error(w, "credential, please", http.StatusUnauthorized)
			return
		}
		backend := &cgi.Handler{Path: program, Env: []string{
			"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"),
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		}, Stderr: io.Discard}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func target(server *httptest.Server, token, repository string) platform.Target {
	return platform.Target{Kind: hub.Git, BaseURL: server.URL, Token: token, Repository: repository}
}

func TestGitKeepsTheContractOfASource(t *testing.T) {
	platformtest.Run(t, &Source{}, func(t *testing.T, files []platformtest.File) platform.Target {
		dir := platformtest.Repository(t, files)
		server := serve(t, filepath.Dir(dir), platformtest.Token)
		return target(server, platformtest.Token, filepath.Base(dir)+"/.git")
	})
}

// history is a repository with two branches, tags of both kinds, and a submodule.
func history(t *testing.T) (dir string, commits map[string]string) {
	dir = platformtest.Repository(t, []platformtest.File{{Path: "v", Mode: hub.ModeFile, Content: "one"}})
	commits = map[string]string{"one": platformtest.Git(t, dir, "rev-parse", "HEAD")}
	platformtest.Git(t, dir, "tag", "light")
	platformtest.Git(t, dir, "tag", "--annotate", "--message=x", "heavy")
	platformtest.Git(t, dir, "tag", "twice")
	platformtest.Git(t, dir, "tag", "content", "HEAD:v")
	platformtest.Git(t, dir, "switch", "--quiet", "--create", "team/next")
	platformtest.Write(t, dir, []platformtest.File{{Path: "w", Mode: hub.ModeFile, Content: "two"}})
	platformtest.Git(t, dir, "add", "w")
	platformtest.Git(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+commits["one"]+",lib/sub")
	platformtest.Git(t, dir, "commit", "--quiet", "--message=two")
	platformtest.Git(t, dir, "branch", "twice")
	commits["two"] = platformtest.Git(t, dir, "rev-parse", "HEAD")
	platformtest.Git(t, dir, "switch", "--quiet", "main")
	return dir, commits
}

func TestEveryWayToNameARevisionIsResolved(t *testing.T) {
	dir, commits := history(t)
	server := serve(t, filepath.Dir(dir), "")
	for _, c := range []struct{ ref, commit, resolved string }{
		{"", "one", "refs/heads/main"},
		{"HEAD", "one", "refs/heads/main"},
		{"main", "one", "refs/heads/main"},
		{"team/next", "two", "refs/heads/team/next"},
		{"refs/heads/team/next", "two", "refs/heads/team/next"},
		{"light", "one", "refs/tags/light"},
		{"heavy", "one", "refs/tags/heavy"},
		{"twice", "two", "refs/heads/twice"},
		{"refs/tags/twice", "one", "refs/tags/twice"},
		{commits["two"], "two", commits["two"]},
		{commits["one"], "one", commits["one"]},
	} {
		tg := target(server, "", filepath.Base(dir)+"/.git")
		tg.Ref = c.ref
		entries, rev := platformtest.Fetch(t, &Source{}, tg)
		if rev.Commit != commits[c.commit] || rev.Ref != c.resolved {
			t.Errorf("ref %q: %+v, want commit %s at %s", c.ref, rev, commits[c.commit], c.resolved)
		}
		want := map[string]string{"one": "v", "two": "v w"}[c.commit] // without the submodule
		var got []string
		for _, e := range entries {
			got = append(got, e.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("ref %q: files %v, want %s", c.ref, got, want)
		}
	}
	tg := target(server, "", filepath.Base(dir)+"/.git")
	tg.Ref = "content"
	if _, err := (&Source{}).Fetch(t.Context(), tg, nil); !errors.Is(err, platform.ErrNotFound) || !strings.Contains(err.Error(), "not a commit") {
		t.Errorf("a tag of a file: %v", err)
	}
	tg.Ref, tg.Commit = "main", commits["two"]
	if _, rev := platformtest.Fetch(t, &Source{}, tg); rev.Commit != commits["two"] || rev.Ref != "main" {
		t.Errorf("a pinned commit came as %+v", rev)
	}
}

func TestARepositoryWithoutCommitsCanBeReachedButIsEmpty(t *testing.T) {
	dir := platformtest.Repository(t, nil)
	tg := target(serve(t, filepath.Dir(dir), ""), "", filepath.Base(dir)+"/.git")
	if err := (&Source{}).Check(t.Context(), tg); err != nil {
		t.Errorf("check: %v", err)
	}
	tg.Ref = "main"
	if _, err := (&Source{}).Fetch(t.Context(), tg, nil); !errors.Is(err, platform.ErrEmpty) {
		t.Errorf("fetch: %v, want ErrEmpty", err)
	}
}

func TestARedirectOnOneHostIsFollowedWithTheToken(t *testing.T) {
	dir := platformtest.Repository(t, platformtest.Tree)
	code := serve(t, filepath.Dir(dir), platformtest.Token)
	handler := code.Config.Handler
	code.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, old := strings.CutPrefix(r.URL.Path, "/old/"); old {
			http.Redirect(w, r, "/"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		handler.ServeHTTP(w, r)
	})
	platformtest.Fetch(t, &Source{}, target(code, platformtest.Token, "old/"+filepath.Base(dir)+"/.git"))
}

func TestARedirectToAnotherHostNeverSeesTheToken(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + platformtest.Token))
	for _, askFirst := range []bool{true, false} {
		var requests, leaks int
		thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			for _, values := range r.Header {
				if all := strings.Join(values, " "); strings.Contains(all, basic) || strings.Contains(all, platformtest.Token) {
					leaks++
				}
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="give"`)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		defer thief.Close()
		code := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); askFirst && !ok {
				w.Header().Set("WWW-Authenticate", `Basic realm="code"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, thief.URL+r.URL.RequestURI(), http.StatusFound)
		}))
		defer code.Close()
		_, err := (&Source{}).Fetch(t.Context(), target(code, platformtest.Token, "a/b"), nil)
		if !errors.Is(err, platform.ErrDenied) {
			t.Errorf("got %v, want ErrDenied", err)
		}
		if requests == 0 || leaks != 0 {
			t.Errorf("%d of %d requests to the other host held the token", leaks, requests)
		}
	}
}

func TestAHostThatAsksForPatienceIsARetryAfter(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer busy.Close()
	_, err := (&Source{}).Fetch(t.Context(), target(busy, "", "a/b"), nil)
	var later *platform.RetryAfter
	if !errors.As(err, &later) || later.After <= 0 {
		t.Errorf("got %v", err)
	}
}

func TestTheEnvironmentAndConfigurationOfTheMachineHaveNoEffect(t *testing.T) {
	dir := platformtest.Repository(t, platformtest.Tree)
	tg := target(serve(t, filepath.Dir(dir), ""), "", filepath.Base(dir)+"/.git")
	home := t.TempDir()
	trap := filepath.Join(home, "trap")
	hostile := "[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http://\n[core]\n\thooksPath = " + home + "\n\tfsmonitor = touch " + trap +
		"\n[credential]\n\thelper = \"!touch " + trap + "; false\"\n[http]\n\tproxy = http://127.0.0.1:1\n"
	for name, text := range map[string]string{".gitconfig": hostile, "post-checkout": "#!/bin/sh\ntouch " + trap, "reference-transaction": "#!/bin/sh\ntouch " + trap} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_CONFIG_GLOBAL": home + "/.gitconfig", "GIT_CONFIG": home + "/.gitconfig",
		"GIT_DIR": home, "GIT_WORK_TREE": home, "GIT_OBJECT_DIRECTORY": home, "GIT_INDEX_FILE": home + "/index",
		"GIT_SSH_COMMAND": "touch " + trap, "GIT_ASKPASS": "touch " + trap, "GIT_EXTERNAL_DIFF": "touch " + trap,
		"GIT_PROXY_COMMAND": "touch " + trap, "http_proxy": "http://127.0.0.1:1", "GIT_TRACE": trap,
		"GIT_CONFIG_PARAMETERS": "'core.hooksPath=" + home + "'", "GIT_TEMPLATE_DIR": home, "GIT_ALTERNATE_OBJECT_DIRECTORIES": home,
	} {
		t.Setenv(name, value)
	}
	entries, _ := platformtest.Fetch(t, &Source{}, tg)
	if want := platformtest.Manifest(platformtest.Tree); !reflect.DeepEqual(entries, want) {
		t.Errorf("got  %v\nwant %v", entries, want)
	}
	if _, err := os.Lstat(trap); err == nil {
		t.Error("something of the machine's configuration was run")
	}
}
