package snapshot

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"integrationhub/internal/hub"
)

func compress(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(data, nil)
}

func packLines(t testing.TB, line string, n int) []byte {
	return compress(t, []byte(strings.Repeat(line+"\n", n)))
}

// archive writes headers without any of the Writer's checks; content is size zeros.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

func TestHostileArchivesAreRefusedAndLeaveNothingOutside(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1} }
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	small := Limits{Files: 3, Dirs: 3, Bytes: 4 << 20, FileBytes: 2 << 20, Ratio: 50}
	sparse := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "s", Size: 1, PAXRecords: map[string]string{"comment": "GNU"}})
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"up", archive(t, file("../up")), ErrInvalid},
		{"absolute", archive(t, file("/tmp/x")), ErrInvalid},
		{"git directory", archive(t, file(".git/config")), ErrInvalid},
		{"folded git directory", archive(t, file("sub/.GiT/config")), ErrInvalid},
		{"hard link", archive(t, tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "/etc/passwd"}), ErrInvalid},
		{"character device", archive(t, tar.Header{Typeflag: tar.TypeChar, Name: "d", Devmajor: 1, Devminor: 3}), ErrInvalid},
		{"block device", archive(t, tar.Header{Typeflag: tar.TypeBlock, Name: "d"}), ErrInvalid},
		{"pipe", archive(t, tar.Header{Typeflag: tar.TypeFifo, Name: "p"}), ErrInvalid},
		{"write through a link", archive(t, link("d", "/tmp"), file("d/x")), ErrInvalid},
		{"link over a file", archive(t, file("a"), link("a", "b")), ErrInvalid},
		{"file over a link", archive(t, link("a", "b"), file("a")), ErrInvalid},
		{"directory over a file", archive(t, file("a"), tar.Header{Typeflag: tar.TypeDir, Name: "a/"}), ErrInvalid},
		{"directory outside", archive(t, tar.Header{Typeflag: tar.TypeDir, Name: "../a/"}), ErrInvalid},
		{"four files", archive(t, file("a"), file("b"), file("c"), file("d")), ErrTooLarge},
		{"deep directories", archive(t, tar.Header{Typeflag: tar.TypeDir, Name: strings.Repeat("d/", 9)}), ErrTooLarge},
		{"one file", archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: 2<<20 + 1}), ErrTooLarge},
		{"bomb", archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: 2 << 20}), ErrTooLarge},
		{"headers without end", endlessHeaders(t), ErrTooLarge},
		{"data after the end", append(archive(t, file("a")), 1), ErrInvalid},
		{"no archive", []byte(strings.Repeat("x", 2048)), ErrInvalid},
		{"comment only", sparse, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, dir := openRoot(t)
			if _, err := Unpack(bytes.NewReader(compress(t, c.data)), root, small); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			checkHarmless(t, dir)
		})
	}
}

// endlessHeaders is many megabytes of extended headers before the first entry.
func endlessHeaders(t *testing.T) []byte {
	one := archive(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": strings.Repeat("c", 900<<10)}})
	one = one[:len(one)-1024] // without the end of the archive
	one[156] = tar.TypeXHeader
	rewriteChecksum(one[:512])
	return bytes.Repeat(one, 90)
}

func rewriteChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	digits := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		digits[i] = byte('0' + sum&7)
		sum >>= 3
	}
	copy(header[148:156], digits)
}

func TestADamagedArchiveIsToldFromABrokenConnection(t *testing.T) {
	data, _, err := pack(t, Limits{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)-1] ^= 1 // in the checksum
	root, _ := openRoot(t)
	if _, err := Unpack(bytes.NewReader(flipped), root, Limits{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a damaged archive: %v, want ErrInvalid", err)
	}
	for _, cut := range []int{0, 1, len(data) / 2, len(data) - 1} {
		root, _ := openRoot(t)
		if _, err := Unpack(bytes.NewReader(data[:cut]), root, Limits{}); err == nil || errors.Is(err, ErrInvalid) {
			t.Errorf("an archive cut after %d bytes: %v, want a plain error", cut, err)
		}
	}
}

func TestAWindowThatWouldTakeTooMuchMemoryIsRefused(t *testing.T) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	z.Write(archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: 1 << 20}))
	z.Flush()
	z.Close()
	root, _ := openRoot(t)
	if _, err := Unpack(&out, root, Limits{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestADirectoryThatHoldsSomethingIsNotUnpackedInto(t *testing.T) {
	data, _, err := pack(t, Limits{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	root, dir := openRoot(t)
	if err := os.Symlink(".", dir+"/long"); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(bytes.NewReader(data), root, Limits{}); err == nil || !strings.Contains(err.Error(), "must be empty") {
		t.Errorf("got %v", err)
	}
}

// checkHarmless fails when anything but plain files and directories lies in dir,
// or when anything lies beside it.
func checkHarmless(t *testing.T, dir string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !d.Type().IsRegular() {
			t.Errorf("%q was made with mode %v", p, d.Type())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if beside, _ := os.ReadDir(dir + "/.."); len(beside) > 1 {
		t.Errorf("something was made beside the root: %v", beside)
	}
}

func FuzzUnpackDoesNoHarmAndAgreesWithPacking(f *testing.F) {
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeReg, Name: "a/b", Size: 3}))
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}, tar.Header{Typeflag: tar.TypeReg, Name: "a/b", Size: 1}))
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeDir, Name: "d/"}, tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("é", 80), Size: 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{Files: 50, Dirs: 50, Bytes: 1 << 20, FileBytes: 1 << 19}
		zipped := compress(t, data)
		root, dir := openRoot(t)
		entries, err := Unpack(bytes.NewReader(zipped), root, limits)
		checkHarmless(t, dir)
		var out bytes.Buffer
		w, newErr := NewWriter(&out, limits)
		if newErr != nil {
			t.Fatal(newErr)
		}
		added, addErr := w.AddArchive(bytes.NewReader(zipped))
		if err != nil || addErr != nil {
			return
		}
		if Digest(added) != Digest(entries) {
			t.Errorf("unpacked %v, repacked %v", entries, added)
		}
		encoded, err := Encode(entries)
		if err != nil {
			t.Fatalf("encode what was unpacked: %v", err)
		}
		if decoded, err := Decode(encoded); err != nil || Digest(decoded) != Digest(entries) {
			t.Errorf("decoded %v, %v", decoded, err)
		}
		for _, e := range entries {
			if e.Mode == hub.ModeLink {
				continue
			}
			if got, err := root.ReadFile(e.Path); err != nil || hub.BlobHash(got) != e.Hash {
				t.Errorf("%q on disk is not what the manifest says (%v)", e.Path, err)
			}
		}
	})
}
