package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"integrationhub/internal/app"
	"integrationhub/internal/hub"
)

// source is the code that hub run was pointed at, as a hub can reach it.
type source struct {
	kind       hub.Platform
	base       string
	repository string
	token      string
	close      func()
}

// scp is git's short form of an ssh URL.
var scp = regexp.MustCompile(`^([A-Za-z0-9._-]+@[A-Za-z0-9.-]+):([^/].*)$`)

// newSource makes a source of a URL, or of a directory, which it serves by the
// SIDE node protocol on listen until close.
func newSource(ctx context.Context, what, listen, gitToken string) (*source, error) {
	if m := scp.FindStringSubmatch(what); m != nil {
		what = "ssh://" + m[1] + "/" + m[2]
	}
	if strings.Contains(what, "://") {
		return urlSource(what, gitToken)
	}
	token := newToken()
	node, err := newNode(ctx, what, "", token)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		node.Close()
		return nil, &app.UsageError{Err: fmt.Errorf("--node-listen: %w", err)}
	}
	live, stop := context.WithCancel(context.WithoutCancel(ctx)) // the hub may still ask while ctx ends
	done := make(chan error, 1)
	go func() { done <- node.Serve(live, l) }()
	return &source{
		kind: hub.SideNode, base: "http://" + l.Addr().String(), repository: node.Repository(), token: token,
		close: func() { stop(); <-done; node.Close() },
	}, nil
}

func urlSource(raw, token string) (*source, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, &app.UsageError{Err: fmt.Errorf("%q is not a URL", raw)}
	}
	s := &source{kind: hub.Git, token: token, close: func() {}}
	if _, ok := u.User.Password(); ok || (u.User != nil && u.Scheme != "ssh") {
		return nil, &app.UsageError{Err: errors.New("the URL holds a credential, which would end up in logs; put it into the environment as HUB_GIT_TOKEN instead")}
	}
	s.repository = strings.Trim(u.Path, "/")
	base := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.Scheme == "ssh" {
		base.User = u.User
	}
	s.base = base.String()
	if err := hub.CheckBase(s.kind, s.base); err != nil {
		return nil, &app.UsageError{Err: err}
	}
	if err := hub.CheckRepository(s.repository); err != nil {
		return nil, &app.UsageError{Err: fmt.Errorf("the path of the URL: %w", err)}
	}
	return s, nil
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// connect makes sure that the hub has a connection for the source. forget
// removes it again where it was made for this command only.
func (s *source) connect(ctx context.Context, cl *client) (slug string, forget func(), err error) {
	if s.kind == hub.SideNode || s.token != "" {
		var id [5]byte
		_, _ = rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
		slug = "run-" + hex.EncodeToString(id[:])
		if err := cl.putConnection(ctx, slug, s.kind, s.base, s.token); err != nil {
			return "", nil, err
		}
		return slug, func() {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = cl.deleteConnection(end, slug) // a connection that stays behind points at nothing
		}, nil
	}
	if slug, err = cl.connection(ctx, s.kind, s.base); err != nil || slug != "" {
		return slug, func() {}, err
	}
	name := notSlug.ReplaceAllString(strings.ToLower(s.base), "-")
	slug = fmt.Sprintf("%s-%s", strings.TrimRight(name[:min(len(name), 30)], "-"), hub.BlobHash([]byte(s.base))[:8]) // the hash tells apart what looks alike
	return slug, func() {}, cl.putConnection(ctx, slug, s.kind, s.base, "")
}

// newTrace makes a W3C traceparent that begins a sampled trace.
func newTrace() string {
	var id [24]byte
	_, _ = rand.Read(id[:])
	return fmt.Sprintf("00-%x-%x-01", id[:16], id[16:])
}
