package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// door is what answers beside the work itself, on a hub without a token.
func door(t *testing.T, h *server) {
	for _, path := range []string{"/healthz", "/readyz"} {
		if a, err := h.call(http.MethodGet, path, ""); err != nil || a.status != http.StatusOK {
			t.Errorf("GET %s: %v, %d %s", path, err, a.status, a.body)
		}
	}
	described(t, h.client)

	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodGet, "/nowhere", http.StatusNotFound, ""},
		{http.MethodGet, "/api/v1/nowhere", http.StatusNotFound, ""},
		{http.MethodGet, "/api/v1/runs/nosuchrun", http.StatusNotFound, ""},
		{http.MethodGet, "/api/v1/runs/nosuchrun/timeline", http.StatusNotFound, ""},
		{http.MethodDelete, "/api/v1/events", http.StatusMethodNotAllowed, "POST"},
		{http.MethodPost, "/healthz", http.StatusMethodNotAllowed, "GET"},
	} {
		a, err := h.call(c.method, c.path, "")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := a.problem(); err != nil || a.status != c.status || p.Detail == "" {
			t.Errorf("%s %s: %v, %d %s; want %d", c.method, c.path, err, a.status, a.body, c.status)
		}
		if allow := a.header.Get("Allow"); !strings.Contains(allow, c.allow) {
			t.Errorf("%s %s: allowed is %q, want %q", c.method, c.path, allow, c.allow)
		}
	}

	// A page of another site can make a browser send requests to this machine
	// under a name of its own, but not under localhost.
	for host, want := range map[string]int{"evil.example": http.StatusForbidden, "evil.example:8080": http.StatusForbidden, "localhost": http.StatusOK, "[::1]:8080": http.StatusOK} {
		if a, err := h.call(http.MethodGet, "/api/v1/runs", "", "Host", host); err != nil || a.status != want {
			t.Errorf("Host %s: %v, %d, want %d", host, err, a.status, want)
		}
	}
}

// described wants /openapi.json to name every path that the issue promises.
func described(t *testing.T, c *client) {
	t.Helper()
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := c.get("/openapi.json", &doc); err != nil {
		t.Error(err)
		return
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		t.Errorf("openapi is %q", doc.OpenAPI)
	}
	for path, method := range map[string]string{
		"/api/v1/events": "post", "/api/v1/runs": "get", "/api/v1/runs/{id}": "get",
		"/api/v1/runs/{id}/findings": "get", "/api/v1/runs/{id}/timeline": "get",
	} {
		if doc.Paths[path][method] == nil {
			t.Errorf("/openapi.json does not describe %s %s", method, path)
		}
	}
}

// guarded wants a hub with a token to be open to who brings it, and to nobody
// else.
func guarded(t *testing.T, c *client) {
	t.Helper()
	for _, header := range []string{"", "Bearer", "Bearer wrong", "Basic " + c.token, "Bearer " + c.token + "x"} {
		stranger := &client{url: c.url, http: c.http}
		a, err := stranger.call(http.MethodGet, "/api/v1/runs", "", "Authorization", header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.problem(); err != nil || a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("Authorization %q: %v, %d %s", header, err, a.status, a.body)
		}
	}
	// Health and the description are open: they tell nothing about code.
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		stranger := &client{url: c.url, http: c.http}
		if a, err := stranger.call(http.MethodGet, path, ""); err != nil || a.status != http.StatusOK {
			t.Errorf("GET %s without the token: %v, %d", path, err, a.status)
		}
	}
	if a, err := c.call(http.MethodGet, "/api/v1/runs", "", "Host", "hub.example.org"); err != nil || a.status != http.StatusOK {
		t.Errorf("with the token: %v, %d %s", err, a.status, a.body)
	}
}
