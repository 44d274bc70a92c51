package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"integrationhub/internal/hub"
)

// maxManifest caps an encoded manifest, in bytes.
const maxManifest = 64 << 20

// Encode makes a manifest compact enough for the ledger: JSON lines in zstd. The
// entries must be as Writer.Close or Unpack returned them.
func Encode(entries []hub.Entry) ([]byte, error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("start the compressor: %w", err)
	}
	lines := json.NewEncoder(z)
	check := newManifestCheck()
	for _, e := range entries {
		if err := check.admit(e); err != nil {
			return nil, fmt.Errorf("encode a manifest: %w", err)
		}
		if err := lines.Encode(e); err != nil {
			return nil, fmt.Errorf("encode a manifest: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("encode a manifest: %w", err)
	}
	if out.Len() > maxManifest {
		return nil, fmt.Errorf("encode a manifest: %w: it passes the cap of %d bytes", ErrTooLarge, maxManifest)
	}
	return out.Bytes(), nil
}

// Decode is the reverse of Encode. It takes no entry that a Writer would not have
// made, and no more of them than the default Limits allow.
func Decode(data []byte) ([]hub.Entry, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("decode a manifest: %w: it passes the cap of %d bytes", ErrTooLarge, maxManifest)
	}
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("start the decompressor: %w", err)
	}
	defer z.Close()
	check := newManifestCheck()
	lines := bufio.NewScanner(z)
	// JSON may spell each byte of a path as six.
	lines.Buffer(nil, int(6*check.limits.PathBytes+256))
	var entries []hub.Entry
	for lines.Scan() {
		var e hub.Entry
		err := json.Unmarshal(lines.Bytes(), &e)
		if err == nil {
			err = check.admit(e)
		}
		if err != nil {
			return nil, fmt.Errorf("decode a manifest: %w", err)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("decode a manifest: %w", err)
	}
	return entries, nil
}

// manifestCheck admits what a guard admits, in order of path and with its hash.
type manifestCheck struct {
	*guard
	last string
}

func newManifestCheck() *manifestCheck { return &manifestCheck{guard: newGuard(Limits{})} }

func (c *manifestCheck) admit(e hub.Entry) error {
	if err := c.guard.admit(e.Path, e.Mode, e.Size); err != nil {
		return err
	}
	if raw, err := hex.DecodeString(e.Hash); err != nil || len(raw) != 20 {
		return invalid(e.Path, "has a hash that is not 40 hex digits")
	}
	if e.Path < c.last {
		return errors.New("the entries are not sorted by path")
	}
	c.last = e.Path
	return nil
}

// Digest names a tree by its content: the SHA-256, in hex, over each entry of a
// sorted manifest as "<mode> <hash> <size>\x00<path>\x00".
func Digest(entries []hub.Entry) string {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%s %s %d\x00%s\x00", e.Mode, e.Hash, e.Size, e.Path)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// RegularFiles is the paths of a manifest that are files, not links.
func RegularFiles(entries []hub.Entry) []string {
	var paths []string
	for _, e := range entries {
		if e.Mode != hub.ModeLink {
			paths = append(paths, e.Path)
		}
	}
	return paths
}
