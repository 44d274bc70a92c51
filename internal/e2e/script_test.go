package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"integrationhub/internal/hubtest"
)

// scripts are the stories of testdata/script: what people type, and what comes
// of it. Beside testscript's own commands they have
//
//	exits CODE PROGRAM [ARGUMENT...]   runs a program that must end with CODE, without a stack trace
//	schema SCHEMA FILE                 checks a JSON document, which may be stdout, against a JSON schema
//	keep NAME REGEXP                   makes the first group of the first match in stdout a variable
//	eventually REGEXP PROGRAM [ARGUMENT...]  runs a program again and again until its stdout matches
//
// They run on a hub at $HUB_URL. At $STORY is a git repository whose branch main
// holds main.py, whose branch feature holds feature.py, and whose tag v1 is
// $FIRST, a commit that holds first.py; each of the files has one finding.
func scripts(t *testing.T, h *server, git *hubtest.GitServer) {
	const code = "import yaml\n\n\ndef load(text):\n    return yaml.load(text)\n"
	repo := git.Repository("people/story")
	first := repo.Commit("first", map[string]string{"first.py": code})
	repo.Run("tag", "v1")
	repo.Run("checkout", "--quiet", "-b", "feature")
	repo.Run("rm", "--quiet", "first.py")
	repo.Commit("feature", map[string]string{"feature.py": code})
	repo.Run("checkout", "--quiet", "main")
	repo.Run("rm", "--quiet", "first.py")
	repo.Commit("second", map[string]string{"main.py": code})

	bin := filepath.Dir(binary(t, "hub"))
	schemas, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	sarif, err := filepath.Abs("../analysis/sarif/testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Vars = append(environment(e.WorkDir),
				"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
				"WORK="+e.WorkDir, "HUB_DATA_DIR="+filepath.Join(e.WorkDir, "data"), "HUB_URL="+h.url,
				"STORY="+repo.URL, "FIRST="+first, "REPORT_SCHEMA="+filepath.Join(schemas, "report.schema.json"), "SARIF_SCHEMA="+sarif,
				"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
				"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
			)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "schema": schema, "keep": keep, "eventually": eventually},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	got := 0
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if said := ts.ReadFile(stream); strings.Contains(said, "goroutine ") || strings.Contains(said, "panic:") {
			ts.Fatalf("%s shows a stack trace", stream)
		}
	}
}

func schema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: schema SCHEMA FILE")
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	rules, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(ts.ReadFile(args[0]))))
	ts.Check(err)
	const name = "schema.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	ts.Check(c.AddResource(name, rules))
	compiled, err := c.Compile(name)
	ts.Check(err)
	ts.Check(compiled.Validate(doc))
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME REGEXP")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("stdout holds no %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP PROGRAM [ARGUMENT...]")
	}
	want := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(runWait); ; time.Sleep(100 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not say %s", strings.Join(args[1:], " "), want)
		}
	}
}
