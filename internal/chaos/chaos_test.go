package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hubtest"
)

// happened is a fault and when it began.
type happened struct {
	fault
	began time.Time
}

func TestNothingIsLostAndNothingIsDoneTwice(t *testing.T) {
	dose, ok := doses[*size]
	if !ok {
		t.Fatalf("-chaos=%s: say short or full", *size)
	}
	seed := chooseSeed(t)
	fmt.Printf("chaos: %s, seed %d; the same history again: %s=%d\n", *size, seed, seedEnv, seed)
	h := newHouse(t)
	w := newWire(t, h.nats.URL)
	l := newLoad(h)
	stop := l.start(t.Context(), seed)
	defer stop()
	moreJobs(h, 3*senders)

	var all []happened
	for i, f := range plan(seed, dose) {
		t.Logf("%3d %s", i+1, f)
		all = append(all, happened{f, time.Now()})
		h.do(f, w)
		moreJobs(h, f.after)
	}
	// New events keep coming, so that work which was lost on the way cannot hope
	// for silence to be found in.
	calm := time.Now()
	waitEnded(t, h, recovery+patience, l.orders())
	recovered := time.Since(calm)
	stop()
	runs := l.orders()
	waitEnded(t, h, recovery+patience, runs)
	for _, what := range []string{"job_open", "fact"} {
		hubtest.Eventually(t, recovery, func() (err error) { return h.empty(what) })
	}
	wrong, err := broken(t.Context(), h.db, runs)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range wrong {
		t.Error(b)
	}
	if recovered > recovery {
		t.Errorf("what was accepted before the last fault had ended %s after it, want %s", recovered, recovery)
	}
	h.report(all, l, recovered)
	h.explain(all)
}

// moreJobs waits until n further jobs have ended.
func moreJobs(h *house, n int) {
	h.t.Helper()
	before := -1
	hubtest.Eventually(h.t, patience, func() error {
		now, err := h.ended()
		if err != nil {
			return err
		}
		if before < 0 {
			before = now
		}
		if now < before+n {
			return fmt.Errorf("%d of %d jobs have ended since the last fault", now-before, n)
		}
		return nil
	})
}

func (h *house) empty(table string) error {
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	var n int
	if err := h.db.QueryRow(ctx, "SELECT count(*) FROM hub."+table).Scan(&n); err != nil || n > 0 {
		return fmt.Errorf("%d rows of %s are left, %v", n, table, err)
	}
	return nil
}

// report prints what happened, and how long the work stood still at most.
func (h *house) report(all []happened, l *load, recovered time.Duration) {
	done := h.times(`SELECT finished_at FROM hub.job_attempt WHERE outcome = 'COMPLETED' ORDER BY 1`)
	gaps := map[string][]time.Duration{}
	for i, f := range all {
		end := done[len(done)-1]
		if i+1 < len(all) {
			end = all[i+1].began
		}
		gap := longestGap(done, f.began, end)
		gaps[f.kind] = append(gaps[f.kind], gap)
		if gap > recovery {
			h.t.Errorf("no job ended for %s after fault %d, %s", gap, i+1, f)
		}
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "fault\tdose\tno job ended for: median\tlongest\t")
	for _, kind := range kinds {
		if g := slices.Sorted(slices.Values(gaps[kind])); len(g) > 0 {
			fmt.Fprintf(table, "%s\t%d\t%.1f s\t%.1f s\t\n", kind, len(g), g[len(g)/2].Seconds(), g[len(g)-1].Seconds())
		}
	}
	table.Flush()
	fmt.Print(out.String())
	var longest float64
	outcomes := map[string]int{}
	rows, err := h.db.Query(h.t.Context(), `SELECT outcome, count(*)::int, 0 FROM hub.job_attempt GROUP BY 1
		UNION ALL SELECT 'run ' || status, count(*)::int, max(extract(epoch FROM finished_at - created_at)) FROM hub.run GROUP BY status`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var what string
		var n int
		var seconds float64
		if err := rows.Scan(&what, &n, &seconds); err != nil {
			h.t.Fatal(err)
		}
		outcomes[what], longest = n, max(longest, seconds)
	}
	fmt.Printf("runs: %d accepted (%d answers were no), %d completed, %d failed; the longest took %.1f s; all of before the last fault had ended %.1f s after it\n",
		len(l.orders()), l.refused, outcomes["run COMPLETED"], outcomes["run FAILED"], longest, recovered.Seconds())
	fmt.Printf("attempts: %d completed, %d failed, %d lost with their worker, %d tried again, %d put off; %d commits refused by their fence\n",
		outcomes["COMPLETED"], outcomes["FAILED"], outcomes["LOST"], outcomes["RETRY"], outcomes["LATER"], h.said("not committed: the claim was lost"))
}

const slowSQL = `SELECT r.id, a.finished_at, format('%s attempt %s, fence %s, %s by %s from %s %s', a.job, a.attempt, a.fence, a.outcome, a.worker, a.started_at, a.error)
	FROM hub.run r JOIN hub.job j ON j.run = r.id JOIN hub.job_attempt a ON a.job = j.id
	WHERE r.id IN (SELECT id FROM hub.run WHERE finished_at - created_at > $1::interval ORDER BY finished_at - created_at DESC LIMIT 5)
	UNION ALL SELECT id, created_at, 'run begins, ' || priority FROM hub.run WHERE finished_at - created_at > $1::interval
	ORDER BY 1, 2`

// explain shows what became of the slowest runs, beside the faults.
func (h *house) explain(all []happened) {
	rows, err := h.db.Query(h.t.Context(), slowSQL, recovery)
	if err != nil {
		h.t.Fatal(err)
	}
	var run, what string
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&run, &at, &what}, func() error {
		h.t.Logf("%.8s %s %s", run, at.Local().Format(time.StampMilli), what)
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	for i, f := range all {
		h.t.Logf("%s %3d %s", f.began.Format(time.StampMilli), i+1, f)
	}
}

// longestGap is the longest time without any of the moments that touches the
// time from begin to end.
func longestGap(moments []time.Time, begin, end time.Time) (gap time.Duration) {
	for i := 1; i < len(moments); i++ {
		if moments[i].After(begin) && moments[i-1].Before(end) {
			gap = max(gap, moments[i].Sub(moments[i-1]))
		}
	}
	return gap
}
