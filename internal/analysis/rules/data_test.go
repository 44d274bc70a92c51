package rules_test

import (
	"context"
	"os"
	"path"
	"strings"
	"testing"

	"integrationhub/internal/analysis/rules"
	"integrationhub/internal/hub"
)

// What docs/rules.md asks of every built-in rule, as far as a test can see it.
func TestEveryBuiltinRuleKeepsTheConventions(t *testing.T) {
	results, err := rules.Test(context.Background(), os.DirFS("data"))
	if err != nil {
		t.Fatal(err)
	}
	wrong, right := map[string]int{}, map[string]int{}
	for _, r := range results {
		wrong[r.Rule] += len(r.Expected)
		right[r.Rule] += len(r.Clean)
	}
	set, err := rules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules() {
		if wrong[r.ID] < 2 || right[r.ID] < 2 {
			t.Errorf("%s has %d samples of wrong code and %d of right code: two or more of each show what it means", r.ID, wrong[r.ID], right[r.ID])
		}
		topic := path.Base(path.Dir(r.File))
		parts := strings.Split(r.ID, ".")
		if parts[0] != topic {
			t.Errorf("%s lies in %s: its id must begin with the topic", r.ID, r.File)
		}
		if category := parts[len(parts)-2]; hub.Category(strings.ToUpper(category)) != r.Category {
			t.Errorf("%s is in category %s: its id must name that", r.ID, r.Category)
		}
		if r.Category == hub.Security && r.CWE == "" {
			t.Errorf("%s names no CWE", r.ID)
		}
	}
}
