package platform

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/snapshot"
)

func TestWhatAnEventMayNotNameIsRefusedByField(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, c := range []struct{ kind, base, repository, ref, field string }{
		{"git", "https://code.example.org", "team/shop.git", "main", ""},
		{"git", "http://127.0.0.1:8080/git/", "shop", "", ""},
		{"git", "https://[::1]:8443", "shop", "refs/heads/a.b", ""},
		{"git", "ssh://git@code.example.org:2222", "~team/shop", "v1.0", ""},
		{"sidenode", "https://laptop.example.org", "shop", "WORKTREE", ""},
		{"svn", "https://code.example.org", "shop", "", "kind"},
		{"git", "", "shop", "", "base_url"},
		{"git", long, "shop", "", "base_url"},
		{"git", "/srv/git", "shop", "", "base_url"},
		{"git", "file:///srv/git", "shop", "", "base_url"},
		{"git", "ext::sh -c touch% x", "shop", "", "base_url"},
		{"git", "git://code.example.org", "shop", "", "base_url"},
		{"git", "https:code.example.org", "shop", "", "base_url"},
		{"git", "https://user@code.example.org", "shop", "", "base_url"},
		{"git", "https://user:pass@code.example.org", "shop", "", "base_url"},
		{"git", "ssh://git:pass@code.example.org", "shop", "", "base_url"},
		{"git", "ssh://-oProxyCommand=x@code.example.org", "shop", "", "base_url"},
		{"git", "ssh://-oProxyCommand=x", "shop", "", "base_url"},
		{"sidenode", "ssh://git@code.example.org", "shop", "", "base_url"},
		{"git", "https://code.example.org?x=1", "shop", "", "base_url"},
		{"git", "https://code.example.org#x", "shop", "", "base_url"},
		{"git", "https://code.example.org/../etc", "shop", "", "base_url"},
		{"git", "https://code.example.org", "", "", "repository"},
		{"git", "https://code.example.org", long, "", "repository"},
		{"git", "https://code.example.org", "/etc", "", "repository"},
		{"git", "https://code.example.org", "../etc", "", "repository"},
		{"git", "https://code.example.org", "a/../../etc", "", "repository"},
		{"git", "https://code.example.org", "a/", "", "repository"},
		{"git", "https://code.example.org", "-x", "", "repository"},
		{"git", "https://code.example.org", "a\nb", "", "repository"},
		{"git", "https://code.example.org", "a?b", "", "repository"},
		{"git", "https://code.example.org", "a%2e%2e/b", "", "repository"},
		{"git", "https://code.example.org", "shop", "--upload-pack=x", "ref"},
		{"git", "https://code.example.org", "shop", "a b", "ref"},
		{"git", "https://code.example.org", "shop", "a:b", "ref"},
		{"git", "https://code.example.org", "shop", long, "ref"},
	} {
		err := Validate(hub.Platform(c.kind), c.base, c.repository, c.ref)
		if c.field == "" && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if c.field != "" && (!errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), c.field)) {
			t.Errorf("%+v: %v, want ErrInvalid naming %s", c, err, c.field)
		}
		if err != nil && strings.Contains(err.Error(), "pass@") {
			t.Errorf("%+v: the error holds the credential: %v", c, err)
		}
	}
}

func TestRefsAreTakenExactlyWhenGitTakesThem(t *testing.T) {
	for _, ref := range []string{
		"main", "a/b/c", "v1.0", "a.b", "ü", "@x", "a@", "a@b", "a{b", "+a", "a,b", "HEAD", "a-", "a.lock.b", `a"b`, "a'b", "a$(b)",
		"a/", "/a", "a//b", ".a", "a/.b", "a..b", "a.", "a.lock", "a.lock/b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", `a\b`, "a b", "a\tb", "a\x7fb", "a@{b", "a@{",
	} {
		gits := exec.Command("git", "check-ref-format", "refs/heads/"+ref).Run() == nil
		if ours := Validate(hub.Git, "https://h", "r", ref) == nil; ours != gits {
			t.Errorf("ref %q: taken %v, git takes it %v", ref, ours, gits)
		}
	}
}

func TestATokenIsNotSentWhereOthersCanReadIt(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://code.example.org": true, "http://127.0.0.1:1": true, "http://localhost": true, "http://[::1]": true,
		"http://code.example.org": false, "http://10.0.0.1": false, "http://localhost.example.org": false, "ssh://git@code.example.org": false,
	} {
		err := CheckTarget(Target{Kind: hub.Git, BaseURL: base, Repository: "r", Token: "secret"})
		if ok != (err == nil) || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", base, err)
		}
		if err := CheckTarget(Target{Kind: hub.Git, BaseURL: base, Repository: "r"}); err != nil {
			t.Errorf("%s without a token: %v", base, err)
		}
	}
}

func TestACopiedURLIsSplit(t *testing.T) {
	for raw, want := range map[string][2]string{
		"https://code.example.org/team/shop.git":         {"https://code.example.org", "team/shop.git"},
		"https://code.example.org/team/shop/":            {"https://code.example.org", "team/shop"},
		"http://127.0.0.1:80/x":                          {"http://127.0.0.1:80", "x"},
		"ssh://git@code.example.org/team/shop":           {"ssh://git@code.example.org", "team/shop"},
		"git@code.example.org:team/shop":                 {},
		"https://code.example.org":                       {},
		"https://user:pa ss@code.example.org/team/shop":  {},
		"https://secret@code.example.org/team/shop?x=pa": {},
		"/srv/shop": {},
		"file:///x": {},
	} {
		base, repository, err := Split(raw)
		if base != want[0] || repository != want[1] || (err == nil) != (want[0] != "") {
			t.Errorf("%s: %q, %q, %v", raw, base, repository, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pa ss")) {
			t.Errorf("the error holds the credential: %v", err)
		}
	}
}

func TestASecretIsScrubbedInEverySpelling(t *testing.T) {
	secret := "a+b/c=?"
	text := "x a+b/c=? y a%2Bb%2Fc%3D%3F z a+b%2Fc=%3F"
	if got := Scrub(text, secret); got != "x *** y *** z ***" {
		t.Errorf("got %q", got)
	}
	if got := Scrub(text, ""); got != text {
		t.Errorf("nothing to scrub gives %q", got)
	}
}

func TestWhatCannotBePackedIsARefusal(t *testing.T) {
	other := errors.New("disk full")
	for in, want := range map[error]error{snapshot.ErrTooLarge: ErrTooLarge, snapshot.ErrInvalid: ErrInvalid, other: other} {
		if got := PackError(in); !errors.Is(got, want) {
			t.Errorf("%v becomes %v", in, got)
		}
	}
	if PackError(nil) != nil {
		t.Error("no error became one")
	}
}
