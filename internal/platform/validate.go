package platform

import (
	"net"
	"net/url"
	"strings"

	"integrationhub/internal/hub"
)

// Validate checks what an event or a person may name: never a path of this
// machine, never an option of a command, never a credential. The error is
// ErrInvalid and names the field: "base_url", "repository" or "ref".
func Validate(kind hub.Platform, baseURL, repository, ref string) error {
	if _, err := hub.ParsePlatform(string(kind)); err != nil {
		return Refuse(ErrInvalid, "%v", err)
	}
	for _, f := range []struct {
		name string
		err  error
	}{{"base_url", hub.CheckBase(kind, baseURL)}, {"repository", hub.CheckRepository(repository)}, {"ref", hub.CheckRef(ref)}} {
		if f.err != nil {
			return Refuse(ErrInvalid, "%s: %v", f.name, f.err)
		}
	}
	return nil
}

// Split cuts the URL of a repository, as people copy it from a code host, into
// base URL and repository. The error is ErrInvalid.
func Split(rawURL string) (baseURL, repository string, err error) {
	u, err := url.Parse(rawURL)
	// The text is not repeated in the errors: it may hold a credential.
	if err != nil || u.Host == "" {
		return "", "", Refuse(ErrInvalid, "url: give one like https://host/owner/repository or ssh://git@host/owner/repository")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", "", Refuse(ErrInvalid, "url: leave out the query and the fragment")
	}
	repository = strings.Trim(u.Path, "/")
	u.Path, u.RawPath = "", ""
	if err := Validate(hub.Git, u.String(), repository, ""); err != nil {
		return "", "", err
	}
	return u.String(), repository, nil
}

// CheckTarget is what every source does first: Validate, and refuse to send a
// token where others can read it.
func CheckTarget(t Target) error {
	if err := Validate(t.Kind, t.BaseURL, t.Repository, t.Ref); err != nil {
		return err
	}
	if t.Token == "" {
		return nil
	}
	if strings.ContainsFunc(t.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Refuse(ErrInvalid, "token: it holds a space or a character that is not ASCII; store the credential again")
	}
	u, err := url.Parse(t.BaseURL)
	if err != nil {
		return Refuse(ErrInvalid, "base_url: give a URL like https://code.example.org")
	}
	switch ip := net.ParseIP(u.Hostname()); {
	case u.Scheme == "ssh":
		return Refuse(ErrInvalid, "token: ssh takes a key, not a token; use an https base URL")
	case u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()):
		return Refuse(ErrInvalid, "base_url: a token is not sent over plain http to another machine; use https")
	}
	return nil
}
