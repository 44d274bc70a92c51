package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/local"
	"integrationhub/internal/orchestrator/api"
)

// client speaks to a hub.
type client struct {
	endpoint local.Endpoint
	http     http.Client
}

// callTimeout bounds one request; maxAnswer caps its answer in bytes.
const (
	callTimeout = 30 * time.Second
	maxAnswer   = 256 << 20
)

func newClient(e local.Endpoint) *client {
	return &client{endpoint: e, http: http.Client{Timeout: callTimeout}}
}

// apiError is an answer that says no.
type apiError struct {
	status int
	detail string
}

func (e *apiError) Error() string { return e.detail }

// call sends body as JSON, or as it is when it is bytes, and decodes the answer
// into out unless that is nil.
func (c *client) call(ctx context.Context, method, path, contentType string, body, out any) error {
	resp, err := c.send(ctx, &c.http, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the hub's answer to %s: %w", path, err)
	}
	if resp.StatusCode >= 300 {
		return &apiError{status: resp.StatusCode, detail: words(resp.Status, raw)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode the hub's answer to %s: %w", path, err)
	}
	return nil
}

// send sends a request; the caller closes the answer's body.
func (c *client) send(ctx context.Context, by *http.Client, method, path, contentType string, body any) (*http.Response, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint.URL+path, r)
	if err != nil {
		return nil, fmt.Errorf("hub URL %q: %w", c.endpoint.URL, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.endpoint.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.endpoint.Token)
	}
	resp, err := by.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no hub answers at %s; start one with `hub up`, or name another with --hub URL or HUB_URL", c.endpoint.URL)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the hub: %w", err)
	}
	return resp, nil
}

const asJSON = "application/json"

func (c *client) putConnection(ctx context.Context, slug string, kind hub.Platform, base, credential string) error {
	return c.call(ctx, http.MethodPut, "/api/v1/connections/"+slug, asJSON, map[string]string{"kind": string(kind), "base_url": base, "credential": credential}, nil)
}

func (c *client) deleteConnection(ctx context.Context, slug string) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/connections/"+slug, "", nil, nil)
}

// connection finds the slug of a connection by kind and base URL.
func (c *client) connection(ctx context.Context, kind hub.Platform, base string) (string, error) {
	var list struct {
		Connections []struct {
			Slug    string       `json:"slug"`
			Kind    hub.Platform `json:"kind"`
			BaseURL string       `json:"base_url"`
		} `json:"connections"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/v1/connections", "", nil, &list); err != nil {
		return "", err
	}
	for _, x := range list.Connections {
		if x.Kind == kind && x.BaseURL == base {
			return x.Slug, nil
		}
	}
	return "", nil
}

func (c *client) publish(ctx context.Context, event []byte) (run string, err error) {
	var out struct {
		Run string `json:"run"`
	}
	err = c.call(ctx, http.MethodPost, "/api/v1/events", "application/cloudevents+json", event, &out)
	return out.Run, err
}

func (c *client) cancel(ctx context.Context, run, reason string) error {
	return c.call(ctx, http.MethodPost, "/api/v1/runs/"+run+"/cancel", asJSON, map[string]string{"reason": reason}, nil)
}

func (c *client) run(ctx context.Context, id string) (api.Detail, error) {
	var d api.Detail
	err := c.call(ctx, http.MethodGet, "/api/v1/runs/"+id, "", nil, &d)
	return d, err
}

// open counts the runs that have not ended.
func (c *client) open(ctx context.Context) (int, error) {
	n := 0
	for _, status := range []hub.RunStatus{hub.RunPending, hub.RunRunning} {
		var list struct {
			Runs []struct{} `json:"runs"`
		}
		if err := c.call(ctx, http.MethodGet, "/api/v1/runs?limit=500&status="+string(status), "", nil, &list); err != nil {
			return 0, err
		}
		n += len(list.Runs)
	}
	return n, nil
}

func (c *client) findings(ctx context.Context, id string) ([]hub.Finding, error) {
	all := []hub.Finding{}
	for after := ""; ; {
		q := url.Values{"limit": {"1000"}}
		if after != "" {
			q.Set("after", after)
		}
		var page struct {
			Findings []hub.Finding `json:"findings"`
			Next     string        `json:"next"`
		}
		if err := c.call(ctx, http.MethodGet, "/api/v1/runs/"+id+"/findings?"+q.Encode(), "", nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Findings...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

func (c *client) jobs(ctx context.Context, id string) ([]api.Job, error) {
	var t struct {
		Jobs []api.Job `json:"jobs"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/runs/"+id+"/timeline", "", nil, &t)
	return t.Jobs, err
}
