package hubtest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/snapshot"
)

// File is one path of a snapshot; the mode is a plain file's where it is empty.
type File struct{ Path, Mode, Content string }

// PutSnapshot stores files as the snapshot id.
func PutSnapshot(t testing.TB, objects interface {
	PutObject(ctx context.Context, name string, r io.Reader) error
}, id string, files ...File) []hub.Entry {
	t.Helper()
	var packed bytes.Buffer
	w, err := snapshot.NewWriter(&packed, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Mode == "" {
			f.Mode = hub.ModeFile
		}
		if err := w.Add(f.Path, f.Mode, int64(len(f.Content)), strings.NewReader(f.Content)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := objects.PutObject(t.Context(), id, &packed); err != nil {
		t.Fatal(err)
	}
	return entries
}
