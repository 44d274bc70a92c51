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
	env  []string
	run  *child
}

// NATS starts a server for one test. It holds no streams.
func NATS(t testing.TB) *NATSServer {
	t.Helper()
	return startNATSServer(t)
}

func startNATSServer(t testing.TB, env ...string) *NATSServer {
	t.Helper()
	s := &NATSServer{t: t, dir: t.TempDir(), addr: "127.0.0.1:" + strconv.Itoa(server.RANDOM_PORT), env: env}
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
	run, err := startChild("nats", append([]string{dirEnv + "=" + s.dir, addrEnv + "=" + s.addr}, s.env...)...)
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
	opts := &server.Options{
		ServerName: os.Getenv(nameEnv), Host: host, Port: number,
		JetStream: true, JetStreamMaxStore: 64 << 30, StoreDir: os.Getenv(dirEnv), SyncAlways: true,
		NoSigs: true, NoLog: true,
	}
	if err := join(opts, os.Getenv(clusterEnv), os.Getenv(routesEnv)); err != nil {
		return "", nil, err
	}
	s, err := server.NewServer(opts)
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

// join makes a server one of a cluster, where own is its address there.
func join(opts *server.Options, own, routes string) error {
	if own == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(own)
	if err != nil {
		return err
	}
	if opts.Cluster.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	opts.Cluster.Name, opts.Cluster.Host = "hubtest", host
	opts.Routes = server.RoutesFromStr(routes)
	return nil
}
