package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
	"integrationhub/internal/orchestrator/api"
)

func (d *door) schedule(slug, body string) answer {
	d.Helper()
	return d.ask(http.MethodPut, "/api/v1/schedules/"+slug, body, asJSON)
}

func TestAScheduleIsKeptAsItWasSetAndFiresItsRuns(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	if a := d.schedule("nightly", `{"cron":"30 2 * * 1-5","zone":"Europe/Berlin","missed":"skip","target":{"connection":"forge","repository":"shop/web","priority":"low","only":["security"]}}`); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	got := read[api.Schedule](d, "/api/v1/schedules/nightly")
	if got.Missed != "SKIP" || got.Target.Priority != "LOW" || got.Target.Only[0] != "SECURITY" || got.Target.Strategy != "DRY_RUN" || got.Zone != "Europe/Berlin" {
		t.Errorf("the schedule is %+v", got)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if next := got.NextAt.In(berlin); next.Hour() != 2 || next.Minute() != 30 || !next.After(time.Now()) {
		t.Errorf("it fires next at %s", next)
	}

	if a := d.schedule("often", `{"cron":"@every 1s","target":{"connection":"forge","repository":"shop/web"}}`); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	d.fold()
	hubtest.Eventually(t, patience, func() error {
		if got = read[api.Schedule](d, "/api/v1/schedules/often"); got.LastRun == "" {
			return fmt.Errorf("it has not fired")
		}
		return nil
	})
	d.is(got.LastRun, "RUNNING")

	page := read[api.ScheduleList](d, "/api/v1/schedules?limit=1")
	if len(page.Schedules) != 1 || page.Schedules[0].Slug != "nightly" || page.Next != "nightly" {
		t.Errorf("the first page is %+v", page)
	}
	if page = read[api.ScheduleList](d, "/api/v1/schedules?after="+page.Next); len(page.Schedules) != 1 || page.Schedules[0].Slug != "often" || page.Next != "" {
		t.Errorf("the second page is %+v", page)
	}
	if a := d.ask(http.MethodDelete, "/api/v1/schedules/often", "", nil); a.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", a.status, a.raw)
	}
	d.problem(d.ask(http.MethodDelete, "/api/v1/schedules/often", "", nil), http.StatusNotFound, "")
	d.problem(d.get("/api/v1/schedules/often"), http.StatusNotFound, "")
}

func TestABadScheduleIsRefusedWithItsField(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	const target = `"target":{"connection":"forge","repository":"shop/web"}`
	for field, body := range map[string]string{
		"cron":              `{"cron":"61 * * * *",` + target + `}`,
		"zone":              `{"cron":"@daily","zone":"Mars/Base",` + target + `}`,
		"missed":            `{"cron":"@daily","missed":"often",` + target + `}`,
		"target.connection": `{"cron":"@daily","target":{"connection":"unknown","repository":"shop/web"}}`,
		"target.repository": `{"cron":"@daily","target":{"connection":"forge","repository":"../web"}}`,
		"target.priority":   `{"cron":"@daily","target":{"connection":"forge","repository":"shop/web","priority":"urgent"}}`,
		"target.at":         `{"cron":"@daily","target":{"connection":"forge","repository":"shop/web","at":"2030-01-01T00:00:00Z"}}`,
	} {
		d.problem(d.schedule("bad", body), http.StatusUnprocessableEntity, field)
	}
	d.problem(d.schedule("bad", `{"cron":"CRON_TZ=Asia/Tokyo 0 5 * * *",`+target+`}`), http.StatusUnprocessableEntity, "cron")
	d.problem(d.schedule("bad", `{"cron":"0 0 30 2 *",`+target+`}`), http.StatusUnprocessableEntity, "cron")
	d.problem(d.schedule("bad", `{"cron":"@daily","zone":"Local",`+target+`}`), http.StatusUnprocessableEntity, "zone")
	d.problem(d.schedule("B.AD", `{"cron":"@daily",`+target+`}`), http.StatusUnprocessableEntity, "path.slug")
	if n := d.count(`SELECT count(*) FROM schedule`); n != 0 {
		t.Errorf("%d refused schedules are stored", n)
	}
}

func TestARunThatStartsAtATimeWaitsForIt(t *testing.T) {
	t.Parallel()
	d := open(t, "")
	d.fold()
	at := time.Now().Add(4 * time.Second).UTC()
	e := strings.Replace(event("1"), `"repository"`, fmt.Sprintf(`"at":%q,"repository"`, at.Format(time.RFC3339Nano)), 1)
	a := d.publish(e)
	if a.status != http.StatusAccepted {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	run := a.body["run"].(string)
	d.is(run, "WAITING")
	if r := read[api.Detail](d, "/api/v1/runs/"+run); !strings.Contains(r.Reason, at.Format(time.RFC3339)) {
		t.Errorf("the run waits because %q", r.Reason)
	}
	d.is(run, "RUNNING")
	if time.Now().Before(at) {
		t.Error("it has begun too early")
	}
	if q := d.queue(message.Connector, "MEDIUM"); q.Waiting != 1 {
		t.Errorf("the queue is %+v", q)
	}
}
