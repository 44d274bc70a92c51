package local

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// endpointFile says where the hub that has the data directory answers.
const endpointFile = "hub.json"

// Endpoint is where a running hub answers over HTTP.
type Endpoint struct {
	URL   string `json:"url"`
	Token string `json:"token"` // bearer token of its API
}

// Publish tells other processes of this user where the hub answers, until Close.
func (l *Local) Publish(e Endpoint) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("publish the hub's address: %w", err)
	}
	return writeSecret(filepath.Join(l.dir, endpointFile), string(body)+"\n")
}

// Running finds the hub that has the data directory. It reports false when none
// has it, and also while one starts and has published nothing yet.
func Running(dataDir string) (Endpoint, bool) {
	f, err := os.Open(filepath.Join(dataDir, "lock"))
	if err != nil {
		return Endpoint{}, false
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return Endpoint{}, false // nobody has it: the address is a dead hub's
	}
	body, err := os.ReadFile(filepath.Join(dataDir, endpointFile))
	if err != nil {
		return Endpoint{}, false
	}
	var e Endpoint
	if json.Unmarshal(body, &e) != nil || e.URL == "" {
		return Endpoint{}, false
	}
	return e, true
}
