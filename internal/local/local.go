// Package local runs the private NATS and Postgres of a hub that was given
// none: both live in one data directory, answer on this machine only, and end
// with the hub. One process at a time uses a data directory.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Config says what to run, and where.
type Config struct {
	// DataDir holds everything that must survive the process. Open makes it.
	// DefaultDataDir is the usual choice.
	DataDir string
	// PostgresBin is the directory that holds postgres and initdb. Empty means:
	// look in PATH and where the usual packages put them.
	PostgresBin string
	// Log gets what people should know. Nil means nothing is logged.
	Log *slog.Logger
	// NATS and Postgres say which of the two to start.
	NATS, Postgres bool
}

// Local is a locked data directory with the servers that run in it.
type Local struct {
	dir      string
	lock     *os.File
	nats     *natsServer
	postgres *postgres
}

// Open locks the data directory and starts what cfg asks for. A Postgres that
// a killed hub left running is stopped first, so that the new one is a child of
// this process. Open returns ErrInUse when another process has the directory.
// It waits at most two minutes for Postgres and ten seconds for NATS; ctx
// bounds the start only, not the life of the servers.
func Open(ctx context.Context, cfg Config) (*Local, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("the data directory has no name: set HUB_DATA_DIR or --data-dir, or HOME to get the default one")
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find data directory %s: %w", cfg.DataDir, err)
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := makeDataDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	l := &Local{dir: dir, lock: lock}
	if err := l.start(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	}
	return l, nil
}

func (l *Local) start(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	// What a killed hub published must not be taken for ours.
	if err := removeFile(filepath.Join(l.dir, endpointFile)); err != nil {
		return err
	}
	if cfg.NATS {
		if l.nats, err = startNATS(l.dir, log); err != nil {
			return err
		}
	}
	if cfg.Postgres {
		if l.postgres, err = startPostgres(ctx, l.dir, cfg.PostgresBin, log); err != nil {
			return err
		}
	}
	return nil
}

// NATSURL is where NATS answers, with user and password; empty when it was not
// asked for. The same text is in the file nats.url of the data directory.
func (l *Local) NATSURL() string {
	if l.nats == nil {
		return ""
	}
	return l.nats.url
}

// DatabaseURL is where Postgres answers, with user and password; empty when it
// was not asked for. The same text is in the file postgres.url of the data
// directory.
func (l *Local) DatabaseURL() string {
	if l.postgres == nil {
		return ""
	}
	return l.postgres.url
}

// Close stops NATS, then Postgres, then frees the data directory. When ctx ends
// first, Postgres is stopped without a checkpoint, which costs the next start
// some time and nothing else. Close is called once.
func (l *Local) Close(ctx context.Context) error {
	var errs []error
	errs = append(errs, removeFile(filepath.Join(l.dir, endpointFile)))
	if l.nats != nil {
		errs = append(errs, l.nats.stop(ctx))
	}
	if l.postgres != nil {
		errs = append(errs, l.postgres.stop(ctx))
	}
	if err := l.lock.Close(); err != nil {
		errs = append(errs, fmt.Errorf("free data directory %s: %w", l.dir, err))
	}
	return errors.Join(errs...)
}
