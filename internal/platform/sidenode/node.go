package sidenode

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/git"
	"integrationhub/internal/snapshot"
)

// Config says what a Node serves, and to whom.
type Config struct {
	Dir    string          // a git work tree, a directory in one, or a plain folder
	Name   string          // the repository's name; by default made from Dir's
	Token  string          // at least 16 characters; every request must bring it
	Limits snapshot.Limits // of one archive
	Log    *slog.Logger    // nothing is logged when nil
}

const (
	maxPacks    = 4 // at the same time, each with a temporary file
	maxWait     = 10 * time.Second
	maxPackTime = 10 * time.Minute
	maxSendTime = 30 * time.Minute
)

// Node is the reference SIDE node: an http.Handler that serves one directory.
type Node struct {
	name  string
	token [sha256.Size]byte
	disk  disk
	limit snapshot.Limits
	log   *slog.Logger
	slots chan struct{} // one for each pack that may run
	wait  time.Duration // for a slot
	mux   *http.ServeMux
}

// NewNode opens the directory. A work tree is served as it lies: changed and new
// files too, without what .gitignore names. The caller closes the Node.
func NewNode(ctx context.Context, c Config) (*Node, error) {
	if len(c.Token) < 16 {
		return nil, errors.New("token: give the node a token of at least 16 characters")
	}
	dir, err := filepath.Abs(c.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", c.Dir, err)
	}
	name := cmp.Or(c.Name, nameOf(dir))
	if err := platform.Validate(hub.SideNode, "http://localhost", name, ""); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", c.Dir, err)
	}
	n := &Node{
		name: name, token: sha256.Sum256([]byte(c.Token)), disk: disk{root: root}, limit: c.Limits,
		log: cmp.Or(c.Log, slog.New(slog.DiscardHandler)), slots: make(chan struct{}, maxPacks), wait: maxWait,
	}
	repo := git.Repo{Dir: dir}
	inside, err := repo.IsWorkTree(ctx)
	if inside {
		n.disk.repo = &repo
	} else if _, exists := root.Lstat(".git"); exists == nil {
		root.Close()
		return nil, fmt.Errorf("serve %s: it has a .git, but git does not take it for a work tree: %w", c.Dir, cmp.Or(err, errors.New("it is bare")))
	}
	n.mux = n.routes()
	return n, nil
}

// nameOf makes a name that fits into a URL.
func nameOf(dir string) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			return r
		}
		return '-'
	}, filepath.Base(dir))
	return cmp.Or(strings.Trim(name, ".-"), "code")
}

// Repository is the name under which the directory is served.
func (n *Node) Repository() string { return n.name }

// Close releases the directory.
func (n *Node) Close() error { return n.disk.root.Close() }

// Serve answers requests on l, which it closes, until ctx ends; then requests
// under way get five seconds.
func (n *Node) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           n,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      maxPackTime + maxSendTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-served
	return err
}

// ServeHTTP lets in who has the token, with requests that have no body.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	switch {
	case subtle.ConstantTimeCompare(sum[:], n.token[:]) != 1:
		w.Header().Set("WWW-Authenticate", "Bearer")
		n.refuse(w, http.StatusUnauthorized, "send the node's token in the header Authorization: Bearer")
	case r.ContentLength != 0:
		w.Header().Set("Connection", "close")
		n.refuse(w, http.StatusRequestEntityTooLarge, "send no body")
	default:
		n.mux.ServeHTTP(w, r)
	}
}

func (n *Node) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for path, get := range map[string]http.HandlerFunc{
		"/v1/health":                      n.health,
		"/v1/repositories":                n.repositories,
		"/v1/repositories/{repo}/files":   n.files,
		"/v1/repositories/{repo}/archive": n.archive,
		"/v1/repositories/{repo}/file":    n.file,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			switch repo := r.PathValue("repo"); {
			case r.Method != http.MethodGet:
				w.Header().Set("Allow", http.MethodGet)
				n.refuse(w, http.StatusMethodNotAllowed, "use GET")
			case repo != "" && repo != n.name:
				n.refuse(w, http.StatusNotFound, fmt.Sprintf("this node has no repository %q, only %q", repo, n.name))
			default:
				get(w, r)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n.refuse(w, http.StatusNotFound, "there is nothing at this path; see the protocol's description")
	})
	return mux
}

func (n *Node) health(w http.ResponseWriter, _ *http.Request) { n.json(w, health{Status: "ok"}) }

func (n *Node) repositories(w http.ResponseWriter, _ *http.Request) {
	kind := "folder"
	if n.disk.repo != nil {
		kind = "git"
	}
	n.json(w, repositories{[]repository{{Name: n.name, Kind: kind}}})
}

func (n *Node) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		n.log.Warn("send an answer", "err", err)
	}
}

func (n *Node) refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", typeProblem)
	w.WriteHeader(status)
	body := problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		n.log.Warn("send an answer", "err", err)
	}
}

// fail answers with what went wrong. What is the caller's or the tree's fault is
// said in full; the rest only to the log.
func (n *Node) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	detail := "the node could not read its code; its log says why"
	for _, c := range []struct {
		reason error
		status int
	}{
		{platform.ErrNotFound, http.StatusNotFound},
		{platform.ErrInvalid, http.StatusBadRequest},
		{platform.ErrTooLarge, http.StatusRequestEntityTooLarge},
		{snapshot.ErrTooLarge, http.StatusRequestEntityTooLarge},
		{snapshot.ErrInvalid, http.StatusUnprocessableEntity},
		{os.ErrPermission, http.StatusUnprocessableEntity},
		{snapshot.ErrChanged, http.StatusConflict},
		{errBusy, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, c.reason) {
			status, detail = c.status, err.Error()
			break
		}
	}
	switch status {
	case http.StatusConflict, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusInternalServerError:
		n.log.Error("serve code", "path", r.URL.Path, "err", err)
	}
	n.refuse(w, status, detail)
}
