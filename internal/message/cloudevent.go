package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"integrationhub/internal/hub"
)

// MaxEvent caps the bytes of one event, envelope included. JetStream's own
// payload limit is 1 MiB; what is larger belongs behind a reference.
const MaxEvent = 256 << 10

// Longest values of the attributes that are stored and shown.
const (
	maxID     = 256
	maxSource = 1024
)

// FieldError is bad input: it names the field and the remedy.
type FieldError struct {
	Field   string // JSON path, such as "data.repository"
	Problem string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// ParseStructured reads a CloudEvent in structured JSON mode. A repeated key,
// or both data members, is refused: two readers could disagree about it.
func ParseStructured(raw []byte) (Event, error) {
	if len(raw) > MaxEvent {
		return Event{}, fieldErrorf("body", "the event has %d bytes; at most %d are taken, send what is larger by reference", len(raw), MaxEvent)
	}
	if err := checkJSON(raw); err != nil {
		return Event{}, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return Event{}, fieldErrorf("body", "is not valid JSON: %v", err)
	}
	if members["data"] != nil && members["data_base64"] != nil {
		return Event{}, fieldErrorf("data_base64", "data and data_base64 are both present; send one")
	}
	if members["specversion"] == nil {
		return Event{}, fieldErrorf("specversion", `is missing; send "1.0"`)
	}
	for _, f := range attributes {
		if v := members[f]; v != nil && v[0] != '"' {
			return Event{}, fieldErrorf(f, "is %s; a JSON string is wanted", v)
		}
	}
	var ce event.Event
	if err := json.Unmarshal(raw, &ce); err != nil {
		return Event{}, envelopeError(err)
	}
	return FromCloudEvent(ce)
}

// attributes are the context attributes of CloudEvents 1.0, all of them strings.
var attributes = []string{"specversion", "datacontenttype", "dataschema", "subject", "source", "time", "type", "id"}

// envelopeError names the field where the SDK's decoder says which one it was.
func envelopeError(err error) error {
	var v event.ValidationError
	if errors.As(err, &v) {
		return validationError(v)
	}
	for _, f := range attributes {
		if strings.Contains(strings.ToLower(err.Error()), f) {
			return fieldErrorf(f, "is not valid: %v", err)
		}
	}
	return fieldErrorf("body", "is not a CloudEvent 1.0: %v", err)
}

func validationError(v event.ValidationError) error {
	for _, f := range attributes {
		if err, bad := v[f]; bad {
			return fieldErrorf(f, "%v", err)
		}
	}
	for f, err := range v {
		return fieldErrorf(f, "%v", err)
	}
	return fieldErrorf("body", "is not a valid CloudEvent")
}

// FromCloudEvent checks a CloudEvent against the catalog and normalises its
// data. The error is a *FieldError.
func FromCloudEvent(ce event.Event) (Event, error) {
	if ce.SpecVersion() != event.CloudEventsVersionV1 {
		return Event{}, fieldErrorf("specversion", `%q is not taken; send "1.0"`, ce.SpecVersion())
	}
	// Looked at before the SDK's own validation, whose texts do not say what to send.
	for f, v := range map[string]string{"id": ce.ID(), "source": ce.Source(), "type": ce.Type()} {
		if strings.TrimSpace(v) == "" {
			return Event{}, fieldErrorf(f, "is missing; CloudEvents 1.0 requires it")
		}
	}
	var invalid event.ValidationError
	if err := ce.Validate(); errors.As(err, &invalid) {
		return Event{}, validationError(invalid)
	}
	if len(ce.ID()) > maxID {
		return Event{}, fieldErrorf("id", "has %d bytes; at most %d are taken", len(ce.ID()), maxID)
	}
	if len(ce.Source()) > maxSource {
		return Event{}, fieldErrorf("source", "has %d bytes; at most %d are taken", len(ce.Source()), maxSource)
	}
	for f, v := range map[string]string{"id": ce.ID(), "source": ce.Source()} {
		if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			return Event{}, fieldErrorf(f, "holds control characters or is not UTF-8; send readable text")
		}
	}
	kind, known := KindOf(ce.Type())
	if !known {
		return Event{}, fieldErrorf("type", "%q is not one of %s", ce.Type(), strings.Join(EventTypes(), ", "))
	}
	if t := ce.DataContentType(); t != "" && !strings.Contains(t, "json") {
		return Event{}, fieldErrorf("datacontenttype", "%q is not taken; send application/json", t)
	}
	if err := checkJSON(ce.Data()); err != nil {
		var fe *FieldError
		if errors.As(err, &fe) {
			fe.Field = strings.TrimSuffix("data."+strings.TrimPrefix(fe.Field, "body"), ".")
		}
		return Event{}, err
	}
	connection, body, err := normalise(kind, ce.Data())
	if err != nil {
		return Event{}, err
	}
	e := Event{Key: hub.RunID(ce.Source(), ce.ID()), Source: ce.Source(), ID: ce.ID(), Kind: kind, Connection: connection, Time: ce.Time().UTC(), Body: body}
	if tp, ok := ce.Extensions()["traceparent"].(string); ok {
		e.Trace = CheckTrace(tp)
	}
	return e, nil
}

// runID is the form of what hub.RunID makes.
var runID = regexp.MustCompile(`^[a-z2-7]{26}$`)

var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// CheckTrace returns a W3C traceparent of version 00 as it is, and nothing for
// anything else: the recommendation has receivers ignore what they cannot read.
func CheckTrace(tp string) string {
	if !traceparent.MatchString(tp) {
		return ""
	}
	return tp
}

// CloudEvent is the event in structured JSON mode, which is what is emitted.
func (e Event) CloudEvent() []byte {
	ce := map[string]any{
		"specversion": "1.0", "id": e.ID, "source": e.Source, "type": TypeOf(e.Kind),
		"datacontenttype": "application/json", "data": e.Body,
	}
	if !e.Time.IsZero() {
		ce["time"] = e.Time.Format(time.RFC3339Nano)
	}
	if e.Trace != "" {
		ce["traceparent"] = e.Trace
	}
	raw, err := json.Marshal(ce)
	if err != nil {
		panic(fmt.Sprintf("encode event %s: %v", e.Key, err)) // Body was parsed as JSON
	}
	return raw
}

// normalise checks an event's data and writes it in one way, whatever the case
// of its words.
func normalise(kind Kind, raw []byte) (connection string, body json.RawMessage, err error) {
	var b Body
	switch kind {
	case Push:
		var p PushBody
		if err := unmarshalData(raw, &p); err != nil {
			return "", nil, err
		}
		if p.Ref == "" {
			return "", nil, fieldErrorf("data.ref", "is missing; name the branch that moved, such as refs/heads/main")
		}
		if err := checkCommit("data.before", p.Before); err != nil {
			return "", nil, err
		}
		if p.Target, err = p.Target.Check("data."); err != nil {
			return "", nil, err
		}
		connection, b = p.Connection, p
	case AnalysisRequested:
		var a AnalysisRequestedBody
		if err := unmarshalData(raw, &a); err != nil {
			return "", nil, err
		}
		if a.Target, err = a.Target.Check("data."); err != nil {
			return "", nil, err
		}
		connection, b = a.Connection, a
	case CancelRequested:
		var c CancelRequestedBody
		if err := unmarshalData(raw, &c); err != nil {
			return "", nil, err
		}
		if !runID.MatchString(c.Run) {
			return "", nil, fieldErrorf("data.run", "%q is not the id of a run; give the 26 characters that the door answered with", c.Run)
		}
		c.Reason = hub.CleanText(c.Reason)
		if err := hub.CheckSlug(c.Connection); err != nil {
			return "", nil, fieldErrorf("data.connection", "%v", err)
		}
		connection, b = c.Connection, c
	case RetryRequested:
		var r RetryRequestedBody
		if err := unmarshalData(raw, &r); err != nil {
			return "", nil, err
		}
		if !runID.MatchString(r.Run) {
			return "", nil, fieldErrorf("data.run", "%q is not the id of a run; give the 26 characters that the door answered with", r.Run)
		}
		if err := hub.CheckSlug(r.Connection); err != nil {
			return "", nil, fieldErrorf("data.connection", "%v", err)
		}
		connection, b = r.Connection, r
	}
	return connection, Encode(b), nil
}

func unmarshalData(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fieldErrorf("data."+strings.TrimPrefix(wrong.Field, "Target."), "is a JSON %s; a %s is wanted", wrong.Value, wrong.Type)
	case err != nil:
		return fieldErrorf("data", "is not the JSON object that this type carries: %v", err)
	}
	return nil
}

// Check refuses what no run could be made of and fills in the defaults. The error
// is a *FieldError whose field begins with at, such as "data.".
func (t Target) Check(at string) (Target, error) {
	if err := hub.CheckSlug(t.Connection); err != nil {
		return t, fieldErrorf(at+"connection", "%v", err)
	}
	if err := hub.CheckRepository(t.Repository); err != nil {
		return t, fieldErrorf(at+"repository", "%v", err)
	}
	if err := hub.CheckRef(t.Ref); err != nil {
		return t, fieldErrorf(at+"ref", "%v", err)
	}
	if err := checkCommit(at+"commit", t.Commit); err != nil {
		return t, err
	}
	if t.Strategy == "" {
		t.Strategy = hub.DryRun
	}
	var err error
	if t.Strategy, err = hub.ParseStrategy(string(t.Strategy)); err != nil {
		return t, fieldErrorf(at+"strategy", "%v", err)
	}
	if t.Strategy != hub.DryRun {
		return t, fieldErrorf(at+"strategy", "%s is not offered by this version; send DRY_RUN", t.Strategy)
	}
	if t.Priority, err = hub.ParsePriority(string(t.Priority)); err != nil {
		return t, fieldErrorf(at+"priority", "%v", err)
	}
	for i, c := range t.Only {
		if t.Only[i], err = hub.ParseCategory(string(c)); err != nil {
			return t, fieldErrorf(fmt.Sprintf("%sonly[%d]", at, i), "%v", err)
		}
	}
	return t, nil
}

func checkCommit(field, id string) error {
	if id != "" && !hub.IsCommitID(id) {
		return fieldErrorf(field, "%q is not a commit id; give all 40 (or 64) lower-case hex digits", id)
	}
	return nil
}

// checkJSON wants one JSON object without repeated keys at any depth:
// encoding/json would silently take the last of them.
func checkJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fieldErrorf("body", "is not a JSON object")
	}
	if err := checkObject(dec, "", map[string]bool{}, 1); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fieldErrorf("body", "has more after the JSON object")
	}
	return nil
}

// maxDepth caps the nesting of an event: nothing in the catalog is deeper than 4.
const maxDepth = 32

func checkObject(dec *json.Decoder, at string, seen map[string]bool, depth int) error {
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			return fieldErrorf("body", "is not valid JSON: %v", err)
		}
		key, _ := k.(string)
		if seen[key] {
			return fieldErrorf(at+key, "appears twice; send it once")
		}
		seen[key] = true
		if err := checkValue(dec, at+key, depth); err != nil {
			return err
		}
	}
	return closing(dec)
}

func checkValue(dec *json.Decoder, at string, depth int) error {
	if depth > maxDepth {
		return fieldErrorf(at, "is nested deeper than %d levels", maxDepth)
	}
	t, err := dec.Token()
	if err != nil {
		return fieldErrorf("body", "is not valid JSON: %v", err)
	}
	switch t {
	case json.Delim('{'):
		return checkObject(dec, at+".", map[string]bool{}, depth+1)
	case json.Delim('['):
		for i := 0; dec.More(); i++ {
			if err := checkValue(dec, fmt.Sprintf("%s[%d]", at, i), depth+1); err != nil {
				return err
			}
		}
		return closing(dec)
	}
	return nil
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fieldErrorf("body", "is not valid JSON: %v", err)
	}
	return nil
}
