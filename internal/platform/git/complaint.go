package git

import (
	"time"

	"integrationhub/internal/platform"
)

// complaint maps what git says to an error that callers decide by.
type complaint struct {
	words  []string // any of them, lower case
	refuse func(address, ref string) error
}

func because(reason error, text string) func(address, ref string) error {
	return func(address, _ string) error { return platform.Refuse(reason, "%s %s", address, text) }
}

// complaints are tried in order. What is not here is taken for a passing trouble.
var complaints = []complaint{
	{
		[]string{"couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref"},
		func(address, ref string) error {
			return platform.Refuse(platform.ErrNotFound, "%s does not hand out %q; name a branch, a tag or a whole commit id that it still has", address, ref)
		},
	},
	{
		[]string{"host key verification failed"},
		because(platform.ErrDenied, "has an ssh host key that is not known here; add it to the known_hosts file of the hub's account"),
	},
	{
		[]string{"authentication failed", "could not read username", "could not read password", "returned error: 401", "returned error: 403", "permission denied", "access denied"},
		because(platform.ErrDenied, "asks for a credential, or does not accept this one; store a token that may read the repository with the connection"),
	},
	{
		[]string{"returned error: 404", "repository not found", "does not appear to be a git repository", "is this a git repository", "does not exist", "could not be found", "' not found"},
		because(platform.ErrNotFound, "is not a repository, or one that this credential may not see; check base URL and repository"),
	},
	{
		[]string{"returned error: 429"},
		func(address, _ string) error {
			return &platform.RetryAfter{After: time.Minute, Text: address + " asks for fewer requests; trying again in a minute"}
		},
	},
	{
		[]string{"mismatched algorithms"},
		because(platform.ErrInvalid, "keeps its objects by SHA-256; only repositories with SHA-1 ids can be fetched"),
	},
	{
		[]string{"over limit"},
		because(platform.ErrTooLarge, "holds an object that is too large for memory; leave large files out of it"),
	},
	{
		[]string{"fsck error", "fsck: error", "error in object"},
		because(platform.ErrInvalid, "sends objects that git refuses as damaged or dangerous; run git fsck there"),
	},
	{
		[]string{"protocol '", "transport '"},
		because(platform.ErrInvalid, "leads to a protocol that is not allowed; use https, http or ssh"),
	},
}
