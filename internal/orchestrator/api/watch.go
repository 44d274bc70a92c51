package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store/run"
)

// Names of the events of a watched run.
const (
	WatchRun      = "run"      // data is the run: at first, when its status changes, and at last when it has ended
	WatchProgress = "progress" // data is a message.Progress
)

func (a *API) registerWatch(h huma.API) {
	data := func(name string, v any) *huma.Schema {
		return &huma.Schema{
			Title: "Event " + name, Type: huma.TypeObject, Required: []string{"event", "data"},
			Properties: map[string]*huma.Schema{
				"event": {Type: huma.TypeString, Enum: []any{name}},
				"data":  h.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, name),
			},
		}
	}
	huma.Register(h, huma.Operation{
		OperationID: "watch-run", Method: http.MethodGet, Path: "/api/v1/runs/{id}/watch", Tags: []string{"runs"}, Summary: "Watch a run until it ends",
		Description: "Server-sent events: run tells the run as it is, progress what its jobs do (one of those may be lost). The stream ends after the run that has ended; a comment every 15 seconds keeps it alive. When it ends earlier, ask again.",
		Errors:      []int{401, 403, 404, 422, 503},
		Responses: map[string]*huma.Response{"200": {
			Description: "The events of the run",
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
				Type: huma.TypeArray, Items: &huma.Schema{OneOf: []*huma.Schema{data(WatchRun, run.Run{}), data(WatchProgress, message.Progress{})}},
			}}},
		}},
	}, a.watch)
}

// Times of a watched run.
const (
	heartbeatEvery = 15 * time.Second
	lookEvery      = 5 * time.Second  // at the ledger, because progress may be lost
	writeTimeout   = 10 * time.Second // of one event, for a client that reads
	watchAhead     = 256              // progress of one run that waits to be written; what is more is lost
)

func (a *API) watch(ctx context.Context, in *runPath) (*huma.StreamResponse, error) {
	r, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		req, w := humago.Unwrap(hc)
		ctx, release := context.WithCancel(req.Context())
		defer release()
		news := make(chan message.Progress, watchAhead)
		err := a.cfg.Bus.WatchProgress(ctx, r.ID, func(p message.Progress) {
			select {
			case news <- p:
			default:
			}
		})
		if err != nil {
			a.cfg.Log.Warn("watch", "run", r.ID, "err", err)
			w.Header().Set("Retry-After", retryAfter)
			problem(w, http.StatusServiceUnavailable, "watching the run failed, because a dependency of the hub does not answer; try again")
			return
		}
		s := &stream{w: w, control: http.NewResponseController(w)}
		if err := a.follow(ctx, s, r.ID, news); err != nil {
			a.cfg.Log.Debug("watch ended", "run", r.ID, "err", err)
		}
	}}, nil
}

// follow writes until the run has ended, the client is gone, or the process stops.
func (a *API) follow(ctx context.Context, s *stream, id string, news <-chan message.Progress) error {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	var last run.Run
	// look tells the run where its status has changed, and whether it has ended.
	look := func() (bool, error) {
		r, err := a.find(ctx, id)
		if err != nil || r.Status == last.Status {
			return false, err
		}
		last = r
		return r.Status.Terminal(), s.event(WatchRun, r)
	}
	beat, tick := time.NewTicker(heartbeatEvery), time.NewTicker(lookEvery)
	defer beat.Stop()
	defer tick.Stop()
	// The subscription is older than this look, so nothing is missed in between.
	for ended, err := look(); ; {
		if ended || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.cfg.Stopping:
			return nil
		case <-beat.C:
			err = s.write([]byte(": still here\n\n"))
		case <-tick.C:
			ended, err = look()
		case p := <-news:
			if p.Job != "" {
				err = s.event(WatchProgress, p)
			}
			if err == nil && (p.Job == "" || last.Status != hub.RunRunning) {
				ended, err = look()
			}
		}
	}
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) event(name string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", name, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, raw)
	return s.write(b.Bytes())
}

// write has a deadline of its own for each write: the server's is for a whole
// answer, and a run may take hours.
func (s *stream) write(b []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set the write deadline: %w", err)
	}
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("write to the watcher: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("write to the watcher: %w", err)
	}
	return nil
}
