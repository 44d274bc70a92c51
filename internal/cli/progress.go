package cli

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
)

// progress tells on a terminal what the jobs of a run do; elsewhere it is silent.
type progress struct {
	w       *os.File
	enabled bool
	start   time.Time
	ended   map[string]bool
	frame   int
}

func newProgress(w *os.File) *progress {
	return &progress{w: w, enabled: term.IsTerminal(int(w.Fd())), start: time.Now(), ended: map[string]bool{}}
}

// verbs say what a job of a kind does.
func verb(k message.Kind) string {
	switch k {
	case message.Fetch:
		return "fetch"
	case message.Analyze:
		return "analyse"
	case message.Prepare:
		return "prepare"
	}
	return string(k)
}

func (p *progress) jobs(all []api.Job) {
	for _, j := range all {
		if j.Status.Ended() && !p.ended[j.ID] {
			p.ended[j.ID] = true
			took := time.Duration(0)
			if n := len(j.Attempts); n > 0 && j.Attempts[n-1].StartedAt != nil {
				took = j.Attempts[n-1].FinishedAt.Sub(*j.Attempts[n-1].StartedAt)
			}
			fmt.Fprintf(p.w, "\r\033[K  %s %s %s\n", mark(j.Status), verb(j.Kind), took.Round(time.Millisecond))
		}
	}
	if n := len(all); n > 0 && !all[n-1].Status.Ended() {
		p.frame++
		note := ""
		if a := all[n-1].Attempts; len(a) > 0 {
			note = fmt.Sprintf(" (attempt %d: %s)", len(a)+1, firstLine(a[len(a)-1].Error))
		}
		fmt.Fprintf(p.w, "\r\033[K  %c %s %s%s", `|/-\`[p.frame%4], verb(all[n-1].Kind), time.Since(p.start).Round(100*time.Millisecond), note)
	}
}

func mark(s hub.JobStatus) string {
	if s == hub.JobCompleted {
		return "✓"
	}
	return "✗"
}

func (p *progress) done() {
	if p.enabled {
		fmt.Fprint(p.w, "\r\033[K")
	}
}
