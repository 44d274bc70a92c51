package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startWait bounds the making of a data directory, and a start, which may
	// have to recover from a crash first.
	startWait = 2 * time.Minute
	// busyWait bounds how long a start waits for what an earlier Postgres left
	// behind: its backends notice its death within seconds.
	busyWait = 10 * time.Second
	// restartPause keeps a Postgres that dies at once from burning the processor.
	restartPause = time.Second
	pollPause    = 10 * time.Millisecond

	pgUser = "hub"
	pgPort = 5432 // only the name of the socket: nothing listens on TCP
	// maxSocket is the longest path of a unix socket on macOS; Linux allows 107.
	maxSocket = 103
)

// postgres is a Postgres that is started again when it dies, until stop.
type postgres struct {
	dir        string // the hub's data directory
	data       string // Postgres's own
	sockets    string // directory of its socket
	bin        binaries
	account    account
	log        *slog.Logger
	serverLog  *serverLog
	url        string
	cancel     context.CancelFunc
	stopAsked  chan context.Context // at most one
	keeperDone chan struct{}
	stopErr    error // read after keeperDone
}

// startPostgres makes the data directory when there is none, starts Postgres,
// and keeps it running.
func startPostgres(ctx context.Context, dir, bin string, log *slog.Logger) (p *postgres, err error) {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	p = &postgres{
		dir: dir, data: filepath.Join(dir, "postgres"), log: log,
		stopAsked: make(chan context.Context, 1), keeperDone: make(chan struct{}),
	}
	if p.account, err = chooseAccount(p.data); err != nil {
		return nil, err
	}
	if err := p.account.checkReach(dir); err != nil {
		return nil, err
	}
	if p.bin, err = p.chooseBinaries(ctx, bin); err != nil {
		return nil, err
	}
	password, err := p.password()
	if err != nil {
		return nil, err
	}
	if err := p.makeData(ctx, password); err != nil {
		return nil, fmt.Errorf("make the database in %s with %s: %w", p.data, p.bin.dir, err)
	}
	if p.sockets, err = p.makeSocketDir(); err != nil {
		return nil, fmt.Errorf("make the directory of the database's socket: %w", err)
	}
	if p.serverLog, err = openServerLog(filepath.Join(dir, "postgres.log")); err != nil {
		return nil, err
	}
	first, err := p.launchWhenFree(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Postgres in %s with %s: %w", p.data, p.bin.dir, err), p.serverLog.Close())
	}
	keepCtx, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = stopKeeping
	go p.keep(keepCtx, first)
	if err := p.publish(password); err != nil {
		return nil, errors.Join(err, p.stop(ctx))
	}
	return p, nil
}

// chooseBinaries finds a Postgres of the version that made the data.
func (p *postgres) chooseBinaries(ctx context.Context, bin string) (binaries, error) {
	want := 0
	text, err := os.ReadFile(filepath.Join(p.data, "PG_VERSION"))
	if err == nil {
		want, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return binaries{}, fmt.Errorf("read the version of the database in %s: %w", p.data, err)
	}
	b, err := findBinaries(ctx, bin, want)
	if err != nil {
		return b, err
	}
	if want != 0 && b.major != want {
		return b, fmt.Errorf("the database in %s was made by Postgres %d, and %s holds Postgres %d: install Postgres %d beside it, or set HUB_PG_BIN to the directory of its postgres, or upgrade the database with pg_upgrade", p.data, want, b.dir, b.major, want)
	}
	return b, nil
}

// password reads the database's password, and makes one for a new database.
func (p *postgres) password() (string, error) {
	path := filepath.Join(p.dir, "postgres.password")
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the database's password: %w", err)
	}
	if _, err := os.Stat(p.data); err == nil {
		return "", fmt.Errorf("%s is gone, and the database in %s cannot be opened without it: put it back", path, p.data)
	}
	password := rand.Text()
	return password, writeSecret(path, password+"\n")
}

// makeData runs initdb beside the final place and renames its work at the end,
// so a killed initdb leaves nothing that looks finished.
func (p *postgres) makeData(ctx context.Context, password string) error {
	if _, err := os.Stat(p.data); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.log.Info("making a database", "dir", p.data)
	leftovers, _ := filepath.Glob(p.data + ".new-*") // the pattern is well formed
	for _, dir := range leftovers {
		os.RemoveAll(dir) // an initdb that lost its hub may still write there
	}
	fresh, err := os.MkdirTemp(p.dir, "postgres.new-")
	if err != nil {
		return err
	}
	secret := p.data + ".secret"
	defer os.Remove(secret)
	if err := errors.Join(writeSecret(secret, password+"\n"), p.account.own(secret), p.account.own(fresh)); err != nil {
		return err
	}
	cmd := p.command("initdb", "-D", fresh, "-U", pgUser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C")
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	run, err := start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-run.exited:
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), run.kill())
	}
	if run.err != nil {
		return fmt.Errorf("initdb: %w: %s", run.err, out)
	}
	return os.Rename(fresh, p.data)
}

// publish makes the URL and writes it where tools find it.
func (p *postgres) publish(password string) error {
	q := url.Values{"host": {p.sockets}, "port": {strconv.Itoa(pgPort)}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(pgUser, password), Path: "/postgres",
		RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20"), // to Postgres's clients, a plus is a plus
	}
	p.url = u.String()
	return writeSecret(p.urlFile(), p.url+"\n")
}

func (p *postgres) urlFile() string { return filepath.Join(p.dir, "postgres.url") }

// command is one of Postgres's programs as the account, with nothing of our
// environment: PGDATA and its like would change what it does.
func (p *postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(p.bin.path(name), args...)
	cmd.Dir = "/" // ours may be closed to the account
	cmd.Env = []string{"LC_ALL=C", "PATH=" + p.bin.dir + ":/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Ctrl-C is for the hub, which stops its own work before its database.
		Setpgid:    true,
		Credential: p.account.credential(),
	}
	return cmd
}

// keep owns the running Postgres: it starts it again when it ends by itself,
// and stops it when asked.
func (p *postgres) keep(ctx context.Context, run *process) {
	defer close(p.keeperDone)
	for {
		select {
		case stopCtx := <-p.stopAsked:
			p.stopErr = run.stop(stopCtx)
			return
		case <-run.exited:
		}
		p.log.Error("Postgres ended by itself; starting it again", "why", run.err, "log", p.serverLog.String())
		for {
			if wait(ctx, restartPause) != nil {
				return
			}
			next, err := p.launchWhenFree(ctx)
			if err == nil {
				run = next
				break
			}
			p.log.Error("Postgres does not start", "err", err)
		}
	}
}

// stop ends Postgres, with a checkpoint while ctx lasts.
func (p *postgres) stop(ctx context.Context) error {
	p.stopAsked <- ctx
	p.cancel()
	<-p.keeperDone
	errs := []error{p.stopErr, removeFile(p.urlFile()), p.serverLog.Close()}
	if p.sockets != filepath.Join(p.dir, "run") {
		errs = append(errs, removeFile(p.sockets))
	}
	return errors.Join(errs...)
}
