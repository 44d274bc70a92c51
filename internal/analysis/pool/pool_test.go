package pool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"integrationhub/internal/analysis"
	"integrationhub/internal/hub"
)

// The test binary is the executable of the pool. A link to it with another name
// is a child that dies, or hangs, on files of certain names: a real process that
// ends in a real signal.
func TestMain(m *testing.M) {
	Main()
	if len(os.Args) == 1 && os.Args[0] == childName+"-frail" {
		frail()
	}
	os.Exit(m.Run())
}

func frail() {
	s, err := newScan()
	if err != nil {
		os.Exit(exitRefused)
	}
	err = serve(os.Stdin, os.Stdout, func(root *os.Root, name string, only []hub.Category) analysis.FileResult {
		switch filepath.Base(name) {
		case "crash.go":
			_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
			select {}
		case "hang.go":
			select {}
		}
		return s.file(root, name, only)
	})
	if err != nil {
		os.Exit(exitRefused)
	}
	os.Exit(0)
}

const slow = "package a\n\nimport \"time\"\n\nfunc f(t time.Time) { _ = time.Now().Sub(t) }\n"

// tree writes files and opens their directory.
func tree(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func newPool(t *testing.T, cfg Config) *Pool {
	t.Helper()
	p := New(cfg)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func numbered(n int, text string) (map[string]string, []string) {
	files := map[string]string{}
	var paths []string
	for i := range n {
		name := fmt.Sprintf("d/f%03d.go", i)
		files[name] = text
		paths = append(paths, name)
	}
	return files, paths
}

func TestResultsComeInTheOrderOfPathsFromChildrenThatAreReused(t *testing.T) {
	files, paths := numbered(100, slow)
	root := tree(t, files)
	p := newPool(t, Config{Size: 2})
	var first []int
	for range 2 {
		rs, err := p.Scan(context.Background(), root, paths, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			if r.Path != paths[i] || r.Skipped != "" || len(r.Findings) != 1 || r.Bytes != int64(len(slow)) {
				t.Fatalf("result %d: %+v", i, r)
			}
		}
		pids := childrenOf(t)
		if first != nil && fmt.Sprint(first) != fmt.Sprint(pids) {
			t.Errorf("children changed from %v to %v", first, pids)
		}
		first = pids
	}
}

func TestOnlyNarrowsTheCategories(t *testing.T) {
	root := tree(t, map[string]string{"a.go": slow})
	p := newPool(t, Config{Size: 1})
	for _, c := range []struct {
		only []hub.Category
		want int
	}{{nil, 1}, {[]hub.Category{hub.Security}, 0}, {[]hub.Category{hub.Style}, 1}} {
		rs, err := p.Scan(context.Background(), root, []string{"a.go"}, c.only)
		if err != nil || len(rs[0].Findings) != c.want {
			t.Errorf("only %v: %d findings, %v", c.only, len(rs[0].Findings), err)
		}
	}
}

func TestACrashAndAHangCostOneFileEach(t *testing.T) {
	files, paths := numbered(40, slow)
	files["crash.go"], files["hang.go"] = slow, slow
	paths = append(paths[:7], append([]string{"crash.go", "hang.go"}, paths[7:]...)...)
	root := tree(t, files)
	p := newPool(t, Config{Size: 1, Timeout: 4 * time.Second})
	(<-p.slots).stop()
	p.slots <- &child{name: childName + "-frail"}
	rs, err := p.Scan(context.Background(), root, paths, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rs {
		want := map[string]string{"crash.go": analysis.SkipCrashed, "hang.go": analysis.SkipTimeout}[r.Path]
		if r.Path != paths[i] || r.Skipped != want || want == "" && len(r.Findings) != 1 {
			t.Errorf("%s: %q with %d findings, want %q", paths[i], r.Skipped, len(r.Findings), want)
		}
	}
}

func TestAChildThatIsKilledIsReplacedAndNoFileIsLost(t *testing.T) {
	big := "package a\n\nimport \"time\"\n\nfunc f(t time.Time) {\n" + strings.Repeat("\t_ = time.Now().Sub(t)\n", 2000) + "}\n"
	files, paths := numbered(24, big)
	root := tree(t, files)
	p := newPool(t, Config{Size: 1})
	killed, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(killed)
		for {
			select {
			case <-done:
				t.Error("the scan ended before its child had worked for 0.2 s")
				return
			default:
			}
			if pids := childrenOf(t); len(pids) > 0 && cpuTicks(pids[0]) > 20 {
				_ = syscall.Kill(pids[0], syscall.SIGKILL)
				return
			}
		}
	}()
	rs, err := p.Scan(context.Background(), root, paths, nil)
	close(done)
	<-killed
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Skipped != "" || len(r.Findings) != 1000 {
			t.Errorf("%s: %q with %d findings", r.Path, r.Skipped, len(r.Findings))
		}
	}
}

func TestLinksAndWhatIsOutsideAreNotRead(t *testing.T) {
	root := tree(t, map[string]string{"in/a.go": slow})
	outside := filepath.Join(t.TempDir(), "b.go")
	if err := os.WriteFile(outside, []byte(slow), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"out.go": outside, "inside.go": "in/a.go", "dir": "in"} {
		if err := os.Symlink(target, filepath.Join(root.Name(), link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root.Name(), "pipe.go"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPool(t, Config{Size: 1})
	paths := []string{"out.go", "inside.go", "dir/a.go", "pipe.go", "../x.go", "none.go", "/etc/passwd", "in"}
	rs, err := p.Scan(context.Background(), root, paths, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Skipped != analysis.SkipUnreadable {
			t.Errorf("%s: skipped %q, want unreadable", r.Path, r.Skipped)
		}
	}
}

func TestAnEndedContextAndAClosedPoolAreErrors(t *testing.T) {
	files, paths := numbered(64, slow)
	root := tree(t, files)
	p := New(Config{Size: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Scan(ctx, root, paths, nil); err == nil {
		t.Error("a scan with an ended context has no error")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Scan(context.Background(), root, paths, nil); err == nil {
		t.Error("a scan after Close has no error")
	}
	if pids := childrenOf(t); len(pids) > 0 {
		t.Errorf("children %v are left", pids)
	}
}

func TestADirectoryThatIsGoneIsAnErrorThatNamesIt(t *testing.T) {
	root := tree(t, map[string]string{"a.go": slow})
	if err := os.RemoveAll(root.Name()); err != nil {
		t.Fatal(err)
	}
	p := newPool(t, Config{Size: 1})
	if _, err := p.Scan(context.Background(), root, []string{"a.go"}, nil); err == nil || !strings.Contains(err.Error(), root.Name()) {
		t.Errorf("error: %v", err)
	}
}

// childrenOf lists the scanning children of this process.
func childrenOf(t *testing.T) []int {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		t.Skip("no list of children on this system")
	}
	var out []int
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, s := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(s); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// cpuTicks is the user time that a process has used.
func cpuTicks(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b))
	if len(f) < 14 {
		return 0
	}
	n, _ := strconv.Atoi(f[13])
	return n
}
