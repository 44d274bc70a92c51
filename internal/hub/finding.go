package hub

// Severity ranks how bad a finding is.
type Severity string

// The severities, worst first.
const (
	SeverityCritical Severity = "CRITICAL"
	SeverityHigh     Severity = "HIGH"
	SeverityMedium   Severity = "MEDIUM"
	SeverityLow      Severity = "LOW"
	SeverityInfo     Severity = "INFO"
)

// Severities lists every severity, worst first.
var Severities = []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityInfo}

// ParseSeverity reads a severity in any case.
func ParseSeverity(s string) (Severity, error) { return parse("severity", s, Severities) }

// Rank is 4 for CRITICAL down to 0 for INFO, -1 for anything else.
func (s Severity) Rank() int {
	for i, v := range Severities {
		if v == s {
			return len(Severities) - 1 - i
		}
	}
	return -1
}

// Confidence says how sure a rule is of its finding.
type Confidence string

// The confidences, surest first.
const (
	ConfidenceHigh   Confidence = "HIGH"
	ConfidenceMedium Confidence = "MEDIUM"
	ConfidenceLow    Confidence = "LOW"
)

// Confidences lists every confidence, surest first.
var Confidences = []Confidence{ConfidenceHigh, ConfidenceMedium, ConfidenceLow}

// Category is the kind of problem that a finding is.
type Category string

// The categories.
const (
	Security     Category = "SECURITY"
	Performance  Category = "PERFORMANCE"
	Quality      Category = "QUALITY"
	Style        Category = "STYLE"
	Architecture Category = "ARCHITECTURE"
	Reliability  Category = "RELIABILITY"
)

// Categories lists every category.
var Categories = []Category{Security, Performance, Quality, Style, Architecture, Reliability}

// ParseCategory reads a category in any case.
func ParseCategory(s string) (Category, error) { return parse("category", s, Categories) }

// Finding is one problem at one place. Lines and columns count from 1; columns
// count Unicode code points; the end is exclusive. Offsets of edits are bytes.
type Finding struct {
	Rule        string     `json:"rule"`
	Severity    Severity   `json:"severity"`
	Confidence  Confidence `json:"confidence"`
	Category    Category   `json:"category"`
	CWE         string     `json:"cwe,omitempty"` // "CWE-89", or empty where none fits
	File        string     `json:"file"`          // slash-separated, relative to the root
	Line        int        `json:"line"`
	Column      int        `json:"column"`
	EndLine     int        `json:"end_line"`
	EndColumn   int        `json:"end_column"`
	Message     string     `json:"message"`
	Fingerprint string     `json:"fingerprint"` // survives moved lines; 32 hex digits
	Effort      int        `json:"effort"`      // minutes to mend it by hand
	Frame       []Line     `json:"frame,omitempty"`
	Fix         *Fix       `json:"fix"` // nil where the rule has none
}

// Line is one line of a code frame, without its line end.
type Line struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// FixClass says how far a fix may be trusted.
type FixClass string

// The classes of fix: a safe one keeps the meaning of correct code, a suggestion
// wants a reader.
const (
	FixSafe       FixClass = "SAFE"
	FixSuggestion FixClass = "SUGGESTION"
)

// Fix is an exact change of one file that removes a finding.
type Fix struct {
	Class FixClass `json:"class"`
	Edits []Edit   `json:"edits"` // in order of Start, not overlapping
}

// Edit replaces the bytes [Start, End) of a file by New.
type Edit struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	New   string `json:"new"`
}

// Function is what was measured of one function.
type Function struct {
	Name       string `json:"name"`
	File       string `json:"file"`
	Line       int    `json:"line"`
	Lines      int    `json:"lines"`      // physical lines, first to last
	Complexity int    `json:"complexity"` // cyclomatic
}

// Risk is the level of risk that an analysis reports.
type Risk string

// The levels of risk.
const (
	RiskNone     Risk = "NONE"
	RiskLow      Risk = "LOW"
	RiskMedium   Risk = "MEDIUM"
	RiskHigh     Risk = "HIGH"
	RiskCritical Risk = "CRITICAL"
)

// Analysis is the result of analysing one snapshot, without its findings.
type Analysis struct {
	Score      int            `json:"score"` // 0 to 100; -1 means not rated: no code was read
	Risk       Risk           `json:"risk"`
	Files      int            `json:"files"`     // files analysed
	Skipped    map[string]int `json:"skipped"`   // files not analysed, by reason
	Bytes      int64          `json:"bytes"`     // bytes analysed
	Lines      int            `json:"lines"`     // lines that hold code
	Languages  map[string]int `json:"languages"` // files analysed, by language
	DurationMS int64          `json:"duration_ms"`
	Functions  []Function     `json:"functions,omitempty"` // the most complex ones, at most 20
}
