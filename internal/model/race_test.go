//go:build race

package model

// histories are fewer under the race detector, which makes each several times
// longer.
const histories = "250"
