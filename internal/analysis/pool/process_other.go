//go:build !linux

package pool

import "syscall"

// attributes: elsewhere a child ends when its standard input does.
func attributes() *syscall.SysProcAttr { return nil }

// limitMemory: elsewhere no limit covers what both C and Go allocate.
func limitMemory(uint64) error { return nil }
