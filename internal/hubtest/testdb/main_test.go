package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"integrationhub/internal/hubtest"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

func TestTheCommandGetsAServerAndItsExitCodeComesBack(t *testing.T) {
	out := filepath.Join(t.TempDir(), "url")
	code, err := run(t.Context(), []string{"sh", "-c", `printf %s "$` + hubtest.DatabaseEnv + `" >` + out + `; exit 3`})
	if code != 3 || err != nil {
		t.Errorf("exit code %d, %v; want 3", code, err)
	}
	url, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(url), "postgres://") {
		t.Errorf("the command's server was %q, %v", url, err)
	}
	if conn, err := pgx.Connect(t.Context(), string(url)); err == nil {
		conn.Close(t.Context())
		t.Error("the server outlives the command")
	}
}

func TestWhatCannotRunFails(t *testing.T) {
	if code, err := run(t.Context(), []string{"no-such-command-here"}); code == 0 || err == nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}
