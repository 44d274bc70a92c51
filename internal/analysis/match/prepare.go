package match

import (
	"encoding/hex"
	"regexp"
	"strings"

	"integrationhub/internal/analysis/syntax"
)

// Patterns are source code with a few additions. The additions become ordinary
// identifiers, so that the language's own grammar reads patterns, and finish
// turns those identifiers into pattern nodes again.
const (
	ellipsisName = "__ELL__"
	deepName     = "__DEEP__"
	metaPrefix   = "__MV_"
	restPrefix   = "__ELLMV_"
	typedPrefix  = "__MVT_"
)

var (
	metavarName = regexp.MustCompile(`^\$(?:[A-Z_][A-Z0-9_]*|[1-9][0-9]*)$`)
	metavarIn   = regexp.MustCompile(`\$(?:\.\.\.)?([A-Z_][A-Z0-9_]*)\b`)
	typedMeta   = regexp.MustCompile(`\(\s*\$([A-Z_][A-Z0-9_]*)\s*:\s*([^()\n,]+?)\s*\)`)
	valueIn     = regexp.MustCompile(`\{([^{}]*)\}`)
	valueInJS   = regexp.MustCompile(`\$\{[^{}]*\}`)
)

// variant is one way to write a pattern as code; the first that parses is taken.
type variant struct {
	semicolons bool // end "..." that stands as a statement by ";"
	spread     bool // write "..." between braces as "**..."
	typed      bool // read "($X: T)" as a typed metavariable
}

// preparer rewrites one pattern.
type preparer struct {
	variant
	lang syntax.Language
	src  string
	out  strings.Builder
	open []byte // brackets not closed yet
}

func prepare(lang syntax.Language, src string, v variant) string {
	if v.typed {
		src = typedMeta.ReplaceAllStringFunc(src, func(s string) string {
			m := typedMeta.FindStringSubmatch(s)
			return " " + typedPrefix + hex.EncodeToString([]byte(m[2])) + "_" + m[1] + " "
		})
	}
	p := &preparer{variant: v, lang: lang, src: src}
	for i := 0; i < len(src); {
		i = p.step(i)
	}
	return p.out.String()
}

// step copies or rewrites what begins at i and returns where the next begins.
func (p *preparer) step(i int) int {
	rest := p.src[i:]
	switch c := rest[0]; {
	case c == '"' || c == '\'' || c == '`':
		return p.quoted(i)
	case strings.HasPrefix(rest, "<..."):
		p.out.WriteString(deepName + "(")
		return i + 4
	case strings.HasPrefix(rest, "...>"):
		p.out.WriteString(")")
		return i + 4
	case strings.HasPrefix(rest, "$..."):
		return p.meta(restPrefix, i, i+4)
	case strings.HasPrefix(rest, "..."):
		p.ellipsis(i)
		return i + 3
	case c == '$' && p.lang != syntax.JavaScript:
		return p.meta(metaPrefix, i, i+1)
	case strings.IndexByte("([{", c) >= 0:
		p.open = append(p.open, c)
	case strings.IndexByte(")]}", c) >= 0 && len(p.open) > 0:
		p.open = p.open[:len(p.open)-1]
	}
	p.out.WriteByte(rest[0])
	return i + 1
}

func (p *preparer) meta(prefix string, i, from int) int {
	end := from
	for end < len(p.src) && isWord(p.src[end]) {
		end++
	}
	if end == from {
		p.out.WriteString(p.src[i:from])
		return from
	}
	p.out.WriteString(prefix + p.src[from:end])
	return end
}

// quoted copies a string; only the values inside f-strings and templates are
// code that is rewritten too.
func (p *preparer) quoted(i int) int {
	q := p.src[i : i+1]
	if p.lang == syntax.Python && strings.HasPrefix(p.src[i:], q+q+q) {
		q = q + q + q
	}
	end := i + len(q)
	for end < len(p.src) && !strings.HasPrefix(p.src[end:], q) {
		if p.src[end] == '\\' && q != "`" {
			end++
		}
		end++
	}
	if end >= len(p.src) {
		p.out.WriteString(p.src[i:])
		return len(p.src)
	}
	end += len(q)
	lit := p.src[i:end]
	inner := p.variant
	switch {
	case p.lang == syntax.Python && i > 0 && strings.IndexByte("fF", p.src[i-1]) >= 0:
		lit = valueIn.ReplaceAllStringFunc(lit, func(s string) string {
			return "{" + prepare(p.lang, s[1:len(s)-1], inner) + "}"
		})
	case p.lang == syntax.JavaScript && q == "`":
		lit = valueInJS.ReplaceAllStringFunc(lit, func(s string) string {
			return "${" + prepare(p.lang, s[2:len(s)-1], inner) + "}"
		})
	}
	p.out.WriteString(lit)
	return end
}

func (p *preparer) ellipsis(i int) {
	before, after := lastByte(p.src[:i]), firstByte(p.src[i+3:])
	switch {
	case p.lang == syntax.JavaScript && i+3 < len(p.src) && (p.src[i+3] == '$' || isWord(p.src[i+3])),
		p.lang == syntax.Go && i > 0 && isWord(p.src[i-1]):
		p.out.WriteString("...") // the language's own
		return
	case p.spread && (before == '{' || before == ',') && (after == '}' || after == ','):
		p.out.WriteString("**")
	}
	statement := p.semicolons && p.lang != syntax.Python
	if statement && after == '}' && len(p.open) > 0 && p.open[len(p.open)-1] == '{' && (before == ')' || isWord(before)) {
		p.out.WriteString(";") // "f() ... }" on one line
		before = ';'
	}
	p.out.WriteString(ellipsisName)
	if statement && p.standsAlone(i, before, after) {
		p.out.WriteString(";")
	}
}

// standsAlone reports whether the ellipsis at i is a statement.
func (p *preparer) standsAlone(i int, before, after byte) bool {
	if len(p.open) > 0 && p.open[len(p.open)-1] != '{' || strings.IndexByte(",).];", after) >= 0 && after != 0 {
		return false
	}
	line := p.src[strings.LastIndexByte(p.src[:i], '\n')+1 : i]
	return strings.TrimSpace(line) == "" && before != ',' || before == 0 || before == '{' || before == ';' || before == '}'
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func lastByte(s string) byte {
	if s = strings.TrimRight(s, " \t\r\n"); s == "" {
		return 0
	}
	return s[len(s)-1]
}

func firstByte(s string) byte {
	if s = strings.TrimLeft(s, " \t\r\n"); s == "" {
		return 0
	}
	return s[0]
}

// dedent cuts the indentation that all lines share.
func dedent(s string) string {
	lines := strings.Split(strings.TrimRight(s, " \t\r\n"), "\n")
	common := -1
	for _, l := range lines {
		if trimmed := strings.TrimLeft(l, " \t"); trimmed != "" && (common < 0 || len(l)-len(trimmed) < common) {
			common = len(l) - len(trimmed)
		}
	}
	for i, l := range lines {
		lines[i] = l[min(max(common, 0), len(l)):]
	}
	return strings.TrimLeft(strings.Join(lines, "\n"), "\n")
}
