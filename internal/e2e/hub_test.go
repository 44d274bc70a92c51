package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// One hub answers all of these.
func TestAHub(t *testing.T) {
	t.Parallel()
	h := up(t, hubtest.DataDir(t))
	git := hubtest.Git(t)
	t.Run("says why a run failed", func(t *testing.T) { t.Parallel(); failures(t, h, git) })
	t.Run("counts what it skips", func(t *testing.T) { t.Parallel(); skips(t, h, git) })
	t.Run("analyses what a SIDE node serves", func(t *testing.T) { t.Parallel(); sideNode(t, h) })
	t.Run("answers at its door", func(t *testing.T) { t.Parallel(); door(t, h) })
	t.Run("runs scripts", func(t *testing.T) { t.Parallel(); scripts(t, h, git) })
}

// failures are runs that cannot end well.
func failures(t *testing.T, h *server, git *hubtest.GitServer) {
	git.Repository("code").Commit("first", map[string]string{"main.go": "package main\n"})
	git.Repository("empty")
	git.Repository("bare").Commit("nothing", nil)
	node := serveNode(t, t.TempDir(), "code", "the-right-token-of-the-node")
	h.connect(t, "failures", hub.Git, git.URL, "")
	h.connect(t, "closed", hub.Git, closedPort(t), "")
	h.connect(t, "intruder", hub.SideNode, node, "not-the-token-of-the-node")
	absent := strings.Repeat("0123456789", 4)

	runs := map[string]string{}
	cases := []struct {
		name, connection, repository string
		data                         map[string]any
		reasons                      []string // all of them are in the run's reason
	}{
		{"unreachable", "closed", "code", nil, []string{"127.0.0.1", "onnect"}},
		{"no-branch", "failures", "code", map[string]any{"ref": "nowhere"}, []string{"nowhere", "branch"}},
		{"no-commit", "failures", "code", map[string]any{"commit": absent}, []string{absent}},
		{"no-repository", "failures", "nothing/here", nil, []string{"nothing/here is not a repository"}},
		{"no-commits", "failures", "empty", nil, []string{"empty", "push"}},
		{"no-files", "failures", "bare", nil, []string{"has no files", "push some code"}},
		{"wrong-token", "intruder", "code", nil, []string{"401", "store the node's token"}},
	}
	for _, c := range cases {
		runs[c.name] = h.publish(t, event(c.name, c.connection, c.repository, c.data))
	}
	for _, c := range cases {
		r := h.ended(t, runs[c.name])
		if r.Status != hub.RunFailed {
			t.Errorf("%s: the run is %s", c.name, r.Status)
		}
		for _, want := range c.reasons {
			if !strings.Contains(r.Reason, want) {
				t.Errorf("%s: the reason does not say %q: %s", c.name, want, r.Reason)
			}
		}
		if strings.Contains(r.Reason, "goroutine ") {
			t.Errorf("%s: the reason is a stack trace: %s", c.name, r.Reason)
		}
	}

	a, err := h.post(event("unknown", "unknown", "code", nil))
	refused(t, "a connection that does not exist", "data.connection", http.StatusUnprocessableEntity, a, err)
}

// refused wants an answer to say no and to name the field.
func refused(t *testing.T, what, field string, status int, a answer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	p, err := a.problem()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if a.status != status || len(p.Errors) != 1 || p.Errors[0].Location != field || p.Errors[0].Message == "" {
		t.Errorf("%s: %d %s; want %d and the field %s", what, a.status, a.body, status, field)
	}
}

// closedPort is a URL where nobody answers.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func skips(t *testing.T, h *server, git *hubtest.GitServer) {
	const line = "// Nothing that anybody wrote by hand is this long.\n"
	git.Repository("odd").Commit("first", map[string]string{
		"ok.go":      "package odd\n\n// Is is true.\nfunc Is() bool { return true }\n",
		"large.go":   "package large\n" + strings.Repeat(line, 20<<20/len(line)),
		"broken.py":  strings.Repeat(")]}{[( ::: ((( %%% $$$ ??? ]]]\n", 50),
		"picture.go": "package odd\x00\x01\x02",
		"notes.txt":  "No language of ours.\n",
	})
	h.connect(t, "skips", hub.Git, git.URL, "")
	r := h.completed(t, h.publish(t, event("skips", "skips", "odd", nil)))
	if r.Analysis == nil {
		t.Fatal("the run has no analysis")
	}
	want := map[string]int{"too-large": 1, "parse-error": 1, "binary": 1, "unsupported": 1}
	if fmt.Sprint(r.Analysis.Skipped) != fmt.Sprint(want) || r.Analysis.Files != 1 {
		t.Errorf("skipped %v and read %d files; want %v and 1", r.Analysis.Skipped, r.Analysis.Files, want)
	}
}

// serveNode runs `hub node serve` on a directory.
func serveNode(t *testing.T, dir, name, token string) (url string) {
	t.Helper()
	p := start(t, environment(t.TempDir(), "HUB_NODE_TOKEN="+token), "hub", "node", "serve", dir, "--listen", "127.0.0.1:0", "--name", name)
	hubtest.Eventually(t, startWait, func() error {
		_, after, found := strings.Cut(p.stdout.String(), " at ")
		if !found {
			return fmt.Errorf("the node said %q", &p.stdout)
		}
		url, _, _ = strings.Cut(after, ";")
		return nil
	})
	t.Cleanup(func() { p.stop(t) })
	return url
}

func sideNode(t *testing.T, h *server) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"load.py": "import yaml\n\n\ndef load(text):\n    return yaml.load(text)\n"})
	h.connect(t, "laptop", hub.SideNode, serveNode(t, dir, "code", "the-token-of-a-laptop"), "the-token-of-a-laptop")

	r := h.completed(t, h.publish(t, event("node-1", "laptop", "code", nil)))
	if found := h.findings(t, r.ID); len(found) != 1 || !strings.HasPrefix(found[0], "load.py:5 python.security.yaml-load") {
		t.Errorf("found %v", found)
	}
	// The node serves the folder as it lies now.
	write(t, dir, map[string]string{"load.py": "def load(text):\n    return text\n"})
	r = h.completed(t, h.publish(t, event("node-2", "laptop", "code", nil)))
	if found := h.findings(t, r.ID); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

// write writes files, by path, below dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
