package analysis_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"integrationhub/internal/analysis"
	"integrationhub/internal/analysis/rules"
	"integrationhub/internal/hub"
)

// tableRow is one planted fault in the table of examples/shop/README.md.
var tableRow = regexp.MustCompile(`(?m)^\| ([\w./-]+) \| (\d+) \| ([\w.-]+) \| .+ \| (\w+) \|$`)

// What is found in the sample shop is exactly what its README says was planted.
func TestTheShopHasThePlantedFaultsAndNoOthers(t *testing.T) {
	shop := os.DirFS("../../examples/shop")
	readme, err := fs.ReadFile(shop, "README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, row := range tableRow.FindAllStringSubmatch(string(readme), -1) {
		want = append(want, strings.Join(row[1:], " "))
	}
	got := scanShop(t, shop)
	slices.Sort(want)
	slices.Sort(got)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("planted, not found: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("found, not planted: %s", g)
		}
	}
	if len(want) < 12 {
		t.Errorf("the table has %d rows; did its form change?", len(want))
	}
}

// scanShop is what was found, in the order of the table's columns.
func scanShop(t *testing.T, shop fs.FS) (found []string) {
	t.Helper()
	set, err := rules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	scanner := analysis.NewScanner(set)
	err = fs.WalkDir(shop, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		source, err := fs.ReadFile(shop, path)
		if err != nil {
			return err
		}
		for _, f := range scanner.Scan(context.Background(), path, source).Findings {
			found = append(found, fmt.Sprintf("%s %d %s %s", f.File, f.Line, f.Rule, proposed(f.Fix)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// proposed is the word of the table's last column.
func proposed(fix *hub.Fix) string {
	if fix == nil {
		return "no"
	}
	return strings.ToLower(string(fix.Class))
}
