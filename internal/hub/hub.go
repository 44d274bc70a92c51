// Package hub holds the nouns of Integration Hub and their states.
// It never does I/O and imports nothing but the standard library.
package hub

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
)

// Priority ranks jobs. Each priority is a subject of its own in the job stream.
type Priority string

// The four priorities, most urgent first.
const (
	Critical Priority = "CRITICAL"
	High     Priority = "HIGH"
	Medium   Priority = "MEDIUM"
	Low      Priority = "LOW"
)

// Priorities lists every priority, most urgent first.
var Priorities = []Priority{Critical, High, Medium, Low}

// ParsePriority reads a priority in any case; empty means Medium.
func ParsePriority(s string) (Priority, error) {
	if s == "" {
		return Medium, nil
	}
	return parse("priority", s, Priorities)
}

// Token is the priority as a subject token: lower case.
func (p Priority) Token() string { return strings.ToLower(string(p)) }

// RunStatus is the state of a Run.
type RunStatus string

// The states of a run. The last three are terminal.
const (
	RunPending   RunStatus = "PENDING"
	RunRunning   RunStatus = "RUNNING"
	RunWaiting   RunStatus = "WAITING"
	RunCompleted RunStatus = "COMPLETED"
	RunFailed    RunStatus = "FAILED"
	RunCancelled RunStatus = "CANCELLED"
)

// Terminal reports whether the run will not change any more.
func (s RunStatus) Terminal() bool {
	return s == RunCompleted || s == RunFailed || s == RunCancelled
}

// JobStatus is the state of a Job.
type JobStatus string

// The states of a job. The last three are terminal.
const (
	JobPending    JobStatus = "PENDING"
	JobProcessing JobStatus = "PROCESSING"
	JobCompleted  JobStatus = "COMPLETED"
	JobFailed     JobStatus = "FAILED"
	JobCancelled  JobStatus = "CANCELLED"
)

// Ended reports whether the job will not change any more.
func (s JobStatus) Ended() bool {
	return s == JobCompleted || s == JobFailed || s == JobCancelled
}

// Strategy says what becomes of a change set.
type Strategy string

// The strategies of a deployment.
const (
	DryRun    Strategy = "DRY_RUN"
	CreatePR  Strategy = "CREATE_PR"
	AutoApply Strategy = "AUTO_APPLY"
	Scheduled Strategy = "SCHEDULED"
)

// Strategies lists every strategy.
var Strategies = []Strategy{DryRun, CreatePR, AutoApply, Scheduled}

// ParseStrategy reads a strategy in any case, with '-' or '_'.
func ParseStrategy(s string) (Strategy, error) {
	return parse("strategy", strings.ReplaceAll(s, "-", "_"), Strategies)
}

// Platform is a kind of code host.
type Platform string

// The kinds of code host.
const (
	SideNode Platform = "sidenode"
	GitHub   Platform = "github"
	GitLab   Platform = "gitlab"
	Gitea    Platform = "gitea"
	Git      Platform = "git"
)

// Platforms lists every kind of code host.
var Platforms = []Platform{SideNode, GitHub, GitLab, Gitea, Git}

// ParsePlatform reads a platform kind in any case.
func ParsePlatform(s string) (Platform, error) {
	for _, p := range Platforms {
		if strings.EqualFold(s, string(p)) {
			return p, nil
		}
	}
	return "", fmt.Errorf("kind %q is not one of %s", s, join(Platforms))
}

// slug is a token of a subject: it names connections in NATS permissions.
var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// CheckSlug refuses a name that cannot be a subject token.
func CheckSlug(s string) error {
	if !slug.MatchString(s) {
		return fmt.Errorf("slug %q must be 1 to 40 of a-z, 0-9, '_' and '-', and begin with a letter or a digit", s)
	}
	return nil
}

// RunID derives the id of the run that an event opens, so that a door can name
// the run before it exists and a repeated event finds the same run. It is 26
// characters of lower-case base32: the first 128 bits of SHA-256 over source,
// a NUL and the event's id.
func RunID(source, eventID string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + eventID))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// JobID derives the id of the n-th job of a step of a run; n begins at 1.
func JobID(run, step string, n int) string { return fmt.Sprintf("%s.%s.%d", run, step, n) }

// maxText caps the texts that are stored beside a job or a run, in bytes.
const maxText = 8 << 10

// CleanText makes a text of unknown origin, such as what a program printed, fit
// to be stored and shown: valid UTF-8 without NUL, at most 8 KiB.
func CleanText(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + " [cut]"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

func parse[T ~string](field, s string, all []T) (T, error) {
	up := T(strings.ToUpper(s))
	for _, v := range all {
		if v == up {
			return v, nil
		}
	}
	return "", fmt.Errorf("%s %q is not one of %s", field, s, join(all))
}

func join[T ~string](all []T) string {
	s := make([]string, len(all))
	for i, v := range all {
		s[i] = string(v)
	}
	return strings.Join(s, ", ")
}
