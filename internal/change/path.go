package change

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxPath      = 4096 // bytes, Linux's PATH_MAX
	maxComponent = 255  // bytes, NAME_MAX of the common file systems
)

var (
	drive = regexp.MustCompile(`^[A-Za-z]:`)
	// The 8.3 names that Windows gives to .git and node_modules.
	shortGit     = regexp.MustCompile(`^git~[0-9]+$`)
	shortModules = regexp.MustCompile(`^node_m~[0-9]+$`)
)

// CheckPath refuses a path that a change set may not name: one that is not a
// clean, relative, slash-separated path, and one below .git or node_modules in
// any spelling that some file system takes for these names.
func CheckPath(p string) error {
	switch {
	case p == "":
		return errors.New("is empty; name a file relative to the repository's root")
	case len(p) > maxPath:
		return errors.New("is longer than 4096 bytes")
	case !utf8.ValidString(p):
		return errors.New("is not UTF-8")
	case strings.ContainsRune(p, 0):
		return errors.New("holds a NUL byte")
	case strings.Contains(p, `\`):
		return errors.New(`holds a backslash; separate directories by "/"`)
	case strings.HasPrefix(p, "/") || drive.MatchString(p):
		return errors.New("is absolute; make it relative to the repository's root")
	}
	for part := range strings.SplitSeq(p, "/") {
		if err := checkComponent(part); err != nil {
			return err
		}
	}
	return nil
}

func checkComponent(part string) error {
	if len(part) > maxComponent {
		return errors.New("has a part longer than 255 bytes")
	}
	switch name := plain(part); {
	case name == "":
		return errors.New(`has a part that is empty or only dots; leave out "." and "..", a change may not leave the repository`)
	case name == ".git", shortGit.MatchString(name):
		return errors.New("is in .git, which a change may not touch")
	case name == "node_modules", shortModules.MatchString(name):
		return errors.New("is in node_modules, which a change may not touch")
	}
	return nil
}

// plain is the name that the most forgiving file systems take part for: NTFS
// cuts a stream after ":" and trailing dots and blanks, HFS+ ignores some code
// points, and most of them compare without case or normalisation.
func plain(part string) string {
	part = strings.Map(func(r rune) rune {
		if ignorable(r) {
			return -1
		}
		return r
	}, part)
	part = norm.NFKC.String(part)
	part, _, _ = strings.Cut(part, ":")
	return fold(strings.TrimRight(part, " ."))
}

// fold maps letters that compare equal without case to the same one. The two
// rounds catch letters such as the long s, whose upper case is a plain S.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// ignorable reports the code points that HFS+ leaves out when it compares names.
// Git refuses the same ones in its own check of .git.
func ignorable(r rune) bool {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f:
		return true
	}
	return r == 0xfeff
}
