package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Health answers /healthz (the process runs) and /readyz (it can work).
type Health struct {
	ready atomic.Pointer[func(context.Context) error]
}

// NewHealth makes a Health; with nil it is not ready before Set.
func NewHealth(ready func(context.Context) error) *Health {
	h := &Health{}
	if ready != nil {
		h.Set(ready)
	}
	return h
}

// Set says what tells whether the process is ready; before that it is not.
func (h *Health) Set(ready func(context.Context) error) { h.ready.Store(&ready) }

// Register adds both paths to a mux.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready := h.ready.Load()
		if ready == nil {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		if err := (*ready)(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

// Serve answers on addr until stop is called.
func (h *Health) Serve(addr string) (stop func(), err error) {
	mux := http.NewServeMux()
	h.Register(mux)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &UsageError{fmt.Errorf("HUB_HEALTH_ADDR: %w", err)}
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }() // ends with ErrServerClosed at Close
	return func() { _ = srv.Close(); <-done }, nil
}

// checkHealth asks the process in the same container, for images without a
// shell: `<program> healthcheck`.
func checkHealth(cfg Config) int {
	addr := cfg.HealthAddr
	if addr == "" {
		addr = cfg.Listen
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Report("healthcheck", fmt.Errorf("address %q: %w", addr, err))
	}
	if host == "" || strings.Trim(host, "0.:") == "" {
		host = "127.0.0.1"
	}
	client := &http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		return Report("healthcheck", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Report("healthcheck", errors.New("not ready: "+resp.Status))
	}
	return ExitOK
}
