package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"integrationhub/internal/orchestrator/api"
)

// How a run is watched.
const (
	silence    = time.Minute // longest; the hub says something every 15 s
	maxEvent   = 1 << 20     // bytes of one line
	maxLosses  = 10          // of the stream in a row, with nothing heard in between
	betweenTry = time.Second
)

// errCut says that a stream ended before its run did.
var errCut = errors.New("the hub ended the stream before the run ended")

// watchToTheEnd hands on the events of a run until it has ended, and returns the
// run. When a stream is lost that has said something it asks for another one.
func (c *client) watchToTheEnd(ctx context.Context, id string, handle func(name string, data []byte) error) (last api.Run, err error) {
	for lost := maxLosses; ; lost++ {
		err := c.watch(ctx, id, func(name string, data []byte) (err error) {
			lost = 0
			if name == api.WatchRun {
				if last, err = decode[api.Run](data); err != nil {
					return err
				}
			}
			return handle(name, data)
		})
		var no *apiError
		switch {
		case last.Status.Terminal() || ctx.Err() != nil:
			return last, ctx.Err()
		case errors.As(err, &no) && no.status < http.StatusInternalServerError, lost >= maxLosses:
			return last, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(betweenTry):
		}
	}
}

// watch reads one stream of server-sent events.
func (c *client) watch(ctx context.Context, id string, handle func(name string, data []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	resp, err := c.send(ctx, &http.Client{}, http.MethodGet, runPath(id)+"/watch", "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
		return &apiError{status: resp.StatusCode, detail: words(resp.Status, raw)}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	var name, data string
	for lines.Scan() {
		quiet.Reset(silence)
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			data = value
		case "": // the end of an event, or a comment
			if data != "" {
				if err := handle(name, []byte(data)); err != nil {
					return err
				}
			}
			name, data = "", ""
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("watch run %s: %w", id, err)
	}
	return errCut
}

func decode[T any](data []byte) (v T, err error) {
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode the hub's answer: %w", err)
	}
	return v, nil
}
