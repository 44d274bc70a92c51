package snapshot

import (
	"archive/tar"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"integrationhub/internal/hub"
)

// maxWindow caps the memory of the decompressor. It is the largest window of
// zstd's ordinary levels, so archives of other tools are read too.
const maxWindow = 8 << 20

// Unpack writes the regular files of a tar.zst below root, which must be empty,
// and returns the manifest of all entries, sorted by path. Links are not made:
// they are in the manifest only. The error is ErrTooLarge, ErrInvalid, or what
// the reader or the disk returned; what was written until then stays for the
// caller to remove.
func Unpack(r io.Reader, root *os.Root, limits Limits) ([]hub.Entry, error) {
	if err := checkEmpty(root); err != nil {
		return nil, err
	}
	var entries []hub.Entry
	buf := make([]byte, 64<<10)
	err := walk(r, limits, func(e hub.Entry, content io.Reader) error {
		h := hub.NewBlobHash(e.Size)
		var err error
		if e.Mode == hub.ModeLink {
			_, err = io.Copy(h, content)
		} else {
			err = writeFile(root, e, io.TeeReader(content, h), buf)
		}
		e.Hash = hex.EncodeToString(h.Sum(nil))
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	sortEntries(entries)
	return entries, nil
}

// AddArchive packs every entry of another tar.zst, within the Writer's limits,
// and returns the manifest of what was added, sorted by path.
func (w *Writer) AddArchive(r io.Reader) ([]hub.Entry, error) {
	first := len(w.entries)
	err := walk(r, w.guard.limits, func(e hub.Entry, content io.Reader) error {
		return w.Add(e.Path, e.Mode, e.Size, content)
	})
	if err != nil {
		w.err = err
		return nil, err
	}
	added := append([]hub.Entry(nil), w.entries[first:]...)
	sortEntries(added)
	return added, nil
}

func checkEmpty(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("open the directory to unpack into: %w", err)
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != io.EOF {
		return fmt.Errorf("unpack into %s: the directory must be empty and readable", root.Name())
	}
	return nil
}

func writeFile(root *os.Root, e hub.Entry, content io.Reader, buf []byte) error {
	if err := root.MkdirAll(path.Dir(e.Path), 0o700); err != nil {
		return fmt.Errorf("unpack %q: %w", e.Path, err)
	}
	perm := os.FileMode(0o600)
	if e.Mode == hub.ModeExec {
		perm = 0o700
	}
	f, err := root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return fmt.Errorf("unpack %q: %w", e.Path, err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, content, buf)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("unpack %q: %w", e.Path, err)
	}
	return nil
}

// walk visits the files and links of a tar.zst, without their hashes. Directories
// are checked and passed over: files bring their own.
func walk(r io.Reader, limits Limits, visit func(e hub.Entry, content io.Reader) error) error {
	g := newGuard(limits)
	ratio := newRatio(g.limits)
	// Headers come on top of content: no well-behaved archive spends more than
	// this on them, and headers alone shall not keep us reading for ever.
	most := g.limits.Bytes + g.limits.NameBytes + (g.limits.Files+g.limits.Dirs)*2048 + 1<<20
	z, err := zstd.NewReader(&countingReader{r, &ratio.compressed, most},
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return fmt.Errorf("start the decompressor: %w", err)
	}
	defer z.Close()
	stream := &countingReader{z, &ratio.expanded, most}
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if err == io.EOF && ratio.expanded == 0 {
			return fmt.Errorf("read the archive: %w", io.ErrUnexpectedEOF)
		}
		if err == io.EOF {
			return checkRest(stream)
		}
		if err != nil {
			return readError(err)
		}
		if header.Typeflag == tar.TypeDir {
			if err := g.admitDir(strings.TrimSuffix(header.Name, "/")); err != nil {
				return err
			}
			continue
		}
		e, content, err := entry(header, archive)
		if err != nil {
			return err
		}
		if err := g.admit(e.Path, e.Mode, e.Size); err != nil {
			return err
		}
		if err := visit(e, content); err != nil {
			return readError(err)
		}
		if err := ratio.check(e.Path); err != nil {
			return err
		}
	}
}

// admitDir lets a directory count like the parent of a file.
func (g *guard) admitDir(p string) error {
	if p == "." || g.dirs[p] {
		return nil
	}
	if err := g.admitPath(p); err != nil {
		return err
	}
	return g.admitParents(path.Join(p, "x"))
}

// entry reads a header. Types other than file and link are refused, and so are
// sparse files, which have more bytes than they bring.
func entry(h *tar.Header, archive io.Reader) (hub.Entry, io.Reader, error) {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return hub.Entry{}, nil, invalid(h.Name, "is a sparse file")
		}
	}
	e := hub.Entry{Path: h.Name, Mode: hub.ModeFile, Size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Mode&0o100 != 0 {
			e.Mode = hub.ModeExec
		}
		return e, archive, nil
	case tar.TypeSymlink:
		e.Mode, e.Size = hub.ModeLink, int64(len(h.Linkname))
		return e, strings.NewReader(h.Linkname), nil
	}
	return hub.Entry{}, nil, invalid(h.Name, fmt.Sprintf("is an entry of type %q; only files, directories and symbolic links are taken", h.Typeflag))
}

// checkRest reads what follows the end of the archive, so that the checksum of
// the whole is checked, and takes nothing but padding.
func checkRest(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return fmt.Errorf("%w: data follows the end of the archive", ErrInvalid)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return readError(err)
		}
	}
}

// readError tells a damaged archive, which stays damaged, from a reader that
// failed and may do better the next time.
func readError(err error) error {
	for _, damaged := range []error{
		tar.ErrHeader, zstd.ErrReservedBlockType, zstd.ErrCompressedSizeTooBig, zstd.ErrBlockTooSmall,
		zstd.ErrUnexpectedBlockSize, zstd.ErrMagicMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrWindowSizeTooSmall,
		zstd.ErrDecoderSizeExceeded, zstd.ErrUnknownDictionary, zstd.ErrFrameSizeExceeded, zstd.ErrFrameSizeMismatch,
		zstd.ErrCRCMismatch,
	} {
		if errors.Is(err, damaged) {
			return fmt.Errorf("%w: the archive is damaged: %w", ErrInvalid, err)
		}
	}
	return err
}

type countingReader struct {
	r    io.Reader
	n    *int64
	most int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	if *c.n > c.most {
		return 0, fmt.Errorf("%w: the archive passes the cap of %d bytes", ErrTooLarge, c.most)
	}
	return n, err
}
