package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"integrationhub/internal/flow"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
)

type eventInput struct {
	RawBody []byte `contentType:"application/cloudevents+json" doc:"a CloudEvent 1.0 in structured mode, or the data of one in binary mode (application/json with ce- headers)"`
	request *http.Request
}

// Resolve keeps the request: the SDK's binding reads its headers.
func (i *eventInput) Resolve(ctx huma.Context) []error {
	i.request, _ = humago.Unwrap(ctx)
	return nil
}

type accepted struct {
	Location string `header:"Location" doc:"the run"`
	Body     struct {
		Run   string `json:"run" doc:"id of the run that the event opens or addresses"`
		Fresh bool   `json:"fresh" doc:"false when an event of the same source and id was accepted before"`
	}
}

func (a *API) registerEvents(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "publish-event", Method: http.MethodPost, Path: "/api/v1/events", Tags: []string{"events"}, Summary: "Publish an event",
		Description:   "Answers 202 once the ledger and the event stream have the event. The types are " + strings.Join(message.EventTypes(), ", ") + ". An event of the same source and id is accepted once; its repetitions name the same run.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: message.MaxEvent, BodyReadTimeout: bodyTimeout,
		Errors: []int{400, 401, 403, 413, 415, 422, 503},
	}, func(ctx context.Context, in *eventInput) (*accepted, error) {
		e, err := in.event()
		if err != nil {
			return nil, refused(err)
		}
		return a.publish(ctx, e)
	})
}

// event reads the request in structured or binary mode.
func (i *eventInput) event() (message.Event, error) {
	media, params, err := mime.ParseMediaType(i.request.Header.Get("Content-Type"))
	if err != nil {
		return message.Event{}, huma.Error415UnsupportedMediaType("Content-Type is missing or not readable; send application/cloudevents+json, or application/json with ce- headers")
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return message.Event{}, huma.Error415UnsupportedMediaType("charset " + cs + " is not taken; send UTF-8")
	}
	for name, values := range i.request.Header {
		if attr, ok := strings.CutPrefix(strings.ToLower(name), "ce-"); ok && len(values) > 1 {
			return message.Event{}, &message.FieldError{Field: attr, Problem: "appears twice; send it once"}
		}
	}
	var e message.Event
	switch media {
	case "application/cloudevents+json":
		e, err = message.ParseStructured(i.RawBody)
	case "application/json":
		e, err = i.binary()
	default:
		err = huma.Error415UnsupportedMediaType(media + " is not taken; send application/cloudevents+json, or application/json with ce- headers")
	}
	if e.Trace == "" {
		e.Trace = message.CheckTrace(i.request.Header.Get("traceparent"))
	}
	return e, err
}

func (i *eventInput) binary() (message.Event, error) {
	for _, h := range []string{"specversion", "id", "source", "type"} {
		if i.request.Header.Get("ce-"+h) == "" {
			return message.Event{}, &message.FieldError{Field: h, Problem: "header ce-" + h + " is missing; binary mode needs it, or send the whole event as application/cloudevents+json"}
		}
	}
	if at := i.request.Header.Get("ce-time"); at != "" {
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			return message.Event{}, &message.FieldError{Field: "time", Problem: fmt.Sprintf("%q is not RFC 3339, such as 2026-11-01T10:00:00Z", at)}
		}
	}
	r := i.request.Clone(i.request.Context())
	r.Body = io.NopCloser(bytes.NewReader(i.RawBody))
	ce, err := cehttp.NewEventFromHTTPRequest(r)
	if err != nil {
		return message.Event{}, &message.FieldError{Field: "body", Problem: fmt.Sprintf("is not a CloudEvent 1.0 in binary mode: %v", err)}
	}
	return message.FromCloudEvent(*ce)
}

// publish checks what only the ledger knows, and makes the event durable.
func (a *API) publish(ctx context.Context, e message.Event) (*accepted, error) {
	conn, err := connection.Get(ctx, a.cfg.Store, e.Connection)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, refused(unknownConnection("data.connection", e.Connection))
	case err != nil:
		return nil, a.unavailable("publishing the event", err)
	case !strings.HasPrefix(e.Source, conn.Source):
		return nil, refused(&message.FieldError{Field: "source", Problem: fmt.Sprintf("%q may not speak for connection %s, whose events begin with %q", e.Source, conn.Slug, conn.Source)})
	}
	fresh, err := a.take(ctx, e, "publishing the event")
	if err != nil {
		return nil, err
	}
	out := &accepted{}
	out.Body.Run, out.Body.Fresh = flow.RunOf(&e), fresh
	out.Location = "/api/v1/runs/" + out.Body.Run
	return out, nil
}

// take makes an event durable; its error is an answer.
func (a *API) take(ctx context.Context, e message.Event, what string) (fresh bool, err error) {
	fresh, err = a.cfg.Acceptor.Accept(ctx, e)
	if errors.Is(err, orchestrator.ErrBusy) {
		return false, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("events come in faster than they are folded; nothing of this one was stored, try again"), http.Header{"Retry-After": {"30"}})
	}
	if err != nil {
		return false, a.unavailable(what, err)
	}
	return fresh, nil
}

func unknownConnection(field, slug string) error {
	return &message.FieldError{Field: field, Problem: fmt.Sprintf("%q does not exist; create it with PUT /api/v1/connections/%s", slug, slug)}
}

// refused turns bad input into an answer that names the field.
func refused(err error) error {
	var fe *message.FieldError
	if !errors.As(err, &fe) {
		return err
	}
	status := http.StatusUnprocessableEntity
	if fe.Field == "body" {
		status = http.StatusBadRequest
	}
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: fe.Error(), Errors: []*huma.ErrorDetail{{Location: fe.Field, Message: fe.Problem}}}
}

// command publishes a command of the API as an event of source hub: commands go
// the same road as everybody's events.
func (a *API) command(ctx context.Context, what string, b message.Body) error {
	raw, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.NewString(), "source": "hub", "type": message.TypeOf(b.Kind()),
		"time": time.Now().UTC().Format(time.RFC3339Nano), "data": b,
	})
	if err != nil {
		return err
	}
	e, err := message.ParseStructured(raw)
	if err != nil {
		return refused(err)
	}
	_, err = a.take(ctx, e, what)
	return err
}
