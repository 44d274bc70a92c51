package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
)

const (
	senders = 4
	atOnce  = 8  // accepted runs that have not ended, at most
	oddOnes = 20 // one event of so many asks for a branch that does not exist
	absent  = "nowhere"
)

// repositories hold one file each, with that many findings.
const (
	repositories = 4
	findings     = 1
	code         = "import yaml\n\n\ndef load(text):\n    return yaml.load(text)\n"
)

// order is an accepted event.
type order struct {
	at     time.Time
	doomed bool // its branch does not exist
}

// load sends events through the doors, as many as keep some runs open.
type load struct {
	h    *house
	http *http.Client

	mu       sync.Mutex
	next     int
	accepted map[string]order // by run
	refused  int              // answers that were not 202, and none at all
}

func newLoad(h *house) *load {
	h.t.Helper()
	for i := range repositories {
		h.git.Repository(fmt.Sprintf("repo-%d", i)).Commit("first", map[string]string{"load.py": code})
	}
	l := &load{h: h, http: &http.Client{Timeout: 10 * time.Second}, accepted: map[string]order{}}
	h.t.Cleanup(l.http.CloseIdleConnections)
	body, _ := json.Marshal(map[string]string{"kind": string(hub.Git), "base_url": h.git.URL})
	hubtest.Eventually(h.t, patience, func() error {
		return l.send(h.t.Context(), http.MethodPut, h.doors()[0]+"/api/v1/connections/code", "application/json", string(body))
	})
	return l
}

// start sends until the context ends; stop waits for the senders.
func (l *load) start(ctx context.Context, seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(seed, 100+uint64(i)))
			for l.room(ctx) {
				l.order(ctx, dice)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// room waits until another run may be opened; false when ctx ends first.
func (l *load) room(ctx context.Context) bool {
	for ctx.Err() == nil {
		open, err := l.open(ctx)
		if err == nil && open < atOnce {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

// open counts the accepted runs that have not ended.
func (l *load) open(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var ended int
	err := l.h.db.QueryRow(ctx, `SELECT count(*) FROM hub.run WHERE finished_at IS NOT NULL`).Scan(&ended)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted) - ended, err
}

// order sends one event until a door takes it, at one door and then the other.
func (l *load) order(ctx context.Context, dice *rand.Rand) {
	l.mu.Lock()
	id := fmt.Sprint(l.next)
	l.next++
	l.mu.Unlock()
	data := map[string]any{
		"connection": "code", "repository": fmt.Sprintf("repo-%d", dice.IntN(repositories)),
		"priority": hub.Priorities[dice.IntN(len(hub.Priorities))],
	}
	doomed := dice.IntN(oddOnes) == 0
	if doomed {
		data["ref"] = absent
	}
	raw, _ := json.Marshal(map[string]any{"specversion": "1.0", "id": id, "source": "chaos", "type": "hub.analysis_requested.v1", "data": data})
	doors := l.h.doors()
	for n := dice.IntN(len(doors)); ; n++ {
		// What was sent may have been taken although nobody says so: the event goes
		// on until the answer is known, even after ctx.
		err := l.send(context.WithoutCancel(ctx), http.MethodPost, doors[n%len(doors)]+"/api/v1/events", "application/cloudevents+json", string(raw))
		l.mu.Lock()
		if err == nil {
			l.accepted[hub.RunID("chaos", id)] = order{at: time.Now(), doomed: doomed}
			l.mu.Unlock()
			return
		}
		l.refused++
		l.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *load) orders() map[string]order {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.accepted)
}

func (l *load) send(ctx context.Context, method, url, contentType, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	return said(l.http.Do(req))
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return said((&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req))
}

// said is the answer as an error, unless it is good.
func said(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

// waitEnded waits until all of these runs have ended.
func waitEnded(t testing.TB, h *house, within time.Duration, runs map[string]order) {
	t.Helper()
	ids := make([]string, 0, len(runs))
	for id := range runs {
		ids = append(ids, id)
	}
	hubtest.Eventually(t, within, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var ended int
		if err := h.db.QueryRow(ctx, `SELECT count(*) FROM hub.run WHERE id = ANY($1) AND finished_at IS NOT NULL`, ids).Scan(&ended); err != nil {
			return err
		}
		if ended < len(ids) {
			return fmt.Errorf("%d of %d accepted runs have not ended", len(ids)-ended, len(ids))
		}
		return nil
	})
}
