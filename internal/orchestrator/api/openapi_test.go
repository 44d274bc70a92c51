package api_test

import (
	"bytes"
	"flag"
	"os"
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

var update = flag.Bool("update", false, "write docs/openapi.json")
