package hubtest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"integrationhub/internal/bus"
	"integrationhub/internal/store"
)

// Log writes to the test's own output, from DEBUG up.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Store is a store on a database of its own, which is closed at the test's end.
func Store(t testing.TB) *store.Store {
	t.Helper()
	return OpenStore(t, Postgres(t))
}

// OpenStore is a further store on the database of a test, like that of another
// process.
func OpenStore(t testing.TB, databaseURL string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: databaseURL, Namespace: Namespace, Conns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Bus is a bus on the server, with all streams, which is closed at the test's end.
func (s *NATSServer) Bus(t testing.TB) *bus.Bus {
	t.Helper()
	return OpenBus(t, s.URL)
}

// OpenBus is a bus like NATSServer.Bus, by a way to the server of the test's own.
func OpenBus(t testing.TB, natsURL string) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Config{URL: natsURL, Namespace: Namespace, Name: "test", Manage: true, Log: Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// Link is a way to a server that a test can cut, as a broken network does.
type Link struct {
	Addr string // where to reach the server through the link

	network, target string
	listener        net.Listener
	owned           sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// NewLink leads to a server, such as "tcp" and "127.0.0.1:4222", until the
// test's end.
func NewLink(t testing.TB, network, target string) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &Link{Addr: l.Addr().String(), network: network, target: target, listener: l, conns: map[net.Conn]bool{}}
	k.owned.Go(k.accept)
	t.Cleanup(func() {
		l.Close()
		k.Cut()
		k.owned.Wait()
	})
	return k
}

// Cut closes every connection, and new ones at once.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.conns {
		c.Close()
	}
}

// Mend takes connections again.
func (k *Link) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = false
}

func (k *Link) accept() {
	for {
		near, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.owned.Go(func() { k.join(near) })
	}
}

func (k *Link) join(near net.Conn) {
	defer near.Close()
	far, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), k.network, k.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !k.hold(near, far) {
		return
	}
	defer k.drop(near, far)
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	near.Close()
	far.Close()
	<-ended
}

func (k *Link) hold(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		k.conns[c] = true
	}
	return !k.cut
}

func (k *Link) drop(conns ...net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		delete(k.conns, c)
	}
}
