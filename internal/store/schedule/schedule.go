// Package schedule keeps cron schedules. Their clock is in Postgres, so that any
// number of orchestrators fire each time once.
package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a static binary may run where there is no zone database

	"github.com/jackc/pgx/v5"
	"github.com/robfig/cron/v3"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/event"
)

// What becomes of times that passed while no orchestrator ran.
const (
	Once = "ONCE" // one run for all of them
	Skip = "SKIP" // none
)

// late is how long after its time a schedule still counts as on time.
const late = time.Minute

// Schedule asks for a run again and again.
type Schedule struct {
	Slug    string         `json:"slug"`
	Cron    string         `json:"cron"`   // minute, hour, day of month, month, day of week; or @daily and the like
	Zone    string         `json:"zone"`   // IANA time zone
	Missed  string         `json:"missed"` // ONCE or SKIP
	Paused  bool           `json:"paused"`
	Target  message.Target `json:"target"`
	NextAt  time.Time      `json:"next_at"`
	LastAt  *time.Time     `json:"last_at,omitempty"`
	LastRun string         `json:"last_run,omitempty"`
}

// Zone finds an IANA time zone.
func Zone(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // the last is another one on each machine
		return nil, fmt.Errorf("%q is not an IANA time zone such as Europe/Berlin", name)
	}
	return loc, nil
}

// Next is the first time after t at which a cron expression fires in a zone. At
// the end of summer time an hour that comes twice fires once, and at its
// beginning one that is left out does not fire.
func Next(expression, zone string, t time.Time) (time.Time, error) {
	loc, err := Zone(zone)
	if err != nil {
		return time.Time{}, err
	}
	if strings.Contains(expression, "TZ=") {
		return time.Time{}, fmt.Errorf("cron %q names a time zone; give it as the zone", expression)
	}
	c, err := cron.ParseStandard(expression)
	if err != nil {
		return time.Time{}, fmt.Errorf("cron %q: %w; give minute, hour, day of month, month and day of week, such as 30 2 * * 1-5", expression, err)
	}
	next := c.Next(t.In(loc))
	if next.IsZero() {
		return next, fmt.Errorf("cron %q never fires", expression)
	}
	return next, nil
}

const saveSQL = `INSERT INTO schedule (slug, cron, zone, missed, paused, target, next_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (slug) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, missed = excluded.missed, paused = excluded.paused, target = excluded.target, next_at = excluded.next_at`

// Save stores a schedule, new or changed; its clock starts at now.
func Save(ctx context.Context, s *store.Store, v Schedule, now time.Time) error {
	next, err := Next(v.Cron, v.Zone, now)
	if err != nil {
		return err
	}
	target, err := json.Marshal(v.Target)
	if err != nil {
		return err
	}
	_, err = s.DB().Exec(ctx, saveSQL, v.Slug, v.Cron, v.Zone, v.Missed, v.Paused, target, next)
	return err
}

// Delete removes a schedule; the error is store.ErrNotFound where there is none.
func Delete(ctx context.Context, s *store.Store, slug string) error {
	tag, err := s.DB().Exec(ctx, `DELETE FROM schedule WHERE slug = $1`, slug)
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	return err
}

const columns = `slug, cron, zone, missed, paused, target, next_at, last_at, last_run`

func scan(r pgx.CollectableRow) (Schedule, error) {
	var v Schedule
	err := r.Scan(&v.Slug, &v.Cron, &v.Zone, &v.Missed, &v.Paused, &v.Target, &v.NextAt, &v.LastAt, &v.LastRun)
	return v, err
}

// Get returns one schedule; the error is store.ErrNotFound where there is none.
func Get(ctx context.Context, s *store.Store, slug string) (Schedule, error) {
	return store.One(ctx, s.DB(), scan, `SELECT `+columns+` FROM schedule WHERE slug = $1`, slug)
}

// List returns at most limit schedules, by slug, that come after one.
func List(ctx context.Context, s *store.Store, after string, limit int) ([]Schedule, error) {
	return store.All(ctx, s.DB(), scan, `SELECT `+columns+` FROM schedule WHERE slug > $1 ORDER BY slug LIMIT $2`, after, limit)
}

// perFire caps the schedules of one transaction.
const perFire = 100

// Fire stores the events of what is due at now and moves the clocks on, in one
// transaction. It returns the events for publication.
func Fire(ctx context.Context, s *store.Store, now time.Time) (events []message.Event, err error) {
	err = s.InTx(ctx, func(tx store.DB) error {
		events = nil
		due, err := store.All(ctx, tx, scan, `SELECT `+columns+` FROM schedule WHERE NOT paused AND next_at <= $1 ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED`, now, perFire)
		if err != nil {
			return err
		}
		var b store.Batch
		for _, v := range due {
			next, err := Next(v.Cron, v.Zone, now)
			if err != nil {
				return fmt.Errorf("schedule %s: %w", v.Slug, err) // it was parsed when it was saved
			}
			if v.Missed == Skip && now.Sub(v.NextAt) > late {
				b.Queue(`UPDATE schedule SET next_at = $2 WHERE slug = $1`, v.Slug, next)
				continue
			}
			e := v.event()
			b.Queue(`UPDATE schedule SET next_at = $2, last_at = $3, last_run = $4 WHERE slug = $1`, v.Slug, next, v.NextAt, e.Key)
			events = append(events, e)
		}
		event.Queue(&b, events)
		return b.Run(ctx, tx)
	})
	return events, err
}

// event asks for the run of the time that is due. Its id is that time, so that
// the run is the same whoever fires.
func (v Schedule) event() message.Event {
	source, id := "hub/schedule/"+v.Slug, v.NextAt.UTC().Format(time.RFC3339)
	return message.Event{
		Key: hub.RunID(source, id), Source: source, ID: id, Kind: message.AnalysisRequested, Connection: v.Target.Connection,
		Time: v.NextAt.UTC(), Body: message.Encode(message.AnalysisRequestedBody{Target: v.Target}),
	}
}
