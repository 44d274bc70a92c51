//go:build linux

package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/platformtest"
	"integrationhub/internal/snapshot"
)

// processes is the ids of the processes whose file in /proc holds text.
func processes(file, text string) []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/" + file)
	for _, name := range all {
		if data, err := os.ReadFile(name); err == nil && bytes.Contains(data, []byte(text)) {
			found = append(found, strings.Split(name, "/")[2])
		}
	}
	return found
}

func TestTheTokenIsInNoArgumentAndNoFileWhileGitRuns(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	token := fmt.Sprintf("token-%d-of-this-test", os.Getpid())
	dir := platformtest.Repository(t, platformtest.Tree)
	server := serve(t, filepath.Dir(dir), token)
	handler := server.Config.Handler
	var looked int
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pids := processes("cmdline", token); len(pids) > 0 {
			t.Errorf("the token is in the arguments of %v", pids)
		}
		_ = filepath.WalkDir(tmp, func(name string, d os.DirEntry, err error) error {
			if data, err := os.ReadFile(name); err == nil {
				looked++
				if bytes.Contains(data, []byte(token)) {
					t.Errorf("the token is in %s", name)
				}
			}
			return nil
		})
		handler.ServeHTTP(w, r)
	})
	platformtest.Fetch(t, &Source{}, target(server, token, filepath.Base(dir)+"/.git"))
	if looked == 0 {
		t.Error("no file of the temporary repository was looked at")
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCancellingKillsGitAndItsChildren(t *testing.T) {
	token := fmt.Sprintf("token-%d-of-this-test", os.Getpid())
	ctx, cancel := context.WithCancel(t.Context())
	var running []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running = processes("environ", token)
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	_, err := (&Source{}).Fetch(ctx, target(server, token, "a/b"), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if len(running) < 2 {
		t.Errorf("only %v ran while the host was asked; want git and its transport", running)
	}
	deadline := time.Now().Add(10 * time.Second)
	for left := processes("environ", token); len(left) > 0; left = processes("environ", token) {
		if time.Now().After(deadline) {
			t.Fatalf("%v still run", left)
		}
	}
}

func TestAHostThatTakesTooLongIsAPassingTrouble(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	_, err := (&Source{Timeout: 300 * time.Millisecond}).Fetch(t.Context(), target(server, "", "a/b"), nil)
	if err == nil || !strings.Contains(err.Error(), "took longer than 300ms") {
		t.Errorf("got %v", err)
	}
}

func TestAHostCannotFillTheDisk(t *testing.T) {
	noise := make([]byte, 8<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	dir := platformtest.Repository(t, []platformtest.File{{Path: "noise", Mode: hub.ModeFile, Content: string(noise)}})
	server := serve(t, filepath.Dir(dir), "")
	handler := server.Config.Handler
	ended := make(chan struct{})
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The last bytes of the pack never come: only the watch on the disk can end this.
		handler.ServeHTTP(&stuck{ResponseWriter: w, left: 6 << 20, until: ended}, r)
	})
	w, err := snapshot.NewWriter(io.Discard, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Source{DiskBytes: 4 << 20}).Fetch(t.Context(), target(server, "", filepath.Base(dir)+"/.git"), w)
	close(ended)
	if !errors.Is(err, platform.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// stuck writes so many bytes and then waits.
type stuck struct {
	http.ResponseWriter
	left  int
	until chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		<-s.until
	}
	n, err := s.ResponseWriter.Write(p)
	s.ResponseWriter.(http.Flusher).Flush()
	return n, err
}
