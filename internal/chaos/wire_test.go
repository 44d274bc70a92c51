package chaos

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	copies = 10 // of each repeated message
	kept   = 20 // messages of each stream that are remembered, the newest
)

// wire listens to what goes over the streams, to say it again.
type wire struct {
	t    *testing.T
	conn *nats.Conn

	mu   sync.Mutex
	last map[string][]*nats.Msg // by stream
}

func newWire(t *testing.T, url string) *wire {
	t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := &wire{t: t, conn: conn, last: map[string][]*nats.Msg{}}
	for _, stream := range []string{"event", "job", "fact"} {
		if _, err := conn.Subscribe("hub."+stream+".>", func(m *nats.Msg) { w.keep(stream, m) }); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *wire) keep(stream string, m *nats.Msg) {
	if m.Header.Get(repeatedHeader) != "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[stream] = append(w.last[stream], m)
	if n := len(w.last[stream]); n > kept {
		w.last[stream] = w.last[stream][n-kept:]
	}
}

const repeatedHeader = "Chaos-Repeated"

// repeat says everything that it remembers ten times more, in another order, and
// under new ids, so that the streams cannot tell.
func (w *wire) repeat(seed uint64) {
	w.t.Helper()
	dice := rand.New(rand.NewPCG(seed, 2))
	w.mu.Lock()
	var all []*nats.Msg
	for _, stream := range []string{"event", "job", "fact"} {
		for _, m := range w.last[stream] {
			for i := range copies {
				again := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{}}
				for name, values := range m.Header {
					again.Header[name] = values
				}
				again.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("repeated.%d.%d.%d", seed, len(all), i))
				again.Header.Set(repeatedHeader, "yes")
				all = append(all, again)
			}
		}
	}
	w.mu.Unlock()
	if len(all) == 0 {
		w.t.Fatal("nothing went over the streams that could be repeated")
	}
	dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, m := range all {
		if err := w.conn.PublishMsg(m); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.conn.FlushTimeout(patience); err != nil {
		w.t.Fatal(err)
	}
}
