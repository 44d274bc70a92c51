package hub

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxName caps a base URL, a repository and a ref, in bytes each.
const maxName = 1024

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// CheckBase refuses a base URL that a hub may not be pointed at: a path of the
// machine, one that holds a credential, or a scheme that the kind of host has not.
func CheckBase(kind Platform, raw string) error {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxName || u.Opaque != "" || u.Host == "" {
		return fmt.Errorf("give a URL of at most %d bytes like https://code.example.org", maxName) // not repeated: it may hold a credential
	}
	schemes := []string{"https", "http"}
	if kind == Git {
		schemes = append(schemes, "ssh")
	}
	if !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("the scheme %q is not one of %s", u.Scheme, strings.Join(schemes, ", "))
	}
	// The user of ssh is an account's name, no secret, and most hosts need it.
	if u.User != nil {
		if _, secret := u.User.Password(); secret || u.Scheme != "ssh" || !userName.MatchString(u.User.Username()) {
			return errors.New("take the credential out of the URL and store it with the connection")
		}
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("leave out the query and the fragment")
	}
	if net.ParseIP(u.Hostname()) == nil && !hostName.MatchString(u.Hostname()) {
		return fmt.Errorf("%q is not a host name or an address", u.Hostname())
	}
	if p := strings.Trim(u.Path, "/"); p != "" {
		return checkCleanPath(p)
	}
	return nil
}

// CheckRepository refuses a repository that is not a clean path below its
// connection's base URL.
func CheckRepository(s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("give the path below the connection's base URL, of 1 to %d bytes, such as owner/name", maxName)
	}
	return checkCleanPath(s)
}

func checkCleanPath(p string) error {
	if path.Clean(p) != p || path.IsAbs(p) || p == "." || p == ".." || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "-") {
		return fmt.Errorf("%q is not a clean relative path, such as owner/name", p)
	}
	if strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`\?#%:@`, r) }) {
		return fmt.Errorf(`%q holds a space, a control character or one of \?#%%:@`, p)
	}
	return nil
}

// CheckRef applies the rules of git check-ref-format, and refuses what a command
// would take for an option. Empty is fine: it means the default branch.
func CheckRef(ref string) error {
	bad := len(ref) > maxName || ref == "@" ||
		strings.HasPrefix(ref, "-") || strings.HasSuffix(ref, ".") ||
		strings.Contains(ref, "..") || strings.Contains(ref, "@{") ||
		strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
	for name := range strings.SplitSeq(ref, "/") {
		bad = bad || ref != "" && name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".lock")
	}
	if bad {
		return fmt.Errorf("%q is not a branch, a tag, a full ref or a commit id", ref)
	}
	return nil
}

// IsCommitID reports whether s is a whole commit id: 40 or 64 lower-case hex digits.
func IsCommitID(s string) bool { return commitID.MatchString(s) }
