package deployment_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hub"
	"integrationhub/internal/hubtest"
	"integrationhub/internal/store"
	"integrationhub/internal/store/deployment"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

func random(n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(out)
	return out
}

// keep stores a deployment with its files.
func keep(t *testing.T, s *store.Store, d deployment.Deployment, side deployment.Side, files ...deployment.File) {
	t.Helper()
	var b store.Batch
	deployment.Replace(&b, d)
	for _, f := range files {
		p, err := deployment.Pack(d.ID, side, f)
		if err != nil {
			t.Fatal(err)
		}
		p.Queue(&b)
	}
	if err := s.InTx(t.Context(), func(tx store.DB) error { return b.Run(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func prepared() deployment.Deployment {
	return deployment.Deployment{
		ID: "run", Run: "run", Strategy: hub.DryRun, Status: deployment.Prepared, Base: "c",
		Changes: []hub.Change{{Op: hub.OpUpdate, Path: "a.go", Mode: hub.ModeExec, Before: "1", After: "2"}},
		Proof:   json.RawMessage(`{"fixed": [], "text": "\u0000"}`), Diff: "--- a\n+++ b\n\x00\xff",
	}
}

func TestABackupIsReadBackByteForByte(t *testing.T) {
	s := hubtest.Store(t)
	big := random(3<<20 + 17)
	files := []deployment.File{
		{Path: "a/run.sh", Mode: hub.ModeExec, Content: []byte("#!/bin/sh\n")},
		{Path: "b/big.bin", Mode: hub.ModeFile, Content: big},
		{Path: "c/empty", Mode: hub.ModeFile, Content: nil},
		{Path: "d/link", Mode: hub.ModeLink, Content: []byte("../a/run.sh")},
		{Path: "e/again.bin", Mode: hub.ModeFile, Content: big},
		{Path: "f/zeroes", Mode: hub.ModeFile, Content: make([]byte, 5<<20)},
	}
	keep(t, s, prepared(), deployment.Backup, files...)
	got, err := deployment.Files(t.Context(), s, "run", deployment.Backup)
	if err != nil || len(got) != len(files) {
		t.Fatalf("%d files, %v", len(got), err)
	}
	for i, want := range files {
		if got[i].Path != want.Path || got[i].Mode != want.Mode || !bytes.Equal(got[i].Content, want.Content) {
			t.Errorf("%s %s with %d bytes came back as %s %s with %d", want.Path, want.Mode, len(want.Content), got[i].Path, got[i].Mode, len(got[i].Content))
		}
	}
	if other, err := deployment.Files(t.Context(), s, "run", deployment.Change); err != nil || len(other) != 0 {
		t.Errorf("%d files of the other side, %v", len(other), err)
	}
	var chunks int
	if err := s.DB().QueryRow(t.Context(), `SELECT count(*) FROM chunk`).Scan(&chunks); err != nil || chunks != 1+4+1+1 {
		t.Errorf("%d chunks for content of which much is the same, %v", chunks, err)
	}
}

func TestAFlippedByteOfABackupIsNoticed(t *testing.T) {
	for name, damage := range map[string]string{
		"a byte of a chunk":       `UPDATE chunk SET bytes = set_byte(bytes, length(bytes) / 2, get_byte(bytes, length(bytes) / 2) # 1)`,
		"a chunk that is gone":    `DELETE FROM chunk`,
		"a chunk that is cut off": `UPDATE chunk SET bytes = substr(bytes, 1, length(bytes) - 1)`,
		"another file's chunks":   `UPDATE deployment_file SET chunks = (SELECT chunks FROM deployment_file WHERE path = 'b') WHERE path = 'a'`,
		"another order of chunks": `UPDATE deployment_file SET chunks = ARRAY[chunks[2], chunks[1]] WHERE path = 'a'`,
		"another hash":            `UPDATE deployment_file SET hash = repeat('0', 40)`,
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.Store(t)
			keep(t, s, prepared(), deployment.Backup, deployment.File{Path: "a", Mode: hub.ModeFile, Content: random(2 << 20)}, deployment.File{Path: "b", Mode: hub.ModeFile, Content: random(100)})
			if _, err := deployment.Files(t.Context(), s, "run", deployment.Backup); err != nil {
				t.Fatal(err)
			}
			if _, err := s.DB().Exec(t.Context(), damage); err != nil {
				t.Fatal(err)
			}
			if _, err := deployment.Files(t.Context(), s, "run", deployment.Backup); err == nil || !strings.Contains(err.Error(), "of deployment run") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAChunkThatIsABombIsRefused(t *testing.T) {
	s := hubtest.Store(t)
	bomb := deployment.File{Path: "a", Mode: hub.ModeFile, Content: make([]byte, 100)}
	keep(t, s, prepared(), deployment.Backup, bomb)
	// A frame of 64 MiB in a few bytes: an RLE block repeated.
	var frame bytes.Buffer
	frame.Write([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88})
	for range 512 {
		frame.Write([]byte{0x02, 0x00, 0x10, 0x00}) // RLE, 128 KiB
	}
	frame.Write([]byte{0x03, 0x00, 0x10, 0x00})
	if _, err := s.DB().Exec(t.Context(), `UPDATE chunk SET bytes = $1`, frame.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := deployment.Files(t.Context(), s, "run", deployment.Backup); err == nil {
		t.Error("it was unpacked")
	}
}

func TestAnotherPreparationReplacesTheFirst(t *testing.T) {
	s := hubtest.Store(t)
	keep(t, s, prepared(), deployment.Change, deployment.File{Path: "a", Mode: hub.ModeFile, Content: []byte("first")}, deployment.File{Path: "b", Mode: hub.ModeFile})
	d := prepared()
	d.Diff = "second"
	keep(t, s, d, deployment.Change, deployment.File{Path: "a", Mode: hub.ModeFile, Content: []byte("second")})
	got, err := deployment.Files(t.Context(), s, "run", deployment.Change)
	if err != nil || len(got) != 1 || string(got[0].Content) != "second" {
		t.Errorf("files %+v, %v", got, err)
	}
	kept, err := deployment.OfRun(t.Context(), s, "run")
	if time.Since(kept.CreatedAt).Abs() > time.Minute {
		t.Errorf("created at %s", kept.CreatedAt)
	}
	kept.CreatedAt, kept.Proof, d.Proof = time.Time{}, nil, nil
	if err != nil || !reflect.DeepEqual(kept, d) {
		t.Errorf("deployment %+v, want %+v, %v", kept, d, err)
	}
	if _, err := deployment.OfRun(t.Context(), s, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("missing deployment: %v", err)
	}
}

func TestDeploymentsThatShareContentDoNotFailEachOther(t *testing.T) {
	s := hubtest.Store(t)
	one, two := random(100), bytes.Repeat([]byte("x"), 100)
	errs := make(chan error)
	const n, rounds = 4, 20
	for i := range n {
		go func() {
			for round := range rounds {
				d := prepared()
				d.ID = string(rune('a'+i)) + strings.Repeat("x", round)
				content := [][]byte{append([]byte{byte(round)}, one...), append([]byte{byte(round)}, two...)}
				if i%2 == 0 {
					content[0], content[1] = content[1], content[0]
				}
				var b store.Batch
				deployment.Replace(&b, d)
				for k, c := range content {
					p, err := deployment.Pack(d.ID, deployment.Change, deployment.File{Path: string(rune('a' + k)), Mode: hub.ModeFile, Content: c})
					if err != nil {
						errs <- err
						return
					}
					p.Queue(&b)
				}
				err := s.InTx(t.Context(), func(tx store.DB) error { return b.Run(t.Context(), tx) })
				if store.Rejected(err) { // a deadlock is not: the same again succeeds
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
