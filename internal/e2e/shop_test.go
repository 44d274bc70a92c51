package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

// tableRow is one planted fault in the table of the shop's README.
var tableRow = regexp.MustCompile(`(?m)^\| ([\w./-]+) \| (\d+) \| ([\w.-]+) \| .+ \| (\w+) \|$`)

// report is what `hub run --format json` prints, as far as these tests read it.
type report struct {
	Run      struct{ ID, Status, Reason string }
	Analysis struct {
		Files    int
		Skipped  map[string]int
		Findings []hub.Finding
	}
	Deployment struct {
		Changes []struct{ Op, Path string }
		Diff    string
	}
}

// hubRun runs `hub run --format json`, and wants it to end well.
func hubRun(t *testing.T, env []string, args ...string) (r report) {
	t.Helper()
	p := start(t, env, "hub", append([]string{"run", "--format", "json"}, args...)...)
	if code := p.exitCode(t, startWait+runWait); code != 0 {
		t.Fatalf("hub run ended with %d: %s", code, &p.stderr)
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatalf("hub run printed %s: %v", &p.stdout, err)
	}
	return r
}

func TestTheShopsFaultsAreFoundAndMended(t *testing.T) {
	t.Parallel()
	shop := filepath.Join(top, "examples/shop")
	readme, err := os.ReadFile(filepath.Join(shop, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var planted, mendable []string
	for _, row := range tableRow.FindAllStringSubmatch(string(readme), -1) {
		fault := strings.Join(row[1:4], " ")
		planted = append(planted, fault)
		if row[4] != "no" {
			mendable = append(mendable, fault)
		}
	}
	if len(planted) < 12 || len(mendable) < 3 {
		t.Fatalf("the table has %d rows, %d with a fix; did its form change?", len(planted), len(mendable))
	}
	env := environment(t.TempDir(), "HUB_DATA_DIR="+hubtest.DataDir(t))
	first := hubRun(t, env, shop)
	same(t, "planted", planted, faults(first))

	mended := t.TempDir()
	if err := os.CopyFS(mended, os.DirFS(shop)); err != nil {
		t.Fatal(err)
	}
	gitApply(t, mended, first.Deployment.Diff)

	began := time.Now()
	second := hubRun(t, env, mended)
	t.Logf("a second run on the same data directory took %s", time.Since(began).Round(time.Millisecond))
	left := slices.DeleteFunc(slices.Clone(planted), func(f string) bool { return slices.Contains(mendable, f) })
	// Lines move when a change adds some, so only file and rule are compared.
	same(t, "not mendable", unplaced(left), unplaced(faults(second)))
	if len(second.Deployment.Changes) > 0 {
		t.Errorf("the mended shop has changes proposed: %v", second.Deployment.Changes)
	}
}

// faults are the findings of a report in the words of the table.
func faults(r report) (all []string) {
	for _, f := range r.Analysis.Findings {
		all = append(all, fmt.Sprintf("%s %d %s", f.File, f.Line, f.Rule))
	}
	return all
}

// unplaced is faults without their lines.
func unplaced(faults []string) (all []string) {
	for _, f := range faults {
		words := strings.Fields(f)
		all = append(all, words[0]+" "+words[2])
	}
	return all
}

// same compares two lists whatever their order.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if !slices.Equal(want, got) {
		t.Errorf("%s:\n%s\nfound:\n%s", what, strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// gitApply applies a diff as a person would who was handed it.
func gitApply(t *testing.T, dir, diff string) {
	t.Helper()
	for _, args := range [][]string{{"apply", "--check", "-"}, {"apply", "-"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
		cmd.Env = environment(dir, "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
}
