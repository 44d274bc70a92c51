package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"integrationhub/internal/hub"
)

// Every kind has one golden body. Decoding and encoding it again must give the
// same bytes: a field that was renamed or dropped shows up here.
func TestEveryKindHasAGoldenBodyThatSurvivesDecodingAndEncoding(t *testing.T) {
	for _, e := range Catalog {
		t.Run(string(e.Kind), func(t *testing.T) {
			golden, err := os.ReadFile(filepath.Join("testdata", string(e.Kind)+".json"))
			if err != nil {
				t.Fatal(err)
			}
			b := e.New()
			dec := json.NewDecoder(bytes.NewReader(golden))
			dec.DisallowUnknownFields()
			if err := dec.Decode(b); err != nil {
				t.Fatal(err)
			}
			if b.Kind() != e.Kind {
				t.Errorf("body is a %s", b.Kind())
			}
			again, err := json.MarshalIndent(b, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if got := string(again) + "\n"; got != string(golden) {
				t.Errorf("encoded again:\n%s\nwant:\n%s", got, golden)
			}
		})
	}
}

func TestEveryGoldenBelongsToAKind(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(Catalog) {
		t.Errorf("%d golden files for %d kinds", len(files), len(Catalog))
	}
}

func TestSubjectsAreMadeOfTokens(t *testing.T) {
	token := regexp.MustCompile(`^[a-z0-9_-]{1,40}$`)
	for _, e := range Catalog {
		for _, p := range strings.Split(string(e.Kind), ".") {
			if !token.MatchString(p) {
				t.Errorf("%s: token %q", e.Kind, p)
			}
		}
		if (e.Stream == Events) != (e.Type != "") {
			t.Errorf("%s: CloudEvents type %q on %s", e.Kind, e.Type, e.Stream)
		}
	}
}

const good = `{"specversion":"1.0","id":"1","source":"https://ci.example.org","type":"hub.push.v1","time":"2026-11-01T10:00:00Z",
 "data":{"connection":"forge","repository":"shop/web","ref":"refs/heads/main","priority":"high","strategy":"dry-run","only":["security"],"later_field":1}}`

func TestAnEventIsNormalisedAndRoundTrips(t *testing.T) {
	e, err := ParseStructured([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode[PushBody](e.Kind, e.Body)
	if err != nil {
		t.Fatal(err)
	}
	if p.Priority != hub.High || p.Strategy != hub.DryRun || p.Only[0] != hub.Security {
		t.Errorf("not normalised: %+v", p)
	}
	if e.Key != hub.RunID("https://ci.example.org", "1") || e.Connection != "forge" {
		t.Errorf("key %s connection %s", e.Key, e.Connection)
	}
	again, err := ParseStructured(e.CloudEvent())
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Body) != string(e.Body) || again.Key != e.Key || !again.Time.Equal(e.Time) {
		t.Errorf("round trip: %+v want %+v", again, e)
	}
}

func TestABadEventNamesItsField(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in the good event", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ name, raw, field string }{
		{"not JSON", `push`, "body"},
		{"an array", `[]`, "body"},
		{"cut off", good[:60], "body"},
		{"two objects", good + good, "body"},
		{"no specversion", with(`"specversion":"1.0",`, ``), "specversion"},
		{"wrong specversion", with(`"1.0"`, `"0.3"`), "specversion"},
		{"no id", with(`"id":"1",`, ``), "id"},
		{"blank id", with(`"id":"1"`, `"id":" "`), "id"},
		{"id is a number", with(`"id":"1"`, `"id":1`), "id"},
		{"long id", with(`"id":"1"`, `"id":"`+strings.Repeat("x", 300)+`"`), "id"},
		{"no source", with(`"source":"https://ci.example.org",`, ``), "source"},
		{"no type", with(`"type":"hub.push.v1",`, ``), "type"},
		{"unknown type", with(`hub.push.v1`, `hub.push.v9`), "type"},
		{"bad time", with(`2026-11-01T10:00:00Z`, `yesterday`), "time"},
		{"repeated key", with(`"id":"1",`, `"id":"1","id":"2",`), "id"},
		{"repeated key in data", with(`"ref":`, `"ref":"a","ref":`), "data.ref"},
		{"both data members", with(`"data":`, `"data_base64":"e30=","data":`), "data_base64"},
		{"no data", `{"specversion":"1.0","id":"1","source":"s","type":"hub.push.v1"}`, "data"},
		{"no connection", with(`"connection":"forge",`, ``), "data.connection"},
		{"connection not a slug", with(`"forge"`, `"a.b>"`), "data.connection"},
		{"no repository", with(`"repository":"shop/web",`, ``), "data.repository"},
		{"repository climbs", with(`shop/web`, `../../etc`), "data.repository"},
		{"repository is absolute", with(`shop/web`, `/etc/passwd`), "data.repository"},
		{"repository is a URL", with(`shop/web`, `file://etc`), "data.repository"},
		{"repository is an option", with(`shop/web`, `--upload-pack=x`), "data.repository"},
		{"repository is a number", with(`"shop/web"`, `7`), "data.repository"},
		{"no ref on a push", with(`"ref":"refs/heads/main",`, ``), "data.ref"},
		{"ref is an option", with(`refs/heads/main`, `--output=x`), "data.ref"},
		{"short commit", with(`"ref":`, `"commit":"abc","ref":`), "data.commit"},
		{"unknown strategy", with(`dry-run`, `yolo`), "data.strategy"},
		{"strategy not offered", with(`dry-run`, `auto-apply`), "data.strategy"},
		{"unknown priority", with(`"high"`, `"now"`), "data.priority"},
		{"unknown category", with(`"security"`, `"vibes"`), "data.only[0]"},
		{"deep nesting", with(`"later_field":1`, `"later_field":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)), "data.later_field"},
		{"too large", with(`"later_field":1`, `"later_field":"`+strings.Repeat("x", MaxEvent)+`"`), "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseStructured([]byte(c.raw))
			var fe *FieldError
			if !errors.As(err, &fe) {
				t.Fatalf("error %v names no field", err)
			}
			if !strings.HasPrefix(fe.Field, c.field) {
				t.Errorf("field %q (%s), want %q", fe.Field, fe.Problem, c.field)
			}
		})
	}
}
