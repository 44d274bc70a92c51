// Package api is the HTTP door: upstream systems publish events through it,
// people and tools read runs, operators look after queues.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/vault"
)

// Acceptor makes events durable.
type Acceptor interface {
	Accept(ctx context.Context, e message.Event) (fresh bool, err error)
}

// Bus is what the API tells and asks those who work.
type Bus interface {
	SetPauses(ctx context.Context, paused map[string]bool) error
	WatchProgress(ctx context.Context, run string, handle func(message.Progress)) error
	Replicas(ctx context.Context) ([]message.Replica, error)
	Drain(ctx context.Context, name string) ([]message.Replica, error)
}

// Config is what an API works on.
type Config struct {
	Store    *store.Store
	Bus      Bus
	Acceptor Acceptor
	Sealer   *vault.Sealer
	Token    string // empty: everything is open, but only to requests that name a loopback host, so that a page in a browser cannot reach it by a name of its own
	Log      *slog.Logger
	Stopping <-chan struct{} // closed when the process is told to stop: streams end then
}

// API answers under /api/v1 and describes itself in /openapi.json.
type API struct{ cfg Config }

// New makes an API.
func New(cfg Config) *API { return &API{cfg: cfg} }

// Version of the API, which is in its paths too.
const Version = "1.0.0"

// Handler answers every path of the API. register may add others to the same mux.
func (a *API) Handler(register func(*http.ServeMux)) http.Handler {
	mux := http.NewServeMux()
	a.describe(mux)
	if register != nil {
		register(mux)
	}
	return a.guard(fallback(mux))
}

// OpenAPI is the description of the API, as /openapi.json serves it.
func OpenAPI() ([]byte, error) {
	raw, err := json.MarshalIndent((&API{}).describe(http.NewServeMux()).OpenAPI(), "", "  ")
	return append(raw, '\n'), err
}

func (a *API) describe(mux *http.ServeMux) huma.API {
	cfg := huma.DefaultConfig("Integration Hub", Version)
	cfg.Info.Description = "Events in, runs out. An event is a CloudEvent 1.0; its run is named before it exists."
	cfg.DocsPath = ""     // the page would load from another host
	cfg.SchemasPath = ""  // everything is in /openapi.json
	cfg.CreateHooks = nil // no $schema member in answers
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "HUB_API_TOKEN"}}
	cfg.Security = []map[string][]string{{"token": {}}}
	h := humago.New(mux, cfg)
	a.registerEvents(h)
	a.registerRuns(h)
	a.registerWatch(h)
	a.registerConnections(h)
	a.registerQueues(h)
	a.registerDead(h)
	a.registerSchedules(h)
	a.registerWorkers(h)
	return h
}

// guard lets in who may come in. Health and the description are open.
func (a *API) guard(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(a.cfg.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		if field := unreadable(r.URL); field != "" {
			problem(w, http.StatusBadRequest, field+" holds a NUL or is not UTF-8; send readable text")
			return
		}
		if a.cfg.Token == "" {
			if host := hostOf(r.Host); host != "localhost" && !net.ParseIP(host).IsLoopback() {
				problem(w, http.StatusForbidden, "the hub has no HUB_API_TOKEN, so it answers only under localhost, 127.0.0.1 and [::1]; asked for "+host)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="integration-hub"`)
			problem(w, http.StatusUnauthorized, "send Authorization: Bearer with the hub's HUB_API_TOKEN")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// unreadable names the part of a URL that is no text: no row could have it.
func unreadable(u *url.URL) string {
	bad := func(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) }
	if bad(u.Path) {
		return "the path"
	}
	for name, values := range u.Query() {
		if bad(name) {
			return "the name of a query parameter"
		}
		if slices.ContainsFunc(values, bad) {
			return "query." + name
		}
	}
	return ""
}

func hostOf(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

// fallback answers what no pattern matches with problem+json as well: the mux's
// own 404 and 405 are plain text.
func fallback(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		mute := muted{}
		h.ServeHTTP(mute, r)
		if allow := mute.Header().Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			problem(w, http.StatusMethodNotAllowed, r.Method+" is not answered here; allowed: "+allow)
			return
		}
		problem(w, http.StatusNotFound, "nothing is at "+r.URL.Path+"; see /openapi.json")
	})
}

// muted takes an answer's headers and drops the rest.
type muted http.Header

func (m muted) Header() http.Header         { return http.Header(m) }
func (m muted) Write(p []byte) (int, error) { return len(p), nil }
func (m muted) WriteHeader(int)             {}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail}) // the client is gone
}

// list is all, which is a list in JSON even where there is nothing.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// bodyTimeout bounds the reading of a request's body.
const bodyTimeout = 10 * time.Second

// retryAfter is what a caller is asked to wait when a dependency is missing.
const retryAfter = "5"

// unavailable hides the words of a dependency from callers, and logs them.
func (a *API) unavailable(what string, err error) error {
	a.cfg.Log.Error("api", "what", what, "err", err)
	return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(what+" failed, because a dependency of the hub does not answer; nothing was lost, try again"), http.Header{"Retry-After": {retryAfter}})
}
