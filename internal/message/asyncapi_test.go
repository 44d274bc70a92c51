package message

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

type asyncAPI struct {
	Channels map[string]struct {
		Address  string         `yaml:"address"`
		Messages map[string]any `yaml:"messages"`
	} `yaml:"channels"`
	Components struct {
		Schemas map[string]any `yaml:"schemas"`
	} `yaml:"components"`
}

// The document describes every kind of the catalog, and its schemas take the
// golden bodies and know all of their members.
func TestAsyncAPIDescribesEveryKind(t *testing.T) {
	raw, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc asyncAPI
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]bool{}
	for _, c := range doc.Channels {
		addresses[c.Address] = true
	}
	for _, e := range Catalog {
		want := map[string]string{
			Events: "hub.event.{connection}." + string(e.Kind),
			Jobs:   "hub.job." + string(e.Kind) + ".{priority}",
			Facts:  "hub.fact." + string(e.Kind),
		}[e.Stream]
		if !addresses[want] {
			t.Errorf("no channel has address %s", want)
		}
		name := strings.ReplaceAll(string(e.Kind), ".", "_")
		schema, ok := doc.Components.Schemas[name].(map[string]any)
		if !ok {
			t.Errorf("no schema %s", name)
			continue
		}
		if e.Stream == Events && !strings.Contains(string(raw), "const: "+e.Type) {
			t.Errorf("type %s is not in the document", e.Type)
		}
		schema["additionalProperties"] = false // in the test only: a member that the document forgot shows up
		checkGolden(t, name, e.Kind, schema)
	}
}

func checkGolden(t *testing.T, name string, kind Kind, schema map[string]any) {
	t.Helper()
	asJSON, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name+".json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name + ".json")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	golden, err := os.Open("testdata/" + string(kind) + ".json")
	if err != nil {
		t.Fatal(err)
	}
	defer golden.Close()
	body, err := jsonschema.UnmarshalJSON(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(body); err != nil {
		t.Errorf("%s: %v", kind, err)
	}
}
