package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"integrationhub/internal/bus"
	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/orchestrator"
	"integrationhub/internal/orchestrator/api"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	"integrationhub/internal/vault"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

const patience = 30 * time.Second

// key seals the credentials of tests.
const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// door is the API of a hub on real servers.
type door struct {
	*testing.T
	nats  *hubtest.NATSServer
	store *store.Store
	bus   *bus.Bus
	orch  *orchestrator.Orchestrator
	url   string
}

// open opens the door of a hub with one connection, forge.
func open(t *testing.T, token string) *door {
	t.Helper()
	return openOn(t, hubtest.Store(t), token)
}

func openOn(t *testing.T, s *store.Store, token string) *door {
	t.Helper()
	d := &door{T: t, nats: hubtest.NATS(t), store: s}
	d.bus = d.nats.Bus(t)
	d.orch = orchestrator.New(orchestrator.Config{}, d.bus, s, hubtest.Log(t))
	sealer, err := vault.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	a := api.New(api.Config{Store: s, Bus: d.bus, Acceptor: d.orch, Sealer: sealer, Token: token, Log: hubtest.Log(t)})
	srv := httptest.NewServer(a.Handler(nil))
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	d.url = srv.URL
	if err := connection.Save(t.Context(), s, connection.Connection{Slug: "forge", Kind: hub.Git, BaseURL: "https://git.example.org"}); err != nil {
		t.Fatal(err)
	}
	return d
}

// fold runs the orchestrator until the test's end.
func (d *door) fold() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.orch.Run(ctx) }()
	d.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.Error(err)
		}
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// ask sends a request. A body that is a string is sent as it is.
func (d *door) ask(method, path, body string, header map[string]string) answer {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	for name, value := range header {
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			d.Errorf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return a
}

func (d *door) get(path string) answer {
	d.Helper()
	return d.ask(http.MethodGet, path, "", nil)
}

var structured = map[string]string{"Content-Type": "application/cloudevents+json"}

func (d *door) publish(event string) answer {
	d.Helper()
	return d.ask(http.MethodPost, "/api/v1/events", event, structured)
}

func event(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"https://ci.example.org","type":"hub.push.v1","data":{"connection":"forge","repository":"shop/web","ref":"refs/heads/main"}}`, id)
}

// problem checks that an answer is problem+json and tells the field where there
// is one.
func (d *door) problem(a answer, status int, field string) {
	d.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		d.Errorf("%d %s, want %d problem+json: %s", a.status, a.header.Get("Content-Type"), status, a.raw)
		return
	}
	if a.body["status"] != float64(status) || a.body["title"] != http.StatusText(status) || a.body["detail"] == "" || a.body["detail"] == nil {
		d.Errorf("problem %s", a.raw)
	}
	if field == "" {
		return
	}
	var fields []string
	all, _ := a.body["errors"].([]any)
	for _, e := range all {
		location, _ := e.(map[string]any)["location"].(string)
		if location == field {
			return
		}
		fields = append(fields, location)
	}
	d.Errorf("fields %q, want %s: %s", fields, field, a.raw)
}

// count reads one number.
func (d *door) count(sql string, args ...any) int {
	d.Helper()
	var n int
	if err := d.store.DB().QueryRow(d.Context(), sql, args...).Scan(&n); err != nil {
		d.Fatal(err)
	}
	return n
}

// onStream counts the messages of a stream.
func (d *door) onStream(name string) uint64 {
	d.Helper()
	nc, err := nats.Connect(d.nats.URL)
	if err != nil {
		d.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		d.Fatal(err)
	}
	s, err := js.Stream(d.Context(), name)
	if err != nil {
		d.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestAnEventIsAcceptedOnceTheLedgerAndTheStreamHaveIt(t *testing.T) {
	d := open(t, "")
	run := hub.RunID("https://ci.example.org", "1")
	for i, fresh := range []bool{true, false, false} {
		a := d.publish(event("1"))
		if a.status != http.StatusAccepted || a.header.Get("Location") != "/api/v1/runs/"+run || a.body["run"] != run || a.body["fresh"] != fresh {
			t.Errorf("time %d: %d %s %s", i+1, a.status, a.header, a.raw)
		}
		if rows, msgs := d.count(`SELECT count(*) FROM event WHERE key = $1`, run), d.onStream("HUB_EVENTS"); rows != 1 || msgs != 1 {
			t.Errorf("time %d: %d rows, %d messages", i+1, rows, msgs)
		}
	}
	a := d.get("/api/v1/runs/" + run) // nobody has folded it yet
	if a.status != http.StatusOK || a.body["status"] != "PENDING" || a.body["repository"] != "shop/web" {
		t.Errorf("the run that was named: %d %s", a.status, a.raw)
	}
	at, err := time.Parse(time.RFC3339, fmt.Sprint(a.body["created_at"]))
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("created at %v: %v", a.body["created_at"], err)
	}
}

func TestAnEventInBinaryModeIsTheSameEvent(t *testing.T) {
	d := open(t, "")
	header := map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "https://ci.example.org", "ce-type": "hub.push.v1",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	a := d.ask(http.MethodPost, "/api/v1/events", `{"connection":"forge","repository":"shop/web","ref":"main"}`, header)
	run := hub.RunID("https://ci.example.org", "1")
	if a.status != http.StatusAccepted || a.body["run"] != run {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	if n := d.count(`SELECT count(*) FROM event WHERE key = $1 AND trace = $2`, run, header["traceparent"]); n != 1 {
		t.Error("the trace was not kept")
	}
	if a := d.publish(event("1")); a.status != http.StatusAccepted || a.body["fresh"] != false {
		t.Errorf("the same in structured mode: %d %s", a.status, a.raw)
	}
}

func TestABadEventIsRefusedWithItsFieldAndNothingIsStored(t *testing.T) {
	d := open(t, "")
	if err := connection.Save(t.Context(), d.store, connection.Connection{Slug: "strict", Kind: hub.Git, BaseURL: "https://git.example.org", Source: "https://strict."}); err != nil {
		t.Fatal(err)
	}
	with := func(old, new string) string {
		if !strings.Contains(event("1"), old) {
			t.Fatalf("no %s in the event", old)
		}
		return strings.Replace(event("1"), old, new, 1)
	}
	header := func(pairs ...string) map[string]string {
		h := map[string]string{"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "hub.push.v1"}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
			if pairs[i+1] == "" {
				delete(h, pairs[i])
			}
		}
		return h
	}
	const data = `{"connection":"forge","repository":"shop/web","ref":"main"}`
	for name, c := range map[string]struct {
		body   string
		header map[string]string
		status int
		field  string
	}{
		"empty":                       {"", structured, 400, ""},
		"not JSON":                    {"push", structured, 400, "body"},
		"cut off":                     {event("1")[:50], structured, 400, "body"},
		"no id":                       {with(`"id":"1",`, ``), structured, 422, "id"},
		"repeated key":                {with(`"id":"1"`, `"id":"1","id":"2"`), structured, 422, "id"},
		"both data members":           {with(`"data":`, `"data_base64":"e30=","data":`), structured, 422, "data_base64"},
		"unknown type":                {with(`push.v1`, `push.v7`), structured, 422, "type"},
		"unknown connection":          {with(`"forge"`, `"nobody"`), structured, 422, "data.connection"},
		"source of another":           {with(`"forge"`, `"strict"`), structured, 422, "source"},
		"repository climbs":           {with(`shop/web`, `../web`), structured, 422, "data.repository"},
		"repository holds NUL":        {with(`shop/web`, `shop\u0000web`), structured, 422, "data.repository"},
		"run to cancel holds NUL":     {`{"specversion":"1.0","id":"1","source":"s","type":"hub.cancel_requested.v1","data":{"connection":"forge","run":"a\u0000b"}}`, structured, 422, "data.run"},
		"too large":                   {with(`"data":`, `"x":"`+strings.Repeat("x", 300<<10)+`","data":`), structured, 413, ""},
		"no content type":             {event("1"), nil, 415, ""},
		"wrong content type":          {event("1"), map[string]string{"Content-Type": "text/plain"}, 415, ""},
		"wrong charset":               {event("1"), map[string]string{"Content-Type": "application/cloudevents+json; charset=latin1"}, 415, ""},
		"binary without its headers":  {data, map[string]string{"Content-Type": "application/json"}, 422, "specversion"},
		"binary without id":           {data, header("ce-id", ""), 422, "id"},
		"binary of an unknown type":   {data, header("ce-type", "x"), 422, "type"},
		"binary of another version":   {data, header("ce-specversion", "0.3"), 422, "specversion"},
		"binary at a bad time":        {data, header("ce-time", "noon"), 422, "time"},
		"binary with bad data":        {`{"connection":"forge","ref":"main"}`, header(), 422, "data.repository"},
		"binary with data not JSON":   {`push`, header(), 422, "data"},
		"an id of control characters": {with(`"id":"1"`, `"id":"a\u0007"`), structured, 422, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := *d
			sub.T = t
			sub.problem(sub.ask(http.MethodPost, "/api/v1/events", c.body, c.header), c.status, c.field)
		})
	}
	if rows, msgs := d.count(`SELECT count(*) FROM event`), d.onStream("HUB_EVENTS"); rows != 0 || msgs != 0 {
		t.Errorf("%d rows and %d messages of refused events", rows, msgs)
	}
	if a := d.publish(event("1")); a.status != http.StatusAccepted || a.body["fresh"] != true {
		t.Errorf("the good one: %d %s", a.status, a.raw)
	}
}

func TestWithoutTheStreamNoEventIsAccepted(t *testing.T) {
	d := open(t, "")
	d.nats.Kill()
	a := d.publish(event("1"))
	d.problem(a, http.StatusServiceUnavailable, "")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("it does not say when to try again: %s", a.header)
	}
	d.nats.Restart()
	hubtest.Eventually(t, patience, func() error {
		if a := d.publish(event("1")); a.status != http.StatusAccepted {
			return fmt.Errorf("%d %s", a.status, a.raw)
		}
		return nil
	})
	if rows, msgs := d.count(`SELECT count(*) FROM event`), d.onStream("HUB_EVENTS"); rows != 1 || msgs != 1 {
		t.Errorf("%d rows, %d messages", rows, msgs)
	}
}

func TestWithoutTheLedgerNoEventIsAccepted(t *testing.T) {
	url, link := hubtest.PostgresLink(t)
	d := openOn(t, hubtest.OpenStore(t, url), "")
	link.Cut()
	a := d.publish(event("1"))
	d.problem(a, http.StatusServiceUnavailable, "")
	if strings.Contains(a.raw, "127.0.0.1") || strings.Contains(a.raw, "hubtest") {
		t.Errorf("it tells about the insides: %s", a.raw)
	}
	d.problem(d.get("/api/v1/runs"), http.StatusServiceUnavailable, "")
	if msgs := d.onStream("HUB_EVENTS"); msgs != 0 {
		t.Errorf("%d messages", msgs)
	}
	link.Mend()
	hubtest.Eventually(t, patience, func() error {
		if a := d.publish(event("1")); a.status != http.StatusAccepted {
			return fmt.Errorf("%d %s", a.status, a.raw)
		}
		return nil
	})
}

func TestEveryAnswerThatIsNoneOfOursIsAProblemToo(t *testing.T) {
	d := open(t, "")
	d.problem(d.get("/"), http.StatusNotFound, "")
	d.problem(d.get("/api/v1/nothing"), http.StatusNotFound, "")
	a := d.ask(http.MethodDelete, "/api/v1/runs", "", nil)
	d.problem(a, http.StatusMethodNotAllowed, "")
	if allow := a.header.Get("Allow"); !strings.Contains(allow, "GET") {
		t.Errorf("Allow: %q", allow)
	}
	unknown := strings.Repeat("a", 26)
	for _, path := range []string{"", "/findings", "/timeline"} {
		d.problem(d.get("/api/v1/runs/"+unknown+path), http.StatusNotFound, "")
	}
	d.problem(d.ask(http.MethodPost, "/api/v1/runs/"+unknown+"/cancel", "{}", map[string]string{"Content-Type": "application/json"}), http.StatusNotFound, "")
}

func TestInputThatPostgresWouldRefuseIsRefusedAtTheDoor(t *testing.T) {
	d := open(t, "")
	for _, bad := range []string{"%00", "%ff", "a%00b"} {
		for _, path := range []string{"/api/v1/runs/" + bad, "/api/v1/runs/" + bad + "/findings", "/api/v1/runs/" + bad + "/timeline", "/api/v1/runs?repository=" + bad, "/api/v1/runs?connection=" + bad, "/api/v1/runs?before=" + bad} {
			if a := d.get(path); a.status < 400 || a.status >= 500 || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("GET %s: %d %s", path, a.status, a.raw)
			}
		}
		if a := d.ask(http.MethodDelete, "/api/v1/connections/"+bad, "", nil); a.status < 400 || a.status >= 500 {
			t.Errorf("DELETE /api/v1/connections/%s: %d %s", bad, a.status, a.raw)
		}
	}
	a := d.ask(http.MethodPut, "/api/v1/connections/x", `{"kind":"git","base_url":"https://git.example.org","source":"a\u0000b"}`, map[string]string{"Content-Type": "application/json"})
	d.problem(a, http.StatusUnprocessableEntity, "source")
}

func TestWithATokenOnlyItsBearerComesIn(t *testing.T) {
	d := open(t, "s3cret")
	for header, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer wrong": 401, "Basic s3cret": 401, "s3cret": 401, "Bearer s3cret": 200} {
		a := d.ask(http.MethodGet, "/api/v1/runs", "", map[string]string{"Authorization": header, "Host": "hub.example.org"})
		if a.status != want {
			t.Errorf("%q: %d", header, a.status)
		}
		if want == 401 {
			d.problem(a, 401, "")
			if a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%q: no WWW-Authenticate", header)
			}
		}
	}
	for _, path := range []string{"//api/v1/runs", "/x/../api/v1/runs", "/api//v1/runs", "/%61pi/v1/runs"} {
		if a := d.get(path); a.status == http.StatusOK {
			t.Errorf("%s goes round the token: %s", path, a.raw)
		}
	}
	if a := d.get("/openapi.json"); a.status != http.StatusOK {
		t.Errorf("the description: %d", a.status)
	}
}

func TestWithoutATokenOnlyLoopbackNamesAreAnswered(t *testing.T) {
	d := open(t, "")
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "127.0.0.1:1": 200, "[::1]:8080": 200, "127.9.9.9": 200,
		"evil.example.org": 403, "evil.example.org:8080": 403, "localhost.evil.example.org": 403, "10.0.0.1": 403, "0.0.0.0": 403,
	} {
		a := d.ask(http.MethodGet, "/api/v1/runs", "", map[string]string{"Host": host})
		if a.status != want {
			t.Errorf("%s: %d %s", host, a.status, a.raw)
		}
		if want == 403 {
			d.problem(a, 403, "")
		}
	}
}

func TestACredentialIsSealedAndNeverReturned(t *testing.T) {
	d := open(t, "")
	asJSON := map[string]string{"Content-Type": "application/json"}
	const secret = "tok-en-0123456789"
	put := d.ask(http.MethodPut, "/api/v1/connections/shop", `{"kind":"git","base_url":"https://git.example.org","credential":"`+secret+`"}`, asJSON)
	if put.status != http.StatusOK {
		t.Fatalf("%d %s", put.status, put.raw)
	}
	for name, a := range map[string]answer{"put": put, "list": d.get("/api/v1/connections")} {
		if strings.Contains(a.raw, secret) || strings.Contains(a.raw, "credential") || !strings.Contains(a.raw, `"shop"`) {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
	var sealed []byte
	if err := d.store.DB().QueryRow(t.Context(), `SELECT credential FROM connection WHERE slug = 'shop'`).Scan(&sealed); err != nil || len(sealed) == 0 || strings.Contains(string(sealed), secret) {
		t.Errorf("kept as %q, %v", sealed, err)
	}
	for name, c := range map[string]struct{ slug, body, field string }{
		"slug":       {"No-Slug", `{"kind":"git","base_url":"https://git.example.org"}`, "path.slug"},
		"kind":       {"x", `{"kind":"svn","base_url":"https://git.example.org"}`, "body.kind"},
		"base URL":   {"x", `{"kind":"git","base_url":"nowhere"}`, "base_url"},
		"password":   {"x", `{"kind":"git","base_url":"https://me:` + secret + `@git.example.org"}`, "base_url"},
		"file":       {"x", `{"kind":"git","base_url":"file:///etc"}`, "base_url"},
		"credential": {"x", `{"kind":"git","base_url":"https://git.example.org","credential":"` + strings.Repeat("x", 1<<16+1) + `"}`, "body.credential"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := *d
			sub.T = t
			a := sub.ask(http.MethodPut, "/api/v1/connections/"+c.slug, c.body, asJSON)
			sub.problem(a, http.StatusUnprocessableEntity, c.field)
			if strings.Contains(fmt.Sprint(a.body["detail"]), secret) {
				t.Errorf("the detail holds the password: %s", a.raw)
			}
		})
	}
	for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if a := d.ask(http.MethodDelete, "/api/v1/connections/shop", "", nil); a.status != want {
			t.Errorf("delete: %d %s, want %d", a.status, a.raw, want)
		}
	}
}

func TestTheDescriptionIsOpenAPI31AndNamesEveryPath(t *testing.T) {
	d := open(t, "")
	doc := d.get("/openapi.json").body
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi is %v", doc["openapi"])
	}
	seen := map[string]string{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			o := op.(map[string]any)
			id, _ := o["operationId"].(string)
			if other, twice := seen[id]; id == "" || twice {
				t.Errorf("%s %s: operationId %q, also of %s", method, path, id, other)
			}
			seen[id] = method + " " + path
			if len(o["responses"].(map[string]any)) == 0 || o["summary"] == nil {
				t.Errorf("%s %s tells too little: %v", method, path, maps.Keys(o))
			}
		}
	}
	resolve(t, doc, doc, "#")
}

// resolve checks that every reference leads somewhere.
func resolve(t *testing.T, doc map[string]any, v any, at string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			var to any = doc
			for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				next, _ := to.(map[string]any)
				to = next[step]
			}
			if to == nil || !strings.HasPrefix(ref, "#/") {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
		}
		for k, next := range v {
			resolve(t, doc, next, at+"/"+k)
		}
	case []any:
		for i, next := range v {
			resolve(t, doc, next, fmt.Sprint(at, "/", i))
		}
	}
}
