package taint_test

import (
	"context"
	"strings"
	"testing"

	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/analysis/taint"
)

// places are the calls of the named function.
func places(t *syntax.Tree, name string) []taint.Place {
	var out []taint.Place
	for _, n := range t.ByKind(syntax.Call) {
		if n.Kids[0].Dotted() == name {
			out = append(out, taint.Place{Start: n.Start, End: n.End, Node: n})
		}
	}
	return out
}

func reach(t *testing.T, src string, budget int) (reached []int, steps int) {
	t.Helper()
	tree, err := syntax.Parse(context.Background(), syntax.Python, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	spec := &taint.Spec{Sources: places(tree, "source"), Sinks: places(tree, "sink"), Sanitizers: places(tree, "clean")}
	reached = taint.Reach(tree, spec, func() bool { steps++; return steps > budget })
	return reached, steps
}

func TestTaintGoesOncePerLoopTurnThroughAChainOfVariables(t *testing.T) {
	if got, _ := reach(t, "a = b = c = 1\nfor x in y:\n    sink(c)\n    c = b\n    b = source()\n", 1e6); len(got) != 1 {
		t.Errorf("reached %v", got)
	}
}

func TestNestedLoopsThatTeachNothingNewAreFollowedOnce(t *testing.T) {
	var src strings.Builder
	for depth := range 12 {
		src.WriteString(strings.Repeat(" ", depth) + "for x in y:\n")
	}
	src.WriteString(strings.Repeat(" ", 12) + "sink(x)\nsource()\n")
	if _, steps := reach(t, src.String(), 1e7); steps > 20_000 {
		t.Errorf("%d steps for twelve loops", steps)
	}
}

func TestReachStopsWhenItsBudgetIsSpent(t *testing.T) {
	src := "a = source()\n" + strings.Repeat("sink(a)\n", 1000)
	if got, _ := reach(t, src, 100); len(got) == 0 || len(got) > 100 {
		t.Errorf("%d sinks reached in 100 steps", len(got))
	}
}
