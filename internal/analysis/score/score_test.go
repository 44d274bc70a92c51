package score_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"integrationhub/internal/analysis/score"
	"integrationhub/internal/hub"
)

// anyFinding draws what Compute looks at, with values that rules may carry.
var anyFinding = rapid.Custom(func(t *rapid.T) hub.Finding {
	return hub.Finding{
		Category:   rapid.SampledFrom(hub.Categories).Draw(t, "category"),
		Severity:   rapid.SampledFrom(hub.Severities).Draw(t, "severity"),
		Confidence: rapid.SampledFrom(hub.Confidences).Draw(t, "confidence"),
		Effort:     rapid.IntRange(-5, 600).Draw(t, "effort"),
	}
})

var (
	anyFindings = rapid.SliceOfN(anyFinding, 0, 30)
	anyLines    = rapid.IntRange(1, 100_000)
)

func TestAddingAFindingNeverRaisesTheScoreNorLowersTheRisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		findings, lines := anyFindings.Draw(t, "findings"), anyLines.Draw(t, "lines")
		before := score.Compute(findings, lines)
		after := score.Compute(append(findings, anyFinding.Draw(t, "added")), lines)
		if after.Value > before.Value {
			t.Fatalf("score rose from %d to %d", before.Value, after.Value)
		}
		if order(after.Risk) < order(before.Risk) {
			t.Fatalf("risk fell from %s to %s", before.Risk, after.Risk)
		}
		for i := range before.Dimensions {
			if after.Dimensions[i].Points > before.Dimensions[i].Points {
				t.Fatalf("%s rose", before.Dimensions[i].Category)
			}
		}
	})
}

func TestDuplicatingTheCodeWithItsFindingsLeavesTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		findings, lines := anyFindings.Draw(t, "findings"), anyLines.Draw(t, "lines")
		once := score.Compute(findings, lines)
		twice := score.Compute(append(findings, findings...), 2*lines)
		if once.Value != twice.Value || once.Risk != twice.Risk {
			t.Fatalf("once %d %s, twice %d %s", once.Value, once.Risk, twice.Value, twice.Risk)
		}
	})
}

func TestTheOrderOfFindingsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		findings, lines := anyFindings.Draw(t, "findings"), anyLines.Draw(t, "lines")
		other := rapid.Permutation(findings).Draw(t, "other order")
		if a, b := score.Compute(findings, lines), score.Compute(other, lines); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v is not %+v", a, b)
		}
	})
}

func TestTheScoreStaysBetweenZeroAndAHundred(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := score.Compute(anyFindings.Draw(t, "findings"), anyLines.Draw(t, "lines")).Value
		if v < 0 || v > 100 {
			t.Fatalf("score is %d", v)
		}
	})
}

func TestAnEmptyCodeBaseIsNotRated(t *testing.T) {
	s := score.Compute(nil, 0)
	if s.Value != score.NotRated || s.Risk != hub.RiskNone || s.Dimensions != nil {
		t.Fatalf("got %+v", s)
	}
}

func TestCodeWithoutFindingsHasAHundredAndNoRisk(t *testing.T) {
	s := score.Compute(nil, 1)
	if s.Value != 100 || s.Risk != hub.RiskNone {
		t.Fatalf("got %+v", s)
	}
	weights := 0
	for _, d := range s.Dimensions {
		weights += d.Weight
	}
	if weights != 100 {
		t.Fatalf("weights make %d, not 100", weights)
	}
}

// The example of docs/scoring.md, number for number.
func TestTheExampleOfTheDocumentation(t *testing.T) {
	s := score.Compute([]hub.Finding{
		{Category: hub.Security, Severity: hub.SeverityHigh, Confidence: hub.ConfidenceMedium, Effort: 20},
		{Category: hub.Reliability, Severity: hub.SeverityMedium, Confidence: hub.ConfidenceHigh, Effort: 5},
		{Category: hub.Quality, Severity: hub.SeverityMedium, Confidence: hub.ConfidenceHigh, Effort: 180},
		{Category: hub.Quality, Severity: hub.SeverityLow, Confidence: hub.ConfidenceLow, Effort: 60},
		{Category: hub.Style, Severity: hub.SeverityInfo, Confidence: hub.ConfidenceHigh, Effort: 1},
	}, 120)
	want := []score.Dimension{
		{Category: hub.Security, Weight: 30, Findings: 1, Debt: 120, Budget: 36000, Cap: 400, Points: 400},
		{Category: hub.Reliability, Weight: 25, Findings: 1, Debt: 50, Budget: 36000, Cap: 600, Points: 600},
		{Category: hub.Performance, Weight: 15, Budget: 36000, Cap: 1000, Points: 1000},
		{Category: hub.Quality, Weight: 15, Findings: 2, Debt: 1980, Budget: 36000, Cap: 1000, Points: 780},
		{Category: hub.Architecture, Weight: 10, Budget: 36000, Cap: 1000, Points: 1000},
		{Category: hub.Style, Weight: 5, Findings: 1, Debt: 10, Budget: 36000, Cap: 1000, Points: 998},
	}
	if s.Value != 68 || s.Risk != hub.RiskMedium {
		t.Errorf("got %d %s, want 68 MEDIUM", s.Value, s.Risk)
	}
	if !reflect.DeepEqual(s.Dimensions, want) {
		t.Errorf("got  %+v\nwant %+v", s.Dimensions, want)
	}
}

func TestAFindingOfLowConfidenceDoesNotCapItsDimension(t *testing.T) {
	unsure := score.Compute([]hub.Finding{{Category: hub.Security, Severity: hub.SeverityCritical, Confidence: hub.ConfidenceLow, Effort: 30}}, 1000)
	sure := score.Compute([]hub.Finding{{Category: hub.Security, Severity: hub.SeverityCritical, Confidence: hub.ConfidenceHigh, Effort: 30}}, 1000)
	if d := unsure.Dimensions[0]; d.Cap != 1000 || d.Points < 900 {
		t.Errorf("a finding of low confidence capped the dimension: %+v", d)
	}
	if d := sure.Dimensions[0]; d.Points != 200 {
		t.Errorf("a sure critical finding did not cap the dimension: %+v", d)
	}
}

func TestRiskIsTheWorstFinding(t *testing.T) {
	for _, c := range []struct {
		name string
		f    hub.Finding
		want hub.Risk
	}{
		{"a sure critical fault", hub.Finding{Category: hub.Security, Severity: hub.SeverityCritical, Confidence: hub.ConfidenceHigh}, hub.RiskCritical},
		{"a likely one", hub.Finding{Category: hub.Reliability, Severity: hub.SeverityCritical, Confidence: hub.ConfidenceMedium}, hub.RiskHigh},
		{"a doubtful one", hub.Finding{Category: hub.Security, Severity: hub.SeverityCritical, Confidence: hub.ConfidenceLow}, hub.RiskMedium},
		{"slow code", hub.Finding{Category: hub.Performance, Severity: hub.SeverityHigh, Confidence: hub.ConfidenceHigh}, hub.RiskMedium},
		{"ugly code", hub.Finding{Category: hub.Style, Severity: hub.SeverityHigh, Confidence: hub.ConfidenceHigh}, hub.RiskLow},
		{"a remark", hub.Finding{Category: hub.Security, Severity: hub.SeverityInfo, Confidence: hub.ConfidenceHigh}, hub.RiskNone},
	} {
		small := hub.Finding{Category: hub.Style, Severity: hub.SeverityInfo, Confidence: hub.ConfidenceLow}
		if got := score.Compute([]hub.Finding{small, c.f, small}, 10).Risk; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func order(r hub.Risk) int {
	for i, v := range []hub.Risk{hub.RiskNone, hub.RiskLow, hub.RiskMedium, hub.RiskHigh, hub.RiskCritical} {
		if v == r {
			return i
		}
	}
	return -1
}
