// Package connector fetches code: from a code host into a snapshot.
package connector

import (
	"context"
	"errors"
	"fmt"
	"io"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/internal/platform"
	"integrationhub/internal/snapshot"
	"integrationhub/internal/store"
	"integrationhub/internal/store/connection"
	snapshots "integrationhub/internal/store/snapshot"
	"integrationhub/internal/vault"
	"integrationhub/internal/work"
)

// Objects is what the connector needs of the Object Store.
type Objects interface {
	PutObject(ctx context.Context, name string, r io.Reader) error
}

// Connector handles the jobs of the connector.
type Connector struct {
	store   *store.Store
	objects Objects
	vault   *vault.Sealer
	sources map[hub.Platform]platform.Source
}

// New makes a connector that speaks to the given kinds of code host.
func New(s *store.Store, o Objects, v *vault.Sealer, sources []platform.Source) *Connector {
	c := &Connector{store: s, objects: o, vault: v, sources: map[hub.Platform]platform.Source{}}
	for _, src := range sources {
		c.sources[src.Kind()] = src
	}
	return c
}

// Fetch streams the code of a repository into the Object Store and keeps its
// manifest.
func (c *Connector) Fetch(ctx context.Context, d work.Delivery[message.FetchBody]) (work.Commit, error) {
	src, target, err := c.target(ctx, d.Body)
	if err != nil {
		return nil, err
	}
	// One name for each attempt: a stale worker must not overwrite what a later
	// attempt has stored.
	snap := hub.Snapshot{ID: fmt.Sprintf("%s.%d", d.Job.ID, d.Attempt)}
	d.Note("fetching " + target.Repository)
	entries, rev, err := c.stream(ctx, src, target, snap.ID)
	if err != nil {
		return nil, classify(err)
	}
	manifest, err := snapshot.Encode(entries)
	if err != nil {
		return nil, work.Drop(fmt.Errorf("encode manifest of %s: %w", target.Repository, err))
	}
	snap.Commit, snap.Ref, snap.Files = rev.Commit, rev.Ref, len(entries)
	for _, e := range entries {
		snap.Bytes += e.Size
	}
	d.Note(fmt.Sprintf("fetched %d files, %d bytes", snap.Files, snap.Bytes))
	return func(tx *store.Batch) []message.Fact {
		snapshots.Insert(tx, d.Job.Run, snap, manifest)
		return d.Fact(message.SnapshotFetchedBody{Snapshot: snap})
	}, nil
}

func (c *Connector) target(ctx context.Context, b message.FetchBody) (platform.Source, platform.Target, error) {
	conn, err := connection.Get(ctx, c.store, b.Connection)
	if errors.Is(err, store.ErrNotFound) {
		return nil, platform.Target{}, work.Drop(fmt.Errorf("connection %q does not exist; create it with PUT /api/v1/connections/%s", b.Connection, b.Connection))
	}
	if err != nil {
		return nil, platform.Target{}, fmt.Errorf("look up connection %s: %w", b.Connection, err)
	}
	src, ok := c.sources[conn.Kind]
	if !ok {
		return nil, platform.Target{}, work.Drop(fmt.Errorf("connection %q is of kind %s, which this version cannot fetch from", conn.Slug, conn.Kind))
	}
	t := platform.Target{Kind: conn.Kind, BaseURL: conn.BaseURL, Repository: b.Repository, Ref: b.Ref, Commit: b.Commit}
	if conn.Sealed != nil {
		if t.Token, err = c.vault.Open(string(conn.Sealed), conn.Slug); err != nil {
			return nil, t, work.Drop(fmt.Errorf("open the credential of connection %s: %w", conn.Slug, err))
		}
	}
	return src, t, nil
}

// stream fetches and stores at the same time: no code base is held in memory.
func (c *Connector) stream(ctx context.Context, src platform.Source, t platform.Target, name string) ([]hub.Entry, platform.Revision, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	w, err := snapshot.NewWriter(pw, snapshot.Limits{})
	if err != nil {
		return nil, platform.Revision{}, fmt.Errorf("pack %s: %w", t.Repository, err)
	}
	var rev platform.Revision
	var entries []hub.Entry
	fetched := make(chan error, 1)
	go func() {
		var err error
		if rev, err = src.Fetch(ctx, t, w); err == nil {
			entries, err = w.Close()
		}
		pw.CloseWithError(err)
		fetched <- err
	}()
	putErr := c.objects.PutObject(ctx, name, pr)
	pr.CloseWithError(errors.New("the Object Store took no more"))
	if putErr != nil {
		cancel() // a source that is still downloading need not go on
	}
	if err := <-fetched; err != nil && putErr != nil {
		// Each side's failure shows up on the other; the source's own words are
		// the ones to report, unless it failed because the store did.
		if errors.Is(putErr, err) || isPlatform(err) {
			return nil, rev, err
		}
		return nil, rev, putErr
	} else if err != nil {
		return nil, rev, err
	}
	return entries, rev, putErr
}

var forGood = []error{platform.ErrNotFound, platform.ErrDenied, platform.ErrEmpty, platform.ErrInvalid, platform.ErrTooLarge}

func isPlatform(err error) bool {
	for _, e := range forGood {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// classify says what the error of a fetch means for its job.
func classify(err error) error {
	var wait *platform.RetryAfter
	switch {
	case errors.As(err, &wait):
		return work.Later(wait.After, err)
	case isPlatform(err):
		return work.Drop(err)
	}
	return err
}
