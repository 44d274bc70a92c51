package sidenode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/snapshot"
)

// Source fetches from a SIDE node.
type Source struct {
	client *http.Client
	stall  time.Duration // how long a node may send nothing
}

// NewSource returns a Source. It keeps no connection open between calls.
func NewSource() *Source {
	return &Source{
		stall: time.Minute,
		client: &http.Client{
			Timeout: maxWait + maxPackTime + maxSendTime,
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSHandshakeTimeout:    10 * time.Second,
				ResponseHeaderTimeout:  maxWait + maxPackTime,
				MaxResponseHeaderBytes: 64 << 10,
				DisableKeepAlives:      true,
				DisableCompression:     true,
			},
			// A redirect would take the token along.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Kind is hub.SideNode.
func (s *Source) Kind() hub.Platform { return hub.SideNode }

// Check asks the node for its repositories.
func (s *Source) Check(ctx context.Context, t platform.Target) error {
	if err := platform.CheckTarget(t); err != nil {
		return err
	}
	res, err := s.get(ctx, t, "/v1/repositories", "application/json")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var list repositories
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&list); err != nil {
		return fmt.Errorf("ask %s for its repositories: %w", t.BaseURL, err)
	}
	if !slices.ContainsFunc(list.Repositories, func(r repository) bool { return r.Name == t.Repository }) {
		return platform.Refuse(platform.ErrNotFound, "the node at %s has no repository %q; ask it for /v1/repositories", t.BaseURL, t.Repository)
	}
	return nil
}

// Fetch packs what the node sends, and checks that it is what the node says it
// is. The revision of a work tree names its content, so the same content is the
// same revision.
func (s *Source) Fetch(ctx context.Context, t platform.Target, w *snapshot.Writer) (platform.Revision, error) {
	if err := platform.CheckTarget(t); err != nil {
		return platform.Revision{}, err
	}
	want := t.Ref
	if t.Commit != "" {
		if want = t.Commit; !hub.IsCommitID(want) && !workTreeRevision.MatchString(want) {
			return platform.Revision{}, platform.Refuse(platform.ErrInvalid, "commit: %q is not a commit id or a revision of a work tree", want)
		}
	}
	path := "/v1/repositories/" + url.PathEscape(t.Repository) + "/archive?" + url.Values{"ref": {want}}.Encode()
	res, err := s.get(ctx, t, path, typeArchive)
	if err != nil {
		return platform.Revision{}, err
	}
	body := s.watch(res.Body)
	defer body.Close()
	entries, err := w.AddArchive(body)
	if err != nil {
		err = platform.PackError(err)
		if refusal := (*platform.Refusal)(nil); errors.As(err, &refusal) {
			return platform.Revision{}, refusal
		}
		return platform.Revision{}, fmt.Errorf("fetch %q from %s: %w", t.Repository, t.BaseURL, err)
	}
	rev, err := revision(res.Header, t, entries)
	if err == nil && len(entries) == 0 {
		err = platform.Refuse(platform.ErrEmpty, "%q at %s has no files; add some code first", t.Repository, t.BaseURL)
	}
	return rev, err
}

// revision is what the headers say, once it was checked against the content.
func revision(h http.Header, t platform.Target, entries []hub.Entry) (platform.Revision, error) {
	commit := h.Get(headerRevision)
	ref, err := decodeRef(h.Get(headerRef))
	broken := err != nil || ref == "" || hub.CheckRef(ref) != nil
	switch {
	case broken, !hub.IsCommitID(commit) && !workTreeRevision.MatchString(commit):
		return platform.Revision{}, platform.Refuse(platform.ErrInvalid, "the node at %s does not say what it sent; update it", t.BaseURL)
	case workTreeRevision.MatchString(commit) && commit != revisionOf(entries),
		t.Commit != "" && commit != t.Commit:
		return platform.Revision{}, fmt.Errorf("fetch %q from %s: the node sent other code than it said", t.Repository, t.BaseURL)
	}
	if t.Commit != "" && t.Ref != "" {
		ref = t.Ref
	}
	return platform.Revision{Commit: commit, Ref: ref}, nil
}

// get sends one request. The caller closes the body, which is of the wanted type.
func (s *Source) get(ctx context.Context, t platform.Target, path, contentType string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(t.BaseURL, "/")+path, nil)
	if err != nil {
		return nil, platform.Refuse(platform.ErrInvalid, "base_url: give a URL like https://laptop.example.org:7070")
	}
	req.Header.Set("Accept", contentType+", "+typeProblem)
	if t.Token != "" {
		req.Header.Set("Authorization", "Bearer "+t.Token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the node: %w", err)
	}
	got := res.Header.Get("Content-Type")
	if res.StatusCode == http.StatusOK && got == contentType {
		return res, nil
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil, platform.Refuse(platform.ErrInvalid, "base_url: %s answers with %q, so it is not a SIDE node", t.BaseURL, got)
	}
	return nil, explain(res, t)
}

// explain makes an answer that is no success an error with the node's own words.
func explain(res *http.Response, t platform.Target) error {
	var p problem
	// Whatever is no problem document leaves the detail empty.
	_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&p)
	said := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, p.Detail)
	text := platform.Scrub(fmt.Sprintf("the node at %s says %s %.300s", t.BaseURL, res.Status, said), t.Token)
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return platform.Refuse(platform.ErrDenied, "%s; store the node's token with the connection", text)
	case http.StatusNotFound:
		return platform.Refuse(platform.ErrNotFound, "%s", text)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return platform.Refuse(platform.ErrInvalid, "%s", text)
	case http.StatusRequestEntityTooLarge:
		return platform.Refuse(platform.ErrTooLarge, "%s", text)
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &platform.RetryAfter{After: retryAfter(res.Header), Text: text}
	}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		return platform.Refuse(platform.ErrInvalid, "base_url: %s redirects to another place; name that one", t.BaseURL)
	}
	return errors.New(text)
}

// retryAfter is between a second and an hour.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil {
		seconds = 30
	}
	return time.Duration(min(max(seconds, 1), 3600)) * time.Second
}

// watch closes a body that brings nothing for too long.
func (s *Source) watch(body io.ReadCloser) io.ReadCloser {
	return &watched{ReadCloser: body, stall: s.stall, timer: time.AfterFunc(s.stall, func() { body.Close() })}
}

type watched struct {
	io.ReadCloser
	stall time.Duration
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if !w.timer.Reset(w.stall) {
		w.timer.Stop()
		return n, fmt.Errorf("the node sent nothing for %v", w.stall)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
