// Package platform speaks to code hosts: it fetches the code of a repository at a
// revision. Each kind of host is a package below this one; package all lists them.
package platform

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/snapshot"
)

// Target says what to fetch, and from where. Validate checks what comes from outside.
type Target struct {
	Kind       hub.Platform
	BaseURL    string // scheme and host, perhaps a path: "https://code.example.org"
	Token      string // credential; empty where none is needed
	Repository string // path below BaseURL: "team/shop.git"
	Ref        string // branch, tag, full ref or commit id; empty is the source's default
	Commit     string // exact commit; when set, Ref is only reported back
}

// Revision is what was fetched.
type Revision struct {
	Commit string // commit id, or a name made from the content where the source has no commits
	Ref    string // the ref as resolved: "refs/heads/main"
}

// Source is one kind of code host. Its methods may be called at the same time.
// Their errors are the ones below; every other error is transient.
type Source interface {
	// Kind is the kind of host that this source speaks to.
	Kind() hub.Platform
	// Check tells whether the repository can be reached with the token.
	Check(ctx context.Context, t Target) error
	// Fetch writes the code to w, which the caller closes after success and
	// drops after an error.
	Fetch(ctx context.Context, t Target, w *snapshot.Writer) (Revision, error)
}

// The errors that a caller decides by. None of them goes away by trying again.
var (
	// ErrNotFound means that the host has no such repository or ref.
	ErrNotFound = errors.New("not found")
	// ErrDenied means a missing or wrong credential, or one without the right.
	ErrDenied = errors.New("denied")
	// ErrEmpty means a repository without commits, or a tree without files.
	ErrEmpty = errors.New("empty")
	// ErrInvalid means input that no host would take, or code that cannot be packed.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge means that a cap was passed.
	ErrTooLarge = errors.New("too large")
)

// RetryAfter is the error of a host that asks for patience.
type RetryAfter struct {
	After time.Duration
	Text  string
}

func (e *RetryAfter) Error() string { return e.Text }

// Refusal is a sentence for people, with the error that a caller decides by.
type Refusal struct {
	Reason error // one of the Err values
	Text   string
}

func (e *Refusal) Error() string { return e.Text }
func (e *Refusal) Unwrap() error { return e.Reason }

// Refuse makes a Refusal; the text should name the remedy.
func Refuse(reason error, format string, args ...any) error {
	return &Refusal{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// PackError turns an error of package snapshot into a Refusal, and leaves others alone.
func PackError(err error) error {
	switch {
	case errors.Is(err, snapshot.ErrTooLarge):
		return Refuse(ErrTooLarge, "%v; leave generated or vendored files out of the repository", err)
	case errors.Is(err, snapshot.ErrInvalid):
		return Refuse(ErrInvalid, "%v", err)
	}
	return err
}

// Scrub replaces secret in text, as it is and as it looks inside of a URL.
func Scrub(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.NewReplacer(secret, "***", url.QueryEscape(secret), "***", url.PathEscape(secret), "***").Replace(text)
}
