package sidenode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/git"
	"integrationhub/internal/snapshot"
)

var errBusy = errors.New("the node is packing for others; try again")

// view is what a request asks for: a commit, or the work tree.
type view struct {
	ref    string
	commit string // the commit asked for; for a work tree what lies below it, if any
	disk   bool
	pinned string // the revision asked for: the commit's, or the one that the work tree must still have
}

// content is one packed view.
type content struct {
	entries  []hub.Entry
	revision string
}

func (n *Node) files(w http.ResponseWriter, r *http.Request) {
	n.packed(w, r, io.Discard, func(v view, c content) error {
		entries := c.entries
		if entries == nil {
			entries = []hub.Entry{}
		}
		n.json(w, listing{Ref: v.ref, Revision: c.revision, Commit: v.commit, Files: entries})
		return nil
	})
}

// archive packs into a file first: the revision, which is the name of the
// content, goes into the header.
func (n *Node) archive(w http.ResponseWriter, r *http.Request) {
	n.spooled(w, r, func(spool *os.File) {
		n.packed(w, r, spool, func(view, content) error {
			return n.send(w, spool, typeArchive)
		})
	})
}

// packed packs the view that r asks for and lets answer write the body. All
// headers but the body's own are set.
func (n *Node) packed(w http.ResponseWriter, r *http.Request, out io.Writer, answer func(view, content) error) {
	var v view
	var c content
	err := n.work(r, func(ctx context.Context) (err error) {
		if v, err = n.view(ctx, r.URL.Query().Get("ref")); err == nil {
			c, err = n.pack(ctx, v, out)
		}
		return err
	})
	if err != nil {
		n.fail(w, r, err)
		return
	}
	v.describe(w, c.revision)
	etag := strconv.Quote(c.revision)
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if err := answer(v, c); err != nil {
		n.log.Warn("send code", "path", r.URL.Path, "err", err)
	}
}

// file sends one path of a view.
func (n *Node) file(w http.ResponseWriter, r *http.Request) {
	n.spooled(w, r, func(spool *os.File) {
		var v view
		var e hub.Entry
		err := n.work(r, func(ctx context.Context) (err error) {
			if v, err = n.view(ctx, r.URL.Query().Get("ref")); err == nil {
				e, err = n.readFile(ctx, v, r.URL.Query().Get("path"), spool)
			}
			return err
		})
		if err != nil {
			n.fail(w, r, err)
			return
		}
		v.describe(w, v.pinned)
		w.Header().Set(headerMode, e.Mode)
		w.Header().Set(headerHash, e.Hash)
		if err := n.send(w, spool, typeFile); err != nil {
			n.log.Warn("send code", "path", r.URL.Path, "err", err)
		}
	})
}

// work waits for a free slot and gives do a limited time. Sending comes after it:
// who reads slowly keeps no slot.
func (n *Node) work(r *http.Request, do func(context.Context) error) error {
	wait := time.NewTimer(n.wait)
	defer wait.Stop()
	select {
	case n.slots <- struct{}{}:
	case <-wait.C:
		return errBusy
	case <-r.Context().Done():
		return context.Cause(r.Context())
	}
	defer func() { <-n.slots }()
	ctx, cancel := context.WithTimeout(r.Context(), maxPackTime)
	defer cancel()
	return do(ctx)
}

// spooled gives use a temporary file that nobody else sees.
func (n *Node) spooled(w http.ResponseWriter, r *http.Request, use func(*os.File)) {
	spool, err := os.CreateTemp("", "hub-node-")
	if err != nil {
		n.fail(w, r, fmt.Errorf("make a temporary file: %w", err))
		return
	}
	defer spool.Close()
	if err := os.Remove(spool.Name()); err != nil {
		n.log.Warn("remove a temporary file", "err", err)
	}
	use(spool)
}

func (n *Node) send(w http.ResponseWriter, spool *os.File, contentType string) error {
	size, err := spool.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_, err = io.Copy(w, spool)
	return err
}

func (v view) describe(w http.ResponseWriter, revision string) {
	w.Header().Set(headerRef, encodeRef(v.ref))
	for name, value := range map[string]string{headerRevision: revision, headerCommit: v.commit} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
}

// view finds out what ref stands for.
func (n *Node) view(ctx context.Context, ref string) (view, error) {
	if err := hub.CheckRef(ref); err != nil {
		return view{}, platform.Refuse(platform.ErrInvalid, "ref: %v", err)
	}
	repo := n.disk.repo
	if ref == "" || ref == WorkTree || workTreeRevision.MatchString(ref) {
		v := view{ref: WorkTree, disk: true}
		if workTreeRevision.MatchString(ref) {
			v.pinned = ref
		}
		if repo != nil {
			v.commit, _ = repo.Commit(ctx, "HEAD") // there may be none yet
		}
		return v, nil
	}
	if repo == nil {
		return view{}, platform.Refuse(platform.ErrNotFound, "%q is not under git, so it has no ref %q; leave ref out", n.name, ref)
	}
	for _, name := range git.Names(ref) {
		commit, err := repo.Commit(ctx, name)
		if err == nil {
			return view{ref: name, commit: commit, pinned: commit}, nil
		}
		if ctx.Err() != nil {
			return view{}, err
		}
	}
	return view{}, platform.Refuse(platform.ErrNotFound, "%q has no ref %q; name a branch, a tag or a whole commit id, or leave ref out", n.name, ref)
}

// pack writes a view to out in one pass. When somebody saves a file in the
// middle of it, it begins anew, three times at most.
func (n *Node) pack(ctx context.Context, v view, out io.Writer) (content, error) {
	for try := 1; ; try++ {
		c, err := n.packOnce(ctx, v, out)
		if !errors.Is(err, snapshot.ErrChanged) || try == 3 {
			return c, err
		}
		if spool, ok := out.(*os.File); ok {
			_, err := spool.Seek(0, io.SeekStart)
			if err = errors.Join(err, spool.Truncate(0)); err != nil {
				return content{}, fmt.Errorf("begin a temporary file anew: %w", err)
			}
		}
	}
}

func (n *Node) packOnce(ctx context.Context, v view, out io.Writer) (content, error) {
	w, err := snapshot.NewWriter(out, n.limit)
	if err != nil {
		return content{}, err
	}
	if v.disk {
		err = n.disk.pack(ctx, w)
	} else {
		_, err = n.disk.repo.Pack(ctx, v.commit, w)
	}
	if err != nil {
		return content{}, err
	}
	entries, err := w.Close()
	if err != nil {
		return content{}, err
	}
	c := content{entries: entries, revision: v.commit}
	if v.disk {
		c.revision = revisionOf(entries)
	}
	if v.pinned != "" && v.pinned != c.revision {
		return content{}, platform.Refuse(platform.ErrNotFound, "the work tree has changed, its revision is %s now; ask for that one", c.revision)
	}
	return c, nil
}

// readFile copies one path of a view to out.
func (n *Node) readFile(ctx context.Context, v view, path string, out io.Writer) (hub.Entry, error) {
	if err := snapshot.CheckPath(path); err != nil {
		return hub.Entry{}, platform.Refuse(platform.ErrInvalid, "path: %v", err)
	}
	var pinned []hub.Entry
	if v.disk && v.pinned != "" {
		c, err := n.pack(ctx, v, io.Discard)
		if err != nil {
			return hub.Entry{}, err
		}
		pinned = c.entries
	}
	var read []hub.Entry
	use := func(e hub.Entry, r io.Reader) error {
		// A Writer knows the caps and the hash, whatever becomes of what it packs.
		w, err := snapshot.NewWriter(io.Discard, n.limit)
		if err != nil {
			return err
		}
		if err := w.Add(e.Path, e.Mode, e.Size, io.TeeReader(r, out)); err != nil {
			return err
		}
		read, err = w.Close()
		return err
	}
	var err error
	if v.disk {
		err = n.disk.file(ctx, path, use)
	} else {
		err = n.disk.repo.ReadFile(ctx, v.commit, path, use)
	}
	switch {
	case err != nil:
		return hub.Entry{}, err
	case len(read) == 0:
		return hub.Entry{}, platform.Refuse(platform.ErrNotFound, "there is no file %q at %s", path, v.ref)
	case pinned != nil && !slices.Contains(pinned, read[0]):
		return hub.Entry{}, fmt.Errorf("%w: %q", snapshot.ErrChanged, path)
	}
	return read[0], nil
}
