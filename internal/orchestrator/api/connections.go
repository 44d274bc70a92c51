package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
)

func (a *API) registerConnections(h huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"connections"}, Summary: summary, Errors: []int{401, 403, 404, 422, 503}}
	}
	huma.Register(h, op("list-connections", http.MethodGet, "/api/v1/connections", "List connections"), a.listConnections)
	huma.Register(h, op("put-connection", http.MethodPut, "/api/v1/connections/{slug}", "Create or change a connection"), a.putConnection)
	huma.Register(h, op("delete-connection", http.MethodDelete, "/api/v1/connections/{slug}", "Delete a connection"), a.deleteConnection)
}

type connectionList struct {
	Body struct {
		Connections []connection.Connection `json:"connections" nullable:"false"`
	}
}

func (a *API) listConnections(ctx context.Context, _ *struct{}) (*connectionList, error) {
	all, err := connection.List(ctx, a.cfg.Store)
	if err != nil {
		return nil, a.unavailable("listing connections", err)
	}
	out := &connectionList{}
	out.Body.Connections = list(all)
	return out, nil
}

type connectionInput struct {
	Slug string `path:"slug"`
	Body struct {
		Kind       string `json:"kind" enum:"git,sidenode" doc:"kind of code host"`
		BaseURL    string `json:"base_url" maxLength:"1024" doc:"https, http or ssh URL that repositories are below of"`
		Source     string `json:"source,omitempty" maxLength:"1024" doc:"what the CloudEvents source of its events must begin with; empty takes any"`
		Credential string `json:"credential,omitempty" maxLength:"65536" writeOnly:"true" doc:"token; kept sealed and never returned"`
	}
}

func (a *API) putConnection(ctx context.Context, in *connectionInput) (*struct{ Body connection.Connection }, error) {
	if err := hub.CheckSlug(in.Slug); err != nil {
		return nil, refused(&message.FieldError{Field: "path.slug", Problem: err.Error()})
	}
	kind, err := hub.ParsePlatform(in.Body.Kind)
	if err != nil {
		return nil, refused(&message.FieldError{Field: "kind", Problem: err.Error()})
	}
	if err := hub.CheckBase(kind, in.Body.BaseURL); err != nil {
		return nil, refused(&message.FieldError{Field: "base_url", Problem: err.Error()})
	}
	if strings.ContainsFunc(in.Body.Source, unicode.IsControl) {
		return nil, refused(&message.FieldError{Field: "source", Problem: "holds control characters; send readable text"})
	}
	c := connection.Connection{Slug: in.Slug, Kind: kind, BaseURL: in.Body.BaseURL, Source: in.Body.Source}
	if in.Body.Credential != "" {
		sealed, err := a.cfg.Sealer.Seal(in.Body.Credential, c.Slug)
		if err != nil {
			return nil, refused(&message.FieldError{Field: "credential", Problem: err.Error()})
		}
		c.Sealed = []byte(sealed)
	}
	if err := connection.Save(ctx, a.cfg.Store, c); err != nil {
		return nil, a.unavailable("storing the connection", err)
	}
	if c, err = connection.Get(ctx, a.cfg.Store, c.Slug); err != nil {
		return nil, a.unavailable("reading the connection", err)
	}
	return &struct{ Body connection.Connection }{c}, nil
}

func (a *API) deleteConnection(ctx context.Context, in *struct {
	Slug string `path:"slug" maxLength:"40"`
}) (*struct{}, error) {
	err := connection.Delete(ctx, a.cfg.Store, in.Slug)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("connection " + in.Slug + " does not exist")
	}
	if err != nil {
		return nil, a.unavailable("deleting the connection", err)
	}
	return nil, nil
}
