package sidenode

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// description holds a node's answers to docs/sidenode.openapi.yaml.
type description struct {
	t        *testing.T
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	seen     map[string]bool // "/v1/health 200"
}

func readDescription(t *testing.T) *description {
	t.Helper()
	data, err := os.ReadFile("../../../docs/sidenode.openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	d := &description{t: t, doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(), seen: map[string]bool{}}
	if err := d.compiler.AddResource("sidenode.json", doc); err != nil {
		t.Fatal(err)
	}
	return d
}

// check wraps a node so that every answer is held to the description.
func (d *description) check(node http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		node.ServeHTTP(rec, r)
		d.answer(r, rec)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = io.Copy(w, rec.Body)
	})
}

func (d *description) answer(r *http.Request, rec *httptest.ResponseRecorder) {
	path := d.path(r)
	if path == "" || r.Method != http.MethodGet {
		return // what is not in the description has no description
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[path+" "+strconv.Itoa(rec.Code)] = true
	responses := d.at("paths", path, "get", "responses").(map[string]any)
	if responses[strconv.Itoa(rec.Code)] == nil {
		d.t.Errorf("%s: status %d is not described", r.URL, rec.Code)
		return
	}
	response := d.resolve(responses[strconv.Itoa(rec.Code)])
	d.headers(r, response, rec.Header())
	content, _ := response["content"].(map[string]any)
	kind := rec.Header().Get("Content-Type")
	media, described := content[kind].(map[string]any)
	if !described && (kind != "" || len(content) > 0) {
		d.t.Errorf("%s: content type %q of status %d is not described", r.URL, kind, rec.Code)
	}
	if described && strings.HasSuffix(kind, "json") {
		body, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Body.Bytes()))
		if err != nil {
			d.t.Errorf("%s: %v", r.URL, err)
			return
		}
		d.valid(r.URL.String(), media["schema"], body)
	}
}

func (d *description) headers(r *http.Request, response map[string]any, sent http.Header) {
	described, _ := response["headers"].(map[string]any)
	for name, raw := range described {
		header := d.resolve(raw)
		value := sent.Get(name)
		if value == "" && header["required"] == true {
			d.t.Errorf("%s: header %s is missing", r.URL, name)
		}
		if value != "" {
			d.valid(r.URL.String()+" "+name, header["schema"], value)
		}
	}
	for name := range sent {
		// What every answer may have is HTTP's own business.
		common := []string{"Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Connection"}
		is := func(other string) bool { return strings.EqualFold(name, other) }
		if !slices.ContainsFunc(common, is) && !slices.ContainsFunc(keys(described), is) {
			d.t.Errorf("%s: header %s is not described", r.URL, name)
		}
	}
}

func (d *description) valid(what string, schema, value any) {
	if ref, ok := schema.(map[string]any)["$ref"].(string); ok {
		compiled, err := d.compiler.Compile("sidenode.json" + ref)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := compiled.Validate(value); err != nil {
			d.t.Errorf("%s: %v", what, err)
		}
		return
	}
	one := jsonschema.NewCompiler()
	if err := one.AddResource("one.json", schema); err != nil {
		d.t.Fatal(err)
	}
	if err := one.MustCompile("one.json").Validate(value); err != nil {
		d.t.Errorf("%s: %v", what, err)
	}
}

// path is the described path that a request matches.
func (d *description) path(r *http.Request) string {
	parts := strings.Split(r.URL.EscapedPath(), "/")
	for _, path := range keys(d.at("paths").(map[string]any)) {
		described := strings.Split(path, "/")
		if slices.EqualFunc(described, parts, func(a, b string) bool { return a == b || strings.HasPrefix(a, "{") && b != "" }) {
			return path
		}
	}
	return ""
}

func (d *description) at(keys ...string) any {
	var v any = d.doc
	for _, k := range keys {
		v = v.(map[string]any)[k]
	}
	return v
}

func (d *description) resolve(v any) map[string]any {
	m := v.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		return d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
	}
	return m
}

func keys(m map[string]any) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
