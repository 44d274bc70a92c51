package rules

import (
	"regexp"
	"strings"

	"integrationhub/internal/analysis/match"
	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/hub"
)

// fix makes the edit that removes a finding: a template with metavariables in
// place of the match, or a replacement by regular expression within it.
type fix struct {
	template    string
	regex       *match.Regexp
	replacement string
	count       int
}

// group is a group of Python's replacement syntax, \1.
var group = regexp.MustCompile(`\\(\d)`)

func newRegexFix(expr, replacement string, count int) (*fix, error) {
	re, err := match.CompileRegexp(expr, false)
	by := group.ReplaceAllString(strings.ReplaceAll(replacement, "$", "$$"), "$${$1}")
	return &fix{regex: re, replacement: by, count: count}, err
}

// of is the fix of one match, nil where it would change nothing.
func (f *fix) of(class hub.FixClass, x found, t *syntax.Tree) *hub.Fix {
	old := t.Text(x.Start, x.End)
	end := x.End
	var text string
	if f.regex != nil {
		text = f.regex.Replace(old, f.replacement, f.count)
	} else {
		text = interpolate(indent(f.template, t, x.Start), x.Env, t, whole)
		if strings.HasSuffix(text, ";") && strings.HasPrefix(t.Source[end:], ";") {
			// A match ends before its semicolon; the template brings its own.
			end++
		}
	}
	if text == t.Text(x.Start, end) {
		return nil
	}
	return &hub.Fix{Class: class, Edits: []hub.Edit{{Start: x.Start, End: end, New: text}}}
}

// indent gives the later lines of a template the indentation of the match.
func indent(template string, t *syntax.Tree, at int) string {
	template = strings.TrimRight(template, "\n")
	if !strings.Contains(template, "\n") {
		return template
	}
	line := t.Source[t.LineStart(t.Line(at)):at]
	space := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	return strings.ReplaceAll(template, "\n", "\n"+space)
}

var metavariable = regexp.MustCompile(`\$(?:\.\.\.)?([A-Z_][A-Z0-9_]*|[1-9][0-9]*)`)

// maxShown is how much of a metavariable a message shows, in bytes.
const maxShown = 80

func whole(s string) string { return s }

// shorten is what fits into a sentence.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s
}

// interpolate fills metavariables into text; one that is not bound stays.
func interpolate(text string, env *match.Binding, t *syntax.Tree, show func(string) string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	return metavariable.ReplaceAllStringFunc(text, func(s string) string {
		b := env.Get("$" + strings.TrimLeft(s, "$."))
		if b == nil {
			return s
		}
		return show(b.Source(t))
	})
}
