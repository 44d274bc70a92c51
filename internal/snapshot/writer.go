package snapshot

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"integrationhub/internal/hub"
)

// Writer packs entries into a tar.zst as they come and keeps their manifest. The
// same entries in the same order give the same bytes. It runs no goroutine: a
// Writer that failed is simply dropped.
type Writer struct {
	guard   *guard
	ratio   *ratio
	zstd    *zstd.Encoder
	tar     *tar.Writer
	entries []hub.Entry
	buf     []byte
	err     error // the first error, which every later call returns
}

// NewWriter returns a Writer that packs to w within limits.
func NewWriter(w io.Writer, limits Limits) (*Writer, error) {
	g := newGuard(limits)
	ratio := newRatio(g.limits)
	// Concurrency of one makes the output the same on every machine.
	z, err := zstd.NewWriter(countingWriter{w, &ratio.compressed}, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("start the compressor: %w", err)
	}
	return &Writer{
		guard: g, ratio: ratio, zstd: z,
		tar: tar.NewWriter(countingWriter{z, &ratio.expanded}),
		buf: make([]byte, 64<<10),
	}, nil
}

// Add packs one path. mode is one of hub's modes; content must hold exactly size
// bytes, for a link its target. The error is ErrTooLarge, ErrInvalid, ErrChanged,
// or what content or the underlying writer returned; after it the Writer is of no
// more use.
func (w *Writer) Add(path, mode string, size int64, content io.Reader) error {
	if w.err != nil {
		return w.err
	}
	w.err = w.add(path, mode, size, content)
	return w.err
}

func (w *Writer) add(path, mode string, size int64, content io.Reader) error {
	if err := w.guard.admit(path, mode, size); err != nil {
		return err
	}
	h := hub.NewBlobHash(size)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o644, Format: tar.FormatPAX}
	body := io.Writer(w.tar)
	switch mode {
	case hub.ModeExec:
		header.Mode = 0o755
	case hub.ModeLink:
		target, err := io.ReadAll(io.LimitReader(content, size))
		if err != nil {
			return fmt.Errorf("read the target of link %q: %w", path, err)
		}
		if bytes.IndexByte(target, 0) >= 0 {
			return invalid(path, "is a link whose target holds a NUL")
		}
		header.Typeflag, header.Linkname, header.Size, header.Mode = tar.TypeSymlink, string(target), 0, 0o777
		content, body = io.MultiReader(bytes.NewReader(target), content), io.Discard
	}
	if err := w.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("pack %q: %w", path, err)
	}
	n, err := io.CopyBuffer(io.MultiWriter(body, h), io.LimitReader(content, size), w.buf)
	if err != nil {
		return fmt.Errorf("pack %q: %w", path, err)
	}
	if n != size || !atEnd(content) {
		return fmt.Errorf("%w: %q was announced with %d bytes", ErrChanged, path, size)
	}
	w.entries = append(w.entries, hub.Entry{Path: path, Mode: mode, Hash: hex.EncodeToString(h.Sum(nil)), Size: size})
	return w.ratio.check(path)
}

// Close ends the archive and returns the manifest, sorted by path.
func (w *Writer) Close() ([]hub.Entry, error) {
	if w.err != nil {
		return nil, w.err
	}
	if err := w.tar.Close(); err != nil {
		return nil, fmt.Errorf("end the archive: %w", err)
	}
	if err := w.zstd.Close(); err != nil {
		return nil, fmt.Errorf("end the archive: %w", err)
	}
	w.err = errors.New("the archive is closed")
	sortEntries(w.entries)
	return w.entries, nil
}

func atEnd(r io.Reader) bool {
	n, err := io.ReadFull(r, make([]byte, 1))
	return n == 0 && err == io.EOF
}

func sortEntries(entries []hub.Entry) {
	slices.SortFunc(entries, func(a, b hub.Entry) int { return strings.Compare(a.Path, b.Path) })
}

// ratio compares what went through on both sides of the compressor.
type ratio struct {
	limits               Limits
	expanded, compressed int64
}

func newRatio(l Limits) *ratio { return &ratio{limits: l} }

// check is made after each entry. When packing, the compressor may still hold
// some bytes, when unpacking the decompressor may have read ahead: so what was
// packed can always be unpacked.
func (r *ratio) check(path string) error {
	if r.expanded > max(r.limits.FileBytes, 1<<20) && r.expanded > r.limits.Ratio*r.compressed {
		return tooLarge(path, r.limits.Ratio, "expanded bytes to one compressed byte")
	}
	return nil
}

type countingWriter struct {
	w io.Writer
	n *int64
}

func (c countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}
