// Package chaos proves that nothing accepted is lost and nothing is done twice,
// whatever dies: it plays a seeded history of faults to real processes under
// load, and then checks the ledger.
package chaos

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"integrationhub/internal/hubtest"
)

var size = flag.String("chaos", "short", "how many faults: short or full")

// seedEnv replays the history of faults of an earlier run.
const seedEnv = "HUB_CHAOS_SEED"

func TestMain(m *testing.M) { hubtest.Main(m) }

// chooseSeed is the seed to replay, or a new one.
func chooseSeed(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv(seedEnv)
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w; give the number that the run printed", seedEnv, err))
	}
	return seed
}
