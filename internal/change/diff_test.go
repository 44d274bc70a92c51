package change

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"integrationhub/internal/hub"
)

// git runs the real Git in dir, without anybody's configuration.
func git(t rapid.TB, dir, stdin string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CEILING_DIRECTORIES=" + dir}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s\n%s", strings.Join(args, " "), err, out, stdin)
	}
	return string(out)
}

func TestGitAppliesEveryDiff(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		pair := pairs().Draw(rt, "pair")
		before, after := pair[0], pair[1]
		diff, err := Diff(before.changeTo(after), before)
		if err != nil {
			rt.Fatal(err)
		}
		if diff == "" {
			return
		}
		dir := scratch(rt, parent)
		before.write(t, dir)
		git(rt, dir, diff, "apply", "--whitespace=nowarn")
		if err := same(read(t, dir), after); err != nil {
			rt.Fatalf("%v after\n%s", err, diff)
		}
	})
}

func TestDiffHasTheHeadersThatGitWrites(t *testing.T) {
	parent := t.TempDir()
	git(t, parent, "", "init", "-q", "--bare", "repo")
	rapid.Check(t, func(rt *rapid.T) {
		pair := pairs().Draw(rt, "pair")
		before, after := pair[0], pair[1]
		ours, err := Diff(before.changeTo(after), before)
		if err != nil {
			rt.Fatal(err)
		}
		work := scratch(rt, parent)
		repo := []string{"--git-dir=" + filepath.Join(parent, "repo"), "--work-tree=" + work}
		before.write(t, work)
		git(rt, work, "", append(repo, "add", "-A")...)
		tree := strings.TrimSpace(git(rt, work, "", append(repo, "write-tree")...))
		for p := range before {
			if err := os.RemoveAll(filepath.Join(work, strings.Split(p, "/")[0])); err != nil {
				rt.Fatal(err)
			}
		}
		after.write(t, work)
		git(rt, work, "", append(repo, "add", "-A")...)
		theirs := git(rt, work, "", append(repo, "diff", "--cached", "--full-index", "--no-renames", tree)...)
		if headers(ours) != headers(theirs) {
			rt.Fatalf("ours:\n%s\ngit's:\n%s", headers(ours), headers(theirs))
		}
	})
}

// headers drops the hunks of a diff: Git may draw them in other places.
func headers(diff string) string {
	var b strings.Builder
	hunk := false
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "diff --git ") {
			hunk = false
		} else if strings.HasPrefix(line, "@@ ") {
			hunk = true
		}
		if !hunk {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestDiffReadsLikeThis(t *testing.T) {
	before := files{
		"shop/order.py": {Content: []byte("import os\n\n\ndef order(name):\n    os.system('order ' + name)\n"), Mode: hub.ModeFile},
		"old logo.png":  {Content: []byte("\x89PNG\x00"), Mode: hub.ModeFile},
	}
	after := files{
		"shop/order.py": {Content: []byte("import subprocess\n\n\ndef order(name):\n    subprocess.run(['order', name], check=True)"), Mode: hub.ModeExec},
	}
	got, err := Diff(before.changeTo(after), before)
	if err != nil {
		t.Fatal(err)
	}
	const want = `diff --git a/old logo.png b/old logo.png
deleted file mode 100644
index 0a7e2a167b940e0e8fabe53845eb444e4ca1f771..0000000000000000000000000000000000000000
Binary files a/old logo.png and /dev/null differ
diff --git a/shop/order.py b/shop/order.py
old mode 100644
new mode 100755
index 25d373c1202a5eb5ec1a6681a38259ac7944452e..5530859b299fd5de294a1f9db720d035bb8b3f9a
--- a/shop/order.py
+++ b/shop/order.py
@@ -1,5 +1,5 @@
-import os
+import subprocess
 
 
 def order(name):
-    os.system('order ' + name)
+    subprocess.run(['order', name], check=True)
\ No newline at end of file
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
