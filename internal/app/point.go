//go:build !chaos

package app

// killPoint is nothing in an ordinary build.
func killPoint() (func(name string), error) { return nil, nil }
