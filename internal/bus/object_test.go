package bus_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"integrationhub/internal/hubtest"
)

// pieces is a source that gives n bytes, never many at a time, as a compressor does.
type pieces struct {
	left   int
	random *rand.ChaCha8
	sum    hash.Hash
}

func newPieces(n int) *pieces {
	return &pieces{left: n, random: rand.NewChaCha8([32]byte{1}), sum: sha256.New()}
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), 5000, p.left)
	p.random.Read(b[:n])
	p.sum.Write(b[:n])
	p.left -= n
	return n, nil
}

func TestAnObjectStreamsThroughAndIsNotHeldInMemory(t *testing.T) {
	const size = 64 << 20
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := s.Bus(t)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	before, most := heap(), int64(0)
	watch := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, int64(m.HeapInuse)-before)
	}
	in := newPieces(size)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := b.PutObject(ctx, "snap", in); err != nil {
		t.Fatal(err)
	}
	watch()
	st, err := js.Stream(t.Context(), "OBJ_HUB_SNAPSHOTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := st.CachedInfo().State.Msgs; n > size>>20+2 {
		t.Errorf("%d messages for 64 MiB: small reads made small messages", n)
	}
	r, err := b.GetObject(ctx, "snap")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, total, buf := sha256.New(), 0, make([]byte, 1<<20)
	for {
		n, err := r.Read(buf)
		out.Write(buf[:n])
		if total += n; total%(16<<20) < n {
			watch()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total != size || !bytes.Equal(in.sum.Sum(nil), out.Sum(nil)) {
		t.Errorf("%d bytes came back, or other ones", total)
	}
	t.Logf("at most %d MiB more on the heap", most>>20)
	if most > 48<<20 {
		t.Errorf("%d MiB on the heap", most>>20)
	}
}

func TestAMissingObjectDoesNotExist(t *testing.T) {
	b := hubtest.NATS(t).Bus(t)
	if _, err := b.GetObject(t.Context(), "never"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "never") {
		t.Errorf("error %v", err)
	}
	if err := b.DeleteObject(t.Context(), "never"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := b.PutObject(t.Context(), "once", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteObject(t.Context(), "once"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.GetObject(t.Context(), "once"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the delete: %v", err)
	}
}

func TestAReadingEndsWhenTheStreamIsLostOrTheReaderIsCalledOff(t *testing.T) {
	t.Parallel()
	s := hubtest.NATS(t)
	b := s.Bus(t)
	if err := b.PutObject(t.Context(), "snap", newPieces(64<<20)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var readings []io.Reader
	for range 2 {
		r, err := b.GetObject(ctx, "snap")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		readings = append(readings, r)
	}
	s.Kill()
	s.Wipe()
	s.Restart()
	began := time.Now()
	_, err := io.Copy(io.Discard, readings[0])
	if err == nil || time.Since(began) > patience {
		t.Errorf("the rest of a lost object: %v after %s", err, time.Since(began))
	}
	cancel()
	began = time.Now()
	if _, err := io.Copy(io.Discard, readings[1]); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("the rest for a reader that was called off: %v after %s", err, time.Since(began))
	}
}

func TestAWritingEndsWhenTheServerIsGoneAndNotWhenItsSourceIsSlow(t *testing.T) {
	t.Parallel()
	s := hubtest.NATS(t)
	b := s.Bus(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() { written <- b.PutObject(ctx, "snap", r) }()
	if _, err := io.CopyN(w, newPieces(3<<20), 3<<20); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		t.Fatalf("ended before its source: %v", err)
	case <-time.After(12 * time.Second): // longer than the server may take
	}
	s.Kill()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("a server that is gone took the object")
		}
	case <-time.After(patience):
		t.Error("still waits for a server that is gone")
	}
}

func TestAnObjectWhoseSourceFailsIsNotStored(t *testing.T) {
	s := hubtest.NATS(t)
	js, _ := operator(t, s)
	b := s.Bus(t)
	for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("the host hung up")} {
		r := io.MultiReader(newPieces(3<<20), failing{cause})
		if err := b.PutObject(t.Context(), "half", r); !errors.Is(err, cause) {
			t.Errorf("error %v, want %v", err, cause)
		}
	}
	if _, err := b.GetObject(t.Context(), "half"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half an object is there: %v", err)
	}
	hubtest.Eventually(t, patience, func() error {
		st, err := js.Stream(t.Context(), "OBJ_HUB_SNAPSHOTS")
		if err == nil && st.CachedInfo().State.Msgs != 0 {
			err = fmt.Errorf("%d messages are left over", st.CachedInfo().State.Msgs)
		}
		return err
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
