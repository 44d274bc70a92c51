package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"

	"integrationhub/internal/analysis/syntax"
	"integrationhub/internal/hub"
)

// Limits of what is read as rules.
const (
	maxRuleFile   = 1 << 20
	defaultEffort = 15  // minutes, where a rule does not say
	engineVersion = "1" // part of the hash: raise it when the same rules find something else
)

// lacking is the error of a rule that is well-formed, but asks for what the
// engine cannot do.
type lacking struct{ what string }

func (e *lacking) Error() string { return e.what }

func lack(format string, args ...any) error { return &lacking{fmt.Sprintf(format, args...)} }

// Load reads every .yaml and .yml file of fsys that holds rules. A malformed rule
// is an error; one that the engine cannot run is listed by Set.Unsupported.
func Load(fsys fs.FS) (*Set, error) {
	s := &Set{}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00", engineVersion)
	l := &loader{set: s, files: map[string]string{}, patterns: patterns{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
			return err
		}
		raw, err := readRuleFile(fsys, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%d\x00%s", len(raw), raw)
		return l.add(name, raw)
	})
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	sort.Slice(s.rules, func(i, j int) bool { return s.rules[i].ID < s.rules[j].ID })
	s.hash = hex.EncodeToString(sum.Sum(nil)[:16])
	return s, nil
}

func readRuleFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRuleFile {
		return nil, fmt.Errorf("%s has %d bytes: a file of rules may have %d", name, info.Size(), maxRuleFile)
	}
	return fs.ReadFile(fsys, name)
}

// loader is one run of Load.
type loader struct {
	set      *Set
	files    map[string]string // of each rule, by id
	patterns patterns
}

func (l *loader) add(name string, raw []byte) error {
	var file struct {
		Rules []yaml.Node `yaml:"rules"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for i := range file.Rules {
		n := &file.Rules[i]
		r, err := readRule(n, l.patterns)
		var missing *lacking
		if err != nil && !errors.As(err, &missing) {
			return fmt.Errorf("%s:%d: rule %s: %w", name, n.Line, r.ID, err)
		}
		if other, ok := l.files[r.ID]; ok {
			return fmt.Errorf("%s:%d: rule %s is in %s already: ids must be unique", name, n.Line, r.ID, other)
		}
		l.files[r.ID] = name
		r.File = name
		if missing != nil {
			l.set.unsupported = append(l.set.unsupported, Unsupported{Rule: r.ID, File: name, What: missing.what})
			continue
		}
		l.set.rules = append(l.set.rules, r)
	}
	return nil
}

// ruleText is the part of a rule that YAML decodes by itself.
type ruleText struct {
	ID        string   `yaml:"id"`
	Languages []string `yaml:"languages"`
	Message   string   `yaml:"message"`
	Severity  string   `yaml:"severity"`
	Mode      string   `yaml:"mode"`
	Fix       *string  `yaml:"fix"`
	FixRegex  *struct {
		Regex       string `yaml:"regex"`
		Replacement string `yaml:"replacement"`
		Count       int    `yaml:"count"`
	} `yaml:"fix-regex"`
	Options  map[string]any `yaml:"options"`
	Metric   string         `yaml:"metric"`
	Above    int            `yaml:"above"`
	Metadata struct {
		Category   string    `yaml:"category"`
		CWE        yaml.Node `yaml:"cwe"`
		Confidence string    `yaml:"confidence"`
		Effort     int       `yaml:"effort"`
		FixClass   string    `yaml:"fix-class"`
	} `yaml:"metadata"`
}

// ruleID keeps ids printable in annotations, URLs and SARIF.
var ruleID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)

func readRule(n *yaml.Node, shared patterns) (Rule, error) {
	var t ruleText
	if err := n.Decode(&t); err != nil {
		return Rule{ID: t.ID}, err
	}
	r := Rule{ID: t.ID, Message: strings.TrimSpace(t.Message)}
	if !ruleID.MatchString(r.ID) {
		return r, fmt.Errorf("id %q must be 1 to 200 letters, digits and . _ / -", r.ID)
	}
	if r.Message == "" {
		return r, errors.New("message is empty: say what is wrong and what to write instead")
	}
	if err := r.classify(&t); err != nil {
		return r, err
	}
	return r, r.compile(&t, n, shared)
}

// classify fills in severity, category and the other metadata.
func (r *Rule) classify(t *ruleText) error {
	var err error
	switch strings.ToUpper(t.Severity) {
	case "ERROR":
		r.Severity = hub.SeverityHigh
	case "WARNING":
		r.Severity = hub.SeverityMedium
	default:
		if r.Severity, err = hub.ParseSeverity(t.Severity); err != nil {
			return err
		}
	}
	if r.Category, err = category(t); err != nil {
		return err
	}
	r.Confidence = hub.Confidence(strings.ToUpper(t.Metadata.Confidence))
	if r.Confidence == "" {
		r.Confidence = hub.ConfidenceMedium
	}
	if !slices.Contains(hub.Confidences, r.Confidence) {
		return fmt.Errorf("metadata.confidence %q is not HIGH, MEDIUM or LOW", t.Metadata.Confidence)
	}
	if r.CWE, err = cwe(&t.Metadata.CWE); err != nil {
		return err
	}
	if r.Effort = t.Metadata.Effort; r.Effort == 0 {
		r.Effort = defaultEffort
	}
	if r.Effort < 0 {
		return fmt.Errorf("metadata.effort %d is less than 0 minutes", r.Effort)
	}
	return nil
}

// category also reads the words that public rules use.
func category(t *ruleText) (hub.Category, error) {
	switch strings.ToLower(t.Metadata.Category) {
	case "":
		if t.Metadata.CWE.Kind != 0 {
			return hub.Security, nil
		}
		return hub.Quality, nil
	case "correctness", "compatibility", "portability":
		return hub.Reliability, nil
	case "best-practice", "maintainability":
		return hub.Quality, nil
	case "caching":
		return hub.Performance, nil
	}
	c, err := hub.ParseCategory(t.Metadata.Category)
	if err != nil {
		return "", fmt.Errorf("metadata.%w", err)
	}
	return c, nil
}

var cweNumber = regexp.MustCompile(`^CWE-[0-9]+`)

// cwe is the first of those that a rule names.
func cwe(n *yaml.Node) (string, error) {
	if n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return "", nil
	}
	id := cweNumber.FindString(n.Value)
	if id == "" {
		return "", fmt.Errorf("metadata.cwe %q does not begin with CWE- and a number", n.Value)
	}
	return id, nil
}

// ruleKeys are the keys of a rule that need no compiling.
var ruleKeys = []string{"id", "languages", "message", "severity", "mode", "fix", "fix-regex", "options", "metadata", "metric", "above", "min-version"}

func (r *Rule) compile(t *ruleText, n *yaml.Node, shared patterns) error {
	for _, l := range t.Languages {
		lang, err := syntax.ParseLanguage(l)
		if err != nil {
			return lack("languages: %v", err)
		}
		if !slices.Contains(r.Languages, lang) {
			r.Languages = append(r.Languages, lang)
		}
	}
	if len(r.Languages) == 0 {
		return errors.New("languages is empty: name at least one")
	}
	if err := r.readOptions(t.Options); err != nil {
		return err
	}
	if err := r.readFix(t); err != nil {
		return err
	}
	r.programs = map[syntax.Language]*program{}
	for _, l := range r.Languages {
		if f := l.Family(); r.programs[f] == nil {
			p, err := newProgram(&compiler{f, shared}, t, n)
			if err != nil {
				return err
			}
			r.programs[f] = p
		}
	}
	return nil
}

func newProgram(c *compiler, t *ruleText, n *yaml.Node) (*program, error) {
	switch t.Mode {
	case "", "search":
		body := without(n, ruleKeys)
		fm, err := c.mapping(body)
		return &program{formula: fm}, err
	case "taint":
		t, err := c.taint(without(n, ruleKeys))
		return &program{taint: t}, err
	case "metric":
		m, err := newMetricRule(t.Metric, t.Above)
		return &program{metric: m}, err
	}
	return nil, lack("mode: %s", t.Mode)
}

// without is a mapping less some of its keys.
func without(n *yaml.Node, keys []string) *yaml.Node {
	c := *n
	c.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(keys, n.Content[i].Value) {
			c.Content = append(c.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &c
}

// readOptions takes those that change what is found; the others are unsupported
// unless they only speak of what Semgrep's paid engine would do.
func (r *Rule) readOptions(options map[string]any) error {
	for name, v := range options {
		switch name {
		case "symbolic_propagation":
			r.symbolic = v == true
		case "interfile", "constant_propagation":
			if name == "constant_propagation" && v == false {
				return lack("options.%s: false", name)
			}
		default:
			return lack("options.%s", name)
		}
	}
	return nil
}

func (r *Rule) readFix(t *ruleText) error {
	switch {
	case t.Fix != nil && t.FixRegex != nil:
		return errors.New("fix and fix-regex: a rule has one of them")
	case t.Fix != nil:
		r.fix = &fix{template: *t.Fix}
	case t.FixRegex != nil:
		f, err := newRegexFix(t.FixRegex.Regex, t.FixRegex.Replacement, t.FixRegex.Count)
		if err != nil {
			return fmt.Errorf("fix-regex: %w", err)
		}
		r.fix = f
	}
	switch class := hub.FixClass(strings.ToUpper(t.Metadata.FixClass)); class {
	case "":
		r.FixClass = hub.FixSuggestion
	case hub.FixSafe, hub.FixSuggestion:
		r.FixClass = class
	default:
		return fmt.Errorf("metadata.fix-class %q is not safe or suggestion", t.Metadata.FixClass)
	}
	r.Fixes = r.fix != nil
	return nil
}
