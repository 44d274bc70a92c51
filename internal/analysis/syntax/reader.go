package syntax

/*
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
#include <stdlib.h>
#include "reader.h"
*/
import "C"

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"

	_ "github.com/tree-sitter/go-tree-sitter" // holds the C library that reader.c calls
)

// plainAllocator undoes what go-tree-sitter sets up: each allocation in C would
// call into Go, which calls into C, and that doubles the time of a parse.
var plainAllocator = sync.OnceFunc(func() { C.hub_plain_allocator() })

// read parses the source into c.raw.
func (c *conv) read(ctx context.Context, source []byte) error {
	plainAllocator()
	left := maxParse
	if d, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(d))
	}
	if left <= 0 || ctx.Err() != nil {
		return ErrTimeout
	}
	var t C.hub_tree
	text := (*C.char)(unsafe.Pointer(unsafe.SliceData(source)))
	status := C.hub_read(&t, c.pointer, text, C.uint32_t(len(source)), C.uint64_t(left.Microseconds()+1), MaxDepth)
	defer C.free(unsafe.Pointer(t.nodes))
	switch status {
	case C.HUB_TIMEOUT:
		return ErrTimeout
	case C.HUB_TOO_DEEP:
		return ErrDepth
	case C.HUB_NO_MEMORY:
		return errors.New("no memory for the syntax tree")
	}
	c.raw = make([]raw, t.count)
	for i, n := range unsafe.Slice(t.nodes, t.count) {
		r := raw{start: uint32(n.start), end: uint32(n.end), next: ref(n.next), kind: uint16(n.kind), field: uint16(n.field)}
		c.raw[i] = r
		switch {
		case r.kind == errorKind:
			c.errors++
			// An ERROR inside an ERROR is counted already.
			if r.start >= c.brokenTo {
				c.broken += int(r.end - r.start)
				c.brokenTo = r.end
			}
		case n.missing != 0:
			c.errors++
		}
	}
	return nil
}
