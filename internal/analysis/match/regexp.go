package match

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// regexTimeout bounds one search of an expression that RE2 cannot run.
const regexTimeout = 100 * time.Millisecond

// Regexp runs in linear time where it can; only an expression with look-around
// or back references falls back to one that backtracks, within a time-out.
type Regexp struct {
	linear *regexp.Regexp
	back   *regexp2.Regexp
}

// CompileRegexp reads an expression. Anchored ones match at the beginning of the
// text only; others see "^" and "$" at every line.
func CompileRegexp(expr string, anchored bool) (*Regexp, error) {
	expr = strings.TrimSpace(expr)
	if anchored {
		flags, rest := splitFlags(expr)
		expr = flags + `\A(?:` + rest + ")"
	} else {
		expr = "(?m)" + expr
	}
	linear, err := regexp.Compile(expr)
	if err == nil {
		return &Regexp{linear: linear}, nil
	}
	back, err2 := regexp2.Compile(strings.ReplaceAll(expr, "(?P<", "(?<"), regexp2.None)
	if err2 != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	back.MatchTimeout = regexTimeout
	return &Regexp{back: back}, nil
}

// splitFlags cuts leading flags such as "(?i)", which must stay in front.
func splitFlags(expr string) (flags, rest string) {
	if strings.HasPrefix(expr, "(?") {
		if i := strings.IndexByte(expr, ')'); i > 2 && strings.Trim(expr[2:i], "imsU-") == "" {
			return expr[:i+1], expr[i+1:]
		}
	}
	return "", expr
}

// Match reports whether s holds a match. A search that takes too long finds none.
func (r *Regexp) Match(s string) bool {
	if r.linear != nil {
		return r.linear.MatchString(s)
	}
	ok, err := r.back.MatchString(s)
	return err == nil && ok
}

// All lists the byte ranges of at most max matches in s.
func (r *Regexp) All(s string, limit int) [][2]int {
	var out [][2]int
	if r.linear != nil {
		for _, m := range r.linear.FindAllStringIndex(s, limit) {
			out = append(out, [2]int{m[0], m[1]})
		}
		return out
	}
	// The fallback counts in runes.
	at, runes := 0, 0
	m, err := r.back.FindStringMatch(s)
	for err == nil && m != nil && len(out) < limit {
		for ; runes < m.Index; runes++ {
			_, n := utf8.DecodeRuneInString(s[at:])
			at += n
		}
		out = append(out, [2]int{at, min(len(s), at+len(m.String()))})
		m, err = r.back.FindNextMatch(m)
	}
	return out
}

// Replace replaces the first count matches in s, all of them when count is 0 or
// less; $1 and ${name} stand for groups.
func (r *Regexp) Replace(s, by string, count int) string {
	if r.back != nil {
		if count <= 0 {
			count = -1
		}
		out, err := r.back.Replace(s, by, -1, count)
		if err != nil {
			return s
		}
		return out
	}
	var b strings.Builder
	at := 0
	for i, m := range r.linear.FindAllStringSubmatchIndex(s, -1) {
		if count > 0 && i >= count {
			break
		}
		b.WriteString(s[at:m[0]])
		b.Write(r.linear.ExpandString(nil, by, s, m))
		at = m[1]
	}
	b.WriteString(s[at:])
	return b.String()
}
