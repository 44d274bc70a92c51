package git

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/snapshot"
)

// Source fetches from any URL that git can reach. The zero value is ready.
type Source struct {
	Timeout   time.Duration // of one Fetch or Check; default 15 minutes
	DiskBytes int64         // what one fetch may put on disk; default 4 GiB
}

// Kind is hub.Git.
func (s *Source) Kind() hub.Platform { return hub.Git }

// Check asks the host for the repository's HEAD. A repository without commits is fine.
func (s *Source) Check(ctx context.Context, t platform.Target) error {
	return s.with(ctx, t, func(ctx context.Context, repo Repo, address string) error {
		_, err := repo.output(ctx, "ls-remote", "--", address, "HEAD")
		return err
	})
}

// Fetch gets one commit without its history and packs it.
func (s *Source) Fetch(ctx context.Context, t platform.Target, w *snapshot.Writer) (platform.Revision, error) {
	var rev platform.Revision
	err := s.with(ctx, t, func(ctx context.Context, repo Repo, address string) error {
		want, err := resolve(ctx, repo, t, address)
		if err != nil {
			return err
		}
		if err := s.download(ctx, repo, address, want); err != nil {
			return err
		}
		commit, err := repo.Commit(ctx, fetched)
		if err != nil {
			return platform.Refuse(platform.ErrNotFound, "%s at %s is not a commit; name a branch, a tag of a commit or a commit id", want, address)
		}
		rev = platform.Revision{Commit: commit, Ref: want}
		if t.Commit != "" {
			rev.Ref = t.Ref
		}
		n, err := repo.Pack(ctx, commit, w)
		if err == nil && n == 0 {
			err = platform.Refuse(platform.ErrEmpty, "%s of %s has no files; push some code first", want, address)
		}
		return platform.PackError(err)
	})
	return rev, err
}

// fetched is where the temporary repository keeps what was fetched.
const fetched = "refs/hub/fetched"

// with gives use a temporary repository that knows the credential, and makes what
// comes back a sentence for people.
func (s *Source) with(ctx context.Context, t platform.Target, use func(context.Context, Repo, string) error) error {
	if err := platform.CheckTarget(t); err != nil {
		return err
	}
	if t.Commit != "" && !hub.IsCommitID(t.Commit) {
		return platform.Refuse(platform.ErrInvalid, "commit: %q is not 40 or 64 lower-case hex digits", t.Commit)
	}
	timeout := cmp.Or(s.Timeout, 15*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the host took longer than %v", timeout))
	defer cancel()
	dir, err := os.MkdirTemp("", "hub-git-")
	if err != nil {
		return fmt.Errorf("make a temporary repository: %w", err)
	}
	defer os.RemoveAll(dir)
	repo := Repo{Dir: dir, bare: true, conf: transfer}
	if t.Token != "" {
		repo = withToken(repo, t)
	}
	if _, err := repo.output(ctx, "init", "--quiet", "--bare", "--template="); err != nil {
		return fmt.Errorf("make a temporary repository: %w", err)
	}
	address := strings.TrimSuffix(t.BaseURL, "/") + "/" + t.Repository
	return explain(use(ctx, repo, address), t, address)
}

// transfer limits what a host can do to us.
var transfer = [][2]string{
	{"transfer.fsckObjects", "true"},
	// Only trees and blobs are read: what old tools got wrong in names, dates and
	// the spelling of modes is no reason to refuse a repository.
	{"fetch.fsck.badEmail", "ignore"},
	{"fetch.fsck.badDate", "ignore"},
	{"fetch.fsck.badTimezone", "ignore"},
	{"fetch.fsck.missingEmail", "ignore"},
	{"fetch.fsck.missingSpaceBeforeDate", "ignore"},
	{"fetch.fsck.missingSpaceBeforeEmail", "ignore"},
	{"fetch.fsck.zeroPaddedFilemode", "ignore"},
	// One pack, whatever its size: loose objects are many files.
	{"fetch.unpackLimit", "1"},
	{"http.followRedirects", "initial"},
	{"http.lowSpeedLimit", "1000"}, // bytes per second
	{"http.lowSpeedTime", "60"},    // seconds
}

// withToken hands the token to git through the environment and a credential
// helper, not through http.extraHeader: git sends an extra header to whatever
// host it is redirected to, but asks the helper only for the host in its name.
// The helper is a line of shell that names the variable, so arguments, URL and
// disk never hold the token. As user name, hosts take anything; GitHub's apps
// want this one.
func withToken(repo Repo, t platform.Target) Repo {
	u, err := url.Parse(t.BaseURL)
	if err != nil {
		return repo // CheckTarget parsed it before
	}
	scope := u.Scheme + "://" + u.Host
	repo.conf = append(transfer[:len(transfer):len(transfer)], [2]string{
		"credential." + scope + ".helper",
		`!f() { test "$1" = get && printf 'username=x-access-token\npassword=%s\n' "$HUB_GIT_TOKEN"; }; f`,
	})
	repo.env = append(repo.env, "HUB_GIT_TOKEN="+t.Token)
	return repo
}

// resolve finds the full name of what t asks for.
func resolve(ctx context.Context, repo Repo, t platform.Target, address string) (string, error) {
	switch {
	case t.Commit != "":
		return t.Commit, nil
	case hub.IsCommitID(t.Ref):
		return t.Ref, nil
	}
	wanted := Names(t.Ref)
	listed, err := repo.output(ctx, append([]string{"ls-remote", "--symref", "--", address}, wanted...)...)
	if err != nil {
		return "", err
	}
	names := map[string]string{} // ref to what it stands for
	for line := range strings.Lines(listed) {
		value, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if target, ok := strings.CutPrefix(value, "ref: "); ok {
			names[name] = target
		} else if names[name] == "" {
			names[name] = name
		}
	}
	for _, name := range wanted {
		if names[name] != "" {
			return names[name], nil
		}
	}
	return "", missing(ctx, repo, t, address)
}

// missing tells an empty repository from a missing ref.
func missing(ctx context.Context, repo Repo, t platform.Target, address string) error {
	var branches int64
	err := repo.read(ctx, nil, func(out *bufio.Reader) (err error) {
		branches, err = io.Copy(io.Discard, out)
		return err
	}, "ls-remote", "--", address, "refs/heads/*")
	if err != nil {
		return err
	}
	if branches == 0 {
		return platform.Refuse(platform.ErrEmpty, "%s has no branch with commits; push some code first", address)
	}
	return platform.Refuse(platform.ErrNotFound, "%s has no ref %q; name one of its branches or tags, or a whole commit id", address, cmp.Or(t.Ref, "HEAD"))
}

// download fetches one ref or commit into the temporary repository.
func (s *Source) download(ctx context.Context, repo Repo, address, want string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watchSize(ctx, repo.Dir, cmp.Or(s.DiskBytes, 4<<30), cancel)
	}()
	_, err := repo.output(ctx, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head",
		"--no-auto-maintenance", "--", address, "+"+want+":"+fetched)
	cancel(nil)
	<-watched
	return err
}

// watchSize cancels when dir grows past limit. A host decides how much it sends,
// and git itself has no cap for it.
func watchSize(ctx context.Context, dir string, limit int64, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var size int64
		// Files come and go while git works: what cannot be read counts nothing.
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
			return nil
		})
		if size > limit {
			cancel(platform.Refuse(platform.ErrTooLarge, "the repository passes the cap of %d bytes on disk; leave large files out of it", limit))
		}
	}
}

// explain makes git's complaint a sentence with a remedy, without the credential.
func explain(err error, t platform.Target, address string) error {
	var refusal *platform.Refusal
	var failure *Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	case !errors.As(err, &failure):
		return fmt.Errorf("fetch %s: %w", address, err)
	}
	said := strings.ToLower(failure.Stderr)
	for _, c := range complaints {
		for _, words := range c.words {
			if strings.Contains(said, words) {
				return c.refuse(address, cmp.Or(t.Commit, t.Ref))
			}
		}
	}
	return errors.New(platform.Scrub(fmt.Sprintf("fetch %s: %v", address, failure), t.Token))
}
