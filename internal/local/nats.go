package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	natsWait = 10 * time.Second
	// natsMaxStore is the sum that streams may reserve. The server's own choice
	// is three quarters of the free disk, and then the event stream's 10 GiB
	// limit could not be promised on a laptop that will never use it.
	natsMaxStore = 64 << 30
)

type natsServer struct {
	server *server.Server
	url    string
	file   string // holds the URL for tools
}

// startNATS starts a server on a free loopback port. Port and password are new
// each time. Every acknowledged message is on disk.
func startNATS(dir string, log *slog.Logger) (*natsServer, error) {
	user := &server.User{Username: "hub", Password: rand.Text()}
	logger := &natsLog{log: log, fatal: make(chan string, 1)}
	s, err := server.NewServer(&server.Options{
		ServerName:        "integration-hub",
		Host:              "127.0.0.1",
		Port:              server.RANDOM_PORT,
		Users:             []*server.User{user},
		JetStream:         true,
		JetStreamMaxStore: natsMaxStore,
		StoreDir:          filepath.Join(dir, "nats"),
		SyncAlways:        true,
		NoSigs:            true,
	})
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	s.SetLogger(logger, false, false)
	s.Start()
	if err := natsReady(s, logger); err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("start NATS in %s: %w", dir, err)
	}
	n := &natsServer{server: s, file: filepath.Join(dir, "nats.url")}
	u := url.URL{Scheme: "nats", User: url.UserPassword(user.Username, user.Password), Host: s.Addr().String()}
	n.url = u.String()
	if err := writeSecret(n.file, n.url+"\n"); err != nil {
		s.Shutdown()
		return nil, err
	}
	return n, nil
}

// natsReady waits until the server takes connections or says that it never will.
func natsReady(s *server.Server, logger *natsLog) error {
	for deadline := time.Now().Add(natsWait); !s.ReadyForConnections(100 * time.Millisecond); {
		select {
		case why := <-logger.fatal:
			return errors.New(why)
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it takes no connections after %s", natsWait)
		}
	}
	return nil
}

// stop ends the server; what it acknowledged is on disk already.
func (n *natsServer) stop(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		n.server.Shutdown()
		n.server.WaitForShutdown()
		close(stopped)
	}()
	select {
	case <-stopped:
		return removeFile(n.file)
	case <-ctx.Done():
		return fmt.Errorf("stop NATS: %w", context.Cause(ctx))
	}
}

// natsLog hands the server's log to slog, one level lower: what NATS calls a
// warning is for who looks for it.
type natsLog struct {
	log   *slog.Logger
	fatal chan string // why the server did not start; the first reason is enough
}

func (l *natsLog) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *natsLog) Warnf(format string, v ...any)   { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *natsLog) Errorf(format string, v ...any)  { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l *natsLog) Debugf(string, ...any)           {}
func (l *natsLog) Tracef(string, ...any)           {}
func (l *natsLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
