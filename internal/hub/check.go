package hub

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// CheckRepository refuses a repository that is not a clean path below its
// connection's base URL: at most 512 bytes, no leading slash, no "..".
func CheckRepository(s string) error {
	switch {
	case s == "":
		return errors.New("is missing; give the path below the connection's base URL, such as owner/name")
	case len(s) > 512:
		return fmt.Errorf("has %d bytes; at most 512 are taken", len(s))
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "-"), strings.Contains(s, `\`), path.Clean(s) != s, strings.HasPrefix(s, ".."), s == ".":
		return fmt.Errorf("%q is not a clean relative path; give the path below the connection's base URL, such as owner/name", s)
	case strings.Contains(s, "://"), strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%q is a URL or holds control characters; give the path below the connection's base URL, such as owner/name", s)
	}
	return nil
}

// CheckRef refuses what git-check-ref-format would refuse as a branch, a tag or
// a full ref; empty means the default branch.
func CheckRef(s string) error {
	bad := s != "" && (len(s) > 255 || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") ||
		strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".lock") || strings.Contains(s, "..") || strings.Contains(s, "//") ||
		strings.Contains(s, "@{") || strings.Contains(s, "/.") || strings.HasPrefix(s, ".") || s == "@" ||
		strings.ContainsAny(s, " ~^:?*[\\") || strings.ContainsFunc(s, unicode.IsControl))
	if bad {
		return fmt.Errorf("%q is not a ref name; give a branch, a tag or a full ref such as refs/heads/main", s)
	}
	return nil
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})?$`)

// CheckCommit refuses what is not a full commit id; empty means none is pinned.
func CheckCommit(s string) error {
	if !commitID.MatchString(s) {
		return fmt.Errorf("%q is not a commit id; give all 40 (or 64) lower-case hex digits", s)
	}
	return nil
}

// CheckBase refuses a base URL that a hub may not be pointed at.
func CheckBase(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is not an absolute URL; give one like https://git.example.org", raw)
	case u.User != nil && u.Scheme != "ssh":
		return fmt.Errorf("the URL holds a user name or password; give it as the credential instead")
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh":
		return fmt.Errorf("scheme %q is not taken; use https, http or ssh", u.Scheme)
	}
	return nil
}
