// Package vault seals credentials, so that a copy of the database gives none away.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	keySize  = 32      // bytes: AES-256
	maxPlain = 1 << 16 // bytes of one credential, large enough for an SSH key or a certificate chain
	variable = "HUB_SECRET_KEY"
	remedy   = "make one with: openssl rand -base64 32"
)

// encoding refuses bits that no byte needs, so that a value has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// ErrUnknownKey says that none of the keys sealed this value.
var ErrUnknownKey = errors.New("vault: sealed with a key that " + variable + " does not hold")

// Sealer seals with one key and opens with any of several, so that a key can be
// replaced: put the new one first, seal everything again, drop the old one.
// It is safe for concurrent use, and keeps no key where it could be printed.
type Sealer struct {
	current string // id of the key that seals
	keys    map[string]cipher.AEAD
}

// NewSealer reads the value of HUB_SECRET_KEY: one key, or several separated by
// commas, each 32 bytes in base64. The first one seals. The error never shows
// the value.
func NewSealer(keys string) (*Sealer, error) {
	s := &Sealer{keys: map[string]cipher.AEAD{}}
	for i, text := range strings.Split(keys, ",") {
		key, err := parseKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: key %d %w; %s", variable, i+1, err, remedy)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", variable, i+1, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", variable, i+1, err)
		}
		id := keyID(key)
		if s.current == "" {
			s.current = id
		}
		s.keys[id] = aead
	}
	return s, nil
}

func parseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("is empty")
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("is %d bytes, and must be %d", len(key), keySize)
	}
	return key, nil
}

// keyID names a key without telling anything about it: 8 hex digits of a hash
// that nothing else uses.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("integration hub key id\x00"), key...))
	return hex.EncodeToString(sum[:4])
}

// newKey is a fresh key as HUB_SECRET_KEY takes it.
func newKey() string {
	key := make([]byte, keySize)
	rand.Read(key) // never fails: it ends the process instead
	return base64.StdEncoding.EncodeToString(key)
}

// Seal encrypts plain, at most 64 KiB, for the place aad, such as the slug of a
// connection. It can be opened only for the same place. The result is text: the
// key's id, a dot, and base64 of nonce and ciphertext. One key may seal 2^32
// values before its random nonces (96 bits) are likely enough to repeat.
func (s *Sealer) Seal(plain, aad string) (string, error) {
	if len(plain) > maxPlain {
		return "", fmt.Errorf("seal: %d bytes are more than the limit of %d", len(plain), maxPlain)
	}
	sealed := s.keys[s.current].Seal(nil, nil, []byte(plain), []byte(aad))
	return s.current + "." + encoding.EncodeToString(sealed), nil
}

// Open decrypts what Seal made for the place aad. The error is ErrUnknownKey when
// another key is needed; otherwise the value was changed or belongs elsewhere.
func (s *Sealer) Open(sealed, aad string) (string, error) {
	id, body, ok := strings.Cut(sealed, ".")
	if !ok {
		return "", errors.New("open: this is not a sealed value")
	}
	aead, ok := s.keys[id]
	if !ok {
		return "", fmt.Errorf("open: key %q: %w", id, ErrUnknownKey)
	}
	data, err := encoding.DecodeString(body)
	if err != nil {
		return "", errors.New("open: the sealed value is damaged: it is not base64")
	}
	plain, err := aead.Open(nil, nil, data, []byte(aad))
	if err != nil {
		return "", fmt.Errorf("open: the sealed value was changed, or was not sealed for %q", aad)
	}
	return string(plain), nil
}

// Current reports whether sealed was made with the key that seals now; if not,
// it should be opened and sealed again.
func (s *Sealer) Current(sealed string) bool { return strings.HasPrefix(sealed, s.current+".") }
