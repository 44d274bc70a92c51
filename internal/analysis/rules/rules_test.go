package rules_test

import (
	"context"
	"os"
	"testing"

	"integrationhub/internal/analysis/rules"
)

// Every built-in rule finds exactly the lines that its samples say, has samples
// that are right and samples that are wrong, and its fixes mend what it finds.
func TestBuiltinRulesOnTheirSamples(t *testing.T) {
	set, err := rules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	results, err := rules.Test(context.Background(), os.DirFS("data"))
	if err != nil {
		t.Fatal(err)
	}
	positive, negative := map[string]int{}, map[string]int{}
	for _, r := range results {
		positive[r.Rule] += len(r.Expected)
		negative[r.Rule] += len(r.Clean)
		if !r.Pass {
			t.Errorf("%s on %s: expected lines %v, got %v; fixes that do not mend: %v", r.Rule, r.Sample, r.Expected, r.Got, r.Broken)
		}
	}
	for _, r := range set.Rules() {
		if positive[r.ID] == 0 || negative[r.ID] == 0 {
			t.Errorf("%s has %d samples that it must find and %d that it must not: both need one", r.ID, positive[r.ID], negative[r.ID])
		}
	}
}
