package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Door opens the listener of the HTTP door. Off loopback it needs a token.
func (c Config) Door() (net.Listener, error) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, &UsageError{fmt.Errorf("listen address %q: %w; give host:port, such as 127.0.0.1:8080", c.Listen, err)}
	}
	if host != "localhost" && !net.ParseIP(host).IsLoopback() && c.APIToken == "" {
		return nil, &UsageError{fmt.Errorf("listening on %s, off loopback, needs HUB_API_TOKEN: whoever reaches the address could read code and start work", c.Listen)}
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, &UsageError{fmt.Errorf("listen: %w; choose another address with HUB_LISTEN or --listen", err)}
	}
	return l, nil
}

// shutdownTimeout is what requests get to end in when the process stops.
const shutdownTimeout = 5 * time.Second

// ServeHTTP answers on l until ctx ends, and then lets requests end.
func ServeHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		err := srv.Shutdown(end)
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close() // what did not end in time is cut off
		}
		stopped <- err
	})
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("stop HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}
