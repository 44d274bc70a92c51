// Package sidenode speaks our own protocol to a SIDE node: any machine or editor
// that holds code. It has the source that fetches from such a node, and the
// reference node. docs/sidenode.openapi.yaml describes what goes between them.
package sidenode

import (
	"net/url"
	"regexp"

	"integrationhub/internal/hub"
	"integrationhub/internal/snapshot"
)

// WorkTree is the ref of the code as it lies on the node's disk.
const WorkTree = "WORKTREE"

const (
	headerRevision = "Hub-Revision" // names the content that was sent
	headerRef      = "Hub-Ref"      // what it was found at, percent-encoded
	headerCommit   = "Hub-Commit"   // the commit below it, where there is one
	headerMode     = "Hub-Mode"     // one of hub's modes
	headerHash     = "Hub-Hash"     // git's blob id

	typeArchive = "application/zstd"
	typeFile    = "application/octet-stream"
	typeProblem = "application/problem+json"
)

var workTreeRevision = regexp.MustCompile(`^worktree-[0-9a-f]{64}$`)

// revisionOf names the content of a work tree.
func revisionOf(entries []hub.Entry) string { return "worktree-" + snapshot.Digest(entries) }

type health struct {
	Status string `json:"status"`
}

type repositories struct {
	Repositories []repository `json:"repositories"`
}

type repository struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // "git" or "folder"
}

type listing struct {
	Ref      string      `json:"ref"`
	Revision string      `json:"revision"`
	Commit   string      `json:"commit,omitempty"`
	Files    []hub.Entry `json:"files"`
}

// problem is RFC 9457's.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// A ref may hold any UTF-8, a header may not.
func encodeRef(ref string) string { return (&url.URL{Path: ref}).EscapedPath() }

func decodeRef(s string) (string, error) { return url.PathUnescape(s) }
