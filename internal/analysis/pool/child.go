// Package pool scans files in child processes of the same executable, so that a crash in a parser costs one file.
package pool

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime/debug"
	"syscall"

	"integrationhub/internal/analysis"
	"integrationhub/internal/analysis/rules"
	"integrationhub/internal/hub"
)

// childName is what a child is called, as its only argument, so that Main knows
// it and an operator sees it in the list of processes.
const childName = "hub-scan-child"

// Limits of a child and of what it says.
const (
	maxMessage   = 64 << 20 // bytes of one request or one result
	childMemory  = 1 << 30  // bytes, hard: a child that wants more dies
	childGoalMem = 256 << 20
	childGC      = 200 // percent: a little more memory for a lot less collecting
)

// exitRefused is the code of a child that cannot scan at all. A crash has another.
const exitRefused = 1

// request asks a child to scan files under a directory, in order.
type request struct {
	Dir   string         `json:"dir"`
	Paths []string       `json:"paths"`
	Only  []hub.Category `json:"only,omitempty"`
}

// Main turns the process into a scanning child if it was started as one, and then
// never returns. Call it first in main and in TestMain.
func Main() {
	if len(os.Args) != 1 || os.Args[0] != childName {
		return
	}
	// The parent decides when a child ends: Ctrl-C reaches the whole terminal.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	debug.SetMemoryLimit(childGoalMem)
	debug.SetGCPercent(childGC)
	if err := scanUntilDone(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitRefused)
	}
	os.Exit(0)
}

func scanUntilDone() error {
	if err := limitMemory(childMemory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	s, err := newScan()
	if err != nil {
		return err
	}
	return serve(os.Stdin, os.Stdout, s.file)
}

// scanFile scans one file of an open root.
type scanFile func(root *os.Root, path string, only []hub.Category) analysis.FileResult

// ready is what a child says first, so that its start costs no file its time.
type ready struct{}

// serve answers requests with one result for each path until in ends.
func serve(in io.Reader, out io.Writer, scan scanFile) error {
	if err := send(out, ready{}); err != nil {
		return err
	}
	for {
		var q request
		if err := receive(in, &q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answer(&q, out, scan); err != nil {
			return err
		}
	}
}

func answer(q *request, out io.Writer, scan scanFile) error {
	root, err := os.OpenRoot(q.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, p := range q.Paths {
		if err := send(out, scan(root, p, q.Only)); err != nil {
			return err
		}
	}
	return nil
}

// scan holds the built-in rules and the scanners made of them so far.
type scan struct {
	set      *rules.Set
	scanners map[string]*analysis.Scanner
}

func newScan() (*scan, error) {
	set, err := rules.Builtin()
	return &scan{set: set, scanners: map[string]*analysis.Scanner{}}, err
}

func (s *scan) file(root *os.Root, name string, only []hub.Category) analysis.FileResult {
	src, size, err := read(root, name)
	if err != nil {
		return analysis.FileResult{Path: name, Skipped: analysis.SkipUnreadable}
	}
	r := s.scanner(only).Scan(context.Background(), name, src)
	r.Bytes = size
	return r
}

func (s *scan) scanner(only []hub.Category) *analysis.Scanner {
	key := fmt.Sprint(only)
	if s.scanners[key] == nil {
		s.scanners[key] = analysis.NewScanner(s.set.Only(only))
	}
	return s.scanners[key]
}

// read reads what Scan needs to see of a file: one byte over its limit is enough.
// A path that is, or leads through, a link is refused, also inside the root.
func read(root *os.Root, name string) (src []byte, size int64, err error) {
	clean := path.Clean(name)
	for i, c := range clean + "/" {
		if c != '/' {
			continue
		}
		info, err := root.Lstat(clean[:i])
		if err != nil {
			return nil, 0, err
		}
		if last := i == len(clean); last && !info.Mode().IsRegular() || !last && !info.IsDir() {
			return nil, 0, fmt.Errorf("%s is no regular file", name)
		}
		size = info.Size()
	}
	f, err := root.Open(clean)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	src, err = io.ReadAll(io.LimitReader(f, analysis.MaxBytes+1))
	return src, size, err
}

// send writes a message behind its length in four bytes, in one write.
func send(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("a message has %d bytes: at most %d are allowed", len(b), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, len(b)+4), uint32(len(b))), b...))
	return err
}

// receive reads what send wrote.
func receive(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("a message claims %d bytes: at most %d are allowed", n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
