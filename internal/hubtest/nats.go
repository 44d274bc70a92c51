package hubtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSServer is a NATS server with JetStream on disk, in a process of its own.
type NATSServer struct {
	URL string // stays the same over Kill and Restart

	t    testing.TB
	dir  string
	addr string
	run  *child
}

// NATS starts a server for one test. It holds no streams.
func NATS(t testing.TB) *NATSServer {
	t.Helper()
	s := &NATSServer{t: t, dir: t.TempDir(), addr: "127.0.0.1:" + strconv.Itoa(server.RANDOM_PORT)}
	s.Restart()
	t.Cleanup(s.stop)
	return s
}

// Kill ends the server at once, as kill -9 does. What it acknowledged is on disk.
func (s *NATSServer) Kill() {
	s.run.kill()
	s.run = nil
}

// Restart starts the server again after Kill, with what is left on its disk.
func (s *NATSServer) Restart() {
	s.t.Helper()
	run, err := startChild("nats", dirEnv+"="+s.dir, addrEnv+"="+s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.run, s.URL, s.addr = run, run.url, run.url[len("nats://"):]
}

// Wipe empties the disk of a killed server.
func (s *NATSServer) Wipe() {
	s.t.Helper()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Fatal(err)
	}
}

func (s *NATSServer) stop() {
	if s.run == nil {
		return
	}
	if err := s.run.stop(); err != nil {
		s.t.Errorf("stop NATS: %v", err)
	}
}

// startNATS is the child's side.
func startNATS(context.Context) (url string, stop func() error, err error) {
	host, port, err := net.SplitHostPort(os.Getenv(addrEnv))
	if err != nil {
		return "", nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", nil, err
	}
	s, err := server.NewServer(&server.Options{
		Host: host, Port: number,
		JetStream: true, JetStreamMaxStore: 64 << 30, StoreDir: os.Getenv(dirEnv), SyncAlways: true,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		return "", nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return "", nil, errors.New("NATS takes no connections")
	}
	return fmt.Sprintf("nats://%s", s.Addr()), func() error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	}, nil
}
