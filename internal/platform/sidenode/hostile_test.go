package sidenode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/platformtest"
	"integrationhub/internal/snapshot"
)

// pretend is a node that answers every request in its own way.
func pretend(t *testing.T, answer http.HandlerFunc) platform.Target {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return platform.Target{Kind: hub.SideNode, BaseURL: server.URL, Token: platformtest.Token, Repository: "shop"}
}

func fetch(t *testing.T, s *Source, target platform.Target) error {
	t.Helper()
	w, err := snapshot.NewWriter(io.Discard, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Fetch(t.Context(), target, w)
	return err
}

// archive is one file as a node would send it, with its revision.
func archive(t *testing.T) (data []byte, revision string) {
	t.Helper()
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add("a", hub.ModeFile, 1, strings.NewReader("a")); err != nil {
		t.Fatal(err)
	}
	entries, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), revisionOf(entries)
}

func TestANodeIsNotBelieved(t *testing.T) {
	data, revision := archive(t)
	other := revisionOf(nil)
	passing := errors.New("any error that is not final")
	for _, c := range []struct {
		name                       string
		revision, ref, contentType string
		body                       []byte
		want                       error
		says                       string
	}{
		{"the truth", revision, WorkTree, typeArchive, data, nil, ""},
		{"other code than it says", other, WorkTree, typeArchive, data, passing, "other code"},
		{"no revision", "", WorkTree, typeArchive, data, platform.ErrInvalid, "does not say what it sent"},
		{"a revision that is none", "latest", WorkTree, typeArchive, data, platform.ErrInvalid, "does not say what it sent"},
		{"a ref that is none", revision, "--x", typeArchive, data, platform.ErrInvalid, "does not say what it sent"},
		{"half an archive", revision, WorkTree, typeArchive, data[:len(data)/2], passing, "unexpected EOF"},
		{"no archive", revision, WorkTree, typeArchive, []byte("<html>"), platform.ErrInvalid, "damaged"},
		{"a web page", revision, WorkTree, "text/html", []byte("<html>"), platform.ErrInvalid, "not a SIDE node"},
	} {
		err := fetch(t, NewSource(), pretend(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.contentType)
			w.Header().Set(headerRevision, c.revision)
			w.Header().Set(headerRef, c.ref)
			_, _ = w.Write(c.body)
		}))
		if c.want == passing {
			if err == nil || errors.As(err, new(*platform.Refusal)) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want a passing error that says %q", c.name, err, c.says)
			}
			continue
		}
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", c.name, err, c.want, c.says)
		}
	}
}

func TestEachStatusIsAnErrorThatACallerCanDecideBy(t *testing.T) {
	for status, want := range map[int]error{
		301: platform.ErrInvalid, 400: platform.ErrInvalid, 401: platform.ErrDenied, 403: platform.ErrDenied,
		404: platform.ErrNotFound, 413: platform.ErrTooLarge, 422: platform.ErrInvalid,
	} {
		target := pretend(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/")
			w.Header().Set("Content-Type", typeProblem)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"detail":"line one\nline %s"}`, r.Header.Get("Authorization"))
		})
		err := fetch(t, NewSource(), target)
		if !errors.Is(err, want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), target.Token) {
			t.Errorf("status %d: %v, want %v in one line without the token", status, err, want)
		}
		if err := NewSource().Check(t.Context(), target); !errors.Is(err, want) {
			t.Errorf("check, status %d: %v, want %v", status, err, want)
		}
	}
	if err := fetch(t, NewSource(), pretend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })); err == nil || errors.As(err, new(*platform.Refusal)) {
		t.Errorf("status 500: %v, want a passing error", err)
	}
}

func TestANodeMayAskForPatienceButNotForEver(t *testing.T) {
	for sent, want := range map[string]time.Duration{"7": 7 * time.Second, "": 30 * time.Second, "soon": 30 * time.Second, "-1": time.Second, "999999": time.Hour} {
		for _, status := range []int{409, 429, 503} {
			err := fetch(t, NewSource(), pretend(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", sent)
				w.WriteHeader(status)
			}))
			var later *platform.RetryAfter
			if !errors.As(err, &later) || later.After != want {
				t.Errorf("Retry-After %q of %d: %v, want %v", sent, status, err, want)
			}
		}
	}
}

func TestANodeThatFallsSilentIsGivenUp(t *testing.T) {
	data, revision := archive(t)
	s := NewSource()
	s.stall = 100 * time.Millisecond
	err := fetch(t, s, pretend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", typeArchive)
		w.Header().Set(headerRevision, revision)
		w.Header().Set(headerRef, WorkTree)
		_, _ = w.Write(data[:5])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	if err == nil || !strings.Contains(err.Error(), "sent nothing for 100ms") {
		t.Errorf("got %v", err)
	}
}

func TestTheNodeSaysWhenItPacksForTooMany(t *testing.T) {
	node, target, _ := serve(t, Config{Dir: folder(t, platformtest.Tree)})
	node.wait = time.Millisecond
	for range maxPacks {
		node.slots <- struct{}{}
	}
	var later *platform.RetryAfter
	if err := fetch(t, NewSource(), target); !errors.As(err, &later) || later.After != 5*time.Second {
		t.Errorf("got %v", err)
	}
	for range maxPacks {
		<-node.slots
	}
	if err := fetch(t, NewSource(), target); err != nil {
		t.Error(err)
	}
}

func TestACapOfTheNodeIsNamed(t *testing.T) {
	_, target, d := serve(t, Config{Dir: folder(t, platformtest.Tree), Limits: snapshot.Limits{FileBytes: 1000}})
	if err := fetch(t, NewSource(), target); !errors.Is(err, platform.ErrTooLarge) || !strings.Contains(err.Error(), `"logo.bin" passes the cap of 1000 bytes`) {
		t.Errorf("archive: %v", err)
	}
	if res, body := ask(t, target, "/v1/repositories/"+target.Repository+"/file?path=logo.bin", nil); res.StatusCode != 413 || !strings.Contains(body, "logo.bin") {
		t.Errorf("file: %d %s", res.StatusCode, body)
	}
	if !d.seen["/v1/repositories/{repo}/archive 413"] {
		t.Error("no answer 413 was held to the description")
	}
}

func TestANameThatIsNotUTF8IsNamed(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("the file system takes no such name")
	}
	_, target, _ := serve(t, Config{Dir: folder(t, []platformtest.File{{Path: "latin\xe9", Mode: hub.ModeFile}})})
	if err := fetch(t, NewSource(), target); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), `latin\xe9`) {
		t.Errorf("got %v", err)
	}
}
