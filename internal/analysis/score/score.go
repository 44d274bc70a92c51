// Package score turns findings into one number from 0 to 100 and a level of risk.
// It never does I/O, and docs/scoring.md shows how to reach the same numbers by hand:
// all arithmetic is in whole numbers, so nothing depends on rounding inside a machine.
package score

import "integrationhub/internal/hub"

// NotRated is the value of a code base of which no line was read.
const NotRated = -1

// Score is the result, with the arithmetic that leads to it.
type Score struct {
	Value      int         `json:"value"` // 0 to 100, or NotRated
	Risk       hub.Risk    `json:"risk"`
	Dimensions []Dimension `json:"dimensions"` // all six, in a fixed order; empty when not rated
}

// Dimension is one part of the score.
type Dimension struct {
	Category hub.Category `json:"category"`
	Weight   int          `json:"weight"`   // per cent of the whole; all six make 100
	Findings int          `json:"findings"` // how many count here
	Debt     int64        `json:"debt"`     // Σ effort × confidence, in tenths of a minute
	Budget   int64        `json:"budget"`   // 30 minutes for each line, in tenths of a minute
	Cap      int          `json:"cap"`      // the most that the worst severity allows, in tenths of a point
	Points   int          `json:"points"`   // 0 to 1000: tenths of a point
}

// minutesPerLine is what a line of code is taken to cost when it is written anew.
const minutesPerLine = 30

// full is 100 points, in tenths.
const full = 1000

// dimensions weighs the categories: what can hurt users comes before what costs
// their developers, and that before what is a matter of taste.
var dimensions = [...]struct {
	category hub.Category
	weight   int
	capped   bool // the worst severity bounds the points
}{
	{hub.Security, 30, true},
	{hub.Reliability, 25, true},
	{hub.Performance, 15, false},
	{hub.Quality, 15, false},
	{hub.Architecture, 10, false},
	{hub.Style, 5, false},
}

// curve gives points for a ratio of debt to budget: straight lines between these
// corners. Its steps are SonarSource's limits of the maintainability rating
// (5, 10, 20 and 50 per cent), 20 points each.
var curve = [...]struct{ percent, points int64 }{
	{0, full}, {5, 800}, {10, 600}, {20, 400}, {50, 200}, {100, 0},
}

// Compute rates a code base of so many lines that hold code by its findings.
// Findings of an unknown category count nowhere; an effort below zero counts as none.
func Compute(findings []hub.Finding, lines int) Score {
	s := Score{Value: NotRated, Risk: risk(findings)}
	if lines <= 0 {
		return s
	}
	var sum int
	for _, d := range dimensions {
		dim := Dimension{
			Category: d.category,
			Weight:   d.weight,
			Budget:   int64(lines) * minutesPerLine * 10,
			Cap:      full,
		}
		for _, f := range findings {
			if f.Category != d.category {
				continue
			}
			dim.Findings++
			dim.Debt += int64(max(f.Effort, 0)) * tenths(f.Confidence)
			if d.capped && f.Confidence != hub.ConfidenceLow {
				dim.Cap = min(dim.Cap, ceiling(f.Severity))
			}
		}
		dim.Points = min(points(dim.Debt, dim.Budget), dim.Cap)
		sum += dim.Weight * dim.Points
		s.Dimensions = append(s.Dimensions, dim)
	}
	s.Value = sum / full
	return s
}

// tenths is how much of its effort a finding counts.
func tenths(c hub.Confidence) int64 {
	switch c {
	case hub.ConfidenceHigh:
		return 10
	case hub.ConfidenceMedium:
		return 6
	}
	return 3
}

// ceiling is the most that a dimension may reach with a finding of this severity, in
// tenths of a point: the top of the grade (B, C, D, E) that SonarSource's ratings of
// security and reliability give for the worst of that severity.
func ceiling(s hub.Severity) int {
	switch s {
	case hub.SeverityCritical:
		return 200
	case hub.SeverityHigh:
		return 400
	case hub.SeverityMedium:
		return 600
	case hub.SeverityLow:
		return 800
	}
	return full
}

// points reads the curve, rounded down to a tenth of a point.
func points(debt, budget int64) int {
	for i := 1; i < len(curve); i++ {
		a, b := curve[i-1], curve[i]
		if debt*100 > b.percent*budget {
			continue
		}
		drop := (a.points - b.points) * (debt*100 - a.percent*budget)
		width := (b.percent - a.percent) * budget
		return int(a.points - (drop+width-1)/width)
	}
	return 0
}
