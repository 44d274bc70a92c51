package match

import "integrationhub/internal/analysis/syntax"

// maxRuns bounds the ways in which statements in a row are found from one place.
const maxRuns = 24

// run is statements in a row that match: the bytes [start, end).
type run struct {
	env   *Binding
	start int
	end   int
}

func envsOf(rs []run) []*Binding {
	var out []*Binding
	for _, r := range rs {
		out = append(out, r.env)
	}
	return out
}

// findStatements looks for statements in a row from every statement of every block.
func (m *Matcher) findStatements(ps []*syntax.Node) []Match {
	var out []Match
	for _, b := range m.tree.ByKind(syntax.Block) {
		for i := range b.Kids {
			for _, r := range m.statements(ps, b.Kids[i:], nil, false) {
				out = append(out, Match{Start: r.start, End: r.end, Env: r.env})
			}
			if ps[0].Kind == syntax.Ellipsis {
				break
			}
		}
	}
	return Distinct(out)
}

// row is the search for statements in a row.
type row struct {
	*Matcher
	whole bool // the pattern must reach the end of the block
	out   []run
}

// place is where the search stands.
type place struct {
	run
	begun  bool
	limit  int  // where the block ends that "..." runs through
	nested bool // "..." was passed: the statements are those of nested blocks too
}

// statements matches patterns with statements in a row. "..." also goes down
// into nested blocks, but never into another function or class.
func (m *Matcher) statements(ps, ts []*syntax.Node, env *Binding, whole bool) []run {
	r := &row{Matcher: m, whole: whole}
	r.search(ps, ts, place{run: run{env: env}, limit: -1})
	return r.out
}

func (r *row) search(ps, ts []*syntax.Node, at place) {
	if len(r.out) >= maxRuns || r.Over() {
		return
	}
	if len(ps) == 0 {
		if !r.whole || len(ts) == 0 || at.nested {
			r.out = append(r.out, at.run)
		}
		return
	}
	if ps[0].Kind == syntax.Ellipsis {
		r.ellipsis(ps, ts, at)
		return
	}
	if len(ts) == 0 {
		return
	}
	t := ts[0]
	for _, env := range r.statement(ps[0], t, at.env) {
		next := at
		next.env = env
		next.begin(t)
		next.end = max(next.end, t.End)
		r.search(ps[1:], ts[1:], next)
		if !at.nested || len(ps) < 2 || ps[1].Kind == syntax.Ellipsis {
			continue
		}
		// The next statement may also stand after this one's nested blocks.
		skip := 1
		for skip < len(ts) && ts[skip].Start >= t.Start && ts[skip].End <= t.End {
			skip++
		}
		if skip > 1 {
			r.search(ps[1:], ts[skip:], next)
		}
	}
}

func (p *place) begin(t *syntax.Node) {
	if !p.begun {
		p.start, p.begun = t.Start, true
	}
}

func (r *row) ellipsis(ps, ts []*syntax.Node, at place) {
	for len(ps) > 1 && ps[1].Kind == syntax.Ellipsis {
		ps = ps[1:]
	}
	if len(ts) > 0 {
		at.begin(ts[0])
	}
	if len(ps) == 1 {
		for _, t := range ts {
			at.end = max(at.end, t.End)
		}
		at.end = max(at.end, at.limit)
		r.out = append(r.out, at.run)
		return
	}
	flat := ts
	if !at.nested {
		flat = nil
		for _, t := range ts {
			flat = nestedIn(append(flat, t), t, true)
			at.limit = max(at.limit, t.End)
		}
	}
	at.nested = true
	for i := 0; i < len(flat) && len(r.out) < maxRuns; i++ {
		r.search(ps[1:], flat[i:], at)
	}
}

// nestedIn appends the statements in the blocks of t.
func nestedIn(out []*syntax.Node, t *syntax.Node, top bool) []*syntax.Node {
	if t.Kind == syntax.Class || !top && t.Kind == syntax.Func {
		return out
	}
	for _, k := range t.Kids {
		switch {
		case k == nil:
		case k.Kind == syntax.Block:
			for _, s := range k.Kids {
				if s != nil {
					out = nestedIn(append(out, s), s, true)
				}
			}
		case len(k.Kids) > 0 && (top || k.Kind != syntax.Func):
			out = nestedIn(out, k, false)
		}
	}
	return out
}

// statement matches one statement. An expression also matches inside a
// statement: f() in x = f() and in return f().
func (r *row) statement(p, t *syntax.Node, env *Binding) []*Binding {
	if out := r.match(p, t, env); out != nil {
		return out
	}
	switch p.Kind {
	case syntax.Call, syntax.Member, syntax.Ident, syntax.New, syntax.Index, syntax.Binary, syntax.Unary,
		syntax.String, syntax.Template, syntax.Deep, syntax.Await:
		var out []*Binding
		r.inStatement(p, t, env, &out)
		return out
	}
	return nil
}

func (r *row) inStatement(p, t *syntax.Node, env *Binding, out *[]*Binding) {
	for _, k := range t.Kids {
		if k == nil || len(*out) >= maxBindings {
			continue
		}
		switch k.Kind {
		case syntax.Block, syntax.Func, syntax.Class, syntax.Decorators:
			continue
		}
		*out = append(*out, r.match(p, k, env)...)
		r.inStatement(p, k, env, out)
	}
}
