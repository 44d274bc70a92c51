package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"integrationhub/internal/analysis/sarif"
	"integrationhub/internal/app"
	"integrationhub/internal/hub"
	"integrationhub/internal/orchestrator/api"
)

// result is an ended run with its findings, worst first.
type result struct {
	api.Detail
	findings []hub.Finding
}

// verdict turns the end of a run into the command's.
func (r *result) verdict(gate hub.Severity) error {
	switch r.Status {
	case hub.RunFailed:
		return fmt.Errorf("run %s failed: %s", r.ID, firstLine(r.Reason))
	case hub.RunCancelled:
		return fmt.Errorf("run %s was cancelled: %s", r.ID, firstLine(r.Reason))
	}
	if gate == "" {
		return nil
	}
	n := 0
	for _, f := range r.findings {
		if f.Severity.Rank() >= gate.Rank() {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return &exitError{app.ExitGate, fmt.Errorf("gate failed: %d findings of severity %s or worse", n, gate)}
}

func (o *runOptions) report(c *cobra.Command, cfg app.Config, r *result) (err error) {
	out := c.OutOrStdout()
	colour := false
	if f, ok := out.(*os.File); ok {
		colour = term.IsTerminal(int(f.Fd())) && cfg.NoColor == ""
	}
	if o.output != "" {
		f, err := os.Create(o.output)
		if err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out, colour = f, false
	}
	switch o.format {
	case "json":
		return writeJSON(out, r)
	case "sarif":
		skipped := map[string]int{}
		if r.Analysis != nil {
			skipped = r.Analysis.Skipped
		}
		return sarif.Write(out, sarif.Run{Tool: "Integration Hub", Version: version(), Findings: r.findings, Skipped: skipped})
	}
	return (&textReport{w: out, colour: colour}).write(r)
}

// jsonReport is what --format json prints. Fields are only added.
type jsonReport struct {
	Run struct {
		ID         string        `json:"id"`
		Status     hub.RunStatus `json:"status"`
		Reason     string        `json:"reason,omitempty"`
		Trace      string        `json:"trace"`
		Repository string        `json:"repository"`
		Commit     string        `json:"commit,omitempty"`
	} `json:"run"`
	Analysis   *jsonAnalysis   `json:"analysis"`   // null when the run ended before it
	Deployment *jsonDeployment `json:"deployment"` // null when the run ended before it
}

type jsonAnalysis struct {
	hub.Analysis
	Findings []hub.Finding `json:"findings"`
}

type jsonDeployment struct {
	ID       string          `json:"id"`
	Strategy hub.Strategy    `json:"strategy"`
	Status   string          `json:"status"`
	Changes  []hub.Change    `json:"changes"`
	Proof    json.RawMessage `json:"proof"`
	Diff     string          `json:"diff"`
}

func writeJSON(w io.Writer, r *result) error {
	var out jsonReport
	out.Run.ID, out.Run.Status, out.Run.Reason, out.Run.Repository, out.Run.Commit = r.ID, r.Status, r.Reason, r.Repository, r.Commit
	if t := strings.Split(r.Trace, "-"); len(t) == 4 {
		out.Run.Trace = t[1] // the trace id, by which a trace is looked up
	}
	if r.Analysis != nil {
		out.Analysis = &jsonAnalysis{Analysis: *r.Analysis, Findings: append([]hub.Finding{}, r.findings...)}
	}
	if d := r.Deployment; d != nil {
		out.Deployment = &jsonDeployment{ID: d.ID, Strategy: d.Strategy, Status: string(d.Status), Changes: d.Changes, Proof: d.Proof, Diff: d.Diff}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}
