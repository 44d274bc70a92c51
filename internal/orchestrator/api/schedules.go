package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/store/schedule"
)

func (a *API) registerSchedules(h huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"schedules"}, Summary: summary, Description: description, Errors: []int{401, 403, 404, 422, 503}}
	}
	huma.Register(h, op("list-schedules", http.MethodGet, "/api/v1/schedules", "List schedules by slug", ""), a.listSchedules)
	huma.Register(h, op("get-schedule", http.MethodGet, "/api/v1/schedules/{slug}", "Show a schedule", ""), a.getSchedule)
	huma.Register(h, op("put-schedule", http.MethodPut, "/api/v1/schedules/{slug}", "Create or change a schedule",
		"Its clock starts anew: times that passed before are not made up for."), a.putSchedule)
	huma.Register(h, op("delete-schedule", http.MethodDelete, "/api/v1/schedules/{slug}", "Delete a schedule", "Runs that it opened go on."), a.deleteSchedule)
}

// Schedule asks for a run again and again.
type Schedule = schedule.Schedule

type listSchedulesInput struct {
	After string `query:"after" doc:"the next page: the value of next of this one" maxLength:"40"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

// ScheduleList is a page of schedules.
type ScheduleList struct {
	Schedules []Schedule `json:"schedules" nullable:"false"`
	Next      string     `json:"next,omitempty" doc:"the next page begins after it; absent on the last page"`
}

func (a *API) listSchedules(ctx context.Context, in *listSchedulesInput) (*struct{ Body ScheduleList }, error) {
	all, err := schedule.List(ctx, a.cfg.Store, in.After, in.Limit)
	if err != nil {
		return nil, a.unavailable("listing schedules", err)
	}
	out := ScheduleList{Schedules: list(all)}
	if len(all) == in.Limit {
		out.Next = all[len(all)-1].Slug
	}
	return &struct{ Body ScheduleList }{out}, nil
}

type schedulePath struct {
	Slug string `path:"slug" maxLength:"40"`
}

func (a *API) getSchedule(ctx context.Context, in *schedulePath) (*struct{ Body Schedule }, error) {
	v, err := schedule.Get(ctx, a.cfg.Store, in.Slug)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("schedule " + in.Slug + " does not exist")
	}
	if err != nil {
		return nil, a.unavailable("reading the schedule", err)
	}
	return &struct{ Body Schedule }{v}, nil
}

// ScheduleBody is a schedule as it is set.
type ScheduleBody struct {
	Cron   string         `json:"cron" maxLength:"200" doc:"minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @every 90m"`
	Zone   string         `json:"zone,omitempty" maxLength:"60" doc:"IANA time zone; UTC when absent"`
	Missed string         `json:"missed,omitempty" doc:"times that passed while no orchestrator ran: once (one run for all of them; when absent) or skip"`
	Paused bool           `json:"paused,omitempty"`
	Target message.Target `json:"target" doc:"what the runs are about, with the rules of hub.analysis_requested.v1"`
}

func (a *API) putSchedule(ctx context.Context, in *struct {
	Slug string `path:"slug"`
	Body ScheduleBody
}) (*struct{ Body Schedule }, error) {
	v, err := in.Body.check(in.Slug)
	if err != nil {
		return nil, refused(err)
	}
	if _, err := connection.Get(ctx, a.cfg.Store, v.Target.Connection); errors.Is(err, store.ErrNotFound) {
		return nil, refused(unknownConnection("target.connection", v.Target.Connection))
	} else if err != nil {
		return nil, a.unavailable("storing the schedule", err)
	}
	now := time.Now()
	if _, err := schedule.Next(v.Cron, v.Zone, now); err != nil {
		return nil, refused(&message.FieldError{Field: "cron", Problem: err.Error()})
	}
	if err := schedule.Save(ctx, a.cfg.Store, v, now); err != nil {
		return nil, a.unavailable("storing the schedule", err)
	}
	return a.getSchedule(ctx, &schedulePath{Slug: v.Slug})
}

// check fills in what is absent. Its error is a *message.FieldError.
func (b ScheduleBody) check(slug string) (v schedule.Schedule, err error) {
	if err := hub.CheckSlug(slug); err != nil {
		return v, &message.FieldError{Field: "path.slug", Problem: err.Error()}
	}
	v = schedule.Schedule{Slug: slug, Cron: b.Cron, Zone: cmp.Or(b.Zone, "UTC"), Missed: strings.ToUpper(cmp.Or(b.Missed, schedule.Once)), Paused: b.Paused}
	if v.Missed != schedule.Once && v.Missed != schedule.Skip {
		return v, &message.FieldError{Field: "missed", Problem: fmt.Sprintf("%q is not once or skip", b.Missed)}
	}
	if _, err := schedule.Zone(v.Zone); err != nil {
		return v, &message.FieldError{Field: "zone", Problem: err.Error()}
	}
	if !b.Target.At.IsZero() {
		return v, &message.FieldError{Field: "target.at", Problem: "is the schedule's own business; leave it out"}
	}
	v.Target, err = b.Target.Check("target.")
	return v, err
}

func (a *API) deleteSchedule(ctx context.Context, in *schedulePath) (*struct{}, error) {
	err := schedule.Delete(ctx, a.cfg.Store, in.Slug)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("schedule " + in.Slug + " does not exist")
	}
	if err != nil {
		return nil, a.unavailable("deleting the schedule", err)
	}
	return nil, nil
}
