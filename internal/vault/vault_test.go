package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func sealer(t *testing.T, keys ...string) *Sealer {
	t.Helper()
	s, err := NewSealer(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSealedOpensForItsPlaceOnly(t *testing.T) {
	s := sealer(t, newKey())
	rapid.Check(t, func(t *rapid.T) {
		plain, place := rapid.String().Draw(t, "plain"), rapid.String().Draw(t, "place")
		sealed, err := s.Seal(plain, place)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Open(sealed, place); err != nil || got != plain {
			t.Fatalf("got %q and %v, want %q", got, err, plain)
		}
		if _, err := s.Open(sealed, place+"x"); err == nil {
			t.Fatal("it opened for another place")
		}
		if again, _ := s.Seal(plain, place); again == sealed {
			t.Fatal("sealing twice gave the same text")
		}
	})
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	s := sealer(t, newKey())
	sealed, err := s.Seal("ghp_secret", "github")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		if got, err := s.Open(string(changed), "github"); err == nil {
			t.Errorf("with byte %d changed it opened as %q", i, got)
		}
	}
	for _, text := range []string{"", ".", "x", sealed[:9], sealed[:len(sealed)-4], "." + sealed} {
		if _, err := s.Open(text, "github"); err == nil {
			t.Errorf("%q opened", text)
		}
	}
}

func TestAKeyCanBeReplaced(t *testing.T) {
	older, newer := newKey(), newKey()
	sealed, err := sealer(t, older).Seal("token", "gitlab")
	if err != nil {
		t.Fatal(err)
	}
	both := sealer(t, newer, older)
	if got, err := both.Open(sealed, "gitlab"); err != nil || got != "token" {
		t.Fatalf("with both keys: got %q and %v, want the token", got, err)
	}
	if both.Current(sealed) {
		t.Error("what the old key sealed counts as current")
	}
	again, err := both.Seal("token", "gitlab")
	if err != nil {
		t.Fatal(err)
	}
	if !both.Current(again) {
		t.Error("what was sealed just now does not count as current")
	}
	only := sealer(t, newer)
	if got, err := only.Open(again, "gitlab"); err != nil || got != "token" {
		t.Errorf("sealed again: got %q and %v, want the token", got, err)
	}
	if _, err := only.Open(sealed, "gitlab"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without the old key: got %v, want ErrUnknownKey", err)
	}
}

func TestABadKeyIsRefusedWithTheRemedyAndNotShown(t *testing.T) {
	for _, key := range []string{"", " ", "secret-but-not-base64!", "c2hvcnQ=", newKey() + ",", newKey() + newKey()} {
		_, err := NewSealer(key)
		if err == nil {
			t.Errorf("%q was taken", key)
			continue
		}
		if text := err.Error(); !strings.Contains(text, "HUB_SECRET_KEY") || !strings.Contains(text, "openssl rand -base64 32") {
			t.Errorf("%q: the error %q lacks the variable or the remedy", key, text)
		}
		if strings.TrimSpace(key) != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestASealerDoesNotPrintItsKey(t *testing.T) {
	key := newKey()
	raw, err := parseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v", sealer(t, key), sealer(t, key), sealer(t, key))
	for _, shown := range []string{key, string(raw), fmt.Sprint(raw)[1:40]} {
		if strings.Contains(printed, shown) {
			t.Errorf("the key is in %s", printed)
		}
	}
}

func TestACredentialTooLargeIsRefused(t *testing.T) {
	s := sealer(t, newKey())
	if _, err := s.Seal(strings.Repeat("x", maxPlain), "a"); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := s.Seal(strings.Repeat("x", maxPlain+1), "a"); err == nil {
		t.Error("above the limit it was sealed")
	}
}

func TestProcessesThatStartTogetherGetOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	keys := make([]string, 16)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() {
			key, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	group.Wait()
	for _, key := range keys {
		if key == "" || key != keys[0] {
			t.Fatalf("got the keys %q, want one", keys)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %04o, want 0600", info.Mode().Perm())
	}
	inside, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(inside) != 1 {
		t.Errorf("the directory holds %v (%v), want the key file alone", inside, err)
	}
}

func TestAKeyFileThatIsWrongIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, content, err string
		mode               os.FileMode
	}{
		{"open", newKey(), "chmod 600", 0o644},
		{"empty", "", "HUB_SECRET_KEY", 0o600},
		{"short", "c2hvcnQ=", "32", 0o600},
	} {
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKey(path); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.err)
		}
		if got, _ := os.ReadFile(path); string(got) != tt.content {
			t.Errorf("%s: the file was changed", tt.name)
		}
	}
	if _, err := LoadOrCreateKey(filepath.Join(dir, "missing", "key")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("in a missing directory: got %v, want an error that names it", err)
	}
}
