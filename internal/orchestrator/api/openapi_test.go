package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"testing"

	"integrationhub/internal/orchestrator/api"
)

// TestTheDescriptionThatIsKeptIsTheOneThatIsServed keeps docs/openapi.json as it
// is served; -update writes it anew.
func TestTheDescriptionThatIsKeptIsTheOneThatIsServed(t *testing.T) {
	const kept = "../../../docs/openapi.json"
	served, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(kept, served, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, served) {
		t.Errorf("%s is not what is served; write it anew with go test ./internal/orchestrator/api -run Description -update", kept)
	}
}

// A path parameter that no input reads would arrive empty.
func TestEveryPathParameterIsRead(t *testing.T) {
	served, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(served, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			var read []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					read = append(read, "{"+p.Name+"}")
				}
			}
			if want := regexp.MustCompile(`{\w+}`).FindAllString(path, -1); !slices.Equal(read, want) {
				t.Errorf("%s %s reads %v", method, path, read)
			}
		}
	}
}

var update = flag.Bool("update", false, "write docs/openapi.json")
