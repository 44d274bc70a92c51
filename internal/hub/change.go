package hub

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"hash"
)

// The modes that a manifest knows. They are git's: a file, an executable file,
// a symbolic link whose content is its target as text.
const (
	ModeFile = "100644"
	ModeExec = "100755"
	ModeLink = "120000"
)

// Entry is one path of a snapshot.
type Entry struct {
	Path string `json:"path"` // slash-separated, relative, clean
	Mode string `json:"mode"` // one of the Mode constants
	Hash string `json:"hash"` // BlobHash of the content
	Size int64  `json:"size"` // bytes
}

// Snapshot is the code at one commit.
type Snapshot struct {
	ID      string  `json:"id"`     // also the object's name in the Object Store
	Commit  string  `json:"commit"` // commit id, or a content hash where the source has no commits
	Ref     string  `json:"ref"`    // the ref that was asked for, as resolved
	Files   int     `json:"files"`
	Bytes   int64   `json:"bytes"`
	Entries []Entry `json:"-"` // sorted by path
}

// Op is what a change does to one path.
type Op string

// The operations of a change set.
const (
	OpCreate Op = "create"
	OpUpdate Op = "update"
	OpDelete Op = "delete"
)

// Change is one path of a change set. Content is the new content, nil for a delete.
type Change struct {
	Op      Op     `json:"op"`
	Path    string `json:"path"`
	Mode    string `json:"mode"`
	Before  string `json:"before,omitempty"` // BlobHash before, empty for a create
	After   string `json:"after,omitempty"`  // BlobHash after, empty for a delete
	Content []byte `json:"-"`
}

// ChangeSet is creates, updates and deletes against a base commit, sorted by path.
type ChangeSet struct {
	Base    string   `json:"base"` // commit of the snapshot it was made for
	Changes []Change `json:"changes"`
}

// NewBlobHash returns a hash whose sum is git's blob id of size bytes of content.
// Git's own definition is used so that hashes can be compared with what code
// hosts report: SHA-1 over "blob <size>\x00" and the content.
func NewBlobHash(size int64) hash.Hash {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

// BlobHash is git's blob id of content, 40 hex digits.
func BlobHash(content []byte) string {
	h := NewBlobHash(int64(len(content)))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
