package bus_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/message"
)

// data of a good event in binary mode.
const data = `{"connection":"forge","repository":"shop/web","ref":"main"}`

func binary(change func(nats.Header)) nats.Header {
	h := nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"https://ci.example.org"}, "ce-type": {"hub.push.v1"},
		"content-type": {"application/json"},
	}
	if change != nil {
		change(h)
	}
	return h
}

func TestEventsComeInBinaryModeToo(t *testing.T) {
	s := hubtest.NATS(t)
	_, nc := operator(t, s)
	deliveries := read(t, s.Bus(t).Events)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct {
		header     nats.Header
		id, source string
		trace      string
	}{
		"plain":            {binary(nil), "1", "https://ci.example.org", ""},
		"other case":       {nats.Header{"Ce-Specversion": {"1.0"}, "CE-ID": {"1"}, "Ce-Source": {"https://ci.example.org"}, "ce-type": {"hub.push.v1"}}, "1", "https://ci.example.org", ""},
		"percent-encoded":  {binary(func(h nats.Header) { h["ce-id"] = []string{"Gr%C3%BC%C3%9Fe%20%22100%25%22"} }), `Grüße "100%"`, "https://ci.example.org", ""},
		"with its trace":   {binary(func(h nats.Header) { h["ce-traceparent"] = []string{trace} }), "1", "https://ci.example.org", trace},
		"trace beside it":  {binary(func(h nats.Header) { h["Traceparent"] = []string{trace} }), "1", "https://ci.example.org", trace},
		"unreadable trace": {binary(func(h nats.Header) { h["traceparent"] = []string{"junk"} }), "1", "https://ci.example.org", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := nc.PublishMsg(&nats.Msg{Subject: "hub.event.forge.push", Header: c.header, Data: []byte(data)}); err != nil {
				t.Fatal(err)
			}
			d := receive(t, deliveries)
			e, err := d.Event()
			if err != nil {
				t.Fatal(err)
			}
			if e.ID != c.id || e.Source != c.source || e.Key != hub.RunID(c.source, c.id) || e.Trace != c.trace || e.Kind != message.Push {
				t.Errorf("event %+v", e)
			}
			if err := d.Ack(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABadEventOverNATSNamesItsField(t *testing.T) {
	s := hubtest.NATS(t)
	_, nc := operator(t, s)
	deliveries := read(t, s.Bus(t).Events)
	set := func(name string, values ...string) nats.Header {
		return binary(func(h nats.Header) {
			if len(values) == 0 {
				delete(h, name)
			} else {
				h[name] = values
			}
		})
	}
	const structured = `{"specversion":"1.0","id":"1","source":"s","type":"hub.push.v1","data":` + data + `}`
	for name, c := range map[string]struct {
		subject string
		header  nats.Header
		data    string
		field   string
	}{
		"no JSON":                         {"hub.event.forge.push", nil, "push", "body"},
		"wrong connection in the subject": {"hub.event.other.push", nil, structured, "subject"},
		"wrong kind in the subject":       {"hub.event.forge.analysis_requested", nil, structured, "subject"},
		"a longer subject":                {"hub.event.forge.push.now", nil, structured, "subject"},
		"binary on a wrong subject":       {"hub.event.other.push", binary(nil), data, "subject"},
		"header sent twice":               {"hub.event.forge.push", set("ce-id", "1", "2"), data, "id"},
		"header sent in two cases":        {"hub.event.forge.push", set("CE-ID", "2"), data, "id"},
		"broken percent-encoding":         {"hub.event.forge.push", set("ce-id", "100%"), data, "id"},
		"control characters, encoded":     {"hub.event.forge.push", set("ce-id", "a%00b"), data, "id"},
		"no specversion":                  {"hub.event.forge.push", set("ce-specversion"), data, "specversion"},
		"no id":                           {"hub.event.forge.push", set("ce-id"), data, "id"},
		"no source":                       {"hub.event.forge.push", set("ce-source"), data, "source"},
		"unknown type":                    {"hub.event.forge.push", set("ce-type", "x"), data, "type"},
		"bad time":                        {"hub.event.forge.push", set("ce-time", "noon"), data, "time"},
		"not JSON":                        {"hub.event.forge.push", set("content-type", "text/xml"), data, "datacontenttype"},
		"bad data":                        {"hub.event.forge.push", binary(nil), `{"connection":"forge","ref":"main"}`, "data.repository"},
		"too large":                       {"hub.event.forge.push", binary(nil), string(make([]byte, message.MaxEvent+1)), "data"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := nc.PublishMsg(&nats.Msg{Subject: c.subject, Header: c.header, Data: []byte(c.data)}); err != nil {
				t.Fatal(err)
			}
			d := receive(t, deliveries)
			_, err := d.Event()
			var fe *message.FieldError
			if !errors.As(err, &fe) || fe.Field != c.field || fe.Problem == "" {
				t.Errorf("error %v, want field %s", err, c.field)
			}
			if err := d.Ack(); err != nil {
				t.Error(err)
			}
		})
	}
}
