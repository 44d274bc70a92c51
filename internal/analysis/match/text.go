package match

import (
	"regexp"
	"strings"

	"integrationhub/internal/analysis/syntax"
)

// text is a string of a pattern: "...", "$X", "=~/re/", "a$X..." or itself.
type text struct {
	any   bool
	meta  string // the one metavariable that takes the whole string
	expr  *Regexp
	parts *regexp.Regexp // with a named group for each metavariable
	plain string
}

func compileText(s string) (*text, error) {
	switch {
	case s == "...":
		return &text{any: true}, nil
	case metavarName.MatchString(s):
		return &text{meta: s}, nil
	case strings.HasPrefix(s, "=~/") && strings.LastIndexByte(s, '/') > 2:
		end := strings.LastIndexByte(s, '/')
		expr := s[3:end]
		if flags := s[end+1:]; flags != "" {
			expr = "(?" + flags + ")" + expr
		}
		re, err := CompileRegexp(expr, false)
		return &text{expr: re}, err
	case strings.Contains(s, "...") || metavarIn.MatchString(s):
		re, err := regexp.Compile(partsExpr(s))
		return &text{parts: re}, err
	}
	return &text{plain: s}, nil
}

// partsExpr is a regular expression for a string with holes.
func partsExpr(s string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(s); {
		if strings.HasPrefix(s[i:], "...") {
			b.WriteString(".*?")
			i += 3
			continue
		}
		if m := metavarIn.FindStringSubmatchIndex(s[i:]); m != nil && m[0] == 0 {
			b.WriteString("(?P<" + s[i+m[2]:i+m[3]] + ">.*?)")
			i += m[1]
			continue
		}
		b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		i++
	}
	b.WriteString(`\z`)
	return b.String()
}

// matchText compares the string t with a string of the pattern.
func (m *Matcher) matchText(p, t *syntax.Node, env *Binding) []*Binding {
	x := m.pattern.strings[p]
	if t.Kind != syntax.String || x == nil {
		return nil
	}
	switch {
	case x.any:
		return one(env)
	case x.meta != "":
		// What is bound is the text between the quotes.
		off := max(0, (t.End-t.Start-len(t.Text))/2)
		return m.bindText(x.meta, t.Text, t.Start+off, t.End-off, env)
	case x.expr != nil:
		if x.expr.Match(t.Text) {
			return one(env)
		}
		return nil
	case x.parts != nil:
		g := x.parts.FindStringSubmatch(t.Text)
		if g == nil {
			return nil
		}
		for i, name := range x.parts.SubexpNames() {
			if name == "" {
				continue
			}
			next := m.bindText("$"+name, g[i], t.Start, t.End, env)
			if next == nil {
				return nil
			}
			env = next[0]
		}
		return one(env)
	}
	if x.plain == t.Text {
		return one(env)
	}
	return nil
}
