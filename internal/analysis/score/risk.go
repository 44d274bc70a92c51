package score

import "integrationhub/internal/hub"

// levels are the risks in order; a finding's place is its severity's rank,
// so INFO is no risk.
var levels = [...]hub.Risk{hub.RiskNone, hub.RiskLow, hub.RiskMedium, hub.RiskHigh, hub.RiskCritical}

// risk is the level of the finding that has the highest one: a hundred small
// findings are work, not danger.
func risk(findings []hub.Finding) hub.Risk {
	worst := 0
	for _, f := range findings {
		worst = max(worst, level(f))
	}
	return levels[worst]
}

// level is the severity's rank, lower for each step of doubt, and bounded by what
// a problem of its category can do to the people who use the code.
func level(f hub.Finding) int {
	rank := f.Severity.Rank()
	switch f.Confidence {
	case hub.ConfidenceHigh:
	case hub.ConfidenceMedium:
		rank--
	default:
		rank -= 2
	}
	switch f.Category {
	case hub.Security, hub.Reliability:
	case hub.Performance, hub.Architecture:
		rank = min(rank, 2)
	default:
		rank = min(rank, 1)
	}
	return max(rank, 0)
}
