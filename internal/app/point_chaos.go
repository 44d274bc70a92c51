//go:build chaos

package app

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// killPoint makes of HUB_CHAOS_POINT=name:probability:seed a function that ends
// this process with SIGKILL where it is called with the name and the dice say
// so. It is nil when the variable is not set.
func killPoint() (func(name string), error) {
	text := os.Getenv("HUB_CHAOS_POINT")
	if text == "" {
		return nil, nil
	}
	point, rest, _ := strings.Cut(text, ":")
	chance, rest, _ := strings.Cut(rest, ":")
	p, errP := strconv.ParseFloat(chance, 64)
	seed, errSeed := strconv.ParseUint(rest, 10, 64)
	if point == "" || errP != nil || errSeed != nil || p <= 0 || p > 1 {
		return nil, &UsageError{fmt.Errorf("HUB_CHAOS_POINT %q is not name:probability:seed, such as after-claim:0.5:7", text)}
	}
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 0))
	return func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if name == point && dice.Float64() < p {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes a moment; nothing must happen in it
		}
	}, nil
}
