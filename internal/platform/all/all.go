// Package all lists the kinds of code host that the hub can fetch from.
package all

import (
	"integrationhub/internal/platform"
	"integrationhub/internal/platform/git"
	"integrationhub/internal/platform/sidenode"
)

// Sources is one source of each kind. A new kind is one line here.
func Sources() []platform.Source {
	return []platform.Source{
		&git.Source{},
		sidenode.NewSource(),
	}
}
