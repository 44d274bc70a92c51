// Package archtest proves that the code keeps to the design: its import table,
// its doors, its limits of length, and the deployment files that describe it.
package archtest

// room is one row of the design's table "The house". A room may import the
// standard library, the nouns (hub), its own sub-packages, and what is listed:
// a room with everything below it, or one of its sub-packages. Tests may import
// anything.
type room struct {
	name string // a folder under internal, or a path from the top
	may  []string
}

// below is what the three pairs of hands choose from; they never reach each other.
var below = []string{"message", "change", "snapshot", "analysis", "sandbox", "proof", "review", "platform", "bus", "store", "work", "vault"}

// wiring is what puts a process together out of rooms: the hands and the
// orchestrator, the list of platforms, the key, and the names of jobs.
var wiring = []string{"orchestrator", "connector", "analyzer", "deployer", "platform/all", "platform/sidenode", "vault", "message", "work"}

var house = []room{
	{"hub", nil},
	{"message", nil},
	{"flow", []string{"message"}},
	{"change", nil},
	{"snapshot", nil},
	{"analysis", nil},
	{"sandbox", nil},
	{"proof", []string{"change", "snapshot", "analysis", "sandbox"}},
	{"review", []string{"analysis", "proof"}},
	{"platform", []string{"change", "snapshot"}},
	{"streams", nil},
	{"bus", []string{"message", "streams"}},
	{"store", []string{"message"}},
	{"batch", nil},
	{"work", []string{"message", "batch", "bus", "store"}},
	{"vault", []string{"store"}},
	{"access", []string{"store"}},
	{"orchestrator", []string{"message", "flow", "platform", "batch", "bus", "store", "work", "access", "vault"}},
	{"connector", below},
	{"analyzer", below},
	{"deployer", below},
	{"local", nil},
	{"app", []string{"message", "bus", "store", "work"}},
	{"cli", append([]string{"app", "local", "analysis"}, wiring...)},
	{"cmd/orchestrator", append([]string{"app"}, wiring...)},
	{"cmd/connector", append([]string{"app"}, wiring...)},
	{"cmd/analyzer", append([]string{"app", "analysis/pool"}, wiring...)},
	{"cmd/deployer", append([]string{"app", "analysis/pool"}, wiring...)},
	{"cmd/hub", []string{"cli", "analysis/pool"}},
}

// testOnly are the rooms that product code must not import. They may import
// anything.
var testOnly = []string{"hubtest", "e2e", "chaos", "archtest", "platform/platformtest", "model"}

// door is a package or a function that few rooms may use in product code.
type door struct {
	name  string // import path with everything below it, or package.Function
	rooms []string
	why   string
}

var doors = []door{
	{"github.com/nats-io/nats.go", []string{"bus", "streams"}, "bus is the only door to JetStream"},
	{"github.com/nats-io/nats-server", []string{"local"}, "only local starts a server"},
	{"github.com/jackc/pgx", []string{"store"}, "store is the only door to Postgres"},
	{"database/sql", []string{"store"}, "store is the only door to Postgres"},
	{"github.com/pressly/goose", []string{"store"}, "store is the only door to Postgres"},
	{"github.com/tree-sitter", []string{"analysis/syntax"}, "only syntax parses"},
	{"C", []string{"analysis/syntax"}, "only syntax may use cgo"},
	{"testing", nil, "product code does not test"},
	{"os.Getenv", []string{"app", "local"}, "app reads the environment once and passes values on"},
	{"os.LookupEnv", []string{"app", "local"}, "app reads the environment once and passes values on"},
	{"log.Fatal", nil, "return an error, so that what was opened is closed"},
	{"time.Sleep", nil, "wait for the fact, with a deadline"},
}

// nounless says which rooms must not even import the nouns.
var nounless = []string{"sandbox", "local", "streams", "batch"}

// subjects may be spelt in these rooms only.
var (
	subjects     = []string{"hub.event.", "hub.job.", "hub.fact.", "hub.dead.", "hub.progress.", "hub.control."}
	subjectRooms = []string{"message", "streams"}
)

// noNames are package names that say nothing.
var noNames = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc"}

const (
	maxFile     = 500 // lines of a file, outside tests
	maxFunction = 60  // lines of a function, outside tests
)
