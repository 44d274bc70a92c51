package rules

import (
	"fmt"
	"strings"

	"integrationhub/internal/analysis/metric"
	"integrationhub/internal/analysis/syntax"
)

// metricRule finds functions over a threshold. It is our own "mode: metric" with
// the keys metric and above; in its message $FUNCTION, $VALUE and $ABOVE are filled in.
type metricRule struct {
	above   int
	measure func(metric.Function) int
}

func newMetricRule(name string, above int) (*metricRule, error) {
	if above < 1 {
		return nil, fmt.Errorf("above %d must be 1 or more", above)
	}
	m := &metricRule{above: above}
	switch name {
	case "complexity":
		m.measure = func(f metric.Function) int { return f.Complexity }
	case "lines":
		m.measure = func(f metric.Function) int { return f.Lines }
	default:
		return nil, fmt.Errorf("metric %q is not complexity or lines", name)
	}
	return m, nil
}

// find points at the name of a function, or else at its first line.
func (m *metricRule) find(r *Rule, t *syntax.Tree) []Found {
	var out []Found
	for _, f := range metric.Functions(t) {
		v := m.measure(f)
		if v <= m.above {
			continue
		}
		start, end := f.Node.Start, f.Node.End
		if n := f.Node.Kids[1]; n != nil {
			start, end = n.Start, n.End
		} else if i := strings.IndexByte(t.Source[start:end], '\n'); i >= 0 {
			end = start + i
		}
		fill := strings.NewReplacer("$FUNCTION", f.Name, "$VALUE", fmt.Sprint(v), "$ABOVE", fmt.Sprint(m.above))
		out = append(out, Found{Rule: r, Start: start, End: end, Message: fill.Replace(r.Message)})
	}
	return out
}
