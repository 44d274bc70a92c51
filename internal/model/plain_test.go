//go:build !race

package model

// histories is how many TestEveryHistoryEndsRight plays on each core, where
// -rapid.checks says nothing else.
const histories = "5000"
