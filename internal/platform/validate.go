package platform

import (
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"integrationhub/internal/hub"
)

// maxField caps the base URL, the repository and the ref, in bytes each.
const maxField = 1024

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// IsCommitID reports whether s is a whole commit id: 40 or 64 lower-case hex digits.
func IsCommitID(s string) bool { return commitID.MatchString(s) }

// Validate checks what an event or a person may name: never a path of this
// machine, never an option of a command, never a credential. The error is
// ErrInvalid and names the field: "base_url", "repository" or "ref".
func Validate(kind hub.Platform, baseURL, repository, ref string) error {
	if _, err := hub.ParsePlatform(string(kind)); err != nil {
		return Refuse(ErrInvalid, "%v", err)
	}
	if err := checkBaseURL(kind, baseURL); err != nil {
		return err
	}
	if err := checkRepository(repository); err != nil {
		return err
	}
	return CheckRef(ref)
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

func checkBaseURL(kind hub.Platform, raw string) error {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxField || u.Opaque != "" || u.Host == "" {
		return Refuse(ErrInvalid, "base_url: give a URL of at most %d bytes like https://code.example.org", maxField)
	}
	schemes := []string{"https", "http"}
	if kind == hub.Git {
		schemes = append(schemes, "ssh")
	}
	if !slices.Contains(schemes, u.Scheme) {
		return Refuse(ErrInvalid, "base_url: the scheme %q is not one of %s", u.Scheme, strings.Join(schemes, ", "))
	}
	// The user of ssh is an account's name, no secret, and most hosts need it.
	if u.User != nil {
		if _, secret := u.User.Password(); secret || u.Scheme != "ssh" || !userName.MatchString(u.User.Username()) {
			return Refuse(ErrInvalid, "base_url: take the credential out of the URL and store it with the connection")
		}
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return Refuse(ErrInvalid, "base_url: leave out the query and the fragment")
	}
	if net.ParseIP(u.Hostname()) == nil && !hostName.MatchString(u.Hostname()) {
		return Refuse(ErrInvalid, "base_url: %q is not a host name or an address", u.Hostname())
	}
	if p := strings.Trim(u.Path, "/"); p != "" {
		return checkCleanPath("base_url", p)
	}
	return nil
}

func checkRepository(repository string) error {
	if repository == "" || len(repository) > maxField {
		return Refuse(ErrInvalid, "repository: give a path below the base URL of 1 to %d bytes, like team/shop", maxField)
	}
	return checkCleanPath("repository", repository)
}

func checkCleanPath(field, p string) error {
	if path.Clean(p) != p || path.IsAbs(p) || p == "." || p == ".." || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "-") {
		return Refuse(ErrInvalid, "%s: %q is not a clean relative path", field, p)
	}
	if strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`\?#%:@`, r) }) {
		return Refuse(ErrInvalid, `%s: %q holds a space, a control character or one of \?#%%:@`, field, p)
	}
	return nil
}

// CheckRef applies the rules of git check-ref-format, and refuses what a command
// would take for an option. Empty is fine: it means the source's default. The
// error is ErrInvalid.
func CheckRef(ref string) error {
	bad := len(ref) > maxField || ref == "@" ||
		strings.HasPrefix(ref, "-") || strings.HasSuffix(ref, ".") ||
		strings.Contains(ref, "..") || strings.Contains(ref, "@{") ||
		strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
	for name := range strings.SplitSeq(ref, "/") {
		bad = bad || ref != "" && name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".lock")
	}
	if bad {
		return Refuse(ErrInvalid, "ref: %q is not a branch, a tag, a full ref or a commit id", ref)
	}
	return nil
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
