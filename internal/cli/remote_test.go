package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/local"
)

func TestTimesAreToldAsPeopleDo(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for before, want := range map[time.Duration]string{
		0:                           "now",
		90*time.Second + 1:          "1m30s ago",
		5*time.Minute + time.Second: "5m ago",
		30 * time.Hour:              "30h ago",
		100 * time.Hour:             "4d ago",
		-45 * time.Second:           "in 45s",
		-72 * time.Hour:             "in 3d",
	} {
		if got := relative(now.Add(-before), now); got != want {
			t.Errorf("%s before now is told as %q, want %q", before, got, want)
		}
	}
}

func TestAnAnswerThatSaysNoNamesTheFields(t *testing.T) {
	for raw, want := range map[string]string{
		`{"detail":"validation failed","errors":[{"location":"query.limit","message":"expected number <= 500"}]}`: "validation failed; query.limit: expected number <= 500",
		`{"detail":"cron: is not good","errors":[{"location":"cron","message":"is not good"}]}`:                   "cron: is not good",
		`<html>`: "the hub answered 502 Bad Gateway",
	} {
		if got := words("502 Bad Gateway", []byte(raw)); got != want {
			t.Errorf("%s is told as %q, want %q", raw, got, want)
		}
	}
}

func TestAWatchWhoseStreamIsCutAsksForAnotherOne(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			fmt.Fprint(w, "event: run\ndata: {\"status\":\"RUNNING\"}\n\n: still here\n\nevent: progress\ndata: {\"note\":\"half")
			return
		}
		fmt.Fprint(w, "event: run\ndata: {\"status\":\"COMPLETED\"}\n\n")
	}))
	defer srv.Close()
	var heard []string
	c := newClient(local.Endpoint{URL: srv.URL})
	last, err := c.watchToTheEnd(t.Context(), "r", func(name string, data []byte) error {
		heard = append(heard, name+" "+string(data))
		return nil
	})
	if err != nil || last.Status != hub.RunCompleted || asked != 2 {
		t.Errorf("after %d streams the run is %q: %v", asked, last.Status, err)
	}
	if got := strings.Join(heard, "\n"); got != "run {\"status\":\"RUNNING\"}\nrun {\"status\":\"COMPLETED\"}" {
		t.Errorf("heard\n%s", got)
	}

	srv.Close()
	if _, err := c.watchToTheEnd(t.Context(), "r", nil); err == nil || !strings.Contains(err.Error(), "no hub answers at "+srv.URL) {
		t.Errorf("without a hub: %v", err)
	}
}
