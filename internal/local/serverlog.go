package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

const (
	logCap  = 8 << 20 // bytes of a log file, of which there are two
	tailCap = 2 << 10 // bytes that an error quotes
)

// tail keeps the end of what was written to it, for an error to quote.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	if over := len(t.end) - tailCap; over > 0 {
		t.end = append([]byte(nil), t.end[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.end))
}

// Forget drops what an earlier process wrote.
func (t *tail) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = nil
}

// serverLog is Postgres's log: a file of at most logCap bytes and the one
// before it, with ".1" at its name.
type serverLog struct {
	tail
	path string
	file *os.File
	size int64
}

func openServerLog(path string) (*serverLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of Postgres: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the log of Postgres: %w", err), f.Close())
	}
	return &serverLog{path: path, file: f, size: size}, nil
}

// Write never fails, because Postgres must not lose its error output to a full
// disk. One process writes at a time.
func (l *serverLog) Write(b []byte) (int, error) {
	l.tail.Write(b)
	if l.size+int64(len(b)) > logCap && os.Rename(l.path, l.path+".1") == nil {
		if next, err := openServerLog(l.path); err == nil {
			l.file.Close()
			l.file, l.size = next.file, next.size
		}
	}
	n, _ := l.file.Write(b)
	l.size += int64(n)
	return len(b), nil
}

// Close ends the log once its writer has ended.
func (l *serverLog) Close() error { return l.file.Close() }
