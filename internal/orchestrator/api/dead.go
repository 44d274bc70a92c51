package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/store"
	"integrationhub/internal/store/dead"
	"integrationhub/internal/store/event"
	"integrationhub/internal/store/fact"
	"integrationhub/internal/store/run"
)

func (a *API) registerDead(h huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"dead letters"}, Summary: summary, Description: description, Errors: []int{401, 403, 404, 409, 422, 503}}
	}
	huma.Register(h, op("list-dead-letters", http.MethodGet, "/api/v1/dead-letters", "List dead letters without their bodies, newest first", ""), a.listDead)
	huma.Register(h, op("get-dead-letter", http.MethodGet, "/api/v1/dead-letters/{id}", "Show a dead letter", ""), a.getDead)
	requeue := op("requeue-dead-letter", http.MethodPost, "/api/v1/dead-letters/{id}/requeue", "Try a dead letter again",
		"The run of a job goes on with a new job that names the letter as its origin; an event or a fact that could not be folded is folded again; a refused event is published again. A letter that is not open, a job whose run is not FAILED, and a message that would be refused again are refused with 409.")
	requeue.DefaultStatus = http.StatusAccepted
	huma.Register(h, requeue, a.requeueDead)
	all := op("requeue-dead-letters", http.MethodPost, "/api/v1/dead-letters/requeue", "Try many dead letters again",
		"Every open letter that the filter matches, if there are as many as expected; else 409 says how many there are, and none is requeued. The answer lists those that could not be requeued.")
	all.DefaultStatus = http.StatusAccepted
	huma.Register(h, all, a.requeueAll)
	huma.Register(h, op("discard-dead-letter", http.MethodPost, "/api/v1/dead-letters/{id}/discard", "Give a dead letter up", "It stays readable, with the reason."), a.discardDead)
}

// Letter is a dead letter without its body.
type Letter struct {
	ID         string       `json:"id"`
	Run        string       `json:"run,omitempty"`
	Kind       message.Kind `json:"kind,omitempty" doc:"absent where the message could not be read"`
	Subject    string       `json:"subject,omitempty" doc:"where the message came from"`
	Cause      string       `json:"cause"`
	Attempts   int          `json:"attempts"`
	At         time.Time    `json:"at"`
	Resolution string       `json:"resolution,omitempty" enum:"REQUEUED,DISCARDED" doc:"absent while it is open"`
	ResolvedAt *time.Time   `json:"resolved_at,omitempty"`
	Reason     string       `json:"reason,omitempty" doc:"of a discard"`
	RequeuedAs string       `json:"requeued_as,omitempty" doc:"the job that makes it good"`
}

func newLetter(d dead.Letter) Letter {
	return Letter{
		ID: d.ID, Run: d.Run, Kind: d.Kind, Subject: d.Subject, Cause: d.Cause, Attempts: d.Attempts, At: d.At,
		Resolution: d.Resolution, ResolvedAt: d.ResolvedAt, Reason: d.Reason, RequeuedAs: d.RequeuedAs,
	}
}

// DeadFilter says which dead letters.
type DeadFilter struct {
	Kind  string `json:"kind,omitempty" query:"kind" maxLength:"40" doc:"such as connector.fetch"`
	Run   string `json:"run,omitempty" query:"run" maxLength:"40"`
	Cause string `json:"cause,omitempty" query:"cause" maxLength:"1000" doc:"a part of the cause"`
}

func (f DeadFilter) filter() dead.Filter {
	return dead.Filter{Kind: message.Kind(f.Kind), Run: f.Run, Cause: f.Cause}
}

type listDeadInput struct {
	DeadFilter
	All    bool   `query:"all" doc:"resolved ones too"`
	Before string `query:"before" doc:"the next page: id of the last letter of this one" maxLength:"300"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

// DeadList is a page of dead letters.
type DeadList struct {
	Letters []Letter `json:"dead_letters" nullable:"false"`
	Total   int      `json:"total" doc:"of all pages"`
}

func (a *API) listDead(ctx context.Context, in *listDeadInput) (*struct{ Body DeadList }, error) {
	f := in.filter()
	f.All = in.All
	total, err := dead.Count(ctx, a.cfg.Store, f)
	if err != nil {
		return nil, a.unavailable("counting dead letters", err)
	}
	f.Before, f.Limit = in.Before, in.Limit
	found, err := dead.List(ctx, a.cfg.Store, f)
	if err != nil {
		return nil, a.unavailable("listing dead letters", err)
	}
	out := DeadList{Letters: []Letter{}, Total: total}
	for _, d := range found {
		out.Letters = append(out.Letters, newLetter(d))
	}
	return &struct{ Body DeadList }{out}, nil
}

type deadPath struct {
	ID string `path:"id" maxLength:"300"`
}

// LetterDetail is a dead letter with its message.
type LetterDetail struct {
	Letter
	Body     string `json:"body" doc:"the message as it was received"`
	Encoding string `json:"encoding" enum:"json,base64" doc:"of body: JSON as it is, anything else in base64"`
}

func (a *API) getDead(ctx context.Context, in *deadPath) (*struct{ Body LetterDetail }, error) {
	d, err := a.letter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := LetterDetail{Letter: newLetter(d), Body: string(d.Body), Encoding: "json"}
	if !utf8.Valid(d.Body) || !json.Valid(d.Body) {
		out.Encoding = "base64"
		out.Body = base64.StdEncoding.EncodeToString(d.Body)
	}
	return &struct{ Body LetterDetail }{out}, nil
}

func (a *API) letter(ctx context.Context, id string) (dead.Letter, error) {
	d, err := dead.Get(ctx, a.cfg.Store, id)
	if errors.Is(err, store.ErrNotFound) {
		return d, huma.Error404NotFound("dead letter " + id + " does not exist")
	}
	if err != nil {
		return d, a.unavailable("reading the dead letter", err)
	}
	return d, nil
}

func (a *API) requeueDead(ctx context.Context, in *deadPath) (*struct{ Body Letter }, error) {
	d, err := a.letter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := a.requeue(ctx, d); err != nil {
		return nil, err
	}
	return &struct{ Body Letter }{newLetter(d)}, nil
}

// Prefixes of the ids of letters that are not of jobs.
const (
	unread = "unread." // a message that is no event, job or fact, or an event from who may not speak
	refold = "fold."   // an event or a fact that could not be folded
)

// requeue tries a letter again. Its error is an answer: 409 where that is no use.
func (a *API) requeue(ctx context.Context, d dead.Letter) error {
	switch {
	case d.Resolution != "":
		return huma.Error409Conflict("dead letter " + d.ID + " is " + d.Resolution + " already")
	case strings.HasPrefix(d.ID, unread):
		return a.publishAgain(ctx, d)
	case strings.HasPrefix(d.ID, refold):
		return a.foldAgain(ctx, d)
	}
	r, err := a.find(ctx, d.Run)
	if err != nil {
		return err
	}
	if r.Status != hub.RunFailed {
		return huma.Error409Conflict(fmt.Sprintf("run %s of dead letter %s is %s; only the job of a FAILED run is tried again", r.ID, d.ID, r.Status))
	}
	return a.command(ctx, "requeueing the dead letter", message.RetryRequestedBody{Connection: r.Connection, Run: r.ID, DeadLetter: d.ID})
}

// publishAgain publishes an event that was refused: perhaps its connection exists
// by now. Jobs and facts are not taken from messages that the ledger does not
// know, and headers are not kept, so an event in binary mode cannot be read.
func (a *API) publishAgain(ctx context.Context, d dead.Letter) error {
	e, err := bus.NewDelivery(d.Subject, d.Body, nil, nil).Event()
	if err == nil {
		_, err = a.publish(ctx, e)
	}
	var no huma.StatusError
	if errors.As(err, &no) && no.GetStatus() >= http.StatusInternalServerError {
		return err
	}
	if err != nil {
		return huma.Error409Conflict(fmt.Sprintf("the message of dead letter %s would be refused again (%v); publish a correct one in its stead, and discard this one", d.ID, err))
	}
	if _, err := dead.Refolded(ctx, a.cfg.Store.DB(), d.ID); err != nil {
		return a.unavailable("requeueing the dead letter", err) // the next try repeats the event, which is accepted once
	}
	return nil
}

// foldAgain gives an event or a fact its row back, from which the sweep brings
// it to the fold: perhaps a newer version can read it.
func (a *API) foldAgain(ctx context.Context, d dead.Letter) error {
	key := strings.TrimPrefix(d.ID, refold)
	open := false
	err := a.cfg.Store.InTx(ctx, func(tx store.DB) (err error) {
		if open, err = dead.Refolded(ctx, tx, d.ID); err != nil || !open {
			return err
		}
		if message.TypeOf(d.Kind) != "" {
			kept, err := event.Refold(ctx, tx, key)
			if err == nil && !kept {
				err = errNotKept
			}
			return err
		}
		f := message.Fact{ID: key, Run: d.Run, Job: strings.TrimSuffix(key, "."+string(d.Kind)), Kind: d.Kind, Body: d.Body}
		if r, err := run.Get(ctx, a.cfg.Store, d.Run); err == nil {
			f.Trace = r.Trace
		}
		var b store.Batch
		fact.Insert(&b, []message.Fact{f})
		return b.Run(ctx, tx)
	})
	switch {
	case errors.Is(err, errNotKept):
		return huma.Error409Conflict("the event of dead letter " + d.ID + " is not kept any more; publish it again, and discard this one")
	case err != nil:
		return a.unavailable("requeueing the dead letter", err)
	case !open:
		return huma.Error409Conflict("dead letter " + d.ID + " is not open any more")
	}
	return nil
}

var errNotKept = errors.New("the event is not kept any more")

// How many letters are requeued by one request, and at the same time.
const (
	maxRequeue   = 500
	requeueWidth = 16
)

type requeueAllInput struct {
	Body struct {
		DeadFilter
		Expected int `json:"expected" minimum:"1" maximum:"500" doc:"how many open letters the filter matches, as GET /api/v1/dead-letters counts them in total"`
	}
}

// Requeued says what became of many letters.
type Requeued struct {
	Requeued int       `json:"requeued"`
	Refused  []Refusal `json:"refused" nullable:"false" doc:"those that stay as they are"`
}

// Refusal is a letter that could not be requeued.
type Refusal struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

func (a *API) requeueAll(ctx context.Context, in *requeueAllInput) (*struct{ Body Requeued }, error) {
	f := in.Body.filter()
	total, err := dead.Count(ctx, a.cfg.Store, f)
	if err != nil {
		return nil, a.unavailable("counting dead letters", err)
	}
	f.Limit = maxRequeue
	letters, err := dead.List(ctx, a.cfg.Store, f)
	if err != nil {
		return nil, a.unavailable("listing dead letters", err)
	}
	if total != in.Body.Expected || len(letters) != total {
		return nil, huma.Error409Conflict(fmt.Sprintf("%d open dead letters match, not %d; nothing was requeued", total, in.Body.Expected))
	}
	var mu sync.Mutex
	out := Requeued{Refused: []Refusal{}}
	var g errgroup.Group
	g.SetLimit(requeueWidth)
	for _, d := range letters {
		g.Go(func() error {
			err := a.requeueListed(ctx, d.ID)
			var no huma.StatusError
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				out.Requeued++
			case errors.As(err, &no) && no.GetStatus() < http.StatusInternalServerError:
				out.Refused = append(out.Refused, Refusal{d.ID, no.Error()})
			default:
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err // those that were requeued are not open any more: what is left can be asked for
	}
	slices.SortFunc(out.Refused, func(x, y Refusal) int { return strings.Compare(x.ID, y.ID) })
	return &struct{ Body Requeued }{out}, nil
}

// requeueListed reads the letter once more, because lists have no bodies.
func (a *API) requeueListed(ctx context.Context, id string) error {
	d, err := a.letter(ctx, id)
	if err != nil {
		return err
	}
	return a.requeue(ctx, d)
}

type discardInput struct {
	ID   string `path:"id" maxLength:"300"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"why it need not be made good"`
	}
}

func (a *API) discardDead(ctx context.Context, in *discardInput) (*struct{ Body Letter }, error) {
	open, err := dead.Discard(ctx, a.cfg.Store, in.ID, hub.CleanText(in.Body.Reason))
	if err != nil {
		return nil, a.unavailable("discarding the dead letter", err)
	}
	d, err := a.letter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !open {
		return nil, huma.Error409Conflict("dead letter " + d.ID + " is " + d.Resolution + " already")
	}
	return &struct{ Body Letter }{newLetter(d)}, nil
}
