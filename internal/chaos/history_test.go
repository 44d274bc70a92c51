package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// The kinds of fault.
const (
	killProcess  = "kill -9 at a point"
	killNATS     = "kill -9 of NATS"
	wipeNATS     = "NATS data deleted"
	killPostgres = "kill -9 of Postgres"
	pause        = "SIGSTOP past the lease"
	repeat       = "messages ten times"
)

// kinds in the order of the report.
var kinds = []string{killProcess, killNATS, wipeNATS, killPostgres, pause, repeat}

// doses say how often each kind of fault happens.
var doses = map[string]map[string]int{
	"short": {killProcess: len(points), killNATS: 2, wipeNATS: 1, killPostgres: 1, pause: 2, repeat: 1},
	"full":  {killProcess: 100, killNATS: 20, wipeNATS: 3, killPostgres: 10, pause: 20, repeat: 10},
}

// points are where the programs can be killed.
var points = []struct{ worker, point string }{
	{"orchestrator", "before-fold-commit"}, {"orchestrator", "after-fold-commit"},
	{"connector", "after-claim"}, {"connector", "before-commit"}, {"connector", "after-commit"},
	{"analyzer", "after-claim"}, {"analyzer", "before-commit"}, {"analyzer", "after-commit"},
	{"deployer", "after-claim"}, {"deployer", "before-commit"}, {"deployer", "after-commit"},
}

// replicas of each program. The second one takes over what the first one drops.
const replicas = 2

// workers are the programs that hold leases.
var workers = []string{"connector", "analyzer", "deployer"}

// fault is one step of a history.
type fault struct {
	kind    string
	worker  string // of killProcess and pause
	replica int
	point   string  // of killProcess
	chance  float64 // that the process dies when it passes the point
	seed    uint64  // of whatever else is left to chance
	noticed bool    // the server that was killed stays away until a door has noticed
	after   int     // jobs that end between this fault and the next
}

func (f fault) String() string {
	switch f.kind {
	case killProcess:
		return fmt.Sprintf("%s: %s %d, %s, chance %.2f", f.kind, f.worker, f.replica, f.point, f.chance)
	case pause:
		return fmt.Sprintf("%s: %s %d", f.kind, f.worker, f.replica)
	}
	return f.kind
}

// plan makes the history of faults of a seed.
func plan(seed uint64, dose map[string]int) (history []fault) {
	dice := rand.New(rand.NewPCG(seed, 1))
	for _, kind := range kinds {
		for i := range dose[kind] {
			f := fault{kind: kind, replica: dice.IntN(replicas), seed: dice.Uint64(), noticed: dice.IntN(4) == 0, after: dice.IntN(4)}
			switch kind {
			case killProcess:
				p := points[i%len(points)]
				f.worker, f.point = p.worker, p.point
				f.chance = []float64{1, 0.5, 0.25}[dice.IntN(3)]
			case pause:
				f.worker = workers[i%len(workers)]
			}
			history = append(history, f)
		}
	}
	dice.Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
	return history
}

func TestASeedReplaysItsHistory(t *testing.T) {
	if a, b := plan(7, doses["full"]), plan(7, doses["full"]); !slices.Equal(a, b) {
		t.Error("the same seed gives two histories")
	}
	if a, b := plan(7, doses["full"]), plan(8, doses["full"]); slices.Equal(a, b) {
		t.Error("two seeds give the same history")
	}
}
